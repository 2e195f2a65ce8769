package lanes

import (
	"encoding/binary"
	"math/bits"

	"kigo/node/mcm"
)

const blake2bBlock = 128

// A blake2bState is the chain value of BLAKE2b.
type blake2bState [8]uint64

// The states behind the block that holds the key, which is the same for all
// messages (docs/spec/pow.md section 8).
var (
	blake2bZerosState = blake2bState{
		0x63320ace264383eb, 0x012af5fd045a2737, 0xf4f49c55e6be39df, 0x791c5bc8affb11a7,
		0xc9bcacc002c0ea21, 0x8295b8abe2fdedd6, 0xb711490e5f9f41c8, 0x3f8e4d1d9ebeaf1a,
	}
	blake2bOnesState = blake2bState{
		0x00b8aa23c261ef69, 0xd38ae6abca237b9e, 0x67fb881e5ee89069, 0x3e5b8bd06b58d002,
		0x252d3f68395aae91, 0xd25465e23c6c1b27, 0x852b4cc2e13303b5, 0x3f38b9ff245be7c1,
	}
)

// blake2b stores the 32-byte digest of in, which must not be empty, in dst.  The
// state behind the key's block says which key.
func blake2b(dst *mcm.Hash, keyed *blake2bState, in []byte) {
	h := *keyed
	count := uint64(blake2bBlock)
	for ; len(in) > blake2bBlock; in = in[blake2bBlock:] {
		count += blake2bBlock
		h.compress((*[blake2bBlock]byte)(in), count, 0)
	}
	var last [blake2bBlock]byte
	copy(last[:], in)
	h.compress(&last, count+uint64(len(in)), ^uint64(0))
	for i := range 4 {
		binary.LittleEndian.PutUint64(dst[8*i:], h[i])
	}
}

// blake2bIV is the initial value of RFC 7693, the one of SHA-512.
var blake2bIV = [8]uint64{
	0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
}

