// SPDX-License-Identifier: GPL-3.0-or-later

//go:build cgo && amd64 && !windows && !purego

// Peach on AVX2.
//
// The path of one trailer is serial: 9 tiles of 32 rows, each a hash of the row
// before, with a jump after every tile but the last.  So vectors run across
// trailers, one to a lane.  At each step the data choose one of eight hash
// functions, and lanes part ways.
//
// Lanes don't march in step here.  Each waits in the queue of the work that it
// needs next; a vector kernel fires when its queue fills a vector or a few, and moves
// its lanes on to other queues.  With 512 lanes some queue is always full (all
// of them together hold fewer than 310 lanes before one fills), so almost
// nothing is padded until the last lanes run out.  In lock step MD2 alone, half
// of the work at 75 lanes a kernel, would waste a fifth of its lanes.  When no
// queue is full (the end of a batch, or a small one) the queue fires whose
// padding costs least; so lanes gather where lone lanes are dear, and a batch of
// 54 runs at half the speed of a large one.  The schedule depends on the data,
// the results don't depend on the schedule.
//
// A jump by MD2 is as long as 17 rows and waits with them, for as many turns, so that
// jumps have no padding of their own.
//
// The parts:
//
//     vec.h      vectors, transposes, jobs
//     row.h      between two hashes, 8 to 32 lanes: dflops.h (8 lanes a vector)
//                and dmemtx.h (32 lanes a vector)
//     md2.h      75, 40 or 8 lanes
//     keccak.h   Keccak and SHA3, 4 lanes
//     blake2b.h  both keys, 4 lanes
//     mdhash.h   sha256.h and sha1.h on 8 lanes, md5.h on 16
//     profile.h  cycles by part, in a build of its own
//
// There is no allocation and no state but the scratch memory of the call.

// GCC has no such pragma; there -std=c11 does it.
#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

#include "peach.h"

#include "blake2b.h"
#include "keccak.h"
#include "md2.h"
#include "md5.h"
#include "profile.h"
#include "row.h"
#include "sha1.h"
#include "sha256.h"

// MOST lanes leave a queue at a time.
enum { MOST = 75 };

enum { CHUNK = KIGO_AVX2_CHUNK, TRAILER = 160, NONCE_AT = 92, NONCE = 32, HASH = 32 };

// The queues.  HASH_ROW is the first of six and HASH_JUMP of five: jumps by MD2
// wait with the rows.
enum {
	SEED,
	ROW,
	LAST,
	HASH_ROW,
	HASH_JUMP = HASH_ROW + 6,
	QUEUES = HASH_JUMP + 5,
};

// The six kernels, and where lanes wait for each function.
enum { BLAKE2B, SHA1, SHA256, KECCAK, MD5, MD2 };

static const uint8_t queue_of_row[8] = {
	HASH_ROW + BLAKE2B, HASH_ROW + BLAKE2B, HASH_ROW + SHA1, HASH_ROW + SHA256,
	HASH_ROW + KECCAK, HASH_ROW + KECCAK, HASH_ROW + MD2, HASH_ROW + MD5,
};
static const uint8_t queue_of_jump[8] = {
	HASH_JUMP + BLAKE2B, HASH_JUMP + BLAKE2B, HASH_JUMP + SHA1, HASH_JUMP + SHA256,
	HASH_JUMP + KECCAK, HASH_JUMP + KECCAK, HASH_ROW + MD2, HASH_JUMP + MD5,
};

// What a call costs in cycles: fixed, and each for every step of lanes begun.
// width lanes fill it.  weight is what a lane of a full call costs, to the power
// of 3/4.
static const struct { uint16_t width, step; uint32_t fixed, each, weight; } work[QUEUES] = {
	[SEED] = {32, 8, 1400, 500, 33},
	[ROW] = {32, 8, 1300, 480, 32},
	[LAST] = {32, 8, 200, 200, 13},
	[HASH_ROW + BLAKE2B] = {4, 4, 0, 640, 45},
	[HASH_ROW + SHA1] = {8, 8, 0, 580, 25},
	[HASH_ROW + SHA256] = {8, 8, 0, 1230, 44},
	[HASH_ROW + KECCAK] = {4, 4, 0, 1560, 88},
	[HASH_ROW + MD5] = {16, 16, 0, 720, 17},
	[HASH_ROW + MD2] = {75, 75, 0, 100000, 150},
	[HASH_JUMP + BLAKE2B] = {4, 4, 0, 6600, 259},
	[HASH_JUMP + SHA1] = {8, 8, 0, 9500, 202},
	[HASH_JUMP + SHA256] = {8, 8, 0, 20400, 359},
	[HASH_JUMP + KECCAK] = {4, 4, 0, 12700, 423},
	[HASH_JUMP + MD5] = {16, 16, 0, 12000, 143},
};

