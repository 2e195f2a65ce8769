package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kigo/cpu"
	"kigo/gpu"
	"kigo/node/mcm"
	"kigo/node/verify"
)

func TestNamesOfGPUs(t *testing.T) {
	for _, c := range []struct {
		list, engine string
		want         bool
	}{
		{"cuda", "cuda:0", true},
		{"cuda", "cuda:12", true},
		{"cuda:0", "cuda:0", true},
		{"cuda:1", "cuda:0", false},
		{"cuda:1", "cuda:10", false},
		{"cuda:0", "cuda", false},
		{"cuda", "cuda", true},
		{"avx512,cuda:1", "cuda:1", true},
		{"lanes", "cuda:0", false},
		{"avx", "avx512", false},
	} {
		if got := names(strings.Split(c.list, ","), c.engine); got != c.want {
			t.Errorf("%s names %s: %v, want %v", c.list, c.engine, got, c.want)
		}
	}
}

// TestMissingEngines asks for engines of a machine of which one GPU works and one
// does not, and of another that has no driver.
func TestMissingEngines(t *testing.T) {
	two := engineStates{
		{Name: "cuda:0", Available: true},
		{Name: "cuda:1", Reason: "out of order"},
		{Name: "avx2", Reason: "no AVX2"},
		{Name: "portable", Available: true},
	}
	none := engineStates{{Name: "cuda", Reason: "no driver"}, {Name: "portable", Available: true}}
	for _, c := range []struct {
		states          engineStates
		engine, disable string
		want            string // in the error; none when empty
	}{
		{two, "cuda", "", ""},
		{two, "cuda:0", "", ""},
		{two, "cuda:1", "", "out of order"},
		{two, "cuda:2", "", "no such device"},
		{two, "cuda,portable", "", ""},
		{two, "avx2", "", "no AVX2"},
		{two, "portable,avx2", "", "no AVX2"},
		{two, "cuda:0", "cuda", "disabled too"},
		{two, "cuda:0", "cuda:1", ""},
		{two, "portable", "portable", "disabled too"},
		{none, "cuda", "", "no driver"},
		{none, "cuda:0", "", "no driver"},
		{none, "portable", "", ""},
	} {
		a := &app{}
		a.conf.Verify.Engine = strings.Split(c.engine, ",")
		if c.disable != "" {
			a.conf.Verify.Disable = strings.Split(c.disable, ",")
		}
		err := a.missing(c.states)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("engine %s, disabled %q: got error %v, want %q", c.engine, c.disable, err, c.want)
		}
	}
}

func TestWantsGPUs(t *testing.T) {
	for _, c := range []struct {
		engine, disable []string
		want            bool
	}{
		{nil, nil, true},
		{[]string{"portable"}, nil, false},
		{[]string{"portable", "cuda:3"}, nil, true},
		{[]string{"cuda"}, nil, true},
		{nil, []string{"cuda"}, false},
		{nil, []string{"cuda:0"}, true},
	} {
		a := &app{}
		a.conf.Verify.Engine, a.conf.Verify.Disable = c.engine, c.disable
		if got := a.wantsGPUs(); got != c.want {
			t.Errorf("engine %v, disable %v: %v, want %v", c.engine, c.disable, got, c.want)
		}
	}
}

func TestReasonWithoutGPU(t *testing.T) {
	broken := &gpu.OpenError{Device: "cuda:1", Detail: "a GPU", Err: errors.New("out of order")}
	got := unopened(errors.Join(broken, &gpu.OpenError{Device: "cuda:4", Err: errors.New("gone")}))
	if len(got) != 2 || got[0] != broken || got[1].Device != "cuda:4" {
		t.Errorf("got %v", got)
	}
	if got := unopened(errors.New("no driver")); len(got) != 0 {
		t.Errorf("got %v", got)
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{gpu.ErrNotBuilt, "without NO_CUDA=1"},
		{fmt.Errorf("gpu: %w", errors.New("cuda: init: no driver")), "cuda: init: no driver"},
		{nil, "no device"},
	} {
		if got := reason(c.err); !strings.Contains(got, c.want) || strings.HasPrefix(got, "gpu:") {
			t.Errorf("%v: got %q, want %q", c.err, got, c.want)
		}
	}
}

// A yea is an engine that calls everything good.
type yea struct{ verify.Backend }

func (yea) VerifyPoW(_ context.Context, dst []verify.Result, _ []mcm.Trailer) error {
	for i := range dst {
		dst[i].Verdict = verify.Valid
	}
	return nil
}

func (yea) Info() verify.Info { return verify.Info{Name: "cuda:0", Lanes: 1} }

// TestFailedSelfTest has an engine that fails its self-test: it is left out, which
// is logged, and counted as when it fails later.
func TestFailedSelfTest(t *testing.T) {
	var log strings.Builder
	registry := prometheus.NewRegistry()
	a := &app{log: slog.New(slog.NewTextHandler(&log, nil)), metrics: verify.NewMetrics(registry)}
	all := cpu.Engines()
	oracle := all[len(all)-1].Open(cpu.NewCores(1))
	states := engineStates{
		{Name: "cuda:0", Available: true, backend: yea{oracle}},
		{Name: oracleName, Available: true, backend: oracle, SelfTest: "ok", Chosen: true},
	}
	states[0].test(t.Context())
	e, err := a.useEngines(t.Context(), states)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if all := e.Status(); len(all) != 1 || all[0].Info.Name != oracleName {
		t.Errorf("got %+v, want the oracle alone", all)
	}
	if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "backend=cuda:0") {
		t.Errorf("log is %s", log.String())
	}
	want := `
# HELP kigo_verify_retired 1 when the backend gave a wrong verdict or failed for good, and serves no more.
# TYPE kigo_verify_retired gauge
kigo_verify_retired{backend="cuda:0"} 1
# HELP kigo_verify_retirements_total Backends taken out of service for good, by the kind of reason.
# TYPE kigo_verify_retirements_total counter
kigo_verify_retirements_total{backend="cuda:0",reason="known_answer"} 1
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(want), "kigo_verify_retired", "kigo_verify_retirements_total"); err != nil {
		t.Error(err)
	}
}
