// SPDX-License-Identifier: GPL-3.0-or-later

// Runs one thread of the translated kernel that the argument names, with 4096
// bytes of global memory as its only argument, and prints them.

#include "ptx.h"

int main(int, char **argv)
{
	alignas(16) static ptx::u8 global[4096], shared[64];
	static std::vector<ptx::u8> thread(1 << 16);
	for (const ptx::Code &c : ptx::all<ptx::Code>()) {
		if (strcmp(c.name, argv[1]))
			continue;
		ptx::Block b = {c.name, 7, {(ptx::u64)global}, {{(ptx::u64)global, sizeof global}}, {(ptx::u64)shared, c.shared}};
		auto *t = reinterpret_cast<ptx::ThreadBase *>(thread.data());
		*t = {3, 0};
		while (c.run(b, t))
			;
		fwrite(global, 1, sizeof global, stdout);
		return 0;
	}
	ptx::fail(argv[1], "no such kernel");
}
