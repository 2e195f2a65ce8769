// SPDX-License-Identifier: GPL-3.0-or-later
//
// Keyed BLAKE2b (RFC 7693) on 8 lanes, a vector for each 8-byte word.  Both of
// Peach's keys go side by side: they differ in the state after the key block,
// from which every message starts (docs/spec/pow.md section 8).

#ifndef KIGO_AVX512_BLAKE2B_H
#define KIGO_AVX512_BLAKE2B_H

#include "job.h"
#include "simd.h"

static const uint64_t blake2b_keyed[2][8] = {
	{0x63320ace264383eb, 0x012af5fd045a2737, 0xf4f49c55e6be39df, 0x791c5bc8affb11a7,
	 0xc9bcacc002c0ea21, 0x8295b8abe2fdedd6, 0xb711490e5f9f41c8, 0x3f8e4d1d9ebeaf1a},
	{0x00b8aa23c261ef69, 0xd38ae6abca237b9e, 0x67fb881e5ee89069, 0x3e5b8bd06b58d002,
	 0x252d3f68395aae91, 0xd25465e23c6c1b27, 0x852b4cc2e13303b5, 0x3f38b9ff245be7c1},
};

static const uint64_t blake2b_iv[8] = {
	0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

// blake2b_init starts 8 lanes, those of first with key 0, the others with key 1.
INLINE void blake2b_init(vec h[8], __mmask8 first) {
	for (int i = 0; i < 8; i++)
		h[i] = _mm512_mask_mov_epi64(_mm512_set1_epi64((long long)blake2b_keyed[1][i]), first,
		                             _mm512_set1_epi64((long long)blake2b_keyed[0][i]));
}

// blake2b_block absorbs a block of which only the first words words may differ
// from zero.  count is the number of bytes up to its end, the key block included.
INLINE void blake2b_block(vec h[8], const vec m[16], const int words, uint64_t count, int final) {
#define ADD _mm512_add_epi64
#define ROTATE(x, y, n) _mm512_ror_epi64(_mm512_xor_si512(x, y), n)
#define PLUS(x, i) ((i) < words ? ADD(x, m[(i)]) : (x))
#define MIX(a, b, c, d, i, k) do { \
		v[a] = ADD(PLUS(v[a], i), v[b]); v[d] = ROTATE(v[d], v[a], 32); \
		v[c] = ADD(v[c], v[d]); v[b] = ROTATE(v[b], v[c], 24); \
		v[a] = ADD(PLUS(v[a], k), v[b]); v[d] = ROTATE(v[d], v[a], 16); \
		v[c] = ADD(v[c], v[d]); v[b] = ROTATE(v[b], v[c], 63); \
	} while (0)
#define ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15) do { \
		MIX(0, 4, 8, 12, s0, s1); MIX(1, 5, 9, 13, s2, s3); MIX(2, 6, 10, 14, s4, s5); MIX(3, 7, 11, 15, s6, s7); \
		MIX(0, 5, 10, 15, s8, s9); MIX(1, 6, 11, 12, s10, s11); MIX(2, 7, 8, 13, s12, s13); MIX(3, 4, 9, 14, s14, s15); \
	} while (0)
	vec v[16];
	for (int i = 0; i < 8; i++) {
		v[i] = h[i];
		v[i + 8] = _mm512_set1_epi64((long long)blake2b_iv[i]);
	}
	v[12] = _mm512_xor_si512(v[12], _mm512_set1_epi64((long long)count));
	if (final) v[14] = _mm512_xor_si512(v[14], _mm512_set1_epi64(-1));
	ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
	ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4);
	ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8);
	ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13);
	ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9);
	ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11);
	ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10);
	ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5);
	ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0);
	ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
	ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3);
	for (int i = 0; i < 8; i++) h[i] = xor3(h[i], v[i], v[i + 8]);
#undef ROUND
#undef MIX
#undef PLUS
#undef ROTATE
#undef ADD
}

// first_of returns which of the entries i..i+7 of a list are among its first.
INLINE __mmask8 first_of(int i, int first) {
	return first - i >= 8 ? 0xff : first <= i ? 0 : (__mmask8)((1u << (first - i)) - 1);
}

static void blake2b_rows(const job *j) {
	for (int i = 0; i < j->n; i += 8) {
		vec h[8], m[16];
		gather_quads(m, j->head, 32, j->lane + i);
		m[4] = gather_quad(j->tail, j->lane + i);
		blake2b_init(h, first_of(i, j->first));
		blake2b_block(h, m, 5, 128 + 36, 1);
		scatter_quads(j->out, j->lane + i, h);
	}
}

// blake2b_message hashes a message of 8 lanes, sliced into quads; it is 36 bytes
// more than whole blocks, with zeros behind.
static void blake2b_message(const vec *quad, int blocks, __mmask8 first, uint8_t *out, const uint16_t *lane) {
	vec h[8];
	blake2b_init(h, first);
	for (int b = 0; b < blocks - 1; b++) blake2b_block(h, quad + 16 * b, 16, 128 * (uint64_t)(b + 2), 0);
	blake2b_block(h, quad + 16 * (blocks - 1), 5, 128 * (uint64_t)blocks + 36, 1);
	scatter_quads(out, lane, h);
}

#endif
