package verify_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kigo/node/mcm"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

// timed returns a Fake that takes fixed for a batch and each for every trailer
// of it; use it in a bubble.
func timed(name, device string, minBatch, chunk int, fixed, each time.Duration) *verifytest.Fake {
	return &verifytest.Fake{
		About: verify.Info{Name: name, Device: device, Lanes: 1, MinBatch: minBatch, Chunk: chunk},
		Before: func(_ context.Context, _ int, batch []mcm.Trailer) error {
			time.Sleep(fixed + time.Duration(len(batch))*each)
			return nil
		},
	}
}

// failing makes f fail as often as n says, after which it works.
func failing(f *verifytest.Fake, n int, err error) *verifytest.Fake {
	before := f.Before
	f.Before = func(ctx context.Context, call int, batch []mcm.Trailer) error {
		if call < n {
			return err
		}
		if before != nil {
			return before(ctx, call, batch)
		}
		return nil
	}
	return f
}

func named(name string) *verifytest.Fake {
	return &verifytest.Fake{About: verify.Info{Name: name, Lanes: 1, MinBatch: 1, Chunk: 1}}
}

func TestRouterGoesBySize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wide := timed("wide", "", 10, 1000, 0, time.Millisecond)
		portable := timed("portable", "", 1, 16, 0, 2*time.Millisecond)
		r := verify.NewRouter(nil, nil, wide, portable)
		for _, n := range []int{1, 9, 10, 500, 0} {
			wantTruth(t, r, makeTrailers(0, n))
		}
		if got, want := wide.Calls(), []int{10, 500}; !slices.Equal(got, want) {
			t.Errorf("wide got %v, want %v", got, want)
		}
		if got, want := portable.Calls(), []int{1, 9}; !slices.Equal(got, want) {
			t.Errorf("portable got %v, want %v", got, want)
		}

		// Not even one that might be faster gets less than it takes.
		between := timed("wide", "", 10, 1000, 0, 0)
		r = verify.NewRouter(nil, nil, timed("cpu", "", 1, 16, 0, time.Millisecond), between, portable)
		for range 3 {
			wantTruth(t, r, makeTrailers(0, 9))
		}
		if got := between.Calls(); len(got) != 0 {
			t.Errorf("wide got %v, want none", got)
		}
	})
}

// TestRouterGivesSmallBatchesToWideBackends when nobody else does them.
func TestRouterGivesSmallBatchesToWideBackends(t *testing.T) {
	wide, portable := named("wide"), failing(named("portable"), 1, errors.New("out of memory"))
	wide.About.MinBatch = 10
	wantTruth(t, verify.NewRouter(nil, nil, wide, portable), makeTrailers(0, 3))
	if w, p := len(wide.Calls()), len(portable.Calls()); w != 1 || p != 1 {
		t.Errorf("wide was called %d times, portable %d; want once each", w, p)
	}
}

// TestRouterCountsHashes: trailers that need no hash say nothing of how fast a backend
// is.
func TestRouterCountsHashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := named("slow")
		slow.Before = func(_ context.Context, _ int, batch []mcm.Trailer) error {
			for i := range batch {
				if batch[i].Kind() == mcm.Standard {
					time.Sleep(time.Millisecond)
				}
			}
			return nil
		}
		r := verify.NewRouter(nil, nil, slow)
		exempt := makeTrailers(0, 50)
		for i := range exempt {
			exempt[i].SetTxCount(0)
		}
		for _, c := range []struct {
			batch []mcm.Trailer
			want  float64
		}{
			{exempt, 0},
			{append(slices.Clone(exempt), makeTrailers(0, 50)...), 1000},
			{exempt, 1000},
		} {
			wantTruth(t, r, c.batch)
			if got := r.Status()[0].Rate; math.Abs(got-c.want) > 1 {
				t.Errorf("a rate of %v trailers a second, want %v", got, c.want)
			}
		}
	})
}

func TestRouterNeedsABackend(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	verify.NewRouter(nil, nil)
}

