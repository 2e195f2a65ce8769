package verify_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"kigo/node/mcm"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

func TestCacheRemembers(t *testing.T) {
	f, reg := &verifytest.Fake{}, prometheus.NewRegistry()
	c := verify.Cached(f, 100, nil, verify.NewMetrics(reg))
	batch := append(makeTrailers(0, 10), makeBad(10, 10)...)
	wantTruth(t, c, batch)
	slices.Reverse(batch)
	wantTruth(t, c, batch)
	wantTruth(t, c, append(batch[:5:5], makeTrailers(50, 3)...))
	if got, want := f.Calls(), []int{20, 3}; !slices.Equal(got, want) {
		t.Errorf("the inner verifier was asked for %v trailers, want %v", got, want)
	}
	if hits, misses := value(t, reg, "kigo_verify_cache_hits_total"), value(t, reg, "kigo_verify_cache_misses_total"); hits != 25 || misses != 23 {
		t.Errorf("%v hits, %v misses, want 25 and 23", hits, misses)
	}
}

func TestCacheKeysOnEveryByte(t *testing.T) {
	f := &verifytest.Fake{}
	c := verify.Cached(f, 1000, nil, nil)
	base := makeTrailers(0, 1)
	wantTruth(t, c, base)
	for i := range mcm.TrailerLen {
		other := base[0]
		other[i] ^= 0x80
		wantTruth(t, c, []mcm.Trailer{other})
	}
	if n := len(f.Calls()); n != 1+mcm.TrailerLen {
		t.Errorf("%d calls for %d different trailers", n, 1+mcm.TrailerLen)
	}
}

func TestCacheComputesEqualTrailersOfABatchOnce(t *testing.T) {
	f := &verifytest.Fake{}
	c := verify.Cached(f, 100, nil, nil)
	ts := makeTrailers(0, 3)
	wantTruth(t, c, []mcm.Trailer{ts[0], ts[1], ts[0], ts[0], ts[2], ts[1]})
	if got := f.Calls(); !slices.Equal(got, []int{3}) {
		t.Errorf("asked for %v trailers, want [3]", got)
	}
}

func TestCacheForgets(t *testing.T) {
	f := &verifytest.Fake{}
	c := verify.Cached(f, 20, nil, nil)
	used := makeTrailers(0, 1)
	wantTruth(t, c, used)
	for i := range 20 {
		wantTruth(t, c, makeTrailers(100+9*i, 9))
		wantTruth(t, c, used) // what is used stays
	}
	if got := len(f.Calls()); got != 21 {
		t.Errorf("%d calls, want 21: the trailer that is used must stay", got)
	}
	wantTruth(t, c, makeTrailers(100, 9))
	if got := len(f.Calls()); got != 22 {
		t.Errorf("%d calls, want 22: what was not used must go", got)
	}
}

// TestCacheKeepsNothingCheap shows that junk that costs nothing to judge doesn't
// crowd out what does.
// TestCacheDistrusts: what it has from before an engine was found to compute wrongly
// counts for nothing, what was being computed then included.
func TestCacheDistrusts(t *testing.T) {
	wrong := 0
	f := &verifytest.Fake{}
	f.Before = func(_ context.Context, n int, _ []mcm.Trailer) error {
		if len(f.Calls()) == 2 {
			wrong++
		}
		return nil
	}
	c := verify.Cached(f, 100, func() int { return wrong }, nil)
	a, b := makeTrailers(0, 3), makeTrailers(10, 2)
	for _, ts := range [][]mcm.Trailer{a, a, b, b, a, b, a} {
		wantTruth(t, c, ts)
	}
	// The second call was under way when it was found.
	if got := f.Calls(); !slices.Equal(got, []int{3, 2, 2, 3}) {
		t.Errorf("the inner verifier was asked for %v trailers, want [3 2 2 3]", got)
	}
}

func TestCacheKeepsNothingCheap(t *testing.T) {
	f := &verifytest.Fake{}
	c := verify.Cached(f, 20, nil, nil)
	costly := makeTrailers(0, 10)
	wantTruth(t, c, costly)
	junk := append(makeTrailers(100, 100), makeTrailers(200, 100)...)
	for i := range junk {
		if i%2 == 0 {
			junk[i].SetTxCount(0)
		} else {
			*junk[i].Nonce() = mcm.Nonce{1: byte(i), 2: byte(i >> 8)}
		}
	}
	wantTruth(t, c, junk)
	wantTruth(t, c, costly)
	if got := f.Calls(); !slices.Equal(got, []int{10, 200}) {
		t.Errorf("asked for %v trailers, want [10 200]", got)
	}
}

// gate returns a Before that waits for a receive from the channel, for the
// calls that blocked has.
func gate(ch <-chan struct{}, blocked ...int) func(context.Context, int, []mcm.Trailer) error {
	return func(ctx context.Context, call int, _ []mcm.Trailer) error {
		if slices.Contains(blocked, call) {
			select {
			case <-ch:
			case <-ctx.Done():
			}
		}
		return nil
	}
}

func TestCacheSharesOneComputation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := make(chan struct{})
		f := &verifytest.Fake{Before: gate(ch, 0, 1)}
		c := verify.Cached(f, 100, nil, nil)
		ts := makeTrailers(0, 3)
		var wg sync.WaitGroup
		wg.Go(func() { wantTruth(t, c, ts[:2]) })
		synctest.Wait()
		for range 5 {
			wg.Go(func() { wantTruth(t, c, ts[1:]) })
			synctest.Wait()
		}
		if got := f.Calls(); !slices.Equal(got, []int{2, 1}) {
			t.Errorf("asked for %v trailers, want [2 1]", got)
		}
		close(ch)
		wg.Wait()
		if got := f.Calls(); len(got) != 2 {
			t.Errorf("asked for %v trailers, want no more", got)
		}
	})
}

