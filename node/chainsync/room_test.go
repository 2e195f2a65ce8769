package chainsync_test

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/mcm"
)

// TestLeftovers has no room for another branch, for an earlier process has left four of
// which nobody shows anything any more.
func TestLeftovers(t *testing.T) {
	l := newLab(t, 80, 900)
	for i := range 4 {
		g, err := l.store.Stage(fmt.Sprintf("a%d", i))
		if err != nil {
			t.Fatal(err)
		}
		gone := l.w.Fork(l.w.Chain, l.w.Base.Num+mcm.BlockNum(10+i), 300)
		if err := g.Append(gone[100:], netip.MustParseAddr("127.9.9.9")); err != nil {
			t.Fatal(err)
		}
	}
	out := l.run(synctest.Branches(l.net.Peers(t, l.w.Chain, 3)...)...)
	l.wantTip(l.w.Chain)
	wantEnds(t, out, chainsync.Chosen)
	left, err := filepath.Glob(filepath.Join(l.dir, "staging-*.dat"))
	if err != nil || len(left) != 3 { // no more were removed than it took
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestNoRoomForContenders has more branches that could win than there is room for, with
// engines that don't keep up, so that none of them is proven when its weight is known.
// The heaviest one turns out to be invalid, and the next one isn't there any more.
func TestNoRoomForContenders(t *testing.T) {
	t.Parallel()
	l := newLab(t, 81, 60)
	base := l.w.Base.Num
	l.o.Limits.Range = 200
	l.o.Limits.Sampled = 64
	l.o.Draw = func(n int) int { return 0 }
	l.slow()
	var chains [][]mcm.Trailer
	var branches []chainsync.Branch
	var peers []*synctest.Peer
	// Fourth in rank, second in weight: it has to make room for others to be looked at.
	for i, n := range []int{2100, 2000, 2020, 2080, 2040, 2060} {
		chain := l.w.Fork(l.w.Chain, base+mcm.BlockNum(20+i), n)
		if i == 0 {
			chain = l.w.Spoil(chain, base+150, synctest.BadWork)
			l.w.SetNow(&chain[len(chain)-1])
		}
		chains = append(chains, chain)
		p := l.net.Peer(t, fmt.Sprintf("127.61.%d.1", i+1), chain)
		peers = append(peers, p)
		branches = append(branches, synctest.Branch(p))
	}
	out := l.run(ranked(branches...)...)
	l.wantTip(chains[3])
	wantEnds(t, out, chainsync.Invalid, chainsync.Lighter, chainsync.Lighter, chainsync.Chosen, chainsync.Lighter, chainsync.Lighter)
	for i, p := range peers {
		if n := asked(p); n > 40 {
			t.Errorf("%d ranges of branch %d", n, i)
		}
	}
	l.noStagings()
}

// slow has engines that do a thousand trailers a second.
func (l *lab) slow() {
	l.w.Work.Hold = func(ctx context.Context, n int) {
		timer := time.NewTimer(time.Duration(n) * time.Millisecond)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// TestSharedInvalidTrailer has two branches that part far above one trailer without
// work, which is found when both could win: both fall by it.
func TestSharedInvalidTrailer(t *testing.T) {
	t.Parallel()
	l := newLab(t, 82, 60)
	base := l.w.Base.Num
	l.o.Limits.Range = 200
	l.o.Limits.Sampled = 64
	l.o.Draw = func(n int) int { return 0 }
	l.slow()
	forged := l.w.Spoil(l.w.Fork(l.w.Chain, base+20, 2000), base+150, synctest.BadWork)
	other := l.w.Fork(forged, base+1500, 700)
	l.w.SetNow(&other[len(other)-1])
	liars := []*synctest.Peer{l.net.Peer(t, "127.61.1.1", forged), l.net.Peer(t, "127.61.2.1", other)}
	honest := l.net.Peers(t, l.w.Chain, 3)
	out := l.run(ranked(synctest.Branch(liars[0]), synctest.Branch(liars[1]), synctest.Branch(honest...))...)
	l.wantTip(synctest.Upto(forged, base+149)) // which is right, and heavier than the honest one
	wantEnds(t, out, chainsync.Invalid, chainsync.Invalid, chainsync.Lighter)
	if out.Quorum || len(out.Alarms) > 0 {
		t.Errorf("%+v", out)
	}
	l.unconvicted(honest)
	l.noStagings()
}

// TestHonestReorganisation has honest peers change branches between their proofs and the
// ranges (acceptance test 7): nobody is charged, and what they had shown is followed
// until they are asked again.
func TestHonestReorganisation(t *testing.T) {
	l := newLab(t, 83, 1500)
	peers := l.net.Peers(t, l.w.Chain, 3)
	b := synctest.Branches(peers...)
	fork := l.w.Fork(l.w.Chain, l.w.Tip().Num()-3, 5)
	l.w.SetNow(&fork[len(fork)-1])
	for _, p := range peers {
		p.SetChain(fork)
	}
	s := l.syncer()
	out := l.runWith(s, b...)
	for n := 0; !out.Switched && n < 3; n++ {
		out = l.runWith(s, synctest.Branches(peers...)...)
	}
	out = l.runWith(s, synctest.Branches(peers...)...)
	l.wantTip(fork)
	if len(l.ledger.faults) > 0 || len(l.ledger.worthless) > 0 {
		t.Errorf("%v, %v, %+v", l.ledger.faults, l.ledger.worthless, out)
	}
	l.noStagings()
}

// TestEarlyTip has a tip ahead of our clock on the honest stem, heavier than the honest
// one: it doesn't stand in for it, and isn't gone on with.
func TestEarlyTip(t *testing.T) {
	l := newLab(t, 84, 300)
	early := l.w.Grow(l.w.Chain, 5)
	honest, hasty := l.net.Peers(t, l.w.Chain, 2), l.net.Peer(t, "127.62.1.1", early)
	out := l.run(ranked(synctest.Branch(hasty), synctest.Branch(honest...))...)
	l.wantTip(l.w.Chain)
	wantEnds(t, out, chainsync.Unresolved, chainsync.Chosen)
	if len(out.Behind) > 0 || len(out.Faults) > 0 {
		t.Errorf("%+v", out)
	}
	l.w.SetNow(&early[len(early)-1])
	l.run(ranked(synctest.Branch(hasty), synctest.Branch(honest...))...)
	l.wantTip(early)
}
