package chainsync

import (
	"cmp"
	"net/netip"
	"sync"
	"time"

	"kigo/node/chain"
)

// A scheduler shares what may be asked at once between downloads: so many ranges in
// all, so many sources of one group, one range of one peer (docs/spec/sync.md sections
// 8.5 and 8.8).  Where ranges are short, the download that has the fewest under way
// comes next, and of those the one that has had the fewest, so that none starves
// another, however slow its sources are.
type scheduler struct {
	o *Options

	mu     sync.Mutex
	flying int
	busy   map[netip.Addr]bool
	groups map[netip.Prefix]int
	turns  map[*download]*turn
	held   map[string]bool // stagings that a branch of this run has

	stagings map[*chain.Staging]*download // the same, as far as downloads have begun
}

// A turn is where one download stands.
type turn struct {
	flying int           // under way
	ranges int           // asked for so far
	wants  bool          // has a source that it could ask, if it were its turn
	wake   chan struct{} // full when something was released
}

func newScheduler(s *Syncer) *scheduler {
	sched := &scheduler{
		o:      &s.o,
		busy:   map[netip.Addr]bool{},
		groups: map[netip.Prefix]int{},
		turns:  map[*download]*turn{},
		held:   map[string]bool{},

		stagings: map[*chain.Staging]*download{},
	}
	s.workshop.sched = sched
	return sched
}

// reset begins a run: it holds no staging yet.
func (s *scheduler) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.held)
	clear(s.stagings)
}

// hold notes that a download's branch has a staging.
func (s *scheduler) hold(d *download, g *chain.Staging) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.held[g.Name()] = true
	s.stagings[g] = d
}

// drop notes that a staging is gone.
func (s *scheduler) drop(g *chain.Staging) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, g.Name())
	delete(s.stagings, g)
}

// join enters a download, which must leave in the end.  The channel is sent to when it
// may be its turn.
func (s *scheduler) join(d *download) (wake <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &turn{wake: make(chan struct{}, 1)}
	s.turns[d] = t
	return t.wake
}

func (s *scheduler) leave(d *download) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.turns, d)
	s.wake(nil)
}

// wake tells all downloads but one that something has changed.
func (s *scheduler) wake(but *download) {
	for d, t := range s.turns {
		if d == but {
			continue
		}
		select {
		case t.wake <- struct{}{}:
		default:
		}
	}
}

// take gives d leave to ask one of its sources, which it must give back with release.
// It returns nil if none may be asked; later says that this may change without d's
// doing, and that d will be woken then.  more says how good a source has to be.
func (s *scheduler) take(d *download, more func(*source) bool) (src *source, later bool) {
	now := s.o.Now() // of accounts; pauses go by real time
	s.mu.Lock()
	defer s.mu.Unlock()
	me := s.turns[d]
	barred := false // a source only waits for another download
	src = d.sources.next(time.Now(), func(c *source) bool {
		if more != nil && !more(c) || !s.o.Accounts.MayServe(c.Addr, now) {
			return false
		}
		if s.busy[c.Addr] || s.groups[c.Group] >= max(1, s.o.Accounts.Quota(c.Addr, s.o.Limits.PerGroup, now)) {
			barred = true
			return false
		}
		return true
	})
	had := me.wants
	me.wants = src != nil
	if src == nil {
		if had {
			s.wake(d) // others may have waited for this one's turn
		}
		return nil, barred
	}
	if s.flying >= s.o.Limits.Flight || !s.myTurn(me) {
		return nil, true
	}
	me.ranges++
	me.flying++
	src.turn = me
	s.flying++
	s.busy[src.Addr] = true
	s.groups[src.Group]++
	d.sources.ask(src)
	s.o.Metrics.flight.Set(float64(s.flying))
	s.wake(d)
	return src, false
}

// myTurn reports whether no other download that could ask a source comes before.
func (s *scheduler) myTurn(me *turn) bool {
	for _, t := range s.turns {
		if t.wants && cmp.Or(cmp.Compare(t.flying, me.flying), cmp.Compare(t.ranges, me.ranges)) < 0 {
			return false
		}
	}
	return true
}

// content notes that d wants nothing for now, so that nobody waits for its turn.
func (s *scheduler) content(d *download) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t := s.turns[d]; t.wants {
		t.wants = false
		s.wake(d)
	}
}

// release gives back the leave to ask src.
func (s *scheduler) release(src *source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	src.busy = false
	src.turn.flying--
	s.flying--
	delete(s.busy, src.Addr)
	if s.groups[src.Group]--; s.groups[src.Group] == 0 {
		delete(s.groups, src.Group)
	}
	s.o.Metrics.flight.Set(float64(s.flying))
	s.wake(nil)
}

// What a branch can be in height: an honest one isn't higher above a known block than
// this, since faster blocks raise the difficulty (docs/spec/sync.md section 8.5).
const (
	fastest  = 69 // seconds a block
	headroom = 2048
)

// plausible reports whether a chain can honestly have grown by that many blocks in
// that time.
func plausible(blocks uint64, elapsed time.Duration) bool {
	return blocks <= uint64(max(0, elapsed)/(fastest*time.Second))+headroom
}
