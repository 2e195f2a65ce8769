package chainsync

import (
	"errors"
	"fmt"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
)

// finish notes that a request is over, whatever came of it.
func (d *download) finish(p *probe) {
	d.s.sched.release(p.source)
	delete(d.under, p)
	s := p.slot
	for i, q := range s.tries {
		if q == p {
			s.tries = append(s.tries[:i:i], s.tries[i+1:]...)
			break
		}
	}
	d.o.Metrics.bytes.Add(float64(p.reply.bytes))
	d.s.received(p.reply.bytes)
}

// over takes in what a request has brought.  The error is one of run.
func (d *download) over(p *probe) error {
	d.finish(p)
	r, src, s := p.reply, p.source, p.slot
	r.slow = time.Since(p.began) >= d.o.Limits.Complete
	if len(r.trailers) > 0 {
		d.s.served(d.b)
	}
	result := d.o.Metrics.ranges.WithLabelValues
	wanted := s.reply == nil && d.has(s)
	if r.pinned && r.err == nil && !r.declined && d.ctx.Err() == nil {
		if ok, err := d.agrees(r); err != nil || !ok {
			return err
		}
	}
	switch {
	case d.ctx.Err() != nil:
		return nil
	case d.old && r.finding != nil:
		d.refuseOld(r, r.finding, nil)
	case r.declined:
		result(rangeDeclined).Inc()
		d.because(fault.OtherBlock, "")
		src.out = true
	case errors.Is(r.err, errHedged):
		result(rangeUseless).Inc()
		switch took := time.Since(p.began); {
		case took >= d.o.Limits.Complete:
			d.sources.failed(src, fault.Timeout, time.Now(), d.o.Limits.FirstByte)
		case took >= d.o.Limits.FirstByte/lateStagger:
			src.failures++ // others come first from now on
		}
	case r.err != nil && (r.finding == nil || r.finding.Kind != fault.InvalidTrailer):
		d.broke(r, src)
	case r.finding != nil && r.finding.Kind != fault.InvalidTrailer:
		result(rangeForeign).Inc()
		d.refuse(r, src, r.link(r.finding), nil)
	case r.finding != nil && !d.has(s):
		// Another source has served the range, so the invalid trailer is not of the
		// branch.
		result(rangeInvalid).Inc()
		d.refuse(r, src, fault.InvalidTrailer, nil)
	case !wanted:
		result(rangeUseless).Inc()
	default:
		// Whether it links, or whether an invalid trailer is on the branch, shows when
		// the range above has come.
		s.reply = r
	}
	return d.advance()
}

// has reports whether a slot is still wanted.
func (d *download) has(s *slot) bool {
	for _, t := range d.slots {
		if t == s {
			return true
		}
	}
	return false
}

// broke takes in that a source has not answered as it should.
func (d *download) broke(r *reply, src *source) {
	var f *fault.Fault
	if !errors.As(r.err, &f) {
		// Ours, such as no file descriptors left: nobody is charged.
		d.o.Log.Warn("peer not called", "peer", src.Addr, "err", r.err)
		d.o.Metrics.ranges.WithLabelValues(rangeFailed).Inc()
		d.because("", "our own failure")
		d.sources.failed(src, "", time.Now(), d.o.Limits.FirstByte)
		return
	}
	result := rangeFailed
	switch {
	case f.Kind == fault.ShortReply:
		result = rangeShort
	case f.Kind.Class() == fault.Objective:
		result = rangeInvalid
		src.lied = true
	}
	d.o.Metrics.ranges.WithLabelValues(result).Inc()
	d.o.Log.Debug("range not obtained", "peer", src.Addr, "bnum", r.first, "kind", f.Kind, "err", f)
	d.because(f.Kind, "")
	if f.Kind.Class() != fault.None {
		d.observe(charge{Peer: src.Addr, Fault: f, Evidence: r.evidence(f.Kind, nil, nil, d.o)})
	}
	d.sources.failed(src, f.Kind, time.Now(), d.o.Limits.FirstByte)
}

// refuse takes in that a range is not the branch's, and charges the source for what it
// has to answer for: a kind that is empty costs its group the trailers, and that only
// if it has stated a tip of the branch.
func (d *download) refuse(r *reply, src *source, kind fault.Kind, next *mcm.Trailer) {
	f := r.finding
	d.learn(r, f)
	src.foreign = true
	d.o.Log.Debug("range not obtained", "peer", src.Addr, "bnum", r.first, "kind", f.Kind, "err", f)
	c := r.charge(kind, f, next, d.o)
	d.because(f.Kind, "")
	if kind == "" && !r.onBranch {
		c.Worthless = 0
	}
	d.observe(c)
	if kind == "" {
		kind = fault.OtherBlock
	}
	d.sources.failed(src, kind, time.Now(), d.o.Limits.FirstByte)
}

