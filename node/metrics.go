package node

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"kigo/node/chain"
	"kigo/node/fault"
	"kigo/node/scan"
	"kigo/node/status"
)

// Metrics counts what a node does.
type Metrics struct {
	states     *prometheus.GaugeVec // state
	tipBlock   prometheus.Gauge
	tipTime    prometheus.Gauge
	lag        prometheus.Gauge
	ready      prometheus.Gauge
	polls      *prometheus.CounterVec // result
	tips       *prometheus.CounterVec // via, result
	checks     *prometheus.CounterVec // kind
	reorgs     prometheus.Counter
	alarms     *prometheus.GaugeVec   // kind
	announces  *prometheus.CounterVec // outcome
	sideBlocks prometheus.Gauge
}

// NewMetrics returns metrics registered with r; with a nil r they count unseen.
// It panics when r has them already.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m := &Metrics{
		states: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kigo_node_state", Help: "1 for the state that the node is in, 0 for the others.",
		}, []string{"state"}),
		tipBlock: gauge("kigo_node_tip_block", "Number of the own tip, 0 for none."),
		tipTime:  gauge("kigo_node_tip_timestamp_seconds", "Solve time of the own tip, Unix seconds, 0 for none."),
		lag:      gauge("kigo_node_lag_blocks", "How far the tip of a quorum is above the own one."),
		ready:    gauge("kigo_node_ready", "1 when the node's choice of chain may be relied on."),
		polls:    counter("kigo_node_polls_total", "Peers polled, by what came of it.", "result"),
		tips: counter("kigo_node_tips_total",
			"Tips that peers showed, by how they came and by what came of them.", "via", "result"),
		checks: counter("kigo_node_checks_total",
			"Trailers of polls and found messages that were checked, by what was.", "kind"),
		reorgs: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "kigo_node_reorganisations_total", Help: "Changes of the own chain that replaced blocks.",
		}),
		alarms: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "kigo_node_alarm", Help: "1 while the alarm of that kind is raised.",
		}, []string{"kind"}),
		announces:  counter("kigo_node_announcements_total", "Peers told of a new tip, by how that went.", "outcome"),
		sideBlocks: gauge("kigo_node_side_trailers", "Trailers kept beside the own chain."),
	}
	for _, s := range status.States() {
		m.states.WithLabelValues(string(s)).Set(0)
	}
	for _, k := range AlarmKinds() {
		m.alarms.WithLabelValues(string(k)).Set(0)
	}
	if r != nil {
		r.MustRegister(m.states, m.tipBlock, m.tipTime, m.lag, m.ready, m.polls, m.tips, m.checks, m.reorgs, m.alarms, m.announces, m.sideBlocks)
	}
	return m
}

// state shows the state that the node is in.
func (m *Metrics) state(s status.State) {
	for _, o := range status.States() {
		v := 0.0
		if o == s {
			v = 1
		}
		m.states.WithLabelValues(string(o)).Set(v)
	}
}

// tip shows the own tip.
func (m *Metrics) tip(t chain.Tip) {
	m.tipBlock.Set(float64(t.Num))
	m.tipTime.Set(float64(t.Time))
}

// got counts a tip that was shown.
func (m *Metrics) got(s *sighting, result string) {
	m.tips.WithLabelValues(string(s.via), result).Inc()
}

// alarm shows whether one is raised.
func (m *Metrics) alarm(kind scan.AlarmKind, on bool) {
	v := 0.0
	if on {
		v = 1
	}
	m.alarms.WithLabelValues(string(kind)).Set(v)
}

// announced counts a peer that was told of a tip.
func (m *Metrics) announced(err error) {
	outcome := "ok"
	var f *fault.Fault
	switch {
	case errors.As(err, &f):
		outcome = string(f.Kind)
	case err != nil:
		outcome = "failed"
	}
	m.announces.WithLabelValues(outcome).Inc()
}
