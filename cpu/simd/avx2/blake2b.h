// SPDX-License-Identifier: GPL-3.0-or-later

// BLAKE2b-256 (RFC 7693) with Peach's two keys, on 4 lanes.  The block of the
// key is the same for all messages, so hashing starts from the state after it;
// that state is all the two keys differ in, so they share their vectors.

#ifndef KIGO_AVX2_BLAKE2B_H
#define KIGO_AVX2_BLAKE2B_H

#include "vec.h"

static const uint64_t blake2b_iv[8] = {
	0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

// The states after 32 bytes of 0x00 and 64 bytes of 0x01 (docs/spec/pow.md
// section 8).
static const uint64_t blake2b_keyed[2][8] = {
	{0x63320ace264383eb, 0x012af5fd045a2737, 0xf4f49c55e6be39df, 0x791c5bc8affb11a7,
	 0xc9bcacc002c0ea21, 0x8295b8abe2fdedd6, 0xb711490e5f9f41c8, 0x3f8e4d1d9ebeaf1a},
	{0x00b8aa23c261ef69, 0xd38ae6abca237b9e, 0x67fb881e5ee89069, 0x3e5b8bd06b58d002,
	 0x252d3f68395aae91, 0xd25465e23c6c1b27, 0x852b4cc2e13303b5, 0x3f38b9ff245be7c1},
};

static const uint8_t blake2b_sigma[12][16] = {
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	{14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
	{11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
	{7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
	{9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
	{2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
	{12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
	{13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
	{6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
	{10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
	{14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
};

INLINE vec blake2b_ror32(vec v) { return _mm256_shuffle_epi32(v, 0xb1); }

INLINE vec blake2b_ror24(vec v)
{
	return _mm256_shuffle_epi8(v, _mm256_setr_epi8(
		3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10,
		3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10));
}

INLINE vec blake2b_ror16(vec v)
{
	return _mm256_shuffle_epi8(v, _mm256_setr_epi8(
		2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9,
		2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9));
}

INLINE vec blake2b_ror63(vec v)
{
	return _mm256_or_si256(_mm256_add_epi64(v, v), _mm256_srli_epi64(v, 63));
}

// A message word that is known to be zero costs no addition.
#define BLAKE2B_ADDM(x, k) \
	((k) < words ? _mm256_add_epi64(x, m[k]) : (x))

#define BLAKE2B_G(a, b, c, d, k0, k1) do { \
	v[a] = _mm256_add_epi64(BLAKE2B_ADDM(v[a], k0), v[b]); \
	v[d] = blake2b_ror32(_mm256_xor_si256(v[d], v[a])); \
	v[c] = _mm256_add_epi64(v[c], v[d]); \
	v[b] = blake2b_ror24(_mm256_xor_si256(v[b], v[c])); \
	v[a] = _mm256_add_epi64(BLAKE2B_ADDM(v[a], k1), v[b]); \
	v[d] = blake2b_ror16(_mm256_xor_si256(v[d], v[a])); \
	v[c] = _mm256_add_epi64(v[c], v[d]); \
	v[b] = blake2b_ror63(_mm256_xor_si256(v[b], v[c])); \
	if (words == 16) \
		__asm__ volatile("" : "+x"(v[b])); \
} while (0)

// blake2b_compress takes a block of which all but the first words are zero;
// total counts the bytes so far, the key block's 128 included.
INLINE void blake2b_compress(vec h[8], const vec *m, const int words, uint64_t total, uint64_t final)
{
	vec v[16];
	for (int i = 0; i < 8; i++) {
		v[i] = h[i];
		v[8 + i] = _mm256_set1_epi64x((long long)blake2b_iv[i]);
	}
	v[12] = _mm256_set1_epi64x((long long)(blake2b_iv[4] ^ total));
	v[14] = _mm256_set1_epi64x((long long)(blake2b_iv[6] ^ final));
	_Pragma("GCC unroll 12")
	for (int r = 0; r < 12; r++) {
		const uint8_t *s = blake2b_sigma[r];
		BLAKE2B_G(0, 4, 8, 12, s[0], s[1]);
		BLAKE2B_G(1, 5, 9, 13, s[2], s[3]);
		BLAKE2B_G(2, 6, 10, 14, s[4], s[5]);
		BLAKE2B_G(3, 7, 11, 15, s[6], s[7]);
		BLAKE2B_G(0, 5, 10, 15, s[8], s[9]);
		BLAKE2B_G(1, 6, 11, 12, s[10], s[11]);
		BLAKE2B_G(2, 7, 8, 13, s[12], s[13]);
		BLAKE2B_G(3, 4, 9, 14, s[14], s[15]);
	}
	for (int i = 0; i < 8; i++)
		h[i] = _mm256_xor_si256(h[i], _mm256_xor_si256(v[i], v[8 + i]));
}

NOINLINE void blake2b_block(vec h[8], const struct job *j, size_t off)
{
	vec m[16];
	for (int i = 0; i < 16; i += 4) {
		for (int l = 0; l < 4; l++)
			m[i + l] = load256(j[l].src + off + 8 * (size_t)i);
		transpose64(m + i);
	}
	blake2b_compress(h, m, 16, 128 + off + 128, 0);
}

// Both lengths end with 36 bytes after whole blocks.
INLINE void blake2b4(const struct job *j, const size_t len)
{
	vec h[8];
	for (int i = 0; i < 8; i += 4) {
		for (int l = 0; l < 4; l++)
			h[i + l] = load256(blake2b_keyed[j[l].fn & 1] + i);
		transpose64(h + i);
	}
	size_t off = 0;
	for (; len - off > 128; off += 128)
		blake2b_block(h, j, off);
	vec m[5];
	uint64_t tail[4];
	for (int l = 0; l < 4; l++) {
		m[l] = load256(j[l].src + off);
		tail[l] = load32(j[l].src + off + 32);
	}
	transpose64(m);
	m[4] = load256(tail);
	blake2b_compress(h, m, 5, 128 + len, ~(uint64_t)0);
	transpose64(h);
	for (int l = 0; l < 4; l++)
		store256(j[l].dst, h[l]);
}

KERNEL(blake2b4)

#endif
