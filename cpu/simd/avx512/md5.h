// SPDX-License-Identifier: GPL-3.0-or-later
//
// MD5 (RFC 1321) on 16 lanes, a vector for each word, and two such groups side by
// side: each step waits for the one before, and one group leaves the ports idle.

#ifndef KIGO_AVX512_MD5_H
#define KIGO_AVX512_MD5_H

#include "job.h"
#include "simd.h"

enum { MD5_GROUPS = 2 };

static const uint32_t md5_k[64] = {
	0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
	0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
	0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
	0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
	0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
	0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
	0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
	0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

INLINE void md5_init(vec s[MD5_GROUPS][4]) {
	for (int g = 0; g < MD5_GROUPS; g++) {
		s[g][0] = all32(0x67452301);
		s[g][1] = all32(0xefcdab89);
		s[g][2] = all32(0x98badcfe);
		s[g][3] = all32(0x10325476);
	}
}

INLINE void md5_block(vec s[MD5_GROUPS][4], vec w[MD5_GROUPS][16]) {
#define ADD _mm512_add_epi32
// The four functions of x, y, z as truth tables.
#define F 0xca
#define G 0xe4
#define H 0x96
#define I 0x39
#define STEP(a, b, c, d, f, i, word, turn) do { \
		for (int g = 0; g < MD5_GROUPS; g++) { \
			vec t = ADD(ADD(v[g][a], ADD(w[g][(word) & 15], all32(md5_k[i]))), \
			            _mm512_ternarylogic_epi64(v[g][b], v[g][c], v[g][d], f)); \
			v[g][a] = ADD(v[g][b], _mm512_rol_epi32(t, turn)); \
		} \
	} while (0)
#define FOUR(f, i, m, o, t0, t1, t2, t3) do { \
		STEP(0, 1, 2, 3, f, i, (m) * (i) + (o), t0); STEP(3, 0, 1, 2, f, (i) + 1, (m) * ((i) + 1) + (o), t1); \
		STEP(2, 3, 0, 1, f, (i) + 2, (m) * ((i) + 2) + (o), t2); STEP(1, 2, 3, 0, f, (i) + 3, (m) * ((i) + 3) + (o), t3); \
	} while (0)
#define SIXTEEN(f, i, m, o, t0, t1, t2, t3) do { \
		FOUR(f, i, m, o, t0, t1, t2, t3); FOUR(f, (i) + 4, m, o, t0, t1, t2, t3); \
		FOUR(f, (i) + 8, m, o, t0, t1, t2, t3); FOUR(f, (i) + 12, m, o, t0, t1, t2, t3); \
	} while (0)
	vec v[MD5_GROUPS][4];
	for (int g = 0; g < MD5_GROUPS; g++)
		for (int k = 0; k < 4; k++) v[g][k] = s[g][k];
	SIXTEEN(F, 0, 1, 0, 7, 12, 17, 22);
	SIXTEEN(G, 16, 5, 1, 5, 9, 14, 20);
	SIXTEEN(H, 32, 3, 5, 4, 11, 16, 23);
	SIXTEEN(I, 48, 7, 0, 6, 10, 15, 21);
	for (int g = 0; g < MD5_GROUPS; g++)
		for (int k = 0; k < 4; k++) s[g][k] = ADD(s[g][k], v[g][k]);
#undef SIXTEEN
#undef FOUR
#undef STEP
#undef I
#undef H
#undef G
#undef F
#undef ADD
}

INLINE void md5_store(uint8_t *out, const uint16_t *lane, const vec s[MD5_GROUPS][4]) {
	const vec zero = _mm512_setzero_si512();
	for (int g = 0; g < MD5_GROUPS; g++) {
		vec d[8] = {s[g][0], s[g][1], s[g][2], s[g][3], zero, zero, zero, zero};
		scatter_words(out, lane + 16 * g, d);
	}
}

static void md5_rows(const job *j) {
	for (int i = 0; i < j->n; i += 16 * MD5_GROUPS) {
		vec w[MD5_GROUPS][16], s[MD5_GROUPS][4];
		for (int g = 0; g < MD5_GROUPS; g++) {
			const uint16_t *lane = j->lane + i + 16 * g;
			gather_words(w[g], j->head, 32, lane);
			w[g][8] = gather_word(j->tail, lane);
			w[g][9] = all32(0x80);
			for (int k = 10; k < 16; k++) w[g][k] = _mm512_setzero_si512();
			w[g][14] = all32(8 * 36);
		}
		md5_init(s);
		md5_block(s, w);
		md5_store(j->out, j->lane + i, s);
	}
}

// md5_message hashes a padded message of two times 16 lanes, sliced into words.
static void md5_message(const vec *first, const vec *second, int blocks, uint8_t *out, const uint16_t *lane) {
	vec w[MD5_GROUPS][16], s[MD5_GROUPS][4];
	md5_init(s);
	for (int b = 0; b < blocks; b++) {
		memcpy(w[0], first + 16 * b, sizeof w[0]);
		memcpy(w[1], second + 16 * b, sizeof w[1]);
		md5_block(s, w);
	}
	md5_store(out, lane, s);
}

#endif
