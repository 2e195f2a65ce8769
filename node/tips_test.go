package node

import (
	"context"
	"slices"
	"testing"
	"time"

	"kigo/node/chainsync/synctest"
	"kigo/node/mcm"
	"kigo/node/wire"
)

// upTo grows a world's chain until its tip has that low byte.
func upTo(w *synctest.World, low byte) []mcm.Trailer {
	c := w.Chain
	for c[len(c)-1].Num().Low() != low {
		c = w.Grow(c, 1)
	}
	return c
}

// Acceptance test 14: tips ending in ff, with both weights, and neogenesis tips,
// announced in all the ways there are.
func TestSpecialTips(t *testing.T) {
	w := synctest.NewWorld(11, 200)
	ff := upTo(w, 0xff)
	ng := w.Grow(ff, 1)
	after := w.Grow(ng, 1)
	before := ff[:len(ff)-1]
	b := newBench(t, w, before)

	b.at(&ff[len(ff)-1])
	exact := func(c *wire.State) { c.Weight = w.Weight(ff) }
	b.found(host(1), ff, exact)
	b.tipIs(ff, "a tip ending in ff with the weight that leaves it out")
	b.found(host(2), ff)
	if s := b.State(); s != b.claimOf(ff) {
		t.Errorf("we state %+v, a node states %+v", s, b.claimOf(ff))
	}

	// The neogenesis block as the reference announces it: the block before, with all
	// the weight; and as it does by mistake, with the proof of either.
	b.at(&ng[len(ng)-1])
	whole := b.claimOf(ng)
	b.found(host(3), ff, func(c *wire.State) { c.Weight = whole.Weight })
	b.tipIs(ff, "announced as the block before")
	b.send(host(4), whole, last(ff))
	b.tipIs(ff, "a proof that ends one lower")
	b.found(host(5), ng)
	b.tipIs(ng, "a neogenesis tip")
	if c, ts, ok := b.announced(); !ok || c.Num != ff[len(ff)-1].Num() || c.Hash != *ff[len(ff)-1].Hash() || c.Weight != whole.Weight || len(ts) != wire.ProofTrailers {
		t.Errorf("we announce %+v with %d trailers, want the block before with all the weight", c, len(ts))
	}
	b.at(&after[len(after)-1])
	b.found(host(6), after)
	b.tipIs(after, "the block after")
	b.blameless("special tips")
}

// Acceptance test 25: a thousand neogenesis tips, and the pseudo tips that somebody
// makes up, take a place each at most, and the honest block after them is followed.
func TestBogusTips(t *testing.T) {
	w := synctest.NewWorld(12, 200)
	ff := upTo(w, 0xff)
	b := newBench(t, w, ff)
	honest := w.Grow(ff, 1)
	b.at(&honest[len(honest)-1])
	for i := range 3 {
		b.found(host(i), honest)
	}
	b.tipIs(honest, "the honest neogenesis block")
	for i := range 1000 {
		bogus := w.Grow(ff, 1) // its root is drawn
		b.found(host(10+i%5), bogus)
	}
	b.tipIs(honest, "a thousand bogus neogenesis blocks")
	b.Node.mu.Lock()
	kept := len(b.sides.by)
	b.Node.mu.Unlock()
	if kept > maxFree {
		t.Errorf("%d bogus blocks kept, want %d at most", kept, maxFree)
	}
	// A pseudoblock with another root than the rules say.
	tip := honest[len(honest)-1]
	fake := w.Miner.Pseudo(&tip)
	fake.MerkleRoot()[0]++
	w.Miner.Seal(&fake)
	b.at(&fake)
	b.found(host(20), append(slices.Clone(honest), fake))
	b.tipIs(honest, "a bogus pseudoblock")
	b.pass(2 * b.o.Times.Doubt)
	b.reviewed()
	if o, _ := b.points(host(20)); o < 99 {
		t.Errorf("the bogus pseudoblock cost %g points", o)
	}
	next := w.Grow(honest, 1)
	b.found(host(1), next)
	b.tipIs(next, "the next honest block")
	if w.Work.Checked.Load() != 1 {
		t.Errorf("%d checks of work, want 1", w.Work.Checked.Load())
	}
}

// Bogus neogenesis blocks with a pseudoblock each make room for the honest one.
func TestBogusTipsWithPseudoblocks(t *testing.T) {
	w := synctest.NewWorld(18, 200)
	ff := upTo(w, 0xff)
	b := newBench(t, w, ff)
	honest := w.Grow(w.Grow(ff, 1), 1)
	for i := range maxFree + 2 {
		bogus := w.Grow(ff, 1)
		bogus = append(bogus, w.Miner.Pseudo(&bogus[len(bogus)-1]))
		b.at(&bogus[len(bogus)-1])
		b.found(host(i%3), bogus)
	}
	b.Node.mu.Lock()
	kept := len(b.sides.by)
	b.Node.mu.Unlock()
	if kept > 2*maxFree {
		t.Errorf("%d bogus blocks kept, want %d at most", kept, 2*maxFree)
	}
	for i := range 4 {
		b.found(host(10+i), honest)
	}
	b.pass(settlePause)
	b.resettle()
	b.found(host(10), w.Grow(honest, 1))
	if tip, _ := b.store.Tip(); tip.Num < honest[len(honest)-1].Num() || !b.store.Has(honest[len(honest)-2].Num(), *honest[len(honest)-2].Hash()) {
		t.Errorf("own tip is block %v, want the honest one after %v", tip.Num, honest[len(honest)-1].Num())
	}
	b.blameless("bogus tips with pseudoblocks")
}

