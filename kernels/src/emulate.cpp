// SPDX-License-Identifier: GPL-3.0-or-later

// Runs the device code without a GPU, as ordinary C++: 160-byte trailers on
// stdin, their 32-byte final hashes on stdout.  Blocks of a launch, and threads
// of a phase, run in an order drawn from the seed that may be given; the hashes
// must not depend on it.

#define KIGO_HOST
#include "peach.cuh"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

static std::mt19937 order_rand;

static std::vector<u32> order(u32 n)
{
	std::vector<u32> v(n);
	std::iota(v.begin(), v.end(), 0);
	std::shuffle(v.begin(), v.end(), order_rand);
	return v;
}

template <class Phase>
static void for_threads(Phase phase)
{
	for (u32 thread : order(THREADS))
		phase(thread);
}

// launch runs the four phases of a kernel for each of its blocks.
template <class Work>
static void launch(u32 blocks, u32 *next_counts, u32 *next_queues, u32 n, Work work)
{
	for (u32 block : order(blocks)) {
		// Fresh memory each time, not zeroed: reading what was not written shows
		// under the sanitizers.
		std::unique_ptr<Shared> s(new Shared);
		memset(s.get(), 0xa5, sizeof(Shared));
		std::vector<Local> l(THREADS);
		for_threads([&](u32 t) { clear_counts(s.get(), t); });
		if (!work(block, s.get(), l.data()))
			continue;
		for_threads([&](u32 t) { reserve(s.get(), next_counts, t); });
		for_threads([&](u32 t) { append(s.get(), &l[t], next_queues, n); });
	}
}

int main(int argc, char **argv)
{
	order_rand.seed(argc > 1 ? (unsigned)atol(argv[1]) : 0);
	std::vector<u32> trailers;
	u32 record[TRAILER];
	size_t got;
	while ((got = fread(record, 1, sizeof record, stdin)) == sizeof record)
		trailers.insert(trailers.end(), record, record + TRAILER);
	if (got) {
		fprintf(stderr, "emulate: %zu bytes behind the last whole trailer\n", got);
		return 1;
	}
	const u32 n = (u32)(trailers.size() / TRAILER);
	const u32 steps = 9 * 32 + 8;
	std::vector<u32> states((size_t)n * STATE), out((size_t)n * 8);
	std::vector<u32> counts((steps + 2) * QUEUES);
	std::vector<u32> queues[2];
	for (auto &q : queues)
		q.resize((size_t)n * QUEUES);
	const u32 blocks = (n + THREADS - 1) / THREADS;

	launch(blocks, &counts[0], queues[0].data(), n, [&](u32 block, Shared *s, Local *l) {
		for_threads([&](u32 t) { init_work(s, &l[t], trailers.data(), states.data(), n, block, t); });
		return true;
	});
	for (u32 step = 0; step < steps; step++) {
		u32 r = step % 33; // 32 rows, then a jump
		const u32 *c = &counts[step * QUEUES], *q = queues[step % 2].data();
		launch(blocks + QUEUES, &counts[(step + 1) * QUEUES], queues[(step + 1) % 2].data(), n,
			[&](u32 block, Shared *s, Local *l) {
				u32 first = 0, queue = find_work(c, block, &first);
				if (queue == NO_QUEUE)
					return false;
				if (queue == 6)
					for_threads([&](u32 t) { md2_fill(s->table, t, THREADS); });
				for_threads([&](u32 t) {
					if (r < 32)
						row_work(s, &l[t], states.data(), c, q, r, n, queue, first, t);
					else
						jump_work(s, &l[t], trailers.data(), states.data(), c, q, n, queue, first, t);
				});
				return true;
			});
	}
	for (u32 block : order(blocks))
		for_threads([&](u32 t) { final_work(states.data(), out.data(), n, block, t); });
	if (fwrite(out.data(), 4, out.size(), stdout) != out.size()) {
		perror("emulate");
		return 1;
	}
	return 0;
}
