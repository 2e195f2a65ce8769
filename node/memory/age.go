package memory

import (
	"slices"
	"time"

	"kigo/node/fault"
)

// An age says what a clock makes of a record.
type age uint8

const (
	current age = iota
	expired
	ahead // its time lies in the future: the clock was set back
)

// ageOf judges a record by the time that its life counts from.
func ageOf(at time.Time, life time.Duration, now time.Time) age {
	switch since := now.Sub(at); {
	case since < -slack:
		return ahead
	case since >= life:
		return expired
	}
	return current
}

// lapsed reports whether something that lasts until then is over, or reaches
// further ahead than it ever may.
func lapsed(until time.Time, most time.Duration, now time.Time) bool {
	left := until.Sub(now)
	return left <= 0 || left > most+slack
}

// trim removes from a peer's record the parts that are over or were written
// under another clock.
func (p *Peer) trim(now time.Time) {
	p.False = slices.DeleteFunc(p.False, func(s Statement) bool {
		return lapsed(s.Expires, StatementTime, now)
	})
	s := &p.Standing
	if ageOf(s.At, fault.LongestBan, now) == ahead {
		s.Objective, s.Soft, s.At = 0, 0, time.Time{}
	}
	if lapsed(s.BannedUntil, fault.LongestBan, now) {
		s.BannedUntil = time.Time{}
	}
	if lapsed(s.RestUntil, fault.Rest, now) {
		s.RestUntil = time.Time{}
	}
}

// trim does the same for a group's.
func (g *Group) trim(now time.Time) {
	r := &g.Record
	r.Bans = slices.DeleteFunc(r.Bans, func(at time.Time) bool {
		return ageOf(at, fault.GroupTime, now) != current
	})
	if lapsed(r.HalvedUntil, fault.GroupTime, now) {
		r.HalvedUntil = time.Time{}
	}
	if ageOf(r.Hour, time.Hour, now) != current {
		r.Hour, r.WorthlessCount, r.FailedCount = time.Time{}, 0, 0
	}
}
