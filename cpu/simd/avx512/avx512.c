// SPDX-License-Identifier: GPL-3.0-or-later

//go:build cgo && amd64 && !windows && !purego

// Peach (docs/spec/pow.md sections 8 and 9) on AVX-512.
//
// One trailer is a serial chain of 296 small hashes, each choosing the next one's
// function, so the lanes of the vectors are trailers.  A chunk of them marches in
// lock step; each step makes the next row of every lane's tile:
//
//   1. mix, 64 lanes at a time: slice the row into words, dflops on 16 lanes a
//      vector, slice the words into bytes, dmemtx on 64 lanes a vector, and back.
//      The row is now as it stays in the tile, so the same words, still at hand,
//      go through the dflops of the coming jump, which runs over the tile and
//      changes nothing.  Its op waits in memory from row to row.
//   2. sort: lane numbers into eight lists by hash function.
//   3. hash, list by list, with a kernel for many lanes; each gathers its lanes'
//      36 bytes and stores their digest as the next row.
//
// A jump is such a step with messages of 1,060 bytes, and the sum of its digest's
// words is the lane's next tile.
//
//   kernel           lanes                  header
//   dflops           16 a vector            dflops.h (subnormals without assists)
//   dmemtx           64, byte-sliced        dmemtx.h
//   MD2              64 a vector x 4        md2.h
//   Keccak, SHA3     8                      keccak.h
//   BLAKE2b          8, both keys           blake2b.h
//   SHA-256, SHA-1   16                     sha256.h, sha1.h
//   MD5              16 a vector x 2        md5.h
//
// Rows lie as row[32][lane][32 bytes].  Loads and stores go through intrinsics or
// memcpy, whatever the address.  Flags must not relax the arithmetic: no fast-math,
// no contraction (-std=c11 turns it off in GCC), no flushing of subnormals.

// GCC has no such pragma; there -std=c11 does it.
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

// Left alone, GCC copies and clears arrays of vectors through half-size registers and
// keeps such arrays in memory.
#ifndef __clang__
#pragma GCC optimize("no-tree-vectorize,no-tree-loop-distribute-patterns")
#endif

#include "avx512.h"

#include "blake2b.h"
#include "dflops.h"
#include "dmemtx.h"
#include "job.h"
#include "keccak.h"
#include "md2.h"
#include "md5.h"
#include "profile.h"
#include "sha1.h"
#include "sha256.h"
#include "simd.h"

_Static_assert((int)PARTS <= (int)KIGO_AVX512_PARTS, "a counter for each part");
_Static_assert(4 * MD2_GROUPS <= 16, "messages for MD2's groups");

typedef struct kigo_avx512_scratch scratch;

enum {
	LANES = KIGO_AVX512_LANES,
	ROWS = 32,
	JUMPS = 8,
	TILES = 1 << 20,
	TRAILER = 160,
	NONCE_AT = 92,
	HASHED = 124, // bytes of the trailer that its hash covers
};

// The hash functions by number (docs/spec/pow.md section 8).
enum { BLAKE2B_0, BLAKE2B_1, SHA1, SHA256, SHA3, KECCAK, MD2, MD5 };

// ---- sorting ---------------------------------------------------------------

static void clear_lists(scratch *s) { memset(s->count, 0, sizeof s->count); }

