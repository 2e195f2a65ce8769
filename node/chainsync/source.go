package chainsync

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"time"

	"kigo/node/fault"
)

// tries is how often a source may fail one after another, by what an honest peer does
// when it is crowded or changes branches, before it is left alone.
const tries = 3

// A source is a supporter as one download sees it.
type source struct {
	Supporter
	place     int  // in a random order
	delivered bool // has served a range that linked
	asked     int
	failures  int // since it last delivered
	out       bool
	lied      bool      // has served what is wrong
	filed     bool      // was asked for a whole file
	foreign   bool      // has served what is not of the branch
	shunned   bool      // of a group that has, so that others come first
	busy      bool      // with a range of this download
	turn      *turn     // that it is busy in
	rest      time.Time // not before then
}

// proven reports whether the source has shown before that it serves.
func (s *source) proven() bool { return s.delivered || s.Preferred }

// sources orders the supporters of a branch.
type sources struct {
	all []*source
	of  map[netip.Prefix]int // ranges asked of a group whose peers have to show themselves
}

// newSources takes supporters in an order that none of them can choose.
func newSources(supporters []Supporter) *sources {
	l := &sources{of: map[netip.Prefix]int{}}
	for i, at := range rand.Perm(len(supporters)) {
		l.all = append(l.all, &source{Supporter: supporters[i], place: at})
	}
	return l
}

// next returns the best source of those that are free, nil if there is none: proven
// ones first, of these those that have done least; then one of the group that was
// given the fewest ranges to show itself, so that a thousand addresses of one
// neighbourhood don't come before the one of another.
func (l *sources) next(now time.Time, free func(*source) bool) (best *source) {
	for _, s := range l.all {
		if s.out || s.busy || now.Before(s.rest) {
			continue
		}
		if (best == nil || l.compare(s, best) < 0) && free(s) {
			best = s
		}
	}
	return best
}

func (l *sources) compare(a, b *source) int {
	if a.proven() != b.proven() {
		if a.proven() {
			return -1
		}
		return 1
	}
	group := 0
	if !a.proven() {
		group = cmp.Compare(l.of[a.Group], l.of[b.Group])
	}
	if a.shunned != b.shunned {
		group = 1
		if b.shunned {
			group = -1
		}
	}
	return cmp.Or(cmp.Compare(a.failures, b.failures), group, cmp.Compare(a.asked, b.asked), cmp.Compare(a.place, b.place))
}

// ask notes that s is asked.
func (l *sources) ask(s *source) {
	s.busy = true
	s.asked++
	if !s.proven() {
		l.of[s.Group]++
	}
}

// delivered notes that s has served a range that linked.  After one that is slow others
// come first.
func (l *sources) delivered(s *source, slow bool) {
	s.delivered, s.failures = true, 0
	if slow {
		s.failures = 1
	}
}

// failed notes that s has not served what it was asked for, for a reason of that
// kind.  What an honest peer does for a moment is forgiven for a while; anything else
// ends it for a source that has not shown yet that it serves.
func (l *sources) failed(s *source, k fault.Kind, now time.Time, pause time.Duration) {
	s.failures++
	forgive := s.proven()
	switch k {
	case fault.Refused, fault.Reset, fault.BadCRC, "":
		forgive = true
	}
	if k.Class() == fault.Objective || !forgive || s.failures >= tries {
		s.out = true
		return
	}
	s.rest = now.Add(pause)
}

// count returns how many sources are left, and when the next one has rested; zero if
// none rests.
func (l *sources) count(now time.Time) (left int, rested time.Time) {
	for _, s := range l.all {
		if s.out {
			continue
		}
		left++
		if now.Before(s.rest) && (rested.IsZero() || s.rest.Before(rested)) {
			rested = s.rest
		}
	}
	return left, rested
}

// find returns the source with an address, nil if it is none.
func (l *sources) find(a netip.Addr) *source {
	for _, s := range l.all {
		if s.Addr == a {
			return s
		}
	}
	return nil
}

// again forgets what sources have failed to serve, but for those that have served what
// is wrong, as from has.  Others of its group come last from now on.
func (l *sources) again(from netip.Addr) {
	culprit := l.find(from)
	for _, s := range l.all {
		if s == culprit {
			s.lied = true
		} else if culprit != nil && s.Group == culprit.Group {
			s.shunned = true
		}
		if s.out = s.lied; !s.out {
			s.failures, s.rest = 0, time.Time{}
		}
	}
}
