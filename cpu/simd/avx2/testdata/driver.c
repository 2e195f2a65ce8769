// SPDX-License-Identifier: GPL-3.0-or-later

// Runs the engine's C code without Go.
//
//     driver FILE     check FILE's trailers at many batch lengths
//     driver FILE N   time batches of N; built with -DKIGO_AVX2_PROFILE it
//                     prints what each part costs
//
// FILE holds records of 192 bytes: a trailer and its final Peach hash.

#define _POSIX_C_SOURCE 200809L // clock_gettime

#include "../peach.c"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RECORD = TRAILER + HASH };

static uint8_t *trailers, *want;
static uint32_t total;

static int load(const char *path)
{
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		return 0;
	}
	fseek(f, 0, SEEK_END);
	long size = ftell(f);
	rewind(f);
	if (size <= 0 || size % RECORD != 0) {
		fprintf(stderr, "%s: %ld bytes are not whole records of %d\n", path, size, RECORD);
		fclose(f);
		return 0;
	}
	total = (uint32_t)(size / RECORD);
	trailers = malloc((size_t)total * TRAILER);
	want = malloc((size_t)total * HASH);
	int ok = trailers && want;
	for (uint32_t i = 0; ok && i < total; i++)
		ok = fread(trailers + (size_t)i * TRAILER, TRAILER, 1, f) == 1 &&
			fread(want + (size_t)i * HASH, HASH, 1, f) == 1;
	fclose(f);
	return ok;
}

// The default mode, and one without subnormals that rounds towards zero.
enum { USUAL_MODE = 0x1f80, OTHER_MODE = 0x1f80 | 0x8040 | 0x6000 };

// check runs n trailers, every step-th from number first on, from and to blocks of
// exactly their size, so that every access beyond them is seen.  The caller's
// floating-point mode must not matter and must not change.
static int check(uint32_t first, uint32_t step, uint32_t n, uint32_t mode)
{
	uint8_t *in = malloc(n ? (size_t)n * TRAILER : 1), *out = malloc(n ? (size_t)n * HASH : 1);
	uint8_t *scratch = malloc(KIGO_AVX2_SCRATCH);
	if (!in || !out || !scratch)
		abort();
	for (uint32_t i = 0; i < n; i++)
		memcpy(in + (size_t)i * TRAILER, trailers + (size_t)((first + step * i) % total) * TRAILER, TRAILER);
	memset(scratch, 0xa5, KIGO_AVX2_SCRATCH);
	_mm_setcsr(mode);
	kigo_avx2_peach(out, in, n, scratch);
	const uint32_t left = _mm_getcsr();
	_mm_setcsr(USUAL_MODE);
	int bad = 0;
	if (left != mode) {
		fprintf(stderr, "batch of %u: MXCSR was %#x and is %#x\n", n, mode, left);
		bad++;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (memcmp(out + (size_t)i * HASH, want + (size_t)((first + step * i) % total) * HASH, HASH) != 0) {
			fprintf(stderr, "batch of %u: lane %u (trailer %u) is wrong, mode %#x\n", n, i, (first + step * i) % total, mode);
			bad++;
		}
	}
	free(in);
	free(out);
	free(scratch);
	return bad;
}

