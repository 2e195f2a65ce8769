package chainsync

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"sync"
	"time"

	"kigo/node/chain"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/status"
)

// What a download has met.
const (
	metOwn    = "own"    // the own chain
	metBase   = "base"   // the lowest block that anybody need serve
	metLegacy = "legacy" // block 0xa0700, below which history goes on
)

// A meeting is where a download has come upon something known.
type meeting struct {
	what string       // empty: nowhere yet
	num  mcm.BlockNum // the highest block that the branch shares with it
}

// A download follows one branch backwards from its tip until it meets something known
// (docs/spec/sync.md section 8.5, S2).  What it has is in its staging, which outlives
// it.  run is for one goroutine; status may be called by others all the while.
type download struct {
	s *Syncer
	o *Options
	b *Branch

	staging *chain.Staging // nil: the tip is on the own chain already
	met     meeting

	sources *sources
	worker  *worker
	bottom  mcm.BlockNum // the lowest block that is asked for here
	low     mcm.Trailer  // the lowest that links to the tip
	slots   []*slot      // below low, downwards without a gap
	depth   int          // ranges at once below the own tip
	linked  int          // ranges that linked
	reasons map[string]int
	served  []served
	earlier []*chain.Staging // of earlier runs, which the walk may meet

	pinned   bool         // the pin vouches for what is below version 3
	distrust mcm.BlockNum // own blocks up to it count for nothing, as the pin's isn't among them
	suspects map[mcm.Hash][]suspect
	crowd    int                 // supporters, those of a version included
	old      bool                // below version 3 without a pin
	version  bool                // follows one version of that history only
	others   map[mcm.Weight]bool // versions that were looked at
	heard    hearings
	files    int // whole files that were asked for

	ctx    context.Context
	cancel context.CancelCauseFunc
	wg     sync.WaitGroup
	under  map[*probe]bool // requests under way
	probes chan *probe     // those that are over
	wake   <-chan struct{}

	mu   sync.Mutex // guards view, and which staging it is
	view status.Branch
}

// A slot is a range that is wanted.
type slot struct {
	first mcm.BlockNum
	count int
	reply *reply // that came, and waits until the one above it has linked
	tries []*probe
	asked time.Time // when somebody was last
}

func (s *slot) last() mcm.BlockNum { return s.first + mcm.BlockNum(s.count) - 1 }

// served is a range that linked, for accounts.
type served struct {
	peer  netip.Addr
	first mcm.BlockNum
	count int
}

// newDownload begins to follow a branch, or goes on with what an earlier run has left
// of it.  The error is our own failure, or an *anchorError.
func newDownload(s *Syncer, b *Branch) (*download, error) {
	d := &download{
		s: s, o: &s.o, b: b,
		sources: newSources(b.Supporters),
		reasons: map[string]int{},
		under:   map[*probe]bool{},
		bottom:  max(s.o.Base.Num, mcm.V30Trigger),
		depth:   1,

		pinned:   s.o.pinned(),
		suspects: map[mcm.Hash][]suspect{},
		crowd:    len(b.Supporters),
	}
	if d.pinned {
		d.bottom = d.o.Base.Num
		if p := d.o.Pin; !d.o.Chain.Has(p.Height, p.Hash) {
			d.distrust = p.Height
		}
	}
	ts := b.Trailers
	if err := d.anchors(ts); err != nil {
		return nil, err
	}
	for _, a := range d.fixed() {
		if a.num > b.Tip().Num() {
			return nil, &anchorError{Name: a.name, Num: a.num, Want: a.hash}
		}
	}
	if above := d.above(ts); above < len(ts) {
		ts = ts[above:]
		if err := d.stage(ts); err != nil {
			if d.staging != nil {
				d.s.sched.drop(d.staging)
			}
			return nil, err
		}
		if err := d.recheck(); err != nil {
			d.s.sched.drop(d.staging)
			return nil, err
		}
		if err := d.begin(); err != nil {
			return nil, err
		}
	} else {
		d.met = meeting{metOwn, b.Tip().Num()}
	}
	d.worker = newWorker(d)
	d.show(stageAnchoring)
	return d, nil
}

