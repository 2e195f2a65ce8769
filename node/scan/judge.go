package scan

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
	"time"

	"kigo/node/mcm"
	"kigo/node/proof"
)

// A judge checks the work of segments.  One goroutine does, and takes all that
// has arrived each time: the first segment is judged at once, alone, and while
// that goes on the others gather for the next batch.  No timer is needed, and
// each trailer is checked once since one goroutine knows all verdicts.
type judge struct {
	o      Options
	known  *proof.KnownSet
	events chan<- event
	wake   chan struct{} // full when there is something to look at

	mu      sync.Mutex
	pending []*contact
	closed  bool

	// Of the goroutine, until it has ended.
	checked int
	took    time.Duration
}

func newJudge(o Options, k *proof.KnownSet, events chan<- event) *judge {
	return &judge{o: o, known: k, events: events, wake: make(chan struct{}, 1)}
}

// add hands a contact over.  It doesn't wait.
func (j *judge) add(c *contact) {
	j.mu.Lock()
	j.pending = append(j.pending, c)
	j.mu.Unlock()
	j.poke()
}

// close lets run return.  Nothing may be pending.
func (j *judge) close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.poke()
}

func (j *judge) poke() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// run judges what is added until close, and reports each batch as an event.
// Once the verifier has failed, or ctx has ended, batches come back undecided.
func (j *judge) run(ctx context.Context) {
	var failed error
	for range j.wake {
		j.mu.Lock()
		batch, closed := j.pending, j.closed
		j.pending = nil
		j.mu.Unlock()
		if len(batch) > 0 {
			if failed == nil {
				proofs := make([]*proof.Proof, len(batch))
				for i, c := range batch {
					proofs[i] = c.proof
				}
				failed = j.work(ctx, proofs)
			}
			j.events <- event{judged: batch, err: failed}
		}
		if closed {
			return
		}
	}
}

// work checks the work of proofs.
func (j *judge) work(ctx context.Context, proofs []*proof.Proof) error {
	began := time.Now()
	checked, err := proof.Work(ctx, j.o.Verifier, j.known, proofs, j.o.Draw)
	j.took += time.Since(began)
	j.checked += checked
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("scan: proof of work: %w", err)
	}
	return err
}

// sightings counts trailers as they were received.
type sightings struct {
	total    int
	seed     maphash.Seed
	distinct map[uint64]struct{} // of hashes of 64 bits, which is near enough for a count
}

func (s *sightings) add(ts []mcm.Trailer) {
	if s.distinct == nil {
		s.seed, s.distinct = maphash.MakeSeed(), map[uint64]struct{}{}
	}
	s.total += len(ts)
	for i := range ts {
		s.distinct[maphash.Bytes(s.seed, ts[i][:])] = struct{}{}
	}
}
