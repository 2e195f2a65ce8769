// SPDX-License-Identifier: GPL-3.0-or-later
//
// MD2 (docs/spec/pow.md section 8), 64 lanes a vector, a vector for each of the
// 48 state bytes, and up to four such groups side by side.
//
// The substitution.  A byte permute over two registers looks up a table of 128
// bytes by the index's low seven bits.  One over the lower half of the table,
// another over (lower XOR upper), the latter zeroed where the index's top bit is
// clear, and both XORed into the state at once, make the step
//
//   x[k] ^= S[t];  t = x[k]
//
// Every step needs the one before, some ten cycles; so groups are interleaved, of
// which four fill the permute unit (four operations a step and group).
//
// Every block overwrites x[16..47], so the last of the 18 rounds computes only
// the 16 bytes that live on.

#ifndef KIGO_AVX512_MD2_H
#define KIGO_AVX512_MD2_H

#include "job.h"
#include "simd.h"

enum { MD2_GROUPS = 4 };

static const uint8_t md2_table[256] __attribute__((aligned(64))) = {
	41, 46, 67, 201, 162, 216, 124, 1, 61, 54, 84, 161, 236, 240, 6, 19,
	98, 167, 5, 243, 192, 199, 115, 140, 152, 147, 43, 217, 188, 76, 130, 202,
	30, 155, 87, 60, 253, 212, 224, 22, 103, 66, 111, 24, 138, 23, 229, 18,
	190, 78, 196, 214, 218, 158, 222, 73, 160, 251, 245, 142, 187, 47, 238, 122,
	169, 104, 121, 145, 21, 178, 7, 63, 148, 194, 16, 137, 11, 34, 95, 33,
	128, 127, 93, 154, 90, 144, 50, 39, 53, 62, 204, 231, 191, 247, 151, 3,
	255, 25, 48, 179, 72, 165, 181, 209, 215, 94, 146, 42, 172, 86, 170, 198,
	79, 184, 56, 210, 150, 164, 125, 182, 118, 252, 107, 226, 156, 116, 4, 241,
	69, 157, 112, 89, 100, 113, 135, 32, 134, 91, 207, 101, 230, 45, 168, 2,
	27, 96, 37, 173, 174, 176, 185, 246, 28, 70, 97, 105, 52, 64, 126, 15,
	85, 71, 163, 35, 221, 81, 175, 58, 195, 92, 249, 206, 186, 197, 234, 38,
	44, 83, 13, 110, 133, 40, 132, 9, 211, 223, 205, 244, 65, 129, 77, 82,
	106, 220, 55, 200, 108, 193, 171, 250, 36, 225, 123, 8, 12, 189, 177, 74,
	120, 136, 149, 139, 227, 99, 232, 109, 233, 203, 213, 254, 59, 0, 29, 57,
	242, 239, 183, 14, 102, 88, 208, 228, 166, 119, 114, 248, 235, 117, 75, 10,
	49, 68, 80, 180, 143, 237, 31, 26, 219, 153, 141, 51, 159, 17, 131, 20,
};

typedef struct {
	vec lower[2], mixed[2]; // the lower half, and lower XOR upper
} md2_tables;

INLINE md2_tables md2_load_tables(void) {
	md2_tables s;
	for (int i = 0; i < 2; i++) {
		s.lower[i] = load(md2_table + 64 * i);
		s.mixed[i] = _mm512_xor_si512(s.lower[i], load(md2_table + 128 + 64 * i));
	}
	return s;
}

// md2_step returns x ^ S[t].
INLINE vec md2_step(const md2_tables *s, vec x, vec t) {
	vec a = _mm512_permutex2var_epi8(s->lower[0], t, s->lower[1]);
	vec b = _mm512_maskz_permutex2var_epi8(_mm512_movepi8_mask(t), s->mixed[0], t, s->mixed[1]);
	return xor3(x, a, b);
}

