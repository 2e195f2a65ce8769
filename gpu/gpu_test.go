//go:build cuda

package gpu

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"kigo/node/mcm"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

// TestConformance puts each device through the suite of all engines, in pieces of
// about a warp.
func TestConformance(t *testing.T) {
	noGoroutines(t)
	if testing.Short() { // lengths and positions, of which the kernels have tests of their own
		t.Setenv("KIGO_FAKE_REMEMBER", "1")
	}
	n := len(devices(t, options(80)))
	for i := range n {
		verifytest.Run(t, func(t testing.TB) verify.Backend {
			d := devices(t, options(80))[i]
			if testing.Short() {
				return narrow{d}
			}
			return d
		})
	}
}

// narrow claims fewer lanes, so that fewer batches go round them.
type narrow struct{ verify.Backend }

func (n narrow) Info() verify.Info {
	info := n.Backend.Info()
	info.Lanes = 8
	return info
}

// TestVectors has batches larger than a block and than all slots.
func TestVectors(t *testing.T) {
	for _, d := range devices(t, options(600)) {
		checkVectors(t, d, verifytest.Vectors(t))
	}
}

// checkVectors asks d for vectors in one batch.
func checkVectors(t *testing.T, d verify.Backend, vectors []verifytest.Vector) {
	t.Helper()
	batch, got := make([]mcm.Trailer, len(vectors)), make([]verify.Result, len(vectors))
	for i := range vectors {
		batch[i] = vectors[i].Trailer
	}
	if err := d.VerifyPoW(t.Context(), got, batch); err != nil {
		t.Fatal(err)
	}
	for i := range vectors {
		if err := vectors[i].Check(got[i]); err != nil {
			t.Errorf("trailer %d of %d: %v", i, len(vectors), err)
		}
	}
}

// TestFullSlots has pieces of all that a slot holds, and such that several cores
// gather and judge.
func TestFullSlots(t *testing.T) {
	peach := slices.DeleteFunc(verifytest.Vectors(t), func(v verifytest.Vector) bool { return !v.Peach() })
	cases := []struct{ inFlight, batch int }{{64, 64}, {512, 1024}, {16384, 9000}}
	for _, c := range cases {
		if testing.Short() && c.batch > grain {
			continue
		}
		var vectors []verifytest.Vector
		for len(vectors) < c.batch {
			vectors = append(vectors, peach...)
		}
		checkVectors(t, devices(t, options(c.inFlight))[0], vectors[:c.batch])
	}
}

func TestRandom(t *testing.T) {
	n := 4000
	if testing.Short() {
		n = 500
	}
	verifytest.Differential(t, func(t testing.TB) verify.Backend { return devices(t, options(128))[0] }, oracle(), n, 0)
}

// TestSelfTest asks in the way that a program does before it trusts a device.
func TestSelfTest(t *testing.T) {
	for _, d := range devices(t, options(0)) {
		if err := verify.SelfTest(t.Context(), d); err != nil {
			t.Error(err)
		}
	}
}

func TestPieces(t *testing.T) {
	f := func(n, capacity, want int) {
		t.Helper()
		if got := pieceOf(n, capacity, 2); got != want {
			t.Errorf("batch of %d in slots of %d: got pieces of %d, want %d", n, capacity, got, want)
		}
	}
	f(0, 100, 1)
	f(1, 100, 1)
	f(100, 100, 100)
	f(101, 100, 51)
	f(1000, 300, 250)
	f(leastPiece, 1<<19, leastPiece)
	f(leastPiece+2, 1<<19, leastPiece/2+1)
	f(1<<20, 1<<19, 1<<19)
	f(1_100_000, 1<<19, 366_667)
}

func TestSpread(t *testing.T) {
	for _, n := range []int{0, 1, grain - 1, grain, grain + 1, 5*grain + 7} {
		count := make([]int32, n)
		spread(n, func(from, to int) {
			for i := from; i < to; i++ {
				count[i]++
			}
		})
		if slices.ContainsFunc(count, func(c int32) bool { return c != 1 }) {
			t.Errorf("of %d some are not done once", n)
		}
	}
}

func TestAllDevices(t *testing.T) {
	fake(t)
	noGoroutines(t)
	t.Setenv("KIGO_FAKE_DEVICES", "3")
	all := devices(t, options(64))
	if len(all) != 3 {
		t.Fatalf("got %d devices, want 3", len(all))
	}
	for i, d := range all {
		name := fmt.Sprintf("cuda:%d", i)
		if info := d.Info(); info.Name != name || info.Device != name || info.Chunk != 64 || info.MinBatch != 32 || info.Lanes != 32 ||
			info.Detail != "Kigo fake GPU, 0.2 GiB, sm_90, 1 multiprocessors, driver for CUDA 12.8" {
			t.Errorf("got %+v, want a description of %s", info, name)
		}
	}
	// They share a batch.
	batch, want := random(t, 600)
	router := verify.NewRouter(nil, nil, append(slices.Clone(all), oracle())...)
	compare(t, router, batch, want)
	compare(t, router, batch, want)
	for _, s := range router.Status()[:3] {
		if s.Rate == 0 || s.Err != nil {
			t.Errorf("%s: rate %v, error %v, want that it has done some", s.Info.Name, s.Rate, s.Err)
		}
	}
}

