package tfile

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/mcm"
	"kigo/node/verify"
)

// TestResumeComplete verifies twice: the second run computes nothing.
func TestResumeComplete(t *testing.T) {
	for _, n := range []int{1, 2, 999, 1000, 1001, 5000, 5432} {
		ts := chain(n, 3)
		side := filepath.Join(t.TempDir(), "side")
		o := Options{Now: clock, Verifier: &fake{}, Resume: side, Batch: 2000}
		first := mustVerify(t, bytesOf(ts), o)
		f := &fake{}
		o.Verifier = f
		o.Batch = 1000
		second := mustVerify(t, bytesOf(ts), o)
		if f.total() != 0 || second.Resumed != worked(ts) || second.Known != second.Resumed || second.Checked != 0 {
			t.Errorf("%d trailers: engine checked %d again; got %+v", n, f.total(), second)
		}
		if second.Proven != first.Proven || second.Weight != first.Weight || !second.Valid() || len(second.Notices) != 0 {
			t.Errorf("%d trailers: got %+v after %+v", n, second, first)
		}
	}
}

// TestResumeInterrupted cancels at random points until the run comes to its end:
// no proof of work is computed twice.
func TestResumeInterrupted(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	const n = 15500
	ts := chain(n, 4)
	path := writeFile(t, bytesOf(ts))
	side := path + ".kigo"
	f := &fake{}
	runs := 0
	for done := false; !done; runs++ {
		if runs > 50 {
			t.Fatal("no end after 50 runs")
		}
		ctx, cancel := context.WithCancel(t.Context())
		left := 1 + rng.IntN(4000)
		f.before = func(context.Context, *mcm.Trailer) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			if left--; left == 0 {
				cancel()
			}
			return nil
		}
		before := f.total()
		rep, err := VerifyFile(ctx, path, Options{Now: clock, Verifier: f, Resume: side, Batch: 1000})
		cancel()
		switch {
		case err == nil:
			done = true
			if !rep.Valid() || rep.Resumed+rep.Checked != worked(ts) {
				t.Errorf("last run: %+v", rep)
			}
		case !errors.Is(err, context.Canceled):
			t.Fatal(err)
		}
		if rep.Checked > f.total()-before {
			t.Errorf("run %d: %d proofs of work reported, the engine has done %d", runs, rep.Checked, f.total()-before)
		}
	}
	if runs < 3 {
		t.Errorf("only %d runs", runs)
	}
	if f.total() != worked(ts) {
		t.Errorf("%d proofs of work computed over %d runs, want %d", f.total(), runs, worked(ts))
	}
}

// TestResumeSequential interrupts an engine that has one batch at a time: then
// nothing at all is computed twice.
func TestResumeSequential(t *testing.T) {
	const n = 900 // a single chunk
	ts := chain(n, 4)
	path := writeFile(t, bytesOf(ts))
	f := &fake{}
	for _, stop := range []mcm.BlockNum{1, 2, 333, 334, 770, n} {
		ctx, cancel := context.WithCancel(t.Context())
		f.before = func(_ context.Context, t *mcm.Trailer) error {
			if t.Num() >= stop {
				cancel()
				return context.Cause(ctx)
			}
			return nil
		}
		rep, err := VerifyFile(ctx, path, Options{Now: clock, Verifier: f, Resume: path + ".kigo"})
		cancel()
		if stop < n && !errors.Is(err, context.Canceled) || stop == n && err != nil {
			t.Fatalf("stop at %v: %v", stop, err)
		}
		if rep.Resumed+rep.Checked != f.total() {
			t.Errorf("stop at %v: resumed %d, checked %d, engine has done %d", stop, rep.Resumed, rep.Checked, f.total())
		}
	}
	for num, times := range f.seen {
		if times != 1 {
			t.Errorf("block %v checked %d times", num, times)
		}
	}
	if f.total() != worked(ts) {
		t.Errorf("%d checked, want %d", f.total(), worked(ts))
	}
}

