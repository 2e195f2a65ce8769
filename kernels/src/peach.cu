// SPDX-License-Identifier: GPL-3.0-or-later

// The kernels of peach.cuh: their phases with barriers between them.
//
// Arguments are plain pointers and numbers, not a struct, so that the compiler
// knows the pointers to be global.  counts and queues are those that a step
// reads, next_counts and next_queues those that it appends to.  The grid of init
// and final is a block for every 256 trailers, that of row and jump has 8 more,
// since each queue may end in a block that isn't full.

#include "peach.cuh"

// Two blocks a multiprocessor leave 128 registers a thread.
#ifndef BLOCKS
#define BLOCKS 2
#endif
#define KERNEL extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS)

// step runs the phases of a block whose trailers go on to a queue.  work is the
// second, and what differs; table says whether it is MD2.
template <class Work>
DEVICE void step(bool table, u32 *next_counts, u32 *next_queues, u32 n, Work work)
{
	__shared__ Shared s;
	Local l;
	clear_counts(&s, threadIdx.x);
	if (table)
		md2_fill(s.table, threadIdx.x, THREADS);
	__syncthreads();
	work(&s, &l);
	__syncthreads();
	reserve(&s, next_counts, threadIdx.x);
	__syncthreads();
	append(&s, &l, next_queues, n);
}

KERNEL kigo_init(const u32 *trailers, u32 *states, u32 *next_counts, u32 *next_queues, u32 n)
{
	step(false, next_counts, next_queues, n, [&](Shared *s, Local *l) {
		init_work(s, l, trailers, states, n, blockIdx.x, threadIdx.x);
	});
}

KERNEL kigo_row(u32 *states, const u32 *counts, const u32 *queues, u32 *next_counts, u32 *next_queues, u32 r, u32 n)
{
	u32 first = 0, queue = find_work(counts, blockIdx.x, &first);
	if (queue == NO_QUEUE)
		return;
	step(queue == 6, next_counts, next_queues, n, [&](Shared *s, Local *l) {
		row_work(s, l, states, counts, queues, r, n, queue, first, threadIdx.x);
	});
}

KERNEL kigo_jump(const u32 *trailers, u32 *states, const u32 *counts, const u32 *queues, u32 *next_counts,
	u32 *next_queues, u32 n)
{
	u32 first = 0, queue = find_work(counts, blockIdx.x, &first);
	if (queue == NO_QUEUE)
		return;
	step(queue == 6, next_counts, next_queues, n, [&](Shared *s, Local *l) {
		jump_work(s, l, trailers, states, counts, queues, n, queue, first, threadIdx.x);
	});
}

KERNEL kigo_final(u32 *states, u32 *out, u32 n)
{
	final_work(states, out, n, blockIdx.x, threadIdx.x);
}
