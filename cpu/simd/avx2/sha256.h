// SPDX-License-Identifier: GPL-3.0-or-later

// SHA-256 (FIPS 180-4) on 8 lanes: rows and jumps, and the trailer's own two
// hashes.

#ifndef KIGO_AVX2_SHA256_H
#define KIGO_AVX2_SHA256_H

#include "mdhash.h"

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

INLINE void sha256_init(vec h[8])
{
	static const uint32_t iv[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};
	for (int i = 0; i < 8; i++)
		h[i] = set32(iv[i]);
}

// sha256_block leaves w as the last 16 words of the schedule.  The rounds stay a
// loop: unrolled, gcc makes them a third slower.
NOINLINE void sha256_block(vec h[8], vec w[16])
{
	vec a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], k = h[7];
	vec bc = xor(b, c);
	_Pragma("GCC unroll 16")
	for (int i = 0; i < 64; i++) {
		if (i >= 16) {
			vec p = w[(i + 1) & 15], q = w[(i + 14) & 15];
			vec s0 = xor(xor(rol32(p, 25), rol32(p, 14)), _mm256_srli_epi32(p, 3));
			vec s1 = xor(xor(rol32(q, 15), rol32(q, 13)), _mm256_srli_epi32(q, 10));
			w[i & 15] = add32(add32(w[i & 15], w[(i + 9) & 15]), add32(s0, s1));
		}
		vec e1 = xor(xor(rol32(e, 26), rol32(e, 21)), rol32(e, 7));
		vec ch = xor(g, and(e, xor(f, g)));
		vec t = add32(add32(add32(k, w[i & 15]), add32(ch, set32(sha256_k[i]))), e1);
		vec e0 = xor(xor(rol32(a, 30), rol32(a, 19)), rol32(a, 10));
		vec ab = xor(a, b);
		vec maj = xor(b, and(ab, bc)); // b where a and b agree, else c
		bc = ab;
		k = g;
		g = f;
		f = e;
		e = add32(d, t);
		d = c;
		c = b;
		b = a;
		a = add32(t, add32(e0, maj));
	}
	h[0] = add32(h[0], a);
	h[1] = add32(h[1], b);
	h[2] = add32(h[2], c);
	h[3] = add32(h[3], d);
	h[4] = add32(h[4], e);
	h[5] = add32(h[5], f);
	h[6] = add32(h[6], g);
	h[7] = add32(h[7], k);
}

INLINE void sha256x8(const struct job *j, const size_t len)
{
	vec h[8], w[16];
	sha256_init(h);
	for (size_t off = 0; len - off > 64; off += 64) {
		md_full(w, j, off, 1);
		sha256_block(h, w);
	}
	md_tail36(w, j, len, 1);
	sha256_block(h, w);
	md_store(h, 8, j, 1);
}

KERNEL(sha256x8)

// sha256_trailer hashes the first 124 bytes of 8 trailers.  The four bytes
// after them are read, and replaced by the padding.
NOINLINE void sha256_trailer(const struct job *j)
{
	vec h[8], w[16];
	sha256_init(h);
	md_full(w, j, 0, 1);
	sha256_block(h, w);
	md_full(w, j, 64, 1);
	w[15] = set32(0x80000000);
	sha256_block(h, w);
	for (int i = 0; i < 15; i++)
		w[i] = _mm256_setzero_si256();
	w[15] = set32(8 * TRAILER_MSG);
	sha256_block(h, w);
	md_store(h, 8, j, 1);
}

// sha256_final hashes 8 times 1056 bytes.
NOINLINE void sha256_final(const struct job *j)
{
	vec h[8], w[16];
	sha256_init(h);
	for (size_t off = 0; off < 1024; off += 64) {
		md_full(w, j, off, 1);
		sha256_block(h, w);
	}
	md_load8(w, j, 1024, 1);
	w[8] = set32(0x80000000);
	for (int i = 9; i < 15; i++)
		w[i] = _mm256_setzero_si256();
	w[15] = set32(8 * FINAL_MSG);
	sha256_block(h, w);
	md_store(h, 8, j, 1);
}

#endif
