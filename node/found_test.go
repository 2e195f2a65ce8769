package node

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"kigo/node/chainsync/synctest"
	"kigo/node/mcm"
	"kigo/node/wire"
)

// Acceptance test 13: the next block of the own chain costs one rule test and one
// check of work, whoever else announces it, and known tips nothing.
func TestFoundNextBlock(t *testing.T) {
	w := synctest.NewWorld(1, 120)
	next := w.Grow(w.Chain, 1)
	b := newBench(t, w, w.Chain)
	b.at(&next[len(next)-1])
	for i := range 20 {
		b.found(host(i), next)
	}
	b.tipIs(next, "next block")
	if n := testutil.ToFloat64(b.o.Metrics.checks.WithLabelValues("rules")); n != 1 {
		t.Errorf("%g rule tests, want 1", n)
	}
	if n := w.Work.Checked.Load(); n != 1 {
		t.Errorf("%d checks of work, want 1", n)
	}
	for range 1000 {
		b.found(host(3), w.Chain)
		b.found(host(4), next)
	}
	if n := w.Work.Checked.Load(); n != 1 {
		t.Errorf("%d checks of work after a flood of known tips, want 1", n)
	}
	if s := b.Status(); s.Tip.Groups != 20 || s.Tip.Height != next[len(next)-1].Num() {
		t.Errorf("tip %+v, want block %v supported by 20 groups", s.Tip, next[len(next)-1].Num())
	}
	b.blameless("next block")
}

func TestFoundThreeAhead(t *testing.T) {
	w := synctest.NewWorld(2, 100)
	ahead := w.Grow(w.Chain, 3)
	b := newBench(t, w, w.Chain)
	b.at(&ahead[len(ahead)-1])
	b.found(host(1), ahead)
	b.tipIs(ahead, "three ahead")
	if n := w.Work.Checked.Load(); n > 3 {
		t.Errorf("%d checks of work, want 3 at most", n)
	}
}

// A fork of six, heavier and lighter, and what comes of the blocks that it replaces.
func TestFoundFork(t *testing.T) {
	w := synctest.NewWorld(3, 100)
	own := w.Chain
	fork := own[len(own)-7].Num()
	lighter, heavier := w.Fork(own, fork, 5), w.Fork(own, fork, 8)
	b := newBench(t, w, own)
	b.at(&heavier[len(heavier)-1])
	b.found(host(1), lighter)
	b.tipIs(own, "a lighter fork")
	if s := b.Status(); len(s.Sides) != 1 || s.Sides[0].Fork != fork+1 || s.Sides[0].Weight == nil || *s.Sides[0].Weight != w.Weight(lighter) {
		t.Errorf("sides %+v, want one from block %v on with weight %v", s.Sides, fork+1, w.Weight(lighter))
	}
	b.found(host(2), heavier)
	b.tipIs(heavier, "a heavier fork")
	if s := b.Status(); s.Reorgs != 1 || s.LastDepth != 6 {
		t.Errorf("%d reorganisations, the last of %d blocks; want 1 of 6", s.Reorgs, s.LastDepth)
	}
	// Back again: the blocks that were replaced are known.
	before := w.Work.Checked.Load()
	back := w.Grow(own, 4)
	b.at(&back[len(back)-1])
	b.found(host(1), back)
	b.tipIs(back, "back again")
	if n := w.Work.Checked.Load() - before; n != 4 {
		t.Errorf("%d checks of work for four new blocks on known ones", n)
	}
	b.blameless("forks")
}

// The own last 54 trailers under a greater weight: a false statement, charged once
// others confirm the right one, and nothing moves.
func TestFoundFalseWeight(t *testing.T) {
	w := synctest.NewWorld(4, 100)
	b := newBench(t, w, w.Chain)
	lie := func(c *wire.State) { c.Weight[3] = 1 << 60 }
	for i := range 3 {
		b.found(host(i), w.Chain)
	}
	for range 50 {
		b.found(host(9), w.Chain, lie)
	}
	b.tipIs(w.Chain, "a false weight")
	b.pass(2 * b.o.Times.Doubt)
	b.reviewed()
	if o, _ := b.points(host(9)); o < 49 || o > 50 {
		t.Errorf("the liar has %g objective points, want 50, once", o)
	}
	if w.Work.Checked.Load() != 0 {
		t.Errorf("%d checks of work for known trailers", w.Work.Checked.Load())
	}
	// Three who agree against one are no liars: our weight may be wrong.
	b = newBench(t, w, w.Chain)
	for i := range 3 {
		b.found(host(i), w.Chain, lie)
	}
	b.found(host(5), w.Chain)
	b.blameless("more groups contradict than confirm")
	if !b.raised(weightAlarm) {
		t.Error("no alarm when more groups contradict the own weight than confirm it")
	}
	b.pass(b.o.Times.Stale + time.Second)
	b.reviewed()
	if b.raised(weightAlarm) {
		t.Error("the alarm stays")
	}
}

