// SPDX-License-Identifier: GPL-3.0-or-later
//
// Vectors and how data gets into them.
//
// A row of 32 bytes lies in memory lane by lane.  The primitives want it sliced:
//
//   words  w[0..7], each holding one 4-byte word of 16 lanes   (dflops, SHA, MD5)
//   quads  q[0..3], each holding one 8-byte word of 8 lanes    (Keccak, BLAKE2b)
//   bytes  b[0..31], each holding one byte of 64 lanes         (dmemtx, MD2)
//
// Element i of every sliced vector belongs to lane i of its group.

#ifndef KIGO_AVX512_SIMD_H
#define KIGO_AVX512_SIMD_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

typedef __m512i vec;

INLINE vec load(const void *p) { return _mm512_loadu_si512(p); }
INLINE void store(void *p, vec v) { _mm512_storeu_si512(p, v); }
INLINE vec all32(uint32_t x) { return _mm512_set1_epi32((int)x); }
INLINE vec all8(uint8_t x) { return _mm512_set1_epi8((char)x); }

// a ^ b ^ c, and a where m is set, else b.
INLINE vec xor3(vec a, vec b, vec c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
INLINE vec choose(vec m, vec a, vec b) { return _mm512_ternarylogic_epi64(m, a, b, 0xca); }

// pair returns 32 bytes from each of two places.
INLINE vec pair(const uint8_t *lo, const uint8_t *hi) {
	vec v = _mm512_castsi256_si512(_mm256_loadu_si256((const void *)lo));
	return _mm512_inserti64x4(v, _mm256_loadu_si256((const void *)hi), 1);
}

// square transposes, within each 128 bits, four words of four vectors.  It is
// its own inverse.
INLINE void square(vec v[4]) {
	vec a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
	vec c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);
	v[0] = _mm512_unpacklo_epi64(a, c);
	v[1] = _mm512_unpackhi_epi64(a, c);
	v[2] = _mm512_unpacklo_epi64(b, d);
	v[3] = _mm512_unpackhi_epi64(b, d);
}

// words_of_rows slices 16 rows; row[j] holds the rows of lanes 2j and 2j+1.
INLINE void words_of_rows(vec w[8], vec row[8]) {
	const vec low = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 16, 24, 17, 25, 18, 26, 19, 27);
	const vec high = _mm512_add_epi32(low, all32(4));
	square(row);
	square(row + 4);
	for (int k = 0; k < 4; k++) {
		w[k] = _mm512_permutex2var_epi32(row[k], low, row[k + 4]);
		w[k + 4] = _mm512_permutex2var_epi32(row[k], high, row[k + 4]);
	}
}

// rows_of_words undoes words_of_rows.
INLINE void rows_of_words(vec row[8], const vec w[8]) {
	const vec first = _mm512_setr_epi32(0, 2, 4, 6, 16, 18, 20, 22, 1, 3, 5, 7, 17, 19, 21, 23);
	const vec last = _mm512_add_epi32(first, all32(8));
	for (int k = 0; k < 4; k++) {
		row[k] = _mm512_permutex2var_epi32(w[k], first, w[k + 4]);
		row[k + 4] = _mm512_permutex2var_epi32(w[k], last, w[k + 4]);
	}
	square(row);
	square(row + 4);
}

// load_words slices the rows of 16 lanes that lie side by side.
INLINE void load_words(vec w[8], const uint8_t *p) {
	vec row[8];
	for (int j = 0; j < 8; j++) row[j] = load(p + 64 * j);
	words_of_rows(w, row);
}

INLINE void store_words(uint8_t *p, const vec w[8]) {
	vec row[8];
	rows_of_words(row, w);
	for (int j = 0; j < 8; j++) store(p + 64 * j, row[j]);
}

// gather_words slices 32 bytes from each of 16 places, base + stride * lane[i].
INLINE void gather_words(vec w[8], const uint8_t *base, size_t stride, const uint16_t *lane) {
	vec row[8];
	for (int j = 0; j < 8; j++)
		row[j] = pair(base + stride * lane[2 * j], base + stride * lane[2 * j + 1]);
	words_of_rows(w, row);
}

// scatter_words stores the rows of 16 lanes of a list.
INLINE void scatter_words(uint8_t *base, const uint16_t *lane, const vec w[8]) {
	vec row[8];
	rows_of_words(row, w);
	for (int j = 0; j < 8; j++) {
		_mm256_storeu_si256((void *)(base + 32 * (size_t)lane[2 * j]), _mm512_castsi512_si256(row[j]));
		_mm256_storeu_si256((void *)(base + 32 * (size_t)lane[2 * j + 1]), _mm512_extracti64x4_epi64(row[j], 1));
	}
}

// gather_word returns one 4-byte word of each of 16 lanes.
INLINE vec gather_word(const uint32_t *word, const uint16_t *lane) {
	uint32_t t[16] __attribute__((aligned(64)));
	for (int i = 0; i < 16; i++) t[i] = word[lane[i]];
	return load(t);
}

