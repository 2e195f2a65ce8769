package chainsync_test

import (
	"context"
	"errors"
	"net/netip"
	"sync/atomic"
	"testing"

	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/status"
	"kigo/node/wire"
)

// TestBootstrap syncs from nothing: a chain of many ranges, and of all short lengths
// (acceptance test 24).
func TestBootstrap(t *testing.T) {
	for _, n := range []int{4, 52, 53, 54, 300, 3500} {
		l := newLab(t, uint64(n), n)
		peers := l.net.Peers(t, l.w.Chain, 3)
		out := l.run(synctest.Branches(peers...)...)
		l.wantTip(l.w.Chain)
		wantEnds(t, out, chainsync.Chosen)
		if !out.Switched || !out.Quorum || out.Depth != 0 || len(out.Alarms) > 0 || len(out.Faults) > 0 {
			t.Errorf("%d blocks: %v, quorum %v, depth %d, alarms %v, faults %v", n, out.Switched, out.Quorum, out.Depth, out.Alarms, out.Faults)
		}
		if distinct, most := l.w.Work.Counts(); most > 1 || distinct > synctest.Worked(l.w.Chain) {
			t.Errorf("%d blocks: %d distinct trailers checked, one %d times", n, distinct, most)
		}
		l.noStagings()
	}
}

// TestHeavierWins has a lighter branch with more groups beside the heavier one.
func TestHeavierWins(t *testing.T) {
	l := newLab(t, 2, 400)
	fork := l.w.Fork(l.w.Chain, l.w.Base.Num+100, 200)
	honest := l.net.Peers(t, l.w.Chain, 1)
	liars := l.net.Peers(t, fork, 5)
	out := l.run(synctest.Branches(append(liars, honest...)...)...)
	l.wantTip(l.w.Chain)
	wantEnds(t, out, chainsync.Lighter, chainsync.Chosen)
	if out.Quorum {
		t.Error("one peer is a quorum")
	}
	l.noStagings()
}

// TestNothingBetter runs against a node that has the best chain already: it doesn't
// move, byte for byte, and asks for nothing.
func TestNothingBetter(t *testing.T) {
	l := newLab(t, 3, 400)
	l.own(l.w.Chain)
	before := l.bytes()
	lighter := l.w.Fork(l.w.Chain, l.w.Tip().Num()-30, 20)
	far := l.w.Fork(l.w.Chain, l.w.Base.Num+100, 200)
	peers := []*synctest.Peer{
		l.net.Peer(t, "127.1.1.1", l.w.Chain),
		l.net.Peer(t, "127.1.2.1", synctest.Upto(l.w.Chain, l.w.Tip().Num()-3)),
		l.net.Peer(t, "127.1.3.1", lighter),
		l.net.Peer(t, "127.1.4.1", far),
	}
	out := l.run(ranked(synctest.Branch(peers[0]), synctest.Branch(peers[1]), synctest.Branch(peers[2]), synctest.Branch(peers[3]))...)
	if out.Switched {
		t.Errorf("%+v", out)
	}
	for i, r := range out.Resolved[1:] {
		if r.End != chainsync.Lighter {
			t.Errorf("branch %d: %+v", i+1, r)
		}
	}
	l.wantTip(l.w.Chain)
	for name, b := range l.bytes() {
		if b != before[name] {
			t.Errorf("%s has changed", name)
		}
	}
	if n := asked(peers[:3]...); n > 0 {
		t.Errorf("%d ranges were asked for", n)
	}
	l.noStagings()
}

