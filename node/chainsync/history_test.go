package chainsync_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"

	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/wire"
)

// A past is a world with worked history below version 3, and others that fit under the
// same block 0xa0700.
type past struct {
	*synctest.World
	old                    int // trailers below version 3
	other, wrapped, broken []mcm.Trailer
}

// steady is a time between blocks, in seconds, that leaves the difficulty as it is
// before version 3.
const steady = 200

// newPast makes a world of old blocks below 0xa0700 and n from it on.
func newPast(seed uint64, old, n int) *past {
	w := synctest.NewWorld(seed, 0)
	m := w.Miner
	first := m.First(mcm.V30Trigger-mcm.BlockNum(old), 6, 1_600_000_000)
	grow := func(ts []mcm.Trailer, seconds func(n mcm.BlockNum) uint32) []mcm.Trailer {
		ts = slices.Clone(ts)
		for n := ts[len(ts)-1].Num() + 1; n < mcm.V30Trigger; n++ {
			t := m.Next(&ts[len(ts)-1], seconds(n))
			if n.IsNeogenesis() {
				*t.MerkleRoot() = mcm.Hash{}
				m.Seal(&t)
			}
			ts = append(ts, t)
		}
		return ts
	}
	evenly := func(mcm.BlockNum) uint32 { return steady }
	genuine := grow([]mcm.Trailer{first}, evenly)
	p := &past{World: w, old: old}
	next := m.Next(&genuine[old-1], steady)
	p.Chain = w.Grow(append(slices.Clone(genuine), next), n)
	base := &p.Chain[0]
	p.Base = proof.Anchor{Num: base.Num(), Hash: *base.Hash(), Time: base.SolveTime(), Weight: mcm.Weight{1 << 20}}
	w.SetNow(w.Tip())

	// The others end with what block 0xa0700 names, and with its times.
	under := func(ts []mcm.Trailer) []mcm.Trailer {
		*ts[old-1].Hash() = *genuine[old-1].Hash()
		return append(ts, p.Chain[old:]...)
	}
	// Less work in the middle of the last 64 blocks.
	from := mcm.V30Trigger - 64
	p.other = under(grow(genuine[:old-64], func(n mcm.BlockNum) uint32 {
		switch {
		case n < from+2:
			return 300
		case n >= mcm.V30Trigger-3 && n < mcm.V30Trigger-1:
			return 100
		}
		return steady
	}))
	spoiled := slices.Clone(genuine)
	at := old / 3
	for spoiled[at].Num().IsNeogenesis() {
		at++
	}
	synctest.BadWork(&spoiled[at])
	p.broken = under(spoiled)
	first.SetDifficulty(first.Difficulty() + 256)
	p.wrapped = under(grow([]mcm.Trailer{first}, evenly))
	return p
}

func (p *past) lab(t *testing.T) *lab {
	t.Helper()
	l := &lab{t: t, w: p.World, dir: t.TempDir(), ledger: newLedger()}
	l.net = synctest.NewNetwork(t, p.World)
	l.open()
	l.o.Limits.Range = 100
	if testing.Verbose() {
		l.o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	}
	return l
}

// Without a pin the history is proven by rules and work, all of it before the switch.
func TestHistoryWithoutPin(t *testing.T) {
	p := newPast(1, 700, 300)
	l := p.lab(t)
	p.Work.Forget()
	out := l.run(synctest.Branches(l.net.Peers(t, p.Chain, 4)...)...)
	l.wantTip(p.Chain)
	wantAlarms(t, out)
	if distinct, most := p.Work.Counts(); distinct < synctest.Worked(p.Chain[1:700]) || most > 1 {
		t.Errorf("%d distinct proofs of work computed, expected at least %d; one %d times", distinct, synctest.Worked(p.Chain[1:700]), most)
	}
	if !out.Quorum {
		t.Error("no quorum")
	}
	l.noStagings()
}

