// SPDX-License-Identifier: GPL-3.0-or-later
//
// Runs the AVX-512 engine on random trailers, and prints what each part of it
// costs.  usage: profile [TRAILERS [ROUNDS]]; `make profile` builds and runs it.
//
// Cycles are of the time-stamp counter; a loop of dependent additions, one cycle
// each, tells how many cycles of the core that is.  Of each part, the round that
// took least counts, for other work on the machine only adds.

#define KIGO_PROFILE
#include "../avx512.c"

#include <stdio.h>
#include <stdlib.h>

static const char *names[PARTS] = {
	[PART_MIX] = "rows: dflops, dmemtx, sorting",
	[PART_JUMP_MIX] = "jumps: last dflops, sorting",
	[PART_BLAKE2B] = "rows: BLAKE2b",
	[PART_SHA1] = "rows: SHA-1",
	[PART_SHA256] = "rows: SHA-256",
	[PART_KECCAK] = "rows: SHA3, Keccak",
	[PART_MD2] = "rows: MD2",
	[PART_MD5] = "rows: MD5",
	[PART_JUMP_SLICE] = "jumps: slicing messages",
	[PART_JUMP_BLAKE2B] = "jumps: BLAKE2b",
	[PART_JUMP_SHA1] = "jumps: SHA-1",
	[PART_JUMP_SHA256] = "jumps: SHA-256",
	[PART_JUMP_KECCAK] = "jumps: SHA3, Keccak",
	[PART_JUMP_MD2] = "jumps: MD2",
	[PART_JUMP_MD5] = "jumps: MD5",
	[PART_ENDS] = "trailer and final hashes",
};

// core_cycle returns the length of a core cycle in time-stamp cycles, at the clock
// the core has under wide vectors.
static double core_cycle(void) {
	enum { STEPS = 20000 };
	double best = 1e9;
	for (int t = 0; t < 1000; t++) {
		vec x = all32(1), y = all32(2);
		uint64_t begin = __rdtsc();
		for (int i = 0; i < STEPS; i++)
			__asm__ volatile("vpaddd %1, %0, %0\n\tvpaddd %1, %0, %0\n\tvpaddd %1, %0, %0\n\tvpaddd %1, %0, %0" : "+v"(x) : "v"(y));
		double d = (double)(__rdtsc() - begin) / (4.0 * STEPS);
		if (d < best) best = d;
	}
	return best;
}

int main(int argc, char **argv) {
	long n = argc > 1 ? atol(argv[1]) : KIGO_AVX512_CHUNK, rounds = argc > 2 ? atol(argv[2]) : 20;
	if (n < 1 || n > KIGO_AVX512_CHUNK || rounds < 1) {
		fprintf(stderr, "usage: profile [TRAILERS [ROUNDS]]; TRAILERS is 1 to %d, ROUNDS at least 1\n", KIGO_AVX512_CHUNK);
		return 2;
	}
	scratch *s = aligned_alloc(KIGO_AVX512_ALIGN, (sizeof *s + KIGO_AVX512_ALIGN - 1) / KIGO_AVX512_ALIGN * KIGO_AVX512_ALIGN);
	uint8_t *trailers = malloc((size_t)n * TRAILER), *hashes = malloc((size_t)n * 32);
	if (!s || !trailers || !hashes) return 1;
	memset(s, 0, sizeof *s);
	uint64_t x = 1; // xorshift
	for (long i = 0; i < n * TRAILER; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		trailers[i] = (uint8_t)(x >> 32);
	}

	double cycle = core_cycle();
	uint64_t parts[PARTS], sum = 0;
	memset(parts, 0xff, sizeof parts);
	for (long r = 0; r < rounds; r++) {
		memset(s->cycles, 0, sizeof s->cycles);
		kigo_avx512_hash(hashes, trailers, (uint32_t)n, s);
		for (int i = 0; i < PARTS; i++)
			if (s->cycles[i] < parts[i]) parts[i] = s->cycles[i];
	}
	for (int i = 0; i < PARTS; i++) sum += parts[i];
	printf("%-32s %14s %7s\n", "part", "cycles/trailer", "share");
	for (int i = 0; i < PARTS; i++)
		printf("%-32s %14.0f %6.1f%%\n", names[i], (double)parts[i] / cycle / (double)n, 100.0 * (double)parts[i] / (double)sum);
	double each = (double)sum / cycle / (double)n;
	printf("%-32s %14.0f\n", "sum", each);
	printf("trailers/s at 3.6 GHz: %.0f; a time-stamp cycle is %.3f core cycles\n", 3.6e9 / each, 1 / cycle);
	free(hashes);
	free(trailers);
	free(s);
	return 0;
}
