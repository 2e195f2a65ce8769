package chain

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/proof/prooftest"
	"kigo/node/rules"
	"kigo/node/synth"
	"kigo/node/tfile"
)

const importNow = 1 << 40 // all solve times lie before it

// mined returns a chain from the genesis on that breaks no rule, but for the faults.
func mined(t testing.TB, n int, seed uint64, faults ...synth.Fault) []mcm.Trailer {
	t.Helper()
	var b bytes.Buffer
	_, err := synth.Generate(t.Context(), &b, synth.Config{Blocks: int64(n), Worked: 1, Seed: seed, StartTime: 1_530_000_000, Faults: faults})
	must(t, err)
	return mcm.Trailers(b.Bytes())
}

func trailerFile(t testing.TB, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tfile.dat")
	must(t, os.WriteFile(path, b, 0o400))
	return path
}

// TestImport takes over trailer files of all kinds, and looks that each leaves the
// file alone, checks no more work than is missing, and that the chain is the heavier
// one.
func TestImport(t *testing.T) {
	a, other := mined(t, 2500, 1), mined(t, 2400, 2)
	short := mined(t, 1300, 3)
	bad := mined(t, 2500, 1, synth.Fault{Kind: "pow-nonce", Block: 2100})
	broken := slices.Clone(a)
	broken[1800].PrevHash()[3] ^= 1
	for _, c := range []struct {
		name    string
		own     []mcm.Trailer
		file    []byte
		want    []mcm.Trailer
		checked int64 // least and most trailers whose work may be asked for
		good    int64
	}{
		{"into nothing", nil, mcm.Bytes(a), a, 2500, 2500},
		{"longer than own", a[:1234], mcm.Bytes(a), a, 2500 - 1234, 2500},
		{"own and no more", a, mcm.Bytes(a), a, 0, 2500},
		{"shorter than own", a, mcm.Bytes(a[:1000]), a, 0, 1000},
		{"torn within a trailer", a[:1000], mcm.Bytes(a)[:2000*160+80], a[:2000], 1000, 2000},
		{"another, heavier", short, mcm.Bytes(other), other, 2399, 2400},
		{"another, lighter", other, mcm.Bytes(short), other, 1299, 1300},
		{"bad work at the end", a[:500], mcm.Bytes(bad), bad[:2100], 2000, 2100},
		{"bad link", nil, mcm.Bytes(broken), a[:1800], 1800, 1800},
		{"bad link below own", a[:1900], mcm.Bytes(broken), a[:1900], 100, 1800},
	} {
		dir := t.TempDir()
		s := mustOpen(t, dir, Options{})
		must(t, s.Extend(c.own))
		path := trailerFile(t, c.file)
		engine := &prooftest.StandIn{}
		rep, err := s.Import(t.Context(), path, tfile.Options{Verifier: engine, Now: importNow})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if rep.Good != c.good {
			t.Errorf("%s: %d good trailers, expected %d; %v", c.name, rep.Good, c.good, rep.Problems)
		}
		if n := engine.Checked.Load(); n > c.checked {
			t.Errorf("%s: the work of %d trailers was checked, expected at most %d", c.name, n, c.checked)
		}
		holds(t, s, c.want)
		onDisk(t, dir, c.want)
		must(t, s.Close())
		s = mustOpen(t, dir, Options{})
		holds(t, s, c.want)
		if b, err := os.ReadFile(path); err != nil || !bytes.Equal(b, c.file) {
			t.Errorf("%s: the file was changed", c.name)
		}
	}
}

