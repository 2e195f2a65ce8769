package proof

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
	"kigo/node/verify"
)

// Known remembers trailers whose work was checked, and trailers that are invalid
// for ever.
type Known interface {
	// Valid reports whether the trailer with that id carries its work.
	Valid(id mcm.Hash) bool
	// Invalid returns why the trailer with that id is invalid, if it is known to
	// be.
	Invalid(id mcm.Hash) (*Finding, bool)
	// Learn enters t under id: with valid work if f is nil, else invalid for f.
	Learn(t *mcm.Trailer, id mcm.Hash, f *Finding)
}

// Key returns what an invalid trailer is remembered by.  Up to block 0xa0700 a
// link does not fix what is in the parent, so a rule that t breaks against parent
// says nothing about t under another one, and the key covers both; above, and
// without parent, it is t's id (docs/spec/sync.md section 8.7).
func Key(parent, t *mcm.Trailer) mcm.Hash {
	id := ID(t)
	if parent == nil || t.Num() > mcm.V30Trigger {
		return id
	}
	above := ID(parent)
	return sha256.Sum256(append(above[:], id[:]...))
}

// errVerdict is a Verifier that says neither good nor bad of a trailer with work.
var errVerdict = errors.New("proof: the verifier reported success without a verdict")

// maxBatch is how many trailers go to the Verifier at a time: enough for any
// engine to be at its best rate, few enough that ctx is looked at.
const maxBatch = 1 << 13

// Work has the proof of work of proofs checked: of those that have no Finding and
// are not Done, every trailer that has to carry any.  Of each proof, those that
// state the most work first, one trailer is drawn that known does not know, and all
// drawn ones are checked; then the rest of the proofs that survive.  Trailers that
// several proofs share are checked once.  draw returns a random number from 0 to
// n-1, which the peers must not be able to guess.
//
// Each of these proofs is then Done, or has a Finding of the first trailer that is
// wrong; known learns what was found out, and also the invalid trailers that
// Structure has found in the other proofs.  checked is how many trailers v was
// given.  An error says that v failed or ctx ended: then no proof is
// decided, nothing learned, and nobody to blame.
func Work(ctx context.Context, v verify.Verifier, known Known, proofs []*Proof, draw func(n int) int) (checked int, err error) {
	s := session{known: known, seen: make(map[mcm.Trailer]*item)}
	for _, p := range proofs {
		if p.Finding == nil && !p.Done {
			s.add(p)
		}
	}
	slices.SortStableFunc(s.tasks, func(a, b *task) int { return cmp.Compare(b.stated, a.stated) })

	for _, t := range s.tasks {
		if n := t.unknown(); n > 0 && !t.convicted() {
			s.queue(t.pick(draw(n)))
		}
	}
	if err := s.check(ctx, v); err != nil {
		return s.checked, err
	}
	for _, t := range s.tasks {
		if !t.convicted() {
			for _, it := range t.items {
				s.queue(it)
			}
		}
	}
	if err := s.check(ctx, v); err != nil {
		return s.checked, err
	}
	s.settle(proofs)
	return s.checked, nil
}

// An item is one distinct trailer of a session.
type item struct {
	t       *mcm.Trailer
	id      mcm.Hash
	valid   bool
	invalid *Finding // Index is not set
	fresh   bool     // found out in this session
	queued  bool
}

func (it *item) decided() bool { return it.valid || it.invalid != nil }

// A task is a proof of a session, with its worked trailers.
type task struct {
	p      *Proof
	items  []*item
	index  []int   // of the items in the proof
	stated float64 // Σ 2^difficulty over the items, in hashes
}

func (t *task) unknown() (n int) {
	for _, it := range t.items {
		if !it.decided() {
			n++
		}
	}
	return n
}

// pick returns the k-th undecided item.
func (t *task) pick(k int) *item {
	for _, it := range t.items {
		if !it.decided() {
			if k == 0 {
				return it
			}
			k--
		}
	}
	panic("proof: draw returned a number out of range")
}

func (t *task) convicted() bool {
	return slices.ContainsFunc(t.items, func(it *item) bool { return it.invalid != nil })
}

