package verify

import (
	"cmp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what the wrappers of one process do.  Wrappers that share one
// Metrics add to the same series.
type Metrics struct {
	trailers    *prometheus.CounterVec   // backend, verdict
	duration    *prometheus.HistogramVec // backend
	fallbacks   *prometheus.CounterVec   // backend
	audits      *prometheus.CounterVec   // backend, outcome
	retired     *prometheus.GaugeVec     // backend
	retirements *prometheus.CounterVec   // backend, reason
	cacheHits   prometheus.Counter
	cacheMisses prometheus.Counter
}

// Values of the outcome label.
const (
	auditAgrees    = "agree"
	auditDisagrees = "disagree"
)

// NewMetrics returns metrics registered with r; with a nil r they count unseen.
// It panics when r has them already.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		trailers: counter("kigo_verify_trailers_total",
			"Trailers judged, by the backend that did it and its verdict.", "backend", "verdict"),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "kigo_verify_batch_duration_seconds",
			Help: "Time a backend took for one batch, audits included.",
			// From a Trigg trailer, about 2 microseconds, to a large share of a
			// whole chain.
			Buckets: prometheus.ExponentialBuckets(1e-4, 4, 11),
		}, []string{"backend"}),
		fallbacks: counter("kigo_verify_fallbacks_total",
			"Batches that a backend failed to do and that went to another one.", "backend"),
		audits: counter("kigo_verify_audits_total",
			"Verdicts of a backend repeated by the oracle, by whether the two agree.", "backend", "outcome"),
		retired: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kigo_verify_retired",
			Help: "1 when the backend gave a wrong verdict or failed for good, and serves no more.",
		}, []string{"backend"}),
		retirements: counter("kigo_verify_retirements_total",
			"Backends taken out of service for good, by the kind of reason.", "backend", "reason"),
		cacheHits: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kigo_verify_cache_hits_total",
			Help: "Trailers answered without a computation of their own.",
		}),
		cacheMisses: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kigo_verify_cache_misses_total",
			Help: "Trailers that had to be computed.",
		}),
	}
	if r != nil {
		r.MustRegister(m.trailers, m.duration, m.fallbacks, m.audits, m.retired, m.retirements, m.cacheHits, m.cacheMisses)
	}
	return m
}

// metricsOr returns m, or metrics that nobody sees when it is nil.
func metricsOr(m *Metrics) *Metrics {
	if m == nil {
		return NewMetrics(nil)
	}
	return m
}

// Retired notes that a backend is out of service for good.  A Router does so for
// its own; of one that never came to a Router, since it was wrong about known
// answers before, whoever found that tells.
func (m *Metrics) Retired(backend string, class RetireClass) {
	m.retired.WithLabelValues(backend).Set(1)
	m.retirements.WithLabelValues(backend, string(cmp.Or(class, Failed))).Inc()
}

// batch counts a batch that a backend has done.
func (m *Metrics) batch(backend string, results []Result, took time.Duration) {
	var count [BadWork + 1]int
	for i := range results {
		if v := results[i].Verdict; int(v) < len(count) {
			count[v]++
		}
	}
	for v, n := range count {
		if n > 0 {
			m.trailers.WithLabelValues(backend, Verdict(v).String()).Add(float64(n))
		}
	}
	m.duration.WithLabelValues(backend).Observe(took.Seconds())
}
