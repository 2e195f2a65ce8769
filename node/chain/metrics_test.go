package chain

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestMetrics looks at the metrics after some changes.
func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	dir := filepath.Join(t.TempDir(), "chain")
	m := NewMetrics(reg)
	s := mustOpen(t, dir, Options{Metrics: m})
	a := fromGenesis(2500, 1)
	b := fork(a, 2000, 700, 2)
	must(t, s.Extend(a))
	g := stage(t, s, "0a", b[2001:], 100)
	value := func(c prometheus.Collector, want float64) {
		t.Helper()
		if got := testutil.ToFloat64(c); got != want {
			t.Errorf("%v, expected %v", got, want)
		}
	}
	value(m.stagings, 1)
	value(m.staging, 700*160+8*recordLen)
	must(t, g.Worked(2101, 600))
	must(t, s.Adopt(g))
	value(m.stagings, 0)
	value(m.staging, 0)
	value(m.trailers, 2701)
	value(m.tip, 2700)
	value(m.tipTime, float64(b[2700].SolveTime()))
	value(m.pending, 100)
	value(m.replaced, 499)
	value(m.switches.WithLabelValues(kindExtend), 1)
	value(m.switches.WithLabelValues(kindAdopt), 1)
	value(m.switches.WithLabelValues(kindReplace), 0)
	must(t, s.Proven(2700))
	value(m.pending, 0)
	must(t, s.Close())
	rewrite(t, filepath.Join(dir, mainName), flip(2600*160))
	s = mustOpen(t, dir, Options{Metrics: m})
	value(m.repairs.WithLabelValues(repairTrailers), 1)
	value(m.trailers, 2000)
	if n, err := testutil.GatherAndCount(reg, "kigo_chain_sync_duration_seconds"); err != nil || n != 2 {
		t.Errorf("%d histograms of durations, %v", n, err)
	}
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	must(t, s.Close())
}

// TestSyncedInTime makes sure that what is staged reaches the disk by itself.
func TestSyncedInTime(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(dir, Options{})
		must(t, err)
		defer s.Close()
		g := stage(t, s, "0a", fromGenesis(100, 1), 50)
		dirty := func() bool {
			g.mu.Lock()
			defer g.mu.Unlock()
			return g.dirty
		}
		if !dirty() {
			t.Error("synced at once")
		}
		time.Sleep(syncEvery + time.Millisecond)
		synctest.Wait()
		if dirty() {
			t.Error("not synced after a while")
		}
	})
}
