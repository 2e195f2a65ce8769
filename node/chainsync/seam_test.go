package chainsync_test

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"kigo/node/chain"
	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/mcm"
)

// TestSeamToTakenOver: the lowest trailer that a branch has shown is judged against its
// parent, too, when that is taken over from another branch.  Else a branch that parts
// right below what it has shown could state any difficulty there.
func TestSeamToTakenOver(t *testing.T) {
	l := newLab(t, 90, 600)
	at := l.w.Base.Num + 561 // the first of the 54 that are shown
	bad := l.w.Spoil(l.w.Fork(l.w.Chain, at-1, 54), at, l.w.BadRule)
	l.w.SetNow(&bad[len(bad)-1])
	honest := l.net.Peers(t, l.w.Chain, 5)
	liar := l.net.Peer(t, "127.99.1.1", bad)
	out := l.run(ranked(synctest.Branch(honest...), synctest.Branch(liar))...)
	l.wantTip(l.w.Chain)
	wantEnds(t, out, chainsync.Chosen, chainsync.Invalid)
	l.unconvicted(honest)
}

// TestSeamAbovePin: the first block above the pin is judged against the pin's block,
// though that came by digest.
func TestSeamAbovePin(t *testing.T) {
	w := oldWorld(91, 656_000, 300)
	l := pinnedLab(t, w, mcm.V30Trigger)
	bad := w.Spoil(w.Fork(w.Chain, mcm.V30Trigger, 320), mcm.V30Trigger+1, w.BadRule)
	w.SetNow(&bad[len(bad)-1])
	honest := l.net.Peers(t, w.Chain, 3)
	liar := l.net.Peer(t, "127.99.1.1", bad)
	out := l.run(ranked(synctest.Branch(liar), synctest.Branch(honest...))...)
	l.wantTip(w.Chain)
	wantEnds(t, out, chainsync.Invalid, chainsync.Chosen)
	l.unconvicted(honest)
}

// TestFailedWork: who sends a range without work answers for each check of it, since
// that is what a group has a budget of.
func TestFailedWork(t *testing.T) {
	w := synctest.NewWorld(92, 600)
	tip := w.Tip().Num()
	b := newBench(t, w)
	forged := w.SpoilAll(w.Chain, tip-120, tip-54)
	liar := b.net.Peer(t, "127.66.6.6", forged)
	err := b.download(t, synctest.Branch(liar)).Run(deadline(t))
	inv, charges := chainsync.InvalidOf(err)
	if inv == nil {
		t.Fatalf("%v, want an invalid branch", err)
	}
	failed := 0
	for _, c := range charges {
		failed += c.Failed
	}
	first := synctest.Cut(forged, tip-54-99, 100) // a range of the bench
	if want := synctest.Worked(first[33:]); failed != want {
		t.Errorf("%d failed checks, expected %d", failed, want)
	}
}

// TestNameTaken: what an earlier run has left of one branch is gone on with by another
// that shares the lower part of it, and the first comes again in the same run.  Each has
// its own then.
func TestNameTaken(t *testing.T) {
	w := synctest.NewWorld(93, 700)
	fork := w.Base.Num + 660
	for _, c := range []struct {
		name   string
		a, b   []mcm.Trailer
		better bool // b is
	}{
		{"shared in what is shown", w.Chain, w.Fork(w.Chain, fork, 70), true},
		{"shared further down", w.Fork(w.Chain, fork, 400), synctest.Upto(w.Chain, fork), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &lab{t: t, w: w, dir: t.TempDir(), ledger: newLedger()}
			l.net = synctest.NewNetwork(t, w)
			w.SetNow(&c.a[len(c.a)-1])
			if c.better {
				w.SetNow(&c.b[len(c.b)-1])
			}
			l.open()
			l.hurry()
			l.o.Limits.Places = 1
			g, err := l.store.Stage(c.b[len(c.b)-1].Hash().String())
			l.must(err)
			l.must(g.Append(c.b[100:], netip.Addr{}))
			best := c.a
			if c.better {
				best = c.b
			}
			out := l.run(ranked(synctest.Branch(l.net.Peers(t, c.a, 3)...), synctest.Branch(l.net.Peers(t, c.b, 3)...))...)
			l.wantTip(best)
			for _, r := range out.Resolved {
				if r.End != chainsync.Chosen && r.End != chainsync.Lighter {
					t.Errorf("%+v", r)
				}
			}
		})
	}
}

// TestDamagedStaging: what the disk has lost of a staging costs one Run, not all until a
// restart.
func TestDamagedStaging(t *testing.T) {
	for name, at := range map[string]int64{"at the low end": 150, "further up": 500} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, 94, 900)
			tip := l.w.Tip().Hash().String()
			g, err := l.store.Stage(tip)
			l.must(err)
			for at := 100; at < len(l.w.Chain); at += 100 {
				l.must(g.Append(l.w.Chain[at:min(at+100, len(l.w.Chain))], netip.Addr{}))
			}
			f, err := os.OpenFile(filepath.Join(l.dir, "staging-"+tip+".dat"), os.O_RDWR, 0)
			l.must(err)
			_, err = f.WriteAt([]byte{1, 2, 3, 4}, at*mcm.TrailerLen)
			l.must(errors.Join(err, f.Close()))
			branches := synctest.Branches(l.net.Peers(t, l.w.Chain, 3)...)
			s := l.syncer()
			_, err = s.Run(t.Context(), branches)
			var damage *chain.DamageError
			if !errors.As(err, &damage) {
				t.Fatalf("error is %v, expected a *DamageError", err)
			}
			wantEnds(t, l.runWith(s, branches...), chainsync.Chosen)
			l.wantTip(l.w.Chain)
		})
	}
}
