package scan

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"kigo/node/branch"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/wire"
)

// Limits of extension.  A stem that is worth it is a chain whose blocks are
// nearly all pseudo; honestly there is one at most.
const (
	maxStems   = 8 // extended in a scan, fresh and dense ones first
	stemChoice = 3 // supporters asked in turn, of different groups

	maxContested = 2 // stems extended because they may meet, highest first
)

// A stem is what branches have in common that begin with the same lowest trailer.
type stem struct {
	branch     *branch.Branch
	supporters []*contact // to be asked, one after another
}

// extend follows the thin stems that could matter, and the best of those that may
// meet further down, backwards, up to 1,000 trailers
// (docs/spec/sync.md section 8.5, S1).  The error is the verifier's or ctx's.
func (s *scan) extend(ctx context.Context) error {
	calls, cancel := context.WithDeadline(ctx, s.began.Add(s.o.Deadlines.Hard))
	defer cancel()
	stems := s.stems()
	for range stemChoice {
		var asked []*contact
		for i := range stems {
			if l := stems[i].supporters; len(l) > 0 {
				asked = append(asked, l[0])
				stems[i].supporters = l[1:]
			}
		}
		if len(asked) == 0 || calls.Err() != nil {
			break
		}
		longer, err := s.older(ctx, calls, asked)
		if err != nil {
			return err
		}
		// A stem that has been followed needs nobody else.
		for i := range stems {
			if slices.ContainsFunc(longer, func(c *contact) bool { return stems[i].has(c) }) {
				stems[i].supporters = nil
			}
		}
	}
	return nil
}

// has reports whether the contact is a supporter of the stem.
func (st *stem) has(c *contact) bool {
	_, found := slices.BinarySearchFunc(st.branch.Peers, c.entry.Addr, netip.Addr.Compare)
	return found
}

// stems returns the stems to extend.  Without a branch that has enough work all
// could matter; beside one, those of a quarter of its density, since anything
// below is never of the first class.
func (s *scan) stems() (stems []stem) {
	branches := s.store().Branches(s.o.Now().Unix())
	stems = s.contested(branches)
	best, thick := 0.0, false
	for _, b := range branches {
		if !b.Thin {
			thick = true
			if b.Fresh {
				best = max(best, b.Density)
			}
		}
	}
	slices.SortStableFunc(branches, func(a, b *branch.Branch) int {
		switch {
		case a.Fresh != b.Fresh: // old segments cost nothing to replay
			if a.Fresh {
				return -1
			}
			return 1
		case a.Density > b.Density:
			return -1
		case a.Density < b.Density:
			return 1
		}
		return 0
	})
	for _, b := range branches {
		if !b.Thin || thick && b.Density < best/4 || len(stems) == maxStems {
			continue
		}
		if slices.ContainsFunc(stems, func(st stem) bool { return st.branch.Root == b.Root }) {
			continue
		}
		if l := s.supporters(b, false); len(l) > 0 {
			stems = append(stems, stem{b, l})
		}
	}
	return stems
}

// contested returns the highest stems where several are of the first class.  Genuine
// trailers from right below the honest segment, with a tail of pseudoblocks up to the
// present, cost nothing, and only the rank would decide.  Such a tail takes longer
// than the honest blocks did, so the honest stem is higher, and a range below it shows
// where the other parts: then weight decides.
func (s *scan) contested(branches []*branch.Branch) (stems []stem) {
	var first []*branch.Branch
	for _, b := range branches {
		if b.FirstClass {
			first = append(first, b)
		}
	}
	slices.SortStableFunc(first, func(a, b *branch.Branch) int { return cmp.Compare(b.Height, a.Height) })
	var places []*branch.Branch
	for _, b := range first {
		if !slices.ContainsFunc(places, func(o *branch.Branch) bool { return o.Root == b.Root }) {
			places = append(places, b)
		}
	}
	if len(places) < 2 {
		return nil
	}
	for _, b := range places[:min(len(places), maxContested)] {
		if l := s.supporters(b, true); len(l) > 0 {
			stems = append(stems, stem{b, l})
		}
	}
	return stems
}