// TestReorganisation replaces own blocks: few of them from what is known, many by
// ranges, so many that another scan has to come first.
func TestReorganisation(t *testing.T) {
	for _, c := range []struct {
		depth int
		scans int
		deep  bool
	}{{1, 1, false}, {6, 1, false}, {54, 1, false}, {60, 1, true}, {2100, 2, true}} {
		l := newLab(t, uint64(c.depth), 2200)
		l.own(l.w.Chain)
		at := l.w.Tip().Num() - mcm.BlockNum(c.depth)
		fork := l.w.Fork(l.w.Chain, at, c.depth+1)
		l.w.SetNow(&fork[len(fork)-1])
		peers := l.net.Peers(t, fork, 3)
		s := l.syncer()
		out := l.runWith(s, synctest.Branches(peers...)...)
		if c.scans == 2 {
			wantEnds(t, out, chainsync.WantsScan)
			l.wantTip(l.w.Chain)
			if !out.NeedsScan || out.Switched || len(out.Behind) > 0 {
				t.Errorf("%d deep: %+v", c.depth, out)
			}
			had := asked(peers...)
			out = l.runWith(s, synctest.Branches(peers...)...)
			if n := asked(peers...) - had; n > 1 {
				t.Errorf("%d deep: %d ranges were fetched again", c.depth, n)
			}
		}
		l.wantTip(fork)
		if out.Depth != c.depth || !out.Switched || out.NeedsScan {
			t.Errorf("%d deep: %+v", c.depth, out)
		}
		if c.deep {
			wantAlarms(t, out, chainsync.DeepAlarm)
		} else {
			wantAlarms(t, out)
		}
		l.noStagings()
	}
}

// TestSwitchIsTold: who listens hears of a switch before the own chain is another one.
func TestSwitchIsTold(t *testing.T) {
	l := newLab(t, 74, 300)
	var told atomic.Bool
	l.o.Progress = func(p status.SyncProgress) {
		if p.Stage == "switching" {
			told.Store(true)
		}
	}
	l.o.Hook = func(step string) {
		if step == "sync.switching" && !told.Load() {
			t.Error("it switches, and nobody was told")
		}
	}
	l.run(synctest.Branches(l.net.Peers(t, l.w.Chain, 3)...)...)
	l.wantTip(l.w.Chain)
}

// TestOneBadSource is acceptance tests 3 and 6: one source puts an invalid trailer into
// what it serves, the other serves what is genuine and states nearly twice its weight.
func TestOneBadSource(t *testing.T) {
	for name, change := range map[string]func(l *lab) func(*mcm.Trailer){
		"work": func(*lab) func(*mcm.Trailer) { return synctest.BadWork },
		"rule": func(l *lab) func(*mcm.Trailer) { return l.w.BadRule },
		"hash": func(*lab) func(*mcm.Trailer) { return func(m *mcm.Trailer) { m.SetMinFee(m.MinFee() + 1) } },
	} {
		l := newLab(t, 70, 900)
		l.hurry()
		spoilt := l.w.Spoil(l.w.Chain, l.w.Base.Num+500, change(l))
		if name == "hash" {
			spoilt = append([]mcm.Trailer{}, l.w.Chain...)
			spoilt[500].SetMinFee(spoilt[500].MinFee() + 1)
		}
		bad := l.net.Peer(t, "127.1.1.1", l.w.Chain, synctest.Other(spoilt))
		charged := synctest.NewGate()
		l.o.Accounts = watched{l.ledger, func(a netip.Addr) {
			if a == bad.Addr {
				charged.Open()
			}
		}}
		good := l.net.Peer(t, "127.1.2.1", l.w.Chain, synctest.Held(charged.Through(), synctest.Truth))
		good.SetState(func(s *wire.State) { s.Weight, _ = s.Weight.Add(s.Weight) })
		third := l.net.Peer(t, "127.1.3.1", l.w.Chain, synctest.Silent)
		b := synctest.Branches(bad, good, third)
		b[0].Supporters[0].Preferred = true
		out := l.run(b...)
		l.wantTip(l.w.Chain)
		wantAlarms(t, out)
		if r := out.Resolved[0]; !r.Exact || r.Weight != l.w.Weight(l.w.Chain) || r.End != chainsync.Chosen {
			t.Errorf("%s: %+v", name, r)
		}
		if got := l.ledger.objective(good); got != "false_weight" {
			t.Errorf("%s: the good source: %q", name, got)
		}
		// Without its work a trailer that isn't the branch's is a range that doesn't link.
		if got := l.ledger.faults[bad.Addr]; len(got) != 1 || name != "work" && got[0] != fault.InvalidTrailer {
			t.Errorf("%s: the bad source: %v", name, got)
		}
		l.noStagings()
	}
}

