package node

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"kigo/node/chainsync"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/scan"
	"kigo/node/status"
	"kigo/node/wire"
)

// A plan is what the director means to do.  It is the director's alone.
type plan struct {
	scanAt   time.Time     // when to scan next
	last     time.Time     // when the last one began
	widened  bool          // that one was to find new groups
	pause    time.Duration // before the scan after that one, while there is nobody to follow
	scanning bool
	syncing  bool
	state    status.State       // at the last look
	queue    []chainsync.Branch // to be synced when there is nothing else to do
	syncAt   time.Time          // from when on
	scanned  chan scanned
	synced   chan synced
}

// A scanned is how a scan ended, a synced how a sync did.
type (
	scanned struct {
		report *scan.Report
		err    error
	}
	synced struct {
		outcome  *chainsync.Outcome
		branches []chainsync.Branch
		err      error
	}
)

// newPlan returns the plan of a node that begins.
func (n *Node) newPlan() *plan {
	return &plan{scanAt: n.o.Now(), pause: n.o.Times.Pause, scanned: make(chan scanned, 1), synced: make(chan synced, 1)}
}

// direct scans, syncs, and keeps the state, until ctx ends.
func (n *Node) direct(ctx context.Context, p *plan) {
	tick := time.NewTicker(n.o.Times.Review)
	defer tick.Stop()
	for {
		now := n.o.Now()
		n.refresh()
		n.mu.Lock()
		n.review(now)
		n.judgeCharges(now, false)
		n.mu.Unlock()
		n.startSync(p, now)
		n.startScan(p, now)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-n.news:
		case r := <-p.scanned:
			n.tookScan(ctx, p, r)
		case s := <-p.synced:
			if ctx.Err() != nil {
				p.synced <- s
				return
			}
			n.tookSync(p, s)
		}
	}
}

// startScan scans if it is time to.
func (n *Node) startScan(p *plan, now time.Time) {
	n.mu.Lock()
	state := n.state
	wide := n.alarms.on(StarvedAlarm) || n.alarms.on(PseudoAlarm)
	behind := n.alarms.on(behindAlarm)
	n.mu.Unlock()
	if p.last.After(now) { // by a clock that was set back
		p.last = now.Add(-p.pause)
	}
	if state != p.state && state != status.Follow && (state == status.Bootstrap || p.state == status.Follow) {
		p.scanAt, p.pause = now, n.o.Times.Pause // there is nobody to follow any more
		if soon := p.last.Add(p.pause); soon.After(now) {
			p.scanAt = soon
		}
	}
	p.state = state
	if state == status.Follow && (wide && !p.widened || behind) {
		if soon := p.last.Add(n.o.Times.Urgent); soon.Before(p.scanAt) {
			p.scanAt = soon
		}
	}
	// A clock that was set must not put scans off.
	if p.scanAt.Sub(now) > n.o.Times.Rescan {
		p.scanAt = now
	}
	if p.syncing { // which takes long enough as it is, but must not keep us from looking
		if soon := p.last.Add(n.o.Times.MaxPause); soon.After(p.scanAt) {
			p.scanAt = soon
		}
	}
	if p.scanning || now.Before(p.scanAt) {
		return
	}
	p.scanning, p.last, p.widened = true, now, wide
	o := n.scanOptions(wide)
	n.spawn(func(ctx context.Context) {
		r, err := scan.Run(ctx, o)
		p.scanned <- scanned{r, err}
	})
}

// tookScan takes in what a scan found.
func (n *Node) tookScan(ctx context.Context, p *plan, s scanned) {
	p.scanning = false
	now := n.o.Now()
	p.scanAt = now.Add(p.pause)
	p.pause = min(2*p.pause, n.o.Times.MaxPause)
	if ctx.Err() != nil {
		return
	}
	if n.fails("scan", s.err); s.report == nil {
		return
	}
	n.report.Store(s.report)
	n.publishScan(s.report, now)
	preferred := n.o.Scan.Book.Preferred(now)
	branches := chainsync.FromReport(s.report, func(a netip.Addr) bool { return preferred[a] })
	rest, ok := n.takeIn(ctx, s.report, branches)
	if !ok {
		return
	}
	now = n.o.Now() // later than what was taken in: younger voices count for nothing
	n.mu.Lock()
	if len(rest) == 0 { // else a sync has the last word
		n.looked, n.unobtained = true, nil
		delete(n.broken, "sync")
	}
	n.review(now)
	if n.state == status.Follow {
		p.pause = n.o.Times.Pause
		p.scanAt = now.Add(n.o.Times.Rescan)
	}
	n.mu.Unlock()
	p.queue, p.syncAt = rest, now
}

// publishScan tells of a scan.
func (n *Node) publishScan(r *scan.Report, now time.Time) {
	v := status.ScanResult{State: string(r.State), Asked: r.Asked, Branches: len(r.Branches), Seconds: r.Seconds}
	for i := range r.Peers {
		peer := &r.Peers[i]
		switch peer.Verdict {
		case scan.Proven:
			v.Proven++
		case scan.Convicted:
			e := status.PeerVerdict{Addr: peer.Addr.String(), Kind: string(peer.Reason), Class: peer.Reason.Class().String(), Detail: peer.Detail}
			if len(peer.Evidence) > 0 {
				e.Evidence = peer.Evidence[0]
			}
			n.feed.Publish(now, status.PeerJudged, e)
		}
	}
	n.feed.Publish(now, status.ScanDone, v)
}