// begin has the walk go on below what the staging has.
func (d *download) begin() error {
	low, _, _ := d.staging.Bounds()
	ts, err := d.staging.Trailers(low, 1)
	if err != nil || len(ts) != 1 {
		return errors.Join(err, fmt.Errorf("chainsync: staging %s has no block %v", d.staging.Name(), low))
	}
	d.low = ts[0]
	return nil
}

// close waits for what run has begun, which has ended when run has returned.
func (d *download) close() { d.wg.Wait() }

// status returns how far the download has come.
func (d *download) status() status.Branch {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.view
}

// show updates what status returns.
func (d *download) show(stage string) {
	v := status.Branch{Tip: *d.b.Tip().Hash(), Height: d.b.Tip().Num(), Stage: stage, Low: d.low.Num(), Target: d.bottom}
	if tip, ok := d.o.Chain.Tip(); ok && tip.Num > d.bottom {
		v.Target = min(tip.Num, v.Height)
	}
	if d.staging != nil {
		low, high, _ := d.staging.Bounds()
		v.Trailers = int64(high-low) + 1
		v.Checked = v.Trailers
		for _, s := range d.staging.Unworked() {
			v.Checked -= int64(s.Count)
		}
	}
	v.Sources, _ = d.sources.count(time.Now())
	v.Flight = len(d.under)
	d.mu.Lock()
	d.view = v
	d.mu.Unlock()
}

// worked notes in the staging that the work of some trailers is proven.
func (d *download) worked(first mcm.BlockNum, count int) error {
	return d.staging.Worked(first, count)
}

// run fetches until something known is met and all that came is checked or sampled,
// and below block 0xa0700 the history.  It returns nil then, an *invalidError, an
// *anchorError or an *unavailableError for what is wrong with the branch, our own
// failure, or the cause of ctx.
func (d *download) run(ctx context.Context) error {
	if d.staging == nil {
		return nil
	}
	defer d.wg.Wait()
	d.ctx, d.cancel = context.WithCancelCause(ctx)
	defer d.cancel(context.Canceled)
	d.probes = make(chan *probe, d.o.Limits.Flight)
	d.wake = d.s.sched.join(d)
	defer d.s.sched.leave(d)
	d.s.workshop.sharing.Add(1)
	defer d.s.workshop.sharing.Add(-1)
	d.wg.Go(func() { d.worker.run(d.ctx) })

	began := time.Now()
	err := d.obtain(d.ctx)
	d.s.sched.content(d)
	d.o.Metrics.seconds.WithLabelValues(stageAnchoring).Add(time.Since(began).Seconds())
	if err == nil {
		err = d.vetted()
	}
	d.stopAll()
	if err == nil && d.met.what == metLegacy {
		err = d.history(d.ctx)
	}
	err = d.judged(err)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d.wasted(err)
	if err == nil {
		d.show(stageWork)
	}
	return err
}

// obtain has something known be met, by ranges or else by whole files.
func (d *download) obtain(ctx context.Context) error {
	for {
		err := d.walk()
		if stuck, is := err.(*unavailableError); is {
			err = d.wholeFile(ctx, stuck)
		}
		if err != nil || d.met.what != "" {
			return err
		}
	}
}

// walk fetches ranges until something known is met.
func (d *download) walk() error {
	if err := d.gather(); err != nil {
		return err
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if err := d.look(); err != nil || d.met.what != "" {
			return err
		}
		if _, _, err := d.worker.state(); err != nil {
			return err
		}
		next, stuck := d.fill()
		if stuck {
			return &unavailableError{at: d.low.Num() - 1, reasons: maps.Clone(d.reasons)}
		}
		if d.old {
			d.show(stageHistory)
		} else {
			d.show(stageAnchoring)
		}
		if !next.IsZero() {
			timer.Reset(max(0, time.Until(next)))
		}
		select {
		case p := <-d.probes:
			if err := d.over(p); err != nil {
				return err
			}
		case <-d.wake:
		case <-d.worker.moved:
		case <-timer.C:
		case <-d.ctx.Done():
			return context.Cause(d.ctx)
		}
	}
}

