package verifytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"kigo/node/mcm"
	"kigo/node/verify"
)

// Run holds an engine to all that is asked of a verify.Backend: the golden
// vectors; every batch length from 0 to 2·lanes+1 with a bad trailer in every
// position; results that don't depend on the neighbours; concurrent calls;
// cancellation before and during a call; and refusal of slices that don't match.
// Run opens the engine once and closes it.
func Run(t *testing.T, open func(t testing.TB) verify.Backend) {
	t.Helper()
	b := open(t)
	defer closeBackend(t, b)
	s := newSuite(t, b)
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			start := time.Now()
			if err := c.check(s); err != nil {
				t.Fatalf("%s: %v", b.Info().Name, err)
			}
			t.Logf("%s: %v", b.Info().Name, time.Since(start).Round(time.Millisecond))
		})
	}
}

func closeBackend(t testing.TB, b verify.Backend) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Errorf("%s: close: %v", b.Info().Name, err)
	}
}

// checks are the parts of the suite, the cheap ones first.
var checks = []struct {
	name  string
	check func(*suite) error
}{
	{"info", (*suite).info},
	{"empty", (*suite).empty},
	{"slices of unequal length", (*suite).unequal},
	{"self-test", (*suite).selfTest},
	{"vectors", (*suite).vectors},
	{"lengths and positions", (*suite).positions},
	{"neighbours", (*suite).neighbours},
	{"same trailer in all lanes", (*suite).sameInAllLanes},
	{"concurrent calls", (*suite).concurrent},
	{"cancelled before", (*suite).cancelledBefore},
	{"cancelled during", (*suite).cancelledDuring},
}

// leastLanes is how many lanes a scalar engine is taken to have: its batches may
// still be shared between cores.
const leastLanes = 4

// A suite is an engine and what it is asked.
type suite struct {
	b     verify.Backend
	lanes int // at least leastLanes
	all   []Vector
	good  []Vector // Valid, by Peach
	bad   []Vector // BadWork, by Peach: spoiled by a bit
	cheap []Vector // decided without Peach
	long  bool
}

func newSuite(t testing.TB, b verify.Backend) *suite {
	s := &suite{b: b, lanes: max(b.Info().Lanes, leastLanes), all: Vectors(t), long: os.Getenv("KIGO_TEST_LONG") == "1"}
	for _, v := range s.all {
		switch {
		case v.NoHash:
		case !v.Peach():
			s.cheap = append(s.cheap, v)
		case v.Want.Verdict == verify.Valid:
			s.good = append(s.good, v)
		default:
			s.bad = append(s.bad, v)
		}
	}
	return s
}

// ask has the engine do the vectors in one batch and compares the results.  The
// slots for them hold rubbish before, which must be gone after.
func (s *suite) ask(vectors []Vector) error {
	got, batch := rubbish(len(vectors)), trailersOf(vectors)
	if err := s.b.VerifyPoW(context.Background(), got, batch); err != nil {
		return fmt.Errorf("batch of %d: %w", len(batch), err)
	}
	for i := range vectors {
		if err := vectors[i].Check(got[i]); err != nil {
			return fmt.Errorf("trailer %d of %d: %w", i, len(batch), err)
		}
		if batch[i] != vectors[i].Trailer {
			return fmt.Errorf("trailer %d of %d: the engine changed the caller's trailer", i, len(batch))
		}
	}
	return nil
}

// rubbish returns results that no engine finds out.
func rubbish(n int) []verify.Result {
	r := make([]verify.Result, n)
	for i := range r {
		r[i] = verify.Result{Verdict: verify.Valid, Hash: mcm.Hash{0: 0xba, 31: 0xad}}
	}
	return r
}

func trailersOf(vectors []Vector) []mcm.Trailer {
	ts := make([]mcm.Trailer, len(vectors))
	for i := range vectors {
		ts[i] = vectors[i].Trailer
	}
	return ts
}