// TestRouterLearnsCrossover has a device with a latency of 10 ms: a few trailers
// are done sooner elsewhere, which nobody told the router.
func TestRouterLearnsCrossover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu := timed("gpu", "", 1, 4096, 10*time.Millisecond, time.Microsecond)
		cpu := timed("cpu", "", 1, 64, 0, 100*time.Microsecond)
		r := verify.NewRouter(nil, nil, gpu, cpu)
		for range 4 { // learn
			for _, n := range []int{8, 54, 2000} {
				wantTruth(t, r, makeTrailers(0, n))
			}
		}
		gpuBefore, cpuBefore := len(gpu.Calls()), len(cpu.Calls())
		for range 20 {
			wantTruth(t, r, makeTrailers(0, 8))
			wantTruth(t, r, makeTrailers(0, 54))
			wantTruth(t, r, makeTrailers(0, 2000))
		}
		if got := gpu.Calls()[gpuBefore:]; slices.Min(got) < 2000 {
			t.Errorf("gpu got %v, want only the large ones", got)
		}
		if got := cpu.Calls()[cpuBefore:]; slices.Max(got) > 54 {
			t.Errorf("cpu got %v, want only the small ones", got)
		}
	})
}

// TestRouterComesBack has the better backend slow for a while: it must not be
// forgotten.
func TestRouterComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := true
		gpu := timed("gpu", "", 1, 100, 0, 0)
		gpu.Before = func(context.Context, int, []mcm.Trailer) error {
			if slow {
				time.Sleep(30 * time.Millisecond)
			} else {
				time.Sleep(time.Millisecond)
			}
			return nil
		}
		cpu := timed("cpu", "", 1, 100, 10*time.Millisecond, 0)
		r := verify.NewRouter(nil, nil, gpu, cpu)
		ts := makeTrailers(0, 10)
		for range 20 {
			wantTruth(t, r, ts)
		}
		if n := len(gpu.Calls()); n != 1 {
			t.Errorf("the slow backend got %d of 20 batches, want 1", n)
		}
		slow = false
		for range 600 {
			wantTruth(t, r, ts)
		}
		if n := len(gpu.Calls()); n < 200 {
			t.Errorf("the backend that is fast again got %d of 600 batches, want most of the later ones", n)
		}
	})
}

func TestRouterFallsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := errors.New("device lost")
		var log bytes.Buffer
		reg := prometheus.NewRegistry()
		gpu, cpu, portable := failing(named("gpu"), 3, lost), named("cpu"), named("portable")
		r := verify.NewRouter(slog.New(slog.NewTextHandler(&log, nil)), verify.NewMetrics(reg), gpu, cpu, portable)
		ts := append(makeTrailers(0, 4), makeBad(5, 4)...)

		at := func(after time.Duration, gpuCalls, cpuCalls int) {
			t.Helper()
			time.Sleep(after)
			wantTruth(t, r, ts)
			if g, c := len(gpu.Calls()), len(cpu.Calls()); g != gpuCalls || c != cpuCalls {
				t.Errorf("after %v: gpu was called %d times, cpu %d; want %d and %d", after, g, c, gpuCalls, cpuCalls)
			}
		}
		at(0, 1, 1)                     // fails
		at(999*time.Millisecond, 1, 2)  // left alone
		at(2*time.Millisecond, 2, 3)    // fails again, is left alone for longer
		at(1999*time.Millisecond, 2, 4) // still
		at(2*time.Millisecond, 3, 5)
		s := r.Status()[0]
		if !errors.Is(s.Err, lost) || s.Retired || time.Until(s.Until) != 4*time.Second {
			t.Errorf("status of gpu: %+v, want the error, and alone for 4 s", s)
		}
		at(4001*time.Millisecond, 4, 5) // works
		if s := r.Status()[0]; s.Err != nil || s.Rate == 0 || !s.Until.IsZero() {
			t.Errorf("status of gpu: %+v, want no error and a rate", s)
		}
		if len(portable.Calls()) != 0 {
			t.Error("portable was called, though cpu works")
		}
		if n := value(t, reg, "kigo_verify_fallbacks_total", "backend", "gpu"); n != 3 {
			t.Errorf("%v fallbacks, want 3", n)
		}
		for name, want := range map[string]float64{"gpu": 4, "cpu": 20} {
			if n := value(t, reg, "kigo_verify_trailers_total", "backend", name, "verdict", "bad_work"); n != want {
				t.Errorf("%v bad trailers by %s, want %v", n, name, want)
			}
		}
		if n := strings.Count(log.String(), "backend failed"); n != 3 || !strings.Contains(log.String(), "serves again") {
			t.Errorf("the log has %d failures, want 3, and then that it serves again:\n%s", n, &log)
		}
	})
}

func TestRouterPauseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu := failing(named("gpu"), 1<<30, errors.New("device lost"))
		r := verify.NewRouter(nil, nil, gpu, named("portable"))
		for range 40 {
			wantTruth(t, r, makeTrailers(0, 1))
			time.Sleep(time.Until(r.Status()[0].Until))
		}
		if n := len(gpu.Calls()); n != 40 {
			t.Errorf("called %d times, want 40", n)
		}
		wantTruth(t, r, makeTrailers(0, 1))
		if pause := time.Until(r.Status()[0].Until); pause != 5*time.Minute {
			t.Errorf("left alone for %v, want 5m", pause)
		}
	})
}

func TestRouterRetires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		wrong := failing(named("gpu"), 1, &verify.RetiredError{Backend: "gpu", Class: verify.KnownAnswer, Reason: "lies"})
		portable := named("portable")
		var log bytes.Buffer
		r := verify.NewRouter(slog.New(slog.NewTextHandler(&log, nil)), verify.NewMetrics(reg), wrong, portable)
		for range 5 {
			wantTruth(t, r, makeTrailers(0, 3))
			time.Sleep(time.Hour)
		}
		if g, p := len(wrong.Calls()), len(portable.Calls()); g != 1 || p != 5 {
			t.Errorf("gpu was called %d times, portable %d; want 1 and 5", g, p)
		}
		if !r.Status()[0].Retired || value(t, reg, "kigo_verify_retired", "backend", "gpu") != 1 {
			t.Error("status or metric don't say that gpu is retired")
		}
		if n := value(t, reg, "kigo_verify_retirements_total", "backend", "gpu", "reason", "known_answer"); n != 1 {
			t.Errorf("counted %v retirements for that reason, want 1", n)
		}
		if got := log.String(); strings.Count(got, "level=ERROR") != 1 || !strings.Contains(got, "backend=gpu") || !strings.Contains(got, "lies") {
			t.Errorf("the log has no single error about it:\n%s", got)
		}

		if n := r.Wrong(); n != 1 {
			t.Errorf("%d are said to compute wrongly, want 1", n)
		}
		for _, class := range []verify.RetireClass{verify.Failed, verify.Hung} {
			r := verify.NewRouter(nil, nil, failing(named("gpu"), 1, &verify.RetiredError{Backend: "gpu", Class: class}), portable)
			wantTruth(t, r, makeTrailers(0, 3))
			if n := r.Wrong(); n != 0 || !r.Status()[0].Retired {
				t.Errorf("%s: %d are said to compute wrongly, want none", class, n)
			}
		}

		only := verify.NewRouter(nil, nil, failing(named("gpu"), 1, &verify.RetiredError{Backend: "gpu", Reason: "lies"}))
		for range 2 {
			var retired *verify.RetiredError
			if err := only.VerifyPoW(t.Context(), make([]verify.Result, 1), makeTrailers(0, 1)); !errors.As(err, &retired) {
				t.Errorf("no backend is left: got %v, want a *RetiredError", err)
			}
		}
	})
}

func TestRouterTellsAllFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost, full := errors.New("device lost"), errors.New("out of memory")
		portable := failing(named("portable"), 1, full)
		r := verify.NewRouter(nil, nil, failing(named("gpu"), 1<<30, lost), portable)
		dst := make([]verify.Result, 3)
		err := r.VerifyPoW(t.Context(), dst, makeTrailers(0, 3))
		var failed *verify.BackendError
		if !errors.Is(err, lost) || !errors.Is(err, full) || !errors.As(err, &failed) || !allUnchecked(dst) {
			t.Errorf("got %v, %v, want both failures and no results", err, dst)
		}
		wantTruth(t, r, makeTrailers(0, 3)) // at once: the last one is never left out
		if n := len(portable.Calls()); n != 2 {
			t.Errorf("portable was called %d times, want 2", n)
		}
	})
}

// A halfDone backend stores a verdict before it fails.
type halfDone struct{ *verifytest.Fake }

func (h halfDone) VerifyPoW(_ context.Context, dst []verify.Result, _ []mcm.Trailer) error {
	dst[0].Verdict = verify.Valid
	return errors.New("device lost")
}

func TestRouterTellsNothingOfFailedBackends(t *testing.T) {
	dst := make([]verify.Result, 3)
	r := verify.NewRouter(nil, nil, halfDone{named("gpu")})
	if err := r.VerifyPoW(t.Context(), dst, makeTrailers(0, 3)); err == nil || !allUnchecked(dst) {
		t.Errorf("got %v, %v, want an error and no results", err, dst)
	}
}

