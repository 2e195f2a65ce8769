//go:build cuda

package gpu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kigo/node/verify"
)

// A service is two devices, watched, and the oracle, as a node uses them.
type service struct {
	*verify.Router
	log     bytes.Buffer
	metrics *prometheus.Registry
}

func newService(t *testing.T, inFlight int, sample float64) *service {
	s := &service{metrics: prometheus.NewRegistry()}
	log := slog.New(slog.NewTextHandler(&s.log, nil))
	metrics := verify.NewMetrics(s.metrics)
	t.Setenv("KIGO_FAKE_DEVICES", "2")
	var all []verify.Backend
	for _, d := range devices(t, options(inFlight)) {
		all = append(all, verify.Audited(d, oracle(), verify.AuditOptions{Sample: sample, Log: log, Metrics: metrics}))
	}
	s.Router = verify.NewRouter(log, metrics, append(all, oracle())...)
	return s
}

// retired fails the test unless the first device alone is retired, because of
// reason, and that was logged and counted.
func (s *service) retired(t *testing.T, reason string) {
	t.Helper()
	status := s.Status()
	if !status[0].Retired || status[1].Retired || status[1].Err != nil {
		t.Errorf("got %+v, want the first retired and the second in service", status)
	}
	if err := status[0].Err; err == nil || !strings.Contains(err.Error(), reason) {
		t.Errorf("retired because of %v, want %s", err, reason)
	}
	if log := s.log.String(); !strings.Contains(log, "backend=cuda:0") || !strings.Contains(log, reason) || strings.Contains(log, "backend=cuda:1") {
		t.Errorf("log is\n%s\nwant that cuda:0 is retired, and why", log)
	}
	want := `
# HELP kigo_verify_retired 1 when the backend gave a wrong verdict and serves no more.
# TYPE kigo_verify_retired gauge
kigo_verify_retired{backend="cuda:0"} 1
kigo_verify_retired{backend="cuda:1"} 0
`
	if err := testutil.GatherAndCompare(s.metrics, strings.NewReader(want), "kigo_verify_retired"); err != nil {
		t.Error(err)
	}
}

// TestFaults breaks one of two devices in all ways; every verdict is right all the
// same, and the device is out.
func TestFaults(t *testing.T) {
	fake(t)
	batch, want := random(t, 500)
	cases := []struct {
		name, fault, at, reason string
		long                    bool
	}{
		{"first launch", "LAUNCH", "1", "CUDA_ERROR_LAUNCH_FAILED", false},
		{"launch of a row", "LAUNCH", "100", "CUDA_ERROR_LAUNCH_FAILED", false},
		{"last launch of a piece", "LAUNCH", "298", "CUDA_ERROR_LAUNCH_FAILED", false},
		{"later launch", "LAUNCH", "700", "CUDA_ERROR_LAUNCH_FAILED", false},
		{"dies at once", "DIE", "27", "CUDA_ERROR_UNKNOWN", false},
		{"dies in a piece", "DIE", "400", "CUDA_ERROR_UNKNOWN", false},
		{"dies later", "DIE", "1000", "CUDA_ERROR_UNKNOWN", false},
		{"wrong in 10", "WRONG", "10", "it judged block", false},
		{"wrong in 100", "WRONG", "100", "it judged block", false},
		{"wrong in 1000", "WRONG", "1000", "it judged block", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.long && testing.Short() {
				t.Skip("long")
			}
			noGoroutines(t)
			t.Setenv("KIGO_FAKE_FAULTY", "0")
			t.Setenv("KIGO_FAKE_"+c.fault, c.at)
			inFlight := 64 // both devices and the oracle share a batch
			if c.long {
				inFlight = 1024 // one does it
			}
			s := newService(t, inFlight, 1)
			for range 50 {
				compare(t, s, batch, want)
				if s.Status()[0].Retired || t.Failed() {
					break
				}
			}
			s.retired(t, c.reason)
			compare(t, s, batch[:100], want[:100]) // by the others
		})
	}
}

// TestWrongVerdictsAreRepeated has a device whose good verdicts nobody repeats: no
// good trailer is called bad.
func TestWrongVerdictsAreRepeated(t *testing.T) {
	fake(t)
	t.Setenv("KIGO_FAKE_FAULTY", "0")
	t.Setenv("KIGO_FAKE_WRONG", "5")
	s := newService(t, 64, 0)
	batch, want := random(t, 300)
	got := make([]verify.Result, len(batch))
	if err := s.VerifyPoW(t.Context(), got, batch); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i].Verdict.Bad() && got[i] != want[i] {
			t.Errorf("trailer %d: got %v, want %v", i, got[i], want[i])
		}
	}
	s.retired(t, "it judged block")
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
	if took := time.Since(start); took > 1500*time.Millisecond {
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
