package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/verify"
)

// chunkTime is how long the fake kernel takes for any call.
const chunkTime = 10 * time.Millisecond

// A fakeKernel hashes nothing: it takes its time and gives back each trailer's
// Merkle root as its hash.
type fakeKernel struct {
	busy  atomic.Bool
	calls *atomic.Int64
	most  *atomic.Int64 // trailers in the largest call
}

func (k *fakeKernel) Hash(dst []mcm.Hash, batch []mcm.Trailer) {
	if !k.busy.CompareAndSwap(false, true) {
		panic("a kernel serves two goroutines")
	}
	defer k.busy.Store(false)
	k.calls.Add(1)
	for {
		old := k.most.Load()
		if int64(len(batch)) <= old || k.most.CompareAndSwap(old, int64(len(batch))) {
			break
		}
	}
	time.Sleep(chunkTime)
	for i := range batch {
		dst[i] = *batch[i].MerkleRoot()
	}
}

type fixture struct {
	*Engine
	calls, most atomic.Int64
}

func newFixture(cores, lanes, chunk int) *fixture {
	f := &fixture{}
	f.Engine = New(verify.Info{Name: "fake", Lanes: lanes, Chunk: chunk}, NewCores(cores), func() Kernel {
		return &fakeKernel{calls: &f.calls, most: &f.most}
	})
	return f
}

// peachTrailers returns n trailers that all need Peach; every bad-th one, from
// the first on, has a root that misses its difficulty.
func peachTrailers(n, bad int) []mcm.Trailer {
	r := rand.New(rand.NewPCG(7, 7))
	ts := make([]mcm.Trailer, n)
	for i := range ts {
		t := &ts[i]
		t.SetNum(mcm.V30Trigger + 1)
		t.SetTxCount(1)
		t.SetDifficulty(8)
		pow.SetRandomNonce(t, r)
		t.MerkleRoot()[1] = byte(i)
		t.MerkleRoot()[2] = byte(i >> 8)
		if bad > 0 && i%bad == 0 {
			t.MerkleRoot()[0] = 1
		}
	}
	return ts
}

func TestResultsStandWhereTheirTrailersDo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, n := range []int{0, 1, 2, 7, 8, 9, 63, 64, 65, 1000} {
			f := newFixture(3, 4, 16)
			batch := peachTrailers(n, 3)
			for i := range batch {
				switch i % 5 {
				case 1:
					batch[i].SetTxCount(0)
				case 2:
					batch[i].Nonce()[0] = 0
				}
			}
			dst := make([]verify.Result, n)
			for i := range dst {
				dst[i].Verdict = verify.Valid // what was there doesn't count
			}
			if err := f.VerifyPoW(t.Context(), dst, batch); err != nil {
				t.Fatal(err)
			}
			for i, got := range dst {
				want := verify.Result{Verdict: verify.Valid, Hash: *batch[i].MerkleRoot()}
				switch {
				case i%5 == 1:
					want = verify.Result{Verdict: verify.Exempt}
				case i%5 == 2:
					want = verify.Result{Verdict: verify.BadNonce}
				case i%3 == 0:
					want.Verdict = verify.BadWork
				}
				if got != want {
					t.Errorf("%d of %d: got %v, want %v", i, n, got, want)
				}
			}
			if most := f.most.Load(); most > 16 {
				t.Errorf("the kernel was given %d trailers, its chunk is 16", most)
			}
		}
	})
}

func TestBatchIsSharedByAllCores(t *testing.T) {
	cases := []struct {
		name                   string
		cores, lanes, chunk, n int
		calls                  int64
		took                   time.Duration
	}{
		{"one lane step stays whole", 2, 64, 1024, 54, 1, chunkTime},
		{"two lane steps are shared", 2, 64, 256, 100, 2, chunkTime},
		{"a quarter of a chunk stays whole", 2, 64, 1024, 200, 1, chunkTime},
		{"a small scalar batch is shared", 2, 1, 16, 8, 2, chunkTime},
		{"a large one goes in chunks", 2, 1, 16, 64, 4, 2 * chunkTime},
		{"one core does it alone", 1, 1, 16, 64, 4, 4 * chunkTime},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFixture(c.cores, c.lanes, c.chunk)
				start := time.Now()
				if err := f.VerifyPoW(t.Context(), make([]verify.Result, c.n), peachTrailers(c.n, 0)); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start); took != c.took || f.calls.Load() != c.calls {
					t.Errorf("took %v in %d calls, want %v in %d", took, f.calls.Load(), c.took, c.calls)
				}
			})
		})
	}
}