func TestRouterDistrustsSilence(t *testing.T) {
	lazy := named("lazy")
	lazy.Spoil = func(_ []mcm.Trailer, r []verify.Result) { r[len(r)/2] = verify.Result{} }
	wantTruth(t, verify.NewRouter(nil, nil, lazy, named("portable")), makeTrailers(0, 3))
	err := verify.NewRouter(nil, nil, lazy).VerifyPoW(t.Context(), make([]verify.Result, 3), makeTrailers(0, 3))
	var failed *verify.BackendError
	if !errors.As(err, &failed) || failed.Backend != "lazy" || failed.Op != "verify" {
		t.Errorf("got %v, want a *BackendError of lazy", err)
	}
}

func TestRouterDoesNotBlameForCancellation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gpu, portable := named("gpu"), named("portable")
		gpu.Before = func(ctx context.Context, call int, _ []mcm.Trailer) error {
			if call == 0 {
				<-ctx.Done()
				return errors.New("stream aborted") // not even the right error
			}
			return nil
		}
		r := verify.NewRouter(nil, nil, gpu, portable)
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errStop) })
		if err := r.VerifyPoW(ctx, make([]verify.Result, 3), makeTrailers(0, 3)); !errors.Is(err, errStop) {
			t.Errorf("got %v, want the cause", err)
		}
		if err := r.VerifyPoW(ctx, make([]verify.Result, 3), makeTrailers(0, 3)); !errors.Is(err, errStop) {
			t.Errorf("got %v, want the cause", err)
		}
		wantTruth(t, r, makeTrailers(0, 3))
		if g, p := len(gpu.Calls()), len(portable.Calls()); g != 2 || p != 0 {
			t.Errorf("gpu was called %d times, portable %d; want 2 and 0", g, p)
		}
	})
}

func TestRouterClose(t *testing.T) {
	bad := errors.New("context destroyed")
	a, b, c := named("a"), named("b"), named("c")
	b.CloseErr = bad
	err := verify.NewRouter(nil, nil, a, b, c).Close()
	var failed *verify.BackendError
	if !errors.Is(err, bad) || !errors.As(err, &failed) || failed.Backend != "b" || failed.Op != "close" {
		t.Errorf("got %v, want a *BackendError of b", err)
	}
	if a.Closed() != 1 || b.Closed() != 1 || c.Closed() != 1 {
		t.Error("not all were closed once")
	}
}

func TestRouterConcurrent(t *testing.T) {
	gpu := named("gpu")
	gpu.About.Device = "cuda:0"
	gpu.Before = func(_ context.Context, call int, _ []mcm.Trailer) error {
		if call%5 == 0 {
			return errors.New("hiccup")
		}
		return nil
	}
	portable := named("portable")
	portable.About.Device = "cpu"
	r := verify.NewRouter(nil, nil, gpu, portable)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 20 {
				wantTruth(t, r, makeTrailers(100*g+i, 1+i))
				r.Status()
			}
		})
	}
	wg.Wait()
}

// Batches that share a device disturb each other's times, so the order in which
// its backends were given decides, not what was measured.
func TestRouterKeepsOrderOnOneDevice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wide := timed("wide", "cpu", 10, 1000, 0, 4*time.Millisecond)
		other := timed("other", "cpu", 1, 1000, 0, time.Millisecond)
		portable := timed("portable", "cpu", 1, 16, 0, 2*time.Millisecond)
		r := verify.NewRouter(nil, nil, wide, other, portable)
		for range 50 {
			wantTruth(t, r, makeTrailers(0, 100))
			wantTruth(t, r, makeTrailers(0, 5))
		}
		if len(wide.Calls()) != 50 || len(other.Calls()) != 50 || len(portable.Calls()) != 0 {
			t.Errorf("wide was asked %d times, other %d, portable %d; want 50, 50, 0", len(wide.Calls()), len(other.Calls()), len(portable.Calls()))
		}

		sick := failing(timed("sick", "cpu", 10, 1000, 0, 0), 1, errors.New("hiccup"))
		r = verify.NewRouter(nil, nil, sick, other, portable)
		wantTruth(t, r, makeTrailers(0, 100)) // fails over to the next
		if n := len(other.Calls()); n != 51 {
			t.Errorf("other was asked %d times, want 51", n)
		}
	})
}
