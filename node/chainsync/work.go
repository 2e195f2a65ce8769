package chainsync

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"kigo/node/chain"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/proof"
	"kigo/node/verify"
	"kigo/node/wire"
)

// Bounds of one batch of work: about batchTime of it, so that whoever waits for the
// engines waits no longer, within what any engine is good at.
const (
	batchTime = 500 * time.Millisecond
	minBatch  = 256
	maxBatch  = 1 << 15
)

// A workshop has the work of trailers checked, each once: what the known set or a
// staging holds for proven isn't checked again.  One serves a whole Syncer.
type workshop struct {
	o       *Options
	checked atomic.Int64 // trailers that the engines were given
	sharing atomic.Int32 // downloads under way; several may hold the same trailers
	sched   *scheduler   // knows the branches' stagings; nil: there are none

	mu   sync.Mutex
	rate float64 // checks a second, of the latest batches; 0: none yet
}

func newWorkshop(o *Options) *workshop { return &workshop{o: o} }

// batch returns how many trailers the engines do in about batchTime.
func (w *workshop) batch() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(minBatch, min(maxBatch, int(w.rate*batchTime.Seconds())))
}

// measure learns from n checks that took d.  Small batches say little about what a
// large one takes.
func (w *workshop) measure(n int, d time.Duration) {
	if n < minBatch/4 {
		return
	}
	rate := float64(n) / max(d, time.Microsecond).Seconds()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rate == 0 {
		w.rate = rate
		return
	}
	w.rate += 0.3 * (rate - w.rate)
}

// verify has the work of a span of g checked, lowest first, and notes in g what is
// proven as it goes.  It returns an *invalidError for the lowest trailer that lacks
// its work, an error of the engines, or the cause of ctx.
func (w *workshop) verify(ctx context.Context, g *chain.Staging, span chain.Span) error {
	for span.Count > 0 {
		n := min(span.Count, w.batch())
		ts, err := g.Trailers(span.First, n)
		if err != nil {
			return err
		}
		if len(ts) != n {
			return fmt.Errorf("chainsync: staging has %d trailers from block %v on, expected %d", len(ts), span.First, n)
		}
		var bad []badWork
		if !w.elsewhere(g, ts) {
			if bad, err = w.check(ctx, ts, nil, w.sharing.Load() > 1); err != nil {
				return err
			}
		}
		if len(bad) > 0 {
			if good := bad[0].index; good > 0 {
				if err := g.Worked(span.First, good); err != nil {
					return err
				}
			}
			return w.invalid(g, &ts[bad[0].index], bad[0].finding, "work")
		}
		if err := g.Worked(span.First, n); err != nil {
			return err
		}
		span.First += mcm.BlockNum(n)
		span.Count -= n
	}
	return nil
}

// elsewhere reports whether another branch has these trailers of g, with their work
// proven.
func (w *workshop) elsewhere(g *chain.Staging, ts []mcm.Trailer) bool {
	return w.sched != nil && w.sched.proven(g, ts)
}

// sample has the work of single trailers of g checked and remembers each.  It
// returns what verify does.
func (w *workshop) sample(ctx context.Context, g *chain.Staging, ts []mcm.Trailer) error {
	bad, err := w.check(ctx, ts, nil, true)
	if err != nil {
		return err
	}
	if len(bad) == 0 {
		w.remember(ts)
		return nil
	}
	return w.invalid(g, &ts[bad[0].index], bad[0].finding, "sample")
}

// invalid returns the error for t, a trailer of g without its work.  Who sent it is
// charged: that is our own record, though the packets are gone.
func (w *workshop) invalid(g *chain.Staging, t *mcm.Trailer, f *proof.Finding, where string) *invalidError {
	e := newInvalid(nil, t, f)
	w.o.Known.Learn(t, e.ID, f)
	if from := g.Sender(t.Num()); from.IsValid() {
		e.faults = []charge{{
			Peer:   from,
			Fault:  &fault.Fault{Kind: fault.InvalidTrailer, Peer: from, Detail: fmt.Sprintf("found by %s: %v", where, f)},
			Failed: 1, Worthless: 1,
		}}
	}
	return e
}

// newInvalid returns the error for t, which is invalid for f on parent, nil for what
// it shows by itself.
func newInvalid(parent, t *mcm.Trailer, f *proof.Finding) *invalidError {
	inv := proof.Invalid{ID: proof.Key(parent, t), Parent: *t.PrevHash(), Trailer: *t, Finding: *f}
	inv.Finding.Index = -1
	return &invalidError{Invalid: inv, at: t.Num()}
}

// A badWork is a trailer of a batch that lacks its work.
type badWork struct {
	index   int
	finding *proof.Finding
}

