package chaos

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"kigo/node/branch"
	"kigo/node/fault"
	"kigo/node/proof"
	"kigo/node/scan"
)

// honestKinds are those that nobody may charge, the one that turns coat among
// them.
func honestKinds() (names []string) {
	for _, k := range Kinds() {
		if k.Family == Honest {
			names = append(names, k.Name)
		}
	}
	return names
}

// All kinds of honest peers together are proven, and but for those on another tip
// support one branch.
func TestHonestPeers(t *testing.T) {
	as := crowd(honestKinds()...)
	r := scanned(t, as, 3)
	wantHonest(t, world(), r, as)
	best := chosen(t, r)
	for _, a := range as {
		p := find(r, a.Addr)
		if p.Verdict != scan.Proven {
			t.Errorf("%s is %s; %s", a.Kind, describe(p), p.Detail)
		}
		other := a.Kind == "tie" || a.Kind == "side-branch"
		if supports := slices.Contains(best.Peers, a.Addr); supports == other {
			t.Errorf("%s supports the chosen branch: %v, want %v", a.Kind, supports, !other)
		}
	}
}

// A clock that is wrong gets nobody any points, and the chain is found again when
// it is right.
func TestWrongClock(t *testing.T) {
	as := crowd(honestKinds()...)
	f := newFleet(t, as)
	for name, off := range map[string]time.Duration{
		"ten seconds behind": -tipAge*time.Second - 10*time.Second, // of the tip, that is
		"a day behind":       -24 * time.Hour,
		"a day ahead":        24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			o := options(f, as)
			o.Quorum = branch.Quorum{Peers: 3, Groups: 3}
			o.Now = func() time.Time { return worldTime.Add(off) }
			wrong := run(t, o)
			for i := range wrong.Peers {
				p := &wrong.Peers[i]
				for _, k := range p.Faults {
					if k.Class() == fault.Objective {
						t.Errorf("%v: %s was charged", p.Addr, k)
					}
				}
				if p.Points.Objective > 0 {
					t.Errorf("%v has %v points", p.Addr, p.Points.Objective)
				}
			}
			if !slices.ContainsFunc(wrong.Alarms, func(a scan.Alarm) bool { return a.Kind == scan.ClockAlarm }) {
				t.Errorf("alarms %v, want one of the clock", wrong.Alarms)
			}
			o.Now = frozen
			wantHonest(t, world(), run(t, o), as)
		})
	}
}

// A peer that was honest for long is judged by what it serves now.
func TestTurncoatIsSeen(t *testing.T) {
	n := newNode(t, crowd(turncoat, plain, plain, plain))
	n.fleet.mu.Lock()
	n.fleet.order[0].turned = lookUp("last-forged")
	n.fleet.mu.Unlock()
	for range honestScans {
		wantVerdict(t, n.scan(t), address(0), scan.Proven, "")
	}
	r := n.scan(t)
	wantVerdict(t, r, address(0), scan.Convicted, fault.InvalidTrailer)
	wantHonest(t, world(), r, n.fleet.Peers()[1:])
	wantVerdict(t, n.scan(t), address(0), scan.Skipped, "")
}

// Tips that end in ff or 00 are as good as any: a network that stands there is
// found.
func TestTipsAtTheEdge(t *testing.T) {
	for _, kind := range []string{"tip-ff", "tip-ff-stuck", "tip-00", "half-pseudo"} {
		t.Run(kind, func(t *testing.T) {
			as := crowd(times(3, kind)...)
			r := scanned(t, as, 3)
			if b := chosen(t, r); !world().OnChain(b.Tip) || r.State != scan.Quorum {
				t.Errorf("chose %v, state %s", b.Tip, r.State)
			}
			for i := range r.Peers {
				if p := &r.Peers[i]; p.Points != (scan.Points{}) {
					t.Errorf("%v has points %+v: %v", p.Addr, p.Points, p.Faults)
				}
			}
		})
	}
}

// A young chain, with fewer blocks than a proof has, is found like any other.
func TestShortChains(t *testing.T) {
	for _, blocks := range []int{2, 5, 53, 54, 55} {
		t.Run(fmt.Sprintf("%d blocks", blocks), func(t *testing.T) {
			as := crowd(plain, plain, plain)
			f := newFleet(t, as)
			for _, a := range as {
				f.become(a.Addr, Kind{Name: plain, Family: Honest, hooks: hooks{stand: func(c *call) spot {
					return spot{c.fleet.world.main, blocks - 1}
				}}})
			}
			o := options(f, as)
			tip := &world().main.trailers[blocks-1]
			o.Anchors = []proof.Anchor{world().Base}
			o.Now = func() time.Time { return time.Unix(int64(tip.SolveTime())+1, 0) }
			r := run(t, o)
			if b := chosen(t, r); b.Tip != *tip.Hash() || r.State != scan.Quorum {
				t.Errorf("chose %v, state %s, want %v and a quorum", b.Tip, r.State, tip.Hash())
			}
			for i := range r.Peers {
				if p := &r.Peers[i]; p.Verdict != scan.Proven || len(p.Faults) > 0 {
					t.Errorf("%v: %s; %s", p.Addr, describe(p), p.Detail)
				}
			}
		})
	}
}

// Where most peers fall by one and the same trailer, our own rules are to be
// suspected: an alarm, and nobody is charged.
func TestRuleDisagreement(t *testing.T) {
	for _, kind := range []string{"broken-difficulty", "wrong-neogenesis"} {
		t.Run(kind, func(t *testing.T) {
			as := crowd(slices.Concat(times(6, kind), times(3, plain))...)
			r := scanned(t, as, 3)
			wantHonest(t, world(), r, as)
			if !slices.ContainsFunc(r.Alarms, func(a scan.Alarm) bool { return a.Kind == scan.RulesAlarm }) {
				t.Errorf("alarms %v, want one of the rules", r.Alarms)
			}
			for i := range 6 {
				p := find(r, address(i))
				if p.Verdict == scan.Proven || p.Points.Objective > 0 {
					t.Errorf("%v: %s, %v points", p.Addr, describe(p), p.Points.Objective)
				}
			}
		})
	}
}
