//go:build cuda

package gpu

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kigo/node/verify"
)

func TestMetrics(t *testing.T) {
	fake(t)
	reg := prometheus.NewRegistry()
	o := options(64)
	o.Metrics = NewMetrics(reg)
	t.Setenv("KIGO_FAKE_DEVICES", "2")
	t.Setenv("KIGO_FAKE_FAULTY", "1")
	t.Setenv("KIGO_FAKE_OOM", "1")
	all, err := Open(t.Context(), o)
	if len(all) != 1 || err == nil {
		t.Fatalf("got %d devices and error %v, want one of two", len(all), err)
	}
	d := all[0].(*device)
	held := float64(streams * (32 + planted) * (fullLen))
	value := func(c prometheus.Collector) float64 { return testutil.ToFloat64(c) }
	m := o.Metrics
	if got := value(m.memory.WithLabelValues("cuda:0", "device")); got < held || got > held+1<<16 {
		t.Errorf("%v bytes of the device are held, want %v and some", got, held)
	}
	if got := value(m.memory.WithLabelValues("cuda:0", "pinned")); got != streams*(32+planted)*(160+32) {
		t.Errorf("%v bytes of the host are held", got)
	}
	batch, want := peach(t, 100, verify.Valid)
	compare(t, d, batch, want)
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	for name, c := range map[string]struct {
		got  prometheus.Collector
		want float64
	}{
		"open devices":     {m.devices.WithLabelValues("open"), 1},
		"unusable devices": {m.devices.WithLabelValues("unusable"), 1},
		"batches":          {m.batches.WithLabelValues("cuda:0"), 4}, // of 25
		"trailers":         {m.hashed.WithLabelValues("cuda:0"), 100},
		"right answers":    {m.planted.WithLabelValues("cuda:0", "right"), 16},
		"wrong answers":    {m.planted.WithLabelValues("cuda:0", "wrong"), 0},
		"memory":           {m.memory.WithLabelValues("cuda:0", "device"), 0},
		"pinned memory":    {m.memory.WithLabelValues("cuda:0", "pinned"), 0},
	} {
		if got := value(c.got); got != c.want {
			t.Errorf("%s: got %v, want %v", name, got, c.want)
		}
	}
	if got := value(m.busy.WithLabelValues("cuda:0")); got <= 0 || got > 60 {
		t.Errorf("kernels took %v seconds", got)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil || len(problems) > 0 {
		t.Errorf("got problems %v, error %v", problems, err)
	}
}
