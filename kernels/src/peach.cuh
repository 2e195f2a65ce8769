// SPDX-License-Identifier: GPL-3.0-or-later

// Peach (docs/spec/pow.md section 9) as a wavefront: a batch takes one step after
// the other, and between steps its trailers wait in eight queues, one for each
// hash function, so that all threads of a block run the same one.
//
//	init    hash the trailer, choose the first tile, mix its seed
//	row     288 times: hash 36 bytes, store the row, mix it for the next
//	jump      8 times: hash 1060 bytes, choose the next tile, mix its seed
//	final   hash trailer hash and tile
//
// The hash of a jump depends on a pass over the finished tile (dflops without
// modifying).  It is carried along in one word: each row is fed to it when it has
// become final.
//
// Each kernel but final is four phases with a barrier between them, each a
// function of its own, so that a program without a GPU can run them for all
// threads of a block, one phase after the other, in any order of threads.

#ifndef KIGO_PEACH_CUH
#define KIGO_PEACH_CUH

#include "md2.cuh"
#include "mix.cuh"
#include "sha.cuh"
#include "wide.cuh"

// What a measurement may set otherwise (bench/gpu.sh).
#ifndef THREADS
#define THREADS 256 // in a block
#endif
#ifndef MD2_BLOCKS
#define MD2_BLOCKS 0 // alternate with the others; 1: come first; 2: come last
#endif

#define QUEUES 8
#define NO_QUEUE QUEUES

// Words of a trailer, and of what is kept for each while it is worked on.
#define TRAILER 40
#define TRAILER_NONCE 23

#define STATE 288
#define STATE_TH 0     // hash of the trailer
#define STATE_PASS 8   // what dflops has come to over nonce, index and the rows so far
#define STATE_TAIL 9   // the word behind a row's 32 bytes when it is hashed
#define STATE_NONCE 23 // nonce, index and tile lie one behind the other, as a jump hashes them
#define STATE_INDEX 31
#define STATE_TILE 32

struct Shared {
	u32 table[MD2_TABLE];
	u32 count[QUEUES]; // trailers that this block adds to each queue
	u32 base[QUEUES];  // where in the queue they begin
};

// What a thread keeps from phase to phase.
struct Local {
	u32 trailer; // its place in the batch
	u32 queue;   // which one it goes to, NO_QUEUE for none
	u32 slot;    // its place among those of this block
};

// A Words is a message in memory.
struct Words {
	const u32 *w;
	DEVICE_MEMBER u32 word(int i) const { return w[i]; }
};

// A Row is a message in registers, which have no addresses: an index that is not
// known when compiled is compared with all.
struct Row {
	u32 w[9];
	DEVICE_MEMBER u32 word(int i) const
	{
		u32 v = w[0];
		UNROLL
		for (int j = 1; j < 9; j++)
			v = i == j ? w[j] : v;
		return v;
	}
};

// digest is hash function number kind (section 8), which all threads of a block
// agree on.
template <int WORDS, class Source>
DEVICE void digest(u32 *out, const Source &src, u32 kind, const u32 *table, u32 thread)
{
	switch (kind) {
	case 0:
	case 1:
		blake2b<WORDS>(out, src, kind);
		break;
	case 2:
		sha1<WORDS>(out, src);
		break;
	case 3:
		sha256<WORDS>(out, src);
		break;
	case 4:
	case 5:
		keccak<WORDS>(out, src, kind == 4 ? 0x06 : 0x01);
		break;
	case 6:
		md2<WORDS>(out, src, table, thread);
		break;
	default:
		md5<WORDS>(out, src);
	}
}

// feed gives eight words to a trailer's pass and returns what it comes to.
DEVICE u32 feed(const u32 *w, u32 index, u32 op)
{
	UNROLL
	for (int i = 0; i < 8; i++)
		dflops_word(w[i], index, op);
	return op;
}

// start_tile mixes the seed of tile index, starts the pass and returns the queue
// for row 0.
DEVICE u32 start_tile(u32 *state, const u32 *trailer, u32 index)
{
	u32 seed[9];
	seed[0] = index;
	UNROLL
	for (int i = 0; i < 8; i++)
		seed[i + 1] = trailer[i]; // the hash of the block before
	u32 op = mix<9>(seed, index);
	UNROLL
	for (int i = 0; i < 8; i++)
		state[STATE_TILE + i] = seed[i];
	state[STATE_TAIL] = seed[8];
	state[STATE_INDEX] = index;
	u32 nonce[8];
	UNROLL
	for (int i = 0; i < 8; i++)
		nonce[i] = state[STATE_NONCE + i];
	u32 pass = feed(nonce, index, 0);
	dflops_word(index, index, pass);
	state[STATE_PASS] = pass;
	return op % QUEUES;
}

// first_tile is the tile to begin with (section 9.5).
DEVICE u32 first_tile(const u32 *th)
{
	u32 m = 1;
	UNROLL
	for (int i = 0; i < 8; i++)
		m *= (th[i] & 255) * (th[i] >> 8 & 255) * (th[i] >> 16 & 255) * (th[i] >> 24);
	return m & 0xfffff;
}

