package verify_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/mcm"
	"kigo/node/verify"
)

func sum(calls []int) (n int) {
	for _, c := range calls {
		n += c
	}
	return n
}

// TestRouterSharesLargeBatches has a device ten times as fast as another: both
// should be busy nearly all the time.
func TestRouterSharesLargeBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu := timed("cuda:0", "cuda:0", 1, 1000, 0, 10*time.Microsecond)
		cpu := timed("avx512", "cpu", 1, 100, 0, 100*time.Microsecond)
		portable := timed("portable", "cpu", 1, 16, 0, time.Millisecond)
		r := verify.NewRouter(nil, nil, gpu, cpu, portable)
		ts := append(makeTrailers(0, 30_000), makeBad(30_000, 3_000)...)
		for round := range 3 {
			start := time.Now()
			wantTruth(t, r, ts)
			took := time.Since(start)
			// 33,000 trailers at 100,000 and 10,000 a second: 300 ms together,
			// 330 ms for the faster one alone.
			if limit := 306 * time.Millisecond; round > 0 && took > limit {
				t.Errorf("round %d took %v, want at most %v", round, took, limit)
			}
		}
		g, c := sum(gpu.Calls()), sum(cpu.Calls())
		if g+c != 3*len(ts) || c < 2*len(ts)/11 {
			t.Errorf("cuda:0 did %d, avx512 %d, together %d; want each trailer once", g, c, g+c)
		}
		if n := len(portable.Calls()); n != 0 {
			t.Errorf("portable was given %d pieces, want none beside avx512", n)
		}
		if n := len(gpu.Calls()); n > 60 {
			t.Errorf("cuda:0 was given %d pieces in 3 rounds, want few", n)
		}
	})
}

func TestRouterSharesOnlyWhatIsLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu := timed("cuda:0", "cuda:0", 1, 1000, 0, 10*time.Microsecond)
		cpu := timed("avx512", "cpu", 1, 100, 0, 100*time.Microsecond)
		r := verify.NewRouter(nil, nil, gpu, cpu)
		wantTruth(t, r, makeTrailers(0, 1099))
		if g, c := gpu.Calls(), cpu.Calls(); !slices.Equal(g, []int{1099}) || len(c) > 0 {
			t.Errorf("cuda:0 got %v, avx512 %v; want [1099] and none", g, c)
		}
		same := verify.NewRouter(nil, nil, timed("a", "", 1, 100, 0, 0), timed("b", "", 1, 100, 0, 0))
		wantTruth(t, same, makeTrailers(0, 1000)) // devices that aren't named don't share
		if s := same.Status(); s[0].Rate == 0 || s[1].Rate != 0 {
			t.Errorf("status %+v, want that only the first has worked", s)
		}
	})
}

// TestRouterLeavesSlowDeviceOut has a device so slow that its least piece would
// take longer than the other needs for all.
func TestRouterLeavesSlowDeviceOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu := timed("cuda:0", "cuda:0", 1, 1000, 0, time.Microsecond)
		slow := timed("slow", "cpu", 16, 16, 0, 10*time.Millisecond)
		r := verify.NewRouter(nil, nil, gpu, slow)
		wantTruth(t, r, makeTrailers(0, 5000)) // learn
		before := len(slow.Calls())
		start := time.Now()
		wantTruth(t, r, makeTrailers(0, 5000))
		if took := time.Since(start); took > 6*time.Millisecond {
			t.Errorf("took %v, want about 5ms", took)
		}
		if n := len(slow.Calls()); n != before {
			t.Errorf("slow was given %d pieces", n-before)
		}
	})
}

// TestRouterSharesWithOneThatSlowsDown has a device that is suddenly four times
// as slow as was learned: 33,000 trailers at 25,000 and 10,000 a second take 0.94
// s together, and 1.2 s if it were given all that it was entitled to.
func TestRouterSharesWithOneThatSlowsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		each := 10 * time.Microsecond
		gpu := timed("cuda:0", "cuda:0", 1, 1000, 0, 0)
		gpu.Before = func(_ context.Context, _ int, batch []mcm.Trailer) error {
			time.Sleep(time.Duration(len(batch)) * each)
			return nil
		}
		cpu := timed("avx512", "cpu", 1, 100, 0, 100*time.Microsecond)
		r := verify.NewRouter(nil, nil, gpu, cpu)
		ts := makeTrailers(0, 33_000)
		wantTruth(t, r, ts)
		each *= 4
		start := time.Now()
		wantTruth(t, r, ts)
		if took, limit := time.Since(start), 1050*time.Millisecond; took > limit {
			t.Errorf("took %v, want at most %v", took, limit)
		}
	})
}

