package node

import (
	"context"
	"math"
	"net/netip"
	"slices"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/scan"
	"kigo/node/wire"
)

// maxPolls is how many polls may be under way: one takes less than a poll's pause
// unless the peer is slow, and a slow peer holds up nobody.
const maxPolls = 4

// What came of a poll, the label of metrics.
const (
	pollKnown   = "known"   // the peer's tip is known
	pollNew     = "new"     // it isn't, and its proof goes to the judge
	pollRefused = "refused" // it isn't, and the peer didn't prove it
	pollSilent  = "silent"  // no handshake
	pollNobody  = "nobody"  // there is nobody to call
)

// poll calls one peer after another until ctx ends (docs/spec/sync.md section 8.9).
func (n *Node) poll(ctx context.Context) {
	tick := time.NewTicker(n.o.Times.Poll)
	defer tick.Stop()
	slots := make(chan struct{}, maxPolls)
	order := pollOrder{used: map[netip.Prefix]time.Time{}, called: map[netip.Addr]uint64{}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if _, have := n.own.Tip(); !have {
			continue // scans look for a first chain
		}
		select {
		case slots <- struct{}{}:
		default:
			continue
		}
		now := n.o.Now()
		l, ok := order.next(n.o.Scan.Book.Ranked(now, 0), now, n.o.Times.Unused)
		if !ok {
			n.o.Metrics.polls.WithLabelValues(pollNobody).Inc()
			<-slots
			continue
		}
		n.spawn(func(ctx context.Context) {
			defer func() { <-slots }()
			result := n.pollPeer(ctx, l.Addr, l.Group)
			if ctx.Err() != nil {
				return
			}
			n.o.Metrics.polls.WithLabelValues(result).Inc()
			n.mu.Lock()
			n.polls, n.lastPoll = n.polls+1, n.o.Now()
			n.mu.Unlock()
		})
	}
}

// pollPeer polls one peer.  One that may just be changing branches is asked a second
// time a little later.
func (n *Node) pollPeer(ctx context.Context, a netip.Addr, group netip.Prefix) (result string) {
	for again := false; ; again = true {
		v := n.visit(ctx, a, group)
		if ctx.Err() != nil {
			return pollSilent
		}
		if v.again && !again {
			select {
			case <-ctx.Done():
				return pollSilent
			case <-time.After(n.o.Times.Retry):
			}
			continue
		}
		now := n.o.Now()
		if kept := n.o.Scan.Book.Met(a, v.claim, false, now); kept && v.fault != nil {
			n.observe(v.fault, v.sighting, now)
		}
		if v.fault == nil && v.result == pollNew {
			n.inbox.add(v.sighting)
		}
		return v.result
	}
}

// A visit is what one call to a peer brought.
type visit struct {
	result   string
	claim    *wire.State // nil: no handshake
	sighting *sighting
	fault    *fault.Fault
	again    bool // asked again a little later, the peer may do better
}

// visit calls a peer.  If the handshake shows a tip that is known, the peer is asked
// for addresses, else for the proof of it, on the same connection.
func (n *Node) visit(ctx context.Context, a netip.Addr, group netip.Prefix) (v visit) {
	v.result = pollSilent
	c, err := n.o.Scan.Client.Call(ctx, a)
	if err != nil {
		v.sighting = &sighting{from: a, group: group, via: viaPoll, call: exchangeOf(c, wire.OpHello, 0, 0)}
		v.fault = asFault(err)
		return v
	}
	defer c.Close()
	claim := c.Claim()
	v.claim, v.result = &claim, pollRefused
	if t, known := n.knownTip(claim); known {
		v.result = pollKnown
		s := &sighting{from: a, group: group, via: viaPoll, claim: claim, trailers: []mcm.Trailer{t}, call: exchangeOf(c, wire.OpHello, 0, 0)}
		n.hear(s, n.o.Now())
		n.o.Metrics.got(s, gotKnown)
		v.fault = n.learn(ctx, c)
		return v
	}
	o := n.o.Scan.Proof
	first, count := proof.Want(claim, o)
	if f := proof.Free(claim, o, n.o.Now().Unix()); f != nil || count < 1 || first > math.MaxUint32 {
		v.fault = n.learn(ctx, c)
		return v
	}
	ts, err := c.Trailers(ctx, first, count)
	v.sighting = &sighting{from: a, group: group, via: viaPoll, claim: claim, trailers: ts, call: exchangeOf(c, wire.OpTF, first, count)}
	if err != nil {
		if v.fault = asFault(err); v.fault != nil {
			v.again = v.fault.Kind == fault.Refused || v.fault.Kind == fault.Reset
		}
		return v
	}
	if f := form(claim, ts, o); f != nil {
		v.fault, v.again = &fault.Fault{Kind: f.Kind, Peer: a, Detail: f.Detail}, true
		return v
	}
	v.result = pollNew
	return v
}