// gather_quads slices 32 bytes from each of 8 places, base + stride * lane[i].
INLINE void gather_quads(vec q[4], const uint8_t *base, size_t stride, const uint16_t *lane) {
	const vec even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
	const vec odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
	vec row[4];
	for (int j = 0; j < 4; j++)
		row[j] = pair(base + stride * lane[j], base + stride * lane[j + 4]);
	vec a = _mm512_unpacklo_epi64(row[0], row[1]), b = _mm512_unpacklo_epi64(row[2], row[3]);
	vec c = _mm512_unpackhi_epi64(row[0], row[1]), d = _mm512_unpackhi_epi64(row[2], row[3]);
	q[0] = _mm512_permutex2var_epi64(a, even, b);
	q[1] = _mm512_permutex2var_epi64(c, even, d);
	q[2] = _mm512_permutex2var_epi64(a, odd, b);
	q[3] = _mm512_permutex2var_epi64(c, odd, d);
}

// scatter_quads stores the rows of 8 lanes of a list.
INLINE void scatter_quads(uint8_t *base, const uint16_t *lane, const vec q[4]) {
	const vec even = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
	const vec odd = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
	vec a = _mm512_permutex2var_epi64(q[0], even, q[2]), b = _mm512_permutex2var_epi64(q[0], odd, q[2]);
	vec c = _mm512_permutex2var_epi64(q[1], even, q[3]), d = _mm512_permutex2var_epi64(q[1], odd, q[3]);
	vec row[4] = {
		_mm512_unpacklo_epi64(a, c), _mm512_unpackhi_epi64(a, c),
		_mm512_unpacklo_epi64(b, d), _mm512_unpackhi_epi64(b, d),
	};
	for (int j = 0; j < 4; j++) {
		_mm256_storeu_si256((void *)(base + 32 * (size_t)lane[j]), _mm512_castsi512_si256(row[j]));
		_mm256_storeu_si256((void *)(base + 32 * (size_t)lane[j + 4]), _mm512_extracti64x4_epi64(row[j], 1));
	}
}

// gather_quad returns one 4-byte word of each of 8 lanes, widened to 8 bytes.
INLINE vec gather_quad(const uint32_t *word, const uint16_t *lane) {
	uint64_t t[8] __attribute__((aligned(64)));
	for (int i = 0; i < 8; i++) t[i] = word[lane[i]];
	return load(t);
}

// quarters transposes four vectors of four 128-bit quarters.
INLINE void quarters(vec v[4]) {
	vec a = _mm512_shuffle_i32x4(v[0], v[1], 0x44), b = _mm512_shuffle_i32x4(v[2], v[3], 0x44);
	vec c = _mm512_shuffle_i32x4(v[0], v[1], 0xee), d = _mm512_shuffle_i32x4(v[2], v[3], 0xee);
	v[0] = _mm512_shuffle_i32x4(a, b, 0x88);
	v[1] = _mm512_shuffle_i32x4(a, b, 0xdd);
	v[2] = _mm512_shuffle_i32x4(c, d, 0x88);
	v[3] = _mm512_shuffle_i32x4(c, d, 0xdd);
}

// bytes_of_word slices one word of 64 lanes, v[g] holding lanes 16g..16g+15, into
// its four bytes; word_of_bytes undoes it.  Both work in place.
INLINE void bytes_of_word(vec v[4]) {
	vec index = _mm512_setr_epi32(
		0x0c080400, 0x1c181410, 0x2c282420, 0x3c383430, 0x0d090501, 0x1d191511, 0x2d292521, 0x3d393531,
		0x0e0a0602, 0x1e1a1612, 0x2e2a2622, 0x3e3a3632, 0x0f0b0703, 0x1f1b1713, 0x2f2b2723, 0x3f3b3733);
	for (int g = 0; g < 4; g++) v[g] = _mm512_permutexvar_epi8(index, v[g]);
	quarters(v);
}

INLINE void word_of_bytes(vec v[4]) {
	vec index = _mm512_setr_epi32(
		0x30201000, 0x31211101, 0x32221202, 0x33231303, 0x34241404, 0x35251505, 0x36261606, 0x37271707,
		0x38281808, 0x39291909, 0x3a2a1a0a, 0x3b2b1b0b, 0x3c2c1c0c, 0x3d2d1d0d, 0x3e2e1e0e, 0x3f2f1f0f);
	quarters(v);
	for (int g = 0; g < 4; g++) v[g] = _mm512_permutexvar_epi8(index, v[g]);
}

// bytes_of_op narrows four vectors of 16 words to the low bytes of 64 lanes.
INLINE vec bytes_of_op(const vec op[4]) {
	vec v = _mm512_castsi128_si512(_mm512_cvtepi32_epi8(op[0]));
	v = _mm512_inserti32x4(v, _mm512_cvtepi32_epi8(op[1]), 1);
	v = _mm512_inserti32x4(v, _mm512_cvtepi32_epi8(op[2]), 2);
	return _mm512_inserti32x4(v, _mm512_cvtepi32_epi8(op[3]), 3);
}

#endif
