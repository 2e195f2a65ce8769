package verifytest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"kigo/node/mcm"
)

// A Hasher stores the final Peach hash of batch[i] in dst[i].
type Hasher func(dst []mcm.Hash, batch []mcm.Trailer)

// A Kernel is a Peach function for one core, below any engine, to be tested: that
// its lanes, steps and leftovers don't get into each other's way.
type Kernel struct {
	Lanes, Chunk int
	// Lengths are batches of one trailer in all lanes that fill the kernel's
	// vectors to all widths there are.
	Lengths []int
	New     func() Hasher // with scratch memory of its own
	Oracle  Hasher
}

// Run runs all tests of the kernel.
func (k Kernel) Run(t *testing.T) {
	t.Run("lengths", k.lengths)
	t.Run("positions", k.positions)
	t.Run("full chunk", k.fullChunk)
	t.Run("same in all lanes", k.sameInAllLanes)
	t.Run("no syntax needed", k.noSyntaxNeeded)
	t.Run("bad lengths panic", k.badLengthsPanic)
	t.Run("random", k.random)
}

// WriteVectors writes the golden trailers with a Peach hash, each followed by its
// hash, to the file that KIGO_WRITE_VECTORS names: for programs in C that run a
// kernel under a sanitizer.
func WriteVectors(t *testing.T) {
	file := os.Getenv("KIGO_WRITE_VECTORS")
	if file == "" {
		t.Skip("KIGO_WRITE_VECTORS names no file")
	}
	var records []byte
	batch, want := kernelVectors(t)
	for i := range batch {
		records = append(append(records, batch[i][:]...), want[i][:]...)
	}
	if err := os.WriteFile(file, records, 0o644); err != nil {
		t.Fatal(err)
	}
}

// kernelVectors returns the golden trailers with a Peach hash.
func kernelVectors(t testing.TB) (batch []mcm.Trailer, want []mcm.Hash) {
	t.Helper()
	for _, v := range Vectors(t) {
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

func compareHashes(t *testing.T, what string, batch []mcm.Trailer, got, want []mcm.Hash) {
	t.Helper()
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%s: trailer %d of %d: got %v, want %v; trailer %x", what, i, len(want), got[i], want[i], batch[i])
		}
	}
}

// lengths runs every batch length up to two steps and one, on one Kernel so
// that each call finds the leftovers of the one before.  The vectors move on by a
// number that has no factor in common with the lanes, so each meets many lanes.
func (k Kernel) lengths(t *testing.T) {
	hash := k.New()
	batch, want := kernelVectors(t)
	for n := range 2*k.Lanes + 2 {
		got := make([]mcm.Hash, n+1)
		at := n * 37 % (len(batch) - n)
		hash(got[:n], batch[at:at+n])
		compareHashes(t, fmt.Sprintf("from %d", at), batch[at:], got, want[at:at+n])
		if !got[n].IsZero() {
			t.Errorf("length %d: wrote behind dst", n)
		}
	}
}

// positions puts one trailer in every lane of a step and of the last of
// several steps, among others, and compares all.
func (k Kernel) positions(t *testing.T) {
	hash := k.New()
	batch, want := kernelVectors(t)
	for _, n := range []int{k.Lanes, k.Lanes + 17, 300} {
		for lane := max(0, n-k.Lanes-3); lane < n; lane++ {
			b, w := append([]mcm.Trailer(nil), batch[:n]...), append([]mcm.Hash(nil), want[:n]...)
			one := 300 + lane%(len(batch)-300)
			b[lane], w[lane] = batch[one], want[one]
			got := make([]mcm.Hash, n)
			hash(got, b)
			compareHashes(t, fmt.Sprintf("vector %d in lane %d", one, lane), b, got, w)
		}
	}
}

func (k Kernel) fullChunk(t *testing.T) {
	hash := k.New()
	vs, hashes := kernelVectors(t)
	batch, want, got := make([]mcm.Trailer, k.Chunk), make([]mcm.Hash, k.Chunk), make([]mcm.Hash, k.Chunk)
	for i := range batch {
		batch[i], want[i] = vs[i%len(vs)], hashes[i%len(vs)]
	}
	hash(got, batch)
	compareHashes(t, "full chunk", batch, got, want)
}

// sameInAllLanes gives all lanes one trailer, so that they want the same hash
// function at every step.  Lengths make it use each
// width of its vectors, alone and together.
func (k Kernel) sameInAllLanes(t *testing.T) {
	hash := k.New()
	vs, hashes := kernelVectors(t)
	for _, n := range append(k.Lengths, k.Chunk-1, k.Chunk) {
		batch, want := make([]mcm.Trailer, n), make([]mcm.Hash, n)
		for one := range 4 {
			for i := range n {
				batch[i], want[i] = vs[one], hashes[one]
			}
			got := make([]mcm.Hash, n)
			hash(got, batch)
			compareHashes(t, fmt.Sprintf("vector %d in all lanes", one), batch, got, want)
		}
	}
}

func (k Kernel) noSyntaxNeeded(t *testing.T) {
	hash := k.New()
	batch := make([]mcm.Trailer, 3) // all zero: no haiku
	batch[1][0], batch[2][123] = 1, 1
	got, want := make([]mcm.Hash, 3), make([]mcm.Hash, 3)
	hash(got, batch)
	k.Oracle(want, batch)
	compareHashes(t, "zero trailers", batch, got, want)
}

func (k Kernel) badLengthsPanic(t *testing.T) {
	hash := k.New()
	for _, c := range []struct{ hashes, trailers int }{{1, 2}, {2, 1}, {0, 1}, {k.Chunk + 1, k.Chunk + 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic at %d hashes for %d trailers, chunk %d", c.hashes, c.trailers, k.Chunk)
				}
			}()
			hash(make([]mcm.Hash, c.hashes), make([]mcm.Trailer, c.trailers))
		}()
	}
}

// random compares with cpu/portable on random trailers whose previous hash
// and nonce are made of words that are often NaN, infinite, subnormal, zero, or
// have subnormal products and quotients.
func (k Kernel) random(t *testing.T) {
	hash := k.New()
	seed := Seed(t, 0)
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
	k.Oracle(want, batch)
	for at := 0; at < n; {
		c := min(1+r.IntN(4*k.Lanes), n-at)
		hash(got[at:at+c], batch[at:at+c])
		at += c
	}
	compareHashes(t, "random", batch, got, want)
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
