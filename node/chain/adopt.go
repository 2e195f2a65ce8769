package chain

import (
	"fmt"
	"time"

	"kigo/node/mcm"
)

// Adopt has the chain end before the staging's lowest trailer and continue with all
// of it, in one step as Replace does, and removes the staging.  What the staging has
// unproven becomes pending.  On an error chain and staging are what they were.
func (s *Store) Adopt(g *Staging) error {
	s.change.Lock()
	defer s.change.Unlock()
	began := time.Now()
	if err := s.settle(); err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	v := s.view
	low, high, ok := g.runs.bounds()
	if !ok || low < v.base.num || v.index(low) > v.count {
		return fmt.Errorf("chain: staging of blocks %v to %v for a chain of %d from %v on", low, high, v.count, v.base.num)
	}
	b, err := s.builder(v, v.index(low))
	if err != nil {
		return err
	}
	for i := range g.runs.ranges {
		ts, err := g.read(i)
		if err != nil {
			return err
		}
		if err := b.add(ts); err != nil {
			return err
		}
	}
	w := &switching{journal: journal{from: v.index(low), off: g.place(low), name: g.data.name}, kind: kindAdopt, source: g.data, began: began}
	w.next = b.view(pendingWith(clip(v.pending, low), g.runs.unworked()))
	if w.moves() {
		if err := g.data.truncate(b.count * mcm.TrailerLen); err != nil {
			return err
		}
	}
	if err := s.begin(w); err != nil {
		return err
	}
	g.retire()
	return g.log.close()
}

// pendingWith returns the span from the first to the last that is unproven.
func pendingWith(p Span, more []Span) Span {
	if len(more) == 0 {
		return p
	}
	first, end := more[0].First, more[len(more)-1].end()
	if p.Count > 0 {
		first = min(first, p.First)
	}
	return Span{first, int(end - first)}
}
