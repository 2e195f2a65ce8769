package lanes

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"kigo/cpu/portable"
	"kigo/node/mcm"
)

// TestLengths runs every batch length up to two trailers a lane and one, on one
// Kernel so that each call finds the leftovers of the one before.
func TestLengths(t *testing.T) {
	batch, want := peachVectors(t)
	k := New()
	for n := range 2*Lanes + 2 {
		got := make([]mcm.Hash, n+1)
		at := n * 7 % (len(batch) - n)
		k.Hash(got[:n], batch[at:at+n])
		for i := range n {
			if got[i] != want[at+i] {
				t.Errorf("length %d, trailer %d: got %v, want %v", n, i, got[i], want[at+i])
			}
		}
		if !got[n].IsZero() {
			t.Errorf("length %d: wrote behind dst", n)
		}
	}
}

func TestLengthsMustAgree(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	New().Hash(make([]mcm.Hash, 1), make([]mcm.Trailer, 2))
}

// TestOracle compares with cpu/portable.  Floats that only special words of the
// previous hash bring about are common here.
func TestOracle(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 1))
	n := 400
	if testing.Short() {
		n = 60
	}
	batch := make([]mcm.Trailer, n)
	for i := range batch {
		fill(rng, batch[i][:])
		phash := batch[i].PrevHash()
		for w := 0; w < len(phash); w += 4 {
			binary.LittleEndian.PutUint32(phash[w:], specialWord(rng))
		}
	}
	want := make([]mcm.Hash, n)
	portable.New().Hash(want, batch)
	got := make([]mcm.Hash, n)
	k := New()
	for at := 0; at < n; {
		c := min(1+rng.IntN(Chunk), n-at)
		k.Hash(got[at:at+c], batch[at:at+c])
		at += c
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("trailer %d, %x: got %v, want %v", i, batch[i], got[i], want[i])
		}
	}
}

// specialWord returns the bits of a float32, often NaN, infinite, subnormal,
// zero, or so small that a quotient of it is subnormal.
func specialWord(rng *rand.Rand) uint32 {
	w := rng.Uint32()
	switch rng.IntN(8) {
	case 0:
		return w | infinity // mostly NaN
	case 1:
		return w&(1<<31) | infinity
	case 2:
		return w & (1<<31 | minNormal - 1)
	case 3:
		return w & (1<<31 | 0x1fffffff)
	case 4:
		return w & (1 << 31)
	case 5:
		return w & (1<<31 | 0xff) // the least subnormals
	}
	return w
}

func fill(rng *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
}

// TestDflopsPlain compares with plain float32 arithmetic.
func TestDflopsPlain(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 2))
	for range 100_000 {
		in := make([]byte, 4*(1+rng.IntN(9)))
		for i := 0; i < len(in); i += 4 {
			binary.LittleEndian.PutUint32(in[i:], specialWord(rng))
		}
		index := rng.Uint32N(1<<20) * rng.Uint32N(2)

		want, wantOp := bytes.Clone(in), uint32(0)
		for i := 0; i < len(in); i += 4 {
			wantOp = plainFlop((*[4]byte)(want[i:]), index, wantOp)
		}
		got := bytes.Clone(in)
		if op := dflops(got, index, false); op%8 != wantOp%8 || !bytes.Equal(got, in) {
			t.Fatalf("%x, index %d, only read: got %x, op %d; want op %d (mod 8)", in, index, got, op%8, wantOp%8)
		}
		if op := dflops(got, index, true); op%8 != wantOp%8 || !bytes.Equal(got, want) {
			t.Fatalf("%x, index %d: got %x, op %d; want %x, op %d (mod 8)", in, index, got, op%8, want, wantOp%8)
		}
	}
}

func TestAllocations(t *testing.T) {
	batch, _ := peachVectors(t)
	dst := make([]mcm.Hash, 20)
	k := New()
	if n := testing.AllocsPerRun(2, func() { k.Hash(dst, batch[:len(dst)]) }); n != 0 {
		t.Errorf("%v allocations a call", n)
	}
}

// BenchmarkHash goes round among 1024 random trailers, since one needs more MD2
// than another.
func BenchmarkHash(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 1))
	trailers := make([]mcm.Trailer, 1024)
	for i := range trailers {
		fill(rng, trailers[i][:])
	}
	for _, n := range []int{1, 8, 54, 256, 1024} {
		b.Run(fmt.Sprintf("batch=%d", n), func(b *testing.B) {
			dst := make([]mcm.Hash, n)
			k := New()
			at := 0
			for b.Loop() {
				if at+n > len(trailers) {
					at = 0
				}
				k.Hash(dst, trailers[at:at+n])
				at += n
			}
			b.ReportMetric(float64(b.N*n)/b.Elapsed().Seconds(), "trailers/s")
		})
	}
}

// plainFlop is the step for one word as docs/spec/pow.md section 9.1 has it.
func plainFlop(b *[4]byte, index, op uint32) uint32 {
	k := b[0] % 8
	op += uint32(b[[8]int{1, 3, 0, 0, 3, 2, 1, 2}[k]])
	v := int32(b[[8]int{2, 1, 2, 1, 0, 0, 1, 1}[k]])
	if b[[8]int{3, 2, 3, 2, 1, 1, 3, 3}[k]]%2 == 1 {
		v += math.MinInt32
	}
	x, y := math.Float32frombits(binary.LittleEndian.Uint32(b[:])), float32(v)
	if x != x {
		x = float32(index)
	}
	switch op % 4 {
	case 0:
		x += y
	case 1:
		x -= y
	case 2:
		x *= y
	case 3:
		x /= y
	}
	if x != x {
		x = float32(index)
	}
	binary.LittleEndian.PutUint32(b[:], math.Float32bits(x))
	for _, q := range b {
		op += uint32(q)
	}
	return op
}
