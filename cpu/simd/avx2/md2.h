// SPDX-License-Identifier: GPL-3.0-or-later

// MD2 (RFC 1319).
//
// All the cost is S[t], a table of 256 bytes.  A call has groups of 32 lanes in
// vectors, and chains: lanes in scalar code.  Vectors keep the three vector ports
// busy and leave the load ports idle, chains want just these; so 8 chains in one
// loop with two groups come almost free.
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
// A look-up needs the one before it.  Two groups of 32 lanes take turns, each
// look-up whole: the core overlaps the end of one with the start of the next by
// itself, while instructions of both groups mixed all wait at the same time.

#ifndef KIGO_AVX2_MD2_H
#define KIGO_AVX2_MD2_H

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

// The difference tables of the lower and the upper half, and 16i to subtract.
struct md2_tables {
	vec lower[8], upper[8], base[8];
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
		t->base[i] = _mm256_set1_epi8((char)(16 * i));
	}
}

// KEEP hides where a vector comes from, and FENCE ends what the compiler may
// mix.  Without them gcc sorts the sums into trees that need far more than 16
// registers.
#define KEEP(v) __asm__("" : "+x"(v))
#define FENCE() __asm__ volatile("" : : : "memory")

// MD2_KEPT tables of each half stay in registers: loads cost the front end, which
// chains need.  More don't fit.
enum { MD2_KEPT = 4, MD2_CHAINS = 8 };

// md2_chain makes one look-up of one chain: *x ^= S[*t], and *t becomes the
// result.  Three instructions; left to itself gcc takes four, or builds vectors.
INLINE void md2_chain(uint64_t *t, uint8_t *x)
{
	__asm__("movzbl (%2,%0), %k0\n\txorb %1, %b0\n\tmovb %b0, %1"
		: "+&r"(*t), "+m"(*x)
		: "r"(md2_s), "m"(*(const uint8_t(*)[256])md2_s));
}

// md2_step_chains returns x ^ S[t], and makes one look-up of each of n chains
// meanwhile, spread evenly.
INLINE vec md2_step_chains(vec t, vec x, const struct md2_tables *tab, const struct md2_tables *kept,
	uint64_t *tc, uint8_t *xc, const int n)
{
	vec y = _mm256_and_si256(t, _mm256_set1_epi8(127));
	vec lo, hi;
	_Pragma("GCC unroll 8")
	for (int i = 0; i < 8; i++) {
		vec p = i ? _mm256_sub_epi8(y, tab->base[i]) : y;
		KEEP(p);
		vec a = _mm256_shuffle_epi8((i < MD2_KEPT ? kept : tab)->lower[i], p);
		vec b = _mm256_shuffle_epi8((i < MD2_KEPT ? kept : tab)->upper[i], p);
		KEEP(a);
		KEEP(b);
		lo = i ? _mm256_xor_si256(lo, a) : a;
		hi = i ? _mm256_xor_si256(hi, b) : b;
		KEEP(lo);
		KEEP(hi);
		_Pragma("GCC unroll 2")
		for (int k = i * n / 8; k < (i + 1) * n / 8; k++)
			md2_chain(&tc[k], &xc[k]);
	}
	return _mm256_xor_si256(x, _mm256_blendv_epi8(lo, hi, t));
}

// md2_step returns x ^ S[t].
INLINE vec md2_step(vec t, vec x, const struct md2_tables *tab)
{
	return md2_step_chains(t, x, tab, tab, 0, 0, 0);
}

// A column is one byte of the state of all lanes: groups, then chains.
struct md2_column {
	vec v[2];
	_Alignas(32) uint8_t s[MD2_CHAINS];
};

