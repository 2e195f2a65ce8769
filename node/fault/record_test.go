package fault_test

import (
	"math"
	"testing"
	"time"

	"kigo/node/fault"
)

var start = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func near(a, b float64) bool { return math.Abs(a-b) < 1e-9 }

func TestDecay(t *testing.T) {
	for _, c := range []struct {
		after           time.Duration
		objective, soft float64
	}{
		{-time.Hour, 80, 40}, // a clock set back neither adds nor takes
		{0, 80, 40},
		{30 * time.Minute, 80 * math.Exp2(-1./48), 40 * math.Sqrt2 / 2},
		{time.Hour, 80 * math.Exp2(-1./24), 20},
		{2 * time.Hour, 80 * math.Exp2(-2./24), 10},
		{day, 40, 40 * math.Exp2(-24)},
		{2 * day, 20, 40 * math.Exp2(-48)},
	} {
		r := fault.Record{Objective: 80, Soft: 40, At: start}
		if o, s := r.Points(start.Add(c.after)); !near(o, c.objective) || !near(s, c.soft) {
			t.Errorf("after %v: %v, %v points left, want %v, %v", c.after, o, s, c.objective, c.soft)
		}
	}
	r := fault.Record{Objective: math.NaN(), Soft: -5, At: start}
	if o, s := r.Points(start); o != 0 || s != 0 {
		t.Errorf("a damaged record has %v, %v points, want none", o, s)
	}
}

func TestBan(t *testing.T) {
	type step struct {
		after  time.Duration
		kind   fault.Kind
		banned bool
	}
	for _, c := range []struct {
		name  string
		steps []step
		until time.Duration // end of the last ban; 0: none
	}{
		{"100 points", []step{{0, fault.InvalidTrailer, true}}, day},
		{"50 points", []step{{0, fault.TooLong, false}}, 0},
		{"50 twice at once", []step{{0, fault.TooLong, false}, {0, fault.BadList, true}}, day},
		{"50 twice, the first faded", []step{{0, fault.TooLong, false}, {time.Minute, fault.BadList, false}}, 0},
		{"50 thrice", []step{{0, fault.TooLong, false}, {time.Minute, fault.TooLong, false}, {time.Hour, fault.TooLong, true}}, time.Hour + day},
		{"soft points ban nobody", []step{{0, fault.TooLong, false}, {0, fault.TooSlow, false}, {0, fault.TooSlow, false},
			{0, fault.TooSlow, false}, {0, fault.TooSlow, false}, {0, fault.TooSlow, false}}, 0},
		{"what proves nothing costs nothing", []step{{0, fault.TooLong, false}, {0, fault.Early, false}, {0, fault.TooHigh, false}, {0, fault.ShortReply, false}}, 0},
		{"a call under way", []step{{0, fault.InvalidTrailer, true}, {time.Second, fault.InvalidTrailer, false}}, day},
		{"a call under way, which read the clock before", []step{{0, fault.InvalidTrailer, true}, {-time.Second, fault.InvalidTrailer, false}}, day},
		{"soft points after a ban", []step{{0, fault.InvalidTrailer, true}, {0, fault.InvalidTrailer, false}, {day, fault.Timeout, false}}, day},
		{"repeated", []step{{0, fault.InvalidTrailer, true}, {day, fault.TooLong, true}}, day + 2*day},
	} {
		t.Run(c.name, func(t *testing.T) {
			var r fault.Record
			for i, s := range c.steps {
				if got := r.Observe(s.kind, start.Add(s.after)); got != s.banned {
					t.Fatalf("step %d, %s: banned is %v, want %v", i, s.kind, got, s.banned)
				}
			}
			if c.until == 0 {
				if r.Banned(start) || !r.BannedUntil.IsZero() {
					t.Errorf("banned until %v, want no ban", r.BannedUntil)
				}
				return
			}
			end := start.Add(c.until)
			if !r.Banned(end.Add(-1)) || r.Banned(end) {
				t.Errorf("banned until %v, want %v", r.BannedUntil, end)
			}
		})
	}
}

func TestBanDoubles(t *testing.T) {
	var r fault.Record
	now := start
	for i, want := range []time.Duration{day, 2 * day, 4 * day, 8 * day, 16 * day, 30 * day, 30 * day, 30 * day} {
		if !r.Observe(fault.InvalidTrailer, now) {
			t.Fatalf("ban %d didn't come", i+1)
		}
		if got := r.BannedUntil.Sub(now); got != want || !r.Banned(now) {
			t.Errorf("ban %d lasts %v, want %v", i+1, got, want)
		}
		now = r.BannedUntil
	}
}

func TestRest(t *testing.T) {
	var r fault.Record
	for i := range 9 {
		r.Observe(fault.Timeout, start)
		if r.Resting(start) {
			t.Fatalf("rests at %d points", 5*(i+1))
		}
	}
	if r.Observe(fault.Timeout, start) {
		t.Error("50 soft points ban")
	}
	// Further points don't prolong the rest: they keep it from ending clean.
	r.Observe(fault.Timeout, start.Add(time.Minute))
	end := start.Add(time.Hour)
	if !r.Resting(end.Add(-1)) || r.Resting(end) {
		t.Errorf("rests until %v, want %v", r.RestUntil, end)
	}
	// 25 points and a bit are left of the 50, and of the 5.
	r.Observe(fault.TooSlow, end)
	if r.Resting(end) {
		t.Error("rests again at about 38 points")
	}
	r.Observe(fault.TooSlow, end)
	r.Observe(fault.TooSlow, end)
	if !r.Resting(end) {
		t.Error("doesn't rest at about 58 points")
	}
}

// TestClockSetBack: docs/spec/sync.md section 8.7, a time that lies further ahead
// than its class allows is over.
func TestClockSetBack(t *testing.T) {
	for _, c := range []struct {
		name    string
		record  fault.Record
		banned  bool
		resting bool
	}{
		{"as they begin", fault.Record{BannedUntil: start.Add(day), RestUntil: start.Add(time.Hour), Bans: 1}, true, true},
		{"too far ahead", fault.Record{BannedUntil: start.Add(day + time.Hour), RestUntil: start.Add(2 * time.Hour), Bans: 1}, false, false},
		{"not too far for a second ban", fault.Record{BannedUntil: start.Add(2 * day), Bans: 2}, true, false},
		{"longer than any", fault.Record{BannedUntil: start.Add(31 * day), Bans: 100}, false, false},
		{"without a ban", fault.Record{}, false, false},
	} {
		if got := c.record.Banned(start); got != c.banned {
			t.Errorf("%s: banned is %v", c.name, got)
		}
		if got := c.record.Resting(start); got != c.resting {
			t.Errorf("%s: resting is %v", c.name, got)
		}
	}
	// A record of the future fades from the next fault on.
	r := fault.Record{Objective: 50, At: start.Add(1000 * day)}
	r.Observe(fault.Refused, start)
	if o, _ := r.Points(start.Add(day)); !near(o, 25) {
		t.Errorf("%v points a day later, want 25", o)
	}
}