// md2_state is the state of some groups: byte k of group g is x[k][g], c is the
// checksum and block the message block to absorb.
typedef struct {
	vec x[48][MD2_GROUPS], c[16][MD2_GROUPS], block[16][MD2_GROUPS];
} md2_state;

// Steps of three or four groups, in assembly: the order of the instructions decides
// how evenly the core spreads them over its two vector ports, and of some thousand
// orders these were the fastest (bench/avx512.md).  A step takes the indexes from registers
// t and leaves the new bytes, the indexes of the next step, in registers a.  x counts
// vectors from the first of the steps.  Of group g, C copies the index, K takes its
// top bits, L and M look up the lower and the mixed table, X makes the new byte and
// S stores it.
#define C(g, t, a) "vmovdqa64 %[" #t #g "], %[" #a #g "]\n\t"
#define K(g, t) "vpmovb2m %[" #t #g "], %[k" #g "]\n\t"
#define L(g, a) "vpermi2b %[l1], %[l0], %[" #a #g "]\n\t"
#define M(g, t) "vpermi2b %[m1], %[m0], %[" #t #g "]%{%[k" #g "]%}%{z%}\n\t"
#define X(g, t, a, x) "vpternlogq $0x96, 64*" #x "+64*" #g "(%[x]), %[" #t #g "], %[" #a #g "]\n\t"
#define S(g, a, x) "vmovdqa64 %[" #a #g "], 64*" #x "+64*" #g "(%[x])\n\t"
#define STEP3(t, a, x) \
	K(2, t) C(2, t, a) K(0, t) C(1, t, a) M(2, t) C(0, t, a) L(2, a) K(1, t) X(2, t, a, x) \
	L(0, a) M(0, t) S(2, a, x) X(0, t, a, x) L(1, a) M(1, t) S(0, a, x) X(1, t, a, x) S(1, a, x)
#define STEP4(t, a, x) \
	C(0, t, a) K(2, t) C(2, t, a) K(0, t) L(2, a) C(1, t, a) M(2, t) C(3, t, a) L(3, a) L(0, a) K(3, t) M(0, t) \
	K(1, t) X(2, t, a, x) L(1, a) X(0, t, a, x) S(0, a, x) M(3, t) S(2, a, x) X(3, t, a, x) S(3, a, x) M(1, t) X(1, t, a, x) S(1, a, x)
#define GROUP(g) [t##g] "+&v"(t##g), [a##g] "=&v"(a##g), [k##g] "=&Yk"(k##g)
#define TABLES [l0] "v"(s->lower[0]), [l1] "v"(s->lower[1]), [m0] "v"(s->mixed[0]), [m1] "v"(s->mixed[1])

_Static_assert(MD2_GROUPS == 4, "the steps' offsets count four groups a state byte");

// md2_steps3 and md2_steps4 do n steps, a multiple of four, of three and four groups
// on state bytes x[0] and up.
INLINE void md2_steps3(const md2_tables *s, vec (*x)[MD2_GROUPS], vec *t, int n) {
	vec t0 = t[0], t1 = t[1], t2 = t[2], a0, a1, a2;
	__mmask64 k0, k1, k2;
	for (vec (*end)[MD2_GROUPS] = x + n; x < end; x += 4)
		__asm__(STEP3(t, a, 0) STEP3(a, t, 4) STEP3(t, a, 8) STEP3(a, t, 12)
		        : GROUP(0), GROUP(1), GROUP(2), "+m"(*(vec(*)[4 * MD2_GROUPS])x) : [x] "r"(x), TABLES);
	t[0] = t0;
	t[1] = t1;
	t[2] = t2;
}

