package peer

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"kigo/node/fault"
	"kigo/node/wire"
)

// Metrics counts conversations of one process, on both sides.  Clients and
// servers that share one Metrics add to the same series.
type Metrics struct {
	calls  *prometheus.CounterVec // op, outcome
	bytes  *prometheus.CounterVec // direction
	faults *prometheus.CounterVec // kind

	connections *prometheus.CounterVec // outcome
	requests    *prometheus.CounterVec // op
	active      prometheus.Gauge

	in, out prometheus.Counter
}

// Values of the outcome label of calls that aren't a fault.Kind.
const (
	callOK        = "ok"
	callLimit     = "limit"
	callCancelled = "cancelled"
	callFailed    = "failed"
)

// NewMetrics returns metrics registered with r; with a nil r they count unseen.
// It panics when r has them already.
func NewMetrics(r prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &Metrics{
		calls: counter("kigo_peer_calls_total",
			"Calls to peers that ended, by request (HELLO when it didn't get that far) and by how.", "op", "outcome"),
		bytes: counter("kigo_peer_bytes_total",
			"Bytes exchanged with peers, in calls and as server.", "direction"),
		faults: counter("kigo_peer_faults_total",
			"Faults met in conversations with peers, in calls and as server.", "kind"),
		connections: counter("kigo_server_connections_total",
			"Connections accepted from peers that ended, by how.", "outcome"),
		requests: counter("kigo_server_requests_total",
			"Well-formed requests of peers.", "op"),
		active: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "kigo_server_active",
			Help: "Connections of peers that are open now.",
		}),
	}
	m.in, m.out = m.bytes.WithLabelValues("in"), m.bytes.WithLabelValues("out")
	if r != nil {
		r.MustRegister(m.calls, m.bytes, m.faults, m.connections, m.requests, m.active)
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

// call counts a call that has ended.
func (m *Metrics) call(ctx context.Context, op wire.Op, err error) {
	outcome := callFailed
	var f *fault.Fault
	switch {
	case err == nil:
		outcome = callOK
	case errors.As(err, &f):
		outcome = string(f.Kind)
		m.fault(f)
	case errors.Is(err, ErrLimit):
		outcome = callLimit
	case ctx.Err() != nil:
		outcome = callCancelled
	}
	m.calls.WithLabelValues(op.String(), outcome).Inc()
}

func (m *Metrics) fault(f *fault.Fault) { m.faults.WithLabelValues(string(f.Kind)).Inc() }

func (m *Metrics) moved(in, out int64) {
	m.in.Add(float64(in))
	m.out.Add(float64(out))
}

// request counts a request.  A peer chooses the number, so those that aren't
// requests share a label.
func (m *Metrics) request(op wire.Op) {
	label := "other"
	if isRequest(op) {
		label = op.String()
	}
	m.requests.WithLabelValues(label).Inc()
}
