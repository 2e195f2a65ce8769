package chainsync

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kigo/node/fault"
)

// Metrics counts what the syncs of one process do.
type Metrics struct {
	ranges   *prometheus.CounterVec // result
	flight   prometheus.Gauge
	places   prometheus.Gauge
	hedged   prometheus.Counter
	bytes    prometheus.Counter
	trailers prometheus.Counter
	checks   prometheus.Counter
	samples  prometheus.Counter
	seconds  *prometheus.CounterVec // stage
	faults   *prometheus.CounterVec // kind
	waiting  prometheus.Gauge
	switches prometheus.Counter
	replaced prometheus.Counter
	ends     *prometheus.CounterVec // end
	alarms   *prometheus.CounterVec // kind
	duration prometheus.Histogram
}

// Values of the result label: what became of one request for a range.
const (
	rangeLinked   = "linked"   // it is the branch's
	rangeUseless  = "useless"  // right, and another source was quicker
	rangeForeign  = "foreign"  // it does not link
	rangeInvalid  = "invalid"  // it holds a trailer that can never be valid, or wrong numbers
	rangeShort    = "short"    // fewer trailers than asked for
	rangeFailed   = "failed"   // no answer, or a damaged one
	rangeDeclined = "declined" // not asked: the peer states another branch
)

// Values of the stage label.
const (
	stageAnchoring = "anchoring"
	stageHistory   = "history"
	stageWork      = "work"
)

// NewMetrics returns metrics registered with r; with a nil r they count unseen.
// It panics when r has them already.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := &Metrics{
		ranges: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kigo_sync_ranges_total",
			Help: "Ranges of trailers that peers were asked for, by what became of it.",
		}, []string{"result"}),
		flight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kigo_sync_ranges_in_flight",
			Help: "Ranges that peers are asked for now.",
		}),
		places: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kigo_sync_branches_in_progress",
			Help: "Branches that are being fetched now.",
		}),
		hedged:   counter("kigo_sync_ranges_hedged_total", "Ranges asked of a second peer because the first took too long."),
		bytes:    counter("kigo_sync_received_bytes_total", "Bytes received in calls for ranges."),
		trailers: counter("kigo_sync_trailers_total", "Trailers that were linked to the tip of a branch."),
		checks:   counter("kigo_sync_work_checks_total", "Trailers whose proof of work was computed."),
		samples:  counter("kigo_sync_samples_total", "Trailers drawn to stand for many, because the engines didn't keep up."),
		seconds: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kigo_sync_seconds_total",
			Help: "Time spent, by stage: fetching ranges of all branches, and computing proof of work.",
		}, []string{"stage"}),
	}
	m.faults = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kigo_sync_faults_total",
		Help: "Faults that peers were charged with in syncs.",
	}, []string{"kind"})
	m.waiting = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "kigo_sync_branches_waiting",
		Help: "Branches that nobody served, and that are left alone for a while.",
	})
	m.switches = counter("kigo_sync_switches_total", "Times that a sync put another chain in place of the own one, or made it longer.")
	m.replaced = counter("kigo_sync_replaced_blocks_total", "Blocks of the own chain that syncs have replaced.")
	for _, k := range fault.Kinds() {
		if k.Class() != fault.None {
			m.faults.WithLabelValues(string(k))
		}
	}
	m.ends = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kigo_sync_branch_ends_total",
		Help: "Branches of syncs that have ended, by what came of them.",
	}, []string{"end"})
	m.alarms = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kigo_sync_alarms_total",
		Help: "Alarms raised by syncs, by kind.",
	}, []string{"kind"})
	m.duration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "kigo_sync_duration_seconds",
		Help:    "Time from the start of a sync to its choice.",
		Buckets: prometheus.ExponentialBuckets(0.01, 4, 10), // to 44 minutes
	})
	for _, end := range Ends() {
		m.ends.WithLabelValues(string(end))
	}
	for _, result := range []string{rangeLinked, rangeUseless, rangeForeign, rangeInvalid, rangeShort, rangeFailed, rangeDeclined} {
		m.ranges.WithLabelValues(result)
	}
	if r != nil {
		r.MustRegister(m.ranges, m.flight, m.places, m.hedged, m.bytes, m.trailers, m.checks, m.samples, m.seconds,
			m.faults, m.waiting, m.switches, m.replaced, m.ends, m.alarms, m.duration)
	}
	return m
}

// work counts n checks that took d.
func (m *Metrics) work(n int, d time.Duration) {
	m.checks.Add(float64(n))
	m.seconds.WithLabelValues(stageWork).Add(d.Seconds())
}

// faulted counts a fault that a peer is charged with.
func (m *Metrics) faulted(k fault.Kind) { m.faults.WithLabelValues(string(k)).Inc() }

// switched counts a switch that replaced that many own blocks.
func (m *Metrics) switched(depth int) {
	m.switches.Inc()
	m.replaced.Add(float64(depth))
}

// ran counts a sync that has ended.
func (m *Metrics) ran(out *Outcome, took time.Duration) {
	for i := range out.Resolved {
		m.ends.WithLabelValues(string(out.Resolved[i].End)).Inc()
	}
	for _, a := range out.Alarms {
		m.alarms.WithLabelValues(string(a.Kind)).Inc()
	}
	m.duration.Observe(max(0, took).Seconds())
}
