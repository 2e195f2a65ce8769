package tfile

import (
	"context"
	"time"

	"kigo/node/pow"
)

const (
	// Without Options.Batch batches begin at leastBatch Peach trailers and grow to
	// what takes batchTime, chunks with them: a slow engine too shows progress,
	// saves it, and loses little when it is interrupted.  Trigg doesn't count, it
	// says nothing about how fast Peach will be.
	leastBatch = 64 // fewer wouldn't fill the lanes of a fast engine
	batchTime  = 500 * time.Millisecond
	maxGrowth  = 4 // a single batch says little, above all a short one
)

// proveAll has the engine check chunk after chunk.
func (v *verification) proveAll(ctx context.Context) {
	for c := range v.work {
		c.err = v.prove(ctx, c)
		close(c.proved)
	}
}

// prove has the engine check the trailers of c that need it.  What is handed over
// are stretches of the chunk itself, with the exempt trailers that lie in them.
func (v *verification) prove(ctx context.Context, c *chunk) error {
	settled := 0
	for i := 0; i < len(c.status); {
		if c.status[i] != check {
			i++
			continue
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		end, peach := v.stretch(c, i)
		began := time.Now()
		if err := v.Verifier.VerifyPoW(ctx, c.results[i:end], c.ts[i:end]); err != nil {
			if ctx.Err() == nil {
				clear(c.results[i:end]) // what a failing engine says is worth nothing
			}
			return err
		}
		v.pace(peach, time.Since(began))
		v.settled.Add(int64(end - settled))
		i, settled = end, end
	}
	v.settled.Add(int64(len(c.ts) - settled))
	return nil
}

// stretch returns where the batch ends that begins with c's i-th trailer, and how
// many Peach trailers it has.
func (v *verification) stretch(c *chunk, i int) (end, peach int) {
	limit := int(v.batch.Load())
	for j := i; j < len(c.status) && (c.status[j] == check || c.status[j] == exempt); j++ {
		if v.Batch > 0 && j-i == limit {
			break
		}
		if c.status[j] == exempt {
			continue
		}
		if pow.AlgorithmOf(&c.ts[j]) == pow.Peach {
			if v.Batch <= 0 && peach == limit {
				break
			}
			peach++
		}
		end = j + 1
	}
	return end, peach
}

// pace sets the next batch's size after one with n Peach trailers took d.
func (v *verification) pace(n int, d time.Duration) {
	if v.Batch > 0 || n == 0 {
		return
	}
	fit := float64(n) * float64(batchTime) / float64(max(d, 1))
	was := float64(v.batch.Load())
	fit = min(max(fit, was/maxGrowth), was*maxGrowth)
	v.batch.Store(int64(min(DefaultBatch, max(leastBatch, fit))))
}