INLINE void md2_steps4(const md2_tables *s, vec (*x)[MD2_GROUPS], vec *t, int n) {
	vec t0 = t[0], t1 = t[1], t2 = t[2], t3 = t[3], a0, a1, a2, a3;
	__mmask64 k0, k1, k2, k3;
	for (vec (*end)[MD2_GROUPS] = x + n; x < end; x += 4)
		__asm__(STEP4(t, a, 0) STEP4(a, t, 4) STEP4(t, a, 8) STEP4(a, t, 12)
		        : GROUP(0), GROUP(1), GROUP(2), GROUP(3), "+m"(*(vec(*)[4 * MD2_GROUPS])x) : [x] "r"(x), TABLES);
	t[0] = t0;
	t[1] = t1;
	t[2] = t2;
	t[3] = t3;
}
#undef TABLES
#undef GROUP
#undef STEP4
#undef STEP3
#undef S
#undef X
#undef M
#undef L
#undef K
#undef C

// md2_round does steps 0 to last - 1 of a round for all groups.
INLINE void md2_round(const md2_tables *s, md2_state *m, const int groups, vec *t, const int last) {
	if (groups == 4) {
		md2_steps4(s, m->x, t, last);
		return;
	}
	if (groups == 3) {
		md2_steps3(s, m->x, t, last);
		return;
	}
#pragma GCC unroll 8
	for (int k = 0; k < last; k++)
		for (int g = 0; g < groups; g++)
			m->x[k][g] = t[g] = md2_step(s, m->x[k][g], t[g]);
}

// md2_absorb works in the block.
INLINE void md2_absorb(const md2_tables *s, md2_state *m, const int groups) {
	vec t[MD2_GROUPS];
	for (int g = 0; g < groups; g++) {
		for (int j = 0; j < 16; j++) {
			m->x[16 + j][g] = m->block[j][g];
			m->x[32 + j][g] = _mm512_xor_si512(m->block[j][g], m->x[j][g]);
		}
		t[g] = _mm512_setzero_si512();
	}
	for (int r = 0; r < 17; r++) {
		md2_round(s, m, groups, t, 48);
		for (int g = 0; g < groups; g++) t[g] = _mm512_add_epi8(t[g], all8((uint8_t)r));
	}
	md2_round(s, m, groups, t, 16);
}

// md2_update moves the checksum on and works in the block.
INLINE void md2_update(const md2_tables *s, md2_state *m, const int groups) {
	vec last[MD2_GROUPS];
	for (int g = 0; g < groups; g++) last[g] = m->c[15][g];
	for (int j = 0; j < 16; j++)
		for (int g = 0; g < groups; g++)
			m->c[j][g] = last[g] = md2_step(s, m->c[j][g], _mm512_xor_si512(m->block[j][g], last[g]));
	md2_absorb(s, m, groups);
}

INLINE void md2_init(md2_state *m, const int groups) {
	for (int g = 0; g < groups; g++) {
		for (int k = 0; k < 16; k++) m->x[k][g] = m->c[k][g] = _mm512_setzero_si512();
	}
}

// md2_finish works in the checksum and stores the digests.
INLINE void md2_finish(const md2_tables *s, md2_state *m, const int groups, uint8_t *out, const uint16_t *lane) {
	memcpy(m->block, m->c, sizeof m->c);
	md2_absorb(s, m, groups);
	for (int g = 0; g < groups; g++) {
		vec w[4][4];
		for (int k = 0; k < 4; k++) {
			for (int j = 0; j < 4; j++) w[k][j] = m->x[4 * k + j][g];
			word_of_bytes(w[k]);
		}
		for (int i = 0; i < 4; i++) {
			const vec zero = _mm512_setzero_si512();
			vec d[8] = {w[0][i], w[1][i], w[2][i], w[3][i], zero, zero, zero, zero};
			scatter_words(out, lane + 64 * g + 16 * i, d);
		}
	}
}

// md2_set stores words k and up of one group, sliced by 16 lanes, in the block.
INLINE void md2_set(md2_state *m, int g, int k, vec word[4]) {
	bytes_of_word(word);
	for (int j = 0; j < 4; j++) m->block[4 * k + j][g] = word[j];
}