// A queue is full with more lanes than these.  Those of rows, and of their narrow
// kernels, gather several vectors, since each call starts with cold code.  There are 16
// for the comparison; those of no queue stay empty.
static const uint16_t almost_full[16] = {
	[SEED] = 31, [ROW] = 63, [LAST] = 31,
	[HASH_ROW + BLAKE2B] = 15, [HASH_ROW + SHA1] = 15, [HASH_ROW + SHA256] = 15,
	[HASH_ROW + KECCAK] = 15, [HASH_ROW + MD5] = 15, [HASH_ROW + MD2] = 74,
	[HASH_JUMP + BLAKE2B] = 3, [HASH_JUMP + SHA1] = 7, [HASH_JUMP + SHA256] = 7,
	[HASH_JUMP + KECCAK] = 3, [HASH_JUMP + MD5] = 15,
};

// md2_cost is what a block of MD2 costs for count lanes, in cycles.
static uint32_t md2_cost(uint32_t count)
{
	return count > 40 ? 25000 : count > 16 ? 18800 : count > 8 ? 14500 : 7250;
}

static uint32_t cost(unsigned q, uint32_t count)
{
	if (q == HASH_ROW + MD2)
		return 4 * md2_cost(count);
	return work[q].fixed + (count + work[q].step - 1) / work[q].step * work[q].each;
}

// waste_of tells how much dearer lanes are in a call for count of them than in a
// full one.  Cycles wasted on each lane alone would hold up a jump by MD5, 17
// blocks long, until the last lanes of all rows had gone; their share of the
// lane's own cost alone lets MD2 go too early.  The power between the two was
// found by trial: batches of 54 gain a quarter, those of 512 hardly care.
static uint32_t waste_of(unsigned q, uint32_t count)
{
	const uint32_t each = cost(q, count) / count, full = cost(q, work[q].width) / work[q].width;
	return each > full ? (each - full) * 256 / work[q].weight : 0;
}

// A queue is a ring of lane numbers, from head to before end.  All heads lie
// together and so do all ends, and both run on without wrapping, so that one
// subtraction counts all queues.
struct queues {
	_Alignas(32) uint16_t head[16], end[16];
	uint16_t ring[QUEUES][CHUNK];
};

_Static_assert(QUEUES <= 16 && (CHUNK & (CHUNK - 1)) == 0 && CHUNK <= 16384, "counts are 16 signed bits");

struct scratch {
	struct md2_state md2;
	struct message messages[CHUNK];
	struct lane lanes[CHUNK];
	uint8_t phash[CHUNK][HASH];
	uint8_t md2_state[CHUNK][HASH];
	uint8_t trailer_hash[CHUNK][HASH];
	struct queues queues;
	uint32_t waste[QUEUES][MOST]; // waste_of, since divisions are slow
	uint32_t running; // lanes that aren't through their last tile
};

_Static_assert(sizeof(struct scratch) + 64 <= KIGO_AVX2_SCRATCH, "the scratch memory is large enough");

static uint32_t count_of(const struct scratch *s, unsigned q)
{
	return (uint16_t)(s->queues.end[q] - s->queues.head[q]);
}

static void push(struct scratch *s, unsigned q, unsigned lane)
{
	s->queues.ring[q][s->queues.end[q]++ & (CHUNK - 1)] = (uint16_t)lane;
}

