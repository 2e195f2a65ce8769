// SPDX-License-Identifier: GPL-3.0-or-later
//
// SHA-256 (FIPS 180-4) on 16 lanes, a vector for each of the state's and the
// block's words.  The rounds renew the block's 16 words in place.

#ifndef KIGO_AVX512_SHA256_H
#define KIGO_AVX512_SHA256_H

#include "job.h"
#include "simd.h"

static const uint32_t sha256_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

// swap_words reverses the four bytes of every word.
INLINE vec swap_words(vec v) {
	return _mm512_shuffle_epi8(v, _mm512_set4_epi32(0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203));
}

INLINE void sha256_init(vec s[8]) {
	static const uint32_t h[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};
	for (int i = 0; i < 8; i++) s[i] = all32(h[i]);
}

// sha256_block absorbs the block w, whose words are in the hash's byte order, and
// leaves w in pieces.
INLINE void sha256_block(vec s[8], vec w[16]) {
#define SIGMA(x, a, b, c) xor3(_mm512_ror_epi32(x, a), _mm512_ror_epi32(x, b), _mm512_ror_epi32(x, c))
#define SIGMA_SHIFT(x, a, b, c) xor3(_mm512_ror_epi32(x, a), _mm512_ror_epi32(x, b), _mm512_srli_epi32(x, c))
#define ADD _mm512_add_epi32
#define ROUND(a, b, c, d, e, f, g, h, i) do { \
		vec t = ADD(ADD(h, SIGMA(e, 6, 11, 25)), ADD(choose(e, f, g), ADD(w[i], all32(sha256_k[r + (i)])))); \
		d = ADD(d, t); \
		h = ADD(t, ADD(SIGMA(a, 2, 13, 22), _mm512_ternarylogic_epi64(a, b, c, 0xe8))); \
	} while (0)
#define SCHEDULE(i) \
	w[i] = ADD(ADD(w[i], SIGMA_SHIFT(w[((i) + 1) & 15], 7, 18, 3)), \
	           ADD(w[((i) + 9) & 15], SIGMA_SHIFT(w[((i) + 14) & 15], 17, 19, 10)))
#define EIGHT(o) do { \
		ROUND(a, b, c, d, e, f, g, h, (o)); ROUND(h, a, b, c, d, e, f, g, (o) + 1); \
		ROUND(g, h, a, b, c, d, e, f, (o) + 2); ROUND(f, g, h, a, b, c, d, e, (o) + 3); \
		ROUND(e, f, g, h, a, b, c, d, (o) + 4); ROUND(d, e, f, g, h, a, b, c, (o) + 5); \
		ROUND(c, d, e, f, g, h, a, b, (o) + 6); ROUND(b, c, d, e, f, g, h, a, (o) + 7); \
	} while (0)
	vec a = s[0], b = s[1], c = s[2], d = s[3], e = s[4], f = s[5], g = s[6], h = s[7];
	for (int r = 0;; r += 16) {
		EIGHT(0);
		EIGHT(8);
		if (r == 48) break;
		SCHEDULE(0); SCHEDULE(1); SCHEDULE(2); SCHEDULE(3);
		SCHEDULE(4); SCHEDULE(5); SCHEDULE(6); SCHEDULE(7);
		SCHEDULE(8); SCHEDULE(9); SCHEDULE(10); SCHEDULE(11);
		SCHEDULE(12); SCHEDULE(13); SCHEDULE(14); SCHEDULE(15);
	}
	s[0] = ADD(s[0], a); s[1] = ADD(s[1], b); s[2] = ADD(s[2], c); s[3] = ADD(s[3], d);
	s[4] = ADD(s[4], e); s[5] = ADD(s[5], f); s[6] = ADD(s[6], g); s[7] = ADD(s[7], h);
#undef EIGHT
#undef SCHEDULE
#undef ROUND
#undef ADD
#undef SIGMA_SHIFT
#undef SIGMA
}

INLINE void sha256_store(uint8_t *out, const uint16_t *lane, vec s[8]) {
	for (int k = 0; k < 8; k++) s[k] = swap_words(s[k]);
	scatter_words(out, lane, s);
}

static void sha256_rows(const job *j) {
	for (int i = 0; i < j->n; i += 16) {
		vec w[16], s[8];
		gather_words(w, j->head, 32, j->lane + i);
		w[8] = gather_word(j->tail, j->lane + i);
		for (int k = 0; k < 9; k++) w[k] = swap_words(w[k]);
		w[9] = all32(0x80000000);
		for (int k = 10; k < 15; k++) w[k] = _mm512_setzero_si512();
		w[15] = all32(8 * 36);
		sha256_init(s);
		sha256_block(s, w);
		sha256_store(j->out, j->lane + i, s);
	}
}

// sha256_message hashes a padded message of 16 lanes, sliced into words as they
// stand in memory.
static void sha256_message(const vec *word, int blocks, uint8_t *out, const uint16_t *lane) {
	vec w[16], s[8];
	sha256_init(s);
	for (int b = 0; b < blocks; b++) {
		for (int k = 0; k < 16; k++) w[k] = swap_words(word[16 * b + k]);
		sha256_block(s, w);
	}
	sha256_store(out, lane, s);
}

#endif
