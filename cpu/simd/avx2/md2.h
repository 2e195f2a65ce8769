// SPDX-License-Identifier: GPL-3.0-or-later

// MD2 (RFC 1319).
//
// All the cost is S[t], a table of 256 bytes.  A call has groups of 32 lanes in
// vectors, and chains: lanes in scalar code.  Vectors keep the three vector ports
// busy and leave the load ports idle, chains want just these; so 11 chains in one
// loop with two groups come almost free.  That loop is in md2_asm.h; the narrower ones
// are here.
//
// A chain's look-up is a load and an exclusive or, and each waits for the one
// before.  Eight side by side fill the wait.
//
// Vectors are in sliced form: one for each of the 48 state bytes of 32 lanes.
// Byte shuffles look up in tables of 16.  Let y = t mod 128.  A shuffle takes the
// low four bits of its index and gives zero where bit 7 is set, and y - 16i has
// bit 7 set exactly where y < 16i.  With the difference tables D[0] = S[0..16),
// D[i] = S[16i..16i+16) ^ S[16i-16..16i) the sum
//
//     D[0][y] ^ D[1][y-16] ^ ... ^ D[7][y-112]
//
// telescopes to S[y]: no selection is left to do.  The same indices serve the
// table's upper half, and t's own bit 7 chooses between both sums by one blend.
// That is 41 operations: 8 for indices, 16 shuffles, 14 exclusive ors, the
// blend (2) and the state's exclusive or.  Selecting all 16 tables by
// saturating subtraction takes 47.
//
// An index is the one before minus 16, which needs no loads; the load ports are nearly
// full as it is.
//
// A look-up needs the one before it.  Two groups of 32 lanes take turns, each
// look-up almost whole: the core overlaps the end of one with the start of the next by
// itself, while instructions of both groups mixed all wait at the same time.

#ifndef KIGO_AVX2_MD2_H
#define KIGO_AVX2_MD2_H

#include "md2_asm.h"
#include "vec.h"

