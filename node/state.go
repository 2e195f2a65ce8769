package node

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/status"
)

// lastBlocks is how far below the own tip a peer may be and still count as on it: it
// has not heard of the newest blocks (docs/spec/sync.md section 8.9).
const lastBlocks = 6

// near reports whether a tip is the own one or one of the last blocks before it.
func (n *Node) near(num mcm.BlockNum, h mcm.Hash) bool {
	tip, have := n.own.Tip()
	return have && num <= tip.Num && tip.Num-num < lastBlocks && n.own.has(num, h)
}

// look finds out when a quorum was last seen on the own tip: the newest time since
// which enough peers were heard there.  The caller holds n.mu.
func (n *Node) look(now time.Time) {
	var near []*voice
	for _, v := range n.voices {
		if n.near(v.claim.Num, v.claim.Hash) && !v.at.After(now) {
			near = append(near, v)
		}
	}
	slices.SortFunc(near, func(a, b *voice) int { return b.at.Compare(a.at) })
	b := backing{groups: map[netip.Prefix]bool{}}
	for _, v := range near {
		b.peers = append(b.peers, v.addr)
		b.groups[v.group] = true
		if b.meets(n.o.Scan.Quorum) {
			if v.at.After(n.quorumSeen) {
				n.quorumSeen = v.at
			}
			return
		}
	}
}

// lack says why the node can't follow, empty if it can.  The caller holds n.mu.
func (n *Node) lack(now time.Time) string {
	tip, have := n.own.Tip()
	if why := n.broken["sync"]; !have && why != "" {
		return "there is no chain yet, and we fail to sync: " + why
	}
	if !have {
		return "there is no chain yet"
	}
	if f := n.o.fixed(); f != nil && !n.own.has(f.Num, f.Hash) {
		return fmt.Sprintf("the own chain lacks block %v, which every chain must contain", f.Num)
	}
	if n.reproving {
		return "work of the own chain is still to be checked"
	}
	if age := now.Sub(time.Unix(int64(tip.Time), 0)); age > n.o.Times.TipAge {
		return fmt.Sprintf("the own tip is %v old", age.Round(time.Second))
	}
	if n.quorumSeen.IsZero() || now.Sub(n.quorumSeen) > n.o.Times.QuorumAge {
		q := n.o.Scan.Quorum
		b := n.voices.on(now.Add(-n.o.Times.Voice), n.near)
		return fmt.Sprintf("the quorum is missing: %d peers of %d groups are on the own tip, %d of %d are needed", len(b.peers), len(b.groups), q.Peers, q.Groups)
	}
	for _, u := range n.unobtained {
		if u.first {
			return fmt.Sprintf("a branch up to block %v, as dense as the own chain, can't be obtained: %s", u.height, u.detail)
		}
	}
	return ""
}

// review brings the state up to what is known now.  The caller holds n.mu.
func (n *Node) review(now time.Time) {
	n.voices.expire(now.Add(-2 * max(n.o.Times.Voice, n.o.Times.QuorumAge)))
	if n.quorumSeen.After(now) { // by a clock that was set back
		n.quorumSeen = time.Time{}
	}
	if n.passed.After(now) {
		n.passed = now
	}
	n.look(now)
	n.sound(now)
	lack := n.lack(now)
	last := n.passed
	if last.Before(n.started) {
		last = n.started
	}
	alone := now.Sub(last) > n.o.Times.Silence
	switch {
	case n.state == status.Sync && (lack != "" || n.heavier): // until that has ended
	case alone && n.state != status.Isolated:
		n.enter(status.Isolated, fmt.Sprintf("no peer has shown a proof that holds for %v", n.o.Times.Silence), now)
	case n.state == status.Isolated && !alone:
		n.looked = false
		n.enter(status.Bootstrap, "a peer has shown a proof that holds", now)
	case alone:
	case lack == "" && n.state != status.Follow:
		n.enter(status.Follow, "", now)
	case lack != "" && (n.state == status.Follow || n.state == status.Bootstrap && n.looked && !n.passed.IsZero()):
		n.enter(status.Stalled, lack, now)
	case n.state == status.Stalled:
		n.reason = lack
	}
	m := n.o.Metrics
	m.state(n.state)
	m.lag.Set(float64(n.lag(now)))
	m.sideBlocks.Set(float64(len(n.sides.by)))
	m.ready.Set(0)
	if n.ready() {
		m.ready.Set(1)
	}
}

// enter changes the state.  The caller holds n.mu.
func (n *Node) enter(s status.State, reason string, now time.Time) {
	if n.state == s {
		return
	}
	n.log.Info("state changed", "from", n.state, "to", s, "reason", reason)
	n.feed.Publish(now, status.StateChanged, status.StateChange{From: n.state, To: s, Reason: reason})
	n.state, n.since, n.reason = s, now, reason
	poke(n.news)
}

// ready reports whether the node's choice of chain may be relied on.  The caller holds
// n.mu.
func (n *Node) ready() bool {
	return n.state == status.Follow && !n.alarms.on(CheapAlarm)
}

// lag returns how far a quorum's tip is above the own one: a block that one of them is
// on, the others there or on the blocks of a proof before it.  The caller holds n.mu.
func (n *Node) lag(now time.Time) (most int64) {
	tip, have := n.own.Tip()
	since := now.Add(-n.o.Times.Voice)
	on := map[mcm.Hash][]*voice{}
	for _, v := range n.voices {
		if !v.at.Before(since) {
			on[v.claim.Hash] = append(on[v.claim.Hash], v)
		}
	}
	for _, h := range n.voiced() { // highest first
		top := n.sides.by[h]
		if !have || top.t.Num() <= tip.Num {
			break
		}
		b := backing{groups: map[netip.Prefix]bool{}}
		for s, i := top, 0; s != nil && i < proof.Segment; s, i = n.sides.by[*s.t.PrevHash()], i+1 {
			for _, v := range on[*s.t.Hash()] {
				b.peers = append(b.peers, v.addr)
				b.groups[v.group] = true
			}
		}
		if b.meets(n.o.Scan.Quorum) {
			return int64(top.t.Num() - tip.Num)
		}
	}
	return 0
}

// sidesShown bounds the side branches that a status lists.
const sidesShown = 64

// listSides returns the side branches that were met last, those with the most groups
// first.  The caller holds n.mu.
func (n *Node) listSides(now time.Time) []status.Side {
	since := now.Add(-n.o.Times.Voice)
	l := []status.Side{}
	tips := n.sides.tips()
	slices.SortFunc(tips, func(a, b *side) int { return cmp.Compare(b.seen, a.seen) })
	for _, s := range tips[:min(len(tips), sidesShown)] {
		p := n.sides.path(*s.t.Hash(), n.own)
		b := n.voices.on(since, p.contains)
		slices.SortFunc(b.peers, netip.Addr.Compare)
		v := status.Side{Tip: *s.t.Hash(), Height: s.t.Num(), Fork: p.root().Num(), Groups: len(b.groups), Peers: append([]netip.Addr{}, b.peers...)}
		if p.met {
			at, _ := n.own.at(p.fork)
			w := weigh(at.Weight, p.trailers)
			v.Weight, v.Detail = &w, "not heavier than the own chain"
		} else {
			v.Detail = "where it leaves the own chain isn't known"
		}
		l = append(l, v)
	}
	slices.SortFunc(l, func(a, b status.Side) int { return b.Groups - a.Groups })
	return l
}
