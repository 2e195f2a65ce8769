package node

import (
	"context"
	"time"

	"kigo/node/chainsync"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/status"
)

// An unobtained branch is one that a sync couldn't get.
type unobtained struct {
	height mcm.BlockNum
	groups int
	first  bool // of the first class
	detail string
}

// startSync runs a sync if there are branches for one.
func (n *Node) startSync(p *plan, now time.Time) {
	if p.syncing || p.scanning || p.syncAt.Sub(now) > 0 && p.syncAt.Sub(now) <= n.o.Times.MaxPause {
		return
	}
	n.mu.Lock()
	if _, have := n.own.Tip(); len(p.queue) == 0 && have {
		p.queue = n.deepBranches(now)
	}
	if len(p.queue) == 0 {
		n.mu.Unlock()
		return
	}
	branches := p.queue
	if own, ok := n.ownBranch(len(branches)); ok { // a sync weighs who is on which
		branches = append(branches, own)
	}
	p.queue, p.syncing = nil, true
	n.syncing, n.before, n.heavier = true, n.state, false
	if n.state != status.Follow {
		n.enter(status.Sync, "a branch is being fetched and weighed", now)
	}
	n.mu.Unlock()
	n.spawn(func(ctx context.Context) {
		o, err := n.syncer.Run(ctx, branches)
		p.synced <- synced{o, branches, err}
	})
}

// moved takes in how far a sync has come.
func (n *Node) moved(s status.SyncProgress) {
	now := n.o.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	// While the node follows, only what proves heavier by more than a range changes
	// that, and a sync keeps it from following for no other reason: anybody can have
	// something fetched.
	if s.Stage == stageSwitching && s.Trailers > proof.MaxExtension {
		n.heavier = true
		if n.state == status.Follow {
			n.enter(status.Sync, "a heavier branch takes the own chain's place", now)
		}
	}
	if n.progress != nil && n.progress.Stage == s.Stage && now.Sub(n.progressAt) < time.Second && now.After(n.progressAt) {
		n.progress = &s
		return
	}
	n.progress, n.progressAt = &s, now
	n.feed.Publish(now, status.SyncMoved, s)
}

// stageSwitching is what a sync reports while it switches.
const stageSwitching = "switching"

// tookSync takes in what a sync came to.
func (n *Node) tookSync(p *plan, s synced) {
	p.syncing = false
	n.refresh()
	n.fails("sync", s.err)
	now := n.o.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.syncing, n.progress = false, nil
	if s.outcome != nil {
		n.tookOutcome(p, s.outcome, s.branches, now)
	}
	if n.state == status.Sync {
		n.look(now)
		state, reason := n.before, n.lack(now)
		switch {
		case reason == "":
			state = status.Follow
		case state == status.Follow || state == status.Bootstrap && !n.passed.IsZero():
			state = status.Stalled
		}
		n.enter(state, reason, now)
	}
	n.looked = true
	n.review(now)
}

// lastSync takes in what a sync has found that ended with everything else.
func (n *Node) lastSync(p *plan) {
	select {
	case s := <-p.synced:
		if s.outcome == nil {
			return
		}
		now := n.o.Now()
		n.mu.Lock()
		defer n.mu.Unlock()
		n.warned(s.outcome, now)
	default:
	}
}

// warned takes in the alarms and doubts of a sync.  The caller holds n.mu.
func (n *Node) warned(o *chainsync.Outcome, now time.Time) {
	for _, a := range o.Alarms {
		n.alarms.raise(a.Kind, a.Detail, now)
	}
	for _, id := range o.Doubt {
		n.doubt(id)
	}
}

// tookOutcome takes in the outcome of a sync.  The caller holds n.mu.
func (n *Node) tookOutcome(p *plan, o *chainsync.Outcome, branches []chainsync.Branch, now time.Time) {
	n.warned(o, now)
	if o.Switched && o.Depth >= tailLen { // else it was seen when the tip changed
		n.lastDepth = o.Depth
		n.judgeReorg(o.Depth, o.Replaced, o.Gained, o.To.Num, now)
	}
	first := map[mcm.Hash]bool{}
	for i := range branches {
		first[*branches[i].Tip().Hash()] = branches[i].FirstClass
	}
	n.unobtained = nil
	for _, r := range o.Resolved {
		why := ""
		switch r.End {
		case chainsync.Unavailable, chainsync.Aside:
			why = "unavailable"
			n.unobtained = append(n.unobtained, unobtained{r.Height, r.Groups, first[r.Tip], r.Detail})
		case chainsync.Invalid, chainsync.Refused:
			why = "invalid"
			n.sides.drop(r.Tip)
		case chainsync.Lighter:
			why = "lighter"
		}
		if why != "" {
			n.feed.Publish(now, status.BranchFailed, status.BranchEnd{Tip: r.Tip.String(), Why: why, Detail: r.Detail})
		}
	}
	if o.NeedsScan {
		p.scanAt = now
	}
	if len(p.queue) == 0 {
		p.queue, p.syncAt = o.Behind, now.Add(n.o.Times.Pause)
	}
}
