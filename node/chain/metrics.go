package chain

import (
	"github.com/prometheus/client_golang/prometheus"
)

// Metrics counts what a Store does.
type Metrics struct {
	trailers  prometheus.Gauge
	tip       prometheus.Gauge
	tipTime   prometheus.Gauge
	pending   prometheus.Gauge
	switches  *prometheus.CounterVec // kind
	replaced  prometheus.Counter
	repairs   *prometheus.CounterVec // what
	staging   prometheus.Gauge
	stagings  prometheus.Gauge
	durations *prometheus.HistogramVec // kind
}

// Values of the kind label.
const (
	kindExtend  = "extend"
	kindReplace = "replace"
	kindAdopt   = "adopt"
	kindImport  = "import"
)

// Values of the what label.
const (
	repairState    = "state"
	repairTrailers = "trailers"
	repairJournal  = "journal"
	repairStaging  = "staging"
	repairRead     = "read"
)

// NewMetrics returns metrics registered with r; with a nil r they count unseen.
// It panics when r has them already.
func NewMetrics(r prometheus.Registerer) *Metrics {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &Metrics{
		trailers: gauge("kigo_chain_trailers", "Trailers of the own chain."),
		tip:      gauge("kigo_chain_tip_block", "Number of the own tip, 0 while there is none."),
		tipTime:  gauge("kigo_chain_tip_timestamp_seconds", "Solve time of the own tip, Unix seconds, 0 while there is none."),
		pending:  gauge("kigo_chain_pending_trailers", "Trailers of the own chain whose work is still to be checked."),
		switches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kigo_chain_switches_total",
			Help: "Changes of the own chain, by kind.",
		}, []string{"kind"}),
		replaced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kigo_chain_replaced_trailers_total",
			Help: "Trailers that left the own chain because another one took its place.",
		}),
		repairs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kigo_chain_repairs_total",
			Help: "Damage to the files of the own chain, by what was damaged.",
		}, []string{"what"}),
		staging:  gauge("kigo_chain_staging_bytes", "Size of the trailers and records of branches that are being fetched."),
		stagings: gauge("kigo_chain_stagings", "Branches that are being fetched or wait for it."),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "kigo_chain_sync_duration_seconds",
			Help:    "Time that a change of the own chain took until it was on the disk, by kind.",
			Buckets: prometheus.ExponentialBuckets(1e-3, 4, 9),
		}, []string{"kind"}),
	}
	for _, kind := range []string{kindExtend, kindReplace, kindAdopt, kindImport} {
		m.switches.WithLabelValues(kind)
	}
	for _, what := range []string{repairState, repairTrailers, repairJournal, repairStaging, repairRead} {
		m.repairs.WithLabelValues(what)
	}
	if r != nil {
		r.MustRegister(m.trailers, m.tip, m.tipTime, m.pending, m.switches, m.replaced, m.repairs, m.staging, m.stagings, m.durations)
	}
	return m
}

// show tells what the own chain is now.
func (m *Metrics) show(s *state) {
	m.trailers.Set(float64(s.count))
	m.tip.Set(float64(s.tip.Num))
	m.tipTime.Set(float64(s.tip.Time))
	m.pending.Set(float64(s.pending.Count))
}
