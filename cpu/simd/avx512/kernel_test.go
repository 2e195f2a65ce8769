package avx512

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"kigo/cpu/portable"
	"kigo/node/mcm"
	"kigo/node/verify/verifytest"
)

// newKernel skips where the package can't run, or fails if KIGO_TEST_REQUIRE
// names it.
func newKernel(t testing.TB) *Kernel {
	t.Helper()
	ok, reason := Supported()
	verifytest.Require(t, "avx512", ok, reason)
	return New()
}

func TestSupportedGivesAReason(t *testing.T) {
	ok, reason := Supported()
	if ok != (reason == "") {
		t.Errorf("got %v and reason %q, want a reason just when it isn't supported", ok, reason)
	}
	if ok {
		return
	}
	defer func() {
		if recover() == nil {
			t.Error("New did not panic")
		}
	}()
	New()
}

// vectors returns the golden trailers with a Peach hash.
func vectors(t testing.TB) (batch []mcm.Trailer, want []mcm.Hash) {
	t.Helper()
	for _, v := range verifytest.Vectors(t) {
		if v.Peach() && !v.NoHash {
			batch = append(batch, v.Trailer)
			want = append(want, v.Want.Hash)
		}
	}
	if len(batch) < 500 {
		t.Fatalf("only %d vectors", len(batch))
	}
	return batch, want
}

func compare(t *testing.T, what string, batch []mcm.Trailer, got, want []mcm.Hash) {
	t.Helper()
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: trailer %d of %d: got %v, want %v; trailer %x", what, i, len(want), got[i], want[i], batch[i])
		}
	}
}

// TestLengths runs every batch length up to two steps and one, on one Kernel so
// that each call finds the leftovers of the one before.  The vectors move on by a
// number that has no factor in common with the lanes, so each meets many lanes.
func TestLengths(t *testing.T) {
	k := newKernel(t)
	batch, want := vectors(t)
	for n := range 2*Lanes + 2 {
		got := make([]mcm.Hash, n+1)
		at := n * 37 % (len(batch) - n)
		k.Hash(got[:n], batch[at:at+n])
		compare(t, fmt.Sprintf("from %d", at), batch[at:], got, want[at:at+n])
		if !got[n].IsZero() {
			t.Errorf("length %d: wrote behind dst", n)
		}
	}
}

// TestPositions puts one trailer in every lane of a step and of the last of
// several steps, among others, and compares all.
func TestPositions(t *testing.T) {
	k := newKernel(t)
	batch, want := vectors(t)
	for _, n := range []int{Lanes, Lanes + 17, 300} {
		for lane := max(0, n-Lanes-3); lane < n; lane++ {
			b, w := append([]mcm.Trailer(nil), batch[:n]...), append([]mcm.Hash(nil), want[:n]...)
			one := 300 + lane%(len(batch)-300)
			b[lane], w[lane] = batch[one], want[one]
			got := make([]mcm.Hash, n)
			k.Hash(got, b)
			compare(t, fmt.Sprintf("vector %d in lane %d", one, lane), b, got, w)
		}
	}
}

func TestFullChunk(t *testing.T) {
	k := newKernel(t)
	vs, hashes := vectors(t)
	batch, want, got := make([]mcm.Trailer, Chunk), make([]mcm.Hash, Chunk), make([]mcm.Hash, Chunk)
	for i := range batch {
		batch[i], want[i] = vs[i%len(vs)], hashes[i%len(vs)]
	}
	k.Hash(got, batch)
	compare(t, "full chunk", batch, got, want)
}

// TestSameInAllLanes gives all lanes one trailer, so that they want the same hash
// function at every step.  The lengths make MD2 use each of its widths, alone and
// together.
func TestSameInAllLanes(t *testing.T) {
	k := newKernel(t)
	vs, hashes := vectors(t)
	for _, n := range []int{65, 128, 129, 193, 257, 320, 321, Chunk - 1, Chunk} {
		batch, want := make([]mcm.Trailer, n), make([]mcm.Hash, n)
		for one := range 4 {
			for i := range n {
				batch[i], want[i] = vs[one], hashes[one]
			}
			got := make([]mcm.Hash, n)
			k.Hash(got, batch)
			compare(t, fmt.Sprintf("vector %d in all lanes", one), batch, got, want)
		}
	}
}

