// SPDX-License-Identifier: GPL-3.0-or-later

// Vectors, transposes and the jobs that every hash kernel takes.

#ifndef KIGO_AVX2_VEC_H
#define KIGO_AVX2_VEC_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef __m256i vec;

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE static __attribute__((noinline))

// A job is one message of one lane.  A kernel reads every message of its call
// before it writes the first digest, so dst may lie within src.
struct job {
	const uint8_t *src;
	uint8_t *dst; // 32 bytes
	uint32_t fn;  // the number of the hash function, 0 to 7
};

// Lengths in bytes of the messages.
enum {
	ROW_MSG = 36,
	JUMP_MSG = 1060,
	TRAILER_MSG = 124,
	FINAL_MSG = 1056,
};

// KERNEL makes two functions of one, for rows and for jumps: gcc does a tenth better
// when it knows the length.
#define KERNEL(f) \
	NOINLINE void f##_row(const struct job *j) { f(j, ROW_MSG); } \
	NOINLINE void f##_jump(const struct job *j) { f(j, JUMP_MSG); }

INLINE vec load256(const void *p) { return _mm256_loadu_si256((const __m256i_u *)p); }
INLINE void store256(void *p, vec v) { _mm256_storeu_si256((__m256i_u *)p, v); }

INLINE uint32_t load32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

INLINE uint64_t load64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return v;
}

INLINE void store32(uint8_t *p, uint32_t v) { memcpy(p, &v, sizeof v); }

// table16 puts the same 16 bytes in both halves, as byte shuffles want tables.
INLINE vec table16(const void *p)
{
	return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i_u *)p));
}

// transpose32 transposes 8 x 8 words of 32 bits.
INLINE void transpose32(vec v[8])
{
	vec a[8], b[8];
	for (int i = 0; i < 8; i += 2) {
		a[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
		a[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
	}
	for (int i = 0; i < 8; i += 4) {
		b[i] = _mm256_unpacklo_epi64(a[i], a[i + 2]);
		b[i + 1] = _mm256_unpackhi_epi64(a[i], a[i + 2]);
		b[i + 2] = _mm256_unpacklo_epi64(a[i + 1], a[i + 3]);
		b[i + 3] = _mm256_unpackhi_epi64(a[i + 1], a[i + 3]);
	}
	for (int i = 0; i < 4; i++) {
		v[i] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x20);
		v[i + 4] = _mm256_permute2x128_si256(b[i], b[i + 4], 0x31);
	}
}

// transpose64 transposes 4 x 4 words of 64 bits.
INLINE void transpose64(vec v[4])
{
	vec a = _mm256_unpacklo_epi64(v[0], v[1]), b = _mm256_unpackhi_epi64(v[0], v[1]);
	vec c = _mm256_unpacklo_epi64(v[2], v[3]), d = _mm256_unpackhi_epi64(v[2], v[3]);
	v[0] = _mm256_permute2x128_si256(a, c, 0x20);
	v[1] = _mm256_permute2x128_si256(b, d, 0x20);
	v[2] = _mm256_permute2x128_si256(a, c, 0x31);
	v[3] = _mm256_permute2x128_si256(b, d, 0x31);
}

// transpose32in128 transposes 4 x 4 words of 32 bits in each half.
INLINE void transpose32in128(vec v[4])
{
	vec a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]);
	vec c = _mm256_unpacklo_epi32(v[2], v[3]), d = _mm256_unpackhi_epi32(v[2], v[3]);
	v[0] = _mm256_unpacklo_epi64(a, c);
	v[1] = _mm256_unpackhi_epi64(a, c);
	v[2] = _mm256_unpacklo_epi64(b, d);
	v[3] = _mm256_unpackhi_epi64(b, d);
}

// transpose8in128 transposes the 4 x 4 bytes of each half; it undoes itself.
INLINE vec transpose8in128(vec v)
{
	return _mm256_shuffle_epi8(v, _mm256_setr_epi8(
		0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15,
		0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
}

// Sliced form: vector z holds byte z of 32 lanes.  slice turns one 32-bit word
// of four groups of 8 lanes into its four byte vectors, and unslice turns them
// back.  Lane 8g + 4h + i comes to stand at byte 16h + 4g + i; sliced_lane maps
// a byte's place to its lane.
INLINE void slice(vec v[4])
{
	for (int g = 0; g < 4; g++)
		v[g] = transpose8in128(v[g]);
	transpose32in128(v);
}

INLINE void unslice(vec v[4])
{
	transpose32in128(v);
	for (int g = 0; g < 4; g++)
		v[g] = transpose8in128(v[g]);
}

INLINE unsigned sliced_lane(unsigned place)
{
	return 8 * (place >> 2 & 3) + 4 * (place >> 4) + (place & 3);
}

INLINE unsigned sliced_place(unsigned lane)
{
	return 16 * (lane >> 2 & 1) + 4 * (lane >> 3) + (lane & 3);
}

#endif
