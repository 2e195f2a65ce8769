package scan

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"kigo/node/wire"
)

// A Listed is an address of the book that may be called.
type Listed struct {
	Addr       netip.Addr
	Group      netip.Prefix
	Configured bool      // given by the operator
	Good       bool      // has shown a proof that held
	Tried      bool      // has shaken hands once
	Contact    time.Time // when it last did; zero: never
}

// Ranked returns the addresses that may be called now: nobody banned, nobody resting
// unless few groups are left, nobody of a group over its budget.  First come configured
// ones, by address, then good ones, longest-standing first, then others that were
// spoken to, then candidates.  It returns most at most, all if that is 0.
func (b *Book) Ranked(now time.Time, most int) []Listed {
	b.mu.Lock()
	defer b.mu.Unlock()
	few := b.fewNow(now)
	all := make([]Listed, 0, len(b.entries))
	seen := make([]time.Time, 0, len(b.entries))
	order := make([]int, 0, len(b.entries))
	for _, e := range b.entries {
		if e.Standing.Banned(now) || e.Standing.Resting(now) && !few || b.overBudget(e.group, now, few) {
			continue
		}
		order = append(order, len(all))
		seen = append(seen, e.FirstSeen)
		all = append(all, Listed{
			Addr: e.Addr, Group: e.group, Configured: e.table == configured,
			Good: !e.LastGood.IsZero(), Tried: e.table != candidate, Contact: e.LastContact,
		})
	}
	slices.SortFunc(order, func(i, j int) int {
		x, y := &all[i], &all[j]
		c := cmp.Compare(x.class(), y.class())
		if c == 0 && x.Good {
			c = seen[i].Compare(seen[j])
		}
		return cmp.Or(c, x.Addr.Compare(y.Addr))
	})
	if most > 0 && len(order) > most {
		order = order[:most]
	}
	ranked := make([]Listed, len(order))
	for i, at := range order {
		ranked[i] = all[at]
	}
	return ranked
}

// class returns where an address stands before its years count.
func (l *Listed) class() int {
	switch {
	case l.Configured:
		return 0
	case l.Good:
		return 1
	case l.Tried:
		return 2
	default:
		return 3
	}
}

// Met notes that a peer was called outside of a scan: it shook hands and claimed
// this, or it wasn't reached when claim is nil.  good says that its tip is proven.  A
// candidate that shook hands is one no longer; one that didn't makes room for others,
// and then Met returns false.
func (b *Book) Met(a netip.Addr, claim *wire.State, good bool, now time.Time) (kept bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[a]
	if e == nil || !b.keep(e, claim != nil) {
		return false
	}
	if e.FirstSeen.IsZero() {
		e.FirstSeen = now
	}
	b.note(e)
	if claim == nil {
		e.Failures++
		return true
	}
	e.LastContact, e.Claim = now, *claim
	if good {
		e.Successes++
		e.LastGood = now
	}
	return true
}
