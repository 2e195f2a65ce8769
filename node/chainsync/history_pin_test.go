package chainsync_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/scan"
	"kigo/node/tfile"
)

// oldTrailers returns trailers from block first on up to the one that next names.  They
// hang together and keep no other rule, which nobody looks at under a pin.
func oldTrailers(first mcm.BlockNum, next *mcm.Trailer) []mcm.Trailer {
	random := rand.NewChaCha8([32]byte{1})
	ts := make([]mcm.Trailer, next.Num()-first)
	for i := range ts {
		t := &ts[i]
		if n := first + mcm.BlockNum(i); n == 0 {
			*t = mcm.GenesisTrailer()
		} else {
			t.SetNum(n)
			random.Read(t.Hash()[:])
			random.Read(t.MerkleRoot()[:])
			t.SetDifficulty(3)
			t.SetTxCount(1)
		}
		if i > 0 {
			*t.PrevHash() = *ts[i-1].Hash()
		}
	}
	*ts[len(ts)-1].Hash() = *next.PrevHash()
	return ts
}

// oldWorld is a world of n blocks from 0xa0700 on whose chain begins with block first.
func oldWorld(seed uint64, first mcm.BlockNum, n int) *synctest.World {
	w := synctest.NewWorld(seed, n)
	return under(w, oldTrailers(first, &w.Chain[0]))
}

// under puts trailers below a world's chain.
func under(w *synctest.World, old []mcm.Trailer) *synctest.World {
	w.Chain = append(old, w.Chain...)
	base := &w.Chain[0]
	w.Base = proof.Anchor{Num: base.Num(), Hash: *base.Hash(), Time: base.SolveTime(), Weight: mcm.Weight{1 << 40}, Fixed: true}
	if base.Num() == 0 {
		w.Base.Weight = rules.AddWeight(mcm.Weight{}, base)
	}
	return w
}

// pinAt returns the pin of a chain at a block.  Of pieces that begin below the chain it
// says nothing.
func pinAt(w *synctest.World, chain []mcm.Trailer, n mcm.BlockNum) *tfile.Pin {
	ts := synctest.Upto(chain, n)
	p := &tfile.Pin{Height: n, Hash: *ts[len(ts)-1].Hash(), Weight: w.Weight(ts)}
	p.Pieces = make([]mcm.Hash, n/tfile.PieceTrailers+1)
	for i := range p.Pieces {
		first := mcm.BlockNum(i) * tfile.PieceTrailers
		if first >= ts[0].Num() {
			p.Pieces[i] = sha256.Sum256(mcm.Bytes(synctest.Cut(ts, first, tfile.PieceTrailers)))
		}
	}
	return p
}

// pinnedLab is a lab of a chain from block first on, with a pin.
func pinnedLab(t *testing.T, w *synctest.World, pin mcm.BlockNum) *lab {
	t.Helper()
	l := &lab{t: t, w: w, dir: t.TempDir(), ledger: newLedger()}
	l.net = synctest.NewNetwork(t, w)
	l.open()
	l.o.Limits.Range = 1000
	l.o.Pin = pinAt(w, w.Chain, pin)
	return l
}

// The old history is taken by digest, wherever the pin is, and no work is checked below
// it.
func TestPinnedHistory(t *testing.T) {
	for _, pin := range []mcm.BlockNum{mcm.V30Trigger, mcm.V30Trigger + 1, mcm.V30Trigger + 800, 658_000, 657_999, mcm.V30Trigger + 1700} {
		t.Run(fmt.Sprint(pin-mcm.V30Trigger), func(t *testing.T) {
			w := oldWorld(7, 654_000, 2000)
			l := pinnedLab(t, w, pin)
			out := l.run(synctest.Branches(l.net.Peers(t, w.Chain, 5)...)...)
			l.wantTip(w.Chain)
			if len(out.Alarms) > 0 {
				t.Errorf("alarms %v", out.Alarms)
			}
			if want := synctest.Worked(w.Chain[pin-654_000+1:]); out.Checked > int64(want) {
				t.Errorf("%d proofs of work computed, expected at most %d", out.Checked, want)
			}
		})
	}
}

