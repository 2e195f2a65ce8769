package node

import (
	"time"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/scan"
	"kigo/node/status"
)

// An accounts is the book, and tells of all that it charges for that is objective.
type accounts struct {
	*scan.Book
	n *Node
}

// Observe implements chainsync.Accounts.
func (a accounts) Observe(f *fault.Fault, ev *evidence.Record, now time.Time) (banned bool) {
	banned = a.Book.Observe(f, ev, now)
	if f.Kind.Class() != fault.Objective {
		return banned
	}
	v := status.PeerVerdict{Addr: f.Peer.String(), Kind: string(f.Kind), Class: f.Kind.Class().String(), Detail: f.Seen(), Banned: banned}
	if ev != nil {
		v.Evidence = ev.ID
	}
	a.n.log.Info("peer charged", "peer", f.Peer, "kind", f.Kind, "detail", v.Detail, "banned", banned)
	a.n.feed.Publish(now, status.PeerJudged, v)
	return banned
}
