// SPDX-License-Identifier: GPL-3.0-or-later

// dmemtx (docs/spec/pow.md section 9.2) on 32 lanes in sliced form.
//
// All eight operations run in every round, without a branch; what each of them
// does in a lane comes from tables looked up by the lane's op and is nothing
// where another one was chosen.

#ifndef KIGO_AVX2_DMEMTX_H
#define KIGO_AVX2_DMEMTX_H

#include "vec.h"

// dmemtx_pick looks eight bytes up, one for each op mod 8.
INLINE vec dmemtx_pick(vec sel, int b0, int b1, int b2, int b3, int b4, int b5, int b6, int b7)
{
	__m128i t = _mm_setr_epi8((char)b0, (char)b1, (char)b2, (char)b3, (char)b4, (char)b5,
		(char)b6, (char)b7, 0, 0, 0, 0, 0, 0, 0, 0);
	return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(t), sel);
}

// dmemtx changes the n bytes b of each lane and returns its op mod 8.
INLINE vec dmemtx(vec *b, const int n, vec op)
{
	const int half = n / 2;
	_Pragma("GCC unroll 1")
	for (int i = 0; i < 8; i++) {
		op = _mm256_and_si256(_mm256_add_epi8(op, b[i]), _mm256_set1_epi8(7));
		vec flip = dmemtx_pick(op, 0x81, 0, 0xff, 0, 0, 0, 0, 0);
		vec even = dmemtx_pick(op, 0, 0, 0, 1, -i, 0, 0, 0);
		vec odd = dmemtx_pick(op, 0, 0, 0, -1, i, 0, 0, 0);
		vec turn = dmemtx_pick(op, 0, 0, 0, 0, 0, 104 ^ 72, 0, 0);
		vec sort = dmemtx_pick(op, 0, 0, 0, 0, 0, 0, 0xff, 0);
		vec swap = dmemtx_pick(op, 0, 0xff, 0, 0, 0, 0, 0xff, 0);
		vec chain = dmemtx_pick(op, 0, 0, 0, 0, 0, 0, 0, 0xff);
		_Pragma("GCC unroll 18")
		for (int z = 0; z < half; z++) {
			vec p = b[z], q = b[z + half], add = z % 2 ? odd : even;
			// d is what p has to lose and q to gain: p - q for the exchange of the
			// halves, max(p, q) - q for the sorting.
			vec d = _mm256_sub_epi8(_mm256_max_epu8(p, _mm256_and_si256(q, sort)), q);
			d = _mm256_and_si256(d, swap);
			p = _mm256_sub_epi8(p, d);
			q = _mm256_add_epi8(q, d);
			vec tp = _mm256_and_si256(_mm256_cmpeq_epi8(p, _mm256_set1_epi8(104)), turn);
			vec tq = _mm256_and_si256(_mm256_cmpeq_epi8(q, _mm256_set1_epi8(104)), turn);
			b[z] = _mm256_add_epi8(_mm256_xor_si256(p, _mm256_xor_si256(tp, flip)), add);
			b[z + half] = _mm256_add_epi8(_mm256_xor_si256(q, _mm256_xor_si256(tq, flip)), add);
		}
		vec prev = b[0];
		_Pragma("GCC unroll 36")
		for (int z = 1; z < n; z++) {
			prev = _mm256_xor_si256(b[z], _mm256_and_si256(prev, chain));
			b[z] = prev;
		}
	}
	return op;
}

#endif
