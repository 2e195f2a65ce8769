package chain

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kigo/node/mcm"
)

// prefixOf fails unless what s holds is the beginning of one of these chains.  It
// returns how much that is.
func prefixOf(t testing.TB, what string, s *Store, chains ...[]mcm.Trailer) int {
	t.Helper()
	got := content(t, s)
	for _, ts := range chains {
		if len(got) <= len(ts) && slices.Equal(got, ts[:len(got)]) {
			if tip, _ := s.Tip(); tip != tipOf(got) {
				t.Fatalf("%s: tip %+v above %d trailers", what, tip, len(got))
			}
			return len(got)
		}
	}
	t.Fatalf("%s: %d trailers that were never proven", what, len(got))
	return 0
}

// asides returns the names of what was set aside.
func asides(t testing.TB, dir string) (out []string) {
	for _, name := range names(t, dir) {
		if strings.Contains(name, ".damaged-") {
			out = append(out, name)
		}
	}
	return out
}

// rewrite changes the content of a file.
func rewrite(t testing.TB, path string, f func([]byte) []byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, f(b), 0o644))
}

func flip(at int) func([]byte) []byte {
	return func(b []byte) []byte {
		b[at] ^= 1 << (at % 8)
		return b
	}
}

func cutTo(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:n] } }

// TestDamage damages one file at a time.  Each time it is told, what was damaged is
// kept under another name, the chain is one that was proven, and can be completed.
func TestDamage(t *testing.T) {
	sound := filepath.Join(t.TempDir(), "chain")
	a := fromGenesis(2345, 1)
	s := mustOpen(t, sound, Options{})
	must(t, s.Extend(a))
	must(t, s.Close())
	main := len(a) * mcm.TrailerLen
	st, err := os.Stat(filepath.Join(sound, stateName))
	must(t, err)
	state := int(st.Size())

	type damage struct {
		what, file string
		do         func([]byte) []byte
		left       int  // trailers
		quiet      bool // nothing is lost that was reported done
	}
	cases := []damage{
		{"state empty", stateName, cutTo(0), 0, false},
		{"state torn", stateName, cutTo(state / 2), 0, false},
		{"state longer", stateName, func(b []byte) []byte { return append(b, 0) }, 0, false},
		{"trailers gone", mainName, cutTo(0), 0, false},
		{"torn in the last piece", mainName, cutTo(2100*mcm.TrailerLen + 77), 2000, false},
		{"torn at a piece", mainName, cutTo(1000 * mcm.TrailerLen), 1000, false},
		{"torn in the first piece", mainName, cutTo(160), 0, false},
		{"torn by a byte", mainName, cutTo(main - 1), 2000, false},
		{"longer", mainName, func(b []byte) []byte { return append(b, make([]byte, 4321)...) }, 2345, true},
		{"zeros", mainName, func(b []byte) []byte { clear(b[1500*160 : 1600*160]); return b }, 1000, false},
		{"pieces swapped", mainName, func(b []byte) []byte {
			first := slices.Clone(b[:160_000])
			copy(b, b[160_000:320_000])
			copy(b[160_000:], first)
			return b
		}, 0, false},
	}
	rng := rand.New(rand.NewPCG(3, 3))
	for range 40 {
		at := rng.IntN(main)
		cases = append(cases, damage{fmt.Sprintf("trailers flipped at %d", at), mainName, flip(at), at / 160_000 * 1000, false})
	}
	for at := 0; at < state; at += 7 {
		cases = append(cases, damage{fmt.Sprintf("state flipped at %d", at), stateName, flip(at), 0, false})
	}
	for _, c := range cases {
		dir := copyDir(t, sound)
		rewrite(t, filepath.Join(dir, c.file), c.do)
		s, err := open(dir, Options{Now: clock}, quick)
		if err != nil {
			t.Fatalf("%s: %v", c.what, err)
		}
		if n := prefixOf(t, c.what, s, a); n != c.left {
			t.Errorf("%s: %d trailers are left, expected %d", c.what, n, c.left)
		}
		if quiet := len(s.Notices()) == 0; quiet != c.quiet {
			t.Errorf("%s: notices %q", c.what, s.Notices())
		}
		aside := asides(t, dir)
		if torn := c.file == mainName && (c.what == "torn at a piece"); !torn && !c.quiet && len(aside) == 0 {
			t.Errorf("%s: nothing is set aside", c.what)
		}
		must(t, extendTo(a)(s))
		holds(t, s, a)
		must(t, s.Close())
		s, err = open(dir, Options{Now: clock}, quick)
		must(t, err)
		holds(t, s, a)
		if len(s.Notices()) > 0 || !slices.Equal(asides(t, dir), aside) {
			t.Errorf("%s: told again: %q", c.what, s.Notices())
		}
		must(t, s.Close())
		must(t, os.RemoveAll(dir))
	}
}

