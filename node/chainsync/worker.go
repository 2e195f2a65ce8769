package chainsync

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
)

// A job is a range that links, with what proves who sent it.
type job struct {
	reply    *reply        // its trailers are those that were sent
	trailers []mcm.Trailer // of these, those above what is known already
	next     mcm.Trailer   // behind them
}

// A worker has the work of one download's ranges checked while others arrive, in
// large batches.  Where the engines don't keep up it has some drawn trailers of a
// range checked and leaves the rest to S4 (docs/spec/sync.md section 8.5).
type worker struct {
	d     *download
	moved chan struct{} // full when something was vetted, or err is set
	wake  chan struct{}

	mu    sync.Mutex
	queue []job // linked, and nothing known of their work
	busy  int   // taken from the queue and not vetted yet
	any   bool  // a range was vetted
	err   error // why the worker has stopped
}

func newWorker(d *download) *worker {
	return &worker{d: d, moved: make(chan struct{}, 1), wake: make(chan struct{}, 1)}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// feed hands a range over.  It doesn't wait: who fetches asks for no more while too
// many are unvetted.
func (w *worker) feed(j job) {
	w.mu.Lock()
	w.queue = append(w.queue, j)
	w.mu.Unlock()
	poke(w.wake)
}

// state returns how many ranges nothing is known of yet, whether any was vetted, and
// why the worker has stopped if it has.
func (w *worker) state() (unvetted int, any bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue) + w.busy, w.any, w.err
}

// run works until ctx ends or something is wrong.
func (w *worker) run(ctx context.Context) {
	for {
		err := w.step(ctx)
		if err != nil {
			w.mu.Lock()
			w.err = err
			w.mu.Unlock()
			poke(w.moved)
			return
		}
		w.mu.Lock()
		idle := len(w.queue) == 0
		w.mu.Unlock()
		if !idle {
			continue
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return
		}
	}
}

// step has one batch checked.  What more than two batches wait is sampled first.
func (w *worker) step(ctx context.Context) error {
	at := max(1, w.d.s.workshop.batch()/w.d.o.Limits.Range)
	if late := w.take(2*at, -1); len(late) > 0 {
		if err := w.sample(ctx, late); err != nil {
			return err
		}
		w.done(len(late))
	}
	jobs := w.take(0, at)
	if len(jobs) == 0 {
		return nil
	}
	if err := w.full(ctx, jobs); err != nil {
		return err
	}
	w.done(len(jobs))
	return nil
}

// take takes up to n jobs, -1 for all, behind the first ones.
func (w *worker) take(behind, n int) []job {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) <= behind {
		return nil
	}
	if n < 0 || n > len(w.queue)-behind {
		n = len(w.queue) - behind
	}
	jobs := append([]job(nil), w.queue[behind:behind+n]...)
	w.queue = append(w.queue[:behind:behind], w.queue[behind+n:]...)
	w.busy += n
	return jobs
}

func (w *worker) done(n int) {
	w.mu.Lock()
	w.busy -= n
	w.any = true
	w.mu.Unlock()
	poke(w.moved)
}

// full has all work of some ranges checked.
func (w *worker) full(ctx context.Context, jobs []job) error {
	shop := w.d.s.workshop
	var ts []mcm.Trailer
	var ids []mcm.Hash
	var left []job
	for _, j := range jobs {
		if shop.elsewhere(w.d.staging, j.trailers) {
			if err := w.d.worked(j.trailers[0].Num(), len(j.trailers)); err != nil {
				return err
			}
			continue
		}
		left = append(left, j)
		ts = append(ts, j.trailers...)
		ids = append(ids, j.reply.ids[len(j.reply.ids)-len(j.trailers):]...)
	}
	jobs = left
	bad, err := shop.check(ctx, ts, ids, shop.sharing.Load() > 1)
	if err != nil {
		return err
	}
	return w.credit(jobs, bad)
}

// credit notes what was found right, and returns the error for the lowest trailer that
// was not.  All who sent what is bad answer for what checking it has cost.
func (w *worker) credit(jobs []job, bad []badWork) error {
	var refusal *invalidError
	var failed []charge      // for what is above it
	at := 0                  // of the first trailer of the job in the batch
	for _, j := range jobs { // downwards
		good, n := len(j.trailers), 0
		for n < len(bad) && bad[n].index < at+len(j.trailers) {
			n++
		}
		if n > 0 {
			good = bad[0].index - at
			refusal = w.refuse(j, &j.trailers[good], bad[0].finding)
			refusal.faults[0].Failed = n
			refusal.faults = append(refusal.faults, failed...)
			failed = append(failed, charge{Peer: j.reply.peer, Failed: n})
			bad = bad[n:]
		}
		if good > 0 {
			if err := w.d.worked(j.trailers[0].Num(), good); err != nil {
				return err
			}
		}
		at += len(j.trailers)
	}
	if refusal == nil {
		return nil
	}
	return refusal
}

// sample has drawn trailers of each range checked.
func (w *worker) sample(ctx context.Context, jobs []job) error {
	shop := w.d.s.workshop
	var ts []mcm.Trailer
	var of []job
	for _, j := range jobs {
		for _, i := range weighted(j.trailers, w.d.o.Limits.Samples, shop.draw) {
			ts = append(ts, j.trailers[i])
			of = append(of, j)
		}
	}
	w.d.o.Metrics.samples.Add(float64(len(ts)))
	bad, err := shop.check(ctx, ts, nil, true)
	if err != nil || len(bad) == 0 {
		return err
	}
	lowest := slices.MinFunc(bad, func(a, b badWork) int { return cmp.Compare(ts[a.index].Num(), ts[b.index].Num()) })
	return w.refuse(of[lowest.index], &ts[lowest.index], lowest.finding)
}

// refuse returns the error for a trailer of a job that lacks its work.
func (w *worker) refuse(j job, t *mcm.Trailer, f *proof.Finding) *invalidError {
	e := newInvalid(nil, t, f)
	w.d.o.Known.Learn(t, e.ID, f)
	c := j.reply.charge(fault.InvalidTrailer, f, &j.next, w.d.o)
	e.faults = append(e.faults, c)
	return e
}
