// SPDX-License-Identifier: GPL-3.0-or-later

// Everything between two hashes, on up to 32 lanes: gather, transpose to words,
// dflops on groups of 8 lanes, slice to bytes, dmemtx, and back.  dmemtx takes
// as long for one lane as for 32; the rest is done only for the groups there are.

#ifndef KIGO_AVX2_ROW_H
#define KIGO_AVX2_ROW_H

#include "dflops.h"
#include "dmemtx.h"

enum { TILE = 1024, JUMPS = 8, ROWS = 32 };

// A lane is one trailer on its way: what every step asks for, small enough for
// all lanes to stay in the first cache.
struct lane {
	uint32_t jump_op; // op of the jump's dflops over what of its message is final
	uint32_t index;   // the tile's
	uint8_t fn;       // the hash function that comes next
	uint8_t row;      // the newest row of the tile
	uint8_t seeded;   // row 0 of the tile has been hashed
	uint8_t jumps;    // jumps made
	uint8_t step;     // of a jump by MD2
	uint16_t number;  // its place among the lanes
};

// A message is the memory of a lane's hashes, at these offsets.  The jump's,
// nonce and index and tile, lies in one piece, and so do the trailer hash and the
// last tile once the former has been copied before the latter.  Rows don't cross
// cache lines.  A message has 17 of these: a power of two would make lanes fight
// for the same few sets.
enum { MSG_NONCE = 28, MSG_INDEX = 60, MSG_TILE = 64, MSG_HASH = MSG_TILE - 32, MSG_SIZE = MSG_TILE + TILE };

struct message {
	_Alignas(64) uint8_t at[MSG_SIZE];
};

_Static_assert(sizeof(struct message) == 17 * 64, "a message has 17 cache lines");

// row_gather loads 32 bytes of each lane as words: w[k][g] is word k of group g.
// Groups that there aren't become zero.
INLINE void row_gather(vec (*w)[4], uint8_t *const from[32], const int groups)
{
	_Pragma("GCC unroll 1")
	for (int g = 0; g < groups; g++) {
		vec v[8];
		for (int i = 0; i < 8; i++)
			v[i] = load256(from[8 * g + i]);
		transpose32(v);
		for (int k = 0; k < 8; k++)
			w[k][g] = v[k];
	}
	for (int g = groups; g < 4; g++)
		for (int k = 0; k < 8; k++)
			w[k][g] = _mm256_setzero_si256();
}

INLINE void row_scatter(vec (*w)[4], uint8_t *const to[32], const int groups)
{
	_Pragma("GCC unroll 1")
	for (int g = 0; g < groups; g++) {
		vec v[8];
		for (int k = 0; k < 8; k++)
			v[k] = w[k][g];
		transpose32(v);
		for (int i = 0; i < 8; i++)
			store256(to[8 * g + i], v[i]);
	}
}

// The tile indexes, as words and as floats.
INLINE void row_index(vec word[4], __m256 number[4], struct lane *const lanes[32], const int groups)
{
	for (int g = groups; g < 4; g++)
		word[g] = _mm256_setzero_si256();
	_Pragma("GCC unroll 1")
	for (int g = 0; g < groups; g++) {
		uint32_t x[8];
		for (int i = 0; i < 8; i++)
			x[i] = lanes[8 * g + i]->index;
		word[g] = load256(x);
		number[g] = _mm256_cvtepi32_ps(word[g]);
	}
}

// row_dflops runs over n words and stores the results in r.
INLINE void row_dflops_groups(vec (*r)[4], vec (*w)[4], int n, vec op[4], const __m256 index[4], const int groups)
{
	struct dflops d[4];
	_Pragma("GCC unroll 1")
	for (int g = 0; g < groups; g++)
		dflops_begin(&d[g], w[0][g], index[g]);
	_Pragma("GCC unroll 1")
	for (int k = 1; k < n; k++) {
		for (int g = 0; g < groups; g++) {
			r[k - 1][g] = dflops_end(&d[g], &op[g], index[g]);
			dflops_begin(&d[g], w[k][g], index[g]);
		}
	}
	_Pragma("GCC unroll 1")
	for (int g = 0; g < groups; g++)
		r[n - 1][g] = dflops_end(&d[g], &op[g], index[g]);
}

NOINLINE void row_dflops4(vec (*r)[4], vec (*w)[4], int n, vec op[4], const __m256 index[4])
{
	row_dflops_groups(r, w, n, op, index, 4);
}

INLINE void row_dflops(vec (*r)[4], vec (*w)[4], int n, vec op[4], const __m256 index[4], const int groups)
{
	if (groups == 4)
		row_dflops4(r, w, n, op, index);
	else
		row_dflops_groups(r, w, n, op, index, groups);
}

// row_mix runs dmemtx over n words, carries op on, and notes the functions.
INLINE void row_mix(vec (*w)[4], const int n, vec op[4], struct lane *const lanes[32], const int groups)
{
	uint8_t fn[32];
	slice(op);
	_Pragma("GCC unroll 1")
	for (int k = 0; k < n; k++)
		slice(w[k]);
	store256(fn, dmemtx(&w[0][0], 4 * n, op[0]));
	_Pragma("GCC unroll 1")
	for (int k = 0; k < n; k++)
		unslice(w[k]);
	for (unsigned p = 0; p < 32; p++)
		if (sliced_lane(p) < 8 * (unsigned)groups)
			lanes[sliced_lane(p)]->fn = fn[p];
}

