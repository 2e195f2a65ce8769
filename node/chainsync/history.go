package chainsync

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"time"

	"kigo/node/chain"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
)

// What follows is history before version 3 without a pin (docs/spec/sync.md section
// 8.3).  There a hash fixes nothing, so anybody can put another past under a genuine
// block 0xa0700, and ranges of several senders need not be of one chain.  So trailers
// are held against rules and work here before anything is decided by them, and what
// turns out to be wrong costs only what came below version 3.

// maxRetreats is how often a history is given up in part before there is none to have.
const maxRetreats = 64

// UnpinnedGroups is from how many groups the quorum has to come at least where nothing
// vouches for old history.
const UnpinnedGroups = 3

// Unpinned reports whether there is history below version 3 that no pin vouches for.
func (o *Options) Unpinned() bool { return o.Base.Num < mcm.V30Trigger && !o.pinned() }

// history obtains what is below block 0xa0700, with all of its work proven, and looks at
// other versions of it that peers state to have.  Errors are those of run.
func (d *download) history(ctx context.Context) error {
	began := time.Now()
	defer func() { d.o.Metrics.seconds.WithLabelValues(stageHistory).Add(time.Since(began).Seconds()) }()
	d.bottom, d.old = d.o.Base.Num, true
	d.met = meeting{}
	for range maxRetreats {
		err := d.past(ctx)
		if err == nil {
			err = d.versions(ctx)
		}
		var stuck *unavailableError
		var bad *invalidError
		switch {
		case errors.As(err, &bad) && bad.at < mcm.V30Trigger:
			err = d.disproved(bad)
		case errors.As(err, &stuck) && d.low.Num() < mcm.V30Trigger:
			err = d.deadEnd()
		case err == nil:
			return nil
		}
		if err != nil {
			return err
		}
	}
	return &unavailableError{at: d.low.Num() - 1, reasons: maps.Clone(d.reasons)}
}

// obtained walks down to something known, and waits until all that came is vetted.
func (d *download) obtained(ctx context.Context) error {
	defer d.stopAll()
	if err := d.obtain(ctx); err != nil {
		return err
	}
	return d.vetted()
}

// past walks down to something known and has all of the work proven on the way.
func (d *download) past(ctx context.Context) error {
	if err := d.obtained(ctx); err != nil {
		return err
	}
	if err := d.seam(); err != nil {
		return err
	}
	return d.proveOld(ctx)
}

// seam looks at the rules between the own chain and what is above it, which no single
// reply has shown.
func (d *download) seam() error {
	n := d.low.Num()
	if d.met.what != metOwn || n > mcm.V30Trigger {
		return nil
	}
	below, err := d.o.Chain.Trailers(n-1, 1)
	if err != nil || len(below) != 1 {
		return err // it has changed: the contender is looked at again
	}
	if f := proof.Against(&below[0], &d.low); f != nil && n < mcm.V30Trigger {
		d.met = meeting{}
		return newInvalid(&below[0], &d.low, f)
	}
	return nil
}

// proveOld has the work proven of what lies below version 3.
func (d *download) proveOld(ctx context.Context) error {
	shop := d.s.workshop
	var spans []chain.Span
	count := 0
	for _, s := range d.staging.Unworked() {
		if s.First >= mcm.V30Trigger {
			break
		}
		s.Count = min(s.Count, int(mcm.V30Trigger-s.First))
		spans = append(spans, s)
		count += s.Count
	}
	if n := d.o.Limits.Sampled; count > n {
		if err := shop.sampled(ctx, d.staging, spans, n); err != nil {
			return err
		}
	}
	for _, s := range spans {
		if err := shop.verify(ctx, d.staging, s); err != nil {
			return err
		}
	}
	return nil
}

// disproved gives up an invalid trailer below version 3 and what is below it, and
// charges who served it.  What is above doesn't follow from it.
func (d *download) disproved(bad *invalidError) error {
	from := d.staging.Sender(bad.at)
	for _, c := range bad.faults {
		d.suspect(bad.ID, bad.ID, d.sources.find(c.Peer), c)
	}
	return d.retreat(bad.at+1, from)
}

// deadEnd gives up the lowest range, below which nobody has anything that links.
func (d *download) deadEnd() error {
	low := d.low.Num()
	from := d.staging.Sender(low)
	n := low
	for n < mcm.V30Trigger && d.staging.Sender(n) == from && n-low < mcm.BlockNum(d.o.Limits.Range) {
		n++
	}
	if from.IsValid() {
		d.o.Accounts.Worthless(from, int(n-low), d.o.Now())
	}
	return d.retreat(n, from)
}

// retreat drops what is below block n, and asks others than from for it, those of
// other groups first.  Who had nothing that links may have what links now.
func (d *download) retreat(n mcm.BlockNum, from netip.Addr) error {
	d.stopAll()
	if err := d.settled(); err != nil {
		return err
	}
	d.o.Log.Info("sync: history is given up in part", "bnum", n, "peer", from)
	if err := d.staging.CutBelow(n); err != nil {
		return err
	}
	d.met = meeting{}
	d.low = d.staging.Low()
	d.sources.again(from)
	return nil
}

// settled waits until the worker has no trailers in hand, and gets another one if it has
// stopped.
func (d *download) settled() error {
	err := d.vetted()
	if _, bad := err.(*invalidError); !bad {
		return err
	}
	w := newWorker(d)
	d.worker = w
	d.wg.Go(func() { w.run(d.ctx) })
	return nil
}

// refuseOld takes in that a range is of no use below version 3.  One that only doesn't
// link says nothing of whether it or what is above it is right.
func (d *download) refuseOld(r *reply, f *proof.Finding, next *mcm.Trailer) {
	result, src := d.o.Metrics.ranges.WithLabelValues, r.source
	d.because(f.Kind, "")
	src.out = true
	if f.Kind != fault.InvalidTrailer {
		result(rangeForeign).Inc()
		return
	}
	result(rangeInvalid).Inc()
	src.lied = true
	id := d.learn(r, f)
	d.suspect(id, id, src, r.charge(fault.InvalidTrailer, f, next, d.o))
}

// wrapped returns what is wrong with a difficulty that no block can have.
func wrapped(ts []mcm.Trailer) *proof.Finding {
	for i := range ts {
		if t := &ts[i]; t.Num() < mcm.V30Trigger && t.Difficulty() > 255 {
			return &proof.Finding{Kind: fault.OtherBlock, Num: t.Num(), Index: i, Detail: "a difficulty above 255, which no block can have"}
		}
	}
	return nil
}
