package fault

import (
	"math"
	"time"
)

// What points lead to, and how long they last (docs/spec/sync.md section 8.8).
const (
	BanPoints  = 100            // objective points that ban an address
	FirstBan   = 24 * time.Hour // the first ban, doubled at each repetition
	LongestBan = 30 * 24 * time.Hour

	RestPoints = 50 // soft points after which an address isn't called for a while
	Rest       = time.Hour

	ObjectiveHalf = 24 * time.Hour // time in which points halve
	SoftHalf      = time.Hour
)

// A Record is what one address has to its account.  The zero value is a clean
// one.  It isn't safe for concurrent use.
type Record struct {
	Objective   float64   // points as they stood at At
	Soft        float64   // likewise
	At          time.Time // when a kind with points was last observed
	BannedUntil time.Time
	RestUntil   time.Time
	Bans        int // bans so far
}

// Observe charges the address with what was seen of it, and reports whether
// that banned it.  A ban that holds isn't prolonged: what a banned address does
// in calls that were under way adds points only.
func (r *Record) Observe(k Kind, now time.Time) (banned bool) {
	class, points := k.score()
	if class == None {
		return false
	}
	r.Objective, r.Soft = r.Points(now)
	r.At = now
	if class == Soft {
		r.Soft += points
		if r.Soft >= RestPoints && !r.Resting(now) {
			r.RestUntil = now.Add(Rest)
		}
		return false
	}
	r.Objective += points
	if r.Objective < BanPoints || r.Banned(now) {
		return false
	}
	r.Bans++
	r.BannedUntil = now.Add(banLength(r.Bans))
	return true
}

// Points returns the points that are left.
func (r *Record) Points(now time.Time) (objective, soft float64) {
	// A clock that was set back must not make points grow.
	age := max(0, now.Sub(r.At))
	return decay(r.Objective, age, ObjectiveHalf), decay(r.Soft, age, SoftHalf)
}

// Banned reports whether the address is banned.
func (r *Record) Banned(now time.Time) bool {
	return runs(now, r.BannedUntil, banLength(r.Bans))
}

// Resting reports whether the address had better be left alone for now, for
// soft points.
func (r *Record) Resting(now time.Time) bool {
	return runs(now, r.RestUntil, Rest)
}

// banLength returns how long the nth ban lasts.
func banLength(n int) time.Duration {
	d := FirstBan
	for ; n > 1 && d < LongestBan; n-- {
		d *= 2
	}
	return min(d, LongestBan)
}

// slack is by how much a time may lie behind one that was noted before it:
// callers read the clock first and get here in any order.
const slack = time.Minute

// runs reports whether a time of at most length, ending at until, isn't over.
// More than length ahead it can't be, unless the clock was set back.
func runs(now, until time.Time, length time.Duration) bool {
	left := until.Sub(now)
	return left > 0 && left <= length+slack
}

func decay(points float64, age, half time.Duration) float64 {
	// Written so that a NaN from a damaged store is no points either.
	if !(points > 0) {
		return 0
	}
	return points * math.Exp2(-float64(age)/float64(half))
}