// pop takes m lanes off a queue.
static void pop(struct scratch *s, unsigned q, unsigned m, struct lane **lanes)
{
	const unsigned head = s->queues.head[q];
	for (unsigned i = 0; i < m; i++)
		lanes[i] = &s->lanes[s->queues.ring[q][(head + i) & (CHUNK - 1)]];
	s->queues.head[q] = (uint16_t)(head + m);
}

// pick returns the queue to fire.  Of those that fill their kernel it is the one
// whose first lane is furthest behind, so that lanes stay together and few are
// left over at the end.  If there is none it is the one that wastes least.
static unsigned pick(const struct scratch *s)
{
	const vec counts = _mm256_sub_epi16(load256(s->queues.end), load256(s->queues.head));
	uint32_t full = (uint32_t)_mm256_movemask_epi8(_mm256_cmpgt_epi16(counts, load256(almost_full)));
	uint32_t least = UINT32_MAX;
	unsigned best = 0;
	for (full &= 0x55555555; full != 0; full &= full - 1) {
		const unsigned q = (unsigned)__builtin_ctz(full) / 2;
		const struct lane *l = &s->lanes[s->queues.ring[q][s->queues.head[q] & (CHUNK - 1)]];
		const uint32_t progress = ROWS * (uint32_t)l->jumps + l->row;
		best = progress < least ? q : best;
		least = progress < least ? progress : least;
	}
	if (least != UINT32_MAX)
		return best;
	for (unsigned q = 0; q < QUEUES; q++) {
		const uint32_t count = count_of(s, q);
		if (count > 0 && s->waste[q][count] < least) {
			least = s->waste[q][count];
			best = q;
		}
	}
	return best;
}

// finish_rows moves lanes on whose next row has been hashed.
static void finish_rows(struct scratch *s, unsigned m, struct lane *const *lanes)
{
	for (unsigned i = 0; i < m; i++) {
		struct lane *l = lanes[i];
		l->row += l->seeded;
		l->seeded = 1;
		if (l->row < ROWS - 1)
			push(s, ROW, l->number);
		else if (l->jumps < JUMPS)
			push(s, LAST, l->number);
		else
			s->running--;
	}
}

// finish_jumps takes the next indexes from the digests, which lie in row 0, and
// starts the next tiles.
static void finish_jumps(struct scratch *s, unsigned m, struct lane *const *lanes)
{
	for (unsigned i = 0; i < m; i++) {
		struct lane *l = lanes[i];
		uint8_t *message = s->messages[l->number].at;
		uint32_t sum = 0;
		for (int b = 0; b < HASH; b += 4)
			sum += load32(message + MSG_TILE + b);
		l->index = sum & ((1 << 20) - 1);
		store32(message + MSG_INDEX, l->index);
		l->row = l->seeded = l->step = 0;
		l->jumps++;
		push(s, SEED, l->number);
	}
}

typedef void kernel(const struct job *j);

static kernel *const kernels[QUEUES] = {
	[HASH_ROW + BLAKE2B] = blake2b4_row,
	[HASH_ROW + SHA1] = sha1x8_row,
	[HASH_ROW + SHA256] = sha256x8_row,
	[HASH_ROW + KECCAK] = keccak4_row,
	[HASH_ROW + MD5] = md5x16_row,
	[HASH_JUMP + BLAKE2B] = blake2b4_jump,
	[HASH_JUMP + SHA1] = sha1x8_jump,
	[HASH_JUMP + SHA256] = sha256x8_jump,
	[HASH_JUMP + KECCAK] = keccak4_jump,
	[HASH_JUMP + MD5] = md5x16_jump,
};

// fire_hash hashes m lanes, padded with copies of the last.
static void fire_hash(struct scratch *s, unsigned q, unsigned m, struct lane *const *lanes)
{
	const unsigned jump = q >= HASH_JUMP, width = work[q].width;
	struct job j[MOST];
	unsigned i = 0;
	do {
		const struct lane *l = lanes[i < m ? i : m - 1];
		uint8_t *message = s->messages[l->number].at, *row = message + MSG_TILE + HASH * (size_t)l->row;
		j[i].fn = l->fn;
		j[i].src = jump ? message + MSG_NONCE : row;
		j[i].dst = jump ? message + MSG_TILE : row + HASH * (size_t)l->seeded;
		_mm_prefetch((const char *)j[i].src, _MM_HINT_T0);
	} while (++i < m || i % width != 0);
	for (i = 0; i < m; i += width)
		kernels[q](j + i);
	if (jump)
		finish_jumps(s, m, lanes);
	else
		finish_rows(s, m, lanes);
}