// The acceptance quorum comes from three groups at least, whatever is configured.
func TestHistoryQuorum(t *testing.T) {
	p := newPast(1, 300, 100)
	l := p.lab(t)
	l.o.Quorum.Peers, l.o.Quorum.Groups = 1, 1
	out := l.run(synctest.Branches(l.net.Peers(t, p.Chain, 2)...)...)
	l.wantTip(p.Chain)
	if out.Quorum {
		t.Error("two groups are a quorum, expected three to be needed without a pin")
	}
}

// Acceptance test 22 of docs/spec/sync.md section 10: other pasts under the genuine
// version 3, served by half of the peers.
func TestOtherPasts(t *testing.T) {
	p := newPast(2, 600, 200)
	for name, c := range map[string]struct {
		lie    []mcm.Trailer
		honest bool       // states the weight of the genuine one
		want   fault.Kind // for those who have served it
	}{
		"of less work":                     {p.other, false, ""},
		"of less work, as the genuine one": {p.other, true, ""},
		"wrapped difficulty":               {p.wrapped, false, ""},
		"wrapped, as the genuine one":      {p.wrapped, true, ""},
		"without work":                     {p.broken, false, fault.InvalidTrailer},
		"without work, as the genuine one": {p.broken, true, fault.InvalidTrailer},
	} {
		t.Run(name, func(t *testing.T) {
			for range 8 { // who is asked first is chance
				l := p.lab(t)
				honest := l.net.Peers(t, p.Chain, 4)
				liars := l.net.Peers(t, p.Chain, 4, synctest.Other(c.lie))
				for _, q := range liars {
					weight := p.Weight(c.lie)
					state := q.State()
					if tip := &c.lie[len(c.lie)-1]; tip.Num().Low() != 0xff && !c.honest {
						state.Weight = weight
					}
					q.SetState(func(s *wire.State) { *s = state })
				}
				out := l.run(synctest.Branches(slices.Concat(honest, liars)...)...)
				l.wantTip(p.Chain)
				wantEnds(t, out, chainsync.Chosen)
				l.unconvicted(honest)
				for _, q := range liars {
					if got := l.ledger.objective(q); got != "" && got != string(c.want) {
						t.Errorf("liar %v was charged with %s", q.Addr, got)
					}
				}
				l.noStagings()
			}
		})
	}
	t.Run("own chain", func(t *testing.T) {
		l := p.lab(t)
		l.own(p.Chain)
		before := l.bytes()
		out := l.run(synctest.Branches(append(l.net.Peers(t, p.other, 5, synctest.Other(p.other)), l.net.Peers(t, p.wrapped, 5)...)...)...)
		if out.Switched {
			t.Error("switched")
		}
		if after := l.bytes(); before["tfile.dat"] != after["tfile.dat"] {
			t.Error("the own chain has changed")
		}
		if len(out.Faults) > 0 {
			t.Errorf("faults %v, expected none for weights without a pin", out.Faults)
		}
	})
}

// stating has a peer state a weight that no past has.
func stating(q *synctest.Peer, more uint64) {
	q.SetState(func(s *wire.State) { s.Weight[1] = more })
}

// Peers that serve the past with the most work and state what isn't its weight are as
// good as others, and those who serve less and state more keep nobody from being heard.
func TestPastOfAnotherWeight(t *testing.T) {
	p := newPast(2, 600, 200)
	for name, strongLie := range map[string]bool{"most work": true, "less work": false} {
		t.Run(name, func(t *testing.T) {
			for range 8 { // who is asked first is chance
				l := p.lab(t)
				weak := l.net.Peers(t, p.other, 4, synctest.Other(p.other))
				strong := l.net.Peers(t, p.Chain, 4)
				for i := range weak {
					if strongLie {
						stating(strong[i], 1)
					} else {
						stating(weak[i], 1)
					}
				}
				out := l.run(synctest.Branches(slices.Concat(weak, strong)...)...)
				l.wantTip(p.Chain)
				wantEnds(t, out, chainsync.Chosen)
				l.noStagings()
			}
		})
	}
}