// TestResumeChanged changes the file between two runs.
func TestResumeChanged(t *testing.T) {
	const n = 5501
	base := chain(n, 3)
	for _, c := range []struct {
		name    string
		change  func([]mcm.Trailer) []mcm.Trailer
		known   int  // trailers before this index are not checked again
		changed bool // and the report says so
	}{
		{"as it was", func(ts []mcm.Trailer) []mcm.Trailer { return ts }, n, false},
		{"nonce of 2500", func(ts []mcm.Trailer) []mcm.Trailer { ts[2500].Nonce()[31]++; return ts }, 2000, true},
		{"last trailer", func(ts []mcm.Trailer) []mcm.Trailer { ts[n-1].Nonce()[31]++; return ts }, 5000, true},
		{"first worked", func(ts []mcm.Trailer) []mcm.Trailer { ts[1].Nonce()[31]++; return ts }, 0, true},
		{"truncated", func(ts []mcm.Trailer) []mcm.Trailer { return ts[:3200] }, 3000, false},
		{"truncated at a piece", func(ts []mcm.Trailer) []mcm.Trailer { return ts[:3000] }, 3000, false},
		{"extended", func(ts []mcm.Trailer) []mcm.Trailer {
			for range 1234 {
				ts = append(ts, after(&ts[len(ts)-1], true))
			}
			return ts
		}, n, false},
		{"another branch", func(ts []mcm.Trailer) []mcm.Trailer {
			ts[4321].MerkleRoot()[0]++
			ts[4321].Hash()[0]++
			relink(ts, 4322)
			return ts
		}, 4000, true},
	} {
		path := writeFile(t, bytesOf(base))
		side := path + ".kigo"
		o := Options{Now: clock, Verifier: &fake{}, Resume: side, Batch: 1000}
		if rep, err := VerifyFile(t.Context(), path, o); err != nil || !rep.Valid() {
			t.Fatal(rep.Problems, err)
		}
		ts := c.change(append([]mcm.Trailer(nil), base...))
		if err := os.WriteFile(path, bytesOf(ts), 0o600); err != nil {
			t.Fatal(err)
		}
		for run, known := range []int{c.known, len(ts)} {
			f := &fake{}
			o.Verifier = f
			rep, err := VerifyFile(t.Context(), path, o)
			if err != nil || !rep.Valid() {
				t.Fatalf("%s: %v, %v", c.name, rep.Problems, err)
			}
			if rep.Resumed != worked(ts[:known]) || rep.Checked != worked(ts[known:]) || f.total() != rep.Checked {
				t.Errorf("%s, run %d: resumed %d, checked %d, engine %d; want %d, %d", c.name, run, rep.Resumed, rep.Checked, f.total(), worked(ts[:known]), worked(ts[known:]))
			}
			if told := len(rep.Notices) == 1 && strings.Contains(rep.Notices[0], "changed"); told != (c.changed && run == 0) {
				t.Errorf("%s, run %d: notices %q", c.name, run, rep.Notices)
			}
		}
	}
}

// TestResumeBad stops at a bad proof of work; what lies before it is kept, and
// the bad one is found again.
func TestResumeBad(t *testing.T) {
	ts := chain(4000, 3)
	path := writeFile(t, bytesOf(ts))
	bad := map[mcm.BlockNum]verify.Verdict{2500: verify.BadWork}
	for _, all := range []bool{false, true} {
		side := filepath.Join(t.TempDir(), "side")
		for run, checked := range []int64{worked(ts), 1} {
			if !all && run == 0 {
				checked = worked(ts[:2501])
			}
			f := &fake{bad: bad}
			rep, err := VerifyFile(t.Context(), path, Options{Now: clock, Verifier: f, Resume: side, Batch: 1000, All: all})
			if err != nil || rep.Bad != 1 || len(rep.Problems) != 1 || rep.Problems[0].Index != 2500 {
				t.Fatalf("all %t, run %d: got %+v, %v", all, run, rep, err)
			}
			if rep.Checked != checked {
				t.Errorf("all %t, run %d: checked %d, want %d", all, run, rep.Checked, checked)
			}
		}
	}
}

