// SPDX-License-Identifier: GPL-3.0-or-later

// What a host has to launch for a batch of trailers, for the programs that run
// kernels without a GPU.  Package gpu launches the same in the same order.

#ifndef KIGO_BATCH_H
#define KIGO_BATCH_H

#include "kernels.h"

#include <cstdio>
#include <cstdlib>

static const Kernel *find_kernel(const std::string &name)
{
	for (const Kernel &k : kernels)
		if (k.name == name)
			return &k;
	fprintf(stderr, "no kernel %s\n", name.c_str());
	exit(1);
}

static u64 cell(const void *p) { return reinterpret_cast<u64>(p); }

// hash_batch returns the final hashes of n trailers.  run runs a kernel.
template <class Run>
static std::vector<u32> hash_batch(const std::vector<u32> &trailers, bool simple, Run run)
{
	const u32 n = (u32)(trailers.size() / TRAILER);
	const u32 blocks = (n + THREADS - 1) / THREADS;
	std::vector<u32> out((size_t)n * 8);
	auto launch = [&](const char *name, u32 more, std::initializer_list<u64> args) {
		Launch l = {blocks + more, {}};
		std::copy(args.begin(), args.end(), l.args);
		run(*find_kernel(name), l);
	};
	if (simple) {
		launch("kigo_simple", 0, {cell(trailers.data()), cell(out.data()), n});
		return out;
	}

	const u32 steps = 9 * 32 + 8;
	std::vector<u32> states((size_t)n * STATE), counts((steps + 1) * QUEUES);
	std::vector<u32> queues[2];
	for (auto &q : queues)
		q.resize((size_t)n * QUEUES);
	auto count = [&](u32 step) { return cell(&counts[step * QUEUES]); };
	auto queue = [&](u32 step) { return cell(queues[step % 2].data()); };

	launch("kigo_init", 0, {cell(trailers.data()), cell(states.data()), count(0), queue(0), n});
	for (u32 s = 0; s < steps; s++) {
		u32 r = s % 33; // 32 rows, then a jump
		if (r < 32)
			launch("kigo_row", QUEUES, {cell(states.data()), count(s), queue(s), count(s + 1), queue(s + 1), r, n});
		else
			launch("kigo_jump", QUEUES,
				{cell(trailers.data()), cell(states.data()), count(s), queue(s), count(s + 1), queue(s + 1), n});
	}
	launch("kigo_final", 0, {cell(states.data()), cell(out.data()), n});
	return out;
}

// hash_stdin hashes 160-byte trailers on stdin to 32-byte hashes on stdout.  The
// program's arguments are the seed of all that is left to chance and, for the
// plain kernel of simple.cu, the word simple.
template <class Run>
static int hash_stdin(int argc, char **argv, Run run)
{
	std::mt19937 random(argc > 1 ? (unsigned)strtoul(argv[1], nullptr, 10) : 0);
	bool simple = argc > 2 && std::string(argv[2]) == "simple";
	std::vector<u32> trailers;
	u32 record[TRAILER];
	size_t got;
	while ((got = fread(record, 1, sizeof record, stdin)) == sizeof record)
		trailers.insert(trailers.end(), record, record + TRAILER);
	if (got) {
		fprintf(stderr, "%zu bytes behind the last whole trailer\n", got);
		return 1;
	}
	std::vector<u32> out = hash_batch(trailers, simple, [&](const Kernel &k, const Launch &l) { run(k, l, random); });
	if (fwrite(out.data(), 4, out.size(), stdout) != out.size() || fflush(stdout)) {
		perror("stdout");
		return 1;
	}
	return 0;
}

#endif
