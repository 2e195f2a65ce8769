package tfile

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"reflect"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/verify"
)

// stream hides that a reader can do more than read.
type stream struct{ io.Reader }

// raggedReader reads a random number of bytes at a time, sometimes none.
type raggedReader struct {
	r   io.Reader
	rng *rand.Rand
}

func (r *raggedReader) Read(b []byte) (int, error) {
	n := min(len(b), r.rng.IntN(5000))
	if n == 0 {
		return 0, nil
	}
	return r.r.Read(b[:n])
}

// TestReaders has the same report come from every way of delivering the same
// bytes.
func TestReaders(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	good := chain(2300, 3)
	broken := chain(2300, 3)
	broken[1700].SetMinFee(77)
	relink(broken, 1701)
	for name, data := range map[string][]byte{"good": bytesOf(good), "broken": bytesOf(broken), "short": bytesOf(good[:1])} {
		for _, all := range []bool{false, true} {
			o := Options{
				Verifier: &fake{bad: map[mcm.BlockNum]verify.Verdict{2000: verify.BadWork, 2002: verify.BadNonce}},
				Now:      clock, Batch: 1000, All: all,
			}
			want := mustVerify(t, data, o)
			want.Elapsed = 0
			for how, r := range map[string]io.Reader{
				"stream":   stream{bytes.NewReader(data)},
				"seekable": bytes.NewReader(data),
				"one byte": iotest.OneByteReader(bytes.NewReader(data)),
				"half":     iotest.HalfReader(bytes.NewReader(data)),
				"data+EOF": iotest.DataErrReader(bytes.NewReader(data)),
				"ragged":   &raggedReader{bytes.NewReader(data), rand.New(rand.NewPCG(seed, 0))},
			} {
				size := int64(-1)
				if how == "seekable" {
					size = int64(len(data))
				}
				got, err := Verify(t.Context(), r, size, o)
				if err != nil {
					t.Fatal(err)
				}
				got.Elapsed = 0
				if !reflect.DeepEqual(got, want) {
					t.Errorf("%s, all %t, %s: got %+v, want %+v", name, all, how, got, want)
				}
			}
		}
	}
}

// TestOffset has Verify begin where a seekable reader stands.
func TestOffset(t *testing.T) {
	ts := chain(1200, 3)
	data := append([]byte("some header"), bytesOf(ts)...)
	r := bytes.NewReader(data)
	if _, err := r.Seek(11, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	var last Progress
	rep, err := Verify(t.Context(), r, 1200*160, Options{Now: clock, Verifier: &fake{}, Progress: func(p Progress) { last = p }})
	if err != nil || !rep.Valid() || last.Fault != nil {
		t.Errorf("got %v, %v, scout's fault %v", rep.Problems, err, last.Fault)
	}
}

func TestSizePromised(t *testing.T) {
	ts := chain(1200, 3)
	rep, err := Verify(t.Context(), bytes.NewReader(bytesOf(ts)), 1000*160, Options{Now: clock})
	if err != nil || !rep.Valid() || rep.Trailers != 1000 {
		t.Errorf("more data than promised: got %d trailers, %v", rep.Trailers, err)
	}
	rep, err = Verify(t.Context(), bytes.NewReader(bytesOf(ts)), 1201*160, Options{Now: clock})
	if !errors.Is(err, io.ErrUnexpectedEOF) || rep.Valid() || rep.Trailers != 1200 {
		t.Errorf("less data than promised: got %d trailers, %v", rep.Trailers, err)
	}
}

func TestReadError(t *testing.T) {
	ts := chain(3000, 3)
	broken := errors.New("cable cut")
	for _, at := range []int{0, 1, 160, 161, 1000 * 160, 2345*160 + 7} {
		r := io.MultiReader(bytes.NewReader(bytesOf(ts)[:at]), iotest.ErrReader(broken))
		rep, err := Verify(t.Context(), r, -1, Options{Now: clock, Verifier: &fake{}, Batch: 1000})
		if !errors.Is(err, broken) || rep.Valid() || rep.Complete || rep.Trailers != int64(at/160) || len(rep.Problems) != 0 {
			t.Errorf("at byte %d: got %+v, %v", at, rep, err)
		}
	}
	// A problem before it counts.
	ts[50].SetMinFee(3)
	r := io.MultiReader(bytes.NewReader(bytesOf(ts)[:16000]), iotest.ErrReader(broken))
	if rep, err := Verify(t.Context(), r, -1, Options{Now: clock}); err != nil || len(rep.Problems) != 1 || rep.Problems[0].Rule != rules.MinFee {
		t.Errorf("problem before the error: got %v, %v", rep.Problems, err)
	}
	if _, err := Verify(t.Context(), stuck{}, -1, Options{Now: clock}); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that never delivers: got %v", err)
	}
}

