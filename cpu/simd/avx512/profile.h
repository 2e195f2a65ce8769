// SPDX-License-Identifier: GPL-3.0-or-later
//
// Cycles of the time-stamp counter by part of the work, counted only when built
// with -DKIGO_PROFILE (profile/profile.c) and otherwise gone without a trace.

#ifndef KIGO_AVX512_PROFILE_H
#define KIGO_AVX512_PROFILE_H

enum part {
	PART_MIX, // slicing, dflops, dmemtx, sorting of rows
	PART_JUMP_MIX,
	PART_BLAKE2B,
	PART_SHA1,
	PART_SHA256,
	PART_KECCAK,
	PART_MD2,
	PART_MD5,
	PART_JUMP_SLICE,
	PART_JUMP_BLAKE2B,
	PART_JUMP_SHA1,
	PART_JUMP_SHA256,
	PART_JUMP_KECCAK,
	PART_JUMP_MD2,
	PART_JUMP_MD5,
	PART_ENDS, // trailer hashes and final hashes
	PARTS,
};

#ifdef KIGO_PROFILE
#include <x86intrin.h>
#define PROFILE(scratch, part, ...) do { \
		uint64_t begin_ = __rdtsc(); \
		__VA_ARGS__; \
		(scratch)->cycles[part] += __rdtsc() - begin_; \
	} while (0)
#else
#define PROFILE(scratch, part, ...) do { __VA_ARGS__; } while (0)
#endif

#endif
