package lanes

import (
	"encoding/binary"
	"math/bits"

	"kigo/node/mcm"
)

// keccakRate is the block length of a 256-bit digest.
const keccakRate = 136

// A keccakState is the 25 words of Keccak-f[1600], word x + 5y for column x and
// row y.
type keccakState [25]uint64

// sponge stores the 32-byte digest of in in dst.  The first byte of the padding
// tells SHA3-256 (6) from the original Keccak-256 (1).
func sponge(dst *mcm.Hash, in []byte, pad byte) {
	var s keccakState
	for ; len(in) >= keccakRate; in = in[keccakRate:] {
		s.absorb((*[keccakRate]byte)(in))
	}
	var last [keccakRate]byte
	copy(last[:], in)
	last[len(in)] = pad
	last[keccakRate-1] |= 0x80
	s.absorb(&last)
	for i := range 4 {
		binary.LittleEndian.PutUint64(dst[8*i:], s[i])
	}
}

// absorb takes a block into the state.
func (s *keccakState) absorb(block *[keccakRate]byte) {
	for i := range keccakRate / 8 {
		s[i] ^= binary.LittleEndian.Uint64(block[8*i:])
	}
	s.permute()
}

// keccakRounds has the constant of each round (FIPS 202).
var keccakRounds = [24]uint64{
	0x0000000000000001,
	0x0000000000008082,
	0x800000000000808A,
	0x8000000080008000,
	0x000000000000808B,
	0x0000000080000001,
	0x8000000080008081,
	0x8000000000008009,
	0x000000000000008A,
	0x0000000000000088,
	0x0000000080008009,
	0x000000008000000A,
	0x000000008000808B,
	0x800000000000008B,
	0x8000000000008089,
	0x8000000000008003,
	0x8000000000008002,
	0x8000000000000080,
	0x000000000000800A,
	0x800000008000000A,
	0x8000000080008081,
	0x8000000000008080,
	0x0000000080000001,
	0x8000000080008008,
}

// permute is Keccak-f[1600].  Each round reads one copy of the state and writes
// the other; after an even number of them the result is in s.
func (s *keccakState) permute() {
	var other keccakState
	a, e := s, &other
	for _, constant := range keccakRounds {
		c0 := a[0] ^ a[5] ^ a[10] ^ a[15] ^ a[20]
		c1 := a[1] ^ a[6] ^ a[11] ^ a[16] ^ a[21]
		c2 := a[2] ^ a[7] ^ a[12] ^ a[17] ^ a[22]
		c3 := a[3] ^ a[8] ^ a[13] ^ a[18] ^ a[23]
		c4 := a[4] ^ a[9] ^ a[14] ^ a[19] ^ a[24]
		d0 := c4 ^ bits.RotateLeft64(c1, 1)
		d1 := c0 ^ bits.RotateLeft64(c2, 1)
		d2 := c1 ^ bits.RotateLeft64(c3, 1)
		d3 := c2 ^ bits.RotateLeft64(c4, 1)
		d4 := c3 ^ bits.RotateLeft64(c0, 1)
		b0 := a[0] ^ d0
		b1 := bits.RotateLeft64(a[6]^d1, 44)
		b2 := bits.RotateLeft64(a[12]^d2, 43)
		b3 := bits.RotateLeft64(a[18]^d3, 21)
		b4 := bits.RotateLeft64(a[24]^d4, 14)
		e[0] = b0 ^ b2&^b1 ^ constant
		e[1] = b1 ^ b3&^b2
		e[2] = b2 ^ b4&^b3
		e[3] = b3 ^ b0&^b4
		e[4] = b4 ^ b1&^b0
		b0 = bits.RotateLeft64(a[3]^d3, 28)
		b1 = bits.RotateLeft64(a[9]^d4, 20)
		b2 = bits.RotateLeft64(a[10]^d0, 3)
		b3 = bits.RotateLeft64(a[16]^d1, 45)
		b4 = bits.RotateLeft64(a[22]^d2, 61)
		e[5] = b0 ^ b2&^b1
		e[6] = b1 ^ b3&^b2
		e[7] = b2 ^ b4&^b3
		e[8] = b3 ^ b0&^b4
		e[9] = b4 ^ b1&^b0
		b0 = bits.RotateLeft64(a[1]^d1, 1)
		b1 = bits.RotateLeft64(a[7]^d2, 6)
		b2 = bits.RotateLeft64(a[13]^d3, 25)
		b3 = bits.RotateLeft64(a[19]^d4, 8)
		b4 = bits.RotateLeft64(a[20]^d0, 18)
		e[10] = b0 ^ b2&^b1
		e[11] = b1 ^ b3&^b2
		e[12] = b2 ^ b4&^b3
		e[13] = b3 ^ b0&^b4
		e[14] = b4 ^ b1&^b0
		b0 = bits.RotateLeft64(a[4]^d4, 27)
		b1 = bits.RotateLeft64(a[5]^d0, 36)
		b2 = bits.RotateLeft64(a[11]^d1, 10)
		b3 = bits.RotateLeft64(a[17]^d2, 15)
		b4 = bits.RotateLeft64(a[23]^d3, 56)
		e[15] = b0 ^ b2&^b1
		e[16] = b1 ^ b3&^b2
		e[17] = b2 ^ b4&^b3
		e[18] = b3 ^ b0&^b4
		e[19] = b4 ^ b1&^b0
		b0 = bits.RotateLeft64(a[2]^d2, 62)
		b1 = bits.RotateLeft64(a[8]^d3, 55)
		b2 = bits.RotateLeft64(a[14]^d4, 39)
		b3 = bits.RotateLeft64(a[15]^d0, 41)
		b4 = bits.RotateLeft64(a[21]^d1, 2)
		e[20] = b0 ^ b2&^b1
		e[21] = b1 ^ b3&^b2
		e[22] = b2 ^ b4&^b3
		e[23] = b3 ^ b0&^b4
		e[24] = b4 ^ b1&^b0
		a, e = e, a
	}
}
