package chainsync_test

import (
	"fmt"
	"testing"
	"time"

	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/mcm"
	"kigo/node/proof"
)

// TestStarvation has a dozen branches of the first class before the honest one, with
// more groups: none of them is served, or only its beginning, so that they keep places
// and room for what is fetched.
func TestStarvation(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]func(long []mcm.Trailer) synctest.Script{
		"silent":  func([]mcm.Trailer) synctest.Script { return synctest.Silent },
		"foreign": func([]mcm.Trailer) synctest.Script { return synctest.Other(synctest.NewWorld(99, 4000).Chain) },
		"one range": func(long []mcm.Trailer) synctest.Script {
			return synctest.Serves(func(first mcm.BlockNum, count int) []mcm.Trailer {
				if first < long[0].Num()+2000 {
					return nil
				}
				return synctest.Cut(long, first, count)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 50, 3000)
			l.hurry()
			honest := l.net.Peers(t, l.w.Chain, 2)
			var branches []chainsync.Branch
			for i := range 12 {
				long := l.w.Fork(l.w.Chain, l.w.Base.Num+mcm.BlockNum(300+10*i), 3300)
				l.w.SetNow(&long[len(long)-1])
				branches = append(branches, synctest.Branch(l.net.Peers(t, long, 3, script(long))...))
			}
			branches = append(branches, synctest.Branch(honest...))
			out := l.run(ranked(branches...)...)
			l.wantTip(l.w.Chain)
			for i, r := range out.Resolved {
				if want := i == 12; (r.End == chainsync.Chosen) != want {
					t.Errorf("branch %d: %+v", i, r)
				}
			}
			l.unconvicted(honest)
		})
	}
}

// TestUnresolvedGoesOnBehind has a branch of the first class that never comes to an end:
// the choice is made without it when its time is up, and it goes on from where it was.
func TestUnresolvedGoesOnBehind(t *testing.T) {
	t.Parallel()
	l := newLab(t, 51, 3000)
	l.o.Limits.Resolve = 2 * time.Second
	long := l.w.Fork(l.w.Chain, l.w.Base.Num+100, 4000)
	gate := synctest.NewGate()
	defer gate.Open()
	slow := l.net.Peers(t, long, 3, synctest.First(1, synctest.Honest, synctest.Held(gate.Through(), synctest.Truth)))
	honest := l.net.Peers(t, l.w.Chain, 2)
	l.w.SetNow(&long[len(long)-1])
	s := l.syncer()
	out := l.runWith(s, synctest.Branches(append(slow, honest...)...)...)
	l.wantTip(l.w.Chain)
	wantEnds(t, out, chainsync.Unresolved, chainsync.Chosen)
	if len(out.Behind) != 1 || len(out.Faults) > 0 {
		t.Fatalf("behind: %d, faults %v", len(out.Behind), out.Faults)
	}
	gate.Open()
	had := asked(slow...)
	out = l.runWith(s, out.Behind...)
	wantEnds(t, out, chainsync.WantsScan) // it replaces 2,900 blocks
	l.runWith(s, synctest.Branches(append(slow, honest...)...)...)
	l.wantTip(long)
	if n := asked(slow...) - had; n > 4 {
		t.Errorf("%d ranges were asked for to go on", n)
	}
	l.noStagings()
}

// TestFloor refuses a branch that lacks the floor, however heavy it is, and gives up an
// own chain that lacks it.
func TestFloor(t *testing.T) {
	l := newLab(t, 52, 1500)
	at := 1000
	floor := l.w.Chain[at]
	l.o.Floor = &proof.Anchor{
		Num: floor.Num(), Hash: *floor.Hash(), Time: floor.SolveTime(), Fixed: true,
		Weight: l.w.Weight(l.w.Chain[:at+1]),
	}
	fork := l.w.Fork(l.w.Chain, l.w.Base.Num+500, 1500)
	l.w.SetNow(&fork[len(fork)-1])
	liars := l.net.Peers(t, fork, 5)
	honest := l.net.Peers(t, l.w.Chain, 3)
	short := l.net.Peer(t, "127.70.1.1", synctest.Upto(l.w.Chain, floor.Num()-1))

	out := l.run(ranked(synctest.Branch(liars...), synctest.Branch(short), synctest.Branch(honest...))...)
	l.wantTip(l.w.Chain)
	wantEnds(t, out, chainsync.Refused, chainsync.Refused, chainsync.Chosen)
	wantAlarms(t, out, chainsync.FloorAlarm)
	l.noStagings()

	// The deceived node.
	m := newLab(t, 52, 1500)
	m.own(fork)
	m.w.SetNow(&fork[len(fork)-1])
	m.o.Floor = l.o.Floor
	m.net = l.net
	out = m.run(synctest.Branches(append(honest, liars...)...)...)
	m.wantTip(l.w.Chain)
	if out.Depth != 0 {
		t.Errorf("depth %d", out.Depth)
	}

	// It isn't led further along the wrong chain, by one block or by many.
	for _, n := range []int{1, 300} {
		further := l.w.Grow(fork, n)
		d := newLab(t, 52, 1500)
		d.own(fork)
		d.w.SetNow(&further[len(further)-1])
		d.o.Floor = l.o.Floor
		d.net = l.net
		guide := l.net.Peer(t, fmt.Sprintf("127.71.%d.1", n%250), further)
		out = d.run(synctest.Branches(guide)...)
		wantEnds(t, out, chainsync.Refused)
		d.wantTip(fork)
		d.noStagings()
	}

	// A floor that contradicts itself is nobody's fault.
	wrong := newLab(t, 52, 1500)
	f := *l.o.Floor
	f.Weight[0]++
	wrong.o.Floor = &f
	wrong.net = l.net
	out = wrong.run(synctest.Branches(honest...)...)
	wrong.wantTip(l.w.Chain)
	wantAlarms(t, out, chainsync.FloorAlarm)
	if len(out.Faults) > 0 {
		t.Errorf("faults: %v", out.Faults)
	}
}

