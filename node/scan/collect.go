package scan

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
)

// Enough to end a scan early (docs/spec/sync.md section 8.6).
const (
	earlyPeers  = 32
	earlyGroups = 8
)

// A delay is a contact to come back to.
type delay struct {
	at      time.Time
	contact *contact
	recheck bool // the segment is there, our clock wasn't
}

// An event is news for the scan's goroutine: addresses named, a visit's end, or
// segments judged.
type event struct {
	contact *contact
	named   []netip.Addr
	visit   *visit
	judged  []*contact
	err     error // of the judge
}

// collect is pass 1: it visits peers and has their segments judged until
// nothing is left to do or a deadline ends it.  The error is ctx's or the
// verifier's.
func (s *scan) collect(ctx context.Context) (err error) {
	for _, k := range s.order.skip {
		s.contacts = append(s.contacts, &contact{entry: k.entry, skipped: k.why})
	}
	calls, hangUp := context.WithCancel(ctx)
	defer hangUp()
	s.judge = newJudge(s.o, s.known, s.events)
	work, drop := context.WithCancelCause(ctx)
	defer drop(nil)
	overdue := time.AfterFunc(s.left(), func() { drop(errOverdue) })
	defer overdue.Stop()
	var judge sync.WaitGroup
	judge.Go(func() { s.judge.run(work) })
	defer judge.Wait()
	defer s.judge.close()

	timer := time.NewTimer(0)
	defer timer.Stop()
	done := ctx.Done()
	for ending := false; ; {
		if !ending && s.over() {
			ending = true
			hangUp()
			overdue.Reset(min(s.o.Deadlines.Calm, s.left())) // for what has arrived
		}
		if !ending {
			s.dispatch(calls)
		}
		if s.calls == 0 && s.judging == 0 && (ending || !s.more()) {
			break
		}
		s.progress(false)
		timer.Reset(s.nap(ending))
		select {
		case e := <-s.events:
			if e.judged != nil && e.err == nil {
				s.batches++
			}
			// What the deadline leaves unjudged is no failure, unless nothing was
			// judged at all.
			late := errors.Is(e.err, errOverdue) && s.batches > 0
			if e.err != nil && err == nil && !late {
				err = e.err
				ending = true
				hangUp()
			}
			s.handle(e)
		case <-timer.C:
		case <-done:
			done, ending = nil, true
		}
	}
	s.visits.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// more reports whether anybody is still to be called.
func (s *scan) more() bool {
	return len(s.again) > 0 || len(s.due) > 0 || s.room() && s.order.waiting() > 0
}

// left returns how much longer the scan may last.
func (s *scan) left() time.Duration { return max(0, s.o.Deadlines.Hard-time.Since(s.began)) }

// room reports whether a peer more may be called in this scan.
func (s *scan) room() bool { return len(s.contacts)-len(s.order.skip) < s.o.MaxPeers }

// over reports whether the scan has enough or has lasted long enough.
func (s *scan) over() bool {
	now := time.Now()
	elapsed := now.Sub(s.began)
	switch {
	case elapsed >= s.o.Deadlines.Hard:
		return true
	case !s.follow:
		return false
	case len(s.order.known) == 0 && s.passed >= earlyPeers && len(s.groups) >= earlyGroups &&
		now.Sub(s.lastTip) >= s.o.Deadlines.Calm && !s.awaited():
		return true
	case elapsed >= s.o.Deadlines.Soft:
		// A look costs as much as the whole choice, seconds if thousands of peers
		// serve cheap work of their own.  So one a second will do, and a tenth of
		// the time.
		if !s.quorate && !now.Before(s.nextLook) {
			choice := s.store().Choose(s.o.Now().Unix(), s.o.Quorum)
			s.quorate = choice != nil && choice.Quorum
			s.nextLook = time.Now().Add(max(time.Second, 10*time.Since(now)))
		}
		return s.quorate
	}
	return false
}

// awaited reports whether a known peer is still to be heard.  Others that are
// quicker must not end the scan before.
func (s *scan) awaited() bool {
	return slices.ContainsFunc(s.contacts, func(c *contact) bool { return c.pending && c.entry.table != candidate })
}

// nap returns the time until something may have to be done without an event.
func (s *scan) nap(ending bool) time.Duration {
	now := time.Now()
	elapsed := now.Sub(s.began)
	nap := s.o.Deadlines.Hard
	sooner := func(d time.Duration) { nap = min(nap, max(d, 0)) }
	if len(s.changed) > 0 {
		sooner(s.shown.Add(progressPause).Sub(now))
	}
	if ending {
		return nap
	}
	sooner(s.o.Deadlines.Hard - elapsed)
	for _, d := range s.again {
		sooner(d.at.Sub(now))
	}
	if s.follow {
		if left := s.o.Deadlines.Soft - elapsed; left > 0 {
			sooner(left)
		} else {
			sooner(time.Second)
		}
		if left := s.o.Deadlines.Calm - now.Sub(s.lastTip); s.passed >= earlyPeers && left > 0 {
			sooner(left)
		}
	}
	return nap
}

// dispatch starts as many visits as may be under way at once.
func (s *scan) dispatch(ctx context.Context) {
	now := time.Now()
	s.again = slices.DeleteFunc(s.again, func(d delay) bool {
		if now.Before(d.at) {
			return false
		}
		if d.recheck {
			s.recheck(d.contact)
		} else {
			s.due = append(s.due, d.contact)
		}
		return true
	})
	free := func(g netip.Prefix) bool { return s.flying[g] < s.order.quota(g, s.o.PerGroup) }
	s.due = slices.DeleteFunc(s.due, func(c *contact) bool {
		if s.calls >= s.o.Parallel || !free(c.entry.group) {
			return false
		}
		s.call(ctx, c)
		return true
	})
	for s.calls < s.o.Parallel && s.room() && !s.stuck {
		e, ok := s.order.next(free)
		if !ok {
			s.stuck = true
			return
		}
		c := &contact{entry: e}
		s.contacts = append(s.contacts, c)
		s.call(ctx, c)
	}
}

// call visits a peer in a goroutine of its own.
func (s *scan) call(ctx context.Context, c *contact) {
	s.calls++
	s.flying[c.entry.group]++
	first := c.tries == 0
	c.tries++
	c.pending = true
	s.mark(c)
	s.visits.Go(func() {
		v := s.o.visit(ctx, c.entry.Addr, first, func(addrs []netip.Addr) {
			s.events <- event{contact: c, named: addrs}
		})
		s.events <- event{contact: c, visit: v}
	})
}

// handle takes an event in.
func (s *scan) handle(e event) {
	switch {
	case e.visit != nil:
		s.visited(e.contact, e.visit)
	case e.judged != nil:
		for _, c := range e.judged {
			s.judging--
			s.judged(c)
		}
	case s.follow:
		s.stuck = false
		s.order.learn(e.contact.entry.Addr, e.named, s.o.Now())
	}
}

// visited takes in what a visit brought.
func (s *scan) visited(c *contact, v *visit) {
	s.calls--
	s.stuck = false
	if s.flying[c.entry.group]--; s.flying[c.entry.group] == 0 {
		delete(s.flying, c.entry.group)
	}
	s.mark(c)
	if v.reached && !c.reached {
		s.reached++
	}
	c.add(v)
	if v.proof != nil {
		s.received.add(v.proof.Trailers)
	}
	if c.refuse != nil && c.refuse.kind == fault.Early && c.proof != nil {
		c.ahead = lead(c.proof, s.o.Now())
	}
	wait := c.ahead - mcm.ClockLead*time.Second
	switch {
	case v.cut:
		c.pending = false
	case c.refuse == nil:
		s.submit(c)
	case c.refuse.trailer != nil:
		s.submit(c) // nothing to judge, but to remember
	case c.tries == 1 && c.refuse.again:
		c.drop()
		s.again = append(s.again, delay{at: time.Now().Add(s.o.Deadlines.Retry), contact: c})
	case c.ahead != 0 && wait < s.o.Deadlines.Retry:
		// In time a moment later, most likely a block just found.
		s.again = append(s.again, delay{at: time.Now().Add(max(wait, 0)), contact: c, recheck: true})
	default:
		c.pending = false
		c.drop()
	}
}

// recheck tests a segment again that our clock was behind.
func (s *scan) recheck(c *contact) {
	if c.proof.Structure(s.o.Proof, s.o.Now().Unix()) != nil {
		c.pending = false
		s.mark(c)
		return
	}
	c.refuse = nil
	c.faults = slices.DeleteFunc(c.faults, func(f observed) bool { return f.kind == fault.Early })
	s.submit(c)
}

// submit hands a contact's segment to the judge.
func (s *scan) submit(c *contact) {
	s.judging++
	s.judge.add(c)
}

// judged takes in what the judge found.
func (s *scan) judged(c *contact) {
	s.mark(c)
	c.pending = false
	p := c.proof
	switch {
	case c.refuse != nil: // before it came to work
		c.drop()
	case p.Finding != nil:
		c.refuse = fromFinding(p.Finding, c.asked)
		c.refuse.trailer = invalid(p)
		c.faults = append(c.faults, *c.refuse)
		c.drop()
	case p.Done:
		// Only a false weight may still rest on the call, and that is stated in
		// the HELLO_ACK.
		c.asked.packets = slices.Clone(c.asked.packets[:1])
		s.passed++
		s.groups[c.entry.group] = true
		if tip := *p.Tip().Hash(); !s.tips[tip] {
			s.tips[tip] = true
			s.lastTip = time.Now()
		}
	}
}

// lead returns how far a segment's tip is ahead of the clock.
func lead(p *proof.Proof, now time.Time) time.Duration {
	return time.Unix(int64(p.Tip().SolveTime()), 0).Sub(now)
}

// decided returns how many of the peers called are through.
func (s *scan) decided() (n int) {
	for _, c := range s.contacts[len(s.order.skip):] {
		if !c.pending {
			n++
		}
	}
	return n
}
