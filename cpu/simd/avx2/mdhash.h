// SPDX-License-Identifier: GPL-3.0-or-later

// What SHA-256, SHA-1 and MD5 have in common: blocks of 64 bytes as 16 words of
// 8 lanes, and the padding of messages whose length is a multiple of 4.

#ifndef KIGO_AVX2_MDHASH_H
#define KIGO_AVX2_MDHASH_H

#include "vec.h"

INLINE vec rol32(vec v, int n)
{
	return _mm256_or_si256(_mm256_slli_epi32(v, n), _mm256_srli_epi32(v, 32 - n));
}

INLINE vec add32(vec a, vec b) { return _mm256_add_epi32(a, b); }
INLINE vec xor(vec a, vec b) { return _mm256_xor_si256(a, b); }
INLINE vec and(vec a, vec b) { return _mm256_and_si256(a, b); }
INLINE vec set32(uint32_t v) { return _mm256_set1_epi32((int)v); }

INLINE vec bswap32(vec v)
{
	return _mm256_shuffle_epi8(v, _mm256_setr_epi8(
		3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12,
		3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12));
}

// md_load8 loads 8 words of 8 lanes.
INLINE void md_load8(vec w[8], const struct job *j, size_t off, int big)
{
	for (int l = 0; l < 8; l++)
		w[l] = load256(j[l].src + off);
	transpose32(w);
	for (int i = 0; big && i < 8; i++)
		w[i] = bswap32(w[i]);
}

INLINE void md_full(vec w[16], const struct job *j, size_t off, int big)
{
	md_load8(w, j, off, big);
	md_load8(w + 8, j, off + 32, big);
}

// md_tail36 loads the 36 bytes that end a row's and a jump's message of len
// bytes, with their padding.
INLINE void md_tail36(vec w[16], const struct job *j, size_t len, int big)
{
	uint32_t x[8];
	md_load8(w, j, len - 36, big);
	for (int l = 0; l < 8; l++)
		x[l] = load32(j[l].src + len - 4);
	w[8] = big ? bswap32(load256(x)) : load256(x);
	w[9] = set32(big ? 0x80000000 : 0x80);
	for (int i = 10; i < 16; i++)
		w[i] = _mm256_setzero_si256();
	w[big ? 15 : 14] = set32((uint32_t)(8 * len));
}

// md_store writes digests of n words with their zero fill.
INLINE void md_store(const vec *h, int n, const struct job *j, int big)
{
	vec w[8];
	for (int i = 0; i < 8; i++)
		w[i] = i >= n ? _mm256_setzero_si256() : big ? bswap32(h[i]) : h[i];
	transpose32(w);
	for (int l = 0; l < 8; l++)
		store256(j[l].dst, w[l]);
}

#endif
