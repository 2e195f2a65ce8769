package api

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics counts requests and says what program this is.
type metrics struct {
	requests *prometheus.CounterVec // path, code
}

// newMetrics returns metrics registered with r.  It panics when r has them
// already.
func newMetrics(r prometheus.Registerer, b Build) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "kigo_http_requests_total",
			Help: "Requests answered, by endpoint (other: no such endpoint) and status code.",
		}, []string{"path", "code"}),
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "kigo_build_info",
		Help: "Always 1; the labels say which program this is.",
	}, []string{"version", "revision", "goversion"})
	info.WithLabelValues(b.Version, b.Revision, b.Go).Set(1)
	r.MustRegister(m.requests, info)
	return m
}

// answered counts a request.
func (m *metrics) answered(path string, code int) {
	m.requests.WithLabelValues(path, strconv.Itoa(code)).Inc()
}