// TestDamagedRepair interrupts the repair of a damaged file at each change.
func TestDamagedRepair(t *testing.T) {
	sound := filepath.Join(t.TempDir(), "chain")
	a := fromGenesis(2345, 1)
	s := mustOpen(t, sound, Options{})
	must(t, s.Extend(a))
	must(t, s.Close())
	for name, do := range map[string]func([]byte) []byte{"flipped": flip(1500 * 160), "flipped at the front": flip(3), "torn": cutTo(1700*160 + 3)} {
		dir := copyDir(t, sound)
		rewrite(t, filepath.Join(dir, mainName), do)
		n := 0
		s, err := open(dir, Options{Now: clock}, func(d *disk) {
			d.volatile = true
			d.tap = func(c change) error {
				n++
				to := copyDir(t, dir)
				defer os.RemoveAll(to)
				s, err := open(to, Options{Now: clock}, quick)
				must(t, err)
				defer s.Close()
				what := fmt.Sprintf("%s, killed at change %d of the repair", name, n)
				if left := prefixOf(t, what, s, a); left != 1000 && name != "flipped at the front" {
					t.Errorf("%s: %d trailers are left", what, left)
				}
				if len(asides(t, to)) == 0 {
					t.Errorf("%s: nothing is set aside", what)
				}
				return nil
			}
		})
		must(t, err)
		must(t, s.Close())
		if n < 4 {
			t.Errorf("%s: %d changes", name, n)
		}
	}
}

// TestDamagedSwitch damages the files of a switch that a kill has interrupted.  The
// chain is then the beginning of the old one or the new one, never a mixture.
func TestDamagedSwitch(t *testing.T) {
	if testing.Short() {
		t.Skip("opens a store some hundred times")
	}
	acts := acts()
	dir := filepath.Join(t.TempDir(), "chain")
	rng := rand.New(rand.NewPCG(4, 4))
	now, tried, aside := 0, 0, 0
	hook := func(step string) {
		switch step {
		case stepSwitchDecided, stepSwitchHalf, stepSwitchCopied, stepSwitchStated, stepSwitchCut:
		default:
			return
		}
		if testing.Short() && rng.IntN(3) > 0 {
			return
		}
		for _, name := range names(t, dir) {
			if name == lockName {
				continue
			}
			st, err := os.Stat(filepath.Join(dir, name))
			must(t, err)
			size := int(st.Size())
			damages := map[string]func([]byte) []byte{"gone": nil}
			if size > 0 {
				damages["torn"], damages["empty"] = cutTo(rng.IntN(size)), cutTo(0)
				for range 3 {
					at := rng.IntN(size)
					damages[fmt.Sprintf("flipped at %d of %d", at, size)] = flip(at)
				}
			}
			for what, do := range damages {
				what = fmt.Sprintf("act %q at %q, %s %s", acts[now].name, step, name, what)
				to := copyDir(t, dir)
				if do == nil {
					must(t, os.Remove(filepath.Join(to, name)))
				} else {
					rewrite(t, filepath.Join(to, name), do)
				}
				s, err := open(to, Options{Now: clock}, quick)
				if err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				prefixOf(t, what, s, before(acts, now), acts[now].after)
				stagings(t, what, s)
				must(t, s.Close())
				tried++
				aside += len(asides(t, to))
				s, err = open(to, Options{Now: clock}, quick)
				must(t, err)
				if len(s.Notices()) > 0 {
					t.Errorf("%s: told again: %q", what, s.Notices())
				}
				must(t, s.Close())
				must(t, os.RemoveAll(to))
			}
		}
	}
	s, err := open(dir, Options{Now: clock, Hook: hook}, quick)
	must(t, err)
	for now = range acts {
		must(t, acts[now].do(s))
	}
	must(t, s.Close())
	if tried < 20 || aside == 0 {
		t.Errorf("%d damages, %d files set aside", tried, aside)
	}
}

