package node

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/wire"
)

// Bounds of what is fetched below side branches that don't meet the own chain.
const (
	maxFetches   = 8 // at once, and one of each group
	maxRoots     = 1024
	fetchPause   = 30 * time.Second // after a failure, doubled each time
	fetchTries   = 4
	densityShare = 16 // below one in so many of the own tip's density a branch is left to the next scan
)

// A root is the lowest trailer of a side branch below which somebody was asked.
type root struct {
	busy   bool
	group  netip.Prefix // of who is being asked
	tried  map[netip.Addr]bool
	until  time.Time // when somebody may be asked again
	failed int
}

// unmet sees to a branch of which it isn't known where it leaves the own chain: the
// range below it is fetched, or, if that is known already, the whole of it is left to a
// sync.  The caller holds n.mu.
func (n *Node) unmet(p *path) (result string) {
	if _, have := n.own.Tip(); !have {
		return gotUnmet // scans look for a first chain
	}
	worked := 0
	for i := range p.trailers {
		if proof.IsWorked(&p.trailers[i]) {
			worked++
		}
	}
	end := p.trailers[max(0, len(p.trailers)-proof.Segment):]
	if worked < proof.MinWorked || density(end)*densityShare < density(n.own.last(proof.Segment)) {
		return gotThin
	}
	now := n.o.Now()
	if n.fixedAbove(p) {
		return gotRefused
	}
	if _, handed := n.deep[*p.root().Hash()]; handed {
		return gotUnmet // a sync sees to it
	}
	if len(p.trailers) >= proof.MaxExtension || p.root().Num() <= n.o.base() {
		if len(n.deep) < maxRoots {
			n.deep[*p.root().Hash()] = time.Time{}
			poke(n.news)
		}
		return gotUnmet
	}
	r := n.roots[*p.root().Hash()]
	if r == nil {
		n.expireRoots(now)
		if len(n.roots) >= maxRoots {
			return gotUnmet
		}
		r = &root{tried: map[netip.Addr]bool{}}
		n.roots[*p.root().Hash()] = r
	}
	if r.busy || now.Before(r.until) || r.failed >= fetchTries {
		return gotUnmet
	}
	busy := map[netip.Prefix]bool{}
	for _, o := range n.roots {
		if o.busy {
			busy[o.group] = true
		}
	}
	if len(busy) >= maxFetches {
		return gotUnmet
	}
	since := now.Add(-n.o.Times.Voice)
	for _, v := range n.voices {
		if busy[v.group] || r.tried[v.addr] || v.at.Before(since) || !p.contains(v.claim.Num, v.claim.Hash) || !n.o.Scan.Book.MayServe(v.addr, now) {
			continue
		}
		r.busy, r.group, r.tried[v.addr] = true, v.group, true
		n.spawn(func(ctx context.Context) { n.fetch(ctx, *v, *p) })
		break
	}
	return gotUnmet
}

// fixedAbove reports whether the branch reaches below a block that every chain must
// contain, without it.  It raises the alarm if so.
func (n *Node) fixedAbove(p *path) bool {
	f := n.o.fixed()
	if f == nil || p.root().Num() > f.Num {
		return false
	}
	if !p.contains(f.Num, f.Hash) {
		p.fork = p.root().Num()
		n.refuse(p, f)
		return true
	}
	return false
}

// expireRoots forgets the roots that nobody was asked about for long.
func (n *Node) expireRoots(now time.Time) {
	for h, r := range n.roots {
		if !r.busy && n.sides.by[h] == nil || r.until.Add(n.o.Times.Rescan).Before(now) && !r.busy {
			delete(n.roots, h)
		}
	}
}

// fetch asks a supporter for what is below a branch, and hands it to the judge.
func (n *Node) fetch(ctx context.Context, v voice, p path) {
	s, seen := n.fetchRange(ctx, &v, &p)
	now := n.o.Now()
	if seen != nil {
		n.observe(seen, s, now)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	r := n.roots[*p.root().Hash()]
	if r == nil {
		return
	}
	r.busy = false
	if seen != nil || s == nil {
		r.until = now.Add(fetchPause << min(r.failed, 8))
		r.failed++
		if r.failed < fetchTries {
			n.unsettled[*p.tip().Hash()] = true // another one may be asked
			r.until = now
		}
		return
	}
	r.until = now.Add(fetchPause)
	n.inbox.add(s)
}

// fetchRange makes the call.  The finding is about the peer, nil for nothing.
func (n *Node) fetchRange(ctx context.Context, v *voice, p *path) (*sighting, *fault.Fault) {
	above := proof.Proof{Claim: v.claim, First: p.root().Num(), Trailers: p.trailers, Done: true, Contested: true}
	first, count := above.More(n.o.Scan.Proof)
	if count == 0 {
		return nil, nil
	}
	c, err := n.o.Scan.Client.Call(ctx, v.addr)
	if err != nil {
		return nil, asFault(err)
	}
	defer c.Close()
	ts, err := c.Trailers(ctx, first, count)
	x := exchangeOf(c, wire.OpTF, first, count)
	next := *p.root()
	x.next = &next
	s := &sighting{from: v.addr, group: v.group, via: viaRange, trailers: ts, call: x}
	if err != nil {
		return s, asFault(err)
	}
	above.Claim = x.claim
	if f := above.Extend(ts, n.o.Scan.Proof, n.o.Now().Unix()); f != nil {
		if f.Kind != fault.InvalidTrailer && !p.contains(x.claim.Num, x.claim.Hash) {
			return s, &fault.Fault{Kind: fault.OtherBlock, Peer: v.addr, Detail: f.Error()} // it is on another branch now
		}
		return s, &fault.Fault{Kind: f.Kind, Peer: v.addr, Detail: f.Detail, Err: f}
	}
	s.claim = wire.State{Num: p.root().Num() - 1, Hash: *p.root().PrevHash()}
	return s, nil
}

// exchangeOf returns a call as evidence needs it.
func exchangeOf(c *peer.Call, op wire.Op, first mcm.BlockNum, count int) *exchange {
	x := &exchange{claim: c.Claim(), op: op, first: first, count: count, packets: c.Transcript()}
	x.id1, x.id2 = c.IDs()
	return x
}

// asFault returns an error that is about a peer, nil for others.
func asFault(err error) *fault.Fault {
	var f *fault.Fault
	errors.As(err, &f)
	return f
}

// observe charges a peer with what was seen of it.
func (n *Node) observe(f *fault.Fault, s *sighting, now time.Time) {
	c := charge{fault: f, at: now}
	if s != nil {
		c.group = s.group
		var finding *proof.Finding
		errors.As(f.Err, &finding)
		if f.Kind.Class() == fault.Objective && s.call != nil {
			c.evidence = n.record(s.call, f, finding, nil, nil, now)
		}
		if f.Kind == fault.InvalidTrailer && finding != nil && finding.Index >= 0 && finding.Index < len(s.trailers) {
			c.about = proof.ID(&s.trailers[finding.Index])
			n.mu.Lock()
			n.jury.charge(c)
			n.mu.Unlock()
			return
		}
	}
	n.pay(c, now)
}