// md2_load reads 16 bytes of 32 lanes from offset off on, sliced.
INLINE void md2_load(struct md2_column *b, int group, const struct job *j, size_t off)
{
	vec w[4][4]; // word, group
	for (int g = 0; g < 4; g++) {
		vec v[4];
		for (int i = 0; i < 4; i++)
			v[i] = _mm256_loadu2_m128i(
				(const __m128i_u *)(j[8 * g + 4 + i].src + off),
				(const __m128i_u *)(j[8 * g + i].src + off));
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

// md2_load4 reads the last 4 bytes of 32 lanes, sliced, and pads to 16.
INLINE void md2_load4(struct md2_column *b, int group, const struct job *j, size_t off)
{
	vec w[4];
	for (int g = 0; g < 4; g++) {
		uint32_t x[8];
		for (int i = 0; i < 8; i++)
			x[i] = load32(j[8 * g + i].src + off);
		w[g] = load256(x);
	}
	slice(w);
	for (int k = 0; k < 4; k++)
		b[k].v[group] = w[k];
	for (int k = 4; k < 16; k++)
		b[k].v[group] = _mm256_set1_epi8(12);
}

// md2_store writes the digests with their zero fill.
INLINE void md2_store(const struct md2_column *x, int group, const struct job *j)
{
	vec w[4][4];
	for (int i = 0; i < 4; i++) {
		for (int k = 0; k < 4; k++)
			w[i][k] = x[4 * i + k].v[group];
		unslice(w[i]);
	}
	for (int g = 0; g < 4; g++) {
		vec v[4] = {w[0][g], w[1][g], w[2][g], w[3][g]};
		transpose32in128(v);
		for (int i = 0; i < 4; i++) {
			store256(j[8 * g + i].dst, _mm256_zextsi128_si256(_mm256_castsi256_si128(v[i])));
			store256(j[8 * g + 4 + i].dst, _mm256_zextsi128_si256(_mm256_extracti128_si256(v[i], 1)));
		}
	}
}

// md2_rounds runs the rounds on one block.  The last round is only for the first
// 16 columns: the next block overwrites the others, and the digest has no more.
INLINE void md2_rounds(struct md2_column *x, const int groups, const int chains,
	const struct md2_tables *tab)
{
	struct md2_tables kept;
	vec t[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
	uint64_t u[MD2_CHAINS] = {0};
	_Pragma("GCC unroll 8")
	for (int i = 0; groups > 0 && i < MD2_KEPT; i++) {
		kept.lower[i] = tab->lower[i];
		kept.upper[i] = tab->upper[i];
		KEEP(kept.lower[i]);
		KEEP(kept.upper[i]);
	}
	for (int r = 0; r < 18; r++) {
		struct md2_column *end = x + (r < 17 ? 48 : 16);
		_Pragma("GCC unroll 2")
		for (struct md2_column *p = x; p < end; p++) {
			_Pragma("GCC unroll 2")
			for (int g = 0; g < groups; g++) {
				const int n = chains / groups;
				t[g] = md2_step_chains(t[g], p->v[g], tab, &kept, u + g * n, p->s + g * n, n);
				p->v[g] = t[g];
				FENCE();
			}
			_Pragma("GCC unroll 8")
			for (int i = 0; groups == 0 && i < chains; i++)
				md2_chain(&u[i], &p->s[i]);
		}
		for (int g = 0; g < groups; g++)
			t[g] = _mm256_add_epi8(t[g], _mm256_set1_epi8((char)r));
		_Pragma("GCC unroll 8")
		for (int i = 0; i < chains; i++)
			u[i] = (uint8_t)(u[i] + (uint64_t)r);
	}
}

// md2 hashes messages of 16n + 4 bytes: 32 lanes for each group, then one for
// each chain.
INLINE void md2(const struct job *j, size_t len, const int groups, const int chains, const struct md2_tables *tab)
{
	struct md2_column x[48], c[16];
	const struct job *jc = j + 32 * groups;
	vec l[2] = {_mm256_setzero_si256(), _mm256_setzero_si256()};
	uint8_t lc[MD2_CHAINS] = {0};
	memset(x, 0, sizeof x);
	memset(c, 0, sizeof c);
	for (size_t off = 0; off <= len + 16; off += 16) {
		struct md2_column *b = x + 16;
		if (off > len) {
			memcpy(b, c, sizeof c);
		} else {
			for (int g = 0; g < groups; g++) {
				if (off + 16 <= len)
					md2_load(b, g, j + 32 * g, off);
				else
					md2_load4(b, g, j + 32 * g, off);
			}
			for (int i = 0; i < chains; i++) {
				uint8_t block[16];
				memset(block, 12, sizeof block);
				memcpy(block, jc[i].src + off, off + 16 <= len ? 16 : 4);
				for (int k = 0; k < 16; k++)
					b[k].s[i] = block[k];
			}
			for (int k = 0; k < 16; k++) {
				for (int g = 0; g < groups; g++) {
					l[g] = md2_step(_mm256_xor_si256(l[g], b[k].v[g]), c[k].v[g], tab);
					c[k].v[g] = l[g];
					FENCE();
				}
				for (int i = 0; i < chains; i++)
					lc[i] = c[k].s[i] ^= md2_s[b[k].s[i] ^ lc[i]];
			}
		}
		for (int k = 0; k < 16; k++) {
			for (int g = 0; g < groups; g++)
				b[16 + k].v[g] = _mm256_xor_si256(x[k].v[g], b[k].v[g]);
			for (int i = 0; i < chains; i++)
				b[16 + k].s[i] = x[k].s[i] ^ b[k].s[i];
		}
		md2_rounds(x, groups, chains, tab);
	}
	for (int g = 0; g < groups; g++)
		md2_store(x, g, j + 32 * g);
	for (int i = 0; i < chains; i++) {
		memset(jc[i].dst, 0, 32);
		for (int k = 0; k < 16; k++)
			jc[i].dst[k] = x[k].s[i];
	}
}

NOINLINE void md2x8(const struct job *j, size_t len)
{
	md2(j, len, 0, MD2_CHAINS, 0);
}

NOINLINE void md2x40(const struct job *j, size_t len, const struct md2_tables *tab)
{
	md2(j, len, 1, MD2_CHAINS, tab);
}

NOINLINE void md2x72(const struct job *j, size_t len, const struct md2_tables *tab)
{
	md2(j, len, 2, MD2_CHAINS, tab);
}

#endif