// However many weights are stated of a past, it is fetched a few times at most.
func TestManyWeights(t *testing.T) {
	p := newPast(2, 600, 200)
	for name, own := range map[string]bool{"own": true, "another": false} {
		t.Run(name, func(t *testing.T) {
			l := p.lab(t)
			if own {
				l.own(p.Chain)
			}
			peers := l.net.Peers(t, p.Chain, 24)
			for i, q := range peers {
				stating(q, uint64(i+1))
			}
			out := l.run(synctest.Branches(peers...)...)
			l.wantTip(p.Chain)
			l.noStagings()
			// Six times while the branch is fetched, and six times when it is the own.
			if most := int64(200 + 13*600); out.Trailers > most {
				t.Errorf("%d trailers were fetched, expected at most %d", out.Trailers, most)
			}
		})
	}
}

// A node that was once deceived about its past isn't locked in: peers on its own tip
// state another weight, and have more worked weight.  One that wasn't stays.
func TestDeceivedPast(t *testing.T) {
	p := newPast(2, 600, 200)
	for name, c := range map[string]struct {
		own, theirs []mcm.Trailer
		want        bool
	}{
		"deceived":     {p.other, p.Chain, true},
		"not deceived": {p.Chain, p.other, false},
	} {
		t.Run(name, func(t *testing.T) {
			l := p.lab(t)
			l.own(c.own)
			out := l.run(synctest.Branches(l.net.Peers(t, c.theirs, 4)...)...)
			if out.Switched != c.want {
				t.Errorf("switched: %v, expected %v", out.Switched, c.want)
			}
			if c.want {
				l.wantTip(c.theirs)
				wantAlarms(t, out, chainsync.DeepAlarm)
			} else {
				l.wantTip(c.own)
				wantAlarms(t, out)
			}
			if len(out.Faults) > 0 {
				t.Errorf("faults %v, expected none for weights without a pin", out.Faults)
			}
			if _, _, pending := l.store.Pending(); pending {
				t.Error("work is pending")
			}
			l.noStagings()
		})
	}
}

// Where there is a floor its weight says which past is the one, whatever the work.
func TestOtherPastsFloor(t *testing.T) {
	p := newPast(2, 600, 200)
	const depth = 150
	n := p.Tip().Num() - depth
	for range 4 { // who is asked first is chance
		l := p.lab(t)
		ts := synctest.Upto(p.other, n)
		l.o.Floor = &proof.Anchor{Num: n, Hash: *ts[len(ts)-1].Hash(), Weight: p.Weight(ts), Fixed: true}
		liars := l.net.Peers(t, p.Chain, 3)
		honest := l.net.Peers(t, p.other, 3)
		out := l.run(synctest.Branches(slices.Concat(honest, liars)...)...)
		l.wantTip(p.other)
		wantAlarms(t, out)
		l.unconvicted(honest)
		l.noStagings()
	}
}

// A branch that parts from the own chain below version 3 is switched to for greater
// worked weight only, whatever it weighs.
func TestParting(t *testing.T) {
	p := newPast(5, 600, 100)
	// The same past but for its last blocks, and blocks above it of which some are worked.
	part := func(n, worked int) []mcm.Trailer {
		ts := slices.Clone(p.Chain[:p.old-20])
		for range 20 {
			ts = append(ts, p.Miner.Next(&ts[len(ts)-1], steady))
		}
		return p.Miner.Mix(ts, n, synctest.Difficulty, func(i int) bool { return i >= worked })
	}
	for name, c := range map[string]struct {
		ts            []mcm.Trailer
		heavier, want bool
	}{
		"less work":              {part(90, 90), false, false},
		"more work":              {part(140, 140), true, true},
		"less work, more weight": {part(240, 90), true, false},
	} {
		t.Run(name, func(t *testing.T) {
			if (p.Weight(c.ts).Cmp(p.Weight(p.Chain)) > 0) != c.heavier {
				t.Fatal("its weight is", p.Weight(c.ts), "and the own chain's", p.Weight(p.Chain))
			}
			l := p.lab(t)
			l.own(p.Chain)
			p.SetNow(&c.ts[len(c.ts)-1])
			out := l.run(synctest.Branches(l.net.Peers(t, c.ts, 4)...)...)
			if c.want {
				l.wantTip(c.ts)
			} else {
				l.wantTip(p.Chain)
			}
			if out.Switched != c.want {
				t.Errorf("switched: %v, expected %v", out.Switched, c.want)
			}
			l.noStagings()
		})
	}
}