// Acceptance test 15, running: a node that knows trailers only goes by groups, then by
// work, addresses, and hash.
func TestTies(t *testing.T) {
	w := synctest.NewWorld(13, 100)
	tip := &w.Chain[len(w.Chain)-1]
	same := func() []mcm.Trailer {
		// Of the same difficulty, so of the same weight.
		return append(slices.Clone(w.Chain), w.Miner.Next(tip, 100))
	}
	a, c := same(), same()
	if a[len(a)-1].Hash()[0] > c[len(c)-1].Hash()[0] {
		a, c = c, a // c has the higher hash
	}
	pseudo := append(slices.Clone(w.Chain), w.Miner.Pseudo(tip))
	clock := pseudo[len(pseudo)-1]

	t.Run("groups", func(t *testing.T) {
		b := newBench(t, w, w.Chain)
		b.at(&clock)
		b.found(host(1), a)
		b.found(host(2), a)
		b.found(host(3), c)
		b.tipIs(a, "two groups against one")
		b.found(host(4), c)
		b.found(host(5), c)
		b.weighAll()
		b.tipIs(c, "two groups against three")
		b.found(host(6), w.Chain) // on what both have: counts for either
		b.weighAll()
		b.tipIs(c, "one more group on the block before")
	})
	t.Run("addresses of one group", func(t *testing.T) {
		b := newBench(t, w, w.Chain)
		b.at(&clock)
		b.found(host(1), a)
		b.found(host(2), a)
		one := host(7).As4()
		for i := range 20 {
			one[3] = byte(10 + i)
			b.found(addr(one), c)
		}
		b.weighAll()
		b.tipIs(a, "twenty addresses of one group")
	})
	t.Run("worked against pseudo", func(t *testing.T) {
		b := newBench(t, w, w.Chain)
		b.at(&clock)
		b.found(host(1), pseudo)
		b.tipIs(pseudo, "first seen")
		b.found(host(2), a)
		b.tipIs(a, "a worked block beside a pseudoblock")
		b.found(host(3), pseudo)
		b.weighAll()
		b.tipIs(pseudo, "two groups on the pseudoblock")
	})
	t.Run("hash", func(t *testing.T) {
		b := newBench(t, w, w.Chain)
		b.at(&clock)
		b.found(host(1), a)
		b.found(host(2), c)
		b.tipIs(c, "all equal")
		// Whoever grinds hashes has us change a few times, not for ever.
		before := b.Status().Reorgs
		for i := range 50 {
			b.found(host(3+i), same())
		}
		if n := b.Status().Reorgs - before; n > maxTies {
			t.Errorf("%d changes between tips of one weight, want %d at most", n, maxTies)
		}
	})
}

// Acceptance test 21: a clock that is wrong raises an alarm, costs nobody anything, and
// the chain is followed when it is right.
func TestClock(t *testing.T) {
	w := synctest.NewWorld(14, 100)
	next := w.Grow(w.Chain, 1)
	right := time.Unix(int64(next[len(next)-1].SolveTime())+1, 0)
	for _, off := range []time.Duration{-10 * time.Second, -24 * time.Hour, 24 * time.Hour} {
		t.Run(off.String(), func(t *testing.T) {
			b := newBench(t, w, w.Chain)
			b.now = right.Add(off)
			for i := range 3 {
				b.found(host(i), next)
			}
			b.reviewed()
			if !b.raised(clockAlarm) {
				t.Error("no alarm")
			}
			if off < 0 {
				b.tipIs(w.Chain, "a tip from the future")
			} else {
				b.tipIs(next, "a tip from the past")
			}
			if s := b.Status(); off > time.Hour && s.Ready {
				t.Error("ready with a tip a day old")
			}
			b.now = right.Add(time.Minute)
			b.judgeAll()
			for i := range 3 {
				b.found(host(i), next)
			}
			b.tipIs(next, "the clock is right again")
			b.reviewed()
			if b.raised(clockAlarm) {
				t.Errorf("the alarm stays: %+v", b.Status().Alarms)
			}
			b.blameless("a wrong clock")
		})
	}
	// Ten seconds behind: what came early comes again by itself.
	b := newBench(t, w, w.Chain)
	b.now = right.Add(-10 * time.Second)
	b.found(host(1), next)
	b.tipIs(w.Chain, "early")
	b.pass(10 * time.Second)
	b.judgeAll()
	b.tipIs(next, "no longer early")
}

