package verify

import (
	"math/bits"
	"time"
)

const (
	// sizeClasses is the number of batch size classes, powers of two; all from
	// 1<<23 trailers on, ten times the whole chain, share the last.
	sizeClasses = 25

	// weightOfNew is the share of the latest batch in an estimate.  Smaller
	// learns slowly that a device is now busy otherwise; larger lets one hiccup
	// decide.
	weightOfNew = 0.2

	// maxSurprise bounds how much slower than its estimate a batch may count, so
	// that a suspended machine doesn't ruin an estimate.
	maxSurprise = 4

	// relaxStep makes a backend that is passed over look a little better each
	// time, so that it is tried again one day.  Up to relaxReach times as slow as
	// the best it is: at worst 8 batches' time of each 415.
	relaxStep  = 0.995
	relaxReach = 8
)

// rates is what is known of a backend's speed: seconds for a trailer, for each
// batch size class; 0 when never measured.  A batch of few trailers may cost a
// wide engine as much as one of many, so one figure wouldn't do.
type rates [sizeClasses]float64

func sizeClass(n int) int { return min(bits.Len(uint(n)), sizeClasses-1) }

// observe learns that n trailers took d.
func (r *rates) observe(n int, d time.Duration) {
	// A clock may not have moved; 0 means never measured.
	latest := max(d, time.Nanosecond).Seconds() / float64(n)
	e := &r[sizeClass(n)]
	if *e == 0 {
		*e = latest
		return
	}
	*e += weightOfNew * (min(latest, maxSurprise**e) - *e)
}

// seconds returns how long n trailers are expected to take a backend whose rate
// is about its best from chunk on, and whether anything is known of it.
//
// A size that was never measured is looked at with favour, so that it gets
// measured: it goes by the next larger one, or else by the next smaller, of which
// it is said that up to a chunk the time was all latency.
func (r *rates) seconds(n, chunk int) (s float64, known bool) {
	c := sizeClass(n)
	for i := c; i < sizeClasses; i++ {
		if r[i] > 0 {
			return r[i] * float64(n), true
		}
	}
	for i := c - 1; i >= 0; i-- {
		if r[i] > 0 {
			size := 1 << i // of the largest batch in the class, about
			return r[i] * float64(size) * max(1, float64(n)/float64(max(chunk, size))), true
		}
	}
	return 0, false
}

// rate returns the expected trailers a second in batches of n, but at least a
// chunk, 0 when nothing is known.
func (r *rates) rate(n, chunk int) float64 {
	n = max(n, chunk, 1)
	s, known := r.seconds(n, chunk)
	if !known {
		return 0
	}
	return float64(n) / s
}

// relax makes the estimate for n a little better, unless it is far from the
// best.
func (r *rates) relax(n int, best float64) {
	if e := &r[sizeClass(n)]; *e*float64(n) <= relaxReach*best {
		*e *= relaxStep
	}
}
