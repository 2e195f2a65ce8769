package cpu

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"kigo/node/mcm"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

// opener returns a function that opens the engine on all cores.
func opener(e Engine) func(testing.TB) verify.Backend {
	return func(testing.TB) verify.Backend { return e.Open(NewCores(runtime.GOMAXPROCS(0))) }
}

// TestConformance puts each engine through the same suite.
func TestConformance(t *testing.T) {
	for _, e := range Engines() {
		t.Run(e.Name, func(t *testing.T) {
			verifytest.Require(t, e.Name, e.Available, e.Reason)
			verifytest.Run(t, opener(e))
		})
	}
}

// TestEnginesAgree compares each engine with the oracle on random trailers whose
// floating-point words are often NaN, infinite, subnormal or about to be.
func TestEnginesAgree(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 2_000
	}
	seed := verifytest.Seed(t, rand.Uint64())
	trailers := verifytest.Trailers(rand.New(rand.NewPCG(seed, 0)), n)
	engines := Engines()
	oracle := engines[len(engines)-1]
	want := results(t, oracle, trailers, nil)
	for _, e := range engines[:len(engines)-1] {
		t.Run(e.Name, func(t *testing.T) {
			verifytest.Require(t, e.Name, e.Available, e.Reason)
			got := results(t, e, trailers, rand.New(rand.NewPCG(seed, 1)))
			for j := range want {
				if got[j] != want[j] {
					t.Fatalf("trailer %d (%x): got %v %v, portable has %v %v", j, trailers[j], got[j].Verdict, got[j].Hash, want[j].Verdict, want[j].Hash)
				}
			}
		})
	}
}

// results checks batch in one call, or where r is given in calls of random
// lengths: most of them up to a few lanes, some of several chunks.
func results(t testing.TB, e Engine, batch []mcm.Trailer, r *rand.Rand) []verify.Result {
	t.Helper()
	dst := make([]verify.Result, len(batch))
	v := opener(e)(t)
	for from := 0; from < len(batch); {
		n := len(batch)
		if r != nil {
			n = 1 + r.IntN(3*e.Chunk)
			if r.IntN(4) > 0 {
				n = 1 + r.IntN(3*e.Lanes)
			}
		}
		to := min(from+n, len(batch))
		if err := v.VerifyPoW(t.Context(), dst[from:to], batch[from:to]); err != nil {
			t.Fatal(err)
		}
		from = to
	}
	return dst
}

// FuzzVerifyAgree has all engines of the machine say the same of any trailers.
func FuzzVerifyAgree(f *testing.F) {
	var verifiers []verify.Verifier
	for _, e := range Engines() {
		if e.Available {
			verifiers = append(verifiers, e.Open(NewCores(1)))
		}
	}
	slices.Reverse(verifiers) // the oracle first
	verifytest.FuzzAgree(f, verifiers...)
}

func TestPortableIsTheLast(t *testing.T) {
	engines := Engines()
	last := engines[len(engines)-1]
	if last.Name != "portable" || !last.Available || last.MinBatch != 1 {
		t.Errorf("the last engine is %+v, want portable, available for any batch", last)
	}
	seen := map[string]bool{}
	for _, e := range engines {
		if seen[e.Name] {
			t.Errorf("two engines are called %s", e.Name)
		}
		seen[e.Name] = true
		if e.Available == (e.Reason != "") || e.Chunk < 1 || e.Lanes < 1 || e.Chunk < e.Lanes {
			t.Errorf("engine %+v", e)
		}
	}
}

func TestUnavailableEngineDoesNotOpen(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("opened an engine that the machine can't run")
		}
	}()
	Engine{Info: verify.Info{Name: "none"}, Reason: "a test"}.Open(NewCores(1))
}
