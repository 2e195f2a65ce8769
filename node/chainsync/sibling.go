package chainsync

import (
	"context"
	"errors"
	"fmt"

	"kigo/node/chain"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/wire"
)

// Branches that part above the same history have the same trailers below.  What one
// of them has brought is taken over by the others, so that it is neither fetched nor
// checked twice.

// others returns the stagings that other branches of this run have.  What a download
// that is still under way has is settled only where it is proven.
func (s *scheduler) others(g *chain.Staging) (others []*chain.Staging, settled []bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for o, d := range s.stagings {
		if o != g {
			others = append(others, o)
			settled = append(settled, s.turns[d] == nil)
		}
	}
	return others, settled
}

// gather takes over what other branches have below the lowest trailer.
func (d *download) gather() error {
	if d.version {
		return nil
	}
	others, settled := d.s.sched.others(d.staging)
	for i, g := range others {
		d.s.sched.content(d) // it may take long
		taken, err := d.takeOver(g, settled[i])
		if errors.Is(err, errElsewhere) {
			d.o.Log.Debug("another branch's trailers not taken over", "name", g.Name(), "err", err)
			continue
		}
		if err != nil {
			return err
		}
		if taken {
			d.stopAll() // of what is further up now
			return d.look()
		}
	}
	return nil
}

// errElsewhere says that another branch's staging can't be read, for it was removed
// meanwhile.
var errElsewhere = errors.New("chainsync: the other staging can't be read")

// unshared returns those of ts, a range that links, that no other branch has brought;
// gather takes over the rest.
func (d *download) unshared(ts []mcm.Trailer) []mcm.Trailer {
	if d.version {
		return ts
	}
	others, settled := d.s.sched.others(d.staging)
	for i, g := range others {
		if len(ts) == 0 {
			break
		}
		n, ok, err := common(g, ts)
		if err == nil && ok && (settled[i] || isProven(g.Unworked(), n)) {
			ts = ts[n+1-ts[0].Num():]
		}
	}
	return ts
}

// takeOver copies what g has below the lowest trailer, if g has that one's parent: all
// of it if g is settled, else as far down as it is proven.
func (d *download) takeOver(g *chain.Staging, settled bool) (taken bool, err error) {
	low, _, ok := g.Bounds()
	n := d.low.Num()
	if !ok || low >= n {
		return false, nil
	}
	parent, err := g.Trailers(n-1, 1)
	if err != nil {
		return false, fmt.Errorf("%w: %w", errElsewhere, err)
	}
	if len(parent) == 0 || *parent[0].Hash() != *d.low.PrevHash() {
		return false, nil
	}
	// No reply has shown the two together, so nobody has looked yet.
	if f := proof.Against(&parent[0], &d.low); f != nil {
		switch {
		case d.pinned && n < mcm.V30Trigger: // the pin vouches for both
		case !d.pinned && n <= mcm.V30Trigger:
			return false, nil // the link doesn't say that this is the parent
		default:
			return false, d.lowest(&parent[0], f)
		}
	}
	for n > low {
		if d.ctx.Err() != nil {
			return taken, context.Cause(d.ctx)
		}
		count := min(int(n-low), wire.MaxTF)
		first := n - mcm.BlockNum(count)
		ts, err := g.Trailers(first, count)
		if err != nil || len(ts) != count {
			return taken, fmt.Errorf("%w: %d trailers, %w", errElsewhere, len(ts), err)
		}
		// One sender and one state at a time, downwards.
		unworked := g.Unworked()
		proven := isProven(unworked, n-1)
		from := g.Sender(n - 1)
		k := 1
		for k < count && g.Sender(n-1-mcm.BlockNum(k)) == from && isProven(unworked, n-1-mcm.BlockNum(k)) == proven {
			k++
		}
		if !proven && !settled {
			return taken, nil
		}
		ts = ts[count-k:]
		if err := d.anchors(ts); err != nil {
			return taken, err
		}
		if err := d.staging.Prepend(ts, from); err != nil {
			return taken, err
		}
		n -= mcm.BlockNum(k)
		if proven {
			if err := d.worked(n, k); err != nil {
				return taken, err
			}
		}
		d.low, taken = ts[0], true
	}
	return taken, nil
}

// isProven reports whether block n is in none of the spans.
func isProven(unworked []chain.Span, n mcm.BlockNum) bool {
	proven, _ := provenAt(unworked, n, n+1)
	return proven
}

// proven reports whether another branch of this run has the same trailers and their
// work is proven there.
func (s *scheduler) proven(g *chain.Staging, ts []mcm.Trailer) bool {
	others, _ := s.others(g)
	first, last := ts[0].Num(), ts[len(ts)-1].Num()
	for _, o := range others {
		low, high, ok := o.Bounds()
		if !ok || low > first || high < last {
			continue
		}
		// A hash fixes all that is below it from 0xa0700 on; so only the highest
		// needs to be the same.
		same, err := o.Trailers(last, 1)
		if err != nil || len(same) == 0 || same[0] != ts[len(ts)-1] || first < mcm.V30Trigger {
			continue
		}
		if ok, until := provenAt(o.Unworked(), first, last+1); ok && until > last {
			return true
		}
	}
	return false
}