func TestNoSyntaxNeeded(t *testing.T) {
	k := newKernel(t)
	batch := make([]mcm.Trailer, 3) // all zero: no haiku
	batch[1][0], batch[2][123] = 1, 1
	got, want := make([]mcm.Hash, 3), make([]mcm.Hash, 3)
	k.Hash(got, batch)
	portable.New().Hash(want, batch)
	compare(t, "zero trailers", batch, got, want)
}

func TestBadLengthsPanic(t *testing.T) {
	k := newKernel(t)
	for _, c := range []struct{ hashes, trailers int }{{1, 2}, {2, 1}, {0, 1}, {Chunk + 1, Chunk + 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic at %d hashes for %d trailers, chunk %d", c.hashes, c.trailers, Chunk)
				}
			}()
			k.Hash(make([]mcm.Hash, c.hashes), make([]mcm.Trailer, c.trailers))
		}()
	}
}

// TestOracle compares with cpu/portable on random trailers whose previous hash
// and nonce are made of words that are often NaN, infinite, subnormal, zero, or
// have subnormal products and quotients.
func TestOracle(t *testing.T) {
	k := newKernel(t)
	seed := verifytest.Seed(t, 0)
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	n := 2000
	if testing.Short() {
		n = 200
	}
	batch := make([]mcm.Trailer, n)
	for i := range batch {
		for w := 0; w < mcm.TrailerLen; w += 4 {
			word := r.Uint32()
			if r.IntN(2) == 0 {
				word = specialWord(r)
			}
			binary.LittleEndian.PutUint32(batch[i][w:], word)
		}
	}
	want, got := make([]mcm.Hash, n), make([]mcm.Hash, n)
	portable.New().Hash(want, batch)
	for at := 0; at < n; {
		c := min(1+r.IntN(4*Lanes), n-at)
		k.Hash(got[at:at+c], batch[at:at+c])
		at += c
	}
	compare(t, "random", batch, got, want)
}

// specialWord returns the bits of a float32 that engines may get wrong.
func specialWord(r *rand.Rand) uint32 {
	sign, fraction := r.Uint32()&(1<<31), r.Uint32()&(1<<23-1)
	switch r.IntN(6) {
	case 0: // NaN, quiet or signalling
		return sign | 0xff<<23 | max(fraction, 1)
	case 1: // infinity or zero
		return sign | r.Uint32N(2)*0xff<<23
	case 2: // subnormal
		return sign | fraction>>r.IntN(23)
	case 3: // a tiny quotient by a byte
		return sign | (1+r.Uint32N(8))<<23 | fraction
	case 4: // a tiny quotient by 2^31, often on a tie
		return sign | (1+r.Uint32N(33))<<23 | fraction&^(1<<r.IntN(23)-1)
	}
	return sign | (222+r.Uint32N(33))<<23 | fraction // overflows
}

// TestWriteVectors writes the vectors for check/check.c when KIGO_WRITE_VECTORS
// names a file; the Makefile does.
func TestWriteVectors(t *testing.T) {
	file := os.Getenv("KIGO_WRITE_VECTORS")
	if file == "" {
		t.Skip("KIGO_WRITE_VECTORS names no file")
	}
	var records []byte
	batch, want := vectors(t)
	for i := range batch {
		records = append(append(records, batch[i][:]...), want[i][:]...)
	}
	if err := os.WriteFile(file, records, 0o644); err != nil {
		t.Fatal(err)
	}
}

func BenchmarkHash(b *testing.B) {
	k := newKernel(b)
	vs, _ := vectors(b)
	for _, n := range []int{1, 54, 256, Chunk} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			batch, dst := make([]mcm.Trailer, n), make([]mcm.Hash, n)
			for i := range batch {
				batch[i] = vs[i%len(vs)]
			}
			for b.Loop() {
				k.Hash(dst, batch)
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "trailers/s")
		})
	}
}