// vetted waits until the worker has seen to all that was linked.
func (d *download) vetted() error {
	for {
		left, _, err := d.worker.state()
		if err != nil || left == 0 {
			return err
		}
		select {
		case <-d.worker.moved:
		case p := <-d.probes:
			d.finish(p)
		case <-d.ctx.Done():
			return context.Cause(d.ctx)
		}
	}
}

// stopAll ends what is still under way, which nobody is charged for, and waits for it.
func (d *download) stopAll() {
	for p := range d.under {
		p.stop(errHedged)
	}
	for len(d.under) > 0 {
		d.finish(<-d.probes)
	}
	d.slots = nil
}

// wasted charges those who served what turns out to be worth nothing: trailers that
// stand on an invalid one.  What is below it may be genuine.
func (d *download) wasted(err error) {
	e, ok := err.(*invalidError)
	if !ok {
		return
	}
	for _, s := range d.served {
		if s.first > e.at {
			e.faults = append(e.faults, charge{Peer: s.peer, Worthless: s.count})
		}
	}
}

// observe charges a peer at once.
func (d *download) observe(c charge) {
	if c.Fault != nil {
		d.s.faulted(c.Fault)
	}
	if c.settle(d.o.Accounts, d.o.Now()) {
		d.o.Log.Info("peer banned", "peer", c.Peer, "kind", c.Fault.Kind)
	}
}

// because counts why a source was of no use.
func (d *download) because(k fault.Kind, otherwise string) {
	why := string(k)
	if why == "" {
		why = otherwise
	}
	d.reasons[why]++
}

// anchors holds trailers, which follow one another, against the blocks that every
// chain has to have.
func (d *download) anchors(ts []mcm.Trailer) error {
	first, last := ts[0].Num(), ts[len(ts)-1].Num()
	for _, a := range d.fixed() {
		if a.num < first || a.num > last {
			continue
		}
		if got := *ts[a.num-first].Hash(); got != a.hash {
			return &anchorError{Name: a.name, Num: a.num, Got: got, Want: a.hash}
		}
	}
	return nil
}

// above returns how many of ts, counted from the lowest, are on the own chain.
func (d *download) above(ts []mcm.Trailer) int {
	from, to := 0, len(ts)
	for from < to { // on the own chain below from, not from to on
		mid := (from + to) / 2
		if d.onOwn(ts[mid].Num(), *ts[mid].Hash()) {
			from = mid + 1
		} else {
			to = mid
		}
	}
	return from
}

// onOwn reports whether a block is on the own chain, as far as that counts.
func (d *download) onOwn(n mcm.BlockNum, h mcm.Hash) bool {
	return (d.distrust == 0 || n > d.distrust) && d.o.Chain.Has(n, h)
}

// look notes whether the lowest trailer meets something known.
func (d *download) look() error {
	n := d.low.Num()
	switch {
	case n > 0 && d.onOwn(n-1, *d.low.PrevHash()):
		d.met = meeting{metOwn, n - 1}
		// A chain that leaves the own one below a block that all must have hasn't got
		// that block, unless it has been seen above.
		for _, a := range d.fixed() {
			if a.num >= d.o.Base.Num && a.num < n && !d.o.Chain.Has(a.num, a.hash) {
				return &anchorError{Name: a.name, Num: a.num, Want: a.hash}
			}
		}
	case n <= d.o.Base.Num:
		d.met = meeting{metBase, n}
	case n <= d.bottom:
		d.met = meeting{metLegacy, n}
	}
	return nil
}

// A fixed block is one that every chain has to have.
type fixed struct {
	name string
	num  mcm.BlockNum
	hash mcm.Hash
}

// fixed returns the blocks that every chain has to have.
func (d *download) fixed() (all []fixed) {
	if b := &d.o.Base; b.Num > 0 {
		all = append(all, fixed{"base", b.Num, b.Hash})
	}
	if f := d.o.Floor; f != nil {
		all = append(all, fixed{"floor", f.Num, f.Hash})
	}
	if p := d.o.Pin; p != nil {
		all = append(all, fixed{"pin", p.Height, p.Hash})
	}
	return all
}

// errHedged ends a request for a range that another source has served.
var errHedged = fmt.Errorf("chainsync: another source was quicker")