INLINE void row_zero(vec op[4])
{
	for (int g = 0; g < 4; g++)
		op[g] = _mm256_setzero_si256();
}

INLINE void row_load_jump_op(vec op[4], struct lane *const lanes[32], const int groups)
{
	_Pragma("GCC unroll 1")
	for (int g = 0; g < groups; g++) {
		uint32_t x[8];
		for (int i = 0; i < 8; i++)
			x[i] = lanes[8 * g + i]->jump_op;
		op[g] = load256(x);
	}
}

INLINE void row_store_jump_op(const vec op[4], struct lane *const lanes[32], const int groups)
{
	_Pragma("GCC unroll 1")
	for (int g = 0; g < groups; g++) {
		uint32_t x[8];
		store256(x, op[g]);
		for (int i = 0; i < 8; i++)
			lanes[8 * g + i]->jump_op = x[i];
	}
}

// row_seed starts a tile: it makes the message of row 0 from index and previous
// block hash, and starts the jump's dflops with nonce and index.
INLINE void row_seed_groups(struct lane *const lanes[32], uint8_t *const tile[32],
	uint8_t *const nonce[32], uint8_t *const phash[32], const int groups)
{
	vec n[9][4], w[9][4], op[4];
	__m256 index[4];
	row_index(w[0], index, lanes, groups);

	row_gather(n, nonce, groups);
	for (int g = 0; g < 4; g++)
		n[8][g] = w[0][g];
	row_zero(op);
	row_dflops(n, n, 9, op, index, groups);
	row_store_jump_op(op, lanes, groups);

	row_gather(w + 1, phash, groups);
	row_zero(op);
	row_dflops(w, w, 9, op, index, groups);
	row_mix(w, 9, op, lanes, groups);
	row_scatter(w, tile, groups);
	_Pragma("GCC unroll 1")
	for (int g = 0; g < groups; g++) {
		uint32_t x[8];
		store256(x, w[8][g]);
		for (int i = 0; i < 8; i++)
			store32(tile[8 * g + i] + 32, x[i]);
	}
}

// row_next transforms the newest row, completes the message of the next one by
// the index, and carries the jump's dflops over the row, which is final now.
INLINE void row_next_groups(struct lane *const lanes[32], uint8_t *const row[32], const int groups)
{
	vec w[8][4], junk[8][4], op[4], word[4];
	__m256 index[4];
	row_index(word, index, lanes, groups);
	row_gather(w, row, groups);
	row_zero(op);
	row_dflops(w, w, 8, op, index, groups);
	row_mix(w, 8, op, lanes, groups);
	int jump = 0;
	for (int i = 0; i < 8 * groups; i++)
		jump |= lanes[i]->jumps < JUMPS;
	if (jump) {
		row_load_jump_op(op, lanes, groups);
		row_dflops(junk, w, 8, op, index, groups);
		row_store_jump_op(op, lanes, groups);
	}
	row_scatter(w, row, groups);
	for (int i = 0; i < 8 * groups; i++)
		store32(row[i] + 32, lanes[i]->index);
}

// row_last ends the jump's dflops with the tile's last row, a plain digest.
INLINE void row_last_groups(struct lane *const lanes[32], uint8_t *const row[32], const int groups)
{
	vec w[8][4], junk[8][4], op[4], word[4];
	__m256 index[4];
	row_index(word, index, lanes, groups);
	row_gather(w, row, groups);
	row_load_jump_op(op, lanes, groups);
	row_dflops(junk, w, 8, op, index, groups);
	row_store_jump_op(op, lanes, groups);
	for (int i = 0; i < 8 * groups; i++)
		lanes[i]->fn = lanes[i]->jump_op & 7;
}

// The three for 1 to 4 groups of 8 lanes.
NOINLINE void row_seed(struct lane *const lanes[32], uint8_t *const tile[32],
	uint8_t *const nonce[32], uint8_t *const phash[32], int groups)
{
	if (groups == 1)
		row_seed_groups(lanes, tile, nonce, phash, 1);
	else if (groups == 2)
		row_seed_groups(lanes, tile, nonce, phash, 2);
	else
		row_seed_groups(lanes, tile, nonce, phash, 4);
}

NOINLINE void row_next(struct lane *const lanes[32], uint8_t *const row[32], int groups)
{
	if (groups == 1)
		row_next_groups(lanes, row, 1);
	else if (groups == 2)
		row_next_groups(lanes, row, 2);
	else
		row_next_groups(lanes, row, 4);
}

NOINLINE void row_last(struct lane *const lanes[32], uint8_t *const row[32], int groups)
{
	if (groups == 1)
		row_last_groups(lanes, row, 1);
	else if (groups == 2)
		row_last_groups(lanes, row, 2);
	else
		row_last_groups(lanes, row, 4);
}

#endif
