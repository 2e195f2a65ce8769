//go:build cuda

package gpu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kigo/node/mcm"
	"kigo/node/verify"
)

// A service is two devices, watched, and the oracle, as a node uses them.
type service struct {
	*verify.Router
	*Metrics // of the devices
	devices  []verify.Backend
	log      bytes.Buffer
	registry *prometheus.Registry
}

func newService(t *testing.T, inFlight int, sample float64) *service {
	s := &service{registry: prometheus.NewRegistry()}
	log := slog.New(slog.NewTextHandler(&s.log, nil))
	metrics := verify.NewMetrics(s.registry)
	s.Metrics = NewMetrics(s.registry)
	t.Setenv("KIGO_FAKE_DEVICES", "2")
	o := options(inFlight)
	o.Metrics = s.Metrics
	var all []verify.Backend
	s.devices = devices(t, o)
	for _, d := range s.devices {
		all = append(all, verify.Audited(d, oracle(), verify.AuditOptions{Sample: sample, Log: log, Metrics: metrics}))
	}
	s.Router = verify.NewRouter(log, metrics, append(all, reserve{oracle()})...)
	return s
}

// A reserve does only what others have failed to do, however fast it is.
type reserve struct{ verify.Backend }

func (r reserve) Info() verify.Info {
	info := r.Backend.Info()
	info.Device, info.MinBatch = "", math.MaxInt
	return info
}

// until asks for batch until the first device is retired, and compares.
func (s *service) until(t *testing.T, batch []mcm.Trailer, want []verify.Result) {
	t.Helper()
	for range 100 {
		compare(t, s, batch, want)
		if s.Status()[0].Retired || t.Failed() {
			return
		}
	}
}

// retired fails the test unless the first device alone is retired, because of
// reason, and that was logged and counted.
func (s *service) retired(t *testing.T, class verify.RetireClass, reason string) {
	t.Helper()
	status := s.Status()
	if !status[0].Retired || status[1].Retired || status[1].Err != nil {
		t.Errorf("got %+v, want the first retired and the second in service", status)
	}
	if err := status[0].Err; err == nil || !strings.Contains(err.Error(), reason) {
		t.Errorf("retired because of %v, want %s", err, reason)
	}
	if log := s.log.String(); !strings.Contains(log, "level=ERROR") || !strings.Contains(log, "backend=cuda:0") || !strings.Contains(log, reason) || strings.Contains(log, "backend=cuda:1") {
		t.Errorf("log is\n%s\nwant that cuda:0 is retired, and why", log)
	}
	want := fmt.Sprintf(`
# HELP kigo_verify_retired 1 when the backend gave a wrong verdict or failed for good, and serves no more.
# TYPE kigo_verify_retired gauge
kigo_verify_retired{backend="cuda:0"} 1
kigo_verify_retired{backend="cuda:1"} 0
# HELP kigo_verify_retirements_total Backends taken out of service for good, by the kind of reason.
# TYPE kigo_verify_retirements_total counter
kigo_verify_retirements_total{backend="cuda:0",reason=%q} 1
`, class)
	if err := testutil.GatherAndCompare(s.registry, strings.NewReader(want), "kigo_verify_retired", "kigo_verify_retirements_total"); err != nil {
		t.Error(err)
	}
}

