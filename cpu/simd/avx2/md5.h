// SPDX-License-Identifier: GPL-3.0-or-later

// MD5 (RFC 1321) on two groups of 8 lanes: each step needs the one before it,
// and one group alone would leave the core waiting.

#ifndef KIGO_AVX2_MD5_H
#define KIGO_AVX2_MD5_H

#include "mdhash.h"

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

INLINE vec md5_f(const int round, vec b, vec c, vec d)
{
	switch (round) {
	case 0:
		return xor(d, and(b, xor(c, d)));
	case 1:
		return xor(c, and(d, xor(b, c)));
	case 2:
		return xor(b, xor(c, d));
	default:
		return xor(c, _mm256_or_si256(b, xor(d, set32(0xffffffff))));
	}
}

struct md5_state {
	vec a[2], b[2], c[2], d[2];
};

// md5_round does 16 steps, four at a time: then the state's words are back in their
// places, and the code is short.
INLINE void md5_round(struct md5_state *s, vec w[2][16], const int round, const int first, const int stride,
	const int r0, const int r1, const int r2, const int r3)
{
	const int rot[4] = {r0, r1, r2, r3};
	unsigned at = (unsigned)first;
	_Pragma("GCC unroll 1")
	for (int i = 16 * round; i < 16 * round + 16; i += 4) {
		_Pragma("GCC unroll 4")
		for (int n = 0; n < 4; n++) {
			const vec k = set32(md5_k[i + n]);
			for (int g = 0; g < 2; g++) {
				vec t = add32(add32(s->a[g], add32(w[g][at], k)), md5_f(round, s->b[g], s->c[g], s->d[g]));
				s->a[g] = s->d[g];
				s->d[g] = s->c[g];
				s->c[g] = s->b[g];
				s->b[g] = add32(s->b[g], rol32(t, rot[n]));
			}
			at = (at + (unsigned)stride) & 15;
		}
	}
}

NOINLINE void md5_block(vec h[2][4], vec w[2][16])
{
	struct md5_state s;
	for (int g = 0; g < 2; g++) {
		s.a[g] = h[g][0];
		s.b[g] = h[g][1];
		s.c[g] = h[g][2];
		s.d[g] = h[g][3];
	}
	md5_round(&s, w, 0, 0, 1, 7, 12, 17, 22);
	md5_round(&s, w, 1, 1, 5, 5, 9, 14, 20);
	md5_round(&s, w, 2, 5, 3, 4, 11, 16, 23);
	md5_round(&s, w, 3, 0, 7, 6, 10, 15, 21);
	for (int g = 0; g < 2; g++) {
		h[g][0] = add32(h[g][0], s.a[g]);
		h[g][1] = add32(h[g][1], s.b[g]);
		h[g][2] = add32(h[g][2], s.c[g]);
		h[g][3] = add32(h[g][3], s.d[g]);
	}
}

INLINE void md5x16(const struct job *j, const size_t len)
{
	vec h[2][4], w[2][16];
	for (int g = 0; g < 2; g++) {
		h[g][0] = set32(0x67452301);
		h[g][1] = set32(0xefcdab89);
		h[g][2] = set32(0x98badcfe);
		h[g][3] = set32(0x10325476);
	}
	for (size_t off = 0; len - off > 64; off += 64) {
		md_full(w[0], j, off, 0);
		md_full(w[1], j + 8, off, 0);
		md5_block(h, w);
	}
	md_tail36(w[0], j, len, 0);
	md_tail36(w[1], j + 8, len, 0);
	md5_block(h, w);
	md_store(h[0], 4, j, 0);
	md_store(h[1], 4, j + 8, 0);
}

KERNEL(md5x16)

#endif