func (s *suite) info() error {
	switch i := s.b.Info(); {
	case i.Name == "":
		return errors.New("Info has no name")
	case i.Lanes < 1 || i.Chunk < 1 || i.MinBatch < 0:
		return fmt.Errorf("Info has Lanes %d, Chunk %d, MinBatch %d, want at least 1, 1 and 0", i.Lanes, i.Chunk, i.MinBatch)
	case i.Chunk < i.MinBatch:
		return fmt.Errorf("Info has Chunk %d below MinBatch %d", i.Chunk, i.MinBatch)
	}
	return nil
}

func (s *suite) empty() error {
	return s.b.VerifyPoW(context.Background(), nil, nil)
}

func (s *suite) unequal() error {
	for _, n := range [][2]int{{0, 1}, {1, 0}, {2, 3}, {3, 2}, {s.lanes, s.lanes + 1}} {
		dst := make([]verify.Result, n[0])
		err := s.b.VerifyPoW(context.Background(), dst, trailersOf(cycle(s.good, 0, n[1])))
		var length *verify.LengthError
		if !errors.As(err, &length) || length.Results != n[0] || length.Trailers != n[1] {
			return fmt.Errorf("%d results for %d trailers: got error %v, want a *verify.LengthError that says so", n[0], n[1], err)
		}
		if slices.ContainsFunc(dst, func(r verify.Result) bool { return r != verify.Result{} }) {
			return fmt.Errorf("%d results for %d trailers: something was stored", n[0], n[1])
		}
	}
	return nil
}

func (s *suite) selfTest() error { return verify.SelfTest(context.Background(), s.b) }

// vectors asks all in one batch, then backwards in pieces that are no multiple
// of any width.
func (s *suite) vectors() error {
	if err := s.ask(s.all); err != nil {
		return err
	}
	back := slices.Clone(s.all)
	slices.Reverse(back)
	for piece := range slices.Chunk(back, 2*s.lanes+5) {
		if err := s.ask(piece); err != nil {
			return fmt.Errorf("backwards: %w", err)
		}
	}
	return nil
}

// fullSweep is how many trailers the sweep over lengths and positions may take
// before it is thinned: 4 s at 1,200 a second, ten times that with -race.
const fullSweep = 5_000

// positions sweeps a bad trailer over batches of good ones, for every length.
// For a wide engine that is some 700,000 trailers, so unless KIGO_TEST_LONG is
// set, each length gets the ends, the borders of a step, and a few positions in
// between; over all lengths every position is visited.
func (s *suite) positions() error {
	longest := 2*s.lanes + 1
	all := s.long || longest*(longest+1)*(2*longest+1)/6 <= fullSweep
	const few = 2
	for n := range longest + 1 {
		if n == 0 {
			if err := s.ask(nil); err != nil {
				return err
			}
			continue
		}
		positions := map[int]bool{}
		if all {
			for p := range n {
				positions[p] = true
			}
		} else {
			for _, p := range []int{0, s.lanes - 1, s.lanes, n - 1} {
				positions[min(p, n-1)] = true
			}
			for i := range few {
				positions[(5*n%13+i*n/few)%n] = true
			}
		}
		for _, p := range slices.Sorted(maps.Keys(positions)) {
			batch := cycle(s.good, n+p, n)
			batch[p] = s.bad[(n+p)%len(s.bad)]
			if err := s.ask(batch); err != nil {
				return fmt.Errorf("bad trailer at %d: %w", p, err)
			}
		}
	}
	return nil
}

// cycle returns n vectors from the given one on, beginning again at the end.
func cycle(v []Vector, from, n int) []Vector {
	c := make([]Vector, n)
	for i := range c {
		c[i] = v[(from+i)%len(v)]
	}
	return c
}