// A restart in the middle of history goes on where it was: no range is fetched twice,
// but for those that were under way, and no work is checked again.
func TestHistoryRestart(t *testing.T) {
	p := newPast(6, 900, 200)
	w := oldWorld(6, 640_000, 200)
	for name, c := range map[string]struct {
		w     *synctest.World
		pin   bool
		stop  mcm.BlockNum // the process ends when this is asked for
		again int          // trailers that may be fetched again
	}{
		"pinned":     {w, true, 648_000, 9000},
		"not pinned": {p.World, false, mcm.V30Trigger - 500, 500},
	} {
		t.Run(name, func(t *testing.T) {
			l := &lab{t: t, w: c.w, dir: t.TempDir(), ledger: newLedger()}
			l.net = synctest.NewNetwork(t, c.w)
			l.open()
			set := func() {
				l.o.Limits.Range, l.o.Limits.Flight = 1000, 4
				if c.pin {
					l.o.Pin = pinAt(c.w, c.w.Chain, mcm.V30Trigger)
				} else {
					l.o.Limits.Range = 100
				}
			}
			set()
			c.w.Work.Forget()
			ctx, cancel := context.WithCancel(t.Context())
			ended := synctest.Serves(func(first mcm.BlockNum, count int) []mcm.Trailer {
				if first <= c.stop {
					cancel()
				}
				return synctest.Cut(c.w.Chain, first, count)
			})
			peers := l.net.Peers(t, c.w.Chain, 5, ended)
			if out, err := l.syncer().Run(ctx, synctest.Branches(peers...)); err == nil || out.Switched {
				t.Fatalf("run: %v, switched %v, expected to be ended", err, out.Switched)
			}
			if err := l.store.Close(); err != nil {
				t.Fatal(err)
			}
			l.o.Known = nil
			l.open()
			set()
			for _, q := range peers {
				q.SetScript(synctest.Honest)
			}
			out := l.run(synctest.Branches(peers...)...)
			l.wantTip(c.w.Chain)
			if most := int64(c.stop-c.w.Base.Num) + int64(c.again); out.Trailers > most {
				t.Errorf("%d trailers fetched after the restart, expected at most %d", out.Trailers, most)
			}
			if twice := c.w.Work.Twice(); twice > 2*c.again/3 {
				t.Errorf("%d proofs of work computed twice", twice)
			}
			l.noStagings()
		})
	}
}

// Peers that serve no ranges serve files, which will do.
func TestWholeFile(t *testing.T) {
	p := newPast(3, 600, 300)
	for name, pinned := range map[string]bool{"pinned": true, "not pinned": false} {
		t.Run(name, func(t *testing.T) {
			w := p.World
			if pinned {
				w = oldWorld(3, 655_000, 300)
			}
			l := &lab{t: t, w: w, dir: t.TempDir(), ledger: newLedger()}
			l.net = synctest.NewNetwork(t, w)
			l.open()
			if pinned {
				l.o.Pin = pinAt(w, w.Chain, mcm.V30Trigger)
			}
			l.hurry()
			peers := l.net.Peers(t, w.Chain, 2, filesOnly(w.Chain))
			out := l.run(synctest.Branches(peers...)...)
			l.wantTip(w.Chain)
			wantAlarms(t, out)
			l.unconvicted(peers)
			l.noStagings()
		})
	}
}

