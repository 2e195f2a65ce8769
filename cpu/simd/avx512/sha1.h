// SPDX-License-Identifier: GPL-3.0-or-later
//
// SHA-1 (FIPS 180-4) on 16 lanes, a vector for each word.

#ifndef KIGO_AVX512_SHA1_H
#define KIGO_AVX512_SHA1_H

#include "job.h"
#include "sha256.h"
#include "simd.h"

INLINE void sha1_init(vec s[5]) {
	s[0] = all32(0x67452301);
	s[1] = all32(0xefcdab89);
	s[2] = all32(0x98badcfe);
	s[3] = all32(0x10325476);
	s[4] = all32(0xc3d2e1f0);
}

INLINE void sha1_block(vec s[5], vec w[16]) {
#define ADD _mm512_add_epi32
#define CHOICE(b, c, d) choose(b, c, d)
#define PARITY(b, c, d) xor3(b, c, d)
#define MAJORITY(b, c, d) _mm512_ternarylogic_epi64(b, c, d, 0xe8)
#define ROUND(a, b, c, d, e, F, k, i) do { \
		e = ADD(ADD(_mm512_rol_epi32(a, 5), F(b, c, d)), ADD(e, ADD(w[(i) & 15], all32(k)))); \
		b = _mm512_rol_epi32(b, 30); \
	} while (0)
#define RENEW(i) \
	w[(i) & 15] = _mm512_rol_epi32(_mm512_xor_si512(w[(i) & 15], \
		xor3(w[((i) + 2) & 15], w[((i) + 8) & 15], w[((i) + 13) & 15])), 1)
#define NEXT(a, b, c, d, e, F, k, i) do { RENEW(i); ROUND(a, b, c, d, e, F, k, i); } while (0)
#define FIVE(R, F, k, i) do { \
		R(a, b, c, d, e, F, k, i); R(e, a, b, c, d, F, k, (i) + 1); R(d, e, a, b, c, F, k, (i) + 2); \
		R(c, d, e, a, b, F, k, (i) + 3); R(b, c, d, e, a, F, k, (i) + 4); \
	} while (0)
#define TWENTY(F, k, i) do { \
		FIVE(NEXT, F, k, i); FIVE(NEXT, F, k, (i) + 5); FIVE(NEXT, F, k, (i) + 10); FIVE(NEXT, F, k, (i) + 15); \
	} while (0)
	vec a = s[0], b = s[1], c = s[2], d = s[3], e = s[4];
	FIVE(ROUND, CHOICE, 0x5a827999, 0);
	FIVE(ROUND, CHOICE, 0x5a827999, 5);
	FIVE(ROUND, CHOICE, 0x5a827999, 10);
	ROUND(a, b, c, d, e, CHOICE, 0x5a827999, 15);
	NEXT(e, a, b, c, d, CHOICE, 0x5a827999, 16);
	NEXT(d, e, a, b, c, CHOICE, 0x5a827999, 17);
	NEXT(c, d, e, a, b, CHOICE, 0x5a827999, 18);
	NEXT(b, c, d, e, a, CHOICE, 0x5a827999, 19);
	TWENTY(PARITY, 0x6ed9eba1, 20);
	TWENTY(MAJORITY, 0x8f1bbcdc, 40);
	TWENTY(PARITY, 0xca62c1d6, 60);
	s[0] = ADD(s[0], a);
	s[1] = ADD(s[1], b);
	s[2] = ADD(s[2], c);
	s[3] = ADD(s[3], d);
	s[4] = ADD(s[4], e);
#undef TWENTY
#undef FIVE
#undef NEXT
#undef RENEW
#undef ROUND
#undef MAJORITY
#undef PARITY
#undef CHOICE
#undef ADD
}

INLINE void sha1_store(uint8_t *out, const uint16_t *lane, const vec s[5]) {
	const vec zero = _mm512_setzero_si512();
	vec d[8] = {swap_words(s[0]), swap_words(s[1]), swap_words(s[2]), swap_words(s[3]), swap_words(s[4]), zero, zero, zero};
	scatter_words(out, lane, d);
}

static void sha1_rows(const job *j) {
	for (int i = 0; i < j->n; i += 16) {
		vec w[16], s[5];
		gather_words(w, j->head, 32, j->lane + i);
		w[8] = gather_word(j->tail, j->lane + i);
		for (int k = 0; k < 9; k++) w[k] = swap_words(w[k]);
		w[9] = all32(0x80000000);
		for (int k = 10; k < 15; k++) w[k] = _mm512_setzero_si512();
		w[15] = all32(8 * 36);
		sha1_init(s);
		sha1_block(s, w);
		sha1_store(j->out, j->lane + i, s);
	}
}

// sha1_message is like sha256_message.
static void sha1_message(const vec *word, int blocks, uint8_t *out, const uint16_t *lane) {
	vec w[16], s[5];
	sha1_init(s);
	for (int b = 0; b < blocks; b++) {
		for (int k = 0; k < 16; k++) w[k] = swap_words(word[16 * b + k]);
		sha1_block(s, w);
	}
	sha1_store(out, lane, s);
}

#endif