// TestImportRefuses makes sure that nothing unproven gets in.
func TestImportRefuses(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	a := mined(t, 1500, 1)
	must(t, s.Extend(a[:100]))
	engine := &prooftest.StandIn{}
	o := tfile.Options{Verifier: engine, Now: importNow}
	ctx := t.Context()
	for name, err := range map[string]error{
		"no verifier": func() error { _, err := s.Import(ctx, trailerFile(t, mcm.Bytes(a)), tfile.Options{}); return err }(),
		"no file":     func() error { _, err := s.Import(ctx, filepath.Join(dir, "none"), o); return err }(),
		"a folder":    func() error { _, err := s.Import(ctx, dir, o); return err }(),
		"itself":      func() error { _, err := s.Import(ctx, filepath.Join(dir, mainName), o); return err }(),
		"too short":   func() error { _, err := s.Import(ctx, trailerFile(t, make([]byte, 100)), o); return err }(),
		"no chain":    func() error { _, err := s.Import(ctx, trailerFile(t, make([]byte, 16000)), o); return err }(),
		"interrupted": func() error {
			ctx, end := context.WithCancel(ctx)
			end()
			_, err := s.Import(ctx, trailerFile(t, mcm.Bytes(a)), o)
			return err
		}(),
		"engine fails": func() error {
			o := o
			o.Verifier = &prooftest.StandIn{Fail: func() error { return errors.New("broken engine") }}
			_, err := s.Import(ctx, trailerFile(t, mcm.Bytes(a)), o)
			return err
		}(),
	} {
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	holds(t, s, a[:100])
	if s.disk.exists(importName) {
		t.Error("a copy is left over")
	}
}

// TestImportBesideChanges has the chain change while a file is judged.
func TestImportBesideChanges(t *testing.T) {
	a := mined(t, 2000, 1)
	f := fork(a, 500, 10, 9)
	for _, c := range []struct {
		name   string
		change func(s *Store) error
		fails  bool
		want   []mcm.Trailer
	}{
		{"extended", func(s *Store) error { return s.Extend(a[1000:1100]) }, false, a},
		{"replaced below", func(s *Store) error { return s.Replace(501, f[501:]) }, true, f},
		{"closed", func(s *Store) error { return s.Close() }, true, nil},
	} {
		dir := t.TempDir()
		s := mustOpen(t, dir, Options{Hook: nil})
		must(t, s.Extend(a[:1000]))
		once := false
		s.hook = func(step string) {
			if step == stepImportVerified && !once {
				once = true
				must(t, c.change(s))
			}
		}
		_, err := s.Import(t.Context(), trailerFile(t, mcm.Bytes(a)), tfile.Options{Verifier: &prooftest.StandIn{}, Now: importNow})
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", c.name, err)
		}
		if c.want != nil {
			holds(t, s, c.want)
		}
	}
}

// TestImportResumes interrupts the check of an import by a kill: what was proven is
// not checked again.
func TestImportResumes(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	a := mined(t, 3000, 1)
	path := trailerFile(t, mcm.Bytes(a))
	var kept string
	s.hook = func(step string) {
		if step == stepImportVerified {
			kept = copyDir(t, dir)
		}
	}
	first := &prooftest.StandIn{}
	_, err := s.Import(t.Context(), path, tfile.Options{Verifier: first, Now: importNow})
	must(t, err)
	holds(t, s, a)
	s = mustOpen(t, kept, Options{})
	holds(t, s, nil)
	again := &prooftest.StandIn{}
	_, err = s.Import(t.Context(), path, tfile.Options{Verifier: again, Now: importNow})
	must(t, err)
	holds(t, s, a)
	if n := again.Checked.Load(); first.Checked.Load() == 0 || n != 0 {
		t.Errorf("the work of %d trailers was checked again, of %d", n, first.Checked.Load())
	}
}

// TestImportAboveBase takes a file from the base of the chain on.
func TestImportAboveBase(t *testing.T) {
	m := prooftest.NewMiner(1)
	first := m.First(mcm.V30Trigger, 3, 1_700_000_000)
	ts := m.Grow([]mcm.Trailer{first}, 700, 3)
	path := filepath.Join(t.TempDir(), "tfile.dat")
	f, err := os.Create(path)
	must(t, err)
	_, err = f.WriteAt(mcm.Bytes(ts), int64(mcm.V30Trigger)*mcm.TrailerLen) // a hole before
	must(t, err)
	must(t, f.Close())
	base := proof.Anchor{Num: mcm.V30Trigger, Hash: *first.Hash(), Weight: mcm.Weight{1 << 40}}
	s := mustOpen(t, t.TempDir(), Options{Base: base})
	engine := &prooftest.StandIn{}
	_, err = s.Import(t.Context(), path, tfile.Options{Verifier: engine, Now: importNow})
	must(t, err)
	if got := content(t, s); !slices.Equal(got, ts) {
		t.Errorf("%d trailers, expected %d", len(got), len(ts))
	}

	// A pseudoblock with another Merkle root breaks a rule that trailer files are not
	// judged by.
	fake := m.Pseudo(&ts[len(ts)-1])
	if rules.CheckPseudoRoot(&fake) != nil {
		t.Fatal("the pseudoblock is bad to begin with")
	}
	fake.MerkleRoot()[0]++
	*fake.Hash() = sha256.Sum256(fake[:128])
	must(t, os.Chmod(path, 0o600))
	f, err = os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt(fake[:], int64(int(mcm.V30Trigger)+len(ts))*mcm.TrailerLen)
	must(t, err)
	must(t, f.Close())
	rep, err := s.Import(t.Context(), path, tfile.Options{Verifier: engine, Now: importNow})
	must(t, err)
	if len(rep.Problems) != 1 || rep.Problems[0].Rule != rules.MerkleRoot || rep.Good != int64(len(ts)) {
		t.Errorf("problems %v, %d good", rep.Problems, rep.Good)
	}
	if got := content(t, s); !slices.Equal(got, ts) {
		t.Errorf("%d trailers, expected %d", len(got), len(ts))
	}
}
