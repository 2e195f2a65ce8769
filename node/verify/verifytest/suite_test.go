package verifytest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"kigo/node/mcm"
	"kigo/node/verify"
)

// A steps does what its Fake does in pieces, looking at ctx in between, as
// engines do.
type steps struct {
	*Fake
	piece int
}

func (s steps) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	if err := verify.CheckLengths(dst, batch); err != nil {
		return err
	}
	clear(dst)
	for i := 0; i < len(batch); i += s.piece {
		end := min(i+s.piece, len(batch))
		if err := s.Fake.VerifyPoW(ctx, dst[i:end], batch[i:end]); err != nil {
			return err
		}
	}
	return nil
}

func newFake(t testing.TB, lanes int) *Fake {
	return &Fake{
		About: verify.Info{Name: "fake", Lanes: lanes, MinBatch: 1, Chunk: 64},
		Hash:  Memory(Vectors(t)),
	}
}

func TestRun(t *testing.T) {
	for _, lanes := range []int{1, 8, 64} {
		f := newFake(t, lanes)
		Run(t, func(testing.TB) verify.Backend { return steps{f, 3 * lanes} })
		if f.Closed() != 1 {
			t.Errorf("closed %d times", f.Closed())
		}
	}
}

// A verifierFunc is a Backend that does anything.
type verifierFunc struct {
	*Fake
	verify func(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error
}

func (f verifierFunc) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	return f.verify(ctx, dst, batch)
}

// TestRunFindsFaults gives the suite engines with one fault each.
func TestRunFindsFaults(t *testing.T) {
	const lanes = 8
	spoiling := func(spoil func(batch []mcm.Trailer, results []verify.Result)) func(*Fake) verify.Backend {
		return func(f *Fake) verify.Backend {
			f.Spoil = spoil
			return steps{f, 1 << 20}
		}
	}
	around := func(do func(f *Fake, ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error) func(*Fake) verify.Backend {
		return func(f *Fake) verify.Backend {
			return verifierFunc{f, func(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
				return do(f, ctx, dst, batch)
			}}
		}
	}
	for _, c := range []struct {
		fault string
		found string // by which check
		make  func(*Fake) verify.Backend
	}{
		{"no name", "info", func(f *Fake) verify.Backend {
			f.About.Name = ""
			return f
		}},
		{"min batch above chunk", "info", func(f *Fake) verify.Backend {
			f.About.MinBatch = f.About.Chunk + 1
			return f
		}},
		{"fails on nothing", "empty", around(func(f *Fake, ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
			if len(batch) == 0 {
				return errors.New("no work")
			}
			return f.VerifyPoW(ctx, dst, batch)
		})},
		{"takes the shorter length", "slices of unequal length", around(func(f *Fake, ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
			n := min(len(dst), len(batch))
			return f.VerifyPoW(ctx, dst[:n], batch[:n])
		})},
		{"calls everything good", "self-test", spoiling(func(_ []mcm.Trailer, results []verify.Result) {
			for i := range results {
				results[i].Verdict = verify.Valid
			}
		})},
		{"exempts low bytes of zero only", "vectors", spoiling(func(batch []mcm.Trailer, results []verify.Result) {
			for i := range results {
				if !batch[i].Num().IsNeogenesis() && results[i].Verdict == verify.Exempt {
					results[i].Verdict = verify.BadNonce
				}
			}
		})},
		{"forgets the last trailer", "vectors", spoiling(func(_ []mcm.Trailer, results []verify.Result) {
			if n := len(results); n > 0 {
				results[n-1] = verify.Result{}
			}
		})},
		{"misses a bad one in one place of one length", "lengths and positions", spoiling(func(_ []mcm.Trailer, results []verify.Result) {
			if len(results) == 2*lanes-3 && results[lanes+2].Verdict == verify.BadWork {
				results[lanes+2].Verdict = verify.Valid
			}
		})},
		{"one bad one spoils its neighbour", "neighbours", spoiling(func(_ []mcm.Trailer, results []verify.Result) {
			for i := 1; i < len(results); i++ {
				if results[i-1].Verdict == verify.BadWork && results[i].Verdict == verify.Valid {
					results[i].Verdict = verify.BadWork
				}
			}
		})},
		{"mixes up equal trailers", "same trailer in all lanes", spoiling(func(batch []mcm.Trailer, results []verify.Result) {
			for i := 2; i < len(results); i++ {
				if batch[i] == batch[i-2] && batch[i] == batch[i-1] {
					results[i].Hash[0]++
				}
			}
		})},
		{"writes to the batch", "vectors", spoiling(func(batch []mcm.Trailer, _ []verify.Result) {
			if len(batch) > 0 {
				batch[0][159]++
			}
		})},
		{"serves one caller only", "concurrent calls", func(f *Fake) verify.Backend {
			var inside atomic.Int32
			var once sync.Once
			met := make(chan struct{})
			return verifierFunc{f, func(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
				defer inside.Add(-1)
				switch inside.Add(1) {
				case 1:
					<-met // stays until another caller comes
				case 2:
					once.Do(func() { close(met) })
					return errors.New("busy")
				}
				return f.VerifyPoW(ctx, dst, batch)
			}}
		}},
		{"hides the cause", "cancelled before", around(func(f *Fake, ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
			if err := f.VerifyPoW(ctx, dst, batch); ctx.Err() == nil {
				return err
			}
			return ctx.Err()
		})},
		{"leaves rubbish when cancelled", "cancelled before", around(func(f *Fake, ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
			if err := verify.Interrupted(ctx); err != nil {
				return err
			}
			return f.VerifyPoW(ctx, dst, batch)
		})},
		{"is deaf to cancellation", "cancelled during", around(func(f *Fake, ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
			if err := f.VerifyPoW(context.WithoutCancel(ctx), dst, batch); err != nil {
				return err
			}
			return verify.Interrupted(ctx)
		})},
	} {
		t.Run(c.fault, func(t *testing.T) {
			s := newSuite(t, c.make(newFake(t, lanes)))
			for _, check := range checks {
				if check.name != c.found {
					continue
				}
				err := check.check(s)
				if err == nil {
					t.Fatalf("%q passes", check.name)
				}
				t.Log(err)
				return
			}
			t.Fatalf("there is no check %q", c.found)
		})
	}
}

// TestPositionsAreAllVisited shows that the thinned sweep leaves no position and
// no length out.
func TestPositionsAreAllVisited(t *testing.T) {
	const lanes = 64
	f := newFake(t, lanes)
	lengths, positions := map[int]bool{}, map[int]bool{}
	f.Spoil = func(_ []mcm.Trailer, results []verify.Result) {
		lengths[len(results)] = true
		for i := range results {
			if results[i].Verdict == verify.BadWork {
				positions[i] = true
			}
		}
	}
	s := newSuite(t, f)
	s.long = false
	if err := s.positions(); err != nil {
		t.Fatal(err)
	}
	for n := range 2*lanes + 2 {
		if !lengths[n] {
			t.Errorf("no batch of %d", n)
		}
		if n < 2*lanes+1 && !positions[n] {
			t.Errorf("no bad trailer at %d", n)
		}
	}
	sum := 0
	for _, n := range f.Calls() {
		sum += n
	}
	t.Logf("%d batches, %d trailers", len(f.Calls()), sum)
	if sum > 60_000 {
		t.Errorf("the sweep takes %d trailers, want at most 60,000", sum)
	}
}
