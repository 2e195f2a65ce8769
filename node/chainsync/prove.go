package chainsync

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"kigo/node/chain"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/wire"
)

// unworked returns the spans of a contender whose work is still to be proven before it
// can be the own chain, ascending.  What links to the floor from below can wait
// (docs/spec/sync.md section 8.3).
func (r *run) unworked(c *contender) []chain.Span {
	if c.g == nil {
		return nil
	}
	spans := c.g.Unworked()
	f := r.s.o.Floor
	if f == nil || f.Num < c.fork {
		return spans
	}
	var above []chain.Span
	for _, s := range spans {
		end := s.First + mcm.BlockNum(s.Count)
		if s.First <= f.Num {
			s.First = f.Num + 1
		}
		if s.First < end {
			above = append(above, chain.Span{First: s.First, Count: int(end - s.First)})
		}
	}
	return above
}

// proven reports whether nothing is left to be proven of a contender.
func (r *run) proven(c *contender) bool { return len(r.unworked(c)) == 0 }

// contenders returns those that there are, the own chain first.
func (r *run) contenders() (all []*contender) {
	if r.own != nil {
		all = append(all, r.own)
	}
	for _, p := range r.places {
		if p.state == exact || p.state == shelved {
			all = append(all, p.c)
		}
	}
	return all
}

// placeOf returns the place of a contender.
func (r *run) placeOf(c *contender) *place {
	i := slices.IndexFunc(r.places, func(p *place) bool { return p.c == c })
	return r.places[i]
}

// decide chooses among what there is, proves what would be chosen, and switches to it
// (docs/spec/sync.md sections 8.5, S4 and S6, and 8.6).  It returns false when
// something turned out to be invalid, or has to be fetched again, so that the choice
// is another one now.
func (r *run) decide(ctx context.Context) (done bool, err error) {
	if err := r.refresh(); err != nil {
		return false, err
	}
	top := best(r.contenders())
	if top == nil || top.own {
		return true, nil
	}
	if p := r.placeOf(top); p.state == shelved {
		p.state, p.c, p.wanted = pending, nil, true
		return false, nil
	}
	r.at("work")
	if again, err := r.sample(ctx); again || err != nil {
		return false, err
	}
	if again, err := r.prove(ctx, top); again || err != nil {
		return false, err
	}
	r.s.o.Hook(stepProven)
	if len(r.results) > 0 {
		return false, nil // another one may go before it by now
	}
	return r.change(ctx, top)
}

// sample has trailers drawn from all that could win and weren't checked, before any is
// checked in full.  again says that one of them was invalid.
func (r *run) sample(ctx context.Context) (again bool, err error) {
	n := r.s.o.Limits.Sampled
	for _, p := range r.places {
		c := p.c
		if p.state != exact || c.sampled > 0 || !r.beatsOwn(c) {
			continue
		}
		spans := r.unworked(c)
		count := 0
		for _, s := range spans {
			count += s.Count
		}
		if count <= n {
			continue // all of it is as quick
		}
		if err := r.s.workshop.sampled(ctx, c.g, spans, n); err != nil {
			return true, r.disproved(ctx, p, err)
		}
		c.sampled = n
		quick := Established(n)
		r.mu.Lock()
		r.quick = &quick
		r.mu.Unlock()
		r.s.o.Log.Info("sync: samples of a branch are in order", "bnum", c.num, "bhash", c.tip, "samples", n, "means", quick.Text)
		r.s.o.Hook(stepSampled)
	}
	return false, nil
}

// beatsOwn reports whether a contender would replace the own chain.
func (r *run) beatsOwn(c *contender) bool {
	return r.own == nil || best([]*contender{r.own, c}) == c
}

// prove has all work of top proven, lowest first.  Until what is proven of it outweighs
// all that the others can come to, the next best has its turns too.  again says that
// one of them was invalid.
func (r *run) prove(ctx context.Context, top *contender) (again bool, err error) {
	var second *contender
	if rest := slices.DeleteFunc(r.contenders(), func(c *contender) bool { return c == top || c.own || r.placeOf(c).state != exact }); len(rest) > 0 {
		second = best(rest)
	}
	var sure *prefix
	for {
		spans := r.unworked(top)
		if len(spans) == 0 {
			return false, nil
		}
		if again, err := r.step(ctx, top, spans[0]); again || err != nil {
			return again, err
		}
		if second == nil {
			continue
		}
		if sure == nil {
			if sure, err = newPrefix(top); err != nil {
				return false, err
			}
		}
		if spans = r.unworked(top); len(spans) == 0 {
			continue
		}
		if err := sure.grow(spans[0].First); err != nil {
			return false, err
		}
		if r.decided(top, sure) {
			second = nil
		} else if spans := r.unworked(second); len(spans) > 0 {
			if again, err := r.step(ctx, second, spans[0]); again || err != nil {
				return again, err
			}
		}
	}
}