// TestFaults breaks one of two devices in all ways; every verdict is right all the
// same, and the device is out.
func TestFaults(t *testing.T) {
	fake(t)
	batch, want := random(t, 300)
	cases := []struct {
		name, fault, at, reason string
	}{
		{"first launch", "LAUNCH", "1", "CUDA_ERROR_LAUNCH_FAILED"},
		{"launch of a row", "LAUNCH", "100", "CUDA_ERROR_LAUNCH_FAILED"},
		{"last launch of a piece", "LAUNCH", "298", "CUDA_ERROR_LAUNCH_FAILED"},
		{"later launch", "LAUNCH", "700", "CUDA_ERROR_LAUNCH_FAILED"},
		{"dies at once", "DIE", "27", "CUDA_ERROR_UNKNOWN"},
		{"dies in a piece", "DIE", "400", "CUDA_ERROR_UNKNOWN"},
		{"dies later", "DIE", "1000", "CUDA_ERROR_UNKNOWN"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			noGoroutines(t)
			t.Setenv("KIGO_FAKE_FAULTY", "0")
			t.Setenv("KIGO_FAKE_"+c.fault, c.at)
			s := newService(t, 64, 1)
			s.until(t, batch, want)
			s.retired(t, verify.Failed, c.reason)
			compare(t, s, batch[:100], want[:100]) // by the other
		})
	}
	t.Run("no memory for a launch", func(t *testing.T) {
		noGoroutines(t)
		t.Setenv("KIGO_FAKE_FAULTY", "0")
		t.Setenv("KIGO_FAKE_LAUNCH", "5")
		t.Setenv("KIGO_FAKE_CODE", "2")
		s := newService(t, 64, 1)
		s.until(t, batch, want)
		s.retired(t, verify.Failed, "CUDA_ERROR_OUT_OF_MEMORY")
	})
}

// TestDeathWhileOpening has the driver fail at each of its calls until the device
// serves.
func TestDeathWhileOpening(t *testing.T) {
	fake(t)
	noGoroutines(t)
	batch, _ := random(t, 10)
	opened := 0
	for k := 1; k <= 30; k++ {
		t.Setenv("KIGO_FAKE_DIE", fmt.Sprint(k))
		all, err := Open(t.Context(), options(64))
		if len(all) == 0 {
			var unsuited *OpenError
			if !errors.As(err, &unsuited) || !strings.Contains(err.Error(), "CUDA_ERROR_UNKNOWN") {
				t.Errorf("dies at call %d: got error %v, want an *OpenError", k, err)
			}
			continue
		}
		opened++
		err = all[0].VerifyPoW(t.Context(), make([]verify.Result, len(batch)), batch)
		if reason := retired(err); !strings.Contains(reason, "CUDA_ERROR_UNKNOWN") {
			t.Errorf("dies at call %d: got error %v, want that the device is retired", k, err)
		}
		if err := all[0].Close(); err != nil {
			t.Errorf("dies at call %d: close: %v", k, err)
		}
	}
	if opened == 0 || opened == 30 {
		t.Errorf("the device was opened %d times of 30", opened)
	}
}

// TestFailureEndsAllCalls breaks a device that is asked by many.
func TestFailureEndsAllCalls(t *testing.T) {
	fake(t)
	noGoroutines(t)
	t.Setenv("KIGO_FAKE_LAUNCH", "1000")
	d := devices(t, options(64))[0]
	batch, _ := random(t, 500)
	errs := make(chan error)
	for range 6 {
		go func() { errs <- d.VerifyPoW(context.Background(), make([]verify.Result, len(batch)), batch) }()
	}
	for range 6 {
		if err := <-errs; !strings.Contains(retired(err), "CUDA_ERROR_LAUNCH_FAILED") {
			t.Errorf("got error %v, want that the device is retired", err)
		}
	}
	if err := d.VerifyPoW(t.Context(), make([]verify.Result, 1), batch[:1]); retired(err) == "" {
		t.Errorf("asked later: got error %v, want that the device is retired", err)
	}
}

// TestSlowDevice has a device ten times as slow as the other, which does most of
// what they share.
func TestSlowDevice(t *testing.T) {
	fake(t)
	noGoroutines(t)
	t.Setenv("KIGO_FAKE_FAULTY", "0")
	t.Setenv("KIGO_FAKE_SLOW", "2000")
	s := newService(t, 64, 0)
	batch, want := random(t, 600)
	for range 2 {
		compare(t, s, batch, want)
	}
	slow, fast := testutil.ToFloat64(s.hashed.WithLabelValues("cuda:0")), testutil.ToFloat64(s.hashed.WithLabelValues("cuda:1"))
	if slow == 0 || slow > fast/2 {
		t.Errorf("the slow device has hashed %v trailers, the other %v", slow, fast)
	}
	for _, status := range s.Status()[:2] {
		if status.Err != nil {
			t.Errorf("%s: %v", status.Info.Name, status.Err)
		}
	}
}

