package node

import (
	"cmp"
	"errors"
	"log/slog"
	"net"
	"time"

	"kigo/node/chain"
	"kigo/node/chainsync"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/scan"
)

// Options say what a node is made of.  Chain, and Scan with its client, verifier and
// book, must be given.
type Options struct {
	Chain *chain.Store // the own chain; the caller closes it after Run
	Scan  scan.Options // its Book, Client, Verifier, Memory and Proof are the node's too
	// Sync need hold only what Scan doesn't: base, pin, floor, limits, metrics.  The
	// node fills in the rest.
	Sync chainsync.Options

	Listen net.Listener // where peers call; nil: nobody is served.  Run closes it
	Server peer.ServerOptions
	// Announce has new tips announced to peers.  A reference node then calls back for
	// the block, which this version doesn't have.
	Announce bool

	Times   Times
	Now     func() time.Time // nil: time.Now
	Log     *slog.Logger     // nil: silent
	Metrics *Metrics         // nil: unseen
}

// Times are how long things take or last (docs/spec/sync.md sections 8.9 and
// 8.10).  Zero values stand for the defaults.
type Times struct {
	Poll  time.Duration // between two polls; 10 s
	Retry time.Duration // until a peer that may be changing branches is asked again; 5 s

	Stale     time.Duration // the default of the next four; 10 min
	TipAge    time.Duration // of the own tip, above which the node doesn't follow
	QuorumAge time.Duration // since a quorum was seen on it, likewise
	Silence   time.Duration // without a proof that holds, after which the node is isolated
	Voice     time.Duration // for which a peer's tip counts as support

	Pause    time.Duration // before the first of the scans that look for somebody to follow; 5 s
	MaxPause time.Duration // to which that pause doubles; 5 min
	Rescan   time.Duration // between scans while following; 30 min
	Urgent   time.Duration // between scans at the least while following, whatever wants one; 1 min

	Doubt  time.Duration // until a charge is settled that others may fall by too; 1 min
	Unused time.Duration // a group not called for so long is; 1 h
	Save   time.Duration // between two times that the memory is written; 1 min
	Review time.Duration // between two looks at state and alarms without news; 1 s
}

// complete returns t with the defaults in place of zero values.
func (t Times) complete() Times {
	t.Poll = cmp.Or(t.Poll, 10*time.Second)
	t.Retry = cmp.Or(t.Retry, 5*time.Second)
	t.Stale = cmp.Or(t.Stale, 10*time.Minute)
	t.TipAge = cmp.Or(t.TipAge, t.Stale)
	t.QuorumAge = cmp.Or(t.QuorumAge, t.Stale)
	t.Silence = cmp.Or(t.Silence, t.Stale)
	t.Voice = cmp.Or(t.Voice, t.Stale)
	t.Pause = cmp.Or(t.Pause, 5*time.Second)
	t.MaxPause = cmp.Or(t.MaxPause, 5*time.Minute)
	t.Rescan = cmp.Or(t.Rescan, 30*time.Minute)
	t.Urgent = cmp.Or(t.Urgent, time.Minute)
	t.Doubt = cmp.Or(t.Doubt, time.Minute)
	t.Unused = cmp.Or(t.Unused, time.Hour)
	t.Save = cmp.Or(t.Save, time.Minute)
	t.Review = cmp.Or(t.Review, time.Second)
	return t
}

// complete returns o with the defaults in place of zero values.
func (o Options) complete() (Options, error) {
	s := &o.Scan
	if o.Chain == nil || s.Client == nil || s.Verifier == nil || s.Book == nil {
		return o, errors.New("node: options without a chain, a client, a verifier or a book")
	}
	s.Quorum.Peers = cmp.Or(s.Quorum.Peers, 3)
	s.Quorum.Groups = cmp.Or(s.Quorum.Groups, 3)
	if o.Sync.Unpinned() {
		s.Quorum.Groups = max(s.Quorum.Groups, chainsync.UnpinnedGroups)
	}
	o.Times = o.Times.complete()
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if s.Wrong == nil {
		s.Wrong = func() int { return 0 }
	}
	if s.Now == nil {
		s.Now = o.Now
	}
	return o, nil
}

// fixed returns the highest block that every chain must contain, nil for none.
func (o *Options) fixed() (highest *proof.Anchor) {
	highest = o.Sync.Floor
	for i := range o.Scan.Anchors {
		if a := &o.Scan.Anchors[i]; a.Fixed && (highest == nil || a.Num > highest.Num) {
			highest = a
		}
	}
	return highest
}

// base returns the lowest block of the own chain.
func (o *Options) base() mcm.BlockNum { return o.Sync.Base.Num }