// A fork of sixty: the range below it is fetched, once, and it is followed.  A thin or
// worthless one isn't.
func TestForkBelowTheProof(t *testing.T) {
	w := synctest.NewWorld(15, 200)
	fork := w.Chain[len(w.Chain)-61].Num()
	deep := w.Fork(w.Chain, fork, 64)
	net := synctest.NewNetwork(t, w)
	p := net.Peer(t, host(1).String(), deep)
	b := newBench(t, w, w.Chain, func(o *Options) { o.Scan.Client = net.Client(timeouts) })
	b.at(&deep[len(deep)-1])
	b.found(host(1), deep)
	b.tipIs(w.Chain, "before the range")
	b.runSpawned(context.Background())
	b.judgeAll()
	b.tipIs(deep, "a fork of sixty")
	if n := len(p.Counts().Ranges); n != 1 {
		t.Errorf("%d ranges asked for, want 1", n)
	}
	if s := b.Status(); s.LastDepth != 60 || !b.raised(deepAlarm) {
		t.Errorf("depth %d, alarms %+v; want 60 and one", s.LastDepth, s.Alarms)
	}
	if d, most := w.Work.Counts(); most > 1 || d > 64 {
		t.Errorf("%d trailers checked, one of them %d times", d, most)
	}
	b.blameless("a deep fork")
}

// What a group's branches cost: one fetch at a time, eight in all, and nothing for a
// branch without work.
func TestFetchBounds(t *testing.T) {
	w := synctest.NewWorld(16, 300)
	net := synctest.NewNetwork(t, w)
	b := newBench(t, w, w.Chain, func(o *Options) { o.Scan.Client = net.Client(timeouts) })
	fork := w.Chain[len(w.Chain)-101].Num()
	var clock mcm.Trailer
	for i := range 12 {
		c := w.Fork(w.Chain, fork, 70)
		clock = c[len(c)-1]
		b.now = time.Unix(int64(clock.SolveTime())+3600, 0)
		b.found(host(i), c)
		b.found(host(i), w.Fork(w.Chain, fork, 70)) // another one of the same group
	}
	if n := len(b.spawned); n != maxFetches {
		t.Errorf("%d fetches, want %d", n, maxFetches)
	}
	all := w.Mix(w.Chain, fork, 70, func(int) bool { return true })
	b.now = time.Unix(int64(all[len(all)-1].SolveTime())+1, 0)
	b.spawned = nil
	clear(b.roots)
	b.found(host(60), all)
	if len(b.spawned) != 0 {
		t.Error("a branch without work is fetched")
	}
	b.tipIs(w.Chain, "side branches")
}

// A supporter that doesn't serve the range, or another one, or forges it, is replaced by
// the next.
func TestRangeFromTheNext(t *testing.T) {
	w := synctest.NewWorld(17, 300)
	deep := w.Fork(w.Chain, w.Chain[len(w.Chain)-101].Num(), 104)
	other := w.Fork(w.Chain, w.Chain[len(w.Chain)-101].Num(), 104)
	forged := w.Spoil(deep, deep[len(deep)-80].Num(), synctest.BadWork)
	low := deep[len(deep)-54].Num()
	below := func(chain []mcm.Trailer) synctest.Script {
		return synctest.Serves(func(first mcm.BlockNum, count int) []mcm.Trailer {
			if first < low {
				return synctest.Cut(chain, first, count)
			}
			return synctest.Cut(deep, first, count)
		})
	}
	for _, c := range []struct {
		name            string
		script          synctest.Script
		objective, soft float64
	}{
		{"closes", synctest.Closed, 0, 1},
		{"serves nothing", below(nil), 0, 0},
		{"serves another branch", below(other), 0, 10},
		{"serves a forged one", below(forged), 0, 10}, // it doesn't link
	} {
		t.Run(c.name, func(t *testing.T) {
			net := synctest.NewNetwork(t, w)
			net.Peer(t, host(1).String(), deep, c.script)
			net.Peer(t, host(2).String(), deep)
			b := newBench(t, w, w.Chain, func(o *Options) { o.Scan.Client = net.Client(timeouts) })
			b.at(&deep[len(deep)-1])
			b.found(host(1), deep)
			b.runSpawned(t.Context())
			b.judgeAll()
			b.tipIs(w.Chain, "after the first")
			b.found(host(2), deep)
			b.weighAll()
			b.runSpawned(t.Context())
			b.judgeAll()
			b.tipIs(deep, "after the second")
			// A close may look like a reset, which costs two.
			if o, soft := b.points(host(1)); o != c.objective || soft != c.soft && (c.soft != 1 || soft != 2) {
				t.Errorf("the first has %g objective and %g soft points, want %g and %g", o, soft, c.objective, c.soft)
			}
			if o, soft := b.points(host(2)); o+soft != 0 {
				t.Errorf("the second has %g objective and %g soft points", o, soft)
			}
		})
	}
}