// takeIn has the judge take in what a scan has proven: who is on what, and the side
// branches that meet the own chain.  It returns the branches that don't.  It is false
// when ctx ended.
func (n *Node) takeIn(ctx context.Context, r *scan.Report, branches []chainsync.Branch) (rest []chainsync.Branch, ok bool) {
	done := make(chan struct{})
	task := func() {
		defer close(done)
		now := n.o.Now()
		n.mu.Lock()
		_, have := n.own.Tip()
		for _, a := range r.Alarms {
			n.alarms.raise(a.Kind, a.Detail, now)
		}
		for i := range r.Peers {
			if p := &r.Peers[i]; p.Verdict == scan.Proven && p.Claim != nil {
				n.voices.note(p.Addr, p.Group, *p.Claim, now)
				n.jury.passed(p.Addr, p.Group, false, now)
				n.passed = now
			}
		}
		for i := range r.Branches {
			if b := &r.Branches[i]; b.Refused && len(b.Groups) > 0 {
				n.alarms.raise(floorAlarm, "peers are on a branch up to block "+b.Height.String()+" without a block that every chain must contain", now)
			}
		}
		if have {
			for i := range branches {
				n.keep(branches[i].Trailers)
			}
			n.sides.prune(n.own)
		}
		rest = n.unmetOf(branches, now)
		n.mu.Unlock()
		n.weighAll()
	}
	select {
	case n.tasks <- task:
	case <-ctx.Done():
		return nil, false
	}
	<-done
	return rest, true
}

// keep keeps the trailers of a branch that a scan has proven.  The caller holds n.mu.
func (n *Node) keep(ts []mcm.Trailer) {
	for i := range ts {
		t := &ts[i]
		if t.Num() < mcm.V30Trigger || n.own.holds(t) {
			continue
		}
		if !n.sides.add(t, i > 0) {
			return
		}
	}
}

// unmetOf returns those of branches that are not known to meet the own chain.  A sync
// fetches what is below them, so that nobody else need.  The caller holds n.mu.
func (n *Node) unmetOf(branches []chainsync.Branch, now time.Time) (rest []chainsync.Branch) {
	for _, b := range branches {
		p := n.sides.path(*b.Tip().Hash(), n.own)
		if p.met || n.own.holds(b.Tip()) {
			continue
		}
		rest = append(rest, b)
		if len(p.trailers) > 0 && len(n.deep) < maxRoots {
			n.deep[*p.root().Hash()] = now.Add(deepPause)
		}
	}
	return rest
}

// ownBranch returns the own chain as a branch with those who support it.  The caller
// holds n.mu.
func (n *Node) ownBranch(rank int) (b chainsync.Branch, ok bool) {
	tail := n.own.last(wire.ProofTrailers)
	if len(tail) == 0 {
		return b, false
	}
	b.Trailers, b.Rank = tail, rank
	b.Supporters, b.Groups = n.supporters(n.own.has)
	return b, true
}

// supporters returns the voices whose tip is, as is tells.  The caller holds n.mu.
func (n *Node) supporters(is func(mcm.BlockNum, mcm.Hash) bool) (l []chainsync.Supporter, groups int) {
	now := n.o.Now()
	preferred := n.o.Scan.Book.Preferred(now)
	b := n.voices.on(now.Add(-n.o.Times.Voice), is)
	slices.SortFunc(b.peers, netip.Addr.Compare)
	for _, a := range b.peers {
		v := n.voices[a]
		l = append(l, chainsync.Supporter{Addr: a, Group: v.group, Claim: v.claim, Preferred: preferred[a]})
	}
	return l, len(b.groups)
}

// deepBranches returns the branches that a range below them didn't lead to the own
// chain.  The caller holds n.mu.
func (n *Node) deepBranches(now time.Time) (l []chainsync.Branch) {
	if len(n.deep) == 0 {
		return nil
	}
	for _, h := range n.voiced() {
		p := n.sides.path(h, n.own)
		if len(p.trailers) == 0 || p.met {
			continue
		}
		at, wanted := n.deep[*p.root().Hash()]
		if !wanted || now.Before(at) || len(l) == maxFetches {
			continue
		}
		b := chainsync.Branch{Trailers: p.trailers, Rank: len(l), FirstClass: n.firstClass(&p)}
		if b.Supporters, b.Groups = n.supporters(p.contains); b.Groups > 0 {
			n.deep[*p.root().Hash()] = now.Add(deepPause)
			l = append(l, b)
		}
	}
	for h := range n.deep {
		if n.sides.by[h] == nil {
			delete(n.deep, h)
		}
	}
	return l
}

// What makes a branch one of the first class, beside the own chain (docs/spec/sync.md
// section 8.5).
const (
	firstAge   = time.Hour
	firstShare = 4
)

// firstClass reports whether a branch that the own chain doesn't meet is about as new
// and as dense as that.
func (n *Node) firstClass(p *path) bool {
	tip, _ := n.own.Tip()
	old := int64(tip.Time) - int64(p.tip().SolveTime())
	end := p.trailers[max(0, len(p.trailers)-proof.Segment):]
	return old <= int64(firstAge.Seconds()) && density(end)*firstShare >= density(n.own.last(proof.Segment))
}

// deepPause is how long a branch is left alone that was handed to a sync.
const deepPause = 10 * time.Minute