func TestResumeDamaged(t *testing.T) {
	ts := chain(3000, 3)
	path := writeFile(t, bytesOf(ts))
	side := path + ".kigo"
	o := Options{Now: clock, Verifier: &fake{}, Resume: side}
	if _, err := VerifyFile(t.Context(), path, o); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(side)
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, new string) []byte {
		if !bytes.Contains(good, []byte(old)) {
			t.Fatalf("side file has no %s: %s", old, good)
		}
		return bytes.Replace(good, []byte(old), []byte(new), 1)
	}
	reseal := func(change func(r *record)) []byte {
		r, err := decodeRecord(good)
		if err != nil {
			t.Fatal(err)
		}
		change(&r)
		b, err := r.encode()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, data := range map[string][]byte{
		"empty":           nil,
		"cut":             good[:len(good)/2],
		"no newline":      good[:len(good)-1],
		"two":             append(append([]byte(nil), good...), good...),
		"binary":          {0, 1, 2, 255},
		"null":            []byte("null\n"),
		"other format":    replace("kigo proven work 1", "kigo proven work 2"),
		"other rules":     replace(`"pow_rules":1`, `"pow_rules":0`),
		"other network":   replace(mcm.GenesisHash.String(), strings.Repeat("0", 64)),
		"more trailers":   replace(`"trailers":3000`, `"trailers":2999`),
		"wider span":      replace(`[[1,3000]]`, `[[0,3000]]`),
		"unknown field":   replace(`"trailers"`, `"trusted":true,"trailers"`),
		"pieces missing":  reseal(func(r *record) { r.pieces = r.pieces[:2] }),
		"negative length": reseal(func(r *record) { r.trailers, r.pieces = -5, nil }),
		"span too far":    reseal(func(r *record) { r.proven = spans{{0, 3001}} }),
		"spans reversed":  reseal(func(r *record) { r.proven = spans{{2000, 2500}, {0, 100}} }),
		"span empty":      reseal(func(r *record) { r.proven = spans{{7, 7}} }),
	} {
		if err := os.WriteFile(side, data, 0o600); err != nil {
			t.Fatal(err)
		}
		rep, err := VerifyFile(t.Context(), path, o)
		if err != nil || !rep.Valid() || rep.Resumed != 0 || rep.Checked != worked(ts) {
			t.Errorf("%s: resumed %d, checked %d, %v", name, rep.Resumed, rep.Checked, err)
		}
		if len(rep.Notices) != 1 || !strings.Contains(rep.Notices[0], side) {
			t.Errorf("%s: notices %q", name, rep.Notices)
		}
		if set, err := os.ReadFile(side + ".bad"); err != nil || !bytes.Equal(set, data) {
			t.Errorf("%s: not set aside: %v", name, err)
		}
		if again, err := os.ReadFile(side); err != nil || !bytes.Equal(again, good) {
			t.Errorf("%s: not written anew: %v", name, err)
		}
	}
}

// TestResumeUnwritable loses the knowledge, not the report.
func TestResumeUnwritable(t *testing.T) {
	side := filepath.Join(t.TempDir(), "no such folder", "side")
	rep := mustVerify(t, bytesOf(chain(300, 3)), Options{Now: clock, Verifier: &fake{}, Resume: side})
	if !rep.Valid() || len(rep.Notices) != 1 || !strings.Contains(rep.Notices[0], "could not be saved") {
		t.Errorf("got %+v", rep)
	}
	if rep, err := VerifyFile(t.Context(), writeFile(t, bytesOf(chain(300, 3))), Options{Now: clock, Verifier: &fake{}, Resume: t.TempDir()}); err == nil || rep.Valid() {
		t.Errorf("a folder as side file: got %v", err)
	}
}

