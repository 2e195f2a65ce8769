package mcm

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"strings"
)

// A Weight is the 256-bit weight of a chain, the sum of 2^difficulty over its
// blocks (docs/spec/chain.md section 7).  Limb 0 is the least significant.  The
// zero value is weight 0; weights compare with == and Cmp.
type Weight [4]uint64

// WeightFromLE returns the weight whose 32 bytes, least significant first, are
// b.
func WeightFromLE(b *[32]byte) (w Weight) {
	for i := range w {
		w[i] = binary.LittleEndian.Uint64(b[8*i:])
	}
	return w
}

// ParseWeight reads 1 to 64 hex digits, most significant first.
func ParseWeight(s string) (Weight, error) {
	var b [32]byte
	if len(s) == 0 || len(s) > 64 {
		return Weight{}, fmt.Errorf("weight %q: want 1 to 64 hex digits", s)
	}
	padded := strings.Repeat("0", 64-len(s)) + s
	if _, err := hex.Decode(b[:], []byte(padded)); err != nil {
		return Weight{}, fmt.Errorf("weight %q: want 1 to 64 hex digits", s)
	}
	for i := range 16 {
		b[i], b[31-i] = b[31-i], b[i]
	}
	return WeightFromLE(&b), nil
}

// LE returns the weight's 32 bytes, least significant first: the form of
// packets.
func (w Weight) LE() (b [32]byte) {
	for i, limb := range w {
		binary.LittleEndian.PutUint64(b[8*i:], limb)
	}
	return b
}

// AddDifficulty returns w + 2^d modulo 2^256.
func (w Weight) AddDifficulty(d uint8) Weight {
	var add Weight
	add[d/64] = 1 << (d % 64)
	sum, _ := w.Add(add)
	return sum
}

// Add returns w + v modulo 2^256 and whether the sum overflowed.
func (w Weight) Add(v Weight) (sum Weight, overflow bool) {
	var carry uint64
	for i := range w {
		sum[i], carry = bits.Add64(w[i], v[i], carry)
	}
	return sum, carry != 0
}

// Sub returns w - v modulo 2^256 and whether it borrowed, that is whether v is
// greater than w.
func (w Weight) Sub(v Weight) (diff Weight, borrow bool) {
	var b uint64
	for i := range w {
		diff[i], b = bits.Sub64(w[i], v[i], b)
	}
	return diff, b != 0
}

// Cmp returns -1, 0 or 1 as w is less than, equal to or greater than v.
func (w Weight) Cmp(v Weight) int {
	for i := 3; i >= 0; i-- {
		if c := cmp.Compare(w[i], v[i]); c != 0 {
			return c
		}
	}
	return 0
}

// String returns 64 hex digits, most significant first.
func (w Weight) String() string {
	return fmt.Sprintf("%016x%016x%016x%016x", w[3], w[2], w[1], w[0])
}

// MarshalText implements encoding.TextMarshaler with String's form.
func (w Weight) MarshalText() ([]byte, error) { return []byte(w.String()), nil }
