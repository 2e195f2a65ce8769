package verifytest

import (
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/verify"
)

func TestTrailers(t *testing.T) {
	const n = 4000
	ts := Trailers(rand.New(rand.NewPCG(1, 1)), n)
	if len(ts) != n {
		t.Fatalf("%d trailers, want %d", len(ts), n)
	}
	seen := map[string]int{}
	for i := range ts {
		tr := &ts[i]
		haiku := pow.NonceSyntax(tr)
		switch a := pow.AlgorithmOf(tr); {
		case a == pow.None:
			seen["exempt"]++
		case !haiku:
			seen["bad nonce"]++
		default:
			seen[a.String()]++
		}
		if tr.Num() > math.MaxUint32 {
			seen["number above 32 bits"]++
		}
		if tr.Num() == mcm.AnomalyNum {
			seen["exception's number"]++
		}
		if tr.Difficulty() > 255 {
			seen["high difficulty bytes"]++
		}
		first, second := pow.Halves(tr)
		for _, h := range []*pow.Half{first, second} {
			if haiku && h[15] != 0 {
				seen["free bytes"]++
			}
		}
		for w := 0; w < mcm.HashLen; w += 4 {
			x := math.Float32frombits(binary.LittleEndian.Uint32(tr.PrevHash()[w:]))
			switch abs := math.Abs(float64(x)); {
			case x != x:
				seen["NaN"]++
			case math.IsInf(abs, 0):
				seen["infinite"]++
			case abs == 0:
				seen["zero"]++
			case abs < 0x1p-126:
				seen["subnormal"]++
			case abs/(1<<31) < 0x1p-126:
				seen["subnormal quotient"]++
			case abs*(1<<31) > math.MaxFloat32:
				seen["overflow"]++
			}
		}
	}
	for what, share := range map[string]float64{
		"peach": 0.6, "trigg": 0.05, "exempt": 0.04, "bad nonce": 0.05,
		"number above 32 bits": 0.01, "exception's number": 0.01, "high difficulty bytes": 0.3, "free bytes": 0.3,
		"NaN": 0.8, "infinite": 0.4, "zero": 0.4, "subnormal": 0.8, "subnormal quotient": 0.8, "overflow": 0.8,
	} {
		if got := float64(seen[what]) / n; got < share {
			t.Errorf("%.3f of a trailer has or is: %s; want at least %.3f", got, what, share)
		}
	}
	again := Trailers(rand.New(rand.NewPCG(1, 1)), n)
	for i := range ts {
		if ts[i] != again[i] {
			t.Fatal("the same seed gives other trailers")
		}
	}
}

// broken is what the tests below run in a process of their own, where it has to
// fail.
func broken(t *testing.T, name string) (output string, failed bool) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBroken$", "-test.v")
	cmd.Env = append(os.Environ(), "VERIFYTEST_BROKEN="+name, "KIGO_TEST_REQUIRE=cuda,"+name, "KIGO_TEST_SEED=")
	out, err := cmd.CombinedOutput()
	return string(out), err != nil
}

func TestBroken(t *testing.T) {
	switch os.Getenv("VERIFYTEST_BROKEN") {
	case "":
		t.Skip("is run by other tests")
	case "differential":
		wrong := &Fake{About: verify.Info{Lanes: 1}, Hash: func(t *mcm.Trailer) mcm.Hash {
			hash := FakeHash(t)
			if t.PrevHash()[0]&0xf == 0 {
				hash[31] ^= 1
			}
			return hash
		}}
		Differential(t, func(testing.TB) verify.Backend { return wrong }, &Fake{}, 1000, 42)
	case "avx512":
		Require(t, "avx512", false, "the processor has none")
	case "open":
		Run(t, func(t testing.TB) verify.Backend {
			f := newFake(t, 1)
			f.CloseErr = context.Canceled
			return steps{f, 64}
		})
	}
}

func TestDifferential(t *testing.T) {
	f := &Fake{About: verify.Info{Lanes: 8}}
	Differential(t, func(testing.TB) verify.Backend { return f }, &Fake{}, 1000, 0)
	sum := 0
	for _, n := range f.Calls() {
		sum += n
	}
	if sum != 1000 || f.Closed() != 1 {
		t.Errorf("%d trailers, closed %d times; want 1000 and 1", sum, f.Closed())
	}
	out, failed := broken(t, "differential")
	if !failed || !strings.Contains(out, "KIGO_TEST_SEED=42 go test -run '^TestBroken$'") {
		t.Errorf("a wrong engine passes, or the seed isn't told:\n%s", out)
	}
}

func TestRequire(t *testing.T) {
	Require(t, "avx512", true, "")
	if out, failed := broken(t, "avx512"); !failed || !strings.Contains(out, "the processor has none") {
		t.Errorf("a required engine may be missing:\n%s", out)
	}
	t.Run("skips", func(t *testing.T) {
		t.Setenv("KIGO_TEST_REQUIRE", "cuda")
		defer func() {
			if !t.Skipped() {
				t.Error("not skipped")
			}
		}()
		Require(t, "avx512", false, "as it should")
	})
}

func TestRunTellsCloseErrors(t *testing.T) {
	if out, failed := broken(t, "open"); !failed || !strings.Contains(out, "close: context canceled") {
		t.Errorf("an engine that can't be closed passes:\n%s", out)
	}
}

func TestFuzzedTrailers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	data := make([]byte, 1+3*mcm.TrailerLen+10)
	for i := range data {
		data[i] = byte(r.Uint32())
	}
	data[0] = 1
	batch := fuzzedTrailers(data)
	if len(batch) != 4 {
		t.Fatalf("%d trailers, want 4", len(batch))
	}
	for i := range batch {
		if !pow.NonceSyntax(&batch[i]) {
			t.Errorf("trailer %d has no proper nonce", i)
		}
	}
	data[0] = 0
	if got := fuzzedTrailers(data)[0]; [160]byte(got) != [160]byte(data[1:]) {
		t.Error("the bytes were changed though nothing asks for it")
	}
	if got := fuzzedTrailers(nil); len(got) != 0 {
		t.Errorf("%d trailers of nothing", len(got))
	}
	if got := fuzzedTrailers(make([]byte, 10_000)); len(got) != maxFuzzed {
		t.Errorf("%d trailers, want %d", len(got), maxFuzzed)
	}
}

func TestAgreeFindsDifferences(t *testing.T) {
	ts := Trailers(rand.New(rand.NewPCG(4, 4)), 20)
	silent := &Fake{Spoil: func(_ []mcm.Trailer, r []verify.Result) { clear(r) }}
	for name, v := range map[string]verify.Verifier{
		"says nothing": silent,
		"fails":        &Fake{Before: func(context.Context, int, []mcm.Trailer) error { return context.Canceled }},
		"other hash":   &Fake{Hash: func(*mcm.Trailer) mcm.Hash { return mcm.Hash{} }},
	} {
		if err := agree(t.Context(), ts, &Fake{}, v); err == nil {
			t.Errorf("a verifier that %s agrees", name)
		}
	}
	if err := agree(t.Context(), ts, silent, silent); err == nil {
		t.Error("verifiers that say nothing agree")
	}
}
