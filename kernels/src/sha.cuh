// SPDX-License-Identifier: GPL-3.0-or-later

// SHA-256, SHA-1 and MD5: 64-byte blocks, 32-bit words.  A message is a source
// of little-endian words, word(i); its length is known when compiled.

#ifndef KIGO_SHA_CUH
#define KIGO_SHA_CUH

#include "word.cuh"

TABLE u32 sha256_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

TABLE u32 md5_k[64] = {
	0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
	0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
	0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
	0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
	0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
	0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
	0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
	0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};

// load_block fills m with block b of a message of WORDS words and its padding,
// little-endian; the length goes to the last two words in the hash's own order.
template <int WORDS, bool BIG, class Source>
DEVICE void load_block(u32 *m, const Source &src, int b)
{
	const int blocks = (WORDS + 2) / 16 + 1;
	UNROLL
	for (int i = 0; i < 16; i++) {
		int at = 16 * b + i;
		m[i] = at < WORDS ? src.word(at) : at == WORDS ? 0x80 : 0;
	}
	if (BIG) {
		UNROLL
		for (int i = 0; i < 16; i++)
			m[i] = swap_bytes(m[i]);
	}
	if (b == blocks - 1)
		m[BIG ? 15 : 14] = 32 * WORDS;
}

DEVICE void sha256_block(u32 *h, u32 *m)
{
	u32 a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], s = h[7];
	UNROLL
	for (int i = 0; i < 64; i++) {
		if (i >= 16) {
			u32 x = m[(i + 1) & 15], y = m[(i + 14) & 15];
			m[i & 15] += (rotr(x, 7) ^ rotr(x, 18) ^ x >> 3) + m[(i + 9) & 15] +
				(rotr(y, 17) ^ rotr(y, 19) ^ y >> 10);
		}
		u32 t = s + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & f) ^ (~e & g)) + sha256_k[i] + m[i & 15];
		u32 u = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
		s = g, g = f, f = e, e = d + t, d = c, c = b, b = a, a = t + u;
	}
	h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e, h[5] += f, h[6] += g, h[7] += s;
}

// sha256 writes the digest as eight little-endian words.
template <int WORDS, class Source>
DEVICE void sha256(u32 *out, const Source &src)
{
	u32 h[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};
	ROLL
	for (int b = 0; b < (WORDS + 2) / 16 + 1; b++) {
		u32 m[16];
		load_block<WORDS, true>(m, src, b);
		sha256_block(h, m);
	}
	UNROLL
	for (int i = 0; i < 8; i++)
		out[i] = swap_bytes(h[i]);
}

// sha1 writes the digest and twelve zero bytes.
template <int WORDS, class Source>
DEVICE void sha1(u32 *out, const Source &src)
{
	u32 h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	ROLL
	for (int blk = 0; blk < (WORDS + 2) / 16 + 1; blk++) {
		u32 m[16];
		load_block<WORDS, true>(m, src, blk);
		u32 a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
		UNROLL
		for (int i = 0; i < 80; i++) {
			if (i >= 16)
				m[i & 15] = rotl(m[(i + 13) & 15] ^ m[(i + 8) & 15] ^ m[(i + 2) & 15] ^ m[i & 15], 1);
			u32 f = i < 20 ? ((b & c) | (~b & d)) + 0x5a827999
				: i < 40 ? (b ^ c ^ d) + 0x6ed9eba1
				: i < 60 ? ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc
				: (b ^ c ^ d) + 0xca62c1d6;
			u32 t = rotl(a, 5) + f + e + m[i & 15];
			e = d, d = c, c = rotl(b, 30), b = a, a = t;
		}
		h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
	}
	UNROLL
	for (int i = 0; i < 8; i++)
		out[i] = i < 5 ? swap_bytes(h[i < 5 ? i : 0]) : 0;
}

// md5 writes the digest and sixteen zero bytes.
template <int WORDS, class Source>
DEVICE void md5(u32 *out, const Source &src)
{
	u32 h[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
	ROLL
	for (int blk = 0; blk < (WORDS + 2) / 16 + 1; blk++) {
		u32 m[16];
		load_block<WORDS, false>(m, src, blk);
		u32 a = h[0], b = h[1], c = h[2], d = h[3];
		UNROLL
		for (int i = 0; i < 64; i++) {
			const int turns[16] = {7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21};
			u32 f = i < 16 ? (b & c) | (~b & d)
				: i < 32 ? (d & b) | (~d & c)
				: i < 48 ? b ^ c ^ d
				: c ^ (b | ~d);
			int at = i < 16 ? i : i < 32 ? 5 * i + 1 : i < 48 ? 3 * i + 5 : 7 * i;
			u32 t = b + rotl(a + f + md5_k[i] + m[at & 15], turns[i / 16 * 4 + i % 4]);
			a = d, d = c, c = b, b = t;
		}
		h[0] += a, h[1] += b, h[2] += c, h[3] += d;
	}
	UNROLL
	for (int i = 0; i < 8; i++)
		out[i] = i < 4 ? h[i < 4 ? i : 0] : 0;
}

#endif
