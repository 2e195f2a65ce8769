package scan

import "time"

// progressPause is the least time between two calls of Options.OnChange.
const progressPause = 100 * time.Millisecond

// mark notes that a contact's row has changed.
func (s *scan) mark(c *contact) {
	if s.o.OnChange != nil && !c.dirty {
		c.dirty = true
		s.changed = append(s.changed, c)
	}
}

// progress shows what has changed, if it is time to or if final.
func (s *scan) progress(final bool) {
	now := time.Now()
	if s.o.OnChange == nil || !final && (len(s.changed) == 0 || now.Sub(s.shown) < progressPause) {
		return
	}
	s.shown = now
	p := Progress{
		Asked:    len(s.contacts) - len(s.order.skip),
		Proven:   s.passed,
		Queue:    s.order.waiting() + len(s.due) + len(s.again),
		InFlight: s.calls,
		Judged:   s.decided(),
		Reached:  s.reached,
		Elapsed:  now.Sub(s.began),
	}
	for _, c := range s.changed {
		c.dirty = false
		p.Peers = append(p.Peers, c.row())
	}
	s.changed = s.changed[:0]
	s.o.OnChange(p)
}
