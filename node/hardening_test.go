package node

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/proof"
	"kigo/node/status"
	"kigo/node/tfile"
	"kigo/node/wire"
)

// Thin branches that meet nothing cost next to no work to make.  However many come,
// they are kept nowhere and slow down nothing.
func TestFloodOfThinBranches(t *testing.T) {
	w := synctest.NewWorld(71, 300)
	m := w.Miner
	own := m.Grow(w.Chain, 100, 9)
	b := newBench(t, w, own)
	// Ten peers, each with a long chain of its own at difficulty 0, and with many tips.
	for i := range 10 {
		c := m.Grow([]mcm.Trailer{m.First(w.Base.Num+20, 0, w.Chain[1].SolveTime())}, proof.Segment, 0)
		for len(c) < 400 {
			c = m.Grow(c, 10, 0)
			b.found(host(i), c)
			for range 10 {
				b.found(host(i), append(slices.Clone(c), m.Next(&c[len(c)-1], 100)))
			}
		}
	}
	b.Node.mu.Lock()
	kept := len(b.sides.by)
	b.Node.mu.Unlock()
	if kept > 10*maxThin {
		t.Errorf("%d trailers of thin branches are kept, want %d at most", kept, 10*maxThin)
	}
	began := time.Now()
	b.reviewed()
	b.Status()
	b.weighAll()
	if took := time.Since(began); took > 300*time.Millisecond {
		t.Errorf("a review, a status and weighing all took %v", took)
	}
	b.blameless("thin branches")
	next := w.Grow(own, 1)
	b.at(&next[len(next)-1])
	b.found(host(20), next)
	b.tipIs(next, "an honest block beside the flood")
}

// Tips that hang on old blocks of the own chain and weigh nothing are there for nothing,
// too: they slow down nothing either.
func TestFloodOfOldTips(t *testing.T) {
	w := synctest.NewWorld(72, 3000)
	b := newBench(t, w, w.Chain)
	for i := 60; i < 2900; i++ {
		c := w.Chain[:i:i]
		b.found(host(i%10), append(slices.Clone(last(c)), w.Miner.Pseudo(&c[i-1])))
	}
	began := time.Now()
	b.reviewed()
	b.Status()
	b.weighAll()
	if took := time.Since(began); took > 200*time.Millisecond {
		t.Errorf("a review, a status and weighing all took %v", took)
	}
	b.tipIs(w.Chain, "old tips")
}

// On its way to following a chain the node is in no state that it isn't in.
func TestStatesOfABootstrap(t *testing.T) {
	w := synctest.NewWorld(73, 3000)
	for name, c := range map[string]struct {
		own   []mcm.Trailer
		want  []status.State
		grown []int // blocks, by change of the tip
	}{
		"an empty node": {nil, []status.State{status.Sync, status.Follow}, []int{len(w.Chain)}},
		"an own chain":  {w.Chain, []status.State{status.Follow}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, w, c.own)
			r.peers(w.Chain, 4)
			r.start()
			r.follows(w.Chain, name)
			var went []status.State
			var grown []int
			events, _, _ := r.Events().After(0)
			for _, e := range events {
				switch v := e.Data.(type) {
				case status.StateChange:
					went = append(went, v.To)
				case status.TipChange:
					if grown = append(grown, v.Grown); v.Depth != 0 {
						t.Errorf("%d blocks were replaced", v.Depth)
					}
				}
			}
			if !slices.Equal(went, c.want) {
				t.Errorf("states %v, want %v", went, c.want)
			}
			if !slices.Equal(grown, c.grown) {
				t.Errorf("the tip has grown by %d blocks, want %d", grown, c.grown)
			}
		})
	}
}

// A sync that switches by more than a range is in the state sync until it has ended,
// though the quorum is seen on the new chain before.
func TestSwitchFromBootstrap(t *testing.T) {
	w := synctest.NewWorld(76, 100)
	b := newBench(t, w, w.Chain)
	p := &plan{queue: []chainsync.Branch{{Trailers: w.Chain}}, synced: make(chan synced, 1)}
	b.startSync(p, b.clock())
	b.moved(status.SyncProgress{Stage: stageSwitching, Trailers: 2000})
	for i := range 3 {
		b.found(host(i), w.Chain)
	}
	b.stateIs(status.Sync, "a quorum while it switches")
	b.moved(status.SyncProgress{Stage: stageSwitching, Trailers: 2000})
	b.stateIs(status.Sync, "told once more")
	b.tookSync(p, synced{outcome: &chainsync.Outcome{}})
	b.stateIs(status.Follow, "switched")
}

