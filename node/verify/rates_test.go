package verify

import (
	"math"
	"testing"
	"time"
)

func TestRates(t *testing.T) {
	const chunk = 64
	var r rates
	want := func(n int, seconds float64) {
		t.Helper()
		if got, _ := r.seconds(n, chunk); math.Abs(got-seconds) > 1e-9*seconds {
			t.Errorf("%d trailers: expected to take %v s, want %v", n, got, seconds)
		}
	}
	if _, known := r.seconds(1, chunk); known {
		t.Error("something is known from the beginning")
	}
	if got := r.rate(0, chunk); got != 0 {
		t.Errorf("unknown: got %v a second, want 0", got)
	}
	r.observe(15, 15*time.Millisecond)
	want(40, 0.016) // up to a chunk it might be all latency
	want(640, 0.160)
	want(15, 0.015)
	r = rates{}
	r.observe(64, 64*time.Millisecond)
	want(64, 0.064)
	want(127, 0.127) // the same class
	want(4, 0.004)   // from the larger class
	want(1<<30, 1<<30*0.001)
	if got := r.rate(0, chunk); math.Abs(got-1000) > 1e-6 {
		t.Errorf("got %v a second, want 1000", got)
	}
	r.observe(4, 40*time.Millisecond)
	want(4, 0.04)
	want(8, 0.008) // again the larger class
	r.observe(64, 128*time.Millisecond)
	want(64, 64*(0.001+weightOfNew*0.001))

	before, _ := r.seconds(64, chunk)
	r.observe(64, time.Hour) // the machine slept
	want(64, before+weightOfNew*(maxSurprise-1)*before)

	var still rates
	still.observe(10, 0) // a clock too coarse
	if got, known := still.seconds(10, chunk); !known || got <= 0 {
		t.Errorf("got %v s, want more than 0", got)
	}
}

func TestRatesRelax(t *testing.T) {
	var r rates
	r.observe(10, 10*time.Second)
	r.relax(10, 1)
	if got, _ := r.seconds(10, 1); got != 10 {
		t.Errorf("far from the best: %v s, want 10 still", got)
	}
	r.relax(10, 2)
	if got, _ := r.seconds(10, 1); math.Abs(got-10*relaxStep) > 1e-9 {
		t.Errorf("near the best: %v s, want %v", got, 10*relaxStep)
	}
	var unknown rates
	unknown.relax(10, math.Inf(1))
	if got, known := unknown.seconds(10, 10); known {
		t.Errorf("unknown: %v s, want nothing", got)
	}
}
