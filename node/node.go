package node

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"kigo/node/chain"
	"kigo/node/chainsync"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/scan"
	"kigo/node/status"
)

// A Node follows the chain.  Its methods are safe for concurrent use.
type Node struct {
	o      Options
	log    *slog.Logger
	feed   status.Feed
	report atomic.Pointer[scan.Report]
	groups fault.Groups
	known  *proof.KnownSet
	draw   func(n int) int // the judge's
	syncer *chainsync.Syncer
	inbox  *inbox
	tasks  chan func() // for the judge to do between two batches
	spawn  func(func(context.Context))

	// What loops wait for; each is full when there is something to look at.
	news  chan struct{} // the director's
	fresh chan struct{} // a tip to announce
	grown chan struct{} // more of the own chain to survey
	owed  chan struct{} // old work to check

	// switching is held from comparing weights until the own chain is switched.  It is
	// taken before mu.
	switching sync.Mutex
	own       *own

	list struct { // of peers, as it is served
		mu    sync.Mutex
		at    time.Time
		peers []netip.Addr
	}

	mu         sync.Mutex // guards what follows
	started    time.Time
	state      status.State
	since      time.Time
	reason     string
	syncing    bool
	before     status.State // the state before a sync
	heavier    bool         // what is synced has proven so
	looked     bool         // a scan has ended since the bootstrap began
	passed     time.Time    // when a peer last showed a proof that holds
	quorumSeen time.Time
	cheapUntil mcm.BlockNum
	progress   *status.SyncProgress
	progressAt time.Time
	sides      sides
	voices     voices
	jury       jury
	leads      leads
	alarms     alarms
	thickness  thickness
	roots      map[mcm.Hash]*root
	deep       map[mcm.Hash]time.Time // roots of branches for a sync, and from when on
	unobtained []unobtained
	doubted    map[mcm.Hash]bool // trailers that are refused and not remembered as invalid
	held       []proof.Invalid   // invalid trailers that are not remembered yet
	broken     map[string]string // what of our own fails, and why
	unsettled  map[mcm.Hash]bool // tips that peers have moved to since tips were last compared
	settled    time.Time         // when that was
	ties       struct {
		at    mcm.BlockNum
		count int
	}
	distrusted int       // engines found to compute wrongly of which the consequences are drawn; Run's
	reproving  bool      // the own chain's work is checked again
	above      chain.Tip // up to here it is, but for what stays pending below the floor; the prover's

	polls, reorgs int64
	lastPoll      time.Time
	lastDepth     int
}

// New returns a node that is yet to run.  The error is that of the options, of the own
// chain or of the memory.
func New(o Options) (*Node, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	now := o.Now()
	n := &Node{
		o: o, log: o.Log, groups: o.Server.Groups, draw: proof.Secret(), inbox: newInbox(),
		tasks: make(chan func()), news: make(chan struct{}, 1), fresh: make(chan struct{}, 1),
		grown: make(chan struct{}, 1), owed: make(chan struct{}, 1),
		own: &own{store: o.Chain}, started: now, state: status.Bootstrap, since: now,
		reason: "looking for somebody to follow",
		sides:  newSides(), voices: voices{}, jury: newJury(), leads: leads{},
		roots: map[mcm.Hash]*root{}, deep: map[mcm.Hash]time.Time{}, doubted: map[mcm.Hash]bool{},
		unsettled: map[mcm.Hash]bool{}, broken: map[string]string{},
	}
	n.alarms = alarms{active: map[scan.AlarmKind]*alarm{}, hold: o.Times.Stale, feed: &n.feed, metrics: o.Metrics, log: o.Log}
	n.feed.Begin(uint64(max(0, now.UnixMilli())))
	if _, err := n.own.load(); err != nil {
		return nil, err
	}
	if tip, have := n.own.Tip(); have {
		n.thickness.stale = true
		n.thickness.moved(n.own, tip.Num)
		o.Metrics.tip(tip)
	}
	n.reproving = n.owes()
	if err := n.recall(); err != nil {
		return nil, err
	}
	if n.syncer, err = chainsync.New(n.syncOptions()); err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	return n, nil
}

