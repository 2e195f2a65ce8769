package chain

import (
	"errors"
	"io"
	"net/netip"
	"slices"
	"testing"

	"kigo/node/mcm"
	"kigo/node/proof"
)

// TestStore takes a chain through each kind of change, and reopens it after each.
func TestStore(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	if _, ok := s.Tip(); ok {
		t.Error("an empty chain has a tip")
	}
	a := fromGenesis(2500, 1)
	now := []mcm.Trailer(nil)
	step := func(name string, err error, want []mcm.Trailer) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		holds(t, s, want)
		onDisk(t, dir, want)
		must(t, s.Close())
		s = mustOpen(t, dir, Options{})
		holds(t, s, want)
		if n := s.Notices(); len(n) > 0 {
			t.Fatalf("%s: notices %q", name, n)
		}
		now = want
	}
	step("first", s.Extend(a[:1]), a[:1])
	step("second", s.Extend(a[1:2]), a[:2])
	step("to the end of a piece", s.Extend(a[2:1000]), a[:1000])
	step("over several", s.Extend(a[1000:2500]), a)
	b := fork(a, 2400, 30, 2)
	step("shorter fork", s.Replace(2401, b[2401:]), b)
	b = fork(now, 2000, 900, 3)
	step("longer fork", s.Replace(2001, b[2001:]), b)
	b = fork(now, 999, 1, 4)
	step("at a piece", s.Replace(1000, b[1000:]), b)
	b = fork(now, 1000, 10, 5)
	step("as Extend", s.Replace(1001, b[1001:]), b)
	b = fork(now, 0, 4000, 6)
	g := stage(t, s, "aa", b[1:], 700)
	step("adopted", s.Adopt(g), b)
	b = fromGenesis(1234, 7)
	g = stage(t, s, "ab", b, 1000)
	step("adopted from the base on", s.Adopt(g), b)
	b = fromGenesis(20, 8)
	step("all replaced", s.Replace(0, b), b)
	b = fork(b, 19, 5000, 8)
	g = stage(t, s, "ac", b[20:], 900)
	step("adopted behind the tip", s.Adopt(g), b)
}

// TestRefused makes sure that what isn't a chain is refused and nothing changes.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	a := fromGenesis(1500, 1)
	if s.Extend(a[1:3]) == nil || s.Extend(fork(a, 0, 5, 9)[1:]) == nil {
		t.Error("a chain that begins elsewhere is taken")
	}
	must(t, s.Extend(a[:1200]))
	other := fork(a, 1100, 200, 2)
	for name, err := range map[string]error{
		"gap":             s.Extend(a[1201:]),
		"overlap":         s.Extend(a[1199:]),
		"other":           s.Extend(other[1200:1250]),
		"gap inside":      s.Extend([]mcm.Trailer{a[1200], a[1202]}),
		"replace gap":     s.Replace(1201, a[1201:]),
		"replace nothing": s.Replace(1100, nil),
		"replace other":   s.Replace(1150, other[1150:]),
		"replace number":  s.Replace(1150, a[1151:]),
	} {
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	g := stage(t, s, "0a", other[1150:], 100)
	if err := s.Adopt(g); err == nil {
		t.Error("a staging that doesn't link is adopted")
	}
	if _, high, _ := g.Bounds(); high != other[len(other)-1].Num() {
		t.Error("a refused staging has changed")
	}
	must(t, g.Remove())
	holds(t, s, a[:1200])
	onDisk(t, dir, a[:1200])
	must(t, s.Extend(a[1200:]))
	holds(t, s, a)
}

// TestBase opens chains that begin at an anchor.
func TestBase(t *testing.T) {
	dir := t.TempDir()
	all := fromGenesis(3000, 1)
	at := tipOf(all[:701])
	base := proof.Anchor{Num: 700, Hash: at.Hash, Weight: mcm.Weight{12345}}
	s := mustOpen(t, dir, Options{Base: base})
	must(t, s.Extend(all[700:2000]))
	tip, _ := s.Tip()
	add, _ := weightOf(all[701:2000])
	if want, _ := add.Add(base.Weight); tip.Weight != want {
		t.Errorf("weight %v, expected %v", tip.Weight, want)
	}
	if _, all := weightOf(all[700:2000]); tip.Work != all {
		t.Errorf("work %v, expected %v", tip.Work, all)
	}
	if first, ok := s.At(700); !ok || first.Weight != base.Weight {
		t.Errorf("at the base: %+v", first)
	}
	if _, ok := s.At(699); ok {
		t.Error("a block below the base is there")
	}
	if ts, err := s.Trailers(699, 5); err != nil || ts != nil {
		t.Errorf("trailers below the base: %d, %v", len(ts), err)
	}
	g := stage(t, s, "bb", all[700:], 1000)
	add, _ = weightOf(all[701:])
	want, _ := add.Add(base.Weight)
	if w, _ := g.Weight(); w != want {
		t.Errorf("weight of a staging from the base on: %v, expected %v", w, want)
	}
	must(t, s.Adopt(g))
	if got := content(t, s); !slices.Equal(got, all[700:]) {
		t.Errorf("%d trailers, expected %d", len(got), 2300)
	}
	must(t, s.Close())
	var wrong *BaseError
	if _, err := Open(dir, Options{}); !errors.As(err, &wrong) {
		t.Errorf("another base: %v", err)
	} else if wrong.have.num != 700 || wrong.want.hash != mcm.GenesisHash || err.Error() == "" {
		t.Errorf("it is told as %v", err)
	}
	s = mustOpen(t, dir, Options{Base: base})
	if got := content(t, s); !slices.Equal(got, all[700:]) {
		t.Errorf("%d trailers after that, expected %d", len(got), 2300)
	}
}