// The blocks of a step serve the queues in turn.  Those of MD2, which wait for
// shared memory, alternate with the others, which are bound by arithmetic, as
// long as there are both.  find_work returns the queue that a block serves and
// where in it the block begins, or NO_QUEUE when it is one too many.
DEVICE u32 find_work(const u32 *counts, u32 block, u32 *first)
{
	const u32 slow = 6;
	u32 slows = (counts[slow] + THREADS - 1) / THREADS;
	u32 others = 0;
	for (u32 q = 0; q < QUEUES; q++)
		if (q != slow)
			others += (counts[q] + THREADS - 1) / THREADS;
#if MD2_BLOCKS == 0
	u32 pairs = slows < others ? slows : others;
	bool is_slow = block < 2 * pairs ? block % 2 == 0 : slows > others;
	u32 at = block < 2 * pairs ? block / 2 : block - pairs;
#else
	bool is_slow = MD2_BLOCKS == 1 ? block < slows : block >= others;
	u32 at = block - (MD2_BLOCKS == 1 ? (is_slow ? 0 : slows) : (is_slow ? others : 0));
#endif
	if (is_slow) {
		*first = at * THREADS;
		return at < slows ? slow : NO_QUEUE;
	}
	for (u32 q = 0; q < QUEUES; q++) {
		if (q == slow)
			continue;
		u32 blocks = (counts[q] + THREADS - 1) / THREADS;
		if (at < blocks) {
			*first = at * THREADS;
			return q;
		}
		at -= blocks;
	}
	return NO_QUEUE;
}

// The phases that all kernels share.  A queue of a step holds n trailers at most
// and begins at n times its number.

DEVICE void clear_counts(Shared *s, u32 thread)
{
	if (thread < QUEUES)
		s->count[thread] = 0;
}

// reserve makes room for what the block appends: one atomic operation for each
// queue and block, not one for each trailer.
DEVICE void reserve(Shared *s, u32 *counts, u32 thread)
{
	if (thread < QUEUES && s->count[thread])
		s->base[thread] = atomic_add(&counts[thread], s->count[thread]);
}

DEVICE void append(const Shared *s, const Local *l, u32 *queues, u32 n)
{
	if (l->queue != NO_QUEUE)
		queues[(u64)l->queue * n + s->base[l->queue] + l->slot] = l->trailer;
}

DEVICE void choose(Shared *s, Local *l, u32 queue)
{
	l->queue = queue;
	l->slot = atomic_add(&s->count[queue], 1);
}

// take finds a thread's trailer in the queue that its block serves.
DEVICE bool take(Local *l, const u32 *counts, const u32 *queues, u32 queue, u32 first, u32 n, u32 thread)
{
	l->queue = NO_QUEUE;
	if (queue == NO_QUEUE || first + thread >= counts[queue])
		return false;
	l->trailer = queues[(u64)queue * n + first + thread];
	return true;
}

DEVICE void init_work(Shared *s, Local *l, const u32 *trailers, u32 *states, u32 n, u32 block, u32 thread)
{
	l->queue = NO_QUEUE;
	l->trailer = block * THREADS + thread;
	if (l->trailer >= n)
		return;
	const u32 *trailer = trailers + (u64)l->trailer * TRAILER;
	u32 *state = states + (u64)l->trailer * STATE;
	u32 th[8];
	sha256<31>(th, Words{trailer});
	UNROLL
	for (int i = 0; i < 8; i++) {
		state[STATE_TH + i] = th[i];
		state[STATE_NONCE + i] = trailer[TRAILER_NONCE + i];
	}
	choose(s, l, start_tile(state, trailer, first_tile(th)));
}

// row_work hashes into row r, 0 to 31, what the step before has left.
DEVICE void row_work(Shared *s, Local *l, u32 *states, const u32 *counts, const u32 *queues, u32 r, u32 n,
	u32 queue, u32 first, u32 thread)
{
	if (!take(l, counts, queues, queue, first, n, thread))
		return;
	u32 *state = states + (u64)l->trailer * STATE;
	u32 *from = state + STATE_TILE + 8 * (r ? r - 1 : 0);
	u32 *to = state + STATE_TILE + 8 * r;
	Row seed;
	UNROLL
	for (int i = 0; i < 8; i++)
		seed.w[i] = from[i];
	seed.w[8] = state[STATE_TAIL];
	u32 row[8];
	digest<9>(row, seed, queue, s->table, thread);
	u32 index = state[STATE_INDEX];
	u32 op = 0;
	if (r < 31) {
		op = mix<8>(row, index);
		state[STATE_TAIL] = index;
	}
	UNROLL
	for (int i = 0; i < 8; i++)
		to[i] = row[i];
	u32 pass = feed(row, index, state[STATE_PASS]);
	state[STATE_PASS] = pass;
	choose(s, l, (r < 31 ? op : pass) % QUEUES);
}

DEVICE void jump_work(Shared *s, Local *l, const u32 *trailers, u32 *states, const u32 *counts, const u32 *queues,
	u32 n, u32 queue, u32 first, u32 thread)
{
	if (!take(l, counts, queues, queue, first, n, thread))
		return;
	u32 *state = states + (u64)l->trailer * STATE;
	u32 d[8];
	digest<265>(d, Words{state + STATE_NONCE}, queue, s->table, thread);
	u32 sum = 0;
	UNROLL
	for (int i = 0; i < 8; i++)
		sum += d[i];
	choose(s, l, start_tile(state, trailers + (u64)l->trailer * TRAILER, sum & 0xfffff));
}

DEVICE void final_work(u32 *states, u32 *out, u32 n, u32 block, u32 thread)
{
	u32 at = block * THREADS + thread;
	if (at >= n)
		return;
	u32 *state = states + (u64)at * STATE;
	u32 *message = state + STATE_TILE - 8; // over the last of the nonce, which no jump needs any more
	UNROLL
	for (int i = 0; i < 8; i++)
		message[i] = state[STATE_TH + i];
	u32 hash[8];
	sha256<264>(hash, Words{message});
	UNROLL
	for (int i = 0; i < 8; i++)
		out[(u64)at * 8 + i] = hash[i];
}

#endif
