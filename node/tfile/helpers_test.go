package tfile

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
	"kigo/node/verify"
)

// clock is the time at which the tests' chains are judged; all solve times lie
// before it.
const clock = 1 << 40

// after returns a trailer that obeys every structure rule after prev.
func after(prev *mcm.Trailer, worked bool) (t mcm.Trailer) {
	n := prev.Num() + 1
	*t.PrevHash() = *prev.Hash()
	t.SetNum(n)
	switch {
	case n.IsNeogenesis():
		t.SetStartTime(prev.StartTime())
		t.SetSolveTime(prev.SolveTime())
		t.SetDifficulty(prev.Difficulty())
	case worked:
		t.SetMinFee(mcm.MinFee)
		t.SetTxCount(1)
		t.SetStartTime(prev.SolveTime())
		t.SetSolveTime(prev.SolveTime() + 100)
		t.SetDifficulty(rules.NextDifficulty(prev))
		binary.LittleEndian.PutUint64(t.Nonce()[:], uint64(n))
	default:
		t.SetStartTime(prev.SolveTime())
		t.SetSolveTime(prev.SolveTime() + n.Bridge())
		t.SetDifficulty(rules.NextDifficulty(prev))
	}
	*t.Hash() = sha256.Sum256(t[:128])
	return t
}

// chain returns the first n trailers of a chain from the genesis on: one block in
// pseudo is a pseudoblock, the others are worked.
func chain(n, pseudo int) []mcm.Trailer {
	ts := []mcm.Trailer{mcm.GenesisTrailer()}
	for len(ts) < n {
		ts = append(ts, after(&ts[len(ts)-1], len(ts)%pseudo != 0))
	}
	return ts[:n]
}

// relink makes ts obey the rules from index i on, keeping which are worked.
func relink(ts []mcm.Trailer, i int) {
	for ; i < len(ts); i++ {
		ts[i] = after(&ts[i-1], ts[i].TxCount() != 0)
	}
}

// v3 returns n trailers of version 3 that are no beginning of a chain.
func v3(n int) []mcm.Trailer {
	var first mcm.Trailer
	first.SetNum(mcm.V30Trigger)
	first.SetSolveTime(1700000000)
	first.SetDifficulty(30)
	*first.Hash() = sha256.Sum256(first[:128])
	ts := []mcm.Trailer{first}
	for len(ts) < n {
		ts = append(ts, after(&ts[len(ts)-1], true))
	}
	return ts
}

func worked(ts []mcm.Trailer) (n int64) {
	for i := range ts {
		if pow.AlgorithmOf(&ts[i]) != pow.None {
			n++
		}
	}
	return n
}

// bytesOf returns a copy of the trailers' bytes.
func bytesOf(ts []mcm.Trailer) []byte { return append([]byte(nil), mcm.Bytes(ts)...) }

func writeFile(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tfile.dat")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A fake is a Verifier that finds every proof of work valid but those it is told
// of, and counts.
type fake struct {
	bad map[mcm.BlockNum]verify.Verdict
	// before, unless nil, is called before each trailer.
	before func(ctx context.Context, t *mcm.Trailer) error

	mu    sync.Mutex
	seen  map[mcm.BlockNum]int // how often each worked block was checked to the end
	calls int
	batch int // longest
}

func (f *fake) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	f.mu.Lock()
	f.calls++
	f.batch = max(f.batch, len(batch))
	f.mu.Unlock()
	for i := range batch {
		t := &batch[i]
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if pow.AlgorithmOf(t) == pow.None {
			dst[i].Verdict = verify.Exempt
			continue
		}
		if f.before != nil {
			if err := f.before(ctx, t); err != nil {
				return err
			}
		}
		dst[i].Verdict = verify.Valid
		if v, bad := f.bad[t.Num()]; bad {
			dst[i] = verify.Result{Verdict: v, Hash: mcm.Hash{0x08}}
		}
		f.mu.Lock()
		if f.seen == nil {
			f.seen = map[mcm.BlockNum]int{}
		}
		f.seen[t.Num()]++
		f.mu.Unlock()
	}
	return nil
}

func (f *fake) total() (n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range f.seen {
		n += int64(k)
	}
	return n
}

// mustVerify runs Verify over data as a file would be and fails on an error.
func mustVerify(t testing.TB, data []byte, o Options) *Report {
	t.Helper()
	rep, err := VerifyFile(t.Context(), writeFile(t, data), o)
	if err != nil {
		t.Fatal(err)
	}
	return rep
}

// instant is a Verifier that finds everything valid and takes no time.
type instant struct{}

func (instant) VerifyPoW(_ context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	for i := range batch {
		dst[i].Verdict = verify.Valid
	}
	return nil
}
