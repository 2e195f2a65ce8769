package chainsync

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"kigo/node/chain"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/scan"
	"kigo/node/status"
	"kigo/node/tfile"
)

// A Syncer obtains branches, proves them, and makes the best one the own chain.
type Syncer struct {
	o        Options
	sched    *scheduler
	workshop *workshop
	waits    *waits

	turn chan struct{} // full while a Run is under way

	mu       sync.Mutex // guards what follows, which is counted in each Run
	faults   map[fault.Kind]int
	bytes    int64
	trailers int64
	before   int64 // checks before this Run

	// deep holds the first trailers of branches that wanted another scan.
	deep map[mcm.Hash]bool

	pasts map[mcm.Weight]time.Time // weights of old history, when they were looked at
}

// New returns a Syncer.  It starts nothing.
func New(o Options) (*Syncer, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	s := &Syncer{turn: make(chan struct{}, 1), deep: map[mcm.Hash]bool{}, pasts: map[mcm.Weight]time.Time{}}
	s.o = o
	s.waits = newWaits(&s.o)
	s.workshop = newWorkshop(&s.o)
	s.sched = newScheduler(s)
	return s, nil
}

// Steps names the moments at which Options.Hook is called, in the order in which a
// sync comes by them.
func Steps() []string {
	return []string{stepExact, stepSampled, stepProven, stepSwitching, stepSwitched}
}

// The steps of a sync.
const (
	stepExact     = "sync.exact"     // the exact weight of a branch is known
	stepSampled   = "sync.sampled"   // nothing is wrong with what was drawn of one
	stepProven    = "sync.proven"    // all of the work of the best one is proven
	stepSwitching = "sync.switching" // the own chain is still the old one
	stepSwitched  = "sync.switched"  // it is the new one
)