// neighbours mixes all kinds in batches of random length and order; a result
// that depends on its neighbours differs sooner or later.
func (s *suite) neighbours() error {
	r := rand.New(rand.NewPCG(1, 2))
	mixed := slices.Concat(cycle(s.good, 0, 2*s.lanes), cycle(s.bad, 0, s.lanes), cycle(s.cheap, 0, 2*s.lanes))
	for range 16 {
		r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		if err := s.ask(mixed[:1+r.IntN(len(mixed))]); err != nil {
			return err
		}
	}
	return s.ask(s.cheap) // none that needs Peach
}

// sameInAllLanes makes all lanes want the same hash function at every step, the
// worst case for an engine that sorts its lanes by function.
func (s *suite) sameInAllLanes() error {
	for i := range 3 {
		if err := s.ask(cycle(s.good[i:i+1], 0, 2*s.lanes+1)); err != nil {
			return err
		}
	}
	return nil
}

func (s *suite) concurrent() error {
	const callers, calls = 4, 4
	var wg sync.WaitGroup
	errs := make([]error, callers)
	for c := range callers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(c), 3))
			for range calls {
				mixed := slices.Concat(cycle(s.good, r.IntN(100), 1+r.IntN(s.lanes+2)), cycle(s.bad, c, 1), cycle(s.cheap, c, 2))
				r.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
				if err := s.ask(mixed); err != nil {
					errs[c] = fmt.Errorf("caller %d: %w", c, err)
					return
				}
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

var errCause = errors.New("the cause of the cancellation")

// interrupted asks for n trailers with a ctx that ends after the given time, 0
// for before, and returns how many were reached.  Those must be right and the
// others Unchecked.
func (s *suite) interrupted(n int, after time.Duration) (reached int, err error) {
	base := slices.Concat(s.good, s.bad, s.cheap)
	batch, got := make([]mcm.Trailer, n), rubbish(n)
	for i := range batch {
		batch[i] = base[i%len(base)].Trailer
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	if after == 0 {
		cancel(errCause)
	} else {
		defer time.AfterFunc(after, func() { cancel(errCause) }).Stop()
	}
	err = s.b.VerifyPoW(ctx, got, batch)
	if !errors.Is(err, errCause) {
		return 0, fmt.Errorf("batch of %d: got error %v, want one that wraps context.Cause(ctx)", n, err)
	}
	for i := range got {
		if got[i] == (verify.Result{}) {
			continue
		}
		reached++
		if err := base[i%len(base)].Check(got[i]); err != nil {
			return 0, fmt.Errorf("trailer %d of %d is neither Unchecked nor right: %w", i, n, err)
		}
	}
	return reached, nil
}

func (s *suite) cancelledBefore() error {
	for _, n := range []int{1, s.lanes, 4 * max(s.lanes, s.b.Info().Chunk)} {
		if reached, err := s.interrupted(n, 0); err != nil {
			return err
		} else if reached == n {
			return fmt.Errorf("all %d trailers were done after the cancellation", n)
		}
	}
	return nil
}

// cancelledDuring has the engine begin a job of some 300 ms and cancels it when
// it is well under way.
func (s *suite) cancelledDuring() error {
	const job, after = 300 * time.Millisecond, 20 * time.Millisecond
	const most = 1 << 20 // 160 MB of trailers
	n, took := max(s.b.Info().Chunk, s.lanes), time.Duration(0)
	for ; took < after; n *= 2 {
		// The best of three: a job that something else held up would seem longer
		// than it is.
		took = time.Hour
		for range 3 {
			start := time.Now()
			if err := s.ask(cycle(s.good, 0, n)); err != nil {
				return err
			}
			took = min(took, time.Since(start))
		}
	}
	// However slow the machine is just now, some chunks are left when the ctx ends.
	n = max(int(float64(n)/2*float64(job)/float64(took)), 8*runtime.GOMAXPROCS(0)*s.b.Info().Chunk)
	n = min(n, most)
	reached, err := s.interrupted(n, after)
	if err != nil {
		return err
	}
	if reached == n {
		return fmt.Errorf("all %d trailers were done, though the ctx ended after %v", n, after)
	}
	return nil
}
