package verifytest

import (
	"encoding/binary"
	"math/rand/v2"

	"kigo/node/mcm"
	"kigo/node/pow"
)

// Trailers returns n random trailers: seven of ten have a Peach check to be
// done, the others are Trigg, exempt, or have a broken nonce; a few are of the
// block with the exception.  Difficulties are low, so that Valid and BadWork are
// both common.
//
// Hashes and the free bytes of nonces are made of float32 words that are often
// NaN, infinite, zero, subnormal, or about to overflow or underflow: where two
// engines differ, it is there.
func Trailers(r *rand.Rand, n int) []mcm.Trailer {
	ts := make([]mcm.Trailer, n)
	for i := range ts {
		ts[i] = randomTrailer(r)
	}
	return ts
}

func randomTrailer(r *rand.Rand) (t mcm.Trailer) {
	for i := 0; i < len(t); i += 4 {
		binary.LittleEndian.PutUint32(t[i:], r.Uint32())
	}
	for i := 0; i < mcm.HashLen; i += 4 {
		binary.LittleEndian.PutUint32(t.PrevHash()[i:], floatWord(r))
	}
	t.SetTxCount(1 + r.Uint32N(mcm.MaxTx))
	t.SetDifficulty(r.Uint32N(4) | r.Uint32()&^0xff*uint32(r.IntN(2)))
	randomNonce(r, t.Nonce())

	const firstPeach = mcm.V24Trigger + 1
	num := firstPeach + mcm.BlockNum(r.Uint64N(1<<20))
	switch kind := r.IntN(40); {
	case kind < 28: // Peach
	case kind < 29: // a number that is only large in 64 bits
		num = mcm.BlockNum(1+r.Uint64N(1<<31))<<32 | mcm.BlockNum(r.Uint32N(1<<16))
	case kind < 30:
		num = mcm.AnomalyNum
	case kind < 31: // the last of Trigg and the first of Peach
		num = mcm.V24Trigger + mcm.BlockNum(r.IntN(2))
	case kind < 34:
		num = mcm.BlockNum(r.Uint64N(uint64(firstPeach)))
	case kind < 36: // exempt
		if r.IntN(2) == 0 {
			t.SetTxCount(0)
		} else {
			num &^= 0xff
		}
	default:
		breakNonce(r, t.Nonce())
	}
	t.SetNum(num)
	return t
}

// randomNonce draws two haikus and, half of the time, something behind them.
func randomNonce(r *rand.Rand, n *mcm.Nonce) {
	for _, at := range []int{0, pow.HalfLen} {
		h := pow.RandomHalf(r)
		if r.IntN(2) == 0 {
			for i, end := 0, false; i < pow.HalfLen; i++ {
				if end {
					h[i] = byte(r.Uint32())
				}
				end = end || h[i] == 0
			}
			// The last two words are free behind the short frames.
			for _, w := range []int{8, 12} {
				if old := h; r.IntN(2) == 0 {
					binary.LittleEndian.PutUint32(h[w:], floatWord(r))
					if !h.Syntax() {
						h = old
					}
				}
			}
		}
		copy(n[at:], h[:])
	}
}

// breakNonce makes it likely that n is no haiku.
func breakNonce(r *rand.Rand, n *mcm.Nonce) {
	switch half := r.IntN(2) * pow.HalfLen; r.IntN(3) {
	case 0:
		clear(n[half : half+pow.HalfLen])
	case 1:
		n[half+r.IntN(7)] ^= 1 << r.IntN(8)
	case 2: // no zero behind the haiku
		for i := range pow.HalfLen {
			if n[half+i] == 0 {
				n[half+i] = byte(1 + r.IntN(255))
				break
			}
		}
	}
}

// floatWord returns the bits of a float32 that engines may get wrong.  The low
// bits choose the operation (docs/spec/pow.md section 9.1), so they stay random
// where the value allows it.
func floatWord(r *rand.Rand) uint32 {
	sign := r.Uint32() & (1 << 31)
	fraction := r.Uint32() & (1<<23 - 1)
	exponent := func(from, to uint32) uint32 { return (from + r.Uint32N(to-from)) << 23 }
	switch r.IntN(8) {
	case 0: // NaN, quiet or signalling
		return sign | 0xff<<23 | max(fraction, 1)
	case 1: // infinity or zero
		return sign | exponent(0, 2)*0xff
	case 2: // subnormal
		return sign | fraction>>r.IntN(23)
	case 3: // subnormal or zero when divided by 2^31
		return sign | exponent(1, 33) | fraction
	case 4: // overflows when multiplied by 2^31 or by a byte
		return sign | exponent(222, 255) | fraction
	case 5: // near the operands 2^31, where sums cancel and round
		return sign | exponent(155, 161) | fraction
	case 6: // near the operands 0 to 255
		return sign | exponent(125, 136) | fraction
	}
	return r.Uint32()
}