// Time of this thread alone, since machines are shared.
static double seconds(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// clocks_per_tsc measures the core's clock by additions that wait for each other:
// the shortest of many runs, since others disturb.
static double clocks_per_tsc(void)
{
	uint64_t best = UINT64_MAX;
	for (int i = 0; i < 2000; i++) {
		uint64_t x = 0, t = __rdtsc();
		for (int k = 0; k < 2000; k++)
			__asm__ volatile("add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0" : "+r"(x));
		t = __rdtsc() - t;
		if (t < best)
			best = t;
	}
	return 10000 / (double)best;
}

// tsc_rate returns the time-stamp counter's ticks a second.
static double tsc_rate(void)
{
	struct timespec a, b;
	clock_gettime(CLOCK_MONOTONIC, &a);
	uint64_t t = __rdtsc();
	do
		clock_gettime(CLOCK_MONOTONIC, &b);
	while (b.tv_sec == a.tv_sec && b.tv_nsec - a.tv_nsec < 50000000);
	return (double)(__rdtsc() - t) / ((double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec));
}

#ifdef KIGO_AVX2_PROFILE
static void print_profile(double trailers_run, double clocks)
{
	static const char *const names[QUEUES + 1] = {
		"seed", "row", "last", "row blake2b", "row sha1", "row sha256", "row keccak", "row md5",
		"md2", "jump blake2b", "jump sha1", "jump sha256", "jump keccak", "jump md5",
		"trailer hashes",
	};
	printf("%-15s %9s %9s %12s %12s %14s\n", "part", "lanes", "filled", "cycles/lane", "best", "cycles/trailer");
	for (int q = 0; q <= QUEUES; q++) {
		const struct part *p = &profile[q];
		double each = p->cycles * clocks / (double)p->timed, lanes = (double)p->lanes / trailers_run;
		printf("%-15s %9.2f %8.1f%% %12.1f %12.1f %14.0f\n", names[q], lanes,
			100 * (double)p->lanes / (double)p->places, each, p->least * clocks, each * lanes);
	}
}
#endif

static void bench(uint32_t n)
{
	uint8_t *in = malloc((size_t)n * TRAILER), *out = malloc((size_t)n * HASH);
	uint8_t *scratch = malloc(KIGO_AVX2_SCRATCH);
	if (!in || !out || !scratch)
		abort();
	for (uint32_t i = 0; i < n; i++)
		memcpy(in + (size_t)i * TRAILER, trailers + (size_t)(i % total) * TRAILER, TRAILER);
	double best = 0, begin = seconds();
	uint32_t rounds = 0;
	while (rounds < 3 || seconds() - begin < 2) {
		double t = seconds();
		for (uint32_t at = 0; at < n; at += KIGO_AVX2_CHUNK)
			kigo_avx2_peach(out + (size_t)at * HASH, in + (size_t)at * TRAILER,
				n - at < KIGO_AVX2_CHUNK ? n - at : KIGO_AVX2_CHUNK, scratch);
		double rate = n / (seconds() - t);
		if (rate > best)
			best = rate;
		rounds++;
	}
	double clocks = clocks_per_tsc(), hz = clocks * tsc_rate();
	printf("batch %u: best %.0f trailers/s, %.0f cycles a trailer at %.2f GHz, %.0f/s at 3.6 GHz\n",
		n, best, hz / best, hz / 1e9, best / hz * 3.6e9);
#ifdef KIGO_AVX2_PROFILE
	print_profile((double)n * rounds, clocks);
#endif
	free(in);
	free(out);
	free(scratch);
}

int main(int argc, char **argv)
{
	if (argc < 2 || !load(argv[1])) {
		fprintf(stderr, "usage: driver FILE [N]\n");
		return 2;
	}
	if (argc > 2) {
		int n = atoi(argv[2]);
		if (n < 1) {
			fprintf(stderr, "N is %s, want a positive number of trailers\n", argv[2]);
			return 2;
		}
		bench((uint32_t)n);
		return 0;
	}
	static const uint32_t lengths[] = {0, 1, 2, 3, 4, 7, 8, 9, 17, 31, 32, 33, 54, 40, 41, 74, 75, 76, 129, 300, 512};
	int bad = 0;
	uint32_t first = 0;
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		bad += check(first, 1, lengths[i], USUAL_MODE);
		first = (first + lengths[i]) % total;
	}
	bad += check(0, 1, KIGO_AVX2_CHUNK, OTHER_MODE);
	// One trailer in all lanes: they want the same hash function at every step, so
	// MD2 meets each of its widths.
	static const uint32_t same[] = {8, 9, 16, 17, 40, 41, 65, 75, 76, 128, 129, 150, 151, 193, 257, 320, 321, KIGO_AVX2_CHUNK - 1, KIGO_AVX2_CHUNK};
	for (size_t i = 0; i < sizeof same / sizeof *same; i++)
		for (uint32_t one = 0; one < 3; one++)
			bad += check(one, 0, same[i], USUAL_MODE);
	printf("%s: %d wrong\n", argv[1], bad);
	free(trailers);
	free(want);
	return bad != 0;
}
