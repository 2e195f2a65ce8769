package tfile

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/verify"
)

// eras returns n trailers whose first cheap ones carry Trigg, the others Peach.
func eras(cheap, n int) []mcm.Trailer {
	var before mcm.Trailer
	before.SetNum(mcm.V24Trigger - mcm.BlockNum(cheap))
	ts := []mcm.Trailer{after(&before, true)}
	for len(ts) < n {
		ts = append(ts, after(&ts[len(ts)-1], true))
	}
	return ts
}

// engine is a Backend that takes the same time for every Peach trailer and none
// for others, on the clock of a synctest bubble.  Batches that it has at once
// share it fairly, trailer by trailer.
type engine struct {
	fake
	rate time.Duration
	turn chan struct{} // holds one token

	mu    sync.Mutex
	now   int // batches in work
	most  int
	peach int // in the longest batch
}

func newEngine(rate time.Duration) *engine {
	e := &engine{rate: rate, turn: make(chan struct{}, 1)}
	e.before = func(ctx context.Context, t *mcm.Trailer) error {
		if pow.AlgorithmOf(t) != pow.Peach {
			return nil
		}
		select {
		case e.turn <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		time.Sleep(e.rate)
		<-e.turn
		return nil
	}
	return e
}

func (e *engine) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	peach := 0
	for i := range batch {
		if pow.AlgorithmOf(&batch[i]) == pow.Peach {
			peach++
		}
	}
	e.mu.Lock()
	e.now++
	e.most = max(e.most, e.now)
	e.peach = max(e.peach, peach)
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		e.now--
		e.mu.Unlock()
	}()
	return e.fake.VerifyPoW(ctx, dst, batch)
}

func (e *engine) Info() verify.Info { return verify.Info{Name: "slow"} }
func (e *engine) Close() error      { return nil }

// TestPace has batches grow to what an engine does in half a second while it has
// two of them, and whatever came before Peach.
func TestPace(t *testing.T) {
	data := bytesOf(eras(20000, 45000))
	for _, c := range []struct {
		name  string
		rate  time.Duration // per Peach trailer
		least int           // Peach trailers in the longest batch
		most  int
	}{
		{"slow", 10 * time.Millisecond, leastBatch, leastBatch},
		{"middling", time.Millisecond, 225, 505},
		{"fast", time.Microsecond, DefaultBatch - DefaultBatch/256 - 1, DefaultBatch},
	} {
		synctest.Test(t, func(t *testing.T) {
			e := newEngine(c.rate)
			gap, proven, at := time.Duration(0), int64(0), time.Now()
			o := Options{Now: clock, Segment: true, Verifier: e, Progress: func(p Progress) {
				if p.Proven > proven {
					gap, proven, at = max(gap, time.Since(at)), p.Proven, time.Now()
				}
			}}
			rep, err := Verify(t.Context(), stream{bytes.NewReader(data)}, -1, o)
			if err != nil || !rep.Valid() {
				t.Fatal(rep.Problems, err)
			}
			if e.peach < c.least || e.peach > c.most {
				t.Errorf("%s: longest batch has %d Peach trailers, want %d to %d", c.name, e.peach, c.least, c.most)
			}
			if e.most != provers {
				t.Errorf("%s: %d batches at once, want %d", c.name, e.most, provers)
			}
			// Two of the least batch, and a tick until it is told.
			if limit := max(2*batchTime, 2*leastBatch*c.rate) + progressTick; gap > limit {
				t.Errorf("%s: no progress for %v, want at most %v", c.name, gap, limit)
			}
		})
	}
}

// TestResumeAudited interrupts an audited engine, which tells nothing of batches
// that it hasn't ended: that costs about a second of its work at most.
func TestResumeAudited(t *testing.T) {
	const rate, trailers = time.Millisecond, 30000
	ts := eras(20000, trailers)
	side := filepath.Join(t.TempDir(), "side")
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(rate)
		o := Options{Now: clock, Segment: true, Resume: side, Verifier: verify.Audited(e, &fake{}, verify.AuditOptions{})}
		rep, err := new(Report), error(nil)
		runs := 0
		for began := true; began; began = err != nil {
			if runs++; runs > 10 {
				t.Fatal("no end after 10 runs")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2777*time.Millisecond)
			before := e.total()
			rep, err = Verify(ctx, bytes.NewReader(bytesOf(ts)), -1, o)
			cancel()
			if err != nil && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			if rep.Resumed+rep.Checked > worked(ts) {
				t.Errorf("run %d: %+v", runs, rep)
			}
			t.Logf("run %d: %d resumed, the engine did %d", runs, rep.Resumed, e.total()-before)
		}
		if !rep.Valid() || runs < 4 {
			t.Errorf("%d runs, the last: %+v", runs, rep)
		}
		lost := e.total() - worked(ts)
		if limit := int64(runs-1) * int64(time.Second/rate); lost > limit {
			t.Errorf("%d proofs of work done twice over %d interruptions, want at most %d", lost, runs-1, limit)
		}
	})
}