func TestRouterSharesAndSurvivesFailures(t *testing.T) {
	for _, c := range []struct {
		name             string
		gpuFrom, cpuTill int // which calls fail
	}{
		{"one fails at once", 0, 0},
		{"one fails later", 2, 0},
		{"both fail at first", 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				lost := errors.New("device lost")
				gpu := timed("cuda:0", "cuda:0", 1, 1000, 0, 10*time.Microsecond)
				work := gpu.Before
				gpu.Before = func(ctx context.Context, call int, batch []mcm.Trailer) error {
					work(ctx, call, batch)
					if call >= c.gpuFrom {
						return lost
					}
					return nil
				}
				cpu := failing(timed("avx512", "cpu", 1, 100, 0, 100*time.Microsecond), c.cpuTill, lost)
				r := verify.NewRouter(nil, nil, gpu, cpu)
				wantTruth(t, r, append(makeTrailers(0, 9000), makeBad(9000, 1000)...))
				if s := r.Status()[0]; !errors.Is(s.Err, lost) {
					t.Errorf("status %+v, want the failure", s)
				}
				// Who is left alone takes all of the rest.
				if got := cpu.Calls(); slices.Max(got) < 1500 {
					t.Errorf("avx512 was given %v, want a large piece among them", got)
				}
			})
		})
	}
}

func TestRouterSharesAndIsCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu := timed("cuda:0", "cuda:0", 1, 1000, 0, 10*time.Microsecond)
		cpu := timed("avx512", "cpu", 1, 100, 0, 100*time.Microsecond)
		r := verify.NewRouter(nil, nil, gpu, cpu)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(50*time.Millisecond, func() { cancel(errStop) })
		ts := makeTrailers(0, 20_000)
		got, want := make([]verify.Result, len(ts)), truth(t, ts)
		if err := r.VerifyPoW(ctx, got, ts); !errors.Is(err, errStop) {
			t.Errorf("got %v, want the cause", err)
		}
		done := 0
		for i := range got {
			if got[i] == want[i] {
				done++
			} else if got[i] != (verify.Result{}) {
				t.Fatalf("trailer %d is neither right nor unchecked", i)
			}
		}
		if done == 0 || done == len(ts) {
			t.Errorf("%d of %d done, want a part", done, len(ts))
		}
		for _, s := range r.Status() {
			if s.Err != nil {
				t.Errorf("%s is blamed: %v", s.Info.Name, s.Err)
			}
		}
	})
}

// TestRouterSharesLikeHardware has a GPU, a second one, and a processor, at a
// sixteenth of what is expected of them: for a file's batches and a whole chain at
// once all are busy to the end.
func TestRouterSharesLikeHardware(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const latency, gpuRate, cpuRate = 27 * time.Millisecond / 16, 5e6, 6e5
		each := func(rate float64) time.Duration { return time.Duration(float64(time.Second) / rate) }
		gpu := timed("cuda:0", "cuda:0", 2, 1<<15, latency, each(gpuRate))
		gpu2 := timed("cuda:1", "cuda:1", 2, 1<<15, latency, each(gpuRate))
		cpu := timed("cpu", "cpu", 1, 88, 0, each(cpuRate))
		for _, c := range []struct {
			n       int
			engines []verify.Backend
			most    float64 // times what it would take without latency
		}{
			{150_000 / 16, []verify.Backend{gpu, cpu}, 2.2},
			{300_000 / 16, []verify.Backend{gpu, gpu2, cpu}, 2.2},
			{1_100_000 / 16, []verify.Backend{gpu, cpu}, 1.4},
			{1_100_000 / 16, []verify.Backend{gpu, gpu2, cpu}, 1.4},
		} {
			r := verify.NewRouter(nil, nil, c.engines...)
			ts := makeTrailers(0, c.n)
			dst := make([]verify.Result, len(ts))
			var took time.Duration
			for range 4 { // learn
				start := time.Now()
				if err := r.VerifyPoW(t.Context(), dst, ts); err != nil {
					t.Fatal(err)
				}
				took = time.Since(start)
			}
			ideal := float64(c.n) / (float64(len(c.engines)-1)*gpuRate + cpuRate)
			times := took.Seconds() / ideal
			t.Logf("%d trailers, %d engines: %v, %.2f times the ideal", c.n, len(c.engines), took, times)
			if times > c.most {
				t.Errorf("%d trailers, %d engines: %.2f times as long as without latency, want %.1f", c.n, len(c.engines), times, c.most)
			}
		}
	})
}
