package verifytest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/verify"
)

// Seed returns seed, or what KIGO_TEST_SEED says, or when both are 0 a random
// one, and has a failing test print how to repeat it.
func Seed(t testing.TB, seed uint64) uint64 {
	t.Helper()
	if s := os.Getenv("KIGO_TEST_SEED"); s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil {
			t.Fatalf("KIGO_TEST_SEED=%q, want a decimal number of 64 bits", s)
		}
		seed = n
	}
	for seed == 0 {
		seed = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("repeat with: KIGO_TEST_SEED=%d go test -run '^%s$'", seed, strings.ReplaceAll(t.Name(), "/", "$/^"))
		}
	})
	return seed
}

// Differential compares the engine with an oracle on n random trailers (see
// Trailers), in batches of random lengths from 1 to four times its lanes.  A
// zero seed is drawn at random.
func Differential(t *testing.T, open func(t testing.TB) verify.Backend, oracle verify.Verifier, n int, seed uint64) {
	t.Helper()
	b := open(t)
	defer closeBackend(t, b)
	r := rand.New(rand.NewPCG(Seed(t, seed), 0))
	longest := 4 * max(b.Info().Lanes, 4)
	for done := 0; done < n; {
		batch := Trailers(r, min(1+r.IntN(longest), n-done))
		if err := agree(t.Context(), batch, oracle, b); err != nil {
			t.Fatalf("after %d trailers: %v", done, err)
		}
		done += len(batch)
	}
}

// agree returns an error unless all verifiers find out the same as the first.
func agree(ctx context.Context, batch []mcm.Trailer, verifiers ...verify.Verifier) error {
	want := make([]verify.Result, len(batch))
	got := make([]verify.Result, len(batch))
	for i, v := range verifiers {
		if err := v.VerifyPoW(ctx, got, batch); err != nil {
			return fmt.Errorf("verifier %d: %w", i, err)
		}
		if i == 0 {
			copy(want, got)
		}
		for j := range got {
			if got[j].Verdict == verify.Unchecked || got[j] != want[j] {
				return fmt.Errorf("trailer %d of %d: verifier %d got %v with hash %v, the oracle %v with hash %v; trailer %x",
					j, len(batch), i, got[j].Verdict, got[j].Hash, want[j].Verdict, want[j].Hash, batch[j])
			}
		}
	}
	return nil
}

// maxFuzzed bounds the trailers of one fuzz input, so that a slow engine tries
// many inputs.
const maxFuzzed = 4

// FuzzAgree fuzzes trailers that all verifiers, the first of them the oracle,
// must agree on.  Since random bytes are hardly ever haikus, an odd first byte
// asks for proper nonces and for heights at which Peach is due; the input's own
// bytes choose among them.  The byte's other bits say how many vectors all but the
// oracle get in front of them, so that the lanes of wide engines are filled.
func FuzzAgree(f *testing.F, verifiers ...verify.Verifier) {
	f.Helper()
	vectors := Vectors(f)
	var filling []Vector
	for _, v := range vectors {
		if v.Peach() && !v.NoHash {
			filling = append(filling, v)
		}
	}
	for i := 0; i < len(vectors); i += len(vectors) / 16 {
		f.Add(append([]byte{0}, vectors[i].Trailer[:]...))
		f.Add(append([]byte{byte(i) | 1}, vectors[i].Trailer[:]...))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		batch := fuzzedTrailers(data)
		if len(batch) == 0 {
			return
		}
		want := make([]verify.Result, len(batch))
		if err := verifiers[0].VerifyPoW(t.Context(), want, batch); err != nil {
			t.Fatal(err)
		}
		front := cycle(filling, int(data[0]), int(data[0]>>1))
		batch = append(trailersOf(front), batch...)
		got := make([]verify.Result, len(batch))
		for i, v := range verifiers[1:] {
			if err := v.VerifyPoW(t.Context(), got, batch); err != nil {
				t.Fatalf("verifier %d: %v", i+1, err)
			}
			for j := range front {
				if err := front[j].Check(got[j]); err != nil {
					t.Fatalf("verifier %d, trailer %d of %d: %v", i+1, j, len(batch), err)
				}
			}
			for j, w := range want {
				if g := got[len(front)+j]; g != w {
					t.Fatalf("verifier %d, trailer %d of %d: got %v with hash %v, the oracle %v with hash %v; trailer %x",
						i+1, len(front)+j, len(batch), g.Verdict, g.Hash, w.Verdict, w.Hash, batch[len(front)+j])
				}
			}
		}
	})
}

// fuzzedTrailers makes trailers of a fuzz input; a last one that is cut short is
// filled with zeros.
func fuzzedTrailers(data []byte) []mcm.Trailer {
	if len(data) == 0 {
		return nil
	}
	repair, data := data[0]&1 != 0, data[1:]
	batch := make([]mcm.Trailer, min((len(data)+mcm.TrailerLen-1)/mcm.TrailerLen, maxFuzzed))
	copy(mcm.Bytes(batch), data)
	for i := range batch {
		t := &batch[i]
		if !repair {
			continue
		}
		if !pow.NonceSyntax(t) {
			r := rand.New(rand.NewChaCha8([32]byte(t.Nonce()[:])))
			randomNonce(r, t.Nonce())
		}
		if pow.AlgorithmOf(t) != pow.Peach {
			t.SetNum(mcm.V24Trigger + 1 + t.Num()%(1<<20))
			t.SetTxCount(max(t.TxCount(), 1))
		}
	}
	return batch
}
