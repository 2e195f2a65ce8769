// SPDX-License-Identifier: GPL-3.0-or-later
//
// dmemtx (docs/spec/pow.md section 9.2) on 64 lanes, a vector for each byte.
//
// Lanes differ in the operation of a round, so every round does them all, each
// with an operand or a mask that is idle in the lanes of the others:
//
//   0, 2  XOR with 0x81, 0xff or 0, looked up from op
//   3, 4  add at even positions, subtract at odd ones: 1, -round or 0, looked up
//   1, 6  one exchange of the halves' bytes, where op is 1, or 6 and the first is larger
//   5     subtract 32 from every 104
//   7     the running XOR, b[z] ^= b[z-1] & mask
//
// A lane sees just one of them, so their order within a round is free, and the
// first half's running XOR joins the pass over pairs; the second half's follows.

#ifndef KIGO_AVX512_DMEMTX_H
#define KIGO_AVX512_DMEMTX_H

#include "simd.h"

// dmemtx transforms len (32 or 36) bytes of 64 lanes and returns the final op; of
// op only the low three bits count.
INLINE vec dmemtx(vec *b, const int len, vec op) {
	const vec seven = all8(7);
	const int half = len / 2;
	for (int round = 0; round < 8; round++) {
		op = _mm512_add_epi8(op, b[round]);
		vec k = _mm512_and_si512(op, seven);
		uint64_t xors = 0x00ff0081, adds = (uint64_t)(uint8_t)-round << 32 | 1u << 24;
		vec flip = _mm512_shuffle_epi8(_mm512_set1_epi64((long long)xors), k);
		vec add = _mm512_shuffle_epi8(_mm512_set1_epi64((long long)adds), k);
		vec run = _mm512_movm_epi8(_mm512_cmpeq_epi8_mask(k, seven));
		__mmask64 swap = _mm512_cmpeq_epi8_mask(k, all8(1));
		__mmask64 sort = _mm512_cmpeq_epi8_mask(k, all8(6));
		__mmask64 replace = _mm512_cmpeq_epi8_mask(k, all8(5));

		vec last = _mm512_setzero_si512();
#pragma GCC unroll 18
		for (int z = 0; z < half; z++) {
			vec u = b[z], v = b[z + half];
			__mmask64 exchange = _kor_mask64(_mm512_mask_cmpgt_epu8_mask(sort, u, v), swap);
			vec x = _mm512_xor_si512(_mm512_mask_mov_epi8(u, exchange, v), flip);
			vec y = _mm512_xor_si512(_mm512_mask_mov_epi8(v, exchange, u), flip);
			// half is even, so both are at even positions or both at odd ones.
			x = z % 2 == 0 ? _mm512_add_epi8(x, add) : _mm512_sub_epi8(x, add);
			y = z % 2 == 0 ? _mm512_add_epi8(y, add) : _mm512_sub_epi8(y, add);
			x = _mm512_mask_sub_epi8(x, _mm512_mask_cmpeq_epi8_mask(replace, u, all8(104)), x, all8(32));
			y = _mm512_mask_sub_epi8(y, _mm512_mask_cmpeq_epi8_mask(replace, v, all8(104)), y, all8(32));
			last = _mm512_ternarylogic_epi64(x, last, run, 0x78); // x ^ (last & run)
			b[z] = last;
			b[z + half] = y;
		}
#pragma GCC unroll 18
		for (int z = half; z < len; z++)
			b[z] = last = _mm512_ternarylogic_epi64(b[z], last, run, 0x78);
	}
	return op;
}

#endif