// Run follows the chain until parent ends, and then returns nil within two seconds, with
// everything written down and the listener closed.  Otherwise it returns why it can't
// go on.  It is called once.
func (n *Node) Run(parent context.Context) error {
	ctx, stop := context.WithCancelCause(parent)
	var serving sync.WaitGroup
	if n.o.Listen != nil {
		serving.Go(func() {
			if err := n.serverOf().Serve(ctx, n.o.Listen); err != nil {
				stop(fmt.Errorf("node: listener: %w", err))
			}
		})
	}
	for ctx.Err() == nil {
		n.work(ctx)
		n.distrust(ctx)
	}
	stop(nil)
	serving.Wait()
	n.mu.Lock()
	n.judgeCharges(n.o.Now(), true)
	n.mu.Unlock()
	n.save()
	if err := context.Cause(ctx); parent.Err() == nil && err != context.Canceled {
		return err
	}
	return nil
}

// work does all that Run does but for serving, until ctx ends or an engine is found to
// compute wrongly.
func (n *Node) work(parent context.Context) {
	ctx, stop := context.WithCancel(parent)
	var loops sync.WaitGroup
	n.spawn = func(f func(context.Context)) { loops.Go(func() { f(ctx) }) }

	n.spawn(n.judge)
	n.spawn(n.poll)
	n.spawn(n.announce)
	n.spawn(n.survey)
	n.spawn(n.prove)
	n.spawn(n.keepMemory)
	n.spawn(func(ctx context.Context) { n.watchEngines(ctx, stop) })
	p := n.newPlan()
	n.direct(ctx, p)

	stop()
	loops.Wait()
	n.lastSync(p)
}

// serverOf returns the server for the listener.
func (n *Node) serverOf() *peer.Server {
	o := n.o.Server
	if o.Faulted == nil {
		o.Faulted = func(f *fault.Fault) { n.pay(charge{fault: f}, n.o.Now()) }
	}
	return peer.NewServer(server{n}, o)
}

// syncOptions returns the options of syncs: what scans have, they have too.
func (n *Node) syncOptions() chainsync.Options {
	o, s := n.o.Sync, &n.o.Scan
	o.Client, o.Verifier, o.Known, o.Chain, o.Accounts = s.Client, s.Verifier, n.known, n.o.Chain, accounts{s.Book, n}
	o.Quorum, o.Now, o.Progress, o.Switch = s.Quorum, n.o.Now, n.moved, &n.switching
	if o.Log == nil {
		o.Log = n.log
	}
	if o.Memory == nil && s.Memory != nil {
		o.Memory = s.Memory
	}
	return o
}

// scanOptions returns the options of the next scan.  A wide one calls everybody there
// is.
func (n *Node) scanOptions(wide bool) scan.Options {
	o := n.o.Scan
	o.Anchors = append(n.ownAnchors(), o.Anchors...)
	if wide {
		o.Deadlines.Soft, o.Deadlines.Calm = wideScan, wideScan
	}
	return o
}

// wideScan is longer than any scan lasts, so that having enough doesn't end it.
const wideScan = time.Hour

// ownAnchors returns blocks of the own chain whose weight is known: the tip, and some
// below it for branches that part there.
func (n *Node) ownAnchors() (anchors []proof.Anchor) {
	tip, have := n.own.Tip()
	for _, below := range []mcm.BlockNum{0, 8, 32, proof.Segment - 1} {
		if !have || tip.Num < n.o.base()+below {
			break
		}
		if at, ok := n.own.at(tip.Num - below); ok {
			anchors = append(anchors, *anchorAt(at.Num, at.Hash, at.Weight, at.Time))
		}
	}
	return anchors
}

// Events returns the feed of what happens.
func (n *Node) Events() *status.Feed { return &n.feed }

// Trailers returns trailers of the own chain, from first on and count at most: fewer
// where it ends.
func (n *Node) Trailers(first mcm.BlockNum, count int) ([]mcm.Trailer, error) {
	return n.o.Chain.Trailers(first, count)
}

// Report returns the last finished scan; nil before the first.
func (n *Node) Report() *scan.Report { return n.report.Load() }