// learn remembers the invalid trailer of a range, if that is what is wrong with it, and
// returns its id.
func (d *download) learn(r *reply, f *proof.Finding) (id mcm.Hash) {
	if f.Kind == fault.InvalidTrailer && f.Index >= 0 && f.Index < len(r.trailers) {
		t := &r.trailers[f.Index]
		var parent *mcm.Trailer
		if f.Index > 0 && *r.trailers[f.Index-1].Hash() == *t.PrevHash() {
			parent = &r.trailers[f.Index-1]
		}
		id = proof.Key(parent, t)
		d.o.Known.Learn(t, id, f)
	}
	return id
}

// advance links what can be linked.
func (d *download) advance() error {
	for len(d.slots) > 0 && d.slots[0].reply != nil {
		if err := d.link(d.slots[0]); err != nil || d.met.what != "" {
			return err
		}
	}
	return nil
}

// link holds the range of the first slot against the lowest trailer, and goes on below
// it if it links.
func (d *download) link(s *slot) error {
	r := s.reply
	next := d.low
	how, f, parent, t := r.fit(&next)
	result := d.o.Metrics.ranges.WithLabelValues
	if d.old {
		if how == fits && d.anchors(r.trailers) != nil {
			f = &proof.Finding{Kind: fault.OtherBlock, Num: r.first, Index: -1, Detail: "lacks a block that every chain has"}
			how = foreign
		}
		if how != fits {
			// Which of the two is wrong where they don't fit together isn't known.
			s.reply = nil
			d.refuseOld(r, &proof.Finding{Kind: fault.OtherBlock, Num: f.Num, Index: -1, Detail: f.Error()}, &next)
			return nil
		}
	}
	switch how {
	case fits:
		if r.pinned {
			if err := d.continues(r.trailers, &next); err != nil {
				return err
			}
		}
		result(rangeLinked).Inc()
		return d.take(s, r, &next)
	case invalid:
		result(rangeInvalid).Inc()
		if t == &next {
			return d.lowest(parent, f)
		}
		e := newInvalid(parent, t, f)
		d.o.Known.Learn(t, e.ID, f)
		e.faults = append(e.faults, r.charge(fault.InvalidTrailer, f, &next, d.o))
		return e
	}
	s.reply = nil
	r.finding = f
	if how == alone {
		result(rangeInvalid).Inc()
		d.refuse(r, r.source, fault.InvalidTrailer, &next)
		return nil
	}
	result(rangeForeign).Inc()
	d.refuse(r, r.source, r.link(f), &next)
	return nil
}

// lowest returns the error for the lowest trailer, which is invalid on its parent.  Who
// served that did nothing wrong.
func (d *download) lowest(parent *mcm.Trailer, f *proof.Finding) *invalidError {
	e := newInvalid(parent, &d.low, f)
	d.o.Known.Learn(&d.low, e.ID, f)
	if from := d.staging.Sender(d.low.Num()); from.IsValid() {
		e.faults = append(e.faults, charge{
			Peer: from, Worthless: 1,
			Fault: &fault.Fault{Kind: fault.InvalidTrailer, Peer: from, Detail: fmt.Sprintf("found below it: %v", f)},
		})
	}
	return e
}

// take puts a range that links below what there is.
func (d *download) take(s *slot, r *reply, next *mcm.Trailer) error {
	for _, p := range s.tries {
		p.stop(errHedged)
	}
	d.slots = d.slots[1:]
	d.sources.delivered(r.source, r.slow)
	now := d.o.Now()
	d.o.Accounts.Delivered(r.peer, now)
	if err := d.anchors(r.trailers); err != nil {
		return err
	}
	ts := r.trailers[d.above(r.trailers):]
	if len(ts) == 0 { // the own chain has grown meanwhile
		d.met = meeting{metOwn, next.Num() - 1}
		return nil
	}
	d.linked++
	if ts = d.unshared(ts); len(ts) == 0 {
		return d.gather()
	}
	if err := d.staging.Prepend(ts, r.peer); err != nil {
		return err
	}
	d.low = ts[0]
	d.o.Metrics.trailers.Add(float64(len(ts)))
	d.s.linked(len(ts))
	d.served = append(d.served, served{r.peer, ts[0].Num(), len(ts)})
	if tip, ok := d.o.Chain.Tip(); ok && r.last() <= tip.Num {
		d.depth = min(2*d.depth, d.o.Limits.Flight)
	}
	vouched := r.pinned
	var err error
	if !vouched {
		if vouched, err = d.vouched(ts); err != nil {
			return err
		}
	}
	if vouched {
		err = d.worked(ts[0].Num(), len(ts))
	} else if floor := d.o.Floor; d.old || floor == nil || ts[len(ts)-1].Num() > floor.Num {
		// Below the floor links fix everything, and work holds nothing up.
		d.worker.feed(job{reply: r, trailers: ts, next: *next})
	}
	if err != nil {
		return err
	}
	if err := d.look(); err != nil || d.met.what != "" {
		return err
	}
	if err := d.meetEarlier(ts); err != nil {
		return err
	}
	return d.gather()
}