// TestDamagedStaging damages the files of a staging.  What is left of it is what was
// staged, and no work is taken for proven that wasn't.
func TestDamagedStaging(t *testing.T) {
	sound := filepath.Join(t.TempDir(), "chain")
	s := mustOpen(t, sound, Options{})
	a := acts()
	for _, act := range a[:3] { // the last one stages "aa"
		must(t, act.do(s))
	}
	must(t, s.Close())
	data, log := stagingPrefix+"aa"+dataExt, stagingPrefix+"aa"+logExt
	size := func(name string) int {
		st, err := os.Stat(filepath.Join(sound, name))
		must(t, err)
		return int(st.Size())
	}
	type damage struct {
		what, file string
		do         func([]byte) []byte
	}
	cases := []damage{
		{"log gone", log, nil}, {"data gone", data, nil},
		{"log empty", log, cutTo(0)}, {"data empty", data, cutTo(0)},
		{"log replaced by zeros", log, func(b []byte) []byte { clear(b); return b }},
		{"record twice", log, func(b []byte) []byte { return append(b, b[len(b)-recordLen:]...) }},
		{"first record gone", log, func(b []byte) []byte { return b[recordLen:] }},
	}
	for n := 1; n < size(log); n += 11 {
		cases = append(cases, damage{fmt.Sprintf("log torn at %d", n), log, cutTo(n)}, damage{fmt.Sprintf("log flipped at %d", n), log, flip(n)})
	}
	rng := rand.New(rand.NewPCG(5, 5))
	for range 30 {
		n := 2101*160 + rng.IntN(size(data)-2101*160)
		cases = append(cases, damage{fmt.Sprintf("data torn at %d", n), data, cutTo(n)}, damage{fmt.Sprintf("data flipped at %d", n), data, flip(n)})
	}
	for _, c := range cases {
		dir := copyDir(t, sound)
		path := filepath.Join(dir, c.file)
		if c.do == nil {
			must(t, os.Remove(path))
		} else {
			rewrite(t, path, c.do)
		}
		s, err := open(dir, Options{Now: clock}, quick)
		must(t, err)
		holds(t, s, a[1].after)
		stagings(t, c.what, s)
		// It goes on from what is left.
		must(t, a[2].do(s))
		if n, err := live(s, a[2:]); err != nil {
			t.Fatalf("%s: act %d after it: %v", c.what, 2+n, err)
		}
		holds(t, s, a[len(a)-1].after)
		must(t, s.Close())
		must(t, os.RemoveAll(dir))
	}
}

// TestReadDamage damages the files of a chain and a staging that are open.  Nothing
// wrong is read of them.
func TestReadDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "chain")
	s := mustOpen(t, dir, Options{})
	a := fromGenesis(12_000, 1)
	must(t, s.Extend(a[:10_000]))
	g := stage(t, s, "0a", a[10_000:], 500)
	rewrite(t, filepath.Join(dir, mainName), flip(1_234_567))
	rewrite(t, filepath.Join(dir, g.data.name), flip(10_700*160))
	s.cache = cache{}
	bad := mcm.BlockNum(1_234_567 / 160_000 * 1000)
	for n := mcm.BlockNum(0); n < 10_000; n += 500 {
		ts, err := s.Trailers(n, 500)
		if damaged := n >= bad && n < bad+1000; damaged != (err != nil) || err == nil && !slices.Equal(ts, a[n:n+500]) {
			t.Errorf("from %v on: %d trailers, %v", n, len(ts), err)
		}
	}
	if s.Has(bad, *a[bad].Hash()) {
		t.Error("a block that can't be read is there")
	}
	if _, ok := s.At(bad + 3); ok {
		t.Error("the weight of a block that can't be read is known")
	}
	if _, err := g.Trailers(10_500, 300); err == nil {
		t.Error("a damaged staging is read")
	}
	if err := s.Adopt(g); err == nil {
		t.Error("a damaged staging is adopted")
	}
	tip, _ := s.Tip()
	if tip != tipOf(a[:10_000]) {
		t.Error("the chain has changed")
	}
	if err := s.Replace(bad+50, a[bad+50:bad+60]); err == nil {
		t.Error("a damaged piece becomes part of a new chain")
	}
}

// TestReadOnlyFolder makes sure that a folder that can't be written to is an error.
func TestReadOnlyFolder(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write everywhere")
	}
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o500))
	defer os.Chmod(dir, 0o700)
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("a folder without the right to write: %v", err)
	}
}

// TestReadOnlyFiles has the state refuse to be written, whoever asks.
func TestReadOnlyFiles(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, stateName), 0o755))
	if _, err := Open(dir, Options{}); err == nil {
		t.Error("a folder in place of the state is taken")
	}
	must(t, os.Remove(filepath.Join(dir, stateName)))
	file := filepath.Join(dir, "file")
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := Open(file, Options{}); err == nil {
		t.Error("a file in place of the folder is taken")
	}
	mustOpen(t, dir, Options{})
}

// TestForeignFile puts a trailer file into the folder that nobody has proven.
func TestForeignFile(t *testing.T) {
	for _, emptyState := range []bool{false, true} {
		dir := t.TempDir()
		a := fromGenesis(1500, 1)
		if emptyState {
			must(t, mustOpen(t, dir, Options{}).Close())
		}
		must(t, os.WriteFile(filepath.Join(dir, mainName), mcm.Bytes(a), 0o644))
		s := mustOpen(t, dir, Options{})
		holds(t, s, nil)
		aside := asides(t, dir)
		if len(aside) != 1 || len(s.Notices()) != 1 || !strings.Contains(s.Notices()[0], aside[0]) {
			t.Fatalf("set aside %q, notices %q", aside, s.Notices())
		}
		if b, err := os.ReadFile(filepath.Join(dir, aside[0])); err != nil || !slices.Equal(mcm.Trailers(b), a) {
			t.Errorf("it was changed: %v", err)
		}
	}
}
