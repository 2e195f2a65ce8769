// SPDX-License-Identifier: GPL-3.0-or-later

// The two mixing steps of Peach on words in registers: dflops (docs/spec/pow.md
// section 9.1) and dmemtx (section 9.2).  Lanes of a warp disagree about every
// choice made here, so choices are masks wherever that is cheaper than taking
// both ways in turn.

#ifndef KIGO_MIX_CUH
#define KIGO_MIX_CUH

#include "word.cuh"

// dflops_word is one word of dflops: it adds to op what the word adds and returns
// the result.  index replaces NaN.
DEVICE u32 dflops_word(u32 w, u32 index, u32 &op)
{
	// The selector tables of section 9.1, a nibble for each k, k = 0 lowest.
	u32 k = 4 * (w & 7);
	op += prmt(w, 0, 0x4440 | (0x21230031u >> k & 3));
	u32 v = prmt(w, 0, 0x4440 | (0x11001212u >> k & 3));
	u32 sign = prmt(w, 0, 0x4440 | (0x33112323u >> k & 3));
	float y = f_int((int)(v | sign << 31)); // v - 2^31 flips the highest bit of a byte's 32

	const u32 inf = 0x7f800000, magnitude = 0x7fffffff;
	u32 nan = float_bits(f_int((int)index));
	float x = bits_float((w & magnitude) > inf ? nan : w);
	u32 which = op & 3;
	float r;
	if (which == 3)
		r = f_div(x, y);
	else if (which == 2)
		r = f_mul(x, y);
	else
		r = f_add(x, bits_float(float_bits(y) ^ which << 31)); // which is 1 to subtract
	u32 q = float_bits(r);
	q = (q & magnitude) > inf ? nan : q;
	op = byte_sum(q, op);
	return q;
}

// add_bytes adds the four bytes of a and b, each modulo 256.
DEVICE u32 add_bytes(u32 a, u32 b)
{
	const u32 low = 0x7f7f7f7f;
	return ((a & low) + (b & low)) ^ ((a ^ b) & ~low);
}

// above returns 255 in each byte in which a is greater than b, else 0: the borrow
// of b - a, found without one byte borrowing from the next.
DEVICE u32 above(u32 a, u32 b)
{
	const u32 high = 0x80808080;
	u32 differ = a ^ b;
	u32 less = ((b | high) - (a & ~high)) ^ (~differ & high); // b - a, byte by byte
	u32 borrow = (a & ~b) | (~differ & less);
	return prmt(borrow, 0, 0xba98); // each byte's sign, eight times
}

// swap_where exchanges the bytes of a and b under mask.
DEVICE void swap_where(u32 &a, u32 &b, u32 mask)
{
	u32 d = (a ^ b) & mask;
	a ^= d;
	b ^= d;
}

// halves exchanges bytes z and z+half of d, all of them or those where the first
// is greater.  36 bytes have halves of 18, so the second begins inside a word.
template <int WORDS>
DEVICE void halves(u32 *d, bool all)
{
	const u32 every = all ? ~0u : 0;
	if constexpr (WORDS == 8) {
		UNROLL
		for (int z = 0; z < 4; z++)
			swap_where(d[z], d[z + 4], every | above(d[z], d[z + 4]));
	} else {
		u32 b[5];
		UNROLL
		for (int z = 0; z < 4; z++)
			b[z] = prmt(d[z + 4], d[z + 5], 0x5432);
		b[4] = prmt(d[8], 0, 0x4432);
		UNROLL
		for (int z = 0; z < 4; z++)
			swap_where(d[z], b[z], every | above(d[z], b[z]));
		u32 a4 = d[4] & 0xffff;
		swap_where(a4, b[4], every | above(a4, b[4]));
		d[4] = prmt(a4, b[0], 0x5410);
		UNROLL
		for (int z = 0; z < 4; z++)
			d[z + 5] = prmt(b[z], b[z + 1], 0x5432);
	}
}

// dmemtx mixes 8 or 9 words in place and returns op as it leaves it.
template <int WORDS>
DEVICE u32 dmemtx(u32 *d, u32 op)
{
	UNROLL
	for (u32 i = 0; i < 8; i++) {
		op += prmt(d[i / 4], 0, 0x4440 | (i & 3));
		u32 k = op & 7;
		if (k == 7) {
			u32 carry = 0;
			UNROLL
			for (int z = 0; z < WORDS; z++) {
				u32 w = d[z];
				w ^= w << 8;
				w ^= w << 16;
				d[z] = w ^ carry;
				carry = prmt(d[z], 0, 0x3333);
			}
		} else if (k == 1 || k == 6) {
			halves<WORDS>(d, k == 1);
		} else if (k == 5) {
			UNROLL
			for (int z = 0; z < WORDS; z++) {
				u32 v = d[z] ^ 0x68686868; // 104 becomes 0
				u32 other = (((v & 0x7f7f7f7f) + 0x7f7f7f7f) | v) & 0x80808080;
				d[z] &= ~((other ^ 0x80808080) >> 2); // 104 and 72 differ in this bit
			}
		} else {
			u32 flip = k == 0 ? 0x81818181 : k == 2 ? ~0u : 0;
			u32 add = 0; // even positions are the even bytes
			if (k == 3)
				add = 0xff01ff01;
			if (k == 4)
				add = i * 0x01000100 + ((256 - i) & 255) * 0x00010001;
			UNROLL
			for (int z = 0; z < WORDS; z++)
				d[z] = add_bytes(d[z] ^ flip, add);
		}
	}
	return op;
}

// mix is the transformation before a hash (section 9.3): txlen / 4 words in
// place.  It returns op, whose lowest three bits choose the hash.
template <int WORDS>
DEVICE u32 mix(u32 *d, u32 index)
{
	u32 op = 0;
	UNROLL
	for (int z = 0; z < WORDS; z++)
		d[z] = dflops_word(d[z], index, op);
	return dmemtx<WORDS>(d, op);
}

#endif