// Of a file only what the own chain doesn't have is taken.
func TestWholeFileOverOwn(t *testing.T) {
	l := newLab(t, 12, 1500)
	fork := l.w.Fork(l.w.Chain, mcm.V30Trigger+700, 100)
	l.own(fork)
	l.hurry()
	out := l.run(synctest.Branches(l.net.Peers(t, l.w.Chain, 2, filesOnly(l.w.Chain))...)...)
	l.wantTip(l.w.Chain)
	wantAlarms(t, out, chainsync.DeepAlarm)
	if most := int64(1500 - 700); out.Trailers > most {
		t.Errorf("%d trailers taken, expected at most %d", out.Trailers, most)
	}
	if want := synctest.Worked(l.w.Chain[701:]); out.Checked > int64(want) {
		t.Errorf("%d proofs of work computed, expected at most %d", out.Checked, want)
	}
	l.noStagings()
}

// The lies that a file can tell end its transfer, and the next peer's does.
func TestWholeFileLies(t *testing.T) {
	w := oldWorld(4, 655_000, 1200)
	at := mcm.V30Trigger + 300
	seam := slices.Clone(w.Chain)
	i := int(at-w.Chain[0].Num()) + 10
	copy(seam[i:i+100], w.Fork(w.Chain, at, 200)[i:])
	for name, c := range map[string]struct {
		file []mcm.Trailer
		want fault.Kind
	}{
		"without work":    {w.SpoilAll(w.Chain, at-200, at+700), fault.InvalidTrailer},
		"a broken rule":   {w.Spoil(w.Chain, at, w.BadRule), fault.InvalidTrailer},
		"an altered past": {alter(w.Chain, 1500), fault.PinMismatch},
		"wrong numbers":   {slices.Concat(w.Chain[:2400], w.Chain[:500]), fault.WrongNumbers},
		"endless":         {slices.Concat(w.Chain, w.Chain, w.Chain), ""}, // what is wanted comes first
		"cut":             {w.Chain[:len(w.Chain)-len(w.Chain)/50], ""},
		"another chain":   {w.Fork(w.Chain, at, 800), ""},
		"a seam":          {seam, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // each waits between files
			l := &lab{t: t, w: w, dir: t.TempDir(), ledger: newLedger()}
			l.net = synctest.NewNetwork(t, w)
			l.open()
			l.o.Pin = pinAt(w, w.Chain, mcm.V30Trigger)
			l.hurry()
			liars := l.net.Peers(t, w.Chain, 3, filesOnly(c.file))
			honest := l.net.Peers(t, w.Chain, 1, filesOnly(w.Chain))[0]
			l.run(synctest.Branches(append(liars, honest)...)...)
			l.wantTip(w.Chain)
			if got := l.ledger.objective(honest); got != "" {
				t.Errorf("%v was charged with %s", honest.Addr, got)
			}
			for _, q := range liars {
				got := l.ledger.objective(q)
				if asked := q.Counts().Requests[wire.OpGetTFile] > 0; asked && got != string(c.want) || !asked && got != "" {
					t.Errorf("%v, asked %v: charged with %q, expected %q", q.Addr, asked, got, c.want)
				}
			}
			l.noStagings()
		})
	}
}

func alter(chain []mcm.Trailer, i int) []mcm.Trailer {
	chain = slices.Clone(chain)
	chain[i].MerkleRoot()[3]++
	return chain
}

// filesOnly serves a file, and no ranges.
func filesOnly(file []mcm.Trailer) synctest.Script {
	return func(c *synctest.Conn) {
		switch r, ok := c.Request(); {
		case !ok:
		case r.Op == wire.OpGetTFile:
			c.Send(file)
		case r.Op != wire.OpTF:
			c.Answer(&r, c.Peer.Chain())
		}
	}
}
