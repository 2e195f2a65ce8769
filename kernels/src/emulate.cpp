// SPDX-License-Identifier: GPL-3.0-or-later

// Runs the device code without a GPU, as ordinary C++ (batch.h tells what it
// reads and writes).  The hashes must not depend on the order of threads.

#include "batch.h"

int main(int argc, char **argv)
{
	return hash_stdin(argc, argv, [](const Kernel &k, const Launch &l, std::mt19937 &random) { k.run(l, random); });
}
