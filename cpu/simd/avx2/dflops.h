// SPDX-License-Identifier: GPL-3.0-or-later

// dflops (docs/spec/pow.md section 9.1) on one 32-bit word of 8 lanes.  Words
// and ops are in lane order; only op mod 8 is of use to anyone, so the upper
// bits of an op may hold anything.
//
// All four operations are computed, and one is kept.  Products and quotients go
// through double precision.  On Intel's cores a single-precision product with a
// subnormal operand, or a quotient that is subnormal, is left to microcode for
// some 120 cycles, and random words have one in every other vector; conversions
// from and to double precision take subnormals at full speed.  The answers are
// the same (docs/spec/pow.md section 10): a product of two floats is exact as a
// double, and a quotient of floats that isn't exactly half way between two
// floats is farther from there than a double's error.

#ifndef KIGO_AVX2_DFLOPS_H
#define KIGO_AVX2_DFLOPS_H

#include "vec.h"

// dflops_narrow rounds 8 doubles to floats, to nearest and with subnormals.
INLINE __m256 dflops_narrow(__m256d lo, __m256d hi)
{
	return _mm256_set_m128(_mm256_cvtpd_ps(hi), _mm256_cvtpd_ps(lo));
}

// A word's dflops comes in two halves: what doesn't need its op, divisions above all,
// and the rest.  The second half of one word stands next to the first of the next, and
// the core has something to do while it waits for either.
struct dflops {
	float x[8], y[8];
	__m256 product, quotient;
	vec chosen;
};

// dflops_widen goes through memory: a conversion that loads needs no shuffle, and the
// only port for those would be the busiest.
INLINE __m256d dflops_widen(const float f[4])
{
	return _mm256_cvtps_pd(_mm_loadu_ps(f));
}

// dflops_begin takes word w; index is the tile's index as a float.
INLINE void dflops_begin(struct dflops *d, vec w, __m256 index)
{
	// The control of the byte shuffle that brings the chosen bytes to their
	// places: value, nothing, op, sign.  The look-up takes the low three bits of
	// each word by itself.
	const vec selectors = _mm256_setr_epi32(
		(int)0x03018002, (int)0x02038001, (int)0x03008002, (int)0x02008001,
		(int)0x01038000, (int)0x01028000, (int)0x03018001, (int)0x03028001);
	const vec places = _mm256_setr_epi32(
		0x00000000, 0x04040404, 0x08080808, 0x0c0c0c0c,
		0x00000000, 0x04040404, 0x08080808, 0x0c0c0c0c);
	d->chosen = _mm256_shuffle_epi8(w,
		_mm256_or_si256(_mm256_permutevar8x32_epi32(selectors, w), places));
	// The product brings the sign's lowest bit to the top, and what else it moves is
	// masked out.
	vec y = _mm256_and_si256(_mm256_mullo_epi16(d->chosen, _mm256_set1_epi32(0x00800001)),
		_mm256_set1_epi32((int)0x800000ff));
	_mm256_storeu_ps(d->y, _mm256_cvtepi32_ps(y));
	__m256 x = _mm256_castsi256_ps(w);
	_mm256_storeu_ps(d->x, _mm256_blendv_ps(x, index, _mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
	__asm__("" : "+m"(*d));
	__m256d x0 = dflops_widen(d->x), x1 = dflops_widen(d->x + 4);
	__m256d y0 = dflops_widen(d->y), y1 = dflops_widen(d->y + 4);
	d->quotient = dflops_narrow(_mm256_div_pd(x0, y0), _mm256_div_pd(x1, y1));
	d->product = dflops_narrow(_mm256_mul_pd(x0, y0), _mm256_mul_pd(x1, y1));
	__asm__("" : "+m"(*d));
}

// dflops_end returns the word's result and carries op on.
INLINE vec dflops_end(const struct dflops *d, vec *op, __m256 index)
{
	// Bit 0 of op makes a difference of the sum and a quotient of the product;
	// bit 1 chooses between these two kinds.
	*op = _mm256_add_epi32(*op, _mm256_srli_epi32(d->chosen, 16));
	__m256 bit0 = _mm256_castsi256_ps(_mm256_slli_epi32(*op, 31));
	__m256 bit1 = _mm256_castsi256_ps(_mm256_slli_epi32(*op, 30));
	__m256 sum = _mm256_add_ps(_mm256_loadu_ps(d->x), _mm256_xor_ps(_mm256_loadu_ps(d->y), bit0));
	__m256 quotient = _mm256_blendv_ps(d->quotient, index,
		_mm256_cmp_ps(d->quotient, d->quotient, _CMP_UNORD_Q));
	__m256 r = _mm256_blendv_ps(sum, _mm256_blendv_ps(d->product, quotient, bit0), bit1);

	vec result = _mm256_castps_si256(r);
	vec pairs = _mm256_maddubs_epi16(result, _mm256_set1_epi8(1));
	*op = _mm256_add_epi32(*op, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
	return result;
}

#endif
