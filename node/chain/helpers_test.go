package chain

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
)

// grow returns n trailers that follow prev by number and link, which is all that a
// Store looks at.  What else they say is drawn by seed.
func grow(prev *mcm.Trailer, n int, seed uint64) []mcm.Trailer {
	rng := rand.New(rand.NewPCG(seed, uint64(prev.Num())))
	ts := make([]mcm.Trailer, n)
	for i := range ts {
		t := &ts[i]
		for k := 0; k < len(t); k += 8 {
			binary.LittleEndian.PutUint64(t[k:], rng.Uint64())
		}
		t.SetNum(prev.Num() + 1)
		*t.PrevHash() = *prev.Hash()
		t.SetDifficulty(uint32(20 + rng.IntN(20)))
		t.SetTxCount(uint32(rng.IntN(3))) // a third are pseudoblocks
		t.SetSolveTime(1_600_000_000 + uint32(t.Num()))
		prev = t
	}
	return ts
}

// fromGenesis returns a chain of n trailers, the genesis included.
func fromGenesis(n int, seed uint64) []mcm.Trailer {
	g := mcm.GenesisTrailer()
	return append([]mcm.Trailer{g}, grow(&g, n-1, seed)...)
}

// fork returns ts up to and including index at, and n others behind it.
func fork(ts []mcm.Trailer, at, n int, seed uint64) []mcm.Trailer {
	return append(slices.Clone(ts[:at+1]), grow(&ts[at], n, seed)...)
}

var clock = func() time.Time { return time.Unix(1_700_000_000, 0) }

func mustOpen(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	if o.Now == nil {
		o.Now = clock
	}
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tipOf returns the tip of a chain from the genesis on, reckoned here.
func tipOf(ts []mcm.Trailer) (tip Tip) {
	if len(ts) == 0 {
		return tip
	}
	for i := range ts {
		t := &ts[i]
		if t.Num()&0xff != 0xff {
			tip.Weight = tip.Weight.AddDifficulty(t.WorkDifficulty())
		}
		if proof.IsWorked(t) {
			tip.Work = tip.Work.AddDifficulty(t.WorkDifficulty())
		}
	}
	last := &ts[len(ts)-1]
	tip.Num, tip.Hash, tip.Time = last.Num(), *last.Hash(), last.SolveTime()
	return tip
}

// content returns all trailers of a store.
func content(t testing.TB, s *Store) []mcm.Trailer {
	t.Helper()
	ts, err := s.Trailers(s.base.num, 1<<30)
	must(t, err)
	return ts
}

// holds fails unless s has exactly the chain ts from the genesis on, in all that it
// says and on the disk.
func holds(t testing.TB, s *Store, ts []mcm.Trailer) {
	t.Helper()
	tip, ok := s.Tip()
	if ok != (len(ts) > 0) || tip != tipOf(ts) {
		t.Fatalf("tip %+v, expected %+v", tip, tipOf(ts))
	}
	if got := content(t, s); !slices.Equal(got, ts) {
		t.Fatalf("%d trailers, expected %d, or others", len(got), len(ts))
	}
	for _, i := range []int{0, len(ts) / 2, len(ts) - 1} {
		if i < 0 || i >= len(ts) {
			continue
		}
		n := mcm.BlockNum(i)
		if at, ok := s.At(n); !ok || at != tipOf(ts[:i+1]) {
			t.Fatalf("at %d: %+v, expected %+v", i, at, tipOf(ts[:i+1]))
		}
		if !s.Has(n, *ts[i].Hash()) || s.Has(n, mcm.Hash{1}) {
			t.Fatalf("has %d is wrong", i)
		}
	}
}

// onDisk fails unless tfile.dat is ts and nothing but state and lock lies beside it.
func onDisk(t testing.TB, dir string, ts []mcm.Trailer) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, mainName))
	if len(ts) > 0 {
		must(t, err)
	}
	if !bytes.Equal(b, mcm.Bytes(ts)) {
		t.Fatalf("%s has %d bytes, expected %d, or others", mainName, len(b), len(ts)*mcm.TrailerLen)
	}
	for _, name := range names(t, dir) {
		switch name {
		case mainName, stateName, lockName:
		default:
			t.Errorf("%s is left over", name)
		}
	}
}

func names(t testing.TB, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// copyDir copies a folder of files.
func copyDir(t testing.TB, from string) string {
	t.Helper()
	to, err := os.MkdirTemp(filepath.Dir(from), "copy")
	must(t, err)
	for _, name := range names(t, from) {
		b, err := os.ReadFile(filepath.Join(from, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(to, name), b, 0o644))
	}
	return to
}

// stage puts ts into a staging of that name, in ranges of n from the top down.
func stage(t testing.TB, s *Store, name string, ts []mcm.Trailer, n int) *Staging {
	t.Helper()
	g, err := s.Stage(name)
	must(t, err)
	for len(ts) > 0 {
		at := max(0, len(ts)-n)
		must(t, g.Prepend(ts[at:], netip.AddrFrom4([4]byte{10, 0, 0, byte(at)})))
		ts = ts[:at]
	}
	return g
}

// weightOf returns what ts add to the weight of a chain that ends before them.
func weightOf(ts []mcm.Trailer) (w, work mcm.Weight) {
	for i := range ts {
		w = rules.AddWeight(w, &ts[i])
		if proof.IsWorked(&ts[i]) {
			work = work.AddDifficulty(ts[i].WorkDifficulty())
		}
	}
	return w, work
}
