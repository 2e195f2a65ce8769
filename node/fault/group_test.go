package fault_test

import (
	"net/netip"
	"testing"
	"time"

	"kigo/node/fault"
)

func TestGroups(t *testing.T) {
	for _, c := range []struct {
		bits int
		addr string
		want string
	}{
		{0, "192.0.2.1", "192.0.0.0/16"},
		{0, "192.0.255.255", "192.0.0.0/16"},
		{0, "192.1.0.0", "192.1.0.0/16"},
		{24, "127.1.2.3", "127.1.2.0/24"},
		{32, "127.1.2.3", "127.1.2.3/32"},
		{40, "127.1.2.3", "127.1.2.3/32"},
		{0, "::ffff:192.0.2.1", "192.0.0.0/16"},
		{0, "2001:db8::1", "invalid Prefix"},
	} {
		g := fault.Groups{Bits: c.bits}
		if got := g.Of(netip.MustParseAddr(c.addr)).String(); got != c.want {
			t.Errorf("group of %s by %d bits is %s, want %s", c.addr, c.bits, got, c.want)
		}
	}
	if got := (fault.Groups{}).Of(netip.Addr{}); got.IsValid() {
		t.Errorf("no address is in %s", got)
	}
	if got := (fault.Groups{Bits: -1}).Of(netip.MustParseAddr("192.0.2.1")); got.IsValid() {
		t.Errorf("-1 bits make %s", got)
	}
}

func TestGroupBans(t *testing.T) {
	for _, c := range []struct {
		name   string
		bans   []time.Duration
		halved time.Duration // until when; 0: not at all
	}{
		{"three", []time.Duration{0, 0, 0}, 0},
		{"four at once", []time.Duration{0, 0, 0, 0}, day},
		{"four within a day", []time.Duration{0, 1, 2, day - 1}, 2*day - 1},
		{"the first too long ago", []time.Duration{0, 1, 2, day}, 0},
		{"five", []time.Duration{0, 0, 0, 0, day / 2}, day + day/2},
		{"eight over three days", []time.Duration{0, 0, day, day, 2 * day, 2 * day, 3 * day, 3 * day}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var g fault.GroupRecord
			var last time.Time
			for _, after := range c.bans {
				last = start.Add(after)
				g.Ban(last)
			}
			if c.halved == 0 {
				if g.Halved(last) {
					t.Errorf("halved until %v", g.HalvedUntil)
				}
				return
			}
			end := start.Add(c.halved)
			if !g.Halved(end.Add(-1)) || g.Halved(end) {
				t.Errorf("halved until %v, want %v", g.HalvedUntil, end)
			}
			if len(g.Bans) > fault.GroupBans {
				t.Errorf("%d bans are kept", len(g.Bans))
			}
		})
	}
	ahead := fault.GroupRecord{HalvedUntil: start.Add(2 * day)}
	if ahead.Halved(start) {
		t.Error("halved by a clock that was set back")
	}
}

func TestQuota(t *testing.T) {
	halved := fault.GroupRecord{HalvedUntil: start.Add(time.Hour)}
	for _, c := range []struct {
		group fault.GroupRecord
		n     int
		few   bool
		want  int
	}{
		{fault.GroupRecord{}, 4, false, 4},
		{fault.GroupRecord{}, 4, true, 8},
		{halved, 4, false, 2},
		{halved, 4, true, 4},
		{halved, 1, false, 1},
	} {
		if got := c.group.Quota(c.n, start, c.few); got != c.want {
			t.Errorf("quota %d, few %v, halved %v is %d, want %d", c.n, c.few, c.group.Halved(start), got, c.want)
		}
	}
}

func TestBudget(t *testing.T) {
	type charge struct {
		after             time.Duration
		worthless, failed int
	}
	halved := fault.GroupRecord{HalvedUntil: start.Add(day)}
	for _, c := range []struct {
		name    string
		group   fault.GroupRecord
		charges []charge
		few     bool
		at      time.Duration
		over    bool
	}{
		{"nothing", fault.GroupRecord{}, nil, false, 0, false},
		{"all of the trailers", fault.GroupRecord{}, []charge{{0, 20_000, 0}}, false, 0, false},
		{"one trailer more", fault.GroupRecord{}, []charge{{0, 20_000, 0}, {time.Minute, 1, 0}}, false, time.Minute, true},
		{"all of the checks", fault.GroupRecord{}, []charge{{0, 0, 2_000}}, false, 0, false},
		{"one check more", fault.GroupRecord{}, []charge{{0, 0, 2_001}}, false, 0, true},
		{"the hour isn't over", fault.GroupRecord{}, []charge{{0, 20_001, 0}}, false, time.Hour - 1, true},
		{"the hour is over", fault.GroupRecord{}, []charge{{0, 20_001, 0}}, false, time.Hour, false},
		{"a new hour counts anew", fault.GroupRecord{}, []charge{{0, 15_000, 0}, {time.Hour, 15_000, 0}}, false, time.Hour, false},
		{"few groups", fault.GroupRecord{}, []charge{{0, 40_000, 4_000}}, true, 0, false},
		{"few groups, one more", fault.GroupRecord{}, []charge{{0, 40_001, 0}}, true, 0, true},
		{"halved", halved, []charge{{0, 10_001, 0}}, false, 0, true},
		{"halved, but few groups", halved, []charge{{0, 20_000, 2_000}}, true, 0, false},
		{"an hour that hasn't come yet", fault.GroupRecord{Hour: start.Add(day), WorthlessCount: 1e6}, nil, false, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, ch := range c.charges {
				c.group.Worthless(ch.worthless, start.Add(ch.after))
				c.group.FailedWork(ch.failed, start.Add(ch.after))
			}
			if got := c.group.OverBudget(start.Add(c.at), c.few); got != c.over {
				t.Errorf("over budget is %v, want %v", got, c.over)
			}
		})
	}
}