// A chunk that differs from the pin's digest convicts who sent it, and is asked of
// somebody else.
func TestPinnedHistoryWrongChunks(t *testing.T) {
	w := oldWorld(8, 652_000, 300)
	l := pinnedLab(t, w, mcm.V30Trigger)
	altered := slices.Clone(w.Chain)
	altered[2500].SetDifficulty(9)
	altered[4500].MerkleRoot()[7]++
	honest := l.net.Peers(t, w.Chain, 3)
	liars := l.net.Peers(t, w.Chain, 5, synctest.Other(altered))
	l.run(synctest.Branches(append(liars, honest...)...)...)
	l.wantTip(w.Chain)
	l.unconvicted(honest)
	for _, p := range liars {
		lied := slices.ContainsFunc(p.Counts().Ranges, func(r synctest.Range) bool {
			at := func(n mcm.BlockNum) bool { return r.First <= n && n < r.First+mcm.BlockNum(r.Count) }
			return at(654_500) || at(656_500)
		})
		if got := l.ledger.objective(p); lied && got != string(fault.PinMismatch) || !lied && got != "" {
			t.Errorf("%v, lied %v: charged with %q", p.Addr, lied, got)
		}
	}
}

// An own chain from before there was a pin may have another past: without the pin's block
// it counts for nothing.
func TestPinnedHistoryOverOwn(t *testing.T) {
	w := oldWorld(11, 654_000, 300)
	l := pinnedLab(t, w, mcm.V30Trigger)
	own := alter(w.Chain[:2800], 1700)
	l.own(own)
	out := l.run(synctest.Branches(l.net.Peers(t, w.Chain, 4)...)...)
	l.wantTip(w.Chain)
	wantAlarms(t, out)
}

// When peers of several groups serve the same chunk and the pin has another one, the pin
// may be what is wrong: nobody is charged.
func TestPinWrong(t *testing.T) {
	w := oldWorld(9, 655_000, 300)
	for name, spoil := range map[string]func(p *tfile.Pin){
		"old piece":          func(p *tfile.Pin) { p.Pieces[656][0]++ },
		"piece of version 3": func(p *tfile.Pin) { p.Pieces[657][0]++ },
	} {
		t.Run(name, func(t *testing.T) {
			l := pinnedLab(t, w, mcm.V30Trigger+200)
			spoil(l.o.Pin)
			peers := l.net.Peers(t, w.Chain, 4)
			out := l.run(synctest.Branches(peers...)...)
			if out.Switched {
				t.Error("switched against the pin")
			}
			if len(out.Alarms) == 0 || out.Alarms[0].Kind != chainsync.PinAlarm {
				t.Errorf("alarms %v, expected %s", out.Alarms, chainsync.PinAlarm)
			}
			l.unconvicted(peers)
		})
	}
	t.Run("weight", func(t *testing.T) {
		l := pinnedLab(t, w, mcm.V30Trigger)
		l.o.Pin.Weight[0]++
		peers := l.net.Peers(t, w.Chain, 4)
		out := l.run(synctest.Branches(peers...)...)
		if !slices.ContainsFunc(out.Alarms, func(a scan.Alarm) bool { return a.Kind == chainsync.PinAlarm }) {
			t.Errorf("alarms %v, expected %s", out.Alarms, chainsync.PinAlarm)
		}
		l.unconvicted(peers)
	})
}

// All of the main net's old history, from the genesis on, with a pin as it would be.
func TestPinnedHistoryFromGenesis(t *testing.T) {
	if testing.Short() {
		t.Skip("100 MB")
	}
	w := oldWorld(10, 0, 300)
	l := &lab{t: t, w: w, dir: t.TempDir(), ledger: newLedger()}
	base := w.Base
	l.net = synctest.NewNetwork(t, w)
	w.Base = proof.Anchor{} // as it is configured
	l.open()
	w.Base = base
	l.o.Limits.Range = 1000
	l.o.Pin = pinAt(w, w.Chain, mcm.V30Trigger)
	out := l.run(synctest.Branches(l.net.Peers(t, w.Chain, 6)...)...)
	l.wantTip(w.Chain)
	t.Logf("%d trailers, %d bytes, %d checked", out.Trailers, out.Bytes, out.Checked)
	if len(out.Alarms) > 0 {
		t.Errorf("alarms %v", out.Alarms)
	}
}
