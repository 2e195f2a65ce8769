package scan

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what the scans of one process find.
type Metrics struct {
	peers    *prometheus.CounterVec // verdict
	faults   *prometheus.CounterVec // kind
	alarms   *prometheus.CounterVec // kind
	trailers *prometheus.CounterVec // outcome
	state    *prometheus.GaugeVec   // state
	book     *prometheus.GaugeVec   // table
	branches prometheus.Gauge
	tip      prometheus.Gauge
	tipTime  prometheus.Gauge
	duration prometheus.Histogram
	work     prometheus.Counter
}

// NewMetrics returns metrics registered with r; with a nil r they count unseen.
// It panics when r has them already.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		peers:    counter("kigo_scan_peers_total", "Peers judged in scans, by verdict.", "verdict"),
		faults:   counter("kigo_scan_faults_total", "Faults that peers were charged with in scans, by kind.", "kind"),
		alarms:   counter("kigo_scan_alarms_total", "Alarms raised by scans, by kind.", "kind"),
		trailers: counter("kigo_scan_trailers_total", "Trailers that peers served in scans: received, distinct ones of a scan, checked for work, invalid.", "outcome"),
		state:    gauge("kigo_scan_state", "1 for the state in which the last scan ended.", "state"),
		book:     gauge("kigo_scan_book_addresses", "Addresses in the book, by table.", "table"),
		branches: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kigo_scan_branches",
			Help: "Branches that the last scan found.",
		}),
		tip: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kigo_scan_tip_block",
			Help: "Number of the tip of the branch that the last scan chose, 0 for none.",
		}),
		tipTime: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kigo_scan_tip_timestamp_seconds",
			Help: "Solve time of that tip in Unix seconds, 0 for none.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "kigo_scan_duration_seconds",
			Help:    "Time that a scan took.",
			Buckets: prometheus.ExponentialBuckets(0.1, 2, 13), // to 7 minutes
		}),
		work: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kigo_scan_pow_seconds_total",
			Help: "Time in which scans had proof of work checked.",
		}),
	}
	if r != nil {
		r.MustRegister(m.peers, m.faults, m.alarms, m.trailers, m.state, m.book, m.branches, m.tip, m.tipTime, m.duration, m.work)
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

// scanned counts a scan that has ended.
func (m *Metrics) scanned(r *Report, book Counts) {
	for i := range r.Peers {
		m.peers.WithLabelValues(string(r.Peers[i].Verdict)).Inc()
	}
	for _, a := range r.Alarms {
		m.alarms.WithLabelValues(string(a.Kind)).Inc()
	}
	for _, s := range States() {
		on := 0.0
		if s == r.State {
			on = 1
		}
		m.state.WithLabelValues(string(s)).Set(on)
	}
	for outcome, n := range map[string]int{
		"received": r.Trailers.Received, "distinct": r.Trailers.Distinct,
		"checked": r.Trailers.Checked, "invalid": r.Trailers.Invalid,
	} {
		m.trailers.WithLabelValues(outcome).Add(float64(n))
	}
	for table, n := range map[string]int{
		"configured": book.Configured, "tried": book.Tried,
		"candidate": book.Candidates, "banned": book.Banned,
	} {
		m.book.WithLabelValues(table).Set(float64(n))
	}
	m.branches.Set(float64(len(r.Branches)))
	m.tip.Set(0)
	m.tipTime.Set(0)
	if r.Chosen >= 0 {
		b := &r.Branches[r.Chosen]
		m.tip.Set(float64(b.Height))
		m.tipTime.Set(float64(b.Time))
	}
	m.duration.Observe(r.Seconds)
	m.work.Add(r.PowSeconds)
}