// A sync from follow that ends on a chain without a quorum leads to stalled at once.
func TestSyncThatEndsBadly(t *testing.T) {
	w := synctest.NewWorld(74, 100)
	b := newBench(t, w, w.Chain)
	for i := range 3 {
		b.found(host(i), w.Chain)
	}
	b.stateIs(status.Follow, "a quorum")
	p := &plan{queue: []chainsync.Branch{{Trailers: w.Chain}}, synced: make(chan synced, 1)}
	b.startSync(p, b.clock())
	b.moved(status.SyncProgress{Stage: stageSwitching, Trailers: 2000})
	b.stateIs(status.Sync, "a heavier branch of more than a range")
	b.pass(11 * time.Minute)
	b.found(host(1), w.Chain)
	seq := b.Events().Last()
	b.tookSync(p, synced{outcome: &chainsync.Outcome{}})
	events, _, _ := b.Events().After(seq)
	for _, e := range events {
		if s, ok := e.Data.(status.StateChange); ok && s.To != status.Stalled {
			t.Errorf("state %s (%s) with an old tip", s.To, s.Reason)
		}
	}
	b.stateIs(status.Stalled, "an old tip")
}

// What waits to be settled is settled before the node ends, and so is saved.
func TestSettledAtTheEnd(t *testing.T) {
	w := synctest.NewWorld(75, 100)
	b := newBench(t, w, w.Chain)
	next := w.Grow(w.Chain, 1)
	b.at(&next[len(next)-1])
	for i := range 5 {
		b.found(host(i), w.Chain)
	}
	b.found(host(9), w.Spoil(next, next[len(next)-1].Num(), synctest.BadWork))
	b.found(host(8), w.Chain, func(c *wire.State) { c.Weight[3] = 1 << 60 })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ctx); err != nil {
		t.Fatal(err)
	}
	m := b.o.Scan.Memory.(*record)
	records, err := m.Evidence()
	if err != nil || len(records) != 2 {
		t.Fatalf("%d records of evidence, want 2: %v", len(records), err)
	}
	for _, e := range records {
		if o, err := e.Verify(t.Context(), w.Work); err != nil || !o.Confirmed {
			t.Errorf("evidence of %v isn't confirmed: %+v, %v", e.Kind, o, err)
		}
	}
	if o, _ := m.points(host(9), b.clock()); o < 99 {
		t.Errorf("who forged work has %g points", o)
	}
	if o, _ := m.points(host(8), b.clock()); o < 49 {
		t.Errorf("who lied about a weight has %g points", o)
	}
	for i := range 5 {
		if o, s := m.points(host(i), b.clock()); o+s > 0 {
			t.Errorf("an honest peer has %g points", o+s)
		}
	}
}

// A context that ends with a cause ends the node as well as any other.
func TestEndsWithACause(t *testing.T) {
	w := synctest.NewWorld(76, 60)
	b := newBench(t, w, w.Chain)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("a signal"))
	if err := b.Run(ctx); err != nil {
		t.Errorf("Run says %v", err)
	}
}

// Peers that agree on one invalid trailer have a minute's luck at most: the others, who
// pass, come up in the polls that follow.
func TestConspiracy(t *testing.T) {
	w := synctest.NewWorld(77, 100)
	next := w.Grow(w.Chain, 1)
	bad := w.Spoil(next, next[len(next)-1].Num(), synctest.BadWork)
	b := newBench(t, w, w.Chain)
	b.at(&next[len(next)-1])
	for i := range 5 {
		b.found(host(i), bad)
	}
	b.found(host(10), w.Chain)
	b.pass(b.o.Times.Doubt + time.Second)
	b.reviewed()
	if b.raised(rulesAlarm) {
		t.Error("an alarm after a minute of five liars")
	}
	b.save()
	if m, err := b.o.Scan.Memory.Load(b.clock()); err != nil || len(m.Invalid) > 0 {
		t.Errorf("%d invalid trailers remembered while it is in doubt who errs, %v", len(m.Invalid), err)
	}
	for i := range 8 {
		b.found(host(11+i), w.Chain)
	}
	b.pass(weightDoubts * b.o.Times.Doubt)
	b.reviewed()
	for i := range 5 {
		if o, _ := b.points(host(i)); o < 98 {
			t.Errorf("liar %d has %g points", i, o)
		}
	}
	b.save()
	if m, err := b.o.Scan.Memory.Load(b.clock()); err != nil || len(m.Invalid) != 1 {
		t.Errorf("%d invalid trailers remembered, want 1, %v", len(m.Invalid), err)
	}
}

// full is a memory on a disk that is full until there is room.
type full struct {
	record
	room bool
}

func (f *full) Save(now time.Time, c *memory.Changes) error {
	if !f.room {
		return errors.New("no space left on device")
	}
	return f.record.Save(now, c)
}

