package lanes

import (
	"kigo/cpu/internal/engine"
	"kigo/node/mcm"
)

// Lanes is the number of trailers that a Kernel works on side by side.  With
// fewer the latency of MD2's table look-ups shows; more were no faster.
const Lanes = 16

// Chunk is how many trailers a Kernel should be given in one call: 10 to 15 ms of
// work, so that a context is looked at often enough; four trailers for each lane,
// so that lanes that run dry towards the end cost little; and not less than the
// 54 trailers of a segment.
const Chunk = 64

var _ engine.Kernel = (*Kernel)(nil)

// A Kernel computes Peach hashes on one core.  It serves one goroutine at a
// time.
type Kernel struct {
	md2   md2Lanes
	lanes [Lanes]lane
	slots [Lanes]*lane // slots[s] owns lane s of md2; those at work come first
}

// New returns a Kernel.
func New() *Kernel {
	k := &Kernel{md2: md2Lanes{pairs: md2Pairs()}}
	for s := range k.slots {
		k.slots[s] = &k.lanes[s]
	}
	return k
}

// Hash stores the final Peach hash of batch[i] in dst[i], for every i
// (docs/spec/pow.md section 9.7).  The slices must have the same length, which
// may be any; Chunk is a good one.  Nonces are not checked, and neither height,
// exemption nor difficulty is looked at.  Hash doesn't allocate.
func (k *Kernel) Hash(dst []mcm.Hash, batch []mcm.Trailer) {
	if len(dst) != len(batch) {
		panic("lanes: dst and batch differ in length")
	}
	next := 0
	begin := func(l *lane) bool {
		if next == len(batch) {
			return false
		}
		l.begin(&dst[next], &batch[next])
		next++
		return true
	}
	// work has slot s go on, with new trailers where its own is done, until it
	// has a message for MD2.  It reports whether there is one.
	work := func(s int) bool {
		l := k.slots[s]
		for {
			if in := l.run(); in != nil {
				k.md2.start(s, in)
				return true
			}
			if !begin(l) {
				return false
			}
		}
	}

	active := 0
	for active < Lanes && begin(k.slots[active]) && work(active) {
		active++
	}
	for active > 0 {
		k.md2.step(active)
		for s := active - 1; s >= 0; s-- {
			if !k.md2.ended(s) {
				continue
			}
			var d mcm.Hash
			k.md2.digest(s, &d)
			k.slots[s].accept(&d)
			if work(s) {
				continue
			}
			// The batch has run out; the last slot at work moves here.
			active--
			k.slots[s], k.slots[active] = k.slots[active], k.slots[s]
			k.md2.move(s, active)
		}
	}
}