// A session is one call of Work.
type session struct {
	known   Known
	seen    map[mcm.Trailer]*item
	tasks   []*task
	queued  []*item
	checked int
}

func (s *session) add(p *Proof) {
	t := &task{p: p}
	for i := range p.Trailers {
		tr := &p.Trailers[i]
		if !IsWorked(tr) {
			continue
		}
		it := s.seen[*tr]
		if it == nil {
			it = &item{t: tr, id: ID(tr)}
			it.valid = s.known.Valid(it.id)
			it.invalid, _ = s.known.Invalid(it.id)
			s.seen[*tr] = it
		}
		t.items = append(t.items, it)
		t.index = append(t.index, i)
		t.stated += math.Ldexp(1, int(tr.WorkDifficulty()))
	}
	s.tasks = append(s.tasks, t)
}

func (s *session) queue(it *item) {
	if !it.decided() && !it.queued {
		it.queued = true
		s.queued = append(s.queued, it)
	}
}

// check has the queued items checked.
func (s *session) check(ctx context.Context, v verify.Verifier) error {
	size := min(len(s.queued), maxBatch)
	batch, results := make([]mcm.Trailer, 0, size), make([]verify.Result, size)
	for part := range slices.Chunk(s.queued, maxBatch) {
		batch = batch[:0]
		for _, it := range part {
			batch = append(batch, *it.t)
		}
		results := results[:len(part)]
		clear(results)
		s.checked += len(part)
		if err := v.VerifyPoW(ctx, results, batch); err != nil {
			return fmt.Errorf("proof of work of %d trailers: %w", len(part), err)
		}
		for i, it := range part {
			if err := it.judge(&results[i]); err != nil {
				return err
			}
		}
	}
	s.queued = s.queued[:0]
	return nil
}

func (it *item) judge(r *verify.Result) error {
	switch {
	case r.Verdict == verify.Valid:
		it.valid = true
	case r.Verdict.Bad():
		it.invalid = LacksWork(it.t, r)
	default:
		return fmt.Errorf("%w: %v for block %v", errVerdict, r.Verdict, it.t.Num())
	}
	it.fresh = true
	return nil
}

// settle writes what was found out into the proofs and into known.
func (s *session) settle(proofs []*Proof) {
	for _, p := range proofs {
		if f := p.Finding; f != nil && f.Kind == fault.InvalidTrailer && f.Index >= 0 && f.Index < len(p.Trailers) {
			s.learnRule(p, f)
		}
	}
	for _, t := range s.tasks {
		for i, it := range t.items {
			if it.fresh {
				it.fresh = false
				s.known.Learn(it.t, it.id, it.invalid)
			}
			if it.invalid != nil && t.p.Finding == nil {
				f := *it.invalid
				f.Index = t.index[i]
				t.p.Finding = &f
			}
		}
		if t.p.Finding == nil {
			t.p.sum(t.items)
		}
	}
}

// learnRule remembers the trailer of p that Structure found invalid.
func (s *session) learnRule(p *Proof, f *Finding) {
	var parent *mcm.Trailer
	t := &p.Trailers[f.Index]
	if t.Num() != f.Num {
		return // Index counts from trailers that Extend did not keep
	}
	if f.Index > 0 && *p.Trailers[f.Index-1].Hash() == *t.PrevHash() {
		parent = &p.Trailers[f.Index-1]
	}
	s.known.Learn(t, Key(parent, t), f)
}

// sum makes p Done; all of items are valid.
func (p *Proof) sum(items []*item) {
	p.forget()
	p.Done = true
	p.Worked = len(items)
	for _, it := range items {
		p.Work = p.Work.AddDifficulty(it.t.WorkDifficulty())
	}
}

// LacksWork returns the finding for a trailer whose work is bad.  Index is -1.
func LacksWork(t *mcm.Trailer, r *verify.Result) *Finding {
	return &Finding{
		Kind: fault.InvalidTrailer, Rule: rules.Rule(pow.RuleName(t)), Num: t.Num(), Index: -1,
		Detail: verify.Explain(t, r),
	}
}