func TestFoundMalformed(t *testing.T) {
	w := synctest.NewWorld(5, 100)
	next := w.Grow(w.Chain, 1)
	b := newBench(t, w, w.Chain)
	b.at(&next[len(next)-1])
	claim := b.claimOf(next)
	other := claim
	other.Hash[0]++
	prev := claim
	prev.Prev[0]++
	broken := last(next)
	broken[20].PrevHash()[0]++
	for i, m := range []struct {
		name  string
		claim wire.State
		ts    []mcm.Trailer
	}{
		{"53 trailers", claim, last(next)[1:]},
		{"no trailers", claim, nil},
		{"another tip", other, last(next)},
		{"another parent", prev, last(next)},
		{"a broken link", claim, broken},
		{"ends one lower", claim, last(w.Chain)},
	} {
		b.send(host(i), m.claim, m.ts)
		if o, soft := b.points(host(i)); o != 0 || soft != 10 {
			t.Errorf("%s: %g objective and %g soft points, want 10 soft", m.name, o, soft)
		}
	}
	server{b.Node}.Found(host(30), &wire.Packet{State: claim, Data: make([]byte, 161)})
	if _, soft := b.points(host(30)); soft != 10 {
		t.Errorf("161 bytes: %g soft points, want 10", soft)
	}
	b.tipIs(w.Chain, "malformed")
	if w.Work.Checked.Load() != 0 {
		t.Error("work was checked")
	}
}

// A trailer without work, or against a rule, convicts who sends it, and is never
// checked again.
func TestFoundInvalid(t *testing.T) {
	for _, kind := range []string{"work", "rule"} {
		w := synctest.NewWorld(6, 100)
		next := w.Grow(w.Chain, 3)
		b := newBench(t, w, w.Chain)
		b.at(&next[len(next)-1])
		change := synctest.BadWork
		if kind == "rule" {
			change = w.BadRule
		}
		bad := w.Spoil(next, next[len(next)-2].Num(), change)
		for i := range 5 {
			b.found(host(i), w.Chain) // these do well
		}
		b.found(host(9), bad)
		checked := w.Work.Checked.Load()
		for range 10 {
			b.found(host(9), bad)
		}
		b.tipIs(w.Chain, kind)
		if n := w.Work.Checked.Load(); n > 3 || n != checked {
			t.Errorf("%s: %d checks of work, %d of them by repeating the message", kind, n, n-checked)
		}
		b.pass(2 * b.o.Times.Doubt)
		b.reviewed()
		if o, _ := b.points(host(9)); o < 99 {
			t.Errorf("%s: %g objective points, want 100 or more", kind, o)
		}
		// A banned peer isn't listened to.
		b.at(&next[len(next)-1])
		b.pass(3 * time.Minute)
		b.found(host(9), next)
		b.tipIs(w.Chain, kind+", after the ban")
		b.found(host(1), next)
		b.tipIs(next, kind+", an honest one")
	}
}

// When most fall by one trailer nobody is charged, and the trailer stays refused.
func TestRuleDisagreement(t *testing.T) {
	w := synctest.NewWorld(7, 100)
	next := w.Grow(w.Chain, 3)
	b := newBench(t, w, w.Chain)
	b.at(&next[len(next)-1])
	bad := w.Spoil(next, next[len(next)-2].Num(), w.BadRule)
	for i := range 4 {
		b.found(host(i), bad)
	}
	b.pass(weightDoubts * b.o.Times.Doubt)
	b.blameless("all fall by one trailer")
	if !b.raised(rulesAlarm) {
		t.Error("no alarm")
	}
	b.tipIs(w.Chain, "rules in doubt")
	b.pass(b.o.Times.Stale + time.Second)
	b.reviewed()
	if b.raised(rulesAlarm) {
		t.Error("the alarm stays")
	}
}

// The own chain's sums are the store's.
func TestOwnSums(t *testing.T) {
	w := synctest.NewWorld(8, 2300)
	b := newBench(t, w, w.Chain[:2200])
	next := w.Chain[:2290]
	b.at(&next[len(next)-1])
	b.found(host(1), w.Chain[:2240])
	b.found(host(1), next)
	b.tipIs(next, "grown")
	for _, n := range []int{0, 1, 200, 241, 242, 243, 300, 2100, 2199, 2200, 2201, 2289} {
		num := next[n].Num()
		got, ok := b.own.at(num)
		want, _ := b.store.At(num)
		if !ok || got != want {
			t.Errorf("block %v: %+v %v, the store has %+v", num, got, ok, want)
		}
	}
	if _, ok := b.own.at(next[2289].Num() + 1); ok {
		t.Error("sums above the tip")
	}
}
