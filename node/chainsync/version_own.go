package chainsync

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"time"

	"kigo/node/chain"
	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/wire"
)

// lookAgain is how long a weight that was stated of the own chain's past isn't looked at
// again, and maxLooked how many such weights are looked at in that time.
const (
	lookAgain = time.Hour
	maxLooked = 64
)

// pasts looks at what those have who are on the own chain and state another weight: the
// own chain's history below version 3 may be the false one, of which no branch tells,
// for it parts from none (docs/spec/sync.md section 8.3).
func (r *run) pasts(ctx context.Context) error {
	o := &r.s.o
	tip, ok := o.Chain.Tip()
	if !ok || !o.Unpinned() || tip.Num < mcm.V30Trigger {
		return nil
	}
	b := &Branch{}
	var err error
	if b.Trailers, err = o.Chain.Trailers(tip.Num, 1); err != nil || len(b.Trailers) != 1 {
		return err
	}
	h := &heights{above: map[mcm.Hash]height{}}
	last, ok := o.Chain.At(mcm.V30Trigger - 1)
	if !ok {
		return nil
	}
	h.below = last.Weight
	if f := o.Floor; f != nil {
		if at, ok := o.Chain.At(f.Num); ok && f.Num >= mcm.V30Trigger {
			above, _ := at.Weight.Sub(h.below)
			want, _ := f.Weight.Sub(above)
			h.want = &want
		}
	}
	if h.right() {
		return nil
	}
	seen := map[netip.Addr]bool{}
	for _, p := range r.places {
		for i := range p.head.Supporters {
			by := &p.head.Supporters[i]
			at, ok := o.Chain.At(by.Claim.Num)
			if !ok || at.Hash != by.Claim.Hash || at.Num < mcm.V30Trigger || seen[by.Addr] {
				continue
			}
			seen[by.Addr] = true
			b.Supporters = append(b.Supporters, *by)
			ts, err := o.Chain.Trailers(at.Num, 1)
			if err != nil || len(ts) != 1 {
				return err
			}
			above, _ := at.Weight.Sub(h.below)
			h.above[at.Hash] = height{above, !rules.AddsWeight(&ts[0]), ts[0].WorkDifficulty()}
		}
	}
	looked, lied := r.s.recent(o.Now()), map[netip.Addr]bool{}
	var all hearings
	defer r.s.looked(&all)
	for !all.spent(int(mcm.V30Trigger-o.Base.Num)) && len(looked) < maxLooked {
		v := h.otherVoice(b.Supporters, looked, &all, func(by *Supporter) bool {
			return lied[by.Addr] || !o.Accounts.MayServe(by.Addr, o.Now())
		})
		if v == nil {
			return nil
		}
		taken := false
		done, liars, err := all.ask(v, func() (bool, []netip.Addr, error) {
			return r.s.compare(ctx, &all, b, v, h, false, o.Chain, o.Base.Num, func(sub *download) error {
				taken = true
				return r.takePast(sub)
			})
		})
		if done {
			looked[v.below] = true
		}
		if errors.Is(err, chain.ErrRoom) {
			return nil // another time
		}
		if taken || err != nil {
			return err
		}
		for _, a := range liars {
			lied[a] = true
		}
	}
	return nil
}

// takePast puts a version, all of which is proven, in the place of the own chain's past.
// What is above is the same.
func (r *run) takePast(sub *download) error {
	o, g := &r.s.o, sub.staging
	o.Switch.Lock()
	defer o.Switch.Unlock()
	from := sub.bottom
	was, ok := o.Chain.Tip()
	if !ok || !o.Chain.Has(mcm.V30Trigger, g.Tip()) || from > o.Base.Num && !o.Chain.Has(from-1, *sub.low.PrevHash()) {
		r.s.sched.drop(g)
		return g.Remove() // the own chain has changed: another time
	}
	first, last, pending := o.Chain.Pending()
	tip := was.Num
	if !pending || first > mcm.V30Trigger || last < mcm.V30Trigger {
		if err := g.Worked(mcm.V30Trigger, 1); err != nil {
			return err
		}
	}
	for n := mcm.V30Trigger + 1; n <= tip; {
		ts, err := o.Chain.Trailers(n, wire.MaxTF)
		if err != nil {
			return err
		}
		if len(ts) == 0 {
			break
		}
		if err := g.Append(ts, netip.Addr{}); err != nil {
			return err
		}
		for i := range ts {
			if at := ts[i].Num(); pending && at >= first && at <= last {
				ts = ts[:i]
				break
			}
		}
		if len(ts) > 0 {
			if err := g.Worked(n, len(ts)); err != nil {
				return err
			}
		}
		_, high, _ := g.Bounds()
		n = high + 1
	}
	o.Hook(stepSwitching)
	if err := o.Chain.Adopt(g); err != nil {
		return err
	}
	o.Hook(stepSwitched)
	r.s.sched.drop(g)
	depth := int(min(tip-from+1, math.MaxInt32))
	out := r.out
	if !out.Switched {
		out.From = was
	}
	out.Switched, out.Depth = true, depth
	out.To, _ = o.Chain.Tip()
	o.Metrics.switched(depth)
	r.alarm(DeepAlarm, "another history below version 3 has more worked weight: %d own blocks were replaced, from block %v on", depth, from)
	return r.refresh()
}

// recent returns the weights of old history that were looked at lately.
func (s *Syncer) recent(now time.Time) map[mcm.Weight]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := map[mcm.Weight]bool{}
	for w, at := range s.pasts {
		if now.Sub(at) >= lookAgain || at.After(now) {
			delete(s.pasts, w)
			continue
		}
		all[w] = true
	}
	return all
}

// looked notes which weights of old history were looked at, whatever has come of it:
// others have their turn first.
func (s *Syncer) looked(all *hearings) {
	now := s.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range all.of {
		s.pasts[w] = now
	}
}