type stuck struct{}

func (stuck) Read([]byte) (int, error) { return 0, nil }

func TestCancel(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	ts := chain(6000, 3)
	why := errors.New("operator went home")
	for range 20 {
		ctx, cancel := context.WithCancelCause(t.Context())
		at := mcm.BlockNum(rng.IntN(5999)) // at least one trailer is left
		var after atomic.Int64
		f := &fake{before: func(own context.Context, t *mcm.Trailer) error {
			if t.Num() >= at {
				cancel(why)
			}
			if own.Err() != nil { // ctx's own end comes a little earlier
				after.Add(1)
			}
			return nil
		}}
		rep, err := Verify(ctx, bytes.NewReader(bytesOf(ts)), 6000*160, Options{Now: clock, Verifier: f, Batch: 1000})
		if !errors.Is(err, why) || rep.Complete || rep.Valid() {
			t.Fatalf("cancelled at %v: got %v, complete %t", at, err, rep.Complete)
		}
		if rep.Trailers > 6000 || rep.Checked > f.total() {
			t.Errorf("report of %d trailers, %d checked, engine has done %d", rep.Trailers, rep.Checked, f.total())
		}
		if after.Load() > provers {
			t.Errorf("engine went on for %d trailers", after.Load())
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if rep, err := Verify(ctx, bytes.NewReader(bytesOf(ts)), -1, Options{Now: clock}); !errors.Is(err, why) || rep.Valid() {
		t.Errorf("cancelled before: got %v", err)
	}
}

// blocked is an engine that waits until it is let go.
type blocked struct{ until chan struct{} }

func (b blocked) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	select {
	case <-b.until:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return new(fake).VerifyPoW(ctx, dst, batch)
}

// TestScout has the structure of a whole file known while no proof of work has
// ended yet.
func TestScout(t *testing.T) {
	ts := chain(30000, 3)
	until := make(chan struct{})
	var first Progress
	known := false
	rep := mustVerify(t, bytesOf(ts), Options{Now: clock, Batch: 1000, Verifier: blocked{until}, Progress: func(p Progress) {
		if !known && p.Read == 30000 {
			known, first = true, p
			close(until)
		}
	}})
	if !rep.Valid() || first.Proven != 0 || first.Total != 30000 {
		t.Errorf("valid %t, first report with all structure known: %+v", rep.Valid(), first)
	}
}

// TestFaultAtOnce has a broken structure told while no proof of work has ended
// yet; a caller who has enough then can end the run.
func TestFaultAtOnce(t *testing.T) {
	ts := chain(30000, 3)
	ts[29000].SetMinFee(1)
	relink(ts, 29001)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var fault *Problem
	rep, err := VerifyFile(ctx, writeFile(t, bytesOf(ts)), Options{Now: clock, Batch: 1000, Verifier: blocked{nil}, Progress: func(p Progress) {
		if p.Fault != nil {
			fault = p.Fault
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) || fault == nil || fault.Index != 29000 || fault.Rule != rules.MinFee {
		t.Errorf("got %v, fault %v", err, fault)
	}
	if len(rep.Problems) != 0 || rep.Complete || rep.Trailers > 1 {
		t.Errorf("got %+v", rep)
	}
}

// endless is a stream of blocks from the genesis on, made as they are read: one in
// 500 is worked, the others are pseudoblocks.
type endless struct {
	left  int
	prev  mcm.Trailer
	begun bool
	taken atomic.Int64 // trailers delivered
	watch func()
}

func (e *endless) Read(b []byte) (n int, err error) {
	for len(b) >= 160 && e.left > 0 {
		t := mcm.GenesisTrailer()
		if e.begun {
			t = e.next()
		}
		e.begun, e.prev = true, t
		b = b[copy(b, t[:]):]
		n += 160
		e.left--
	}
	e.taken.Add(int64(n / 160))
	if e.watch != nil {
		e.watch()
	}
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// next is after without a hash, which nobody checks before version 3.
func (e *endless) next() (t mcm.Trailer) {
	n := e.prev.Num() + 1
	*t.PrevHash() = *e.prev.Hash()
	t.SetNum(n)
	t.SetDifficulty(e.prev.Difficulty())
	t.SetStartTime(e.prev.StartTime())
	t.SetSolveTime(e.prev.SolveTime())
	if !n.IsNeogenesis() {
		t.SetDifficulty(rules.NextDifficulty(&e.prev))
		t.SetStartTime(e.prev.SolveTime())
		t.SetSolveTime(e.prev.SolveTime() + n.Bridge())
	}
	if n%500 == 1 && !n.IsNeogenesis() {
		t.SetTxCount(1)
		t.SetMinFee(mcm.MinFee)
	}
	*t.Hash() = mcm.Hash{byte(n), byte(n >> 8), byte(n >> 16)}
	return t
}

// TestMemory streams 48 MB with a side file, has the engine wait until every chunk
// is full, and looks at the heap.
func TestMemory(t *testing.T) {
	const trailers = 300000
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var peak uint64
	reads := 0
	full := make(chan struct{})
	r := &endless{left: trailers}
	r.watch = func() {
		if reads++; reads <= maxChunks+1 || reads%4 == 0 {
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapAlloc)
		}
		if r.taken.Load() == maxChunks*DefaultBatch {
			close(full)
		}
	}
	rep, err := Verify(t.Context(), r, -1, Options{Now: clock, Verifier: blocked{full}, Batch: DefaultBatch, Resume: t.TempDir() + "/side"})
	if err != nil || !rep.Valid() || rep.Trailers != trailers || rep.Checked == 0 {
		t.Fatalf("got %+v, %v", rep, err)
	}
	used := int64(peak) - int64(before.HeapAlloc)
	t.Logf("heap grew by %.1f MiB over %d reads", float64(used)/(1<<20), reads)
	if used > 64<<20 || used < maxChunks*DefaultBatch*160 {
		t.Errorf("heap grew by %d bytes, want all chunks' buffers and at most 64 MiB", used)
	}
}

// TestWindow has a stream wait for proof of work once the chunks are full.
func TestWindow(t *testing.T) {
	const batch = 1000
	until := make(chan struct{})
	ts := chain(20*batch, 3)
	r := &counted{r: bytes.NewReader(bytesOf(ts))}
	told := 0
	rep, err := Verify(t.Context(), r, -1, Options{Now: clock, Verifier: blocked{until}, Batch: batch, Progress: func(Progress) {
		if told++; told == 3 { // a fifth of a second has passed
			close(until)
			return
		}
		if n := r.n.Load(); told < 3 && n > maxChunks*batch*160 {
			t.Errorf("%d bytes read before any proof of work, want at most %d", n, maxChunks*batch*160)
		}
	}})
	if err != nil || !rep.Valid() {
		t.Errorf("got %v, %v", rep.Problems, err)
	}
}

type counted struct {
	r io.Reader
	n atomic.Int64
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n.Add(int64(n))
	return n, err
}

// TestInFlight has two batches with the engine at once and never more.
func TestInFlight(t *testing.T) {
	var now, most atomic.Int64
	gate := make(chan struct{})
	f := verifierFunc(func(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
			if n == provers {
				close(gate)
			}
		}
		defer now.Add(-1)
		select {
		case <-gate:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		return new(fake).VerifyPoW(ctx, dst, batch)
	})
	rep := mustVerify(t, bytesOf(chain(10000, 3)), Options{Now: clock, Verifier: f, Batch: 1000})
	if !rep.Valid() || most.Load() != provers {
		t.Errorf("valid %t with %d batches at once", rep.Valid(), most.Load())
	}
}

type verifierFunc func(context.Context, []verify.Result, []mcm.Trailer) error

func (f verifierFunc) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	return f(ctx, dst, batch)
}

func TestProgress(t *testing.T) {
	ts := chain(12000, 3)
	var told []Progress
	rep, err := Verify(t.Context(), stream{bytes.NewReader(bytesOf(ts))}, -1, Options{Now: clock, Verifier: &fake{}, Batch: 1000, Progress: func(p Progress) { told = append(told, p) }})
	if err != nil || !rep.Valid() {
		t.Fatal(rep.Problems, err)
	}
	if n := len(told); n == 0 || told[n-1].Read != 12000 || told[n-1].Proven != 12000 || told[n-1].Total != -1 {
		t.Fatalf("last progress: %+v", told)
	}
	if limit := int(rep.Elapsed/progressTick) + 2; len(told) > limit {
		t.Errorf("told %d times in %v, want at most %d", len(told), rep.Elapsed, limit)
	}
	for i := 1; i < len(told); i++ {
		if a, b := told[i-1], told[i]; b.Read < a.Read || b.Proven < a.Proven || b.Proven > b.Read || b.Elapsed < a.Elapsed {
			t.Errorf("progress went from %+v to %+v", a, b)
		}
	}
	if rep.Elapsed <= 0 || rep.Elapsed > time.Hour {
		t.Errorf("elapsed %v", rep.Elapsed)
	}
}
