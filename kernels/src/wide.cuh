// SPDX-License-Identifier: GPL-3.0-or-later

// BLAKE2b, SHA3-256 and Keccak-256: 64-bit words.  Messages are as in sha.cuh.

#ifndef KIGO_WIDE_CUH
#define KIGO_WIDE_CUH

#include "word.cuh"

// load_wide returns 64-bit word i of a message of WORDS words of 32 bits and
// zeros behind it.
template <int WORDS, class Source>
DEVICE u64 load_wide(const Source &src, int i)
{
	u32 lo = 2 * i < WORDS ? src.word(2 * i) : 0;
	u32 hi = 2 * i + 1 < WORDS ? src.word(2 * i + 1) : 0;
	return (u64)hi << 32 | lo;
}

DEVICE u64 rotr64(u64 v, int n)
{
	u32 lo = (u32)v, hi = (u32)(v >> 32);
	if (n == 32)
		return (u64)lo << 32 | hi;
	if (n > 32) {
		u32 t = lo;
		lo = hi, hi = t, n -= 32;
	}
	return (u64)funnel(hi, lo, n) << 32 | funnel(lo, hi, n);
}

// The states after the key block of docs/spec/pow.md section 8, for the key of
// 32 zeros and that of 64 ones.
TABLE u64 blake2b_keyed[2][8] = {
	{0x63320ace264383eb, 0x012af5fd045a2737, 0xf4f49c55e6be39df, 0x791c5bc8affb11a7,
	 0xc9bcacc002c0ea21, 0x8295b8abe2fdedd6, 0xb711490e5f9f41c8, 0x3f8e4d1d9ebeaf1a},
	{0x00b8aa23c261ef69, 0xd38ae6abca237b9e, 0x67fb881e5ee89069, 0x3e5b8bd06b58d002,
	 0x252d3f68395aae91, 0xd25465e23c6c1b27, 0x852b4cc2e13303b5, 0x3f38b9ff245be7c1},
};

TABLE u64 blake2b_iv[8] = {
	0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

// Which word goes where in each round (RFC 7693 section 2.7), written out so that
// message words stay in registers.
#define BLAKE2B_ROUNDS(R) \
	R(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) \
	R(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3) \
	R(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4) \
	R(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8) \
	R(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13) \
	R(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9) \
	R(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11) \
	R(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10) \
	R(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5) \
	R(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0) \
	R(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) \
	R(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)

DEVICE void blake2b_g(u64 *v, int a, int b, int c, int d, u64 x, u64 y)
{
	v[a] += v[b] + x;
	v[d] = rotr64(v[d] ^ v[a], 32);
	v[c] += v[d];
	v[b] = rotr64(v[b] ^ v[c], 24);
	v[a] += v[b] + y;
	v[d] = rotr64(v[d] ^ v[a], 16);
	v[c] += v[d];
	v[b] = rotr64(v[b] ^ v[c], 63);
}

// blake2b writes the digest of a message behind key 0 or 1.
template <int WORDS, class Source>
DEVICE void blake2b(u32 *out, const Source &src, int key)
{
	const int blocks = (WORDS + 31) / 32;
	u64 h[8];
	UNROLL
	for (int i = 0; i < 8; i++)
		h[i] = blake2b_keyed[key][i];
	ROLL
	for (int b = 0; b < blocks; b++) {
		u64 m[16], v[16];
		UNROLL
		for (int i = 0; i < 16; i++)
			m[i] = load_wide<WORDS>(src, 16 * b + i);
		UNROLL
		for (int i = 0; i < 8; i++)
			v[i] = h[i], v[i + 8] = blake2b_iv[i];
		bool last = b == blocks - 1;
		v[12] ^= last ? 128 + 4 * WORDS : 128 * (b + 2); // bytes so far, the key's among them
		if (last)
			v[14] = ~v[14];
#define KIGO_ROUND(s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, s12, s13, s14, s15) \
		blake2b_g(v, 0, 4, 8, 12, m[s0], m[s1]); \
		blake2b_g(v, 1, 5, 9, 13, m[s2], m[s3]); \
		blake2b_g(v, 2, 6, 10, 14, m[s4], m[s5]); \
		blake2b_g(v, 3, 7, 11, 15, m[s6], m[s7]); \
		blake2b_g(v, 0, 5, 10, 15, m[s8], m[s9]); \
		blake2b_g(v, 1, 6, 11, 12, m[s10], m[s11]); \
		blake2b_g(v, 2, 7, 8, 13, m[s12], m[s13]); \
		blake2b_g(v, 3, 4, 9, 14, m[s14], m[s15]);
		BLAKE2B_ROUNDS(KIGO_ROUND)
#undef KIGO_ROUND
		UNROLL
		for (int i = 0; i < 8; i++)
			h[i] ^= v[i] ^ v[i + 8];
	}
	UNROLL
	for (int i = 0; i < 4; i++)
		out[2 * i] = (u32)h[i], out[2 * i + 1] = (u32)(h[i] >> 32);
}

TABLE u64 keccak_rc[24] = {
	0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
	0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
	0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
	0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
	0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
	0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

DEVICE u64 rotl64(u64 v, int n) { return n == 0 ? v : rotr64(v, 64 - n); }

DEVICE void keccak_round(u64 *a, u64 rc)
{
	const int turns[25] = {
		0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14,
	};
	u64 c[5], b[25];
	UNROLL
	for (int x = 0; x < 5; x++)
		c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
	UNROLL
	for (int i = 0; i < 25; i++) {
		int x = i % 5, y = i / 5;
		u64 d = c[(x + 4) % 5] ^ rotl64(c[(x + 1) % 5], 1);
		b[y + 5 * ((2 * x + 3 * y) % 5)] = rotl64(a[i] ^ d, turns[i]); // rho and pi
	}
	UNROLL
	for (int i = 0; i < 25; i++) {
		int x = i % 5, y = i / 5;
		a[i] = b[i] ^ (~b[5 * y + (x + 1) % 5] & b[5 * y + (x + 2) % 5]);
	}
	a[0] ^= rc;
}

// keccak writes the digest with rate 136 and first the given byte of padding:
// 0x06 for SHA3-256, 0x01 for Keccak-256.
template <int WORDS, class Source>
DEVICE void keccak(u32 *out, const Source &src, u32 pad)
{
	const int blocks = WORDS / 34 + 1;
	u64 a[25];
	UNROLL
	for (int i = 0; i < 25; i++)
		a[i] = 0;
	ROLL
	for (int b = 0; b < blocks; b++) {
		UNROLL
		for (int i = 0; i < 17; i++) {
			int at = 34 * b + 2 * i;
			u32 lo = at < WORDS ? src.word(at) : at == WORDS ? pad : 0;
			u32 hi = at + 1 < WORDS ? src.word(at + 1) : at + 1 == WORDS ? pad : 0;
			a[i] ^= (u64)hi << 32 | lo;
		}
		if (b == blocks - 1)
			a[16] ^= 0x8000000000000000;
		ROLL
		for (int r = 0; r < 24; r++)
			keccak_round(a, keccak_rc[r]);
	}
	UNROLL
	for (int i = 0; i < 4; i++)
		out[2 * i] = (u32)a[i], out[2 * i + 1] = (u32)(a[i] >> 32);
}

#endif
