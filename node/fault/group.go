package fault

import (
	"net/netip"
	"time"
)

// Groups says which addresses count as one neighbourhood.  The zero value is
// the rule of docs/spec/sync.md section 8.8.
type Groups struct {
	Bits int // length of the prefix that makes a group; 0 means 16, 32 each address alone
}

// Of returns the group of an IPv4 address, and the zero Prefix for anything
// else.
func (g Groups) Of(a netip.Addr) netip.Prefix {
	bits := g.Bits
	if bits == 0 {
		bits = 16
	}
	a = a.Unmap()
	if !a.Is4() {
		return netip.Prefix{}
	}
	p, err := a.Prefix(min(bits, 32))
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// What a group may cost us, and what its addresses' bans lead to
// (docs/spec/sync.md section 8.8).
const (
	WorthlessBudget  = 20_000 // trailers an hour, 3.2 MB
	FailedWorkBudget = 2_000  // checks an hour, 1.7 s of a portable core

	GroupBans  = 4 // banned addresses within GroupTime that halve a group's quotas
	GroupTime  = 24 * time.Hour
	budgetTime = time.Hour
)

// A GroupRecord is what a group has to its account: a group is never banned,
// only used less.  The zero value is a clean one.  It isn't safe for concurrent
// use.
type GroupRecord struct {
	Bans        []time.Time // of addresses in the group: the last ones, GroupBans at most
	HalvedUntil time.Time

	Hour           time.Time // when the hour began that the counts below belong to
	WorthlessCount int       // trailers that led nowhere
	FailedCount    int       // work checks that failed
}

// Ban notes that an address of the group was banned.
func (g *GroupRecord) Ban(now time.Time) {
	kept := g.Bans[:0]
	for _, at := range g.Bans {
		if age := now.Sub(at); age >= -slack && age < GroupTime {
			kept = append(kept, at)
		}
	}
	kept = append(kept, now)
	g.Bans = kept[max(0, len(kept)-GroupBans):]
	if len(g.Bans) == GroupBans {
		g.HalvedUntil = now.Add(GroupTime)
	}
}

// Halved reports whether the group's quotas are halved for its bans.
func (g *GroupRecord) Halved(now time.Time) bool {
	return runs(now, g.HalvedUntil, GroupTime)
}

// Quota returns what the group has of a quota n: half of it, one at least,
// while it is halved, and twice as much while few groups are reachable, fewer
// than three.
func (g *GroupRecord) Quota(n int, now time.Time, few bool) int {
	if g.Halved(now) {
		n = max(1, n/2)
	}
	if few {
		n *= 2
	}
	return n
}

// Worthless charges the group with n trailers that led nowhere.
func (g *GroupRecord) Worthless(n int, now time.Time) {
	g.renew(now)
	g.WorthlessCount += n
}

// FailedWork charges the group with n checks of work that failed.
func (g *GroupRecord) FailedWork(n int, now time.Time) {
	g.renew(now)
	g.FailedCount += n
}

// OverBudget reports whether the group has cost more than it may in this hour,
// so that it is no source until the hour is over.  few is as in Quota.
func (g *GroupRecord) OverBudget(now time.Time, few bool) bool {
	if !g.current(now) {
		return false
	}
	return g.WorthlessCount > g.Quota(WorthlessBudget, now, few) ||
		g.FailedCount > g.Quota(FailedWorkBudget, now, few)
}

// current reports whether the hour of the counts isn't over.
func (g *GroupRecord) current(now time.Time) bool {
	age := now.Sub(g.Hour)
	return age >= -slack && age < budgetTime
}

func (g *GroupRecord) renew(now time.Time) {
	if !g.current(now) {
		g.Hour, g.WorthlessCount, g.FailedCount = now, 0, 0
	}
}
