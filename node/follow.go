package node

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"kigo/node/chain"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/status"
)

const (
	// maxTies is how often the own chain changes between tips of the same weight at
	// one height.  Ties end with the next block; whoever can make tips for nothing
	// must not keep the disk busy until then.
	maxTies = 4
	// settlePause is how often all tips are compared again because peers have moved
	// from one to another.
	settlePause = time.Second
)

// refresh takes over what a sync may have made of the own chain.
func (n *Node) refresh() {
	n.switching.Lock()
	defer n.switching.Unlock()
	n.reload()
}

// reload is refresh for who holds n.switching.
func (n *Node) reload() {
	before, had := n.own.Tip()
	tail := n.own.last(tailLen)
	changed, err := n.own.load()
	n.fails("own chain, reading", err)
	if changed {
		n.took(before, had, tail)
	}
}

// weigh finds out where a proven tip leaves the own chain, and has that go on with it
// if it proves heavier.
func (n *Node) weigh(tip mcm.Hash) (result string) {
	n.switching.Lock()
	defer n.switching.Unlock()
	n.reload()
	n.mu.Lock()
	p := n.sides.path(tip, n.own)
	if len(p.trailers) == 0 {
		n.mu.Unlock()
		return gotKnown // on the own chain by now
	}
	if !n.hold(&p) {
		n.mu.Unlock()
		return gotInvalid
	}
	if !p.met {
		defer n.mu.Unlock()
		return n.unmet(&p)
	}
	f := n.o.fixed()
	lacks := f != nil && !n.own.has(f.Num, f.Hash) // the own chain counts for nothing then
	if f != nil && (lacks && !p.contains(f.Num, f.Hash) || !lacks && p.fork < f.Num) {
		n.refuse(&p, f)
		n.mu.Unlock()
		return gotRefused
	}
	better := lacks || n.better(&p)
	n.mu.Unlock()
	if !better {
		return gotAside
	}
	before, had := n.own.Tip()
	tail := n.own.last(tailLen)
	err := n.own.put(p.fork, p.trailers)
	if n.fails("own chain, writing", err); err != nil {
		return gotFailed
	}
	n.took(before, had, tail)
	return gotChosen
}

// weighAll weighs all tips beside the own chain that peers are on.  Nobody is on most
// of what is kept aside.
func (n *Node) weighAll() {
	n.mu.Lock()
	tips := n.voiced()
	n.mu.Unlock()
	n.weighThese(tips)
}

func (n *Node) weighThese(tips []mcm.Hash) {
	n.mu.Lock()
	n.settled = n.o.Now()
	clear(n.unsettled)
	n.mu.Unlock()
	for _, tip := range tips {
		n.weigh(tip)
	}
}

// voiced returns the tips beside the own chain that peers are on, highest first.  The
// caller holds n.mu.
func (n *Node) voiced() (tips []mcm.Hash) {
	since := n.o.Now().Add(-n.o.Times.Voice)
	seen := map[mcm.Hash]bool{}
	for _, v := range n.voices {
		if h := v.claim.Hash; !v.at.Before(since) && !seen[h] && n.sides.by[h] != nil {
			seen[h] = true
			tips = append(tips, h)
		}
	}
	slices.SortFunc(tips, func(a, b mcm.Hash) int {
		return cmp.Or(cmp.Compare(n.sides.by[b].t.Num(), n.sides.by[a].t.Num()), bytes.Compare(a[:], b[:]))
	})
	return tips
}

// resettle weighs again the tips that peers have moved to.
func (n *Node) resettle() {
	n.mu.Lock()
	var tips []mcm.Hash
	if n.o.Now().Sub(n.settled).Abs() >= settlePause {
		tips = slices.Collect(maps.Keys(n.unsettled))
	}
	n.mu.Unlock()
	if len(tips) > 0 {
		n.weighThese(tips)
	}
}

// hold holds the trailers of a path that came before their parents did against those.
// What breaks a rule is dropped with all that follows it; nobody is charged, since no
// single reply shows it.  The caller holds n.mu.
func (n *Node) hold(p *path) (ok bool) {
	for _, i := range p.unproved {
		t := &p.trailers[i]
		var prev *mcm.Trailer
		if i > 0 {
			prev = &p.trailers[i-1]
		} else if prev = n.parent(t); prev == nil {
			continue
		}
		n.o.Metrics.checks.WithLabelValues("rules").Inc()
		if f := proof.Against(prev, t); f != nil {
			n.log.Info("branch refused", "bnum", t.Num(), "rule", f.Rule, "err", f.Detail)
			n.known.Learn(t, proof.Key(prev, t), f)
			n.sides.drop(*t.Hash())
			n.feed.Publish(n.o.Now(), status.BranchFailed, status.BranchEnd{Tip: p.tip().Hash().String(), Why: "invalid", Detail: f.Error()})
			return false
		}
		n.sides.by[*t.Hash()].checked = true
	}
	return true
}

