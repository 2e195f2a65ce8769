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
	idle  sync.Pool // of *worker
}

var _ verify.Backend = (*Engine)(nil)

// New returns an engine whose workers each use a kernel of their own.
// info.Chunk bounds what one call of a kernel is given; it should take about 10
// ms.
func New(info verify.Info, cores *Cores, newKernel func() Kernel) *Engine {
	e := &Engine{info: info, cores: cores}
	e.idle.New = func() any {
		return &worker{
			kernel:   newKernel(),
			trailers: make([]mcm.Trailer, info.Chunk),
			hashes:   make([]mcm.Hash, info.Chunk),
			index:    make([]int32, info.Chunk),
		}
	}
	return e
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
	job := &job{ctx: ctx, dst: dst, batch: batch, share: e.share(len(batch))}
	var wg sync.WaitGroup
	for range min(e.cores.n, divUp(len(batch), job.share)) - 1 {
		wg.Go(func() { e.work(job) })
	}
	e.work(job)
	wg.Wait()
	if job.next < len(batch) || len(job.left) > 0 {
		return verify.Interrupted(ctx)
	}
	return nil
}

// share returns how many trailers a worker takes at a time: an even part of the
// batch in whole steps of the engine's lanes, a chunk at most.  Parts of equal
// size let the cores end together.
func (e *Engine) share(n int) int {
	lanes := max(e.info.Lanes, 1)
	part := divUp(n, e.cores.n)
	part = divUp(part, divUp(part, e.info.Chunk)) // in so many rounds
	return min(divUp(part, lanes)*lanes, e.info.Chunk)
}

// divUp returns a/b rounded up, at least 1.
func divUp(a, b int) int { return max(1, (a+b-1)/b) }

func (e *Engine) work(j *job) {
	w := e.idle.Get().(*worker)
	defer e.idle.Put(w)
	for e.cores.sem.Acquire(j.ctx, 1) == nil {
		n := j.take(w)
		if n > 0 {
			w.kernel.Hash(w.hashes[:n], w.trailers[:n])
			for i, at := range w.index[:n] {
				j.dst[at] = verify.JudgePeach(&w.trailers[i], &w.hashes[i])
			}
		}
		e.cores.sem.Release(1)
		if n == 0 {
			return
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

	mu   sync.Mutex
	next int     // first trailer that nobody has prepared
	left []int32 // prepared ones that need Peach and that nobody has taken
}

// take gathers up to j.share trailers that need Peach in w and returns how many;
// all that needs no Peach on the way there it decides at once.  It returns 0
// when nothing is left or the job's context has ended.
func (j *job) take(w *worker) int {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.left) < j.share && j.next < len(j.batch) && j.ctx.Err() == nil {
		end := min(j.next+max(j.share, 256), len(j.batch))
		first := len(j.left)
		j.left = verify.Prepare(j.dst[j.next:end], j.batch[j.next:end], j.left)
		for i := range j.left[first:] {
			j.left[first+i] += int32(j.next)
		}
		j.next = end
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
