// SPDX-License-Identifier: GPL-3.0-or-later

// SHA3-256 and Keccak-256 (FIPS 202, rate 136) on 4 lanes.  They differ in one
// padding byte alone, so they share their vectors.

#ifndef KIGO_AVX2_KECCAK_H
#define KIGO_AVX2_KECCAK_H

#include "vec.h"

static const uint64_t keccak_rc[24] = {
	0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
	0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
	0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
	0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
	0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
	0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

INLINE vec keccak_rol(vec v, int n)
{
	if (n == 8)
		return _mm256_shuffle_epi8(v, _mm256_setr_epi8(
			7, 0, 1, 2, 3, 4, 5, 6, 15, 8, 9, 10, 11, 12, 13, 14,
			7, 0, 1, 2, 3, 4, 5, 6, 15, 8, 9, 10, 11, 12, 13, 14));
	if (n == 56)
		return _mm256_shuffle_epi8(v, _mm256_setr_epi8(
			1, 2, 3, 4, 5, 6, 7, 0, 9, 10, 11, 12, 13, 14, 15, 8,
			1, 2, 3, 4, 5, 6, 7, 0, 9, 10, 11, 12, 13, 14, 15, 8));
	if (n == 1)
		return _mm256_or_si256(_mm256_add_epi64(v, v), _mm256_srli_epi64(v, 63));
	return _mm256_or_si256(_mm256_slli_epi64(v, n), _mm256_srli_epi64(v, 64 - n));
}

// One row of chi from five lanes after rho and pi.
#define KECCAK_CHI(o, y, b0, b1, b2, b3, b4) do { \
	vec p0 = b0, p1 = b1, p2 = b2, p3 = b3, p4 = b4; \
	o[5 * y + 0] = _mm256_xor_si256(p0, _mm256_andnot_si256(p1, p2)); \
	o[5 * y + 1] = _mm256_xor_si256(p1, _mm256_andnot_si256(p2, p3)); \
	o[5 * y + 2] = _mm256_xor_si256(p2, _mm256_andnot_si256(p3, p4)); \
	o[5 * y + 3] = _mm256_xor_si256(p3, _mm256_andnot_si256(p4, p0)); \
	o[5 * y + 4] = _mm256_xor_si256(p4, _mm256_andnot_si256(p0, p1)); \
} while (0)

#define KECCAK_AT(i, n) keccak_rol(_mm256_xor_si256(a[i], d[(i) % 5]), n)

// keccak_round reads a and writes o: all of it, or only the first row.
INLINE void keccak_round(vec o[25], const vec a[25], uint64_t rc, const int rows)
{
	vec c[5], d[5];
	for (int x = 0; x < 5; x++)
		c[x] = _mm256_xor_si256(_mm256_xor_si256(a[x], a[x + 5]),
			_mm256_xor_si256(_mm256_xor_si256(a[x + 10], a[x + 15]), a[x + 20]));
	for (int x = 0; x < 5; x++)
		d[x] = _mm256_xor_si256(c[(x + 4) % 5], keccak_rol(c[(x + 1) % 5], 1));
	KECCAK_CHI(o, 0, _mm256_xor_si256(a[0], d[0]), KECCAK_AT(6, 44), KECCAK_AT(12, 43),
		KECCAK_AT(18, 21), KECCAK_AT(24, 14));
	o[0] = _mm256_xor_si256(o[0], _mm256_set1_epi64x((long long)rc));
	if (rows == 1)
		return;
	KECCAK_CHI(o, 1, KECCAK_AT(3, 28), KECCAK_AT(9, 20), KECCAK_AT(10, 3),
		KECCAK_AT(16, 45), KECCAK_AT(22, 61));
	KECCAK_CHI(o, 2, KECCAK_AT(1, 1), KECCAK_AT(7, 6), KECCAK_AT(13, 25),
		KECCAK_AT(19, 8), KECCAK_AT(20, 18));
	KECCAK_CHI(o, 3, KECCAK_AT(4, 27), KECCAK_AT(5, 36), KECCAK_AT(11, 10),
		KECCAK_AT(17, 15), KECCAK_AT(23, 56));
	KECCAK_CHI(o, 4, KECCAK_AT(2, 62), KECCAK_AT(8, 55), KECCAK_AT(14, 39),
		KECCAK_AT(15, 41), KECCAK_AT(21, 2));
}

INLINE void keccak_f(vec a[25])
{
	vec b[25];
	for (int r = 0; r < 24; r += 2) {
		keccak_round(b, a, keccak_rc[r], 5);
		keccak_round(a, b, keccak_rc[r + 1], 5);
	}
}

// keccak_digest runs the rounds and leaves only the first four words.  The last round
// makes no more than these, and the first is by itself since most of a row's state
// is known to be zero there.
INLINE void keccak_digest(vec a[25])
{
	vec b[25];
	keccak_round(b, a, keccak_rc[0], 5);
	for (int r = 1; r < 23; r += 2) {
		keccak_round(a, b, keccak_rc[r], 5);
		keccak_round(b, a, keccak_rc[r + 1], 5);
	}
	keccak_round(a, b, keccak_rc[23], 1);
}

// keccak_absorb4 absorbs 32 bytes a lane into the state words from i on.
INLINE void keccak_absorb4(vec a[25], int i, const struct job *j, size_t off)
{
	vec v[4];
	for (int l = 0; l < 4; l++)
		v[l] = load256(j[l].src + off);
	transpose64(v);
	for (int l = 0; l < 4; l++)
		a[i + l] = _mm256_xor_si256(a[i + l], v[l]);
}

INLINE vec keccak_word(const struct job *j, size_t off)
{
	return _mm256_setr_epi64x((long long)load64(j[0].src + off), (long long)load64(j[1].src + off),
		(long long)load64(j[2].src + off), (long long)load64(j[3].src + off));
}

// Both lengths leave a last half word of 4 bytes: 36 = 0 x 136 + 4 x 8 + 4 and
// 1060 = 7 x 136 + 13 x 8 + 4.
INLINE void keccak4(const struct job *j, const size_t len)
{
	enum { RATE = 136 };
	vec a[25];
	for (int i = 0; i < 25; i++)
		a[i] = _mm256_setzero_si256();
	size_t off = 0;
	for (; len - off >= RATE; off += RATE) {
		for (int i = 0; i < 16; i += 4)
			keccak_absorb4(a, i, j, off + 8 * (size_t)i);
		a[16] = _mm256_xor_si256(a[16], keccak_word(j, off + 128));
		keccak_f(a);
	}
	int i = 0;
	for (; len - off >= 32; off += 32, i += 4)
		keccak_absorb4(a, i, j, off);
	for (; len - off >= 8; off += 8, i++)
		a[i] = _mm256_xor_si256(a[i], keccak_word(j, off));
	uint64_t tail[4];
	for (int l = 0; l < 4; l++)
		tail[l] = load32(j[l].src + off) | (uint64_t)(j[l].fn == 4 ? 0x06 : 0x01) << 32;
	a[i] = _mm256_xor_si256(a[i], load256(tail));
	a[16] = _mm256_xor_si256(a[16], _mm256_set1_epi64x((long long)0x8000000000000000));
	keccak_digest(a);
	transpose64(a);
	for (int l = 0; l < 4; l++)
		store256(j[l].dst, a[l]);
}

KERNEL(keccak4)

#endif
