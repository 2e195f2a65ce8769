// SPDX-License-Identifier: GPL-3.0-or-later

// Runs the compiled device code on the CPU (batch.h tells what the program reads
// and writes).  It is linked with what package kernels/ptx makes of nvcc's PTX, a
// file for each kernel.
//
// What a GPU would let pass ends the program: a barrier that only some threads
// come to, more threads or memory than a kernel is made for.  Shared memory and
// registers hold rubbish at first.

#include "batch.h"
#include "ptx.h"

namespace ptx {

// run_block runs the threads of a block, one barrier after the other.
static void run_block(const Code &code, const Block &b, u8 *threads, std::mt19937 &random)
{
	auto thread = [&](u32 i) { return reinterpret_cast<ThreadBase *>(threads + i * code.thread_bytes); };
	for (u32 i = 0; i < THREADS; i++)
		*thread(i) = {i, 0};
	for (u32 stop = ~0u; stop;) {
		u32 first = ~0u;
		for_threads(random, [&](u32 i) {
			stop = code.run(b, thread(i));
			if (first == ~0u)
				first = stop;
			if (stop != first)
				fail(b.kernel, "block %u: thread %u comes to %u, others to %u (barriers counted from 1, 0 is the end)", b.index, i,
					stop, first);
		});
	}
}

static void launch(const Kernel &kernel, const Launch &l, std::mt19937 &random)
{
	auto code = std::find_if(all<Code>().begin(), all<Code>().end(), [&](const Code &c) { return kernel.name == c.name; });
	if (code == all<Code>().end())
		fail(kernel.name.c_str(), "not in the PTX");
	if ((int)code->params != kernel.params || code->threads < THREADS || code->shared > 48 << 10)
		fail(code->name, "%u parameters, at most %u threads, %u bytes of shared memory: can't be launched", code->params,
			code->threads, code->shared);
	// What an earlier block has left in registers is rubbish too.
	static std::vector<u8> threads;
	if (threads.size() < THREADS * code->thread_bytes)
		threads.assign(THREADS * code->thread_bytes, 0xa5);
	alignas(16) static u8 shared[48 << 10];
	Block b = {code->name, 0, {}, {}, {cell(shared), code->shared}};
	std::copy(std::begin(l.args), std::end(l.args), b.args);
	for (const Range &r : kernel.ranges(l, l.number(kernel.n)))
		b.global.push_back({r.at, r.bytes});
	for_blocks(l, random, [&](u32 block) {
		b.index = block;
		memset(shared, 0xa5, sizeof shared);
		run_block(*code, b, threads.data(), random);
	});
}

} // namespace ptx

int main(int argc, char **argv) { return hash_stdin(argc, argv, ptx::launch); }
