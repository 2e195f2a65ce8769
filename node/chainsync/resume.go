package chainsync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"

	"kigo/node/chain"
	"kigo/node/mcm"
	"kigo/node/wire"
)

// maxBranches is how many branches there are stagings of.  The chain has room for more,
// so that a download can have another beside its own whatever the others do.
const maxBranches = 4

// stage takes the staging that an earlier run has left of the branch whose known end
// is ts, or a new one, and has it end with ts.
func (d *download) stage(ts []mcm.Trailer) error {
	tip := *ts[len(ts)-1].Hash()
	name := hex.EncodeToString(tip[:])
	all, err := d.o.Chain.Stagings()
	if err != nil {
		return err
	}
	for _, g := range all {
		if !d.s.sched.seize(g) {
			continue // another branch of this run has it, whatever its name
		}
		n, ok, err := common(g, ts)
		if err != nil {
			return err
		}
		if !ok {
			d.s.sched.drop(g)
			d.earlier = append(d.earlier, g)
			continue
		}
		d.s.sched.hold(d, g)
		d.staging = g
		return d.goOn(n, ts)
	}
	if len(all) >= maxBranches {
		return chain.ErrRoom
	}
	for slices.ContainsFunc(all, func(g *chain.Staging) bool { return g.Name() == name }) {
		sum := sha256.Sum256([]byte(name)) // one of that name has come to be another branch's
		name = hex.EncodeToString(sum[:])
	}
	g, err := d.o.Chain.Stage(name)
	if err != nil {
		return err
	}
	d.s.sched.hold(d, g)
	d.staging = g
	return d.append(ts)
}

// goOn has an earlier staging, which shares block n with ts, end with ts.
func (d *download) goOn(n mcm.BlockNum, ts []mcm.Trailer) error {
	d.tellEarlier(d.staging)
	if _, high, _ := d.staging.Bounds(); n < high {
		if err := d.staging.CutAbove(n); err != nil {
			return err
		}
	}
	if err := d.append(ts[n+1-ts[0].Num():]); err != nil {
		return err
	}
	return d.trim()
}

// maxTold bounds the spans in a line of the log.
const maxTold = 100

// tellEarlier logs what an earlier run has left, as it left it.
func (d *download) tellEarlier(g *chain.Staging) {
	low, high, ok := g.Bounds()
	if !ok {
		return
	}
	unproven, first := g.Unworked(), g.Low()
	d.o.Log.Info("going on with what an earlier run has left", "low", low, "low_hash", *first.Hash(), "high", high, "tip", g.Tip(),
		"unproven_spans", len(unproven), "unproven", unproven[:min(len(unproven), maxTold)])
}

// append adds trailers of which the work is proven, since they were shown for the
// tip.
func (d *download) append(ts []mcm.Trailer) error {
	for len(ts) > 0 {
		n := min(len(ts), wire.MaxTF)
		if err := d.staging.Append(ts[:n], netip.Addr{}); err != nil {
			return err
		}
		if err := d.staging.Worked(ts[0].Num(), n); err != nil {
			return err
		}
		ts = ts[n:]
	}
	return nil
}

// trim drops from the staging what is on the own chain by now.
func (d *download) trim() error {
	low, high, _ := d.staging.Bounds()
	from, to := low, high+1
	for from < to { // on the own chain below from, not from to on
		mid := from + (to-from)/2
		ts, err := d.staging.Trailers(mid, 1)
		if err != nil {
			return err
		}
		if len(ts) == 1 && d.onOwn(mid, *ts[0].Hash()) {
			from = mid + 1
		} else {
			to = mid
		}
	}
	if from == low {
		return nil
	}
	return d.staging.CutBelow(from)
}

// common returns the highest block that a staging and ts share, if there is one.
func common(g *chain.Staging, ts []mcm.Trailer) (n mcm.BlockNum, ok bool, err error) {
	low, high, any := g.Bounds()
	first, last := ts[0].Num(), ts[len(ts)-1].Num()
	if !any || high < first || low > last {
		return 0, false, nil
	}
	from := max(low, first)
	theirs, err := g.Trailers(from, int(min(high, last)-from)+1)
	if err != nil {
		return 0, false, err
	}
	for i := len(theirs) - 1; i >= 0; i-- {
		if n := from + mcm.BlockNum(i); theirs[i] == ts[n-first] {
			return n, true, nil
		}
	}
	return 0, false, nil
}

// meetEarlier looks whether the range that has just linked comes upon what an earlier
// run has left.  If so the two become one, and the walk goes on at its low end.
func (d *download) meetEarlier(ts []mcm.Trailer) error {
	for i := 0; i < len(d.earlier); i++ {
		g := d.earlier[i]
		if !d.s.sched.seize(g) {
			continue
		}
		n, ok, err := common(g, ts)
		if err != nil { // another branch made room for itself, or it is damaged
			d.o.Log.Warn("staging not gone on with", "name", g.Name(), "err", err)
			d.s.sched.drop(g)
			d.earlier = slices.Delete(d.earlier, i, i+1)
			i--
			continue
		}
		if !ok {
			d.s.sched.drop(g)
			continue
		}
		d.earlier = slices.Delete(d.earlier, i, i+1)
		// What is under way to be checked belongs to the staging that is given up.
		d.stopAll()
		if err := d.vetted(); err != nil {
			d.s.sched.drop(g)
			return err
		}
		if err := d.merge(g, n); err != nil {
			if d.staging != g {
				d.s.sched.drop(g)
			}
			return err
		}
		return nil
	}
	return nil
}

// merge moves what the download has above block n, which g has too, to g, and takes g
// in place of its own staging.
func (d *download) merge(g *chain.Staging, n mcm.BlockNum) error {
	old := d.staging
	d.tellEarlier(g)
	if _, high, _ := g.Bounds(); n < high {
		if err := g.CutAbove(n); err != nil {
			return err
		}
	}
	_, high, _ := old.Bounds()
	unworked := old.Unworked()
	for at := n + 1; at <= high; {
		if d.ctx.Err() != nil {
			return context.Cause(d.ctx)
		}
		ts, err := old.Trailers(at, min(int(high-at)+1, wire.MaxTF))
		if err != nil {
			return err
		}
		if len(ts) == 0 {
			return fmt.Errorf("chainsync: staging %s ends below block %v, expected %v", old.Name(), at, high)
		}
		// One sender and one state at a time.
		from := old.Sender(at)
		proven, until := provenAt(unworked, at, high+1)
		k := 1
		for k < len(ts) && at+mcm.BlockNum(k) < until && old.Sender(at+mcm.BlockNum(k)) == from {
			k++
		}
		if err := g.Append(ts[:k], from); err != nil {
			return err
		}
		if proven {
			if err := g.Worked(at, k); err != nil {
				return err
			}
		}
		at += mcm.BlockNum(k)
	}
	d.mu.Lock()
	d.staging = g
	d.mu.Unlock()
	d.s.sched.hold(d, g)
	d.s.sched.drop(old)
	if err := old.Remove(); err != nil {
		return err
	}
	if err := d.trim(); err != nil {
		return err
	}
	if err := d.recheck(); err != nil {
		return err
	}
	d.low = g.Low()
	return nil
}

// provenAt reports whether block n is in none of the spans, and until where that
// holds, at most up to end.
func provenAt(unworked []chain.Span, n, end mcm.BlockNum) (proven bool, until mcm.BlockNum) {
	for _, s := range unworked {
		switch past := s.First + mcm.BlockNum(s.Count); {
		case n < s.First:
			return true, min(s.First, end)
		case n < past:
			return false, min(past, end)
		}
	}
	return true, end
}
