package verify_test

import (
	"errors"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kigo/node/verify"
)

func TestMetrics(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := verify.NewMetrics(reg)
	bad := failing(named("gpu"), 1, errors.New("device lost"))
	audited := verify.Audited(bad, named("portable"), verify.AuditOptions{Sample: 1, Metrics: m})
	v := verify.Cached(verify.NewRouter(nil, m, audited, named("portable")), 10, nil, m)
	for range 2 {
		wantTruth(t, v, append(makeTrailers(0, 3), makeBad(3, 2)...))
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, c := range []struct {
		name   string
		labels []string
		want   float64
	}{
		{"kigo_verify_trailers_total", []string{"backend", "portable", "verdict", "valid"}, 3},
		{"kigo_verify_trailers_total", []string{"backend", "portable", "verdict", "bad_work"}, 2},
		{"kigo_verify_batch_duration_seconds", []string{"backend", "portable"}, 1},
		{"kigo_verify_fallbacks_total", []string{"backend", "gpu"}, 1},
		{"kigo_verify_cache_hits_total", nil, 5},
		{"kigo_verify_cache_misses_total", nil, 5},
		{"kigo_verify_retired", []string{"backend", "gpu"}, 0},
	} {
		if got := value(t, reg, c.name, c.labels...); got != c.want {
			t.Errorf("%s%v is %v, want %v", c.name, c.labels, got, c.want)
		}
	}
}

func TestMetricsUnregistered(t *testing.T) {
	m := verify.NewMetrics(nil)
	wantTruth(t, verify.Cached(verify.NewRouter(nil, m, named("portable")), 10, nil, m), makeTrailers(0, 3))
}