// knownTip returns the proven trailer that a peer says it has as its tip.
func (n *Node) knownTip(claim wire.State) (t mcm.Trailer, known bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s := n.sides.by[claim.Hash]; s != nil && s.t.Num() == claim.Num {
		return s.t, true
	}
	t, known = n.own.trailer(claim.Num)
	return t, known && *t.Hash() == claim.Hash
}

// learn asks for the peer's list and enters it in the book.
func (n *Node) learn(ctx context.Context, c *peer.Call) *fault.Fault {
	addrs, _, err := c.IPL(ctx)
	if err != nil {
		return asFault(err)
	}
	n.o.Scan.Book.Learn(c.Peer(), addrs, n.o.Now())
	return nil
}

// A pollOrder says who is polled next.  Of five polls one goes to a group that wasn't
// called for an hour, and one to those that have been good for the longest, so that
// nobody fills our view by having many addresses; the others go round the groups.  But
// for the first of these, those that answered within the hour go before others: most
// that were ever good may be gone.
type pollOrder struct {
	count  int
	last   netip.Prefix
	used   map[netip.Prefix]time.Time
	called map[netip.Addr]uint64 // by count, when it was called last
}

const (
	pollCycle  = 5
	pollTrusty = 8 // configured, then longest-standing
)

// next returns whom to poll, of those who may be called, the best first.
func (o *pollOrder) next(all []scan.Listed, now time.Time, unused time.Duration) (scan.Listed, bool) {
	groups := map[netip.Prefix]bool{}
	for i := range all {
		groups[all[i].Group] = true
	}
	for g, at := range o.used {
		if !groups[g] || now.Sub(at).Abs() > unused {
			delete(o.used, g)
		}
	}
	everybody := func(*scan.Listed) bool { return true }
	known := func(l *scan.Listed) bool { return l.Good || l.Configured }
	there := func(l *scan.Listed) bool { return known(l) && now.Sub(l.Contact).Abs() < unused }
	fresh := func(l *scan.Listed) bool { return o.used[l.Group].IsZero() }
	first := func(is func(*scan.Listed) bool) func(*scan.Listed) bool {
		left := pollTrusty
		return func(l *scan.Listed) bool {
			if left == 0 || !is(l) {
				return false
			}
			left--
			return true
		}
	}
	choices := []func(*scan.Listed) bool{there, known, everybody}
	o.count++
	switch o.count % pollCycle {
	case 1:
		choices = []func(*scan.Listed) bool{first(there), first(known), everybody}
	case 2:
		choices = slices.Insert(choices, 0, fresh)
	}
	var from []scan.Listed
	for _, is := range choices {
		if from = o.where(all, is); len(from) > 0 {
			break
		}
	}
	if len(from) == 0 {
		return scan.Listed{}, false
	}
	best := from[0]
	for _, l := range from[1:] {
		if a, b := o.used[l.Group], o.used[best.Group]; a.Before(b) || a.Equal(b) && o.called[l.Addr] < o.called[best.Addr] {
			best = l
		}
	}
	if len(o.called) > 2*len(all)+64 {
		clear(o.called)
	}
	o.last, o.used[best.Group], o.called[best.Addr] = best.Group, now, uint64(o.count)
	return best, true
}

// where returns those that are meant, of other groups than the last if there are such.
func (o *pollOrder) where(all []scan.Listed, is func(*scan.Listed) bool) (l []scan.Listed) {
	var same []scan.Listed
	for i := range all {
		switch {
		case !is(&all[i]):
		case all[i].Group == o.last:
			same = append(same, all[i])
		default:
			l = append(l, all[i])
		}
	}
	if len(l) == 0 {
		return same
	}
	return l
}
