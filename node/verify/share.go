package verify

import (
	"context"
	"sync"
	"time"

	"kigo/node/mcm"
)

// crew returns the backends that share a batch of n, the best one of each
// device, or nil when one backend should do it all.
func (r *Router) crew(n int) []*member {
	var crew []*member
	devices := map[string]bool{}
	now, chunks := time.Now(), 0
	for _, m := range r.order(n, false) {
		m.mu.Lock()
		usable := m.usable(now)
		m.mu.Unlock()
		if d := m.info.Device; d != "" && !devices[d] && usable && n >= m.info.MinBatch {
			devices[d] = true
			chunks += m.info.Chunk
			crew = append(crew, m)
		}
	}
	if len(crew) < 2 || n < chunks {
		return nil
	}
	return crew
}

// share has a large batch done by all of crew.  Nobody is promised a part
// beforehand: whoever is free takes the next piece, so a device that turns out
// slow delays the end by one piece, and one that fails by redoing it.
func (r *Router) share(ctx context.Context, crew []*member, dst []Result, batch []mcm.Trailer) error {
	s := &split{crew: crew, rest: span{0, len(batch)}}
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
	crew   []*member // those still taking pieces
	rest   span      // not taken
	failed []span    // taken by backends that failed
}

// take gives m its next piece: half of what its speed entitles it to of the
// rest, but at least a chunk, so that pieces get smaller towards the end and all
// finish at about the same time.  It returns false when nothing is left, or when
// m's part of the rest is less than m takes, and the others are faster without
// it.
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
		if part, known := s.part(m); known {
			fair := int(part * float64(n))
			if fair < max(m.info.MinBatch, 1) {
				s.remove(m)
				return span{}, false
			}
			take = min(max(fair/2, chunk), fair)
		}
	}
	piece = span{s.rest.from, s.rest.from + take}
	s.rest.from = piece.to
	return piece, true
}

// part returns m's share of the crew's speed, once all of it are measured.
func (s *split) part(m *member) (part float64, known bool) {
	var mine, all float64
	for _, c := range s.crew {
		c.mu.Lock()
		rate := c.rates.rate(c.info.Chunk)
		c.mu.Unlock()
		if rate == 0 {
			return 0, false
		}
		if all += rate; c == m {
			mine = rate
		}
	}
	return mine / all, true
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
