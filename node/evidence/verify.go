package evidence

import (
	"context"
	"fmt"
	"math"
	"slices"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/verify"
)

// An Outcome is what repeating a judgement gave.
type Outcome struct {
	Confirmed bool           // the fault that is stated follows from the bytes
	Found     *proof.Finding // what the bytes show; nil when they show no fault
	Steps     []string       // what was looked at, in order, in words
}

func (o *Outcome) step(format string, args ...any) {
	o.Steps = append(o.Steps, fmt.Sprintf(format, args...))
}

// Verify repeats the judgement from the record alone.  The error says that v
// failed or ctx ended, and then nothing is confirmed nor refuted.
func (r *Record) Verify(ctx context.Context, v verify.Verifier) (*Outcome, error) {
	o := new(Outcome)
	if id := r.id().String(); id != r.ID {
		o.step("the record says it has id %s, its content has %s: it was altered", r.ID, id)
		return o, nil
	}
	if r.RuleSet != rules.Version {
		o.step("judged by rule set %d then, by %d now", r.RuleSet, rules.Version)
	}
	p := r.replay()
	o.Steps = append(o.Steps, p.steps...)
	if p.broken != "" {
		o.step("the packets are not what anybody received: %s", p.broken)
		return o, nil
	}
	var err error
	switch {
	case p.finding != nil:
		o.Found = p.finding
	case !p.whole:
		o.step("the answer is not complete, and was not judged further")
	case r.Kind == fault.InvalidTrailer, r.Kind == fault.ForeignRange:
		o.Found, err = r.judgeTrailers(ctx, v, p, o)
	case r.Kind == fault.FalseWeight:
		o.Found, err = r.judgeWeight(ctx, v, p, o)
	}
	if err != nil {
		return nil, err
	}
	r.compare(o)
	return o, nil
}

// compare holds what was found against what the record states.
func (r *Record) compare(o *Outcome) {
	f := o.Found
	switch {
	case f == nil:
		o.step("stated is %s, and nothing of the kind was found", r.Kind)
	case f.Kind != r.Kind:
		o.step("stated is %s, found is %s", r.Kind, f.Kind)
	case f.Rule != r.Rule:
		o.step("stated is a breach of %q, found one of %q", r.Rule, f.Rule)
	case f.Num != r.Num:
		o.step("stated is block %v, found is block %v", r.Num, f.Num)
	default:
		o.Confirmed = true
		o.step("confirmed: %v", f)
	}
}

// claimed reports whether the claim that a verdict rests on is in the packets.
func (r *Record) claimed(p *replayed, o *Outcome) bool {
	if slices.Contains(p.states, r.Claim) {
		o.step("the claim, block %v with hash %v, is in a packet", r.Claim.Num, r.Claim.Hash)
		return true
	}
	o.step("no packet makes the claim that the record states, block %v with hash %v", r.Claim.Num, r.Claim.Hash)
	return false
}

// judgeTrailers looks for an invalid trailer, or a link broken where none may be, in
// a reply to TF or in a found message.
func (r *Record) judgeTrailers(ctx context.Context, v verify.Verifier, p *replayed, o *Outcome) (*proof.Finding, error) {
	if len(p.trailers) == 0 {
		o.step("the packets hold no trailers")
		return nil, nil
	}
	if !r.claimed(p, o) {
		return nil, nil
	}
	var f *proof.Finding
	end := r.First + mcm.BlockNum(r.Count)
	switch first, count := proof.Want(r.Claim, r.Options); {
	case r.Next == nil && end <= r.Claim.Num || r.Next != nil && end == r.Next.Num():
		// A range below the claimed tip, or below what another call brought.
		if r.Next != nil {
			o.step("the trailer behind the range, block %v, is as the record has it", r.Next.Num())
		}
		f = proof.Range(r.Claim, p.trailers, r.Next, r.First, r.Count)
	case r.Next != nil:
		o.step("asked for %d trailers from block %v on, which do not end in front of block %v", r.Count, r.First, r.Next.Num())
		return nil, nil
	case first != r.First || count != r.Count:
		o.step("asked for %d trailers from block %v on, the proof of the claim is %d from %v on", r.Count, r.First, count, first)
		return nil, nil
	default:
		whole := proof.Proof{Claim: r.Claim, Trailers: p.trailers}
		f = whole.Structure(r.Options, r.Time.Unix())
	}
	if f != nil {
		o.step("rules: %v", f)
	} else {
		o.step("rules: none is broken")
	}
	if r.Kind == fault.ForeignRange || f != nil && f.Kind == fault.InvalidTrailer {
		return f, nil
	}
	// Work is a matter of the single trailer, whatever the rest is like.
	if r.Num < r.First || uint64(r.Num-r.First) >= uint64(len(p.trailers)) {
		o.step("block %v is not among the trailers", r.Num)
		return nil, nil
	}
	return r.judgeWork(ctx, v, p.trailers[r.Num-r.First:][:1], o)
}

