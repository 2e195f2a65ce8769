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

// dflops_widen goes through memory: a conversion that loads needs no shuffle, and the
// only port for those is the busiest.
INLINE void dflops_widen(__m256 v, __m256d *lo, __m256d *hi)
{
	float f[8];
	_mm256_storeu_ps(f, v);
	__asm__("" : "+m"(f));
	*lo = _mm256_cvtps_pd(_mm_loadu_ps(f));
	*hi = _mm256_cvtps_pd(_mm_loadu_ps(f + 4));
}

// dflops_word returns the result for word w and carries op on.  index is the
// tile's index as a float.
INLINE vec dflops_word(vec w, vec *op, __m256 index)
{
	// The control of the byte shuffle that brings the chosen bytes to their
	// places: value, op, nothing, sign.  The look-up takes the low three bits of
	// each word by itself.
	const vec selectors = _mm256_setr_epi32(
		(int)0x03018002, (int)0x02038001, (int)0x03008002, (int)0x02008001,
		(int)0x01038000, (int)0x01028000, (int)0x03018001, (int)0x03028001);
	const vec places = _mm256_setr_epi32(
		0x00000000, 0x04040404, 0x08080808, 0x0c0c0c0c,
		0x00000000, 0x04040404, 0x08080808, 0x0c0c0c0c);
	vec chosen = _mm256_shuffle_epi8(w,
		_mm256_or_si256(_mm256_permutevar8x32_epi32(selectors, w), places));
	// The product takes the sign's lowest bit to the word's top; the op spills beside it.
	vec y_int = _mm256_and_si256(_mm256_mullo_epi16(chosen, _mm256_set1_epi32(0x00800001)),
		_mm256_set1_epi32((int)0x800000ff));
	*op = _mm256_add_epi32(*op, _mm256_srli_epi32(chosen, 16));

	__m256 y = _mm256_cvtepi32_ps(y_int);
	__m256 x = _mm256_castsi256_ps(w);
	x = _mm256_blendv_ps(x, index, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));

	// Bit 0 of op makes a difference of the sum and a quotient of the product;
	// bit 1 chooses between these two kinds.
	__m256 bit0 = _mm256_castsi256_ps(_mm256_slli_epi32(*op, 31));
	__m256 bit1 = _mm256_castsi256_ps(_mm256_slli_epi32(*op, 30));
	__m256 sum = _mm256_add_ps(x, _mm256_xor_ps(y, bit0));
	__m256d x0, x1, y0, y1;
	dflops_widen(x, &x0, &x1);
	dflops_widen(y, &y0, &y1);
	__m256 product = dflops_narrow(_mm256_mul_pd(x0, y0), _mm256_mul_pd(x1, y1));
	__m256 quotient = dflops_narrow(_mm256_div_pd(x0, y0), _mm256_div_pd(x1, y1));
	quotient = _mm256_blendv_ps(quotient, index, _mm256_cmp_ps(quotient, quotient, _CMP_UNORD_Q));
	__m256 r = _mm256_blendv_ps(sum, _mm256_blendv_ps(product, quotient, bit0), bit1);

	vec result = _mm256_castps_si256(r);
	vec pairs = _mm256_maddubs_epi16(result, _mm256_set1_epi8(1));
	*op = _mm256_add_epi32(*op, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
	return result;
}

#endif
