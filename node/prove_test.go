package node

import (
	"slices"
	"sync/atomic"
	"testing"

	"kigo/node/chainsync/synctest"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/proof"
	"kigo/node/status"
)

// When an engine was found to compute wrongly all that was proven is checked again, and
// the own chain ends where there is no work.
func TestDistrust(t *testing.T) {
	w := synctest.NewWorld(33, 1500)
	for _, at := range []int{0, 1, 1200} {
		c, bad := w.Chain, at > 0
		if bad {
			for c[at].Kind() != mcm.Standard {
				at++
			}
			c = w.Spoil(c, c[at].Num(), synctest.BadWork)
		}
		wrong := 0
		b := newBench(t, w, c, func(o *Options) { o.Scan.Wrong = func() int { return wrong } })
		id := proof.ID(&c[500])
		b.known.Learn(&c[500], id, nil)
		if err := b.o.Scan.Memory.Save(b.clock(), &memory.Changes{Verified: []mcm.Hash{id}}); err != nil {
			t.Fatal(err)
		}
		before := w.Work.Checked.Load()
		p := prover{Node: b.Node}
		look := func() {
			t.Helper()
			if err := p.pending(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.reviewed()
		}
		look()
		if n := w.Work.Checked.Load() - before; n > 0 || !b.known.Valid(id) {
			t.Errorf("%d proofs of work checked and memory %v while engines are right", n, b.known.Valid(id))
		}
		wrong = 1
		look()
		s, err := b.o.Scan.Memory.(*record).Load(b.clock())
		if err != nil {
			t.Fatal(err)
		}
		if b.known.Valid(id) || len(s.Verified) > 0 {
			t.Error("what was verified is remembered")
		}
		if _, _, left := b.store.Pending(); left {
			t.Error("work is pending")
		}
		want := c
		if bad {
			want = c[:at]
		}
		b.tipIs(want, "checked again")
		if n, least := int(w.Work.Checked.Load()-before), synctest.Worked(want[1:]); n < least {
			t.Errorf("%d proofs of work checked, expected at least %d", n, least)
		}
		if b.raised(FailureAlarm) != bad {
			t.Errorf("bad at %d: alarm %v", at, b.raised(FailureAlarm))
		}
		if bad {
			if _, is := b.known.Invalid(proof.Key(&c[at-1], &c[at])); !is {
				t.Error("the bad trailer isn't known to be")
			}
		}
		n := w.Work.Checked.Load()
		look()
		if again := w.Work.Checked.Load() - n; again > 0 {
			t.Errorf("%d proofs of work checked again", again)
		}
	}
}

// While the work is checked again the alarm says so.
func TestDistrustAlarm(t *testing.T) {
	w := synctest.NewWorld(34, 200)
	wrong := 0
	b := newBench(t, w, w.Chain, func(o *Options) { o.Scan.Wrong = func() int { return wrong } })
	p := prover{Node: b.Node}
	wrong = 1
	if err := p.distrust(); err != nil {
		t.Fatal(err)
	}
	b.reviewed()
	if from, to, left := b.store.Pending(); !left || from != w.Base.Num+1 || to != w.Tip().Num() || !b.raised(FailureAlarm) {
		t.Errorf("pending %v from %v to %v, alarm %v", left, from, to, b.raised(FailureAlarm))
	}
	// Results of before count for nothing.
	wrong = 2
	if err := p.pending(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.reviewed()
	if _, _, left := b.store.Pending(); left || b.raised(FailureAlarm) || p.distrusted != 2 {
		t.Errorf("pending %v, alarm %v, %d engines", left, b.raised(FailureAlarm), p.distrusted)
	}
}

// A node that was led onto a chain by an engine that passed what has no work finds the
// honest one again.
func TestMisledByEngine(t *testing.T) {
	w := synctest.NewWorld(35, 200)
	at := slices.IndexFunc(w.Chain[100:], func(t mcm.Trailer) bool { return t.Kind() == mcm.Standard }) + 100
	own := w.Grow(w.Spoil(w.Chain, w.Chain[at].Num(), synctest.BadWork), 3)
	r := newRig(t, w, own)
	var wrong atomic.Int32
	r.o.Scan.Wrong = func() int { return int(wrong.Load()) }
	r.at(&own[len(own)-1])
	r.peers(w.Chain, 4)
	r.start()
	r.until("a scan", func(s status.Status) bool { return s.State != status.Bootstrap })
	if tip := r.Status().Tip; tip.Hash != *own[len(own)-1].Hash() {
		t.Fatalf("own tip %v before", tip.Height)
	}
	wrong.Store(1)
	r.follows(w.Chain, "again")
}
