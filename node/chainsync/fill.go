package chainsync

import (
	"context"
	"errors"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
)

// How soon a download that has nothing yet asks another source for its first range,
// and one that was proven for a range with one that wasn't, as parts of
// Limits.FirstByte.  It asks for one range only until that has linked and was vetted,
// so that a chain without work costs no more, and shouldn't wait for the silent ones
// of a thousand supporters one after another.
const (
	firstStagger = 10
	lateStagger  = 5
)

// A probe is one request for a range that is under way.
type probe struct {
	source *source
	slot   *slot
	began  time.Time
	stop   func(error)
	reply  *reply // once it is over
}

// window returns how many ranges may be wanted at once.
func (d *download) window() int {
	unvetted, any, _ := d.worker.state()
	switch {
	case any || d.linked > 0 && unvetted == 0:
		return d.o.Limits.Flight - unvetted
	case unvetted > 0:
		return 0
	}
	return 1
}

// plan adds slots below the last one, as many as the window has.  Above the own chain
// all of it is wanted; below its tip the download looks a few blocks down first, and
// further with each range that has not met it.
func (d *download) plan() {
	window := d.window()
	tip, own := d.o.Chain.Tip()
	for len(d.slots) < window {
		above := d.low.Num()
		if n := len(d.slots); n > 0 {
			above = d.slots[n-1].first
		}
		if above <= d.bottom {
			return
		}
		last := above - 1
		count := min(d.o.Limits.Range, int(min(last-d.bottom, mcm.BlockNum(d.o.Limits.Range)))+1)
		first := d.aligned(last-mcm.BlockNum(count)+1, last)
		if own && last > d.distrust {
			if last <= tip.Num {
				below := 0
				for _, s := range d.slots {
					if s.last() <= tip.Num {
						below++
					}
				}
				if below >= d.depth {
					return
				}
			} else if near := tip.Num - min(tip.Num, mcm.ProofTrailers-1); first < near {
				first = near
			}
		}
		d.slots = append(d.slots, &slot{first: first, count: int(last-first) + 1})
	}
}

// fill asks sources for what is wanted.  next is when to look again at the latest,
// zero for when something happens; stuck says that nothing will.
func (d *download) fill() (next time.Time, stuck bool) {
	d.plan()
	now := time.Now()
	soon := func(t time.Time) {
		if next.IsZero() || t.Before(next) {
			next = t
		}
	}
	wanted, later := false, false
	for i, s := range d.slots {
		if s.reply != nil {
			continue
		}
		at, good := d.due(i, s, now)
		if good == nil && d.tested() {
			good = (*source).proven
		}
		if at.After(now) {
			soon(at)
			continue
		}
		src, wait := d.s.sched.take(d, good)
		switch {
		case src != nil:
			if len(s.tries) > 0 {
				d.o.Metrics.hedged.Inc()
			}
			d.ask(s, src)
			soon(now.Add(d.o.Limits.FirstByte / firstStagger))
		case len(s.tries) == 0:
			wanted = true
		case now.Sub(s.asked) < d.o.Limits.Complete:
			soon(s.asked.Add(d.o.Limits.Complete))
		}
		later = later || wait
		if wanted {
			break // no source for this one, none for those below it
		}
	}
	if !wanted && !later {
		d.s.sched.content(d)
	}
	_, rested := d.sources.count(now)
	if !rested.IsZero() {
		soon(rested)
	}
	return next, wanted && len(d.under) == 0 && !later && rested.IsZero()
}

// tested reports whether so many sources that have to show themselves are under way
// that any other one has to have shown itself: a thousand that are slow must not take
// up all that may be under way.
func (d *download) tested() bool {
	if d.linked == 0 {
		return false
	}
	n := 0
	for p := range d.under {
		if !p.source.proven() {
			n++
		}
	}
	return n >= max(1, d.o.Limits.Flight/2)
}