// compress takes a block into the state.  Count is the number of bytes up to
// the block's end, the key's block included; last is all ones for the last block
// and else 0.
//
// Its twelve rounds are written out, so that the compiler knows each word's
// place: with the order in a table they take a third longer.
func (h *blake2bState) compress(block *[blake2bBlock]byte, count, last uint64) {
	var m [16]uint64
	for i := range m {
		m[i] = binary.LittleEndian.Uint64(block[8*i:])
	}
	v0, v1, v2, v3, v4, v5, v6, v7 := h[0], h[1], h[2], h[3], h[4], h[5], h[6], h[7]
	v8, v9, v10, v11 := blake2bIV[0], blake2bIV[1], blake2bIV[2], blake2bIV[3]
	v12, v13, v14, v15 := blake2bIV[4]^count, blake2bIV[5], blake2bIV[6]^last, blake2bIV[7]

	v0, v4, v8, v12 = blake2bMix(v0, v4, v8, v12, m[0], m[1])
	v1, v5, v9, v13 = blake2bMix(v1, v5, v9, v13, m[2], m[3])
	v2, v6, v10, v14 = blake2bMix(v2, v6, v10, v14, m[4], m[5])
	v3, v7, v11, v15 = blake2bMix(v3, v7, v11, v15, m[6], m[7])
	v0, v5, v10, v15 = blake2bMix(v0, v5, v10, v15, m[8], m[9])
	v1, v6, v11, v12 = blake2bMix(v1, v6, v11, v12, m[10], m[11])
	v2, v7, v8, v13 = blake2bMix(v2, v7, v8, v13, m[12], m[13])
	v3, v4, v9, v14 = blake2bMix(v3, v4, v9, v14, m[14], m[15])

	v0, v4, v8, v12 = blake2bMix(v0, v4, v8, v12, m[14], m[10])
	v1, v5, v9, v13 = blake2bMix(v1, v5, v9, v13, m[4], m[8])
	v2, v6, v10, v14 = blake2bMix(v2, v6, v10, v14, m[9], m[15])
	v3, v7, v11, v15 = blake2bMix(v3, v7, v11, v15, m[13], m[6])
	v0, v5, v10, v15 = blake2bMix(v0, v5, v10, v15, m[1], m[12])
	v1, v6, v11, v12 = blake2bMix(v1, v6, v11, v12, m[0], m[2])
	v2, v7, v8, v13 = blake2bMix(v2, v7, v8, v13, m[11], m[7])
	v3, v4, v9, v14 = blake2bMix(v3, v4, v9, v14, m[5], m[3])

	v0, v4, v8, v12 = blake2bMix(v0, v4, v8, v12, m[11], m[8])
	v1, v5, v9, v13 = blake2bMix(v1, v5, v9, v13, m[12], m[0])
	v2, v6, v10, v14 = blake2bMix(v2, v6, v10, v14, m[5], m[2])
	v3, v7, v11, v15 = blake2bMix(v3, v7, v11, v15, m[15], m[13])
	v0, v5, v10, v15 = blake2bMix(v0, v5, v10, v15, m[10], m[14])
	v1, v6, v11, v12 = blake2bMix(v1, v6, v11, v12, m[3], m[6])
	v2, v7, v8, v13 = blake2bMix(v2, v7, v8, v13, m[7], m[1])
	v3, v4, v9, v14 = blake2bMix(v3, v4, v9, v14, m[9], m[4])

	v0, v4, v8, v12 = blake2bMix(v0, v4, v8, v12, m[7], m[9])
	v1, v5, v9, v13 = blake2bMix(v1, v5, v9, v13, m[3], m[1])
	v2, v6, v10, v14 = blake2bMix(v2, v6, v10, v14, m[13], m[12])
	v3, v7, v11, v15 = blake2bMix(v3, v7, v11, v15, m[11], m[14])
	v0, v5, v10, v15 = blake2bMix(v0, v5, v10, v15, m[2], m[6])
	v1, v6, v11, v12 = blake2bMix(v1, v6, v11, v12, m[5], m[10])
	v2, v7, v8, v13 = blake2bMix(v2, v7, v8, v13, m[4], m[0])
	v3, v4, v9, v14 = blake2bMix(v3, v4, v9, v14, m[15], m[8])

	v0, v4, v8, v12 = blake2bMix(v0, v4, v8, v12, m[9], m[0])
	v1, v5, v9, v13 = blake2bMix(v1, v5, v9, v13, m[5], m[7])
	v2, v6, v10, v14 = blake2bMix(v2, v6, v10, v14, m[2], m[4])
	v3, v7, v11, v15 = blake2bMix(v3, v7, v11, v15, m[10], m[15])
	v0, v5, v10, v15 = blake2bMix(v0, v5, v10, v15, m[14], m[1])
	v1, v6, v11, v12 = blake2bMix(v1, v6, v11, v12, m[11], m[12])
	v2, v7, v8, v13 = blake2bMix(v2, v7, v8, v13, m[6], m[8])
	v3, v4, v9, v14 = blake2bMix(v3, v4, v9, v14, m[3], m[13])

	v0, v4, v8, v12 = blake2bMix(v0, v4, v8, v12, m[2], m[12])
	v1, v5, v9, v13 = blake2bMix(v1, v5, v9, v13, m[6], m[10])
	v2, v6, v10, v14 = blake2bMix(v2, v6, v10, v14, m[0], m[11])
	v3, v7, v11, v15 = blake2bMix(v3, v7, v11, v15, m[8], m[3])
	v0, v5, v10, v15 = blake2bMix(v0, v5, v10, v15, m[4], m[13])
	v1, v6, v11, v12 = blake2bMix(v1, v6, v11, v12, m[7], m[5])
	v2, v7, v8, v13 = blake2bMix(v2, v7, v8, v13, m[15], m[14])
	v3, v4, v9, v14 = blake2bMix(v3, v4, v9, v14, m[1], m[9])

	v0, v4, v8, v12 = blake2bMix(v0, v4, v8, v12, m[12], m[5])
	v1, v5, v9, v13 = blake2bMix(v1, v5, v9, v13, m[1], m[15])
	v2, v6, v10, v14 = blake2bMix(v2, v6, v10, v14, m[14], m[13])
	v3, v7, v11, v15 = blake2bMix(v3, v7, v11, v15, m[4], m[10])
	v0, v5, v10, v15 = blake2bMix(v0, v5, v10, v15, m[0], m[7])
	v1, v6, v11, v12 = blake2bMix(v1, v6, v11, v12, m[6], m[3])
	v2, v7, v8, v13 = blake2bMix(v2, v7, v8, v13, m[9], m[2])
	v3, v4, v9, v14 = blake2bMix(v3, v4, v9, v14, m[8], m[11])

	v0, v4, v8, v12 = blake2bMix(v0, v4, v8, v12, m[13], m[11])
	v1, v5, v9, v13 = blake2bMix(v1, v5, v9, v13, m[7], m[14])
	v2, v6, v10, v14 = blake2bMix(v2, v6, v10, v14, m[12], m[1])
	v3, v7, v11, v15 = blake2bMix(v3, v7, v11, v15, m[3], m[9])
	v0, v5, v10, v15 = blake2bMix(v0, v5, v10, v15, m[5], m[0])
	v1, v6, v11, v12 = blake2bMix(v1, v6, v11, v12, m[15], m[4])
	v2, v7, v8, v13 = blake2bMix(v2, v7, v8, v13, m[8], m[6])
	v3, v4, v9, v14 = blake2bMix(v3, v4, v9, v14, m[2], m[10])

	v0, v4, v8, v12 = blake2bMix(v0, v4, v8, v12, m[6], m[15])
	v1, v5, v9, v13 = blake2bMix(v1, v5, v9, v13, m[14], m[9])
	v2, v6, v10, v14 = blake2bMix(v2, v6, v10, v14, m[11], m[3])
	v3, v7, v11, v15 = blake2bMix(v3, v7, v11, v15, m[0], m[8])
	v0, v5, v10, v15 = blake2bMix(v0, v5, v10, v15, m[12], m[2])
	v1, v6, v11, v12 = blake2bMix(v1, v6, v11, v12, m[13], m[7])
	v2, v7, v8, v13 = blake2bMix(v2, v7, v8, v13, m[1], m[4])
	v3, v4, v9, v14 = blake2bMix(v3, v4, v9, v14, m[10], m[5])

	v0, v4, v8, v12 = blake2bMix(v0, v4, v8, v12, m[10], m[2])
	v1, v5, v9, v13 = blake2bMix(v1, v5, v9, v13, m[8], m[4])
	v2, v6, v10, v14 = blake2bMix(v2, v6, v10, v14, m[7], m[6])
	v3, v7, v11, v15 = blake2bMix(v3, v7, v11, v15, m[1], m[5])
	v0, v5, v10, v15 = blake2bMix(v0, v5, v10, v15, m[15], m[11])
	v1, v6, v11, v12 = blake2bMix(v1, v6, v11, v12, m[9], m[14])
	v2, v7, v8, v13 = blake2bMix(v2, v7, v8, v13, m[3], m[12])
	v3, v4, v9, v14 = blake2bMix(v3, v4, v9, v14, m[13], m[0])

	v0, v4, v8, v12 = blake2bMix(v0, v4, v8, v12, m[0], m[1])
	v1, v5, v9, v13 = blake2bMix(v1, v5, v9, v13, m[2], m[3])
	v2, v6, v10, v14 = blake2bMix(v2, v6, v10, v14, m[4], m[5])
	v3, v7, v11, v15 = blake2bMix(v3, v7, v11, v15, m[6], m[7])
	v0, v5, v10, v15 = blake2bMix(v0, v5, v10, v15, m[8], m[9])
	v1, v6, v11, v12 = blake2bMix(v1, v6, v11, v12, m[10], m[11])
	v2, v7, v8, v13 = blake2bMix(v2, v7, v8, v13, m[12], m[13])
	v3, v4, v9, v14 = blake2bMix(v3, v4, v9, v14, m[14], m[15])

	v0, v4, v8, v12 = blake2bMix(v0, v4, v8, v12, m[14], m[10])
	v1, v5, v9, v13 = blake2bMix(v1, v5, v9, v13, m[4], m[8])
	v2, v6, v10, v14 = blake2bMix(v2, v6, v10, v14, m[9], m[15])
	v3, v7, v11, v15 = blake2bMix(v3, v7, v11, v15, m[13], m[6])
	v0, v5, v10, v15 = blake2bMix(v0, v5, v10, v15, m[1], m[12])
	v1, v6, v11, v12 = blake2bMix(v1, v6, v11, v12, m[0], m[2])
	v2, v7, v8, v13 = blake2bMix(v2, v7, v8, v13, m[11], m[7])
	v3, v4, v9, v14 = blake2bMix(v3, v4, v9, v14, m[5], m[3])

	h[0] ^= v0 ^ v8
	h[1] ^= v1 ^ v9
	h[2] ^= v2 ^ v10
	h[3] ^= v3 ^ v11
	h[4] ^= v4 ^ v12
	h[5] ^= v5 ^ v13
	h[6] ^= v6 ^ v14
	h[7] ^= v7 ^ v15
}

// blake2bMix is the function G of RFC 7693.
func blake2bMix(a, b, c, d, x, y uint64) (uint64, uint64, uint64, uint64) {
	a += b + x
	d = bits.RotateLeft64(d^a, -32)
	c += d
	b = bits.RotateLeft64(b^c, -24)
	a += b + y
	d = bits.RotateLeft64(d^a, -16)
	c += d
	b = bits.RotateLeft64(b^c, -63)
	return a, b, c, d
}