// TestPending follows the span of unproven work.
func TestPending(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	a := fromGenesis(3000, 1)
	g := stage(t, s, "cc", a, 1000)
	must(t, g.Worked(0, 500))
	must(t, g.Worked(1000, 200))
	must(t, g.Worked(2500, 500))
	must(t, s.Adopt(g))
	want := func(from, to mcm.BlockNum, ok bool) {
		t.Helper()
		for range 2 {
			if f, u, o := s.Pending(); f != from || u != to || o != ok {
				t.Fatalf("pending %d to %d, %v; expected %d to %d, %v", f, u, o, from, to, ok)
			}
			must(t, s.Close())
			s = mustOpen(t, dir, Options{})
		}
	}
	want(500, 2499, true)
	must(t, s.Proven(499))
	want(500, 2499, true)
	must(t, s.Proven(1500))
	want(1501, 2499, true)
	b := fork(a, 2000, 1500, 2)
	must(t, s.Replace(2001, b[2001:]))
	want(1501, 2000, true)
	must(t, s.Extend(grow(&b[len(b)-1], 3, 1)))
	want(1501, 2000, true)
	must(t, s.Proven(5000))
	want(0, 0, false)
	must(t, s.Doubt())
	want(1, 3503, true)
	must(t, s.Proven(1500))
	must(t, s.Doubt())
	want(1, 3503, true)
}

// TestReader reads the whole file beside changes.
func TestReader(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	a := fromGenesis(4500, 1)
	must(t, s.Extend(a[:4000]))
	read := func(change func()) ([]byte, error) {
		r, size, err := s.Reader()
		must(t, err)
		defer r.Close()
		first := make([]byte, 100_000)
		_, err = io.ReadFull(r, first)
		must(t, err)
		change()
		rest, err := io.ReadAll(r)
		if err == nil && int64(len(first)+len(rest)) != size {
			t.Errorf("%d bytes, expected %d", len(first)+len(rest), size)
		}
		return append(first, rest...), err
	}
	if b, err := read(func() { must(t, s.Extend(a[4000:])) }); err != nil || !slices.Equal(mcm.Trailers(b), a[:4000]) {
		t.Errorf("beside Extend: %d bytes, %v", len(b), err)
	}
	f := fork(a, 4400, 200, 2)
	if _, err := read(func() { must(t, s.Replace(4401, f[4401:])) }); !errors.Is(err, ErrChanged) {
		t.Errorf("beside Replace: %v", err)
	}
	if b, err := read(func() {}); err != nil || !slices.Equal(mcm.Trailers(b), f) {
		t.Errorf("after Replace: %d bytes, %v", len(b), err)
	}
	if _, err := read(func() { must(t, s.Close()) }); !errors.Is(err, ErrClosed) {
		t.Errorf("beside Close: %v", err)
	}
	for name, err := range map[string]error{
		"Extend": s.Extend(a[:1]), "Replace": s.Replace(1, a[1:]), "Proven": s.Proven(1),
		"Trailers": func() error { _, err := s.Trailers(0, 1); return err }(),
		"Reader":   func() error { _, _, err := s.Reader(); return err }(),
		"Stage":    func() error { _, err := s.Stage("00"); return err }(),
		"Stagings": func() error { _, err := s.Stagings(); return err }(),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

// TestTwoProcesses makes sure that a folder is opened once.  The lock is the open
// file's, so a second Open in one process stands for another process.
func TestTwoProcesses(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	var locked *LockedError
	if _, err := Open(dir, Options{}); !errors.As(err, &locked) || locked.Dir != dir {
		t.Errorf("a second Open: %v", err)
	}
	must(t, s.Close())
	must(t, s.Close())
	mustOpen(t, dir, Options{})
}

// zeroAnchor stands for the genesis.
var zeroAnchor proof.Anchor

var sender = netip.MustParseAddr("192.0.2.7")