var errStop = errors.New("the test's own reason")

func TestCacheWaiterLeavesEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := make(chan struct{})
		f := &verifytest.Fake{Before: gate(ch, 0)}
		c := verify.Cached(f, 100, nil, nil)
		ts := makeTrailers(0, 2)
		var leader sync.WaitGroup
		leader.Go(func() { wantTruth(t, c, ts) })
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(t.Context())
		var waiter sync.WaitGroup
		waiter.Go(func() {
			dst := make([]verify.Result, 2)
			if err := c.VerifyPoW(ctx, dst, ts); !errors.Is(err, errStop) || !allUnchecked(dst) {
				t.Errorf("got %v, %v, want the waiter's own cause and no results", err, dst)
			}
		})
		synctest.Wait()
		cancel(errStop)
		waiter.Wait() // the leader still computes
		close(ch)
		leader.Wait()
	})
}

func TestCacheOutlivesItsLeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &verifytest.Fake{Before: gate(nil, 0)}
		c := verify.Cached(f, 100, nil, nil)
		ts := makeTrailers(0, 2)
		ctx, cancel := context.WithCancelCause(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			dst := make([]verify.Result, 2)
			if err := c.VerifyPoW(ctx, dst, ts); !errors.Is(err, errStop) {
				t.Errorf("leader: got %v, want its cause", err)
			}
		})
		synctest.Wait()
		for range 3 {
			wg.Go(func() { wantTruth(t, c, ts) })
		}
		synctest.Wait()
		cancel(errStop)
		wg.Wait()
		if got := f.Calls(); !slices.Equal(got, []int{2, 2}) {
			t.Errorf("asked for %v trailers, want [2 2]: one of those who waited goes on for all", got)
		}
	})
}

func TestCacheSharesErrorsAndForgetsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch, lost := make(chan struct{}), errors.New("device lost")
		f := &verifytest.Fake{Before: func(_ context.Context, call int, _ []mcm.Trailer) error {
			if call > 0 {
				return nil
			}
			<-ch
			return lost
		}}
		c := verify.Cached(f, 100, nil, nil)
		ts := makeTrailers(0, 2)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				dst := make([]verify.Result, 2)
				if err := c.VerifyPoW(t.Context(), dst, ts); !errors.Is(err, lost) || !allUnchecked(dst) {
					t.Errorf("got %v, %v, want %v", err, dst, lost)
				}
			})
		}
		synctest.Wait()
		close(ch)
		wg.Wait()
		wantTruth(t, c, ts)
		if got := f.Calls(); !slices.Equal(got, []int{2, 2}) {
			t.Errorf("asked for %v trailers, want [2 2]", got)
		}
	})
}

func TestCacheRefusesUndecided(t *testing.T) {
	f := &verifytest.Fake{Spoil: func(_ []mcm.Trailer, r []verify.Result) { r[len(r)-1] = verify.Result{} }}
	c := verify.Cached(f, 100, nil, nil)
	ts := makeTrailers(0, 2)
	for range 2 {
		var failed *verify.BackendError
		err := c.VerifyPoW(t.Context(), make([]verify.Result, 3), append(ts, ts[1]))
		if !errors.As(err, &failed) {
			t.Errorf("got %v, want a *BackendError", err)
		}
	}
}

func TestCacheSurvivesAPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := make(chan struct{})
		f := &verifytest.Fake{Before: func(_ context.Context, call int, _ []mcm.Trailer) error {
			if call == 0 {
				<-ch
				panic("broken")
			}
			return nil
		}}
		c := verify.Cached(f, 100, nil, nil)
		ts := makeTrailers(0, 2)
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was swallowed")
				}
			}()
			c.VerifyPoW(t.Context(), make([]verify.Result, 2), ts)
		})
		synctest.Wait()
		wg.Go(func() { wantTruth(t, c, ts) })
		synctest.Wait()
		close(ch)
		wg.Wait()
	})
}

func TestCacheConcurrent(t *testing.T) {
	f := &verifytest.Fake{Before: func(context.Context, int, []mcm.Trailer) error {
		runtime.Gosched()
		return nil
	}}
	c := verify.Cached(f, 1000, nil, nil)
	ts := makeTrailers(0, 100)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 50 {
				batch := make([]mcm.Trailer, r.IntN(20))
				for i := range batch {
					batch[i] = ts[r.IntN(len(ts))]
				}
				wantTruth(t, c, batch)
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range f.Calls() {
		sum += n
	}
	if sum != len(ts) {
		t.Errorf("%d computations for %d trailers", sum, len(ts))
	}
}

func BenchmarkCache(b *testing.B) {
	for _, bench := range []struct {
		name    string
		entries int
	}{{"hit", 1 << 14}, {"miss", 2}} {
		b.Run("case="+bench.name+"/batch=4096", func(b *testing.B) {
			ts := makeTrailers(0, 4096)
			for i := range ts {
				ts[i].SetTxCount(0) // the inner verifier should cost nothing
			}
			f := &verifytest.Fake{Spoil: func(_ []mcm.Trailer, r []verify.Result) {
				for i := range r {
					r[i].Verdict = verify.Valid
				}
			}}
			c := verify.Cached(f, bench.entries, nil, nil)
			dst := make([]verify.Result, len(ts))
			for b.Loop() {
				if err := c.VerifyPoW(b.Context(), dst, ts); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*len(ts))/b.Elapsed().Seconds(), "trailers/s")
		})
	}
}