func TestSmallBatchDoesNotWaitForLargeOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cores := NewCores(2)
		var calls, most atomic.Int64
		kernel := func() Kernel { return &fakeKernel{calls: &calls, most: &most} }
		large := New(verify.Info{Name: "wide", Lanes: 16, Chunk: 16}, cores, kernel)
		small := New(verify.Info{Name: "narrow", Lanes: 1, Chunk: 64}, cores, kernel)
		var wg sync.WaitGroup
		wg.Go(func() {
			n := 16 * 1000 // 5 s of work
			if err := large.VerifyPoW(t.Context(), make([]verify.Result, n), peachTrailers(n, 0)); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(chunkTime / 2)
		start := time.Now()
		if err := small.VerifyPoW(t.Context(), make([]verify.Result, 54), peachTrailers(54, 0)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took > 3*chunkTime {
			t.Errorf("54 trailers took %v beside a large batch, want at most %v", took, 3*chunkTime)
		}
		wg.Wait()
	})
}

// TestCheapTrailersTakeTurns has a batch that needs no Peach leave room for one
// that does.
func TestCheapTrailersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cores := NewCores(1)
		var calls, most atomic.Int64
		e := New(verify.Info{Name: "fake", Lanes: 1, Chunk: 16}, cores, func() Kernel { return &fakeKernel{calls: &calls, most: &most} })
		cheap := peachTrailers(50*span, 0)
		for i := range cheap {
			cheap[i].SetTxCount(0)
		}
		// The one core is taken until both wait for it, the cheap batch first.
		if err := cores.sem.Acquire(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		var order []string
		var mu sync.Mutex
		run := func(name string, batch []mcm.Trailer) {
			wg.Go(func() {
				if err := e.VerifyPoW(t.Context(), make([]verify.Result, len(batch)), batch); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
			})
		}
		run("cheap", cheap)
		run("peach", peachTrailers(1, 0))
		synctest.Wait()
		cores.sem.Release(1)
		wg.Wait()
		if order[0] != "peach" {
			t.Errorf("%v: one trailer waited for %d cheap ones", order, len(cheap))
		}
	})
}

// TestWaitingTakesNoMemory has many callers wait for one core: kernels own
// megabytes, so there are no more of them than cores.
func TestWaitingTakesNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var kernels, calls, most atomic.Int64
		e := New(verify.Info{Name: "fake", Lanes: 1, Chunk: 16}, NewCores(2), func() Kernel {
			kernels.Add(1)
			return &fakeKernel{calls: &calls, most: &most}
		})
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if err := e.VerifyPoW(t.Context(), make([]verify.Result, 40), peachTrailers(40, 0)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := kernels.Load(); n > 2 {
			t.Errorf("%d kernels for 2 cores", n)
		}
		before := kernels.Load()
		if err := e.VerifyPoW(t.Context(), nil, nil); err != nil || kernels.Load() != before {
			t.Errorf("an empty batch: %v, %d kernels", err, kernels.Load()-before)
		}
	})
}

func TestManyCoresDontSplitTooFar(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(64, 64, 1024)
		if err := f.VerifyPoW(t.Context(), make([]verify.Result, 1024), peachTrailers(1024, 0)); err != nil {
			t.Fatal(err)
		}
		if n := f.calls.Load(); n != 4 {
			t.Errorf("a chunk was split in %d calls, want 4", n)
		}
	})
}

func TestCancellation(t *testing.T) {
	cause := errors.New("superseded")
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(2, 1, 16)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(chunkTime+chunkTime/2, func() { cancel(cause) })
		start := time.Now()
		dst := make([]verify.Result, 1600)
		err := f.VerifyPoW(ctx, dst, peachTrailers(1600, 0))
		if !errors.Is(err, cause) {
			t.Errorf("got error %v, want it to wrap %v", err, cause)
		}
		if took := time.Since(start); took != 2*chunkTime {
			t.Errorf("returned after %v, want the end of the chunks under way at %v", took, 2*chunkTime)
		}
		decided := 0
		for _, r := range dst {
			if r.Verdict != verify.Unchecked {
				decided++
			}
		}
		if decided != 4*16 {
			t.Errorf("%d trailers are decided, want the %d of the chunks that ran", decided, 4*16)
		}

		if err := f.VerifyPoW(ctx, dst, peachTrailers(1600, 0)); !errors.Is(err, cause) {
			t.Errorf("called after the end: got error %v, want it to wrap %v", err, cause)
		}
		for i, r := range dst {
			if r != (verify.Result{}) {
				t.Fatalf("called after the end: result %d is %v, want unchecked", i, r)
			}
		}
	})
}

func TestLengthsMustMatch(t *testing.T) {
	f := newFixture(1, 1, 16)
	err := f.VerifyPoW(t.Context(), make([]verify.Result, 3), peachTrailers(4, 0))
	if length := (*verify.LengthError)(nil); !errors.As(err, &length) {
		t.Errorf("got error %v, want a LengthError", err)
	}
}

func TestNoCoresIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(0, 1, 16)
		if err := f.VerifyPoW(t.Context(), make([]verify.Result, 1), peachTrailers(1, 0)); err != nil {
			t.Error(err)
		}
	})
}
