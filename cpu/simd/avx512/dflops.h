// SPDX-License-Identifier: GPL-3.0-or-later
//
// dflops (docs/spec/pow.md section 9.1) on one word of 16 lanes.
//
// The selected bytes.  A byte permute whose control is looked up from the word's
// low three bits puts VAL in bits 0..7, OP in bits 8..15 and the lowest bit of SGN
// in bit 31, so that one AND leaves the operand's integer and one dot product adds
// OP to the running op.  Only op mod 8 is ever needed.
//
// Subnormals.  A multiplication or division that meets or makes one costs a
// microcode assist of some 145 cycles, and a vector of 16 lanes has a fair chance
// of one, so none may reach the multiplier or divider.  The lanes in question (x
// subnormal in a product, quotient below 2^-126) are worked on scaled by 2^149,
// where x is a normal number, and where the wanted result is an integer:
//
//   bits of the result = |x| 2^149 * |y|  or  |x| 2^149 / |y|,  rounded to an integer
//
// for below 2^24 the bits of a single, read as an integer, count units of 2^-149.
// A larger product is already rounded to 24 bits and only has its exponent set
// back.  A quotient was rounded once by the division, so rounding it to an integer
// goes wrong where it lies on a tie by that first rounding alone; the remainder,
// which a fused multiply-add yields exactly, tells, and the integer moves by one.

#ifndef KIGO_AVX512_DFLOPS_H
#define KIGO_AVX512_DFLOPS_H

#include "simd.h"

INLINE vec bits(__m512 x) { return _mm512_castps_si512(x); }
INLINE __m512 number(vec v) { return _mm512_castsi512_ps(v); }

// dflops_control holds, for even words in elements 0..7 and for odd ones in 8..15,
// from which bit of a pair of words each byte is taken: VAL, OP, anything, SGN - 7.
#define PICK(op, val, sgn, odd) \
	((8 * (val) + (odd)) | (8 * (op) + (odd)) << 8 | (uint32_t)(8 * (sgn) - 7 + (odd)) << 24)
#define PICKS(odd) \
	PICK(1, 2, 3, odd), PICK(3, 1, 2, odd), PICK(0, 2, 3, odd), PICK(0, 1, 2, odd), \
	PICK(3, 0, 1, odd), PICK(2, 0, 1, odd), PICK(1, 1, 3, odd), PICK(2, 1, 3, odd)
static const uint32_t dflops_control[16] __attribute__((aligned(64))) = {PICKS(0), PICKS(32)};
#undef PICKS
#undef PICK

// dflops returns the results of one word of 16 lanes and moves op on; index is the
// lanes' tile index as a number.
INLINE vec dflops(vec word, vec *op, __m512 index) {
	const vec sign = all32(0x80000000), magnitude = all32(0x7fffffff);
	const vec exponent = all32(0x7f800000), scale = all32(149u << 23);
	// A NaN keeps the destination, everything else is the source.
	const vec replace_nan = all32(0x11111100);

	// k is the low three bits; 8 is added in odd elements.
	vec k = _mm512_ternarylogic_epi64(word, all32(7), _mm512_set1_epi64((long long)8 << 32), 0xea);
	vec picked = _mm512_multishift_epi64_epi8(_mm512_permutexvar_epi32(k, load(dflops_control)), word);
	vec o = _mm512_dpbusd_epi32(*op, picked, all32(0x00000100));
	__m512 y = _mm512_cvtepi32_ps(_mm512_and_si512(picked, all32(0x800000ff)));
	__m512 x = _mm512_fixupimm_ps(index, number(word), replace_nan, 0);

	// Lanes that multiply or divide, and of these the lanes to be scaled.  The
	// comparisons are of bits as integers: x below y 2^-126 in a quotient (never so
	// where y is 0), x subnormal or 0 in a product.
	__mmask16 muldiv = _mm512_test_epi32_mask(o, all32(2));
	__mmask16 divide = _mm512_mask_test_epi32_mask(muldiv, o, all32(1));
	vec ax = _mm512_and_si512(bits(x), magnitude), ay = _mm512_and_si512(bits(y), magnitude);
	vec limit = _mm512_mask_sub_epi32(all32(1u << 23), divide, ay, all32(126u << 23));
	__mmask16 scaled = _mm512_mask_cmplt_epi32_mask(muldiv, ax, limit);
	__mmask16 subnormal = _mm512_mask_testn_epi32_mask(scaled, ax, exponent);
	__m512 num = number(_mm512_mask_add_epi32(bits(x), scaled, ax, scale));
	num = _mm512_mask_cvtepi32_ps(num, subnormal, ax);
	__m512 den = number(_mm512_mask_mov_epi32(bits(y), scaled, ay));

	// x - y is x + -y.
	__m512 r = _mm512_add_ps(x, number(_mm512_xor_si512(bits(y), _mm512_slli_epi32(o, 31))));
	r = _mm512_mask_mul_ps(r, muldiv, num, den);
	r = _mm512_mask_div_ps(r, divide, num, den);

	// Scaled lanes: to an integer, mend ties, put products of 24 bits right.
	vec n = _mm512_maskz_cvtps_epi32(scaled, r);
	__m512 rest = _mm512_mask_fnmadd_ps(_mm512_maskz_cvtepi32_ps(scaled, n), scaled & divide, den, num);
	__m512 twice = _mm512_add_ps(rest, rest);
	__mmask16 wrong = _mm512_mask_cmp_ps_mask(scaled & divide, number(_mm512_and_si512(bits(twice), magnitude)), den, _CMP_GT_OQ);
	vec step = _mm512_or_si512(_mm512_srai_epi32(bits(twice), 31), all32(1));
	n = _mm512_mask_add_epi32(n, wrong, n, step);
	__mmask16 wide = _mm512_mask_cmpge_epi32_mask(scaled, bits(r), all32(151u << 23));
	n = _mm512_mask_sub_epi32(n, wide, bits(r), scale);
	vec signs = _mm512_ternarylogic_epi64(bits(x), bits(y), sign, 0x28); // (x ^ y) & sign
	r = number(_mm512_mask_or_epi32(bits(r), scaled, n, signs));

	vec q = bits(_mm512_fixupimm_ps(index, r, replace_nan, 0));
	*op = _mm512_dpbusd_epi32(o, q, all8(1));
	return q;
}

#endif
