package verify

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"kigo/node/mcm"
)

// crew returns the backends that share a batch of n, the best one of each
// device, or nil when one backend should do it all.
func (r *Router) crew(n int) []*member {
	var crew, measured []*member
	devices := map[string]bool{}
	now, chunks := time.Now(), 0
	for _, m := range r.order(n, false) {
		m.mu.Lock()
		usable, rate := m.usable(now), m.rates.rate(n, m.info.Chunk)
		m.mu.Unlock()
		if d := m.info.Device; d != "" && !devices[d] && usable && n >= m.info.MinBatch {
			devices[d] = true
			chunks += m.info.Chunk
			crew = append(crew, m)
			if rate > 0 {
				measured = append(measured, m)
			}
		}
	}
	switch {
	case len(crew) < 2:
		return nil
	case n >= chunks:
		return crew
	case worthSharing(measured, n):
		return measured
	}
	return nil
}

// leastGain is how many times as fast as the best of a crew alone the whole crew
// must be expected to be.  Pieces cost more than the whole, above all on a device
// that needs nearly as long for a few as for many.
const leastGain = 1.2

// worthSharing reports whether crew, all of which are measured, are expected to do
// n trailers clearly sooner together.
func worthSharing(crew []*member, n int) bool {
	s := &split{crew: crew}
	alone, together := time.Duration(math.MaxInt64), time.Duration(0)
	for _, m := range crew {
		alone = min(alone, m.expected(n))
		if fair, _ := s.fair(m, n, time.Time{}); fair >= max(m.info.MinBatch, 1) {
			together = max(together, m.expected(fair))
		}
	}
	return alone.Seconds() > leastGain*together.Seconds()
}

// share has a large batch done by all of crew.  Nobody is promised a part
// beforehand: whoever is free takes the next piece, so a device that turns out
// slow delays the end by one piece, and one that fails by redoing it.
func (r *Router) share(ctx context.Context, crew []*member, dst []Result, batch []mcm.Trailer) error {
	s := &split{crew: crew, rest: span{0, len(batch)}, busy: map[*member]time.Time{}}
	var wg sync.WaitGroup
	for _, m := range crew {
		wg.Go(func() {
			defer s.leave(m)
			for ctx.Err() == nil {
				p, ok := s.take(m)
				if !ok {
					return
				}
				if r.call(ctx, m, dst[p.from:p.to], batch[p.from:p.to]) != nil {
					s.giveBack(p)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, p := range append(s.failed, s.rest) {
		if p.len() == 0 {
			continue
		}
		if err := r.serve(ctx, dst[p.from:p.to], batch[p.from:p.to]); err != nil {
			return err
		}
	}
	return nil
}

// A span is a part of a batch.
type span struct{ from, to int }

func (s span) len() int { return s.to - s.from }

// A split is a batch that several backends work on.
type split struct {
	mu     sync.Mutex
	crew   []*member             // those still taking pieces
	rest   span                  // not taken
	busy   map[*member]time.Time // when those of crew are expected to be done with a piece
	failed []span                // taken by backends that failed
}

// take gives m its next piece: half of what its speed entitles it to of the
// rest, but at least a chunk, so that pieces get smaller towards the end and all
// finish at about the same time.  It returns false when nothing is left, when m's
// part of the rest is less than m takes, or when another is expected to be done
// with the whole rest before m is with its piece, as at the end beside a device
// that needs as long for a few as for many.
func (s *split) take(m *member) (piece span, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.rest.len()
	if n == 0 {
		return span{}, false
	}
	take := n
	if len(s.crew) > 1 {
		chunk := max(m.info.Chunk, 1)
		take = min(chunk, n)
		now := time.Now()
		if fair, known := s.fair(m, n, now); known {
			if fair < max(m.info.MinBatch, 1) {
				s.remove(m)
				return span{}, false
			}
			take = min(max(fair/2, chunk), fair)
			mine := m.expected(take)
			for _, c := range s.crew {
				if c != m && max(s.busy[c].Sub(now), 0)+c.expected(n) < mine {
					s.remove(m)
					return span{}, false
				}
			}
			s.busy[m] = now.Add(mine)
		}
	}
	piece = span{s.rest.from, s.rest.from + take}
	s.rest.from = piece.to
	return piece, true
}

// expected returns how long n trailers are expected to take m, 0 when nothing is
// known.
func (m *member) expected(n int) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	seconds, _ := m.rates.seconds(n, m.info.Chunk)
	return time.Duration(seconds * float64(time.Second))
}

// fair returns how many of n trailers m is to do so that all of the crew end at the
// same time, by when they are done with what they have and by the rates they are
// expected to have; once all of them are measured.
func (s *split) fair(m *member, n int, now time.Time) (fair int, known bool) {
	type helper struct{ rate, wait float64 }
	var mine float64
	helpers := make([]helper, 0, len(s.crew))
	for _, c := range s.crew {
		c.mu.Lock()
		rate := c.rates.rate(n, c.info.Chunk)
		c.mu.Unlock()
		if rate == 0 {
			return 0, false
		}
		if c == m {
			mine = rate
			helpers = append(helpers, helper{rate, 0})
		} else {
			helpers = append(helpers, helper{rate, max(s.busy[c].Sub(now).Seconds(), 0)})
		}
	}
	slices.SortFunc(helpers, func(a, b helper) int { return cmp.Compare(a.wait, b.wait) })
	// Those who are free before the end do rate times what is left until then.
	var rates float64
	work, end := float64(n), math.Inf(1)
	for _, h := range helpers {
		if h.wait >= end {
			break
		}
		rates += h.rate
		work += h.rate * h.wait
		end = work / rates
	}
	return int(mine * end), true
}

// leave takes m out of the crew; those that stay get its part.
func (s *split) leave(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remove(m)
}

// remove is leave for a caller that holds mu.
func (s *split) remove(m *member) {
	for i, c := range s.crew {
		if c == m {
			s.crew = append(s.crew[:i:i], s.crew[i+1:]...)
			return
		}
	}
}

// giveBack notes that a piece was taken and not done.
func (s *split) giveBack(p span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed = append(s.failed, p)
}