INLINE void md2_rows_of(const job *j, const uint16_t *lane, const int groups) {
	const md2_tables s = md2_load_tables();
	md2_state m;
	vec w[MD2_GROUPS][4][8];
	for (int g = 0; g < groups; g++)
		for (int i = 0; i < 4; i++) gather_words(w[g][i], j->head, 32, lane + 64 * g + 16 * i);
	md2_init(&m, groups);
	for (int part = 0; part < 2; part++) {
		for (int g = 0; g < groups; g++)
			for (int k = 0; k < 4; k++) {
				vec word[4];
				for (int i = 0; i < 4; i++) word[i] = w[g][i][4 * part + k];
				md2_set(&m, g, k, word);
			}
		md2_update(&s, &m, groups);
	}
	for (int g = 0; g < groups; g++) {
		vec word[4];
		for (int i = 0; i < 4; i++) word[i] = gather_word(j->tail, lane + 64 * g + 16 * i);
		md2_set(&m, g, 0, word);
		for (int k = 4; k < 16; k++) m.block[k][g] = all8(12);
	}
	md2_update(&s, &m, groups);
	md2_finish(&s, &m, groups, j->out, lane);
}

INLINE void md2_message_of(const vec *word, size_t stride, int blocks, uint8_t *out, const uint16_t *lane, const int groups) {
	const md2_tables s = md2_load_tables();
	md2_state m;
	md2_init(&m, groups);
	for (int b = 0; b < blocks; b++) {
		for (int g = 0; g < groups; g++)
			for (int k = 0; k < 4; k++) {
				vec w[4];
				for (int i = 0; i < 4; i++) w[i] = word[(size_t)(4 * g + i) * stride + (size_t)(4 * b + k)];
				md2_set(&m, g, k, w);
			}
		md2_update(&s, &m, groups);
	}
	md2_finish(&s, &m, groups, out, lane);
}

// Each number of groups is a function of its own, with the groups unrolled.
#define MD2_FUNCTIONS(groups) \
	static __attribute__((noinline)) void md2_rows_##groups(const job *j, const uint16_t *lane) { \
		md2_rows_of(j, lane, groups); \
	} \
	static __attribute__((noinline)) void md2_message_##groups(const vec *word, size_t stride, int blocks, uint8_t *out, const uint16_t *lane) { \
		md2_message_of(word, stride, blocks, out, lane, groups); \
	}
MD2_FUNCTIONS(1)
MD2_FUNCTIONS(2)
MD2_FUNCTIONS(3)
MD2_FUNCTIONS(4)
#undef MD2_FUNCTIONS

// md2_share tells how many of left groups to do at once: four, but rather three
// and two or three and three than four and one or four and two.
INLINE int md2_share(int left) {
	return left == 5 || left == 6 ? 3 : left < MD2_GROUPS ? left : MD2_GROUPS;
}

static void md2_rows(const job *j) {
	int left = (j->n + 63) / 64;
	for (const uint16_t *lane = j->lane; left > 0;) {
		int groups = md2_share(left);
		switch (groups) {
		case 1: md2_rows_1(j, lane); break;
		case 2: md2_rows_2(j, lane); break;
		case 3: md2_rows_3(j, lane); break;
		case 4: md2_rows_4(j, lane); break;
		}
		lane += 64 * groups;
		left -= groups;
	}
}

// md2_message hashes a padded message of 64 lanes for each of some groups, sliced
// into words: those of the next 16 lanes lie stride further.
static void md2_message(const vec *word, size_t stride, int blocks, uint8_t *out, const uint16_t *lane, int groups) {
	switch (groups) {
	case 1: md2_message_1(word, stride, blocks, out, lane); break;
	case 2: md2_message_2(word, stride, blocks, out, lane); break;
	case 3: md2_message_3(word, stride, blocks, out, lane); break;
	case 4: md2_message_4(word, stride, blocks, out, lane); break;
	}
}

#endif