// refuse drops a branch that leaves the own chain below a block that every chain must
// contain.  The caller holds n.mu.
func (n *Node) refuse(p *path, f *proof.Anchor) {
	kind := floorAlarm
	if pin := n.o.Sync.Pin; f.Num <= n.o.base() || pin != nil && f.Num == pin.Height {
		kind = pinAlarm
	}
	n.alarms.raise(kind, fmt.Sprintf("a branch up to block %v parts at block %v, below block %v that every chain must contain", p.tip().Num(), p.fork, f.Num), n.o.Now())
	n.sides.drop(*p.root().Hash())
}

// better reports whether the own chain should go on with a path that meets it: if that
// leads on from the own tip, or weighs more, or weighs as much and goes before it by
// the rules for a node that knows trailers only (docs/spec/sync.md section 8.6).  The
// caller holds n.mu.
func (n *Node) better(p *path) bool {
	tip, ok := n.own.Tip()
	fork, ok2 := n.own.at(p.fork)
	if !ok || !ok2 {
		return false
	}
	if p.fork == tip.Num {
		return true
	}
	mine, _ := n.own.trailer(tip.Num)
	order := reckoned(weigh(fork.Weight, p.trailers), p.tip()).Cmp(reckoned(tip.Weight, &mine))
	if order != 0 {
		return order > 0
	}
	if n.ties.at != tip.Num {
		n.ties.at, n.ties.count = tip.Num, 0
	}
	if n.ties.count >= maxTies || !n.tieBreaks(p, tip, fork) {
		return false
	}
	n.ties.count++
	return true
}

// tieBreaks reports whether a path of the own chain's weight goes before it.
func (n *Node) tieBreaks(p *path, tip, fork chain.Tip) bool {
	since := n.o.Now().Add(-n.o.Times.Voice)
	ours := n.voices.on(since, n.own.has)
	theirs := n.voices.on(since, func(num mcm.BlockNum, h mcm.Hash) bool {
		return p.contains(num, h) || num <= p.fork && n.own.has(num, h)
	})
	work, _ := tip.Work.Sub(fork.Work)
	return cmp.Or(
		cmp.Compare(len(theirs.groups), len(ours.groups)),
		p.work().Cmp(work),
		cmp.Compare(len(theirs.peers), len(ours.peers)),
		bytes.Compare(p.tip().Hash()[:], tip.Hash[:]),
	) > 0
}

// took takes in that the own chain has another tip.  tail is what it ended in before.
// What was replaced of that is kept aside if it is proven.  The caller holds n.switching.
func (n *Node) took(before chain.Tip, had bool, tail []mcm.Trailer) {
	now := n.o.Now()
	tip, have := n.own.Tip()
	if !have {
		return
	}
	depth := 0
	for depth < len(tail) && !n.own.holds(&tail[len(tail)-1-depth]) {
		depth++
	}
	replaced := tail[len(tail)-depth:]
	fork := n.o.base()
	if had {
		fork = before.Num - mcm.BlockNum(depth)
	}
	cut := had && tip.Num <= fork // it only ends sooner, perhaps below all of tail
	if cut {
		fork, depth = tip.Num, int(before.Num-tip.Num)
	}
	base, _ := n.own.at(fork)
	gained, _ := tip.Work.Sub(base.Work)

	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.reproving { // else it isn't proven
		for i := range replaced {
			n.sides.add(&replaced[i], true)
		}
	}
	n.sides.prune(n.own)
	n.thickness.moved(n.own, fork)
	grown := int(tip.Num - fork)
	if !had {
		grown++ // the base, too
	}
	if depth > 0 {
		n.reorgs, n.lastDepth = n.reorgs+1, depth
		n.o.Metrics.reorgs.Inc()
		n.log.Info("own chain reorganised", "bnum", tip.Num, "hash", tip.Hash, "depth", depth, "grown", grown)
		if depth < tailLen && !cut { // else only who has changed it knows how deep it was
			n.judgeReorg(depth, work(replaced), gained, tip.Num, now)
		}
	} else {
		n.log.Info("own chain grown", "bnum", tip.Num, "hash", tip.Hash, "grown", grown)
	}
	shown := n.tip(now)
	n.o.Metrics.tip(tip)
	n.feed.Publish(now, status.TipChanged, status.TipChange{Tip: *shown, Depth: depth, Grown: grown})
	for _, c := range []chan struct{}{n.news, n.fresh, n.grown, n.owed} {
		poke(c)
	}
}