// check has the work of ts checked, but for what is known, and returns those that are
// bad, in order.  has are their trailer ids, nil if nobody has them yet.  Learn says
// whether to remember those that are good; bad ones are left to the caller.
func (w *workshop) check(ctx context.Context, ts []mcm.Trailer, has []mcm.Hash, learn bool) (bad []badWork, err error) {
	batch := make([]mcm.Trailer, 0, len(ts))
	index := make([]int, 0, len(ts))
	ids := make([]mcm.Hash, 0, len(ts))
	for i := range ts {
		if !proof.IsWorked(&ts[i]) {
			continue
		}
		var id mcm.Hash
		if has != nil {
			id = has[i]
		} else {
			id = proof.ID(&ts[i])
		}
		if w.o.Known.Valid(id) {
			continue
		}
		batch, index, ids = append(batch, ts[i]), append(index, i), append(ids, id)
	}
	if len(batch) == 0 {
		return nil, nil
	}
	results := make([]verify.Result, len(batch))
	began := time.Now()
	if err := w.o.Verifier.VerifyPoW(ctx, results, batch); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("chainsync: proof of work of %d trailers: %w", len(batch), err)
	}
	took := time.Since(began)
	w.measure(len(batch), took)
	w.checked.Add(int64(len(batch)))
	w.o.Metrics.work(len(batch), took)
	for i := range batch {
		switch v := results[i].Verdict; {
		case v == verify.Valid:
			if learn {
				w.o.Known.Learn(&batch[i], ids[i], nil)
			}
		case v.Bad():
			bad = append(bad, badWork{index[i], proof.LacksWork(&batch[i], &results[i])})
		default:
			return nil, fmt.Errorf("%w: %v for block %v", errVerdict, v, batch[i].Num())
		}
	}
	return bad, nil
}

// weighted returns the indexes of n draws among the worked trailers of ts, each with
// probability in proportion to its 2^difficulty, ascending and each once.  Peers
// must not be able to guess what draw returns.
func weighted(ts []mcm.Trailer, n int, draw func(n int) int) []int {
	sums := make([]float64, len(ts))
	total := 0.0
	for i := range ts {
		if proof.IsWorked(&ts[i]) {
			total += math.Ldexp(1, int(ts[i].WorkDifficulty()))
		}
		sums[i] = total
	}
	return pick(sums, n, draw)
}

// pick returns the indexes at which n draws fall, given the running sums of weights;
// none where all weigh nothing.
func pick(sums []float64, n int, draw func(n int) int) []int {
	if len(sums) == 0 || sums[len(sums)-1] <= 0 {
		return nil
	}
	total := sums[len(sums)-1]
	picked := make([]int, 0, n)
	for range n {
		// 60 bits, where one draw is of an int that may have 32.
		const half = 1 << 30
		u := (float64(draw(half)) + float64(draw(half))/half) / half * total
		// The first whose sum is above u: one that weighs something.
		i := sort.Search(len(sums), func(i int) bool { return sums[i] > u })
		if i == len(sums) { // rounding
			i = sort.Search(len(sums), func(i int) bool { return sums[i] >= total })
		}
		picked = append(picked, i)
	}
	slices.Sort(picked)
	return slices.Compact(picked)
}

// remember keeps the ids of trailers that were found good across a restart.  A staging
// notes whole spans, and single trailers would tear its spans apart.
func (w *workshop) remember(ts []mcm.Trailer) {
	if w.o.Memory == nil {
		return
	}
	var c memory.Changes
	for i := range ts {
		if proof.IsWorked(&ts[i]) {
			c.Verified = append(c.Verified, proof.ID(&ts[i]))
		}
	}
	if err := w.o.Memory.Save(w.o.Now(), &c); err != nil {
		w.o.Log.Warn("sync: samples were not saved", "err", err)
	}
}

// sampled draws n trailers of the spans of g, each with probability in proportion to
// its 2^difficulty, and has their work checked: what docs/spec/sync.md section 8.5
// calls the first step of S4.  It must be called after all of them have arrived.  If
// a fraction ε of the weight has no valid work, the chance that this finds nothing is
// (1-ε)^n.  It returns what verify does.
func (w *workshop) sampled(ctx context.Context, g *chain.Staging, spans []chain.Span, n int) error {
	// The sums of pieces first, and then of the trailers in those that are hit, so
	// that a million trailers need not be in memory.
	var pieces []chain.Span
	for _, s := range spans {
		for s.Count > 0 {
			c := min(s.Count, wire.MaxTF)
			pieces = append(pieces, chain.Span{First: s.First, Count: c})
			s.First, s.Count = s.First+mcm.BlockNum(c), s.Count-c
		}
	}
	sums := make([]float64, len(pieces))
	total := 0.0
	for i, p := range pieces {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		ts, err := g.Trailers(p.First, p.Count)
		if err != nil {
			return err
		}
		total += proof.Stated(ts)
		sums[i] = total
	}
	if total == 0 {
		return nil
	}
	hits := make([]int, len(pieces))
	for range n {
		for _, i := range pick(sums, 1, w.draw) {
			hits[i]++
		}
	}
	var drawn []mcm.Trailer
	for i, p := range pieces {
		if hits[i] == 0 {
			continue
		}
		ts, err := g.Trailers(p.First, p.Count)
		if err != nil {
			return err
		}
		for _, k := range weighted(ts, hits[i], w.draw) {
			drawn = append(drawn, ts[k])
		}
	}
	w.o.Metrics.samples.Add(float64(len(drawn)))
	return w.sample(ctx, g, drawn)
}

// draw picks in [0, n), for any goroutine.
func (w *workshop) draw(n int) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.o.Draw(n)
}