// step has the next trailers of a contender proven.
func (r *run) step(ctx context.Context, c *contender, s chain.Span) (again bool, err error) {
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	s.Count = min(s.Count, r.s.workshop.batch())
	if err := r.s.workshop.verify(ctx, c.g, s); err != nil {
		return true, r.disproved(ctx, r.placeOf(c), err)
	}
	return false, nil
}

// A prefix is the lower part of a contender, with what it weighs.
type prefix struct {
	c            *contender
	end          mcm.BlockNum // the first block above it
	weight, work mcm.Weight   // of the chain below end
}

// newPrefix returns what is below the contender's fork.
func newPrefix(c *contender) (*prefix, error) {
	whole := &prefix{c: c, end: c.fork}
	if err := whole.grow(c.num + 1); err != nil {
		return nil, err
	}
	p := &prefix{c: c, end: c.fork}
	p.weight, _ = c.weight.Sub(whole.weight)
	p.work, _ = c.work.Sub(whole.work)
	return p, nil
}

// grow adds what is below block end.
func (p *prefix) grow(end mcm.BlockNum) error {
	for p.end < end {
		ts, err := p.c.read(p.end, int(min(end-p.end, wire.MaxTF)))
		if err != nil {
			return err
		}
		if len(ts) == 0 {
			return fmt.Errorf("chainsync: staging %s has no block %v", p.c.g.Name(), p.end)
		}
		weight, work := sums(ts)
		p.weight, _ = p.weight.Add(weight)
		p.work, _ = p.work.Add(work)
		p.end += mcm.BlockNum(len(ts))
	}
	return nil
}

// decided reports whether the part of top that is proven outweighs all others:
// L(top) > U(other) for each.
func (r *run) decided(top *contender, sure *prefix) bool {
	return !slices.ContainsFunc(r.contenders(), func(c *contender) bool {
		if c.old != top.old {
			return sure.work.Cmp(c.work) <= 0
		}
		return c != top && sure.weight.Cmp(c.reckoned()) <= 0
	})
}

// disproved takes over what ended a proof of work: an invalid trailer, which is the
// branch's fault, or our own failure.
func (r *run) disproved(ctx context.Context, p *place, err error) error {
	var invalid *invalidError
	if !errors.As(err, &invalid) {
		return err
	}
	id := proof.ID(&invalid.Trailer)
	for _, q := range r.places {
		if q != p && q.state == exact && q.c.g != nil {
			same, err := q.c.holds(invalid.at, id)
			if err != nil {
				return err
			}
			if same {
				if err := r.fell(q, &invalidError{Invalid: invalid.Invalid, at: invalid.at}, true); err != nil {
					return err
				}
			}
		}
	}
	return r.fell(p, invalid, true)
}

// holds reports whether the contender has that trailer.
func (c *contender) holds(n mcm.BlockNum, id mcm.Hash) (bool, error) {
	if n < c.fork || n > c.num {
		return false, nil
	}
	ts, err := c.read(n, 1)
	return err == nil && len(ts) == 1 && proof.ID(&ts[0]) == id, err
}

// A conviction is an invalid trailer of a place's branch.
type conviction struct {
	p *place
	e *invalidError
}

// fell gives up what follows from an invalid trailer.  What is below stays a contender,
// if it hangs on something known, with those who are on it.  Where late, nobody has
// been charged yet for what he sent of the rest.
func (r *run) fell(p *place, e *invalidError, late bool) error {
	defer func() { r.convict = append(r.convict, conviction{p, e}) }()
	if p.finding == nil {
		p.finding = &e.Finding
	}
	r.mu.Lock()
	p.c = nil
	r.mu.Unlock()
	r.s.o.Log.Warn("sync: a branch is invalid", "bnum", e.at, "rule", e.Finding.Rule, "detail", e.Finding.Detail, "tip", *p.tip().Hash(), "groups", p.groups)
	g := r.stagingOf(p)
	if g == nil {
		p.resolve(Invalid, "%v", &e.Finding)
		return nil
	}
	low, high, ok := g.Bounds()
	if !ok || e.at <= low || e.at > high {
		p.resolve(Invalid, "%v", &e.Finding)
		return r.drop(p)
	}
	if late {
		for who, n := range senders(g, e.at+1, high) {
			e.faults = append(e.faults, charge{Peer: who, Worthless: n})
		}
	}
	if err := g.CutAbove(e.at - 1); err != nil {
		return err
	}
	p.state = pending
	c, err := r.staged(p)
	if err != nil || c == nil {
		p.resolve(Invalid, "%v", &e.Finding)
		return errors.Join(err, r.drop(p))
	}
	c.trimmed = true
	return r.met(p, c)
}