// TestOwnChainMoves has the own chain changed by somebody else while a better branch is
// about to be switched to.
func TestOwnChainMoves(t *testing.T) {
	for _, c := range []struct {
		name string
		far  bool // the branch has to be fetched
		move func(l *lab, at mcm.BlockNum) (own []mcm.Trailer, wins bool)
	}{
		{"along it", false, func(l *lab, at mcm.BlockNum) ([]mcm.Trailer, bool) {
			l.must(l.store.Extend(l.w.Chain[at+1-l.w.Base.Num:][:5]))
			return nil, false
		}},
		{"along it, fetched", true, func(l *lab, at mcm.BlockNum) ([]mcm.Trailer, bool) {
			l.must(l.store.Extend(l.w.Chain[at+1-l.w.Base.Num:][:5]))
			return nil, false
		}},
		{"to another that is lighter", true, func(l *lab, at mcm.BlockNum) ([]mcm.Trailer, bool) {
			fork := l.w.Fork(l.w.Chain, at, 7)
			l.must(l.store.Extend(fork[at+1-l.w.Base.Num:]))
			return nil, false
		}},
		{"to another that is heavier", true, func(l *lab, at mcm.BlockNum) ([]mcm.Trailer, bool) {
			fork := l.w.Fork(l.w.Chain, at, 700)
			l.must(l.store.Extend(fork[at+1-l.w.Base.Num:]))
			return fork, true
		}},
		{"away below it", true, func(l *lab, at mcm.BlockNum) ([]mcm.Trailer, bool) {
			fork := l.w.Fork(l.w.Chain, at-50, 53)
			l.must(l.store.Replace(at-49, fork[at-49-l.w.Base.Num:]))
			return fork, true
		}},
		{"all of it", false, func(l *lab, at mcm.BlockNum) ([]mcm.Trailer, bool) {
			l.must(l.store.Extend(l.w.Chain[at+1-l.w.Base.Num:]))
			return nil, false
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, 53, 1000)
			at := l.w.Base.Num + 960
			if c.far {
				at = l.w.Base.Num + 500
			}
			l.own(synctest.Upto(l.w.Chain, at))
			peers := l.net.Peers(t, l.w.Chain, 3)
			want, moved := l.w.Chain, false
			l.o.Hook = func(step string) {
				if step == "sync.proven" && !moved {
					moved = true
					if own, wins := c.move(l, at); wins {
						want = own
					}
				}
			}
			s := l.syncer()
			out := l.runWith(s, synctest.Branches(peers...)...)
			l.wantTip(want)
			for n := 0; len(out.Behind) > 0 && n < 3; n++ {
				out = l.runWith(s, out.Behind...)
				want = l.w.Chain // which goes on from where the own chain is now
			}
			if len(out.Behind) > 0 {
				t.Errorf("%+v", out)
			}
			l.wantTip(want)
			l.noStagings()
		})
	}
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Error(err)
	}
}

// TestManyBranches resolves more branches than there is room for, each fetched whole.
func TestManyBranches(t *testing.T) {
	l := newLab(t, 54, 1200)
	var branches []chainsync.Branch
	best := l.w.Chain
	for i := range 9 {
		chain := l.w.Fork(l.w.Chain, l.w.Base.Num+mcm.BlockNum(20+i), 1200+10*i)
		best = chain
		branches = append(branches, synctest.Branch(l.net.Peer(t, fmt.Sprintf("127.60.%d.1", i+1), chain)))
	}
	l.w.SetNow(&best[len(best)-1])
	out := l.run(ranked(branches...)...)
	l.wantTip(best)
	for _, r := range out.Resolved[:8] {
		if r.End != chainsync.Lighter || !r.Exact {
			t.Errorf("%+v", r)
		}
	}
	l.noStagings()
}
