package node

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"

	"kigo/node/chainsync/synctest"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/proof"
	"kigo/node/status"
)

// doubting returns a bench whose engines are wrong in as many cases as count says.
func doubting(t *testing.T, w *synctest.World, own []mcm.Trailer, wrong *int) *bench {
	return newBench(t, w, own, func(o *Options) { o.Scan.Wrong = func() int { return *wrong } })
}

// When an engine was found to compute wrongly all that was proven is checked again, and
// the own chain ends where there is no work.
func TestDistrust(t *testing.T) {
	w := synctest.NewWorld(33, 3000)
	for _, at := range []int{0, 1, 500, 2900} {
		c, bad := w.Chain, at > 0
		if bad {
			for c[at].Kind() != mcm.Standard {
				at++
			}
			c = w.Spoil(c, c[at].Num(), synctest.BadWork)
		}
		wrong := 0
		b := doubting(t, w, c, &wrong)
		id := proof.ID(&c[400])
		b.known.Learn(&c[400], id, nil)
		if err := b.o.Scan.Memory.Save(b.clock(), &memory.Changes{Verified: []mcm.Hash{id}}); err != nil {
			t.Fatal(err)
		}
		before := w.Work.Checked.Load()
		look := func() {
			t.Helper()
			b.distrust(t.Context())
			b.reviewed()
			if err := b.provePending(t.Context()); err != nil {
				t.Fatal(err)
			}
			b.reviewed()
		}
		look()
		if n := w.Work.Checked.Load() - before; n > 0 || !b.known.Valid(id) || b.raised(EngineAlarm) {
			t.Errorf("%d proofs of work checked, memory %v, alarm %v while engines are right", n, b.known.Valid(id), b.raised(EngineAlarm))
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
		if _, _, left := b.store.Pending(); left || !b.raised(EngineAlarm) {
			t.Errorf("work is pending: %v; alarm %v", left, b.raised(EngineAlarm))
		}
		want := c
		if bad {
			want = c[:at]
			if _, is := b.known.Invalid(proof.Key(&c[at-1], &c[at])); !is {
				t.Error("the bad trailer isn't known to be")
			}
		}
		b.tipIs(want, "checked again")
		if n, least := int(w.Work.Checked.Load()-before), synctest.Worked(want[1:]); n < least {
			t.Errorf("%d proofs of work checked, expected at least %d", n, least)
		}
		for _, e := range kindsOf[status.TipChange](b) {
			if cut := len(c) - len(want); e.Grown != 0 || e.Depth != cut {
				t.Errorf("tip changed by %d blocks, depth %d; expected 0 and %d", e.Grown, e.Depth, cut)
			}
		}
		n := w.Work.Checked.Load()
		look()
		if again := w.Work.Checked.Load() - n; again > 0 {
			t.Errorf("%d proofs of work checked again", again)
		}
	}
}

// kindsOf returns what the node has told of one kind.
func kindsOf[T any](b *bench) (all []T) {
	events, _, _ := b.Events().After(0)
	for _, e := range events {
		if v, ok := e.Data.(T); ok {
			all = append(all, v)
		}
	}
	return all
}

// A node isn't ready, and follows no branch that it knew, until all work of its own
// chain is checked again.
func TestDistrustBeginsAnew(t *testing.T) {
	w := synctest.NewWorld(34, 200)
	wrong := 0
	own := w.Chain[:190]
	b := doubting(t, w, own, &wrong)
	side := w.Fork(own, own[180].Num(), 5)
	for i := range 3 {
		b.found(host(i), own)
	}
	b.found(host(4), side)
	b.stateIs(status.Follow, "a quorum")
	if len(b.sides.by) == 0 {
		t.Fatal("no side branch")
	}
	wrong = 2
	ended, end := context.WithCancel(t.Context())
	end()
	b.distrust(ended) // as when the process is asked to end just then
	b.stateIs(status.Bootstrap, "distrust")
	if n := len(b.sides.by) + len(b.voices); n > 0 {
		t.Errorf("%d sides and voices are left", n)
	}
	if from, to, left := b.store.Pending(); !left || from != w.Base.Num+1 || to != own[len(own)-1].Num() {
		t.Errorf("pending %v from %v to %v", left, from, to)
	}
	for i := range 3 {
		b.found(host(i), own)
	}
	b.reviewed()
	if s := b.Status(); s.State == status.Follow || s.Ready {
		t.Errorf("state %s, ready %v, with work to check", s.State, s.Ready)
	}
	// What is replaced meanwhile isn't proven, so it isn't kept aside.
	heavier := w.Fork(own, own[170].Num(), 25)
	b.at(&heavier[len(heavier)-1])
	b.found(host(5), heavier)
	b.tipIs(heavier, "a heavier branch")
	if n := len(b.sides.by); n > 0 {
		t.Errorf("%d trailers are kept aside", n)
	}
	if err := b.provePending(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		b.found(host(i), heavier)
	}
	b.stateIs(status.Follow, "all is checked")
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
	wrong.Store(2)
	r.until("a new beginning", func(status.Status) bool {
		events, _, _ := r.Events().After(0)
		n := 0
		for _, e := range events {
			if c, ok := e.Data.(status.StateChange); ok && c.To == status.Bootstrap {
				n++
			}
		}
		return n >= 2
	})
	r.follows(w.Chain, "a second time")
}