func TestNoDevice(t *testing.T) {
	fake(t)
	t.Setenv("KIGO_FAKE_DEVICES", "0")
	if all, err := Open(t.Context(), options(64)); len(all) > 0 || err == nil || !strings.Contains(err.Error(), "no device") {
		t.Errorf("got %d devices and error %v, want that there is none", len(all), err)
	}
}

func TestOpenCancelled(t *testing.T) {
	fake(t)
	noGoroutines(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	superseded := errors.New("superseded")
	cancel(superseded)
	if all, err := Open(ctx, options(64)); len(all) > 0 || !errors.Is(err, superseded) {
		t.Errorf("got %d devices and error %v, want none and the cause", len(all), err)
	}
}

// TestUnsuited has devices that refuse the device code.
func TestUnsuited(t *testing.T) {
	fake(t)
	noGoroutines(t)
	t.Setenv("KIGO_FAKE_DEVICES", "2")
	for code, why := range map[string]string{"209": "not built for this device", "222": "the driver is older than the kernels"} {
		t.Setenv("KIGO_FAKE_IMAGE", code)
		all, err := Open(t.Context(), options(64))
		var unsuited *OpenError
		if len(all) > 0 || !errors.As(err, &unsuited) || unsuited.Device != "cuda:0" || !strings.Contains(err.Error(), "cuda:1") || !strings.Contains(err.Error(), why) {
			t.Errorf("image error %s: got %d devices and error %v, want none and that %s", code, len(all), err, why)
		}
	}
}

// TestMemory has devices that hold fewer trailers than they are asked for.
func TestMemory(t *testing.T) {
	fake(t)
	noGoroutines(t)
	batch, want := random(t, 300)
	t.Run("little", func(t *testing.T) {
		t.Setenv("KIGO_FAKE_MEMORY", strconv.Itoa(16<<20))
		d := devices(t, options(1<<20))[0]
		most := 16 << 20 / fullLen
		if chunk := d.Info().Chunk; chunk < most/2 || chunk > most {
			t.Errorf("%d trailers in flight in 16 MiB, want up to %d", chunk, most)
		}
		compare(t, d, batch, want)
	})
	t.Run("none", func(t *testing.T) {
		t.Setenv("KIGO_FAKE_MEMORY", strconv.Itoa(1<<20))
		if all, err := Open(t.Context(), options(1<<20)); len(all) > 0 || err == nil || !strings.Contains(err.Error(), "too little memory") {
			t.Errorf("got %d devices and error %v, want that memory is too small", len(all), err)
		}
	})
	// Without a context or the kernels there is no device.
	for k := 1; k <= 2; k++ {
		t.Run(fmt.Sprintf("allocation %d fails", k), func(t *testing.T) {
			t.Setenv("KIGO_FAKE_OOM", strconv.Itoa(k))
			all, err := Open(t.Context(), options(64))
			var unusable *OpenError
			if len(all) > 0 || !errors.As(err, &unusable) || !strings.Contains(err.Error(), "CUDA_ERROR_OUT_OF_MEMORY") {
				t.Errorf("got %d devices and error %v, want none for lack of memory", len(all), err)
			}
		})
	}
	// Whichever other one fails, the device serves with half of it.
	const allocations = 2 + streams*9 // a stream, six on the device, two on the host
	for k := 3; k <= allocations+1; k++ {
		t.Run(fmt.Sprintf("allocation %d fails", k), func(t *testing.T) {
			t.Setenv("KIGO_FAKE_OOM", strconv.Itoa(k))
			d := devices(t, options(8192))[0]
			full := 8192
			if k <= allocations {
				full /= 2
			}
			if chunk := d.Info().Chunk; chunk != full {
				t.Errorf("%d trailers in flight, want %d", chunk, full)
			}
			compare(t, d, batch[:20], want[:20])
		})
	}
}

func TestClose(t *testing.T) {
	noGoroutines(t)
	batch, want := random(t, 40)
	for _, d := range devices(t, options(64)) {
		compare(t, d, batch, want)
		for range 2 {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
		got := make([]verify.Result, len(batch))
		if err := d.VerifyPoW(t.Context(), got, batch); !errors.Is(err, verify.ErrClosed) {
			t.Errorf("after Close: got error %v, want ErrClosed", err)
		}
	}
}

// TestCloseEndsCalls closes a device that is asked by many.
func TestCloseEndsCalls(t *testing.T) {
	noGoroutines(t)
	d := devices(t, options(64))[0]
	batch, want := random(t, 2000)
	errs := make(chan error)
	for range 4 {
		go func() {
			got := make([]verify.Result, len(batch))
			err := d.VerifyPoW(t.Context(), got, batch)
			for i := range got {
				if got[i].Verdict != verify.Unchecked && got[i] != want[i] {
					err = fmt.Errorf("trailer %d: got %v, want %v or nothing", i, got[i], want[i])
				}
			}
			errs <- err
		}()
	}
	time.Sleep(50 * time.Millisecond) // some of the 2 s that all take
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	for range 4 {
		if err := <-errs; !errors.Is(err, verify.ErrClosed) {
			t.Errorf("got error %v, want ErrClosed", err)
		}
	}
}