// md2_job_of returns a lane's next four blocks.  tail is room for the padding.
static struct md2_job md2_job_of(struct scratch *s, const struct lane *l, uint8_t tail[16])
{
	static const uint8_t zero[HASH];
	uint8_t *message = s->messages[l->number].at, *state = s->md2_state[l->number];
	const int jump = l->row == ROWS - 1, final = !jump || l->step == MD2_STEPS - 1;
	const uint8_t *before = l->step > 0 ? state : zero;
	uint8_t *row = message + MSG_TILE + HASH * (size_t)l->row;
	const uint8_t *src = jump ? message + MSG_NONCE + MD2_STEP * (size_t)l->step : row;
	memset(tail, 12, 16);
	memcpy(tail, src + 32, 4);
	return (struct md2_job){
		.in = {before, before + 16, src, src + 16, final ? tail : src + 32, final ? tail : src + 48},
		.out = !jump ? row + HASH * (size_t)l->seeded : final ? message + MSG_TILE : state,
		.final = final ? 0xff : 0,
	};
}

// fire_md2 takes m lanes by four blocks, padded with copies of the last.
static void fire_md2(struct scratch *s, unsigned m, struct lane *const *lanes)
{
	const unsigned groups = m > 40 ? 2 : m > 16 ? 1 : 0, chains = groups == 2 ? MD2_MANY : MD2_FEW;
	const unsigned width = 32 * groups + chains;
	struct md2_job j[3 * 32];
	uint8_t tail[3 * 32][16], nowhere[HASH];
	for (unsigned at = 0; at < m; at += width) {
		for (unsigned i = 0; i < 32 * (1 + groups); i++) {
			const unsigned n = i < 32 ? at + sliced_place(i) : at + chains + i - 32;
			j[i] = md2_job_of(s, lanes[n < m ? n : m - 1], tail[i]);
			if (i < 32 && sliced_place(i) >= chains)
				j[i].out = nowhere;
		}
		switch (groups) {
		case 0:
			md2x8(&s->md2, j);
			break;
		case 1:
			md2x40(&s->md2, j);
			break;
		case 2:
			md2x75(&s->md2, j);
			break;
		}
	}
	struct lane *rows[MOST], *jumps[MOST];
	unsigned nr = 0, nj = 0;
	for (unsigned i = 0; i < m; i++) {
		struct lane *l = lanes[i];
		if (l->row < ROWS - 1)
			rows[nr++] = l;
		else if (++l->step == MD2_STEPS)
			jumps[nj++] = l;
		else
			push(s, HASH_ROW + MD2, l->number);
	}
	finish_rows(s, nr, rows);
	finish_jumps(s, nj, jumps);
}

// fire_mix runs dflops and dmemtx on m lanes, padded with copies of the last.
static void fire_mix(struct scratch *s, unsigned q, unsigned m, struct lane *const *lanes)
{
	struct lane *padded[32], *const *l = lanes;
	uint8_t *row[32], *nonce[32], *phash[32];
	if (m < 32) {
		for (unsigned i = 0; i < 32; i++)
			padded[i] = lanes[i < m ? i : m - 1];
		l = padded;
	}
	for (unsigned i = 0; i < 32; i++)
		row[i] = s->messages[l[i]->number].at + MSG_TILE + HASH * (size_t)l[i]->row;
	const int groups = (int)(m + 7) / 8;
	switch (q) {
	case SEED:
		for (unsigned i = 0; i < 32; i++) {
			nonce[i] = s->messages[l[i]->number].at + MSG_NONCE;
			phash[i] = s->phash[l[i]->number];
		}
		row_seed(l, row, nonce, phash, groups);
		break;
	case ROW:
		row_next(l, row, groups);
		break;
	case LAST:
		row_last(l, row, groups);
		break;
	}
	const uint8_t *next = q == LAST ? queue_of_jump : queue_of_row;
	for (unsigned i = 0; i < m; i++)
		push(s, next[l[i]->fn], l[i]->number);
}