// What fails of our own is noticed, and when it doesn't any more, that too.
func TestOwnFailure(t *testing.T) {
	w := synctest.NewWorld(78, 100)
	disk := &full{}
	b := newBench(t, w, w.Chain, func(o *Options) { o.Scan.Memory = disk })
	for range 2 {
		b.save()
		b.reviewed()
		if !b.raised(FailureAlarm) {
			t.Fatal("no alarm")
		}
	}
	disk.room = true
	b.save()
	b.reviewed()
	if b.raised(FailureAlarm) {
		t.Error("the alarm stays")
	}
}

// A pin that a branch of other history goes past is said to be violated.
func TestPinViolated(t *testing.T) {
	w := synctest.NewWorld(79, 100)
	at := w.Chain[70]
	b := newBench(t, w, w.Chain, func(o *Options) {
		pin := anchorAt(at.Num(), *at.Hash(), w.Weight(w.Chain[:71]), at.SolveTime())
		pin.Fixed = true
		o.Scan.Anchors = append(o.Scan.Anchors, *pin)
		o.Sync.Pin = &tfile.Pin{Height: at.Num(), Hash: *at.Hash()}
	})
	heavier := w.Fork(w.Chain, w.Chain[65].Num(), 45)
	b.at(&heavier[len(heavier)-1])
	b.found(host(1), heavier)
	b.tipIs(w.Chain, "a heavier fork below the pin")
	if !b.raised(pinAlarm) || b.raised(floorAlarm) {
		t.Errorf("alarms %+v, want that of the pin", b.Status().Alarms)
	}
	b.blameless("who is on a branch without the pin")
}

// A reorganisation as it happens, to more weight with less work: blocks without any, at
// a difficulty of 0 where each weighs as much as one with work.
func TestCheapWeightEndToEnd(t *testing.T) {
	w := synctest.NewWorld(80, 60)
	own := w.Miner.Grow(w.Chain, 8, 0)
	b := newBench(t, w, own)
	for i := range 3 {
		b.found(host(i), own)
	}
	b.stateIs(status.Follow, "start")
	c := w.Mix(w.Chain, w.Tip().Num(), 40, func(int) bool { return true })
	for i := range 8 {
		b.at(&c[len(c)-1])
		for h := range 3 {
			b.found(host(h), c)
		}
		b.tipIs(c, "more weight")
		b.reviewed()
		s := b.Status()
		if on := i < cheapBlocks; b.raised(CheapAlarm) != on || s.Ready == on || s.State != status.Follow {
			t.Errorf("%d blocks later: alarms %+v, ready %v in %s", i, s.Alarms, s.Ready, s.State)
		}
		c = w.Miner.Grow(c, 1, 0)
	}
	if s := b.Status(); s.LastDepth != 8 {
		t.Errorf("depth %d, want 8", s.LastDepth)
	}
	b.blameless("cheap weight")
}

// A network that loses nearly all of its hash rate starves its followers.
func TestStarvedEndToEnd(t *testing.T) {
	w := synctest.NewWorld(81, 100)
	c := w.Miner.Grow(w.Chain, longWindow+shortWindow, 5)
	b := newBench(t, w, c)
	peak, ok, err := b.findPeak(t.Context())
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	b.Node.mu.Lock()
	b.thickness.peak, b.thickness.peaked, b.thickness.stale = peak, ok, false
	b.Node.mu.Unlock()
	b.reviewed()
	if b.raised(StarvedAlarm) {
		t.Fatal("starved at once")
	}
	thin := c
	for range 6 {
		thin = w.Mix(thin, thin[len(thin)-1].Num(), 50, func(i int) bool { return i%10 != 0 })
		b.at(&thin[len(thin)-1])
		b.found(host(1), thin)
	}
	b.tipIs(thin, "a thin chain")
	b.reviewed()
	if !b.raised(StarvedAlarm) {
		t.Errorf("no alarm: %+v", b.thickness)
	}
	b.blameless("starved")
}

// A node that is ended in the middle of a sync ends soon, and has written down whom it
// has met.
func TestEndsInASync(t *testing.T) {
	w := synctest.NewWorld(82, 3000)
	r := newRig(t, w, nil)
	r.o.Times.Save = time.Hour
	low := w.Tip().Num() - proof.Segment
	r.peers(w.Chain, 3, func(c *synctest.Conn) {
		q, ok := c.Request()
		if first, _ := wire.SplitTFArg(q.Arg); ok && q.Op == wire.OpTF && mcm.BlockNum(first) <= low {
			c.Wait()
			return
		}
		synctest.Truth(c, &q)
	})
	r.start()
	r.until("a sync", func(s status.Status) bool { return s.State == status.Sync && s.Sync != nil })
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	m := r.o.Scan.Memory.(*record)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.peers) != 3 {
		t.Errorf("%d peers are remembered, want 3", len(m.peers))
	}
}
