package chainsync_test

import (
	"path/filepath"
	"testing"
	"time"

	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/memory"
)

// openMemory opens the memory of a lab.
func openMemory(l *lab) *memory.DB {
	l.t.Helper()
	db, err := memory.Open(filepath.Join(l.dir, "memory.db"), memory.Identity{}, memory.Options{})
	if err != nil {
		l.t.Fatal(err)
	}
	return db
}

// TestUnavailableBranches is acceptance test 10: all sources fail once and return
// later; the branch waits and succeeds, also across a restart.
func TestUnavailableBranches(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		l := newLab(t, 30, 1500)
		l.hurry()
		db := openMemory(l)
		l.o.Memory = db
		l.own(synctest.Upto(l.w.Chain, l.w.Base.Num+100))
		liar := l.net.Peer(t, "127.80.1.1", synctest.Upto(l.w.Chain, l.w.Base.Num+100)) // somebody to talk to
		peers := l.net.Peers(t, l.w.Chain, 3, synctest.Closed)
		branches := func() []chainsync.Branch { return synctest.Branches(append(peers, liar)...) }
		s := l.syncer()
		out := l.runWith(s, branches()...)
		wantEnds(t, out, chainsync.Unavailable, chainsync.Chosen)
		wantAlarms(t, out, chainsync.BehindAlarm)
		if w := s.Waiting(); len(w) != 1 || w[0].Failures != 1 || w[0].Until.Sub(l.w.Now()) != 10*time.Minute {
			t.Fatalf("waiting: %+v", w)
		}
		if len(out.Faults) > 0 && out.Faults["reset"]+out.Faults["refused"] == 0 {
			t.Errorf("faults: %v", out.Faults)
		}

		// They are back; the branch still waits.
		for _, p := range peers {
			p.SetScript(synctest.Honest)
		}
		if restart {
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			db = openMemory(l)
			snap, err := db.Load(l.w.Now())
			if err != nil {
				t.Fatal(err)
			}
			l.o.Memory, l.o.Waiting = db, snap.Waiting
			s = l.syncer()
		}
		had := asked(peers...)
		wantEnds(t, l.runWith(s, branches()...), chainsync.Aside, chainsync.Chosen)
		if n := asked(peers...) - had; n != 0 {
			t.Errorf("%d ranges were asked for while it waits", n)
		}

		// The wait is over, and the chain has grown meanwhile.
		long := l.w.Grow(l.w.Chain, 10)
		l.w.SetNow(&long[len(long)-1])
		for _, p := range peers {
			p.SetChain(long)
		}
		out = l.runWith(s, branches()...)
		l.wantTip(long)
		if !out.Switched || len(s.Waiting()) > 0 {
			t.Errorf("%+v, waiting %v", out, s.Waiting())
		}
		snap, err := db.Load(l.w.Now())
		if err != nil || len(snap.Waiting) > 0 {
			t.Errorf("remembered: %v, %v", snap.Waiting, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		l.noStagings()
	}
}

// TestWaitEnds has a branch that waits tried at once when a new group supports it, and
// when nothing else is left to try.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	l := newLab(t, 31, 1500)
	l.hurry()
	l.own(synctest.Upto(l.w.Chain, l.w.Base.Num+100))
	other := l.net.Peer(t, "127.80.1.1", synctest.Upto(l.w.Chain, l.w.Base.Num+100))
	peers := l.net.Peers(t, l.w.Chain, 2, synctest.Closed)
	s := l.syncer()
	wantEnds(t, l.runWith(s, synctest.Branches(peers[0], other)...), chainsync.Unavailable, chainsync.Chosen)
	wantEnds(t, l.runWith(s, synctest.Branches(peers[0], other)...), chainsync.Aside, chainsync.Chosen)
	wantEnds(t, l.runWith(s, synctest.Branches(peers[0], peers[1], other)...), chainsync.Unavailable, chainsync.Chosen)
	if w := s.Waiting(); len(w) != 1 || w[0].Failures != 1 {
		t.Errorf("waiting: %+v", w)
	}
	// Alone it is tried although it waits, and the wait doubles.
	wantEnds(t, l.runWith(s, synctest.Branches(peers...)...), chainsync.Unavailable)
	if w := s.Waiting(); len(w) != 1 || w[0].Failures != 2 || w[0].Until.Sub(l.w.Now()) != 20*time.Minute {
		t.Errorf("waiting: %+v", w)
	}
	for range 5 {
		l.runWith(s, synctest.Branches(peers...)...)
	}
	if w := s.Waiting(); len(w) != 1 || w[0].Failures != 7 || w[0].Until.Sub(l.w.Now()) != 2*time.Hour {
		t.Errorf("waiting: %+v", w)
	}
	peers[1].SetScript(synctest.Honest)
	wantEnds(t, l.runWith(s, synctest.Branches(peers...)...), chainsync.Chosen)
	l.wantTip(l.w.Chain)
}