// TestDistrust has an engine found out at some point of a run: the side file goes
// back to what was in it before.
func TestDistrust(t *testing.T) {
	ts := chain(6500, 3)
	for _, c := range []struct {
		name  string
		saved bool // the run has saved before the engine was found out
		at    mcm.BlockNum
	}{
		{"before a save", false, 5000}, {"after a save", true, 5000}, {"at the end", true, 6499},
	} {
		for _, before := range []int{0, 1, 3200} { // trailers that an earlier run has proven
			side := filepath.Join(t.TempDir(), "side")
			o := Options{Now: clock, Resume: side, Batch: 1000, Distrust: func() bool { return false }}
			if before > 0 {
				o.Verifier = &fake{}
				mustVerify(t, bytesOf(ts[:before]), o)
			}
			want := worked(ts[:before])
			liar := &fake{}
			var found atomic.Bool
			liar.before = func(_ context.Context, t *mcm.Trailer) error {
				if t.Num() == c.at {
					found.Store(true)
				}
				return nil
			}
			o.Verifier, o.Distrust = liar, found.Load
			var rep *Report
			synctest.Test(t, func(t *testing.T) {
				if c.saved {
					o.Verifier = verifierFunc(func(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
						time.Sleep(saveInterval) // of the bubble's clock
						return liar.VerifyPoW(ctx, dst, batch)
					})
				}
				var err error
				if rep, err = Verify(t.Context(), bytes.NewReader(bytesOf(ts)), -1, o); err != nil {
					t.Fatal(err)
				}
			})
			if !rep.Valid() || len(rep.Notices) != 1 || !strings.Contains(rep.Notices[0], "found to be wrong") {
				t.Errorf("%s, %d known: notices %q", c.name, before, rep.Notices)
			}
			if _, err := os.Stat(side); (err == nil) != (c.saved || before > 0) {
				t.Errorf("%s, %d known: side file: %v", c.name, before, err)
			}
			o.Verifier, o.Distrust = &fake{}, nil
			if rep := mustVerify(t, bytesOf(ts), o); rep.Resumed != want || rep.Checked != worked(ts)-want || len(rep.Notices) != 0 {
				t.Errorf("%s, %d known: next run resumed %d, want %d; notices %q", c.name, before, rep.Resumed, want, rep.Notices)
			}
		}
	}
}

// TestResumePowFrom proves the end of a file, then its beginning: the third run
// has nothing left to do.
func TestResumePowFrom(t *testing.T) {
	ts := chain(6500, 3)
	path := writeFile(t, bytesOf(ts))
	for _, c := range []struct {
		from    mcm.BlockNum
		stop    mcm.BlockNum // interrupted there
		checked int64
	}{
		{4000, 1 << 60, worked(ts[4000:])},
		{0, 1501, worked(ts[:1501])},
		{2000, 1 << 60, worked(ts[2000:4000])},
		{0, 1 << 60, worked(ts[1501:2000])},
		{0, 1 << 60, 0},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		f := &fake{before: func(_ context.Context, t *mcm.Trailer) error {
			if t.Num() < c.stop {
				return nil
			}
			cancel()
			return context.Cause(ctx)
		}}
		rep, err := VerifyFile(ctx, path, Options{Now: clock, Verifier: f, Resume: path + ".kigo", PowFrom: c.from, Batch: 7000}) // a single chunk
		cancel()
		if (err != nil) != (c.stop < 1<<60) || rep.Checked != c.checked {
			t.Errorf("from %v to %v: checked %d, %v, want %d", c.from, c.stop, rep.Checked, err, c.checked)
		}
	}
}

// TestMaxSpans has more bad trailers than a record holds gaps.
func TestMaxSpans(t *testing.T) {
	ts := chain(2*maxSpans+3000, 1<<30)
	bad := map[mcm.BlockNum]verify.Verdict{}
	for i := 0; i < len(ts); i += 2 {
		bad[mcm.BlockNum(i)] = verify.BadWork
	}
	side := filepath.Join(t.TempDir(), "side")
	rep := mustVerify(t, bytesOf(ts), Options{Now: clock, Verifier: &fake{bad: bad}, Resume: side, All: true})
	b, err := os.ReadFile(side)
	if err != nil {
		t.Fatal(err)
	}
	r, err := decodeRecord(b)
	if err != nil || len(r.proven) != maxSpans || r.trailers != rep.Trailers {
		t.Errorf("%d spans over %d trailers, %v", len(r.proven), r.trailers, err)
	}
}

func TestSpans(t *testing.T) {
	s := spans(nil).extend(3, 3).extend(5, 7).extend(7, 9).extend(12, 13)
	if len(s) != 2 || s[0] != (span{5, 9}) || s[1] != (span{12, 13}) {
		t.Fatalf("got %v", s)
	}
	for i := range int64(15) {
		if want := i >= 5 && i < 9 || i == 12; s.has(i) != want {
			t.Errorf("has(%d) is %t", i, s.has(i))
		}
	}
	if c := s.clip(6, 12); len(c) != 1 || c[0] != (span{6, 9}) {
		t.Errorf("clip: got %v", c)
	}
}