static const uint8_t md2_s[256] = {
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

// The difference tables of the lower and the upper half.
struct md2_tables {
	vec lower[8], upper[8], mask, sixteen;
};

INLINE void md2_tables_make(struct md2_tables *t)
{
	for (int i = 0; i < 8; i++) {
		vec lo = table16(md2_s + 16 * i), hi = table16(md2_s + 128 + 16 * i);
		if (i > 0) {
			lo = _mm256_xor_si256(lo, table16(md2_s + 16 * (i - 1)));
			hi = _mm256_xor_si256(hi, table16(md2_s + 128 + 16 * (i - 1)));
		}
		t->lower[i] = lo;
		t->upper[i] = hi;
	}
	t->mask = _mm256_set1_epi8(127);
	t->sixteen = _mm256_set1_epi8(16);
}

// A column is one byte of the state of all lanes: chains, then groups.  Chains fill
// the first bytes of their vector, so that all else treats them as one more group.
struct md2_column {
	vec v[3];
};

// The tables stand right behind the columns: at some other distances loads of tables
// wait for stores of columns that lie a multiple of 4 KiB away, and the rounds take 2 to
// 3 % longer.
struct md2_state {
	struct md2_column c[16], x[48];
	struct md2_tables tab;
};

_Static_assert(sizeof(struct md2_column) == 96 && offsetof(struct md2_tables, mask) == 512,
	"as md2_asm.h has it");

// How many chains there are beside two groups, and else.
enum { MD2_MANY = 11, MD2_FEW = 8 };

// KEEP hides where a vector comes from.  Without it gcc sorts the sums into trees that
// need far more than 16 registers.
#define KEEP(v) __asm__("" : "+x"(v))

// md2_chain makes one look-up of one chain: *x ^= S[*t], and *t becomes the
// result.  Three instructions; left to itself gcc takes four, or builds vectors.
INLINE void md2_chain(uint64_t *t, uint8_t *x)
{
	__asm__("movzbl (%2,%0), %k0\n\txorb %1, %b0\n\tmovb %b0, %1"
		: "+&r"(*t), "+m"(*x)
		: "r"(md2_s), "m"(*(const uint8_t(*)[256])md2_s));
}

// md2_columns does with n columns for no group or one what md2_asm.h does for two.
INLINE void md2_columns(struct md2_column *x, int n, vec *t, uint64_t u[MD2_FEW], const int groups,
	const struct md2_tables *tab)
{
	_Static_assert(MD2_FEW == 8, "a chain for each table");
	for (struct md2_column *const end = x + n; x < end; x++) {
		vec p, lo, hi;
		_Pragma("GCC unroll 8")
		for (int i = 0; i < 8; i++) {
			if (groups) {
				p = i ? _mm256_sub_epi8(p, tab->sixteen) : _mm256_and_si256(*t, tab->mask);
				vec a = _mm256_shuffle_epi8(tab->lower[i], p), b = _mm256_shuffle_epi8(tab->upper[i], p);
				lo = i ? _mm256_xor_si256(lo, a) : a;
				hi = i ? _mm256_xor_si256(hi, b) : b;
				KEEP(lo);
				KEEP(hi);
			}
			md2_chain(&u[i], (uint8_t *)&x->v[0] + i);
		}
		if (groups)
			x->v[1] = *t = _mm256_xor_si256(x->v[1], _mm256_blendv_epi8(lo, hi, *t));
	}
}

// md2_rounds runs the rounds on one block.  The last round is only for the first
// 16 columns: the next block overwrites the others, and the digest has no more.
INLINE void md2_rounds(struct md2_state *s, const int groups)
{
	if (groups == 2) {
		md2_asm_rounds(s->x, 0, &s->tab, md2_s);
		return;
	}
	vec t = _mm256_setzero_si256();
	uint64_t u[MD2_FEW] = {0};
	for (int r = 0; r < 18; r++) {
		md2_columns(s->x, r < 17 ? 48 : 16, &t, u, groups, &s->tab);
		t = _mm256_add_epi8(t, _mm256_set1_epi8((char)r));
		_Pragma("GCC unroll 8")
		for (int i = 0; i < MD2_FEW; i++)
			u[i] = (uint8_t)(u[i] + (uint64_t)r);
	}
}

// md2_checksum carries the checksum over the block, x[16..32).
INLINE void md2_checksum(struct md2_state *s, const int groups)
{
	if (groups == 2) {
		md2_asm_checksum(s->c, 0, &s->tab, md2_s);
		return;
	}
	struct md2_column l = s->c[15];
	for (int k = 0; k < 16; k++) {
		vec t = _mm256_xor_si256(l.v[1], s->x[16 + k].v[1]);
		uint64_t u[MD2_FEW];
		for (int i = 0; i < MD2_FEW; i++)
			u[i] = ((uint8_t *)&l.v[0])[i] ^ ((uint8_t *)&s->x[16 + k].v[0])[i];
		md2_columns(&s->c[k], 1, &t, u, groups, &s->tab);
		l = s->c[k];
	}
}

// A jump takes 17 steps of 4 blocks.
enum { MD2_STEP = 64, MD2_STEPS = 17 };

// An md2_job is four blocks of a lane: all of a row's message, with padding and
// checksum, or a step of a jump.  Steps but the last have no padding, and leave a
// state of 32 bytes: x[0..16) and the checksum.
struct md2_job {
	const uint8_t *in[6]; // 16 bytes each: the two halves of the state before, and the blocks
	uint8_t *out;         // 32 bytes: the state after, or the digest and its zero fill
	uint8_t final;        // 0xff where the fourth block is the checksum, else 0
};

// md2_load reads 16 bytes of 32 lanes, sliced.
INLINE void md2_load(struct md2_column *b, int group, const struct md2_job *j, const int in)
{
	vec w[4][4]; // word, group of 8 lanes
	for (int g = 0; g < 4; g++) {
		vec v[4];
		for (int i = 0; i < 4; i++)
			v[i] = _mm256_loadu2_m128i(
				(const __m128i_u *)j[8 * g + 4 + i].in[in],
				(const __m128i_u *)j[8 * g + i].in[in]);
		transpose32in128(v);
		for (int i = 0; i < 4; i++)
			w[i][g] = v[i];
	}
	for (int i = 0; i < 4; i++) {
		slice(w[i]);
		for (int k = 0; k < 4; k++)
			b[4 * i + k].v[group] = w[i][k];
	}
}

// md2_store undoes it, to 16 bytes of out.
INLINE void md2_store(const struct md2_column *b, int group, const struct md2_job *j, const int at)
{
	vec w[4][4];
	for (int i = 0; i < 4; i++) {
		for (int k = 0; k < 4; k++)
			w[i][k] = b[4 * i + k].v[group];
		unslice(w[i]);
	}
	for (int g = 0; g < 4; g++) {
		vec v[4] = {w[0][g], w[1][g], w[2][g], w[3][g]};
		transpose32in128(v);
		for (int i = 0; i < 4; i++) {
			_mm_storeu_si128((__m128i_u *)(j[8 * g + i].out + at), _mm256_castsi256_si128(v[i]));
			_mm_storeu_si128((__m128i_u *)(j[8 * g + 4 + i].out + at), _mm256_extracti128_si256(v[i], 1));
		}
	}
}

// md2 takes 32 jobs for each vector of a column, in lane order.  Those of the first
// that aren't chains only have to be readable and writable.
INLINE void md2(struct md2_state *s, const struct md2_job *j, const int groups)
{
	struct md2_column *const b = s->x + 16;
	vec final[3];
	for (int g = 0; g <= groups; g++) {
		uint8_t f[32];
		for (unsigned p = 0; p < 32; p++)
			f[p] = j[32 * (unsigned)g + sliced_lane(p)].final;
		final[g] = load256(f);
		md2_load(s->x, g, j + 32 * g, 0);
		md2_load(s->c, g, j + 32 * g, 1);
	}
	for (int n = 0; n < 4; n++) {
		for (int g = 0; g <= groups; g++)
			md2_load(b, g, j + 32 * g, 2 + n);
		for (int k = 0; k < 16 && n == 3; k++)
			for (int g = 0; g <= groups; g++)
				b[k].v[g] = _mm256_blendv_epi8(b[k].v[g], s->c[k].v[g], final[g]);
		md2_checksum(s, groups);
		for (int k = 0; k < 16; k++)
			for (int g = 0; g <= groups; g++)
				b[16 + k].v[g] = _mm256_xor_si256(s->x[k].v[g], b[k].v[g]);
		md2_rounds(s, groups);
	}
	for (int g = 0; g <= groups; g++) {
		for (int k = 0; k < 16; k++)
			s->c[k].v[g] = _mm256_andnot_si256(final[g], s->c[k].v[g]);
		md2_store(s->x, g, j + 32 * g, 0);
		md2_store(s->c, g, j + 32 * g, 16);
	}
}

NOINLINE void md2x8(struct md2_state *s, const struct md2_job *j) { md2(s, j, 0); }
NOINLINE void md2x40(struct md2_state *s, const struct md2_job *j) { md2(s, j, 1); }
NOINLINE void md2x75(struct md2_state *s, const struct md2_job *j) { md2(s, j, 2); }

#endif
