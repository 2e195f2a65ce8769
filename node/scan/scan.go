package scan

import (
	"context"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/proof"
	"kigo/node/wire"
)

// Run scans the network from the book: it calls every address of the book and
// every address that those name, judges each one's tip proof, and chooses a
// branch by what is proven.
//
// An error is our own failure or that of ctx.  The report is there all the same
// when peers were called, holds what was found so far, and has been saved.
func Run(ctx context.Context, o Options) (*Report, error) {
	return run(ctx, o, nil)
}

// Check judges the named peers only, whatever they have to their account, and
// calls nobody whom they name.
func Check(ctx context.Context, o Options, peers []netip.Addr) (*Report, error) {
	for _, a := range peers {
		if !wire.Callable(a) {
			return nil, fmt.Errorf("scan: %v is no address of an IPv4 host", a)
		}
	}
	return run(ctx, o, func(b *Book, now time.Time) *order { return b.only(peers, now) })
}

// run does Run, or Check when only is given.
func run(ctx context.Context, o Options, only func(*Book, time.Time) *order) (*Report, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	now, wrong := o.Now(), o.Wrong()
	known := proof.NewKnownSet(nil, nil)
	if o.Memory != nil {
		m, err := o.Memory.Load(now)
		if err != nil {
			return nil, fmt.Errorf("scan: %w", err)
		}
		o.Book.Load(m)
		known = recall(m)
	}
	s := &scan{
		o:       o,
		began:   time.Now(),
		started: now,
		flying:  map[netip.Prefix]int{},
		tips:    map[mcm.Hash]bool{},
		groups:  map[netip.Prefix]bool{},
		events:  make(chan event, o.Parallel),
		known:   known,
		wrong:   wrong,
	}
	if only != nil {
		s.order = only(o.Book, now)
	} else {
		s.order, s.follow = o.Book.start(now), true
	}
	err = s.collect(ctx)
	if err == nil {
		err = s.extend(ctx)
	}
	return s.settle(err)
}

// A scan is one under way.  Its fields belong to the goroutine that runs it;
// visits and the judge report to it through events.
type scan struct {
	o       Options
	began   time.Time // for durations
	started time.Time // by the clock of the options
	order   *order
	follow  bool // call candidates, and end early where that is enough

	contacts []*contact
	again    []delay    // what waits for its time
	due      []*contact // to be asked again now
	calls    int        // under way
	stuck    bool       // nobody may be called until a call ends or somebody is named
	judging  int        // segments with the judge
	batches  int        // that it has got through with
	flying   map[netip.Prefix]int
	visits   sync.WaitGroup
	events   chan event
	judge    *judge
	known    *proof.KnownSet
	wrong    int // engines that had been found to compute wrongly when it began
	received sightings

	reached  int // peers that shook hands
	passed   int // peers with a segment that holds
	invalid  int // distinct trailers that are invalid
	groups   map[netip.Prefix]bool
	tips     map[mcm.Hash]bool
	lastTip  time.Time
	nextLook time.Time // at the quorum
	quorate  bool
	shown    time.Time // when progress was
	changed  []*contact
}

// recall returns what a memory knows about trailers.
func recall(m *memory.Snapshot) *proof.KnownSet {
	invalid := make([]proof.Invalid, len(m.Invalid))
	for i, v := range m.Invalid {
		invalid[i] = proof.Invalid{ID: v.ID, Parent: v.Parent, Trailer: v.Trailer, Finding: v.Finding}
	}
	return proof.NewKnownSet(invalid, m.Verified)
}