// TestWeightless has a long branch of pseudoblocks and one of no difficulty, each higher
// than the honest one (acceptance test 4).
func TestWeightless(t *testing.T) {
	l := newLab(t, 71, 1500)
	l.own(synctest.Upto(l.w.Chain, l.w.Base.Num+1000))
	pseudo := l.w.Mix(l.w.Chain, l.w.Base.Num+990, 900, func(i int) bool { return i > 8 })
	easy := synctest.Upto(l.w.Chain, l.w.Base.Num+990)
	for range 700 {
		easy = append(easy, l.w.Miner.Next(&easy[len(easy)-1], 200))
	}
	l.w.SetNow(&pseudo[len(pseudo)-1])
	liars := []*synctest.Peer{l.net.Peer(t, "127.1.1.1", pseudo), l.net.Peer(t, "127.1.2.1", easy)}
	honest := l.net.Peers(t, l.w.Chain, 3)
	out := l.run(ranked(synctest.Branch(liars[0]), synctest.Branch(liars[1]), synctest.Branch(honest...))...)
	l.wantTip(l.w.Chain)
	wantEnds(t, out, chainsync.Lighter, chainsync.Lighter, chainsync.Chosen)
	if n := asked(liars...); n > 8 {
		t.Errorf("%d ranges", n)
	}
	l.noStagings()
}

// TestOneRunAtATime calls Run twice, and once more with a context that has ended.
func TestOneRunAtATime(t *testing.T) {
	t.Parallel()
	l := newLab(t, 72, 600)
	gate := synctest.NewGate()
	peers := l.net.Peers(t, l.w.Chain, 3, synctest.Held(gate.Through(), synctest.Truth))
	s := l.syncer()
	ended := make(chan *chainsync.Outcome, 2)
	for range 2 {
		go func() { ended <- l.runWith(s, synctest.Branches(peers...)...) }()
	}
	<-peers[0].Asked()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Run(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	gate.Open()
	a, b := <-ended, <-ended
	if a.Switched == b.Switched {
		t.Errorf("switched: %v and %v", a.Switched, b.Switched)
	}
	l.wantTip(l.w.Chain)
	if out := l.runWith(s); out.Switched || len(out.Resolved) > 0 {
		t.Errorf("no branches: %+v", out)
	}
}

// TestOurOwnFailures has engines and the disk fail: that is an error, nobody is charged,
// and the own chain stays.
func TestOurOwnFailures(t *testing.T) {
	l := newLab(t, 73, 1500)
	old := synctest.Upto(l.w.Chain, l.w.Base.Num+100)
	l.own(old)
	broken := errors.New("broken")
	l.w.Work.Fail = func() error { return broken }
	peers := l.net.Peers(t, l.w.Chain, 3)
	out, err := l.syncer().Run(t.Context(), synctest.Branches(peers...))
	if !errors.Is(err, broken) || out.Switched || len(out.Faults) > 0 {
		t.Errorf("%v, %+v", err, out)
	}
	l.wantTip(old)
	if out.Resolved[0].End != chainsync.Unresolved || len(out.Behind) != 1 {
		t.Errorf("%+v", out.Resolved)
	}
	l.w.Work.Fail = nil
	l.run(synctest.Branches(peers...)...)
	l.wantTip(l.w.Chain)
	if _, err := chainsync.New(chainsync.Options{}); err == nil {
		t.Error("options without anything will do")
	}
}