// fire works off what fills the kernel, once or several times over, or what
// there is if it doesn't fill it.
static void fire(struct scratch *s, unsigned q)
{
	struct lane *lanes[MOST];
	const unsigned count = count_of(s, q), width = work[q].width;
	const unsigned most = MOST / width * width;
	unsigned m = count < most ? count : most;
	if (m > width)
		m -= m % width;
	PROFILE_START;
	pop(s, q, m, lanes);
	if (q < HASH_ROW)
		for (unsigned i = 0; i < m; i += 32)
			fire_mix(s, q, m - i < 32 ? m - i : 32, lanes + i);
	else if (q == HASH_ROW + MD2)
		fire_md2(s, m, lanes);
	else
		fire_hash(s, q, m, lanes);
	PROFILE_END(q, m, width);
}

// start hashes the trailers and sets their lanes to the first tile
// (docs/spec/pow.md section 9.5).
static void start(struct scratch *s, const uint8_t *trailers, uint32_t n)
{
	for (uint32_t at = 0; at < n; at += 8) {
		struct job j[8];
		for (uint32_t i = 0; i < 8; i++) {
			uint32_t l = at + i < n ? at + i : at;
			j[i].src = trailers + TRAILER * (size_t)l;
			j[i].dst = s->trailer_hash[l];
		}
		sha256_trailer(j);
	}
	for (uint32_t i = 0; i < n; i++) {
		struct lane *l = &s->lanes[i];
		uint32_t product = 1;
		for (int k = 0; k < HASH; k++)
			product *= s->trailer_hash[i][k];
		*l = (struct lane){.index = product & ((1 << 20) - 1), .number = (uint16_t)i};
		memcpy(s->phash[i], trailers + TRAILER * (size_t)i, HASH);
		memcpy(s->messages[i].at + MSG_NONCE, trailers + TRAILER * (size_t)i + NONCE_AT, NONCE);
		store32(s->messages[i].at + MSG_INDEX, l->index);
		push(s, SEED, i);
	}
}

// final hashes trailer hash and last tile, which are brought together over
// nonce and index.
static void final(struct scratch *s, uint8_t *hashes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		memcpy(s->messages[i].at + MSG_HASH, s->trailer_hash[i], HASH);
	for (uint32_t at = 0; at < n; at += 8) {
		struct job j[8];
		for (uint32_t i = 0; i < 8; i++) {
			uint32_t l = at + i < n ? at + i : at;
			j[i].src = s->messages[l].at + MSG_HASH;
			j[i].dst = hashes + HASH * (size_t)l;
		}
		sha256_final(j);
	}
}

// peach is apart from its only caller so that no arithmetic moves out of where the
// floating-point mode is known.
NOINLINE void peach(uint8_t *hashes, const uint8_t *trailers, uint32_t n, uint8_t *scratch)
{
	struct scratch *s = (struct scratch *)(((uintptr_t)scratch + 63) & ~(uintptr_t)63);
	md2_tables_make(&s->md2.tab);
	memset(s->queues.head, 0, sizeof s->queues.head);
	memset(s->queues.end, 0, sizeof s->queues.end);
	for (unsigned q = 0; q < QUEUES; q++) {
		for (uint32_t count = 1; count <= almost_full[q] && count < MOST; count++)
			s->waste[q][count] = waste_of(q, count);
	}
	s->running = n;
	PROFILE_START;
	start(s, trailers, n);
	PROFILE_END(QUEUES, n, 8);
	while (s->running > 0)
		fire(s, pick(s));
	final(s, hashes, n);
}

// The mode of the thread may be any: a library loaded into the process can switch
// subnormals off, or round otherwise.  Peach's singles are rounded to nearest, with
// subnormals; 0x1f80 is that, with all exceptions masked.
void kigo_avx2_peach(uint8_t *hashes, const uint8_t *trailers, uint32_t n, uint8_t *scratch)
{
	const uint32_t mode = _mm_getcsr();
	_mm_setcsr(0x1f80);
	peach(hashes, trailers, n, scratch);
	_mm_setcsr(mode);
}