// TestHangWhileOpening has a driver or a device that does not answer at first:
// nobody waits longer than is set, or than they want to, and all is given back once
// it answers.
func TestHangWhileOpening(t *testing.T) {
	fake(t)
	superseded := errors.New("superseded")
	for _, setting := range []string{"INIT", "OPEN"} {
		for _, cancelled := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, cancelled %v", setting, cancelled), func(t *testing.T) {
				noGoroutines(t)
				t.Setenv("KIGO_FAKE_DEVICES", "2")
				t.Setenv("KIGO_FAKE_FAULTY", "0")
				t.Setenv("KIGO_FAKE_"+setting, "2500")
				o, ctx := setup{options(64), streams, threads, 800 * time.Millisecond}, t.Context() // in which a busy machine opens one that answers
				if cancelled {
					o.patience = patience
					c, cancel := context.WithTimeoutCause(ctx, 50*time.Millisecond, superseded)
					defer cancel()
					ctx = c
				}
				start := time.Now()
				all, err := openAll(ctx, o)
				took := time.Since(start)
				want := 0
				if setting == "OPEN" && !cancelled {
					want = 1 // the other device
				}
				if len(all) != want || err == nil || errors.Is(err, superseded) != cancelled || strings.Contains(err.Error(), "hangs") == cancelled {
					t.Errorf("got %d devices and error %v, want %d", len(all), err, want)
				}
				if took > 2*time.Second {
					t.Errorf("took %v", took)
				}
				for _, d := range all {
					if err := d.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// TestHangNobodyWaits cancels a call on a device that stops answering.
func TestHangNobodyWaits(t *testing.T) {
	fake(t)
	noGoroutines(t)
	t.Setenv("KIGO_FAKE_STALL", "50") // for 5 s
	d := devices(t, options(64))[0]
	batch, _ := random(t, 60)
	superseded := errors.New("superseded")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 500*time.Millisecond, superseded)
	defer cancel()
	start := time.Now()
	err := d.VerifyPoW(ctx, make([]verify.Result, len(batch)), batch)
	if took := time.Since(start); !errors.Is(err, superseded) || took > 4*time.Second {
		t.Errorf("got error %v after %v, want the cause at once", err, took)
	}
}

// TestHang has a device that stops answering: callers are told after a while, and
// the device is closed once it answers again.
func TestHang(t *testing.T) {
	fake(t)
	noGoroutines(t)
	t.Setenv("KIGO_FAKE_STALL", "50")
	d := devices(t, options(64))[0].(*device)
	d.patience = 300 * time.Millisecond
	batch, _ := random(t, 200)
	start := time.Now()
	err := d.VerifyPoW(t.Context(), make([]verify.Result, len(batch)), batch)
	if !strings.Contains(retired(err), "hangs") {
		t.Errorf("got error %v, want that the device hangs", err)
	}
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("told after %v, want %v", took, d.patience)
	}
	if err := d.Close(); err == nil || !strings.Contains(err.Error(), "hangs") {
		t.Errorf("close: got error %v, want that the device hangs", err)
	}
	d.patience = time.Minute
}

// TestCancelledPiecesAreDropped cancels while both slots work, and asks again.
func TestCancelledPiecesAreDropped(t *testing.T) {
	noGoroutines(t)
	d := devices(t, options(64))[0]
	batch, want := random(t, 1000)
	batch, want = slices.Repeat(batch, 8), slices.Repeat(want, 8) // far more than is done until then
	for i := range 10 {
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Duration(5*i+1)*time.Millisecond, errors.New("superseded"))
		got := make([]verify.Result, len(batch))
		err := d.VerifyPoW(ctx, got, batch)
		cancel()
		if err == nil || !strings.Contains(err.Error(), "superseded") {
			t.Errorf("got error %v, want the cause", err)
		}
		for at := range got {
			if got[at].Verdict != verify.Unchecked && got[at] != want[at] {
				t.Fatalf("trailer %d: got %v, want %v or nothing", at, got[at], want[at])
			}
		}
		if !slices.ContainsFunc(got, func(r verify.Result) bool { return r.Verdict == verify.Unchecked }) {
			t.Error("all was done after the cancellation")
		}
	}
	compare(t, d, batch[:100], want[:100])
}
