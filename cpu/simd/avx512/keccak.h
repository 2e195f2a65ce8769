// SPDX-License-Identifier: GPL-3.0-or-later
//
// Keccak-256 and SHA3-256 (FIPS 202) on 8 lanes, a vector for each of the 25
// words.  The two go side by side: they differ in the byte behind the message.

#ifndef KIGO_AVX512_KECCAK_H
#define KIGO_AVX512_KECCAK_H

#include "blake2b.h"
#include "job.h"
#include "simd.h"

enum { KECCAK_RATE = 136, SHA3_SUFFIX = 0x06, KECCAK_SUFFIX = 0x01 };

static const uint64_t keccak_rc[24] = {
	0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
	0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
	0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
	0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
	0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
	0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
};

// keccak_round computes e, the state after a round from a.  Theta is folded into
// the three-input XOR of each word with two column parities.  With digest set only
// the first row is made, which holds the digest after the last round.
INLINE void keccak_round(vec e[25], const vec a[25], uint64_t rc, const int digest) {
#define COLUMN(x) xor3(xor3(a[x], a[(x) + 5], a[(x) + 10]), a[(x) + 15], a[(x) + 20])
#define TURN(i, x, n) _mm512_rol_epi64(xor3(a[i], c[((x) + 4) % 5], r[((x) + 1) % 5]), n)
#define CHI(o, i) e[(o) + (i)] = _mm512_ternarylogic_epi64(b[i], b[((i) + 1) % 5], b[((i) + 2) % 5], 0xd2)
// Output row at o: its five words come from the words i of columns x, turned by n.
#define ROW(o, i0, x0, n0, i1, x1, n1, i2, x2, n2, i3, x3, n3, i4, x4, n4) do { \
		vec b[5] = {TURN(i0, x0, n0), TURN(i1, x1, n1), TURN(i2, x2, n2), TURN(i3, x3, n3), TURN(i4, x4, n4)}; \
		CHI(o, 0); CHI(o, 1); CHI(o, 2); CHI(o, 3); CHI(o, 4); \
	} while (0)
	const vec c[5] = {COLUMN(0), COLUMN(1), COLUMN(2), COLUMN(3), COLUMN(4)};
	vec r[5];
	for (int x = 0; x < 5; x++) r[x] = _mm512_rol_epi64(c[x], 1);
	ROW(0, 0, 0, 0, 6, 1, 44, 12, 2, 43, 18, 3, 21, 24, 4, 14);
	e[0] = _mm512_xor_si512(e[0], _mm512_set1_epi64((long long)rc));
	if (digest) return;
	ROW(5, 3, 3, 28, 9, 4, 20, 10, 0, 3, 16, 1, 45, 22, 2, 61);
	ROW(10, 1, 1, 1, 7, 2, 6, 13, 3, 25, 19, 4, 8, 20, 0, 18);
	ROW(15, 4, 4, 27, 5, 0, 36, 11, 1, 10, 17, 2, 15, 23, 3, 56);
	ROW(20, 2, 2, 62, 8, 3, 55, 14, 4, 39, 15, 0, 41, 21, 1, 2);
#undef ROW
#undef CHI
#undef TURN
#undef COLUMN
}

// keccak_permute permutes; with digest set, only the first row is right.
static __attribute__((noinline)) void keccak_permute(vec a[25], int digest) {
	vec s[25], e[25];
	for (int i = 0; i < 25; i++) s[i] = a[i];
	for (int r = 0;; r += 2) {
		keccak_round(e, s, keccak_rc[r], 0);
		if (r == 22 && digest) {
			keccak_round(a, e, keccak_rc[23], 1);
			return;
		}
		keccak_round(s, e, keccak_rc[r + 1], 0);
		if (r == 22) break;
	}
	for (int i = 0; i < 25; i++) a[i] = s[i];
}

static void keccak_rows(const job *j) {
	for (int i = 0; i < j->n; i += 8) {
		vec a[25];
		gather_quads(a, j->head, 32, j->lane + i);
		vec suffix = _mm512_mask_mov_epi64(_mm512_set1_epi64((long long)KECCAK_SUFFIX << 32), first_of(i, j->first),
		                                   _mm512_set1_epi64((long long)SHA3_SUFFIX << 32));
		a[4] = _mm512_or_si512(gather_quad(j->tail, j->lane + i), suffix);
		for (int k = 5; k < 25; k++) a[k] = _mm512_setzero_si512();
		a[16] = _mm512_set1_epi64((long long)(1ull << 63));
		keccak_permute(a, 1);
		scatter_quads(j->out, j->lane + i, a);
	}
}

// keccak_message hashes a padded message of 8 lanes, sliced into quads.
static void keccak_message(const vec *quad, int blocks, uint8_t *out, const uint16_t *lane) {
	vec a[25];
	for (int k = 0; k < 25; k++) a[k] = _mm512_setzero_si512();
	for (int b = 0; b < blocks; b++) {
		for (int k = 0; k < KECCAK_RATE / 8; k++) a[k] = _mm512_xor_si512(a[k], quad[KECCAK_RATE / 8 * b + k]);
		keccak_permute(a, b == blocks - 1);
	}
	scatter_quads(out, lane, a);
}

#endif
