// SPDX-License-Identifier: GPL-3.0-or-later

// The kernels of peach.cu and simple.cu without a GPU, as a driver knows them: by
// name, with their arguments and what they may touch.  Blocks run in an order
// drawn at random, threads in one drawn anew for each phase, in shared memory that
// holds rubbish.
//
// The emulation (emulate.cpp), the run of the compiled code (ptx.cpp) and the fake
// driver (gpu/internal/driver/fake) all launch from this table.

#ifndef KIGO_KERNELS_H
#define KIGO_KERNELS_H

#define KIGO_HOST
#include "peach.cuh"
#include "simple.cuh"

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

// A Range is memory that a kernel reads or writes.
struct Range {
	u64 at, bytes;
};

// A Launch is a kernel's grid and arguments, each in a cell.
struct Launch {
	u32 blocks;
	u64 args[8];

	template <class T> T *pointer(int i) const { return reinterpret_cast<T *>(args[i]); }
	u32 number(int i) const { return (u32)args[i]; }
};

struct Kernel {
	std::string name;
	int params;
	int n; // which one is the number of trailers
	// What the kernel may touch, for so many trailers.
	std::vector<Range> (*ranges)(const Launch &, u64 n);
	void (*run)(const Launch &, std::mt19937 &);
};

template <class Phase>
static void for_threads(std::mt19937 &random, Phase phase)
{
	u32 from = random(), step = random() | 1; // odd, so all threads get their turn
	for (u32 i = 0; i < THREADS; i++)
		phase((from + i * step) % THREADS);
}

template <class Work>
static void for_blocks(const Launch &launch, std::mt19937 &random, Work work)
{
	std::vector<u32> order(launch.blocks);
	std::iota(order.begin(), order.end(), 0);
	std::shuffle(order.begin(), order.end(), random);
	for (u32 block : order)
		work(block);
}

// step runs a kernel whose trailers go on to a queue.  counts is null for init,
// whose blocks serve none.
template <class Work>
static void step(const Launch &launch, std::mt19937 &random, const u32 *counts, u32 *next_counts, u32 *next_queues,
	u32 n, Work work)
{
	std::unique_ptr<Shared> s(new Shared);
	std::vector<Local> l(THREADS);
	for_blocks(launch, random, [&](u32 block) {
		u32 first = 0, queue = NO_QUEUE;
		if (counts && (queue = find_work(counts, block, &first)) == NO_QUEUE)
			return;
		memset(s.get(), 0xa5, sizeof *s);
		memset(l.data(), 0xa5, sizeof l[0] * THREADS);
		for_threads(random, [&](u32 t) {
			clear_counts(s.get(), t);
			if (queue == 6)
				md2_fill(s->table, t, THREADS);
		});
		for_threads(random, [&](u32 t) { work(s.get(), &l[t], queue, first, block, t); });
		for_threads(random, [&](u32 t) { reserve(s.get(), next_counts, t); });
		for_threads(random, [&](u32 t) { append(s.get(), &l[t], next_queues, n); });
	});
}

static const u64 counts_bytes = QUEUES * 4;
static u64 trailers_bytes(u64 n) { return n * TRAILER * 4; }
static u64 states_bytes(u64 n) { return n * STATE * 4; }
static u64 queues_bytes(u64 n) { return n * QUEUES * 4; }
static u64 hashes_bytes(u64 n) { return n * 8 * 4; }

static const Kernel kernels[] = {
	{"kigo_init", 5, 4,
		[](const Launch &a, u64 n) -> std::vector<Range> {
			return {{a.args[0], trailers_bytes(n)}, {a.args[1], states_bytes(n)}, {a.args[2], counts_bytes},
				{a.args[3], queues_bytes(n)}};
		},
		[](const Launch &a, std::mt19937 &random) {
			auto trailers = a.pointer<const u32>(0);
			auto states = a.pointer<u32>(1);
			u32 n = a.number(4);
			step(a, random, nullptr, a.pointer<u32>(2), a.pointer<u32>(3), n,
				[=](Shared *s, Local *l, u32, u32, u32 block, u32 t) { init_work(s, l, trailers, states, n, block, t); });
		}},
	{"kigo_row", 7, 6,
		[](const Launch &a, u64 n) -> std::vector<Range> {
			return {{a.args[0], states_bytes(n)}, {a.args[1], counts_bytes}, {a.args[2], queues_bytes(n)},
				{a.args[3], counts_bytes}, {a.args[4], queues_bytes(n)}};
		},
		[](const Launch &a, std::mt19937 &random) {
			auto states = a.pointer<u32>(0);
			auto counts = a.pointer<const u32>(1), queues = a.pointer<const u32>(2);
			u32 r = a.number(5), n = a.number(6);
			step(a, random, counts, a.pointer<u32>(3), a.pointer<u32>(4), n,
				[=](Shared *s, Local *l, u32 queue, u32 first, u32, u32 t) {
					row_work(s, l, states, counts, queues, r, n, queue, first, t);
				});
		}},
	{"kigo_jump", 7, 6,
		[](const Launch &a, u64 n) -> std::vector<Range> {
			return {{a.args[0], trailers_bytes(n)}, {a.args[1], states_bytes(n)}, {a.args[2], counts_bytes},
				{a.args[3], queues_bytes(n)}, {a.args[4], counts_bytes}, {a.args[5], queues_bytes(n)}};
		},
		[](const Launch &a, std::mt19937 &random) {
			auto trailers = a.pointer<const u32>(0);
			auto states = a.pointer<u32>(1);
			auto counts = a.pointer<const u32>(2), queues = a.pointer<const u32>(3);
			u32 n = a.number(6);
			step(a, random, counts, a.pointer<u32>(4), a.pointer<u32>(5), n,
				[=](Shared *s, Local *l, u32 queue, u32 first, u32, u32 t) {
					jump_work(s, l, trailers, states, counts, queues, n, queue, first, t);
				});
		}},
	{"kigo_final", 3, 2,
		[](const Launch &a, u64 n) -> std::vector<Range> {
			return {{a.args[0], states_bytes(n)}, {a.args[1], hashes_bytes(n)}};
		},
		[](const Launch &a, std::mt19937 &random) {
			for_blocks(a, random, [&](u32 block) {
				for_threads(random, [&](u32 t) { final_work(a.pointer<u32>(0), a.pointer<u32>(1), a.number(2), block, t); });
			});
		}},
	{"kigo_simple", 3, 2,
		[](const Launch &a, u64 n) -> std::vector<Range> {
			return {{a.args[0], trailers_bytes(n)}, {a.args[1], hashes_bytes(n)}};
		},
		[](const Launch &a, std::mt19937 &random) {
			auto trailers = a.pointer<const u32>(0);
			auto hashes = a.pointer<u32>(1);
			u32 n = a.number(2);
			for_blocks(a, random, [&](u32 block) {
				for_threads(random, [&](u32 t) {
					if (u64 at = (u64)block * THREADS + t; at < n)
						simple::peach(hashes + at * 8, trailers + at * TRAILER, md2_s);
				});
			});
		}},
};

#endif
