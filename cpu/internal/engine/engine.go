package engine

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"kigo/node/mcm"
	"kigo/node/verify"
)

// Cores is the right to use n processor cores, shared by engines.
type Cores struct {
	n   int
	sem *semaphore.Weighted // first come, first served
}

// NewCores returns n cores, at least one.
func NewCores(n int) *Cores {
	n = max(n, 1)
	return &Cores{n, semaphore.NewWeighted(int64(n))}
}

// An Engine is a verify.Backend on CPU cores.
type Engine struct {
	info  verify.Info
	cores *Cores
	// idle has the workers that no core uses.  There are never more than cores:
	// a caller that waits for its turn holds none.
	idle      chan *worker
	newKernel func() Kernel
}

var _ verify.Backend = (*Engine)(nil)

// New returns an engine whose workers each use a kernel of their own.
// info.Chunk bounds what one call of a kernel is given: a call can't be
// cancelled, so it should take 10 to 30 ms.
func New(info verify.Info, cores *Cores, newKernel func() Kernel) *Engine {
	return &Engine{info: info, cores: cores, idle: make(chan *worker, cores.n), newKernel: newKernel}
}

// Info describes the engine.
func (e *Engine) Info() verify.Info { return e.info }

// Close returns nil; an engine holds nothing but memory.
func (e *Engine) Close() error { return nil }

// VerifyPoW implements verify.Verifier.
func (e *Engine) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	if err := verify.CheckLengths(dst, batch); err != nil {
		return err
	}
	clear(dst)
	j := &job{ctx: ctx, dst: dst, batch: batch, share: e.share(len(batch))}
	j.prepared.L = &j.mu
	var wg sync.WaitGroup
	for range min(e.cores.n, divUp(len(batch), j.share)) - 1 {
		wg.Go(func() { e.work(j) })
	}
	e.work(j)
	wg.Wait()
	if !j.finished() {
		return verify.Interrupted(ctx)
	}
	return nil
}

// leastShare is the part of a chunk below which a batch isn't split: a wide engine
// takes nearly as long for a quarter as for half, so splitting on would keep many
// cores busy to gain little.
const leastShare = 4

// share returns how many trailers a worker takes at a time: an even part of the
// batch in whole steps of the engine's lanes, between a quarter of a chunk and a
// chunk.  Parts of equal size let the cores end together.
func (e *Engine) share(n int) int {
	lanes := max(e.info.Lanes, 1)
	part := divUp(n, e.cores.n)
	part = divUp(part, divUp(part, e.info.Chunk)) // in so many rounds
	part = max(part, e.info.Chunk/leastShare)
	return min(divUp(part, lanes)*lanes, e.info.Chunk)
}

// divUp returns a/b rounded up, at least 1.
func divUp(a, b int) int { return max(1, (a+b-1)/b) }

// work does parts of j, each in its turn on a core, until none is left.
func (e *Engine) work(j *job) {
	for !j.finished() && e.cores.sem.Acquire(j.ctx, 1) == nil {
		w := e.worker()
		if n := j.take(w); n > 0 {
			w.kernel.Hash(w.hashes[:n], w.trailers[:n])
			for i, at := range w.index[:n] {
				j.dst[at] = verify.JudgePeach(&w.trailers[i], &w.hashes[i])
			}
		}
		e.idle <- w // has room for one a core
		e.cores.sem.Release(1)
	}
}

// worker returns an idle worker, or a new one.  The caller has a core.
func (e *Engine) worker() *worker {
	select {
	case w := <-e.idle:
		return w
	default:
		return &worker{
			kernel:   e.newKernel(),
			trailers: make([]mcm.Trailer, e.info.Chunk),
			hashes:   make([]mcm.Hash, e.info.Chunk),
			index:    make([]int32, e.info.Chunk),
		}
	}
}

// A worker is a kernel and the trailers it is given, gathered from a batch.
type worker struct {
	kernel   Kernel
	trailers []mcm.Trailer
	hashes   []mcm.Hash
	index    []int32 // where in the batch each one stands
}

// A job is one VerifyPoW call.
type job struct {
	ctx   context.Context
	dst   []verify.Result
	batch []mcm.Trailer
	share int

	mu        sync.Mutex
	prepared  sync.Cond // something was prepared
	next      int       // first trailer that nobody has claimed
	preparing int       // claims whose trailers are being prepared
	left      []int32   // prepared ones that need Peach and that nobody has taken
}

// span is how many trailers are prepared at a time: some milliseconds if all are
// Trigg.
const span = 4096

// finished reports whether nothing is left to claim or take.
func (j *job) finished() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.next == len(j.batch) && j.preparing == 0 && len(j.left) == 0
}

// take gathers up to j.share trailers that need Peach in w and returns how many.
// When too few are prepared it first prepares a span, which decides all in it that
// needs no Peach; while that does not fill a share it returns 0, so that a long
// stretch of cheap trailers is done in turns too.  It returns 0 also when j's
// context has ended.
func (j *job) take(w *worker) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.left) < j.share && j.next < len(j.batch) && j.ctx.Err() == nil {
		j.prepare()
		if len(j.left) < j.share && j.next < len(j.batch) {
			return 0
		}
	}
	for len(j.left) < j.share && j.preparing > 0 {
		j.prepared.Wait() // for the end of a span, no longer
	}
	if j.ctx.Err() != nil {
		return 0
	}
	n := min(len(j.left), j.share)
	for i, at := range j.left[:n] {
		w.index[i] = at
		w.trailers[i] = j.batch[at]
	}
	j.left = j.left[:copy(j.left, j.left[n:])]
	return n
}

// prepare claims a span and decides all in it that needs no Peach.  j.mu is held
// but for the work itself.
func (j *job) prepare() {
	from := j.next
	to := min(from+max(j.share, span), len(j.batch))
	j.next = to
	j.preparing++
	j.mu.Unlock()
	peach := verify.Prepare(j.dst[from:to], j.batch[from:to], make([]int32, 0, to-from))
	j.mu.Lock()
	j.preparing--
	for _, i := range peach {
		j.left = append(j.left, i+int32(from))
	}
	j.prepared.Broadcast()
}
