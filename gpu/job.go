//go:build cuda

package gpu

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kigo/node/mcm"
	"kigo/node/verify"
)

// leastPiece is the batch below which halves take as long as the whole: a step
// takes the time of one MD2 either way.
const leastPiece = 1 << 14

// pieceOf returns how many trailers of a batch of n a slot is given: equal parts,
// at least one for each slot when n is large.
func pieceOf(n, capacity, streams int) int {
	pieces := divUp(n, capacity)
	if n > leastPiece {
		pieces = max(pieces, streams)
	}
	return divUp(n, pieces)
}

// divUp returns a/b rounded up, at least 1.
func divUp(a, b int) int { return max(1, (a+b-1)/b) }

// A job is one VerifyPoW call.
type job struct {
	*device
	ctx   context.Context
	dst   []verify.Result
	batch []mcm.Trailer
	piece int
	next  atomic.Int64 // first trailer that nobody has claimed
}

// work does pieces of j until none is left.
func (j *job) work() error {
	for {
		to := int(j.next.Add(int64(j.piece)))
		from := to - j.piece
		if from >= len(j.batch) {
			return nil
		}
		to = min(to, len(j.batch))
		if err := verify.Interrupted(j.ctx); err != nil {
			return err
		}
		dst, batch := j.dst[from:to], j.batch[from:to]
		peach := prepare(dst, batch)
		if len(peach) == 0 {
			continue
		}
		if err := j.hash(dst, batch, peach); err != nil {
			return err
		}
	}
}

// hash has the device hash the trailers of batch that peach has the indexes of,
// and judges them.
func (j *job) hash(dst []verify.Result, batch []mcm.Trailer, peach []int32) error {
	var s *slot
	select {
	case <-j.ended: // first, since select is fair
		return j.why
	default:
	}
	select {
	case s = <-j.idle:
	case <-j.ended:
		return j.why
	case <-j.ctx.Done():
		return verify.Interrupted(j.ctx)
	}
	s.take(j.ctx, len(peach), func(trailers []mcm.Trailer) {
		spread(len(peach), func(from, to int) {
			for i := from; i < to; i++ {
				trailers[i] = batch[peach[i]]
			}
		})
	})
	select {
	case j.ready <- s:
	case <-j.ended: // else nobody may take it
		j.idle <- s
		return j.why
	}
	late := time.NewTimer(j.patience)
	if err := j.await(j.ctx, s, late.C); err != nil {
		// The device may work on it until its next step, if it ever comes to one;
		// the caller need not wait for that.
		go func() {
			j.await(context.Background(), s, late.C)
			late.Stop()
			j.idle <- s
		}()
		return err
	}
	late.Stop()
	defer func() { j.idle <- s }()
	if s.dropped {
		return verify.Interrupted(j.ctx)
	}
	hashes, wrong, what := s.result()
	j.judged(len(peach), wrong)
	if wrong > 0 {
		j.retire(verify.KnownAnswer, what)
		<-j.ended
		return j.why
	}
	spread(len(peach), func(from, to int) {
		for i := from; i < to; i++ {
			at := peach[i]
			dst[at] = verify.JudgePeach(&batch[at], &hashes[i])
		}
	})
	return nil
}

// await returns when the device is done with s, and an error when it has ended, or
// ctx has.  When it is late the device hangs.
func (d *device) await(ctx context.Context, s *slot, late <-chan time.Time) error {
	select {
	case <-s.done:
		return nil
	case <-d.ended:
		return d.why
	case <-ctx.Done():
		return verify.Interrupted(ctx)
	case <-late:
		d.retire(verify.Hung, fmt.Sprintf("it hangs: no answer in %v", d.patience))
		<-d.ended // somebody else may be about to say why
		return d.why
	}
}

// prepare is verify.Prepare on several cores.
func prepare(dst []verify.Result, batch []mcm.Trailer) []int32 {
	parts := make([][]int32, divUp(len(batch), grain))
	spread(len(batch), func(from, to int) {
		part := verify.Prepare(dst[from:to], batch[from:to], make([]int32, 0, to-from))
		for i := range part {
			part[i] += int32(from)
		}
		parts[from/grain] = part
	})
	return slices.Concat(parts...)
}

// grain is how many trailers one core does at a time: some milliseconds if all
// are Trigg, a fraction of one else.
const grain = 4096

// spread calls f for all parts of 0 to n, a grain each, on several cores.
func spread(n int, f func(from, to int)) {
	var next atomic.Int64
	work := func() {
		for {
			to := int(next.Add(grain))
			if to-grain >= n {
				return
			}
			f(to-grain, min(to, n))
		}
	}
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), divUp(n, grain)) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
}
