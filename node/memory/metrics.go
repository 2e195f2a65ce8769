package memory

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what a memory holds and loses.
type Metrics struct {
	records *prometheus.GaugeVec   // table
	dropped *prometheus.CounterVec // table, reason
	save    prometheus.Histogram
}

// NewMetrics returns metrics registered with r; with a nil r they count unseen.
// It panics when r has them already.
func NewMetrics(r prometheus.Registerer) *Metrics {
	m := &Metrics{
		records: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kigo_memory_records",
			Help: "Records that the memory file holds, by table.",
		}, []string{"table"}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kigo_memory_dropped_total",
			Help: "Records that left the memory file, by table and reason.",
		}, []string{"table", "reason"}),
		save: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "kigo_memory_save_duration_seconds",
			Help: "Time that writing changes to the memory file took, until they were safe on disk.",
			// From a small transaction on a fast disk to a whole first scan on a
			// slow one.
			Buckets: prometheus.ExponentialBuckets(1e-3, 3, 10),
		}),
	}
	if r != nil {
		r.MustRegister(m.records, m.dropped, m.save)
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

// count takes over what a transaction left and lost.
func (m *Metrics) count(held *counts, lost *losses) {
	for t := range tables {
		m.records.WithLabelValues(t.String()).Set(float64(held[t]))
		for why := range reasons {
			if n := lost[t][why]; n > 0 {
				m.dropped.WithLabelValues(t.String(), why.String()).Add(float64(n))
			}
		}
	}
}

// saved notes how long a save took.
func (m *Metrics) saved(took time.Duration) { m.save.Observe(took.Seconds()) }
