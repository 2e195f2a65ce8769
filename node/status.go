package node

import (
	"strings"
	"time"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/proof"
	"kigo/node/status"
)

// headerProven is what a tip is: its trailers are proven, not its block's body.
const headerProven = "header"

// Status returns what the node knows of itself.
func (n *Node) Status() status.Status {
	now := n.o.Now()
	waiting := n.syncer.Waiting()
	if waiting == nil {
		waiting = []status.Waiting{}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	s := status.Status{
		State: n.state, Since: n.since.UTC(), Reason: n.reason, Ready: n.ready(), Started: n.started.UTC(),
		Tip: n.tip(now), Lag: n.lag(now), Quorum: momentOf(n.quorumSeen), Sync: n.progress,
		Alarms: n.alarms.list(), Waiting: waiting, Sides: n.listSides(now),
		Polls: n.polls, LastPoll: momentOf(n.lastPoll), Reorgs: n.reorgs, LastDepth: n.lastDepth,
	}
	if s.Tip != nil {
		s.TipAge = now.Sub(s.Tip.Time).Seconds()
	}
	return s
}

// momentOf returns a time as others see it, nil for none.
func momentOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// tip returns the own tip as others see it, nil when there is none.  The caller holds
// n.mu.
func (n *Node) tip(now time.Time) *status.Tip {
	own, have := n.own.Tip()
	if !have {
		return nil
	}
	t, ok := n.own.trailer(own.Num)
	if !ok {
		return nil
	}
	b := n.voices.on(now.Add(-n.o.Times.Voice), n.near)
	return &status.Tip{
		Height: own.Num, Hash: own.Hash, PrevHash: *t.PrevHash(), Kind: t.Kind().String(),
		Time: time.Unix(int64(own.Time), 0).UTC(), Difficulty: t.Difficulty(),
		Weight: own.Weight, Work: own.Work, Proven: headerProven,
		Groups: len(b.groups), Peers: len(b.peers), Haiku: haiku(n.own.last(tailLen)),
	}
}

// haiku returns the verse of the newest worked trailer.
func haiku(tail []mcm.Trailer) string {
	for i := len(tail) - 1; i >= 0; i-- {
		if proof.IsWorked(&tail[i]) {
			first, _ := pow.Halves(&tail[i])
			return strings.Join(first.Lines(), "\n")
		}
	}
	return ""
}
