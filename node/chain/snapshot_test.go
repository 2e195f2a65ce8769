package chain

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"kigo/node/mcm"
)

// TestSnapshot copies a chain while it is extended and replaced by another Store, as
// another process would: what comes out is one of the chains that were there.
func TestSnapshot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "chain")
	if _, err := ReadSnapshot(dir); !errors.Is(err, ErrEmpty) {
		t.Errorf("no folder: %v", err)
	}
	s, err := open(dir, Options{Now: clock}, quick)
	must(t, err)
	defer s.Close()
	if _, err := ReadSnapshot(dir); !errors.Is(err, ErrEmpty) {
		t.Errorf("an empty chain: %v", err)
	}
	a := fromGenesis(3000, 1)
	must(t, s.Extend(a))
	var chains [][]mcm.Trailer
	for i := range 40 {
		chains = append(chains, fork(a, 1000+37*i, 1500+i, uint64(i)))
	}
	copied, changed := 0, 0
	ended := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for last := false; !last; {
			select {
			case <-ended:
				last = true
			default:
			}
			snap, err := ReadSnapshot(dir)
			if err != nil {
				t.Error(err)
				return
			}
			var b bytes.Buffer
			err = snap.Copy(t.Context(), &b)
			tip := snap.Tip()
			if cerr := snap.Close(); cerr != nil {
				t.Error(cerr)
			}
			if errors.Is(err, ErrChanged) {
				changed++
				continue
			}
			got := mcm.Trailers(b.Bytes())
			known := slices.Equal(got, a) || slices.ContainsFunc(chains, func(ts []mcm.Trailer) bool { return slices.Equal(got, ts) })
			if err != nil || !known || tip != tipOf(got) {
				t.Errorf("%d trailers, %v", len(got), err)
				return
			}
			copied++
		}
	})
	for i, ts := range chains {
		if i%4 == 3 {
			g := stage(t, s, "0a", ts, 1000)
			must(t, s.Adopt(g))
		} else {
			from := 1001 + 37*max(0, i-1) // what it shares with the one before
			must(t, s.Replace(mcm.BlockNum(from), ts[from:]))
		}
	}
	close(ended)
	wg.Wait()
	t.Logf("%d copies, %d changed meanwhile", copied, changed)
	if copied == 0 {
		t.Error("nothing was copied")
	}
	must(t, s.Close())

	snap, err := ReadSnapshot(dir)
	must(t, err)
	ctx, end := context.WithCancel(t.Context())
	end()
	if err := snap.Copy(ctx, &bytes.Buffer{}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	must(t, snap.Close())
	rewrite(t, filepath.Join(dir, mainName), flip(2_000*160))
	snap, err = ReadSnapshot(dir)
	must(t, err)
	var damage *DamageError
	if err := snap.Copy(t.Context(), &bytes.Buffer{}); !errors.As(err, &damage) || damage.First != 2000 {
		t.Errorf("damaged: %v", err)
	}
	must(t, snap.Close())
	must(t, os.WriteFile(filepath.Join(dir, stateName), []byte("?"), 0o644))
	if _, err := ReadSnapshot(dir); err == nil || errors.Is(err, ErrEmpty) {
		t.Errorf("a damaged state: %v", err)
	}
}

// TestViews reads one consistent chain per call while others switch it.
func TestViews(t *testing.T) {
	s, err := open(filepath.Join(t.TempDir(), "chain"), Options{Now: clock}, quick)
	must(t, err)
	defer s.Close()
	a := fromGenesis(2500, 1)
	b := fork(a, 900, 1700, 2)
	must(t, s.Extend(a))
	ended := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for n := mcm.BlockNum(0); ; n = (n + 97) % 2400 {
				select {
				case <-ended:
					return
				default:
				}
				ts, err := s.Trailers(n, 300)
				if end := int(n) + len(ts); err != nil || !slices.Equal(ts, a[n:min(end, len(a))]) && !slices.Equal(ts, b[n:min(end, len(b))]) {
					t.Errorf("%d trailers from %v on, %v", len(ts), n, err)
					return
				}
				if tip, ok := s.At(n); !ok || tip.Hash != *a[n].Hash() && tip.Hash != *b[n].Hash() {
					t.Errorf("at %v: %+v", n, tip)
					return
				}
			}
		})
	}
	for range 15 {
		must(t, s.Replace(901, b[901:]))
		g := stage(t, s, "0b", a[901:], 800)
		must(t, s.Adopt(g))
		g = stage(t, s, "0c", b, 800)
		must(t, s.Adopt(g))
		must(t, s.Replace(0, a))
	}
	close(ended)
	wg.Wait()
	holds(t, s, a)
}
