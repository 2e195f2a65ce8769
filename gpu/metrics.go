package gpu

import "github.com/prometheus/client_golang/prometheus"

// Metrics counts what the devices of one process do.
type Metrics struct {
	devices *prometheus.GaugeVec   // state
	memory  *prometheus.GaugeVec   // device, kind
	batches *prometheus.CounterVec // device
	hashed  *prometheus.CounterVec // device
	busy    *prometheus.CounterVec // device
	planted *prometheus.CounterVec // device, outcome
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
		devices: gauge("kigo_gpu_devices",
			"GPUs of the machine, by whether they could be opened.", "state"),
		memory: gauge("kigo_gpu_memory_bytes",
			"Memory held for a device, on the device and page-locked on the host.", "device", "kind"),
		batches: counter("kigo_gpu_batches_total",
			"Batches that a device has hashed; a call larger than a slot is several.", "device"),
		hashed: counter("kigo_gpu_trailers_total",
			"Trailers that a device has hashed, without those planted.", "device"),
		busy: counter("kigo_gpu_kernel_seconds_total",
			"Time in which a device had kernels or copies to do.", "device"),
		planted: counter("kigo_gpu_planted_total",
			"Known answers planted in batches, by whether the device found them.", "device", "outcome"),
	}
	if r != nil {
		r.MustRegister(m.devices, m.memory, m.batches, m.hashed, m.busy, m.planted)
	}
	return m
}