// supporters returns peers of a branch that can be asked for what is below it, in
// the order in which they were called, one of each group.  For a contested one these
// needn't be those that showed its lowest trailer, who could keep it from being
// followed.
func (s *scan) supporters(b *branch.Branch, contested bool) (l []*contact) {
	at := stem{branch: b}
	for _, c := range s.contacts {
		if len(l) == stemChoice {
			break
		}
		if !c.proven() || c.proof.First != b.First && !contested || !at.has(c) {
			continue
		}
		p := *c.proof
		p.Contested = contested
		if _, count := p.More(s.o.Proof); count == 0 {
			continue
		}
		if !slices.ContainsFunc(l, func(o *contact) bool { return o.entry.group == c.entry.group }) {
			c.proof.Contested = contested
			l = append(l, c)
		}
	}
	return l
}

// older asks each contact for the trailers below its segment, until calls ends, and
// judges them.  It returns the contacts whose proof has become longer.
func (s *scan) older(ctx, calls context.Context, asked []*contact) (longer []*contact, err error) {
	visits := make([]*visit, len(asked))
	ranges := make([]*older, len(asked))
	var wg sync.WaitGroup
	for i, c := range asked {
		wg.Go(func() { visits[i], ranges[i] = s.o.older(calls, c) })
	}
	wg.Wait()
	now := s.o.Now().Unix()
	var proofs []*proof.Proof
	were := make([]proof.Proof, len(asked))
	rests := make([]*exchange, len(asked)) // what a fault in the work rests on
	for i, c := range asked {
		s.mark(c)
		v, r := visits[i], ranges[i]
		c.calls += v.calls
		c.in, c.out, c.took = c.in+v.in, c.out+v.out, c.took+v.took
		for i := range v.faults {
			s.fell(c, &v.faults[i])
		}
		if r == nil {
			continue
		}
		s.received.add(r.trailers)
		were[i] = *c.proof
		if f := c.proof.Extend(r.trailers, s.o.Proof, now); f != nil {
			if f.Kind == fault.ForeignRange && r.asked.claim.Num < c.proof.Claim.Num {
				f.Kind = fault.BrokenLink // it doesn't state that tip any more
			}
			seen := fromFinding(f, r.asked)
			seen.trailer = trailerOf(f, r.trailers)
			c.wasted += len(r.trailers)
			s.fell(c, seen)
			continue
		}
		rests[i] = r.asked
		proofs = append(proofs, c.proof)
	}
	if err := s.judge.work(calls, proofs); err != nil {
		for i, c := range asked { // what was proven is so still
			if rests[i] != nil {
				*c.proof = were[i]
			}
		}
		if ctx.Err() == nil && calls.Err() != nil {
			return nil, nil
		}
		return nil, err
	}
	for i, c := range asked {
		if rests[i] == nil {
			continue
		}
		if f := c.proof.Finding; f != nil {
			c.wasted += len(c.proof.Trailers) - c.served
			seen := fromFinding(f, rests[i])
			seen.trailer = invalid(c.proof)
			s.fell(c, seen)
			continue
		}
		longer = append(longer, c)
	}
	return longer, nil
}

// fell takes in that an older range is not what it should be.  An objective fault
// undoes the proof.  Otherwise the peer's own segment stands as it stood.
func (s *scan) fell(c *contact, seen *observed) {
	c.faults = append(c.faults, *seen)
	if seen.kind.Class() == fault.Objective {
		c.refuse = seen
		c.drop()
		s.passed--
		return
	}
	c.proof.Finding = nil
	c.detail = "older trailers: " + seen.detail
}

// An older range is one that a peer was asked for.
type older struct {
	trailers []mcm.Trailer
	asked    *exchange
}

// older makes the call for what is below the contact's proof.
func (o *Options) older(ctx context.Context, c *contact) (v *visit, r *older) {
	v = &visit{}
	began := time.Now()
	first, count := c.proof.More(o.Proof)
	seen, _ := v.call(ctx, o, c.entry.Addr, wire.OpTF, func(call *peer.Call, x *exchange) error {
		next := c.proof.Trailers[0]
		x.first, x.count, x.next = first, count, &next
		ts, err := call.Trailers(ctx, first, count)
		if err == nil {
			r = &older{ts, x}
		}
		return err
	})
	v.took = time.Since(began)
	if seen != nil {
		v.faults = append(v.faults, *seen)
	}
	return v, r
}