// due returns when to ask a source, or another one, for a slot, and how good that has
// to be.
func (d *download) due(i int, s *slot, now time.Time) (at time.Time, good func(*source) bool) {
	l := &d.o.Limits
	if len(s.tries) == 0 {
		return now, nil
	}
	switch {
	case d.linked == 0 && i == 0:
		return s.asked.Add(l.FirstByte / firstStagger), nil
	case len(s.tries) > 1:
		return now.Add(l.Complete), nil
	case !s.tries[0].source.proven() && now.Sub(s.asked) < l.Complete:
		// One that is known to serve doesn't stand idle beside one that isn't.
		return s.asked.Add(l.FirstByte / lateStagger), (*source).proven
	}
	return s.asked.Add(l.Complete), nil
}

// ask asks a source for a slot.
func (d *download) ask(s *slot, src *source) {
	ctx, stop := context.WithCancelCause(d.ctx)
	p := &probe{source: src, slot: s, began: time.Now(), stop: stop}
	s.tries = append(s.tries, p)
	d.under[p] = true
	s.asked = p.began
	first, count := s.first, s.count
	d.wg.Go(func() {
		defer stop(nil)
		p.reply = d.fetch(ctx, src, first, count)
		d.probes <- p // has room for all that may be under way
	})
}

// errSilent and errLate end a request that takes too long.
var (
	errSilent = errors.New("chainsync: no byte in time")
	errLate   = errors.New("chainsync: not complete in time")
)

// fetch makes one call for a range and judges what comes.
func (d *download) fetch(ctx context.Context, src *source, first mcm.BlockNum, count int) *reply {
	r := &reply{peer: src.Addr, source: src, first: first, count: count}
	_, r.pinned = d.byDigest(first)
	ctx, cancel := context.WithTimeoutCause(ctx, d.o.Limits.End, errLate)
	defer cancel()
	// The peer.Client ends a wait for the reply's first byte by itself.
	shake, done := context.WithTimeoutCause(ctx, d.o.Limits.FirstByte, errSilent)
	call, err := d.o.Client.Call(shake, src.Addr)
	done()
	if err == nil {
		r.claim = call.Claim()
		if d.elsewhere(r, src) {
			r.declined = true
			call.Close()
		} else {
			r.trailers, err = call.Trailers(ctx, first, count)
		}
	}
	r.heard(call)
	var f *fault.Fault
	switch {
	case err == nil && !r.declined && r.pinned:
		// The digest says all, once it can be told.
	case err == nil && !r.declined:
		r.judge(d.o.Known)
	case errors.Is(err, errLate):
		r.err = &fault.Fault{Kind: fault.TooSlow, Peer: src.Addr, Detail: "range", Err: err}
	case errors.Is(err, errSilent):
		r.err = &fault.Fault{Kind: fault.Timeout, Peer: src.Addr, Detail: "handshake", Err: err}
	case errors.As(err, &f) && f.Kind == fault.ShortReply && len(r.trailers) > 0 && !r.pinned:
		// Too few to use, and still what the peer has to answer for.
		r.judge(d.o.Known)
		r.err = err
	default:
		r.err = err
	}
	return r
}

// elsewhere notes whether the tip that a peer states now is on the branch, and reports
// whether it is of another one and lies below what was shown for the branch, so that
// its trailers would be others, too: that is no fault.  One that has changed branches
// further up has the same history.
func (d *download) elsewhere(r *reply, src *source) bool {
	n := r.claim.Num
	ts := d.b.Trailers
	switch first := ts[0].Num(); {
	case n > ts[len(ts)-1].Num():
		return false
	case n >= first:
		r.onBranch = *ts[n-first].Hash() == r.claim.Hash
		return false
	}
	d.mu.Lock()
	g := d.staging
	d.mu.Unlock()
	have, err := g.Trailers(n, 1)
	if err != nil || len(have) == 0 {
		return false
	}
	r.onBranch = *have[0].Hash() == r.claim.Hash
	return !r.onBranch && r.claim.Hash != src.Claim.Hash
}