// Run obtains the branches, which a scan has found, and makes the best of them the
// own chain if it goes before it (docs/spec/sync.md sections 8.5 and 8.6).  Until then
// the own chain is left as it is.  When trailers turn out to be invalid, what follows
// from them is given up and another branch chosen; no other scan is needed.
//
// Run returns when it has chosen, which may be to stay, or found that there is nothing
// to choose from.  What is unresolved by then is in Outcome.Behind, and Run can be
// called with it: what was fetched so far is still there, also after a restart.
//
// Ties go by the supporters in the branches, so a branch with those of the own tip
// belongs among them.  An error is our own failure or the cause of ctx; the outcome
// beside it says what was found out by then.  One Run is under way at a time; another
// call waits.
func (s *Syncer) Run(ctx context.Context, branches []Branch) (*Outcome, error) {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	r := s.newRun(branches)
	err := r.survey()
	if err == nil {
		err = r.work(ctx)
	}
	if err == nil {
		err = r.pasts(ctx)
	}
	err = errors.Join(err, r.finish())
	var damage *chain.DamageError
	if errors.As(err, &damage) {
		err = errors.Join(err, s.reopen())
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return r.out, err
}

// reopen closes all stagings after one was found damaged: when they are opened for the
// next Run, what is wrong with them is dropped.
func (s *Syncer) reopen() error {
	all, err := s.o.Chain.Stagings()
	for _, g := range all {
		err = errors.Join(err, g.Close())
	}
	return err
}

// faulted counts a fault that a peer is charged with.
func (s *Syncer) faulted(f *fault.Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[f.Kind]++
	s.o.Metrics.faulted(f.Kind)
}

// received counts bytes that peers sent.
func (s *Syncer) received(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bytes += n
}

// linked counts trailers that linked to the tip of a branch.
func (s *Syncer) linked(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trailers += int64(n)
}

// counts returns what was counted so far.
func (s *Syncer) counts() (bytes, trailers, checked int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes, s.trailers, s.workshop.checked.Load() - s.before
}

// A run is one call of Run.  It is for one goroutine, but for what mu guards.
type run struct {
	s       *Syncer
	out     *Outcome
	given   []Branch
	places  []*place // by rank
	own     *contender
	onOwn   bool // a peer has shown the own chain or a part of it
	began   time.Time
	late    bool // it is time to choose among what is there
	results chan result
	wg      sync.WaitGroup
	cancel  context.CancelFunc
	convict []conviction

	mu       sync.Mutex // guards state, d and c of places, and what is below
	stage    string
	quick    *status.Sampled
	reporter *reporter
}

// A result is how the download of a place ended.
type result struct {
	p   *place
	err error
}

func (s *Syncer) newRun(branches []Branch) *run {
	r := &run{
		s:     s,
		given: branches,
		began: s.o.Now(),
		out:   &Outcome{Faults: map[fault.Kind]int{}},
	}
	// A tip that our clock doesn't allow yet has a place of its own, so that it can't
	// stand for others.
	var good, early []*Branch
	for i := range branches {
		switch b := &branches[i]; {
		case len(b.Trailers) == 0:
		case rules.Early(b.Tip(), r.began.Unix()):
			early = append(early, b)
		default:
			good = append(good, b)
		}
	}
	r.places = places(good)
	for _, b := range early {
		p := places([]*Branch{b})[0]
		p.early = true
		p.resolve(Unresolved, "its tip is ahead of our clock")
		r.places = append(r.places, p)
	}
	r.results = make(chan result, len(r.places))
	s.sched.reset()
	s.mu.Lock()
	s.faults = map[fault.Kind]int{}
	s.bytes, s.trailers, s.before = 0, 0, s.workshop.checked.Load()
	s.mu.Unlock()
	return r
}

// survey says of each place what needs no calls to say.
func (r *run) survey() error {
	if tip, ok := r.s.o.Chain.Tip(); ok {
		r.out.From, r.out.To = tip, tip
	}
	if err := r.tidy(); err != nil {
		return err
	}
	for _, p := range r.places {
		p.onOwn = make([]bool, len(p.head.Supporters))
		for i := range p.onOwn {
			at := &p.head.Supporters[i].Claim
			p.onOwn[i] = r.s.o.Chain.Has(at.Num, at.Hash)
		}
	}
	if err := r.refresh(); err != nil {
		return err
	}
	for _, p := range r.places {
		if p.state == done {
			continue
		}
		if err := r.look(p); err != nil {
			return err
		}
	}
	return r.sift()
}

// tidy removes what earlier runs have left of branches that the own chain has come to.
func (r *run) tidy() error {
	all, err := r.s.o.Chain.Stagings()
	if err != nil {
		return err
	}
	for _, g := range all {
		if _, high, ok := g.Bounds(); !ok || r.s.o.Chain.Has(high, g.Tip()) {
			if err := g.Remove(); err != nil {
				return err
			}
		}
	}
	return nil
}

// look resolves a place that hangs on the own chain by what is known of it, and says
// of another whether it waits.
func (r *run) look(p *place) error {
	o, now := &r.s.o, r.s.o.Now()
	tip := p.tip()
	if o.Chain.Has(tip.Num(), *tip.Hash()) {
		r.onOwn = true
		if r.own != nil && *tip.Hash() == r.own.tip {
			p.resolve(Chosen, "it is the own chain")
		} else {
			p.resolve(Lighter, "it is part of the own chain")
		}
		return nil
	}
	if name := r.lacks(p); name != "" {
		r.refuse(p, name)
		return nil
	}
	p.tall = r.tall(tip)
	p.waits = r.s.waits.hold(&p.head, now)
	c, err := r.nearby(p)
	if err != nil || c == nil {
		return err
	}
	return r.met(p, c)
}

// tall reports whether a tip is higher above what we know than is likely.
func (r *run) tall(tip *mcm.Trailer) bool {
	o := &r.s.o
	num, at := o.Base.Num, o.Base.Time
	if o.Floor != nil && o.Floor.Num > num {
		num, at = o.Floor.Num, o.Floor.Time
	}
	if own := r.out.From; own.Num > num {
		num, at = own.Num, own.Time
	}
	return tip.Num() > num && !plausible(uint64(tip.Num()-num), o.Now().Sub(time.Unix(int64(at), 0)))
}

// resolve ends a place.
func (p *place) resolve(e End, format string, args ...any) {
	p.state, p.end, p.detail = done, e, fmt.Sprintf(format, args...)
}

// work has places fetched until there is a choice.
func (r *run) work(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	r.cancel = cancel
	r.reporter = newReporter(r)
	defer r.reporter.stop()
	timer := time.NewTimer(r.s.o.Limits.Resolve)
	defer timer.Stop()
	for {
		if err := r.fill(ctx); err != nil {
			return err
		}
		if len(r.results) == 0 && r.ready() {
			if done, err := r.decide(ctx); done || err != nil {
				return err
			}
			continue
		}
		select {
		case res := <-r.results:
			if err := r.settle(ctx, res); err != nil {
				return err
			}
		case <-timer.C:
			r.late = true
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// ready reports whether it is time to choose: what matters most is resolved, or has
// had its time; or there is nothing more to come.
func (r *run) ready() bool {
	open, due, found := false, false, r.onOwn
	for _, p := range r.places {
		switch p.state {
		case exact, shelved:
			found = true
		case running:
			open = true
			due = due || r.must(p)
		case pending:
			if !p.waits {
				open = true
				due = due || r.must(p)
			}
		}
	}
	if !open {
		return !r.left() || found
	}
	if r.late {
		return found || r.own != nil
	}
	return found && !due
}

// left reports whether a place is still to be tried.
func (r *run) left() bool {
	for _, p := range r.places {
		if p.state == pending || p.state == running {
			return true
		}
	}
	return false
}

// start begins the download of a place.  It returns false when the place is done
// already, or when there is no room for it.
func (r *run) start(ctx context.Context, p *place, slot int) (started bool, err error) {
	d, err := newDownload(r.s, &p.head)
	for errors.Is(err, chain.ErrRoom) {
		made, failed := r.makeRoom()
		if failed != nil {
			return false, failed
		}
		if !made {
			break
		}
		d, err = newDownload(r.s, &p.head)
	}
	if errors.Is(err, chain.ErrRoom) {
		if !r.busy() {
			p.resolve(Unresolved, "no room for its trailers")
		}
		return false, nil
	}
	if err != nil {
		return false, r.settle(ctx, result{p, err})
	}
	r.mu.Lock()
	p.state, p.slot, p.d, p.waits = running, slot, d, false
	r.mu.Unlock()
	r.s.o.Metrics.places.Inc()
	r.wg.Go(func() {
		r.results <- result{p, d.run(ctx)}
	})
	return true, nil
}

// busy reports whether a download is under way.
func (r *run) busy() bool {
	for _, p := range r.places {
		if p.state == running {
			return true
		}
	}
	return false
}

// settle takes over how a download ended.  The error is our own failure.
func (r *run) settle(ctx context.Context, res result) error {
	p := res.p
	if p.state == running {
		r.s.o.Metrics.places.Dec()
	}
	r.mu.Lock()
	if p.state == running {
		p.state = pending
	}
	r.mu.Unlock()
	var invalid *invalidError
	var unavailable *unavailableError
	var anchor *anchorError
	var pin *tfile.PinError
	switch {
	case res.err == nil:
		c, err := r.staged(p)
		if err != nil || c == nil {
			return err
		}
		return r.met(p, c)
	case errors.As(res.err, &invalid):
		return r.fell(p, invalid, false)
	case errors.As(res.err, &unavailable):
		p.resolve(Unavailable, "%v", unavailable)
		r.s.waits.failed(&p.head, unavailable.Error(), r.s.o.Now())
		return r.put(p)
	case errors.Is(res.err, chain.ErrRoom):
		if made, err := r.makeRoom(); made || err != nil {
			// It goes on from what it has.
			g := r.stagingOf(p)
			r.release(p)
			if g != nil {
				r.s.sched.drop(g)
			}
			return err
		}
		p.resolve(Unresolved, "no room for its trailers")
		return r.drop(p)
	case errors.As(res.err, &pin):
		// Ours: what has come so far is as good as before.
		r.alarm(PinAlarm, "%v: the settings contradict themselves, or %d groups conspire", pin, few)
		p.resolve(Refused, "%v", pin)
		return r.put(p)
	case errors.As(res.err, &anchor):
		r.refuse(p, anchor.Error())
		return r.drop(p)
	case ctx.Err() != nil:
		return nil // what it has stays for the next time
	}
	return res.err
}

// alarm adds an alarm, each once.
func (r *run) alarm(kind scan.AlarmKind, format string, args ...any) {
	a := scan.Alarm{Kind: kind, Detail: fmt.Sprintf(format, args...)}
	for _, b := range r.out.Alarms {
		if a == b {
			return
		}
	}
	r.out.Alarms = append(r.out.Alarms, a)
}