// sort_lanes appends the lanes first.. of which valid has a bit to the lists that
// the low three bits of op name.
static void sort_lanes(scratch *s, int first, vec op, __mmask64 valid) {
	const vec count = _mm512_set_epi16(
		31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16,
		15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
	vec low = _mm512_add_epi16(count, _mm512_set1_epi16((short)first));
	vec high = _mm512_add_epi16(low, _mm512_set1_epi16(32));
	op = _mm512_and_si512(op, all8(7));
	for (int f = 0; f < 8; f++) {
		uint64_t lanes = _mm512_mask_cmpeq_epi8_mask(valid, op, all8((uint8_t)f));
		uint16_t *end = s->list[f] + s->count[f];
		store(end, _mm512_maskz_compress_epi16((__mmask32)lanes, low));
		end += _mm_popcnt_u32((uint32_t)lanes);
		store(end, _mm512_maskz_compress_epi16((__mmask32)(lanes >> 32), high));
		s->count[f] += (uint32_t)_mm_popcnt_u64(lanes);
	}
}

// pad_list fills a list's last vector with copies of its last lane.
static void pad_list(scratch *s, int f) {
	uint32_t n = s->count[f];
	if (n == 0) return;
	vec last = _mm512_set1_epi16((short)s->list[f][n - 1]);
	store(s->list[f] + n, last);
	store(s->list[f] + n + 32, last);
}

// join_lists appends list f + 1 to list f and returns how many of the joint
// list's entries, padding included, belong to function f.
static int join_lists(scratch *s, int f) {
	uint32_t n = s->count[f], more = s->count[f + 1];
	memcpy(s->list[f] + n, s->list[f + 1], more * sizeof s->list[f][0]);
	s->count[f] += more;
	pad_list(s, f);
	return more > 0 ? (int)n : (int)n + 64;
}

// ---- rows ------------------------------------------------------------------

// hash_rows hashes head and tail of every lane by its list.
static void hash_rows(scratch *s, const uint8_t *head, const uint32_t *tail, uint8_t *out) {
	job j = {head, tail, out, 0, 0, 0};
	for (int f = 0; f < 8; f++) {
		if (f == BLAKE2B_0 || f == SHA3) j.first = join_lists(s, f);
		else pad_list(s, f);
		j.lane = s->list[f];
		j.n = (int)s->count[f];
		switch (f) {
		case BLAKE2B_0: PROFILE(s, PART_BLAKE2B, blake2b_rows(&j)); break;
		case SHA1: PROFILE(s, PART_SHA1, sha1_rows(&j)); break;
		case SHA256: PROFILE(s, PART_SHA256, sha256_rows(&j)); break;
		case SHA3: PROFILE(s, PART_KECCAK, keccak_rows(&j)); break;
		case MD2: PROFILE(s, PART_MD2, md2_rows(&j)); break;
		case MD5: PROFILE(s, PART_MD5, md5_rows(&j)); break;
		}
	}
}

// Some words of 64 lanes: word k of lanes 16g..16g+15 is w[g][k].
typedef vec words[4][9];

// tile_numbers returns the tile indexes of 64 lanes as singles.
INLINE void tile_numbers(__m512 index[4], const scratch *s, int base) {
	for (int g = 0; g < 4; g++) index[g] = _mm512_cvtepi32_ps(load(s->tile + base + 16 * g));
}

// pass_words runs op on over n words, which stay as they are.
INLINE void pass_words(words w, int n, vec op[4], const __m512 index[4]) {
	for (int k = 0; k < n; k++)
		for (int g = 0; g < 4; g++) dflops(w[g][k], &op[g], index[g]);
}

// transform_words does both transforms of n words in place and returns the op.
INLINE vec transform_words(words w, const int n, const __m512 index[4]) {
	vec op[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512()};
	for (int k = 0; k < n; k++)
		for (int g = 0; g < 4; g++) w[g][k] = dflops(w[g][k], &op[g], index[g]);
	vec b[36];
	for (int k = 0; k < n; k++) {
		for (int g = 0; g < 4; g++) b[4 * k + g] = w[g][k];
		bytes_of_word(b + 4 * k);
	}
	vec last = dmemtx(b, 4 * n, bytes_of_op(op));
	for (int k = 0; k < n; k++) {
		word_of_bytes(b + 4 * k);
		for (int g = 0; g < 4; g++) w[g][k] = b[4 * k + g];
	}
	return last;
}

INLINE __mmask64 lanes_below(int n, int base) {
	return n - base >= LANES ? ~(__mmask64)0 : ((__mmask64)1 << (n - base)) - 1;
}

// start_tiles mixes the seeds of row 0 and, if a jump is to follow, starts its op
// with what lies before the tile in its message.
static void start_tiles(scratch *s, int n, int jumps) {
	clear_lists(s);
	for (int base = 0; base < n; base += LANES) {
		words w;
		__m512 index[4];
		vec op[4];
		tile_numbers(index, s, base);
		if (jumps) {
			for (int g = 0; g < 4; g++) {
				load_words(w[g], s->nonce + 32 * (base + 16 * g));
				w[g][8] = load(s->tile + base + 16 * g);
				op[g] = _mm512_setzero_si512();
			}
			pass_words(w, 9, op, index);
			for (int g = 0; g < 4; g++) store(s->jump_op + base + 16 * g, op[g]);
		}
		for (int g = 0; g < 4; g++) {
			w[g][0] = load(s->tile + base + 16 * g);
			load_words(w[g] + 1, s->phash + 32 * (base + 16 * g));
		}
		vec last = transform_words(w, 9, index);
		for (int g = 0; g < 4; g++) {
			store_words(s->seed + 32 * (base + 16 * g), w[g]);
			store(s->seed_tail + base + 16 * g, w[g][8]);
		}
		sort_lanes(s, base, last, lanes_below(n, base));
	}
}

// mix_rows transforms row r of every tile and, if a jump is to follow, takes it
// into the jump's op.
static void mix_rows(scratch *s, int n, int r, int jumps) {
	clear_lists(s);
	for (int base = 0; base < n; base += LANES) {
		words w;
		__m512 index[4];
		vec op[4];
		tile_numbers(index, s, base);
		for (int g = 0; g < 4; g++) load_words(w[g], s->row[r] + 32 * (base + 16 * g));
		vec last = transform_words(w, 8, index);
		for (int g = 0; g < 4; g++) store_words(s->row[r] + 32 * (base + 16 * g), w[g]);
		if (jumps) {
			for (int g = 0; g < 4; g++) op[g] = load(s->jump_op + base + 16 * g);
			pass_words(w, 8, op, index);
			for (int g = 0; g < 4; g++) store(s->jump_op + base + 16 * g, op[g]);
		}
		sort_lanes(s, base, last, lanes_below(n, base));
	}
}

static void make_tiles(scratch *s, int n, int jumps) {
	PROFILE(s, PART_MIX, start_tiles(s, n, jumps));
	hash_rows(s, s->seed, s->seed_tail, s->row[0]);
	for (int r = 0; r < ROWS - 1; r++) {
		PROFILE(s, PART_MIX, mix_rows(s, n, r, jumps));
		hash_rows(s, s->row[r], s->tile, s->row[r + 1]);
	}
}

// ---- long messages ---------------------------------------------------------

// Lengths of the messages in words.
enum { TILE_WORDS = 256, JUMP_WORDS = 8 + 1 + TILE_WORDS, FINAL_WORDS = 8 + TILE_WORDS, TRAILER_WORDS = 31 };

static vec *message(scratch *s, int i) { return (vec *)s->message[i]; }

static void slice_tile(vec *w, const scratch *s, const uint16_t *lane) {
	for (int r = 0; r < ROWS; r++) gather_words(w + 8 * r, s->row[r], 32, lane);
}

// slice_jump slices the jump's message of 16 lanes into words.
static void slice_jump(vec *w, const scratch *s, const uint16_t *lane) {
	gather_words(w, s->nonce, 32, lane);
	w[8] = gather_word(s->tile, lane);
	slice_tile(w + 9, s, lane);
}

// slice_jump_quads slices the jump's message of 8 lanes into quads.  The tile
// begins in the middle of one, so each is made of two neighbours of the tile's.
static void slice_jump_quads(vec *q, const scratch *s, const uint16_t *lane) {
	gather_quads(q, s->nonce, 32, lane);
	vec before = _mm512_slli_epi64(gather_quad(s->tile, lane), 32);
	q += 4;
	for (int r = 0; r < ROWS; r++) {
		vec t[4];
		gather_quads(t, s->row[r], 32, lane);
		for (int k = 0; k < 4; k++) {
			*q++ = _mm512_shrdi_epi64(before, t[k], 32);
			before = t[k];
		}
	}
	*q = _mm512_srli_epi64(before, 32);
}

// end_words pads a message of n words for SHA-1 and SHA-256 (big) or MD5 and
// returns the number of its blocks.
static int end_words(vec *w, int n, int big) {
	const int blocks = (n + 2) / 16 + 1;
	const uint32_t bits = 32 * (uint32_t)n;
	w[n] = all32(0x80);
	for (int k = n + 1; k < 16 * blocks; k++) w[k] = _mm512_setzero_si512();
	if (big) w[16 * blocks - 1] = all32(__builtin_bswap32(bits));
	else w[16 * blocks - 2] = all32(bits);
	return blocks;
}

// hash_jumps hashes the jump of every lane on list f.
static void hash_jumps(scratch *s, int f, uint8_t *out) {
	pad_list(s, f);
	const int n = (int)s->count[f], last = JUMP_WORDS / 2; // the last, half filled quad
	const uint16_t *lane = s->list[f];
	vec *m = message(s, 0);
	int blocks = 0;
	switch (f) {
	case BLAKE2B_0:
	case BLAKE2B_1:
		for (int i = 0; i < n; i += 8) {
			PROFILE(s, PART_JUMP_SLICE, slice_jump_quads(m, s, lane + i));
			PROFILE(s, PART_JUMP_BLAKE2B, blake2b_message(m, 9, f == BLAKE2B_0 ? 0xff : 0, out, lane + i));
		}
		break;
	case SHA3:
	case KECCAK:
		for (int i = 0; i < n; i += 8) {
			PROFILE(s, PART_JUMP_SLICE, slice_jump_quads(m, s, lane + i));
			const uint64_t suffix = f == SHA3 ? SHA3_SUFFIX : KECCAK_SUFFIX;
			m[last] = _mm512_or_si512(m[last], _mm512_set1_epi64((long long)(suffix << 32)));
			m[last + 1] = m[last + 2] = _mm512_setzero_si512();
			m[last + 3] = _mm512_set1_epi64((long long)(1ull << 63));
			PROFILE(s, PART_JUMP_KECCAK, keccak_message(m, 8, out, lane + i));
		}
		break;
	case SHA1:
		for (int i = 0; i < n; i += 16) {
			PROFILE(s, PART_JUMP_SLICE, slice_jump(m, s, lane + i); blocks = end_words(m, JUMP_WORDS, 1));
			PROFILE(s, PART_JUMP_SHA1, sha1_message(m, blocks, out, lane + i));
		}
		break;
	case SHA256:
		for (int i = 0; i < n; i += 16) {
			PROFILE(s, PART_JUMP_SLICE, slice_jump(m, s, lane + i); blocks = end_words(m, JUMP_WORDS, 1));
			PROFILE(s, PART_JUMP_SHA256, sha256_message(m, blocks, out, lane + i));
		}
		break;
	case MD5:
		for (int i = 0; i < n; i += 16 * MD5_GROUPS) {
			PROFILE(s, PART_JUMP_SLICE, for (int g = 0; g < MD5_GROUPS; g++) {
				slice_jump(message(s, g), s, lane + i + 16 * g);
				blocks = end_words(message(s, g), JUMP_WORDS, 0);
			});
			PROFILE(s, PART_JUMP_MD5, md5_message(message(s, 0), message(s, 1), blocks, out, lane + i));
		}
		break;
	case MD2:
		for (int left = (n + 63) / 64, groups; left > 0; left -= groups, lane += 64 * groups) {
			groups = md2_share(left);
			PROFILE(s, PART_JUMP_SLICE, for (int i = 0; i < 4 * groups; i++) {
				slice_jump(message(s, i), s, lane + 16 * i);
				for (int k = JUMP_WORDS; k < JUMP_WORDS + 3; k++) message(s, i)[k] = all8(12);
			});
			PROFILE(s, PART_JUMP_MD2, md2_message(m, KIGO_AVX512_WORDS, (JUMP_WORDS + 3) / 4, out, lane, groups));
		}
		break;
	}
}

// mix_jumps ends the jumps' ops with the last row, which no step has transformed.
static void mix_jumps(scratch *s, int n) {
	clear_lists(s);
	for (int base = 0; base < n; base += LANES) {
		words w;
		__m512 index[4];
		vec op[4];
		tile_numbers(index, s, base);
		for (int g = 0; g < 4; g++) {
			load_words(w[g], s->row[ROWS - 1] + 32 * (base + 16 * g));
			op[g] = load(s->jump_op + base + 16 * g);
		}
		pass_words(w, 8, op, index);
		sort_lanes(s, base, bytes_of_op(op), lanes_below(n, base));
	}
}

// jump moves every lane on to its next tile.
static void jump(scratch *s, int n) {
	uint8_t *digest = s->row[ROWS];
	PROFILE(s, PART_JUMP_MIX, mix_jumps(s, n));
	for (int f = 0; f < 8; f++) hash_jumps(s, f, digest);
	for (int i = 0; i < n; i += 16) {
		vec w[8];
		load_words(w, digest + 32 * i);
		for (int k = 1; k < 8; k++) w[0] = _mm512_add_epi32(w[0], w[k]);
		store(s->tile + i, _mm512_and_si512(w[0], all32(TILES - 1)));
	}
}

// ---- beginning and end -----------------------------------------------------

// some_lanes names the 16 lanes from first on, the last lane for those beyond.
static void some_lanes(uint16_t lane[16], int first, int n) {
	for (int i = 0; i < 16; i++) lane[i] = (uint16_t)(first + i < n ? first + i : n - 1);
}

static void hash_trailers(scratch *s, const uint8_t *trailers, int n) {
	vec *m = message(s, 0);
	for (int i = 0; i < n; i += 16) {
		uint16_t lane[16];
		some_lanes(lane, i, n);
		for (int at = 0; at < HASHED; at += 32) {
			const int from = at + 32 <= HASHED ? at : HASHED - 32;
			gather_words(m + from / 4, trailers + from, TRAILER, lane);
		}
		sha256_message(m, end_words(m, TRAILER_WORDS, 1), s->trailer_hash, lane);
	}
}

static void hash_finals(scratch *s, int n, uint8_t *out) {
	vec *m = message(s, 0);
	for (int i = 0; i < n; i += 16) {
		uint16_t lane[16];
		some_lanes(lane, i, n);
		gather_words(m, s->trailer_hash, 32, lane);
		slice_tile(m + 8, s, lane);
		sha256_message(m, end_words(m, FINAL_WORDS, 1), out, lane);
	}
}

// start reads the trailers and finds the first tiles.
static void start(scratch *s, const uint8_t *trailers, int n) {
	for (int i = 0; i < n; i++) {
		const uint8_t *t = trailers + (size_t)TRAILER * (size_t)i;
		memcpy(s->phash + 32 * i, t, 32);
		memcpy(s->nonce + 32 * i, t + NONCE_AT, 32);
	}
	hash_trailers(s, trailers, n);
	for (int i = 0; i < n; i++) {
		uint32_t product = 1;
		for (int k = 0; k < 32; k++) product *= s->trailer_hash[32 * i + k];
		s->tile[i] = product % TILES;
	}
}

// hash is apart from its only caller so that no arithmetic moves out of where the
// floating-point mode is known.
static __attribute__((noinline)) void hash(uint8_t *hashes, const uint8_t *trailers, int lanes, scratch *s) {
	PROFILE(s, PART_ENDS, start(s, trailers, lanes));
	for (int j = 0; j < JUMPS; j++) {
		make_tiles(s, lanes, 1);
		jump(s, lanes);
	}
	make_tiles(s, lanes, 0);
	PROFILE(s, PART_ENDS, hash_finals(s, lanes, s->row[ROWS]));
	memcpy(hashes, s->row[ROWS], 32 * (size_t)lanes);
}

// The mode of the thread may be any: a library loaded into the process can switch
// subnormals off, or round otherwise.  Peach's singles are rounded to nearest, with
// subnormals; 0x1f80 is that, with all exceptions masked.
void kigo_avx512_hash(uint8_t *hashes, const uint8_t *trailers, uint32_t n, struct kigo_avx512_scratch *s) {
	const uint32_t mode = _mm_getcsr();
	_mm_setcsr(0x1f80);
	hash(hashes, trailers, (int)n, s);
	_mm_setcsr(mode);
}