// judgeWork checks the work of trailers and returns the finding of the first bad
// one.
func (r *Record) judgeWork(ctx context.Context, v verify.Verifier, ts []mcm.Trailer, o *Outcome) (*proof.Finding, error) {
	p := proof.Proof{Trailers: ts}
	checked, err := proof.Work(ctx, v, proof.NewKnownSet(nil, nil), []*proof.Proof{&p}, func(int) int { return 0 })
	if err != nil {
		return nil, fmt.Errorf("evidence %s: %w", r.ID, err)
	}
	if p.Finding != nil {
		o.step("proof of work: %v", p.Finding)
	} else {
		o.step("proof of work of %d trailers: right", checked)
	}
	return p.Finding, nil
}

// judgeWeight looks whether the weight that was stated can be that of the tip.
func (r *Record) judgeWeight(ctx context.Context, v verify.Verifier, p *replayed, o *Outcome) (*proof.Finding, error) {
	if !r.claimed(p, o) {
		return nil, nil
	}
	if r.Anchor == nil {
		o.step("no anchor, so no weight is known")
		return nil, nil
	}
	o.step("counted from block %v with hash %v and weight %v, which the record takes for granted", r.Anchor.Num, r.Anchor.Hash, r.Anchor.Weight)
	tip, ok := r.chain(o)
	if !ok {
		return nil, nil
	}
	if f, err := r.judgeWork(ctx, v, r.Chain, o); err != nil || f != nil {
		return nil, err // the chain is not what the record makes of it
	}
	exact := r.Anchor.Weight
	for i := range r.Chain {
		exact = rules.AddWeight(exact, &r.Chain[i])
	}
	// A node in front of a neogenesis block adds the block that has no weight of
	// its own (docs/spec/sync.md section 1.1).
	right := []mcm.Weight{exact}
	if t := tip; t != nil && !rules.AddsWeight(t) {
		right = append(right, exact.AddDifficulty(t.WorkDifficulty()))
	}
	if slices.Contains(right, r.Claim.Weight) {
		o.step("the stated weight is the right one")
		return nil, nil
	}
	return found(fault.FalseWeight, r.Claim.Num, -1, "stated weight %v, exact weight %v", r.Claim.Weight, exact), nil
}

// never is a clock that objects to no solve time: no fault rests on ours.
const never = math.MaxInt64

// chain checks that the trailers of a false weight lead from the anchor to the
// claimed tip, which it returns; nil when the anchor is the tip.
func (r *Record) chain(o *Outcome) (tip *mcm.Trailer, ok bool) {
	num, hash := r.Anchor.Num, r.Anchor.Hash
	for i := range r.Chain {
		t := &r.Chain[i]
		if t.Num() < mcm.V30Trigger {
			o.step("block %v is below version 3, where a hash fixes nothing", t.Num())
			return nil, false
		}
		if t.Num() != num+1 || *t.PrevHash() != hash {
			o.step("block %v does not follow block %v", t.Num(), num)
			return nil, false
		}
		err := rules.CheckPseudoRoot(t)
		if err == nil && i == 0 {
			err = rules.CheckFirst(t, never)
		} else if err == nil {
			err = rules.Check(tip, t, never)
		}
		if err != nil {
			o.step("the chain to the tip breaks a rule: %v", err)
			return nil, false
		}
		tip, num, hash = t, t.Num(), *t.Hash()
	}
	if num != r.Claim.Num || hash != r.Claim.Hash {
		o.step("the chain ends in block %v with hash %v, not in the claimed tip", num, hash)
		return nil, false
	}
	o.step("%d trailers above it, all by the rules, lead to the claimed tip", len(r.Chain))
	return tip, true
}
