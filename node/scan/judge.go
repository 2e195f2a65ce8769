package scan

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"kigo/node/mcm"
	"kigo/node/proof"
)

// maxJudged is how many segments are judged at a time, at most: enough trailers
// for any engine to be at its best.
const maxJudged = 128

// errOverdue is why judging ends when the scan has lasted as long as it may.
var errOverdue = errors.New("no batch was done when the scan had to end")

// A judge checks the work of segments.  One goroutine does, and takes what
// has arrived each time: the first segment is judged at once, alone, and while
// that goes on the others gather for the next batch.  No timer is needed, and
// each trailer is checked once since one goroutine knows all verdicts.
//
// If more arrives than the engines can do, those that state the most work come
// first.  To state much costs nothing, and then falls with the first trailer that
// is drawn; cheap work that is real, all different, would have honest segments
// wait for hours.
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
	c.stated = proof.Stated(c.proof.Trailers)
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
		batch, closed := j.take()
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

// take returns what to judge next.
func (j *judge) take() (batch []*contact, closed bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := len(j.pending)
	if n > maxJudged {
		slices.SortStableFunc(j.pending, func(a, b *contact) int { return cmp.Compare(b.stated, a.stated) })
		n = maxJudged
		j.poke()
	}
	batch = slices.Clone(j.pending[:n])
	j.pending = slices.Delete(j.pending, 0, n)
	return batch, j.closed
}

// work checks the work of proofs.
func (j *judge) work(ctx context.Context, proofs []*proof.Proof) error {
	began := time.Now()
	checked, err := proof.Work(ctx, j.o.Verifier, j.known, proofs, j.o.Draw)
	j.took += time.Since(began)
	j.checked += checked
	if err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return fmt.Errorf("scan: proof of work: %w", err)
	}
	return nil
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
