//go:build cuda

package gpu

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"kigo/cpu"
	"kigo/kernels"
	"kigo/node/mcm"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

// options are for devices with so many trailers in flight.  Without device code
// in the program they name some image, which only the fake driver takes.
func options(inFlight int) Options {
	o := Options{InFlight: inFlight}
	if _, err := kernels.Image(); err != nil {
		o.Image = "no image"
	}
	return o
}

// image is the device code in the program.
func image(t testing.TB) string {
	t.Helper()
	i, err := kernels.Image()
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// devices opens all devices, of which there must be one, and closes them when the
// test ends.
func devices(t testing.TB, o Options) []verify.Backend {
	t.Helper()
	all, err := Open(t.Context(), o)
	verifytest.Require(t, "cuda", len(all) > 0, "no GPU and not the fake driver")
	if err != nil {
		t.Error(err)
	}
	t.Cleanup(func() {
		for _, d := range all {
			if err := d.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		}
	})
	return all
}

// fake skips the test unless the driver is the one that fails on demand.
func fake(t testing.TB) {
	t.Helper()
	all, _ := Open(t.Context(), options(1))
	is := len(all) > 0 && strings.Contains(all[0].Info().Detail, "fake")
	for _, d := range all {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
	verifytest.Require(t, "cuda-fake", is, "the driver is not the fake one")
}

// oracle is the portable engine.
func oracle() verify.Backend {
	engines := cpu.Engines()
	return engines[len(engines)-1].Open(cpu.NewCores(runtime.GOMAXPROCS(0)))
}

// random returns trailers and what the oracle says of them.
func random(t testing.TB, n int) ([]mcm.Trailer, []verify.Result) {
	t.Helper()
	batch := verifytest.Trailers(rand.New(rand.NewPCG(verifytest.Seed(t, 5), 0)), n)
	want := make([]verify.Result, n)
	if err := oracle().VerifyPoW(context.Background(), want, batch); err != nil {
		t.Fatal(err)
	}
	return batch, want
}

// compare fails the test unless v says what is wanted.
func compare(t testing.TB, v verify.Verifier, batch []mcm.Trailer, want []verify.Result) {
	t.Helper()
	got := make([]verify.Result, len(batch))
	if err := v.VerifyPoW(context.Background(), got, batch); err != nil {
		t.Error(err)
		return
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("trailer %d of %d: got %v %v, want %v %v", i, len(batch), got[i].Verdict, got[i].Hash, want[i].Verdict, want[i].Hash)
			return
		}
	}
}

// noGoroutines fails the test when it ends with more goroutines than now.  Call it
// before devices, so that it looks after they are closed.
func noGoroutines(t testing.TB) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		// One that has told that it ends may not have ended.
		for range 1000 { // 10 s
			if runtime.NumGoroutine() <= before {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Errorf("%d goroutines, there were %d", runtime.NumGoroutine(), before)
	})
}

// retired returns the reason in err, "" when it doesn't say that a backend is
// retired and which.
func retired(err error) string {
	var named *verify.BackendError
	var r *verify.RetiredError
	if errors.As(err, &named) && errors.As(err, &r) && named.Backend == r.Backend {
		return r.Reason
	}
	return ""
}
