// SPDX-License-Identifier: GPL-3.0-or-later
//
// Tests the C code without Go, so that it can run under the sanitizers:
//
//     check [FILE]
//
// dflops and dmemtx are compared with plain scalar versions, on words that are
// often special.  FILE holds records of 192 bytes, a trailer and its final Peach
// hash; they are hashed at every batch length up to two steps and one, and
// one record at a time in all lanes.  `make sanitize` writes the file, builds and runs.

#include "../avx512.c"

#include <stdio.h>
#include <stdlib.h>

static uint64_t state = 0x9e3779b97f4a7c15;

static uint32_t draw(void) { // splitmix64
	uint64_t z = state += 0x9e3779b97f4a7c15;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return (uint32_t)(z >> 32);
}

// draw_word returns the bits of a single that is often NaN, infinite, zero or
// subnormal, or has a quotient near or below the smallest normal number, on a tie
// more often than not.
static uint32_t draw_word(void) {
	uint32_t sign = draw() & 0x80000000, fraction = draw() & 0x7fffff;
	switch (draw() % 8) {
	case 0: return sign | 0xffu << 23 | fraction;
	case 1: return sign | (draw() % 2) * (0xffu << 23);
	case 2: return sign | fraction >> draw() % 23;
	case 3: return sign | (1 + draw() % 9) << 23 | fraction;
	case 4: return sign | (1 + draw() % 34) << 23 | fraction;
	case 5: { // an odd multiple of a byte, halved
		uint32_t n = (draw() % 256) * (2 * (draw() % 65536) + 1);
		return sign | (n >> draw() % 8 & 0x3ffffff);
	}
	default: return draw();
	}
}

static uint32_t scalar_dflops(uint8_t *d, int len, uint32_t index) {
	static const int opsel[8] = {1, 3, 0, 0, 3, 2, 1, 2}, valsel[8] = {2, 1, 2, 1, 0, 0, 1, 1}, sgnsel[8] = {3, 2, 3, 2, 1, 1, 3, 3};
	uint32_t op = 0;
	for (int i = 0; i < len; i += 4) {
		uint8_t b[4];
		memcpy(b, d + i, 4);
		int k = b[0] % 8;
		op += b[opsel[k]];
		int64_t v = b[valsel[k]];
		if (b[sgnsel[k]] & 1) v -= 2147483648;
		volatile float y = (float)(int32_t)v, x, r;
		float in;
		memcpy(&in, b, 4);
		x = in != in ? (float)index : in;
		switch (op % 4) {
		case 0: r = x + y; break;
		case 1: r = x - y; break;
		case 2: r = x * y; break;
		default: r = x / y; break;
		}
		float out = r != r ? (float)index : r;
		memcpy(d + i, &out, 4);
		for (int j = 0; j < 4; j++) op += d[i + j];
	}
	return op;
}

static uint32_t scalar_dmemtx(uint8_t *d, int len, uint32_t op) {
	int half = len / 2;
	for (int i = 0; i < 8; i++) {
		op += d[i];
		for (int z = 0; z < len; z++) {
			int even = z % 2 == 0;
			switch (op % 8) {
			case 0: d[z] ^= 0x81; break;
			case 2: d[z] = (uint8_t)~d[z]; break;
			case 3: d[z] = (uint8_t)(even ? d[z] + 1 : d[z] - 1); break;
			case 4: d[z] = (uint8_t)(even ? d[z] - i : d[z] + i); break;
			case 5: if (d[z] == 104) d[z] = 72; break;
			case 7: if (z > 0) d[z] ^= d[z - 1]; break;
			}
			if (z < half && (op % 8 == 1 || (op % 8 == 6 && d[z] > d[z + half]))) {
				uint8_t t = d[z];
				d[z] = d[z + half];
				d[z + half] = t;
			}
		}
	}
	return op;
}

// check_transforms compares both transforms of 64 lanes of 36 bytes.
static int check_transforms(void) {
	_Alignas(64) uint32_t data[64][9], tiles[64];
	uint8_t want[64][36];
	uint32_t want_op[64];
	for (int l = 0; l < 64; l++) {
		tiles[l] = draw() % 4 ? draw() % TILES : draw() % 2 * (TILES - 1);
		for (int k = 0; k < 9; k++) data[l][k] = draw_word();
		memcpy(want[l], data[l], 36);
		want_op[l] = scalar_dflops(want[l], 36, tiles[l]);
		want_op[l] = scalar_dmemtx(want[l], 36, want_op[l]);
	}
	words w;
	__m512 index[4];
	for (int g = 0; g < 4; g++) {
		index[g] = _mm512_cvtepi32_ps(load(tiles + 16 * g));
		for (int k = 0; k < 9; k++) {
			uint32_t t[16];
			for (int i = 0; i < 16; i++) t[i] = data[16 * g + i][k];
			w[g][k] = load(t);
		}
	}
	uint8_t op[64];
	store(op, transform_words(w, 9, index));
	int bad = 0;
	for (int l = 0; l < 64; l++) {
		uint8_t got[36];
		for (int k = 0; k < 9; k++) memcpy(got + 4 * k, (uint8_t *)&w[l / 16][k] + 4 * (l % 16), 4);
		if (memcmp(got, want[l], 36) != 0 || op[l] % 8 != want_op[l] % 8) {
			fprintf(stderr, "transforms of lane %d, tile %u: op %u, want %u; words", l, tiles[l], op[l] % 8, want_op[l] % 8);
			for (int k = 0; k < 9; k++) fprintf(stderr, " %08x", data[l][k]);
			fputc('\n', stderr);
			bad = 1;
		}
	}
	return bad;
}

enum { RECORD = TRAILER + 32 };

// The default mode, and one without subnormals that rounds towards zero.
enum { USUAL_MODE = 0x1f80, OTHER_MODE = 0x1f80 | 0x8040 | 0x6000 };

// check_batch hashes n records, every step-th from first on, in blocks of exactly
// their size.  The caller's floating-point mode must not matter and must not change.
static int check_batch(const uint8_t *records, uint32_t total, uint32_t first, uint32_t step, uint32_t n, uint32_t mode, scratch *s) {
	uint8_t *trailers = malloc(n ? (size_t)n * TRAILER : 1), *hashes = malloc(n ? (size_t)n * 32 : 1);
	if (!trailers || !hashes) abort();
	for (uint32_t i = 0; i < n; i++) memcpy(trailers + (size_t)i * TRAILER, records + (size_t)((first + step * i) % total) * RECORD, TRAILER);
	memset(s, 0xa5, sizeof *s);
	_mm_setcsr(mode);
	kigo_avx512_hash(hashes, trailers, n, s);
	const uint32_t left = _mm_getcsr();
	_mm_setcsr(USUAL_MODE);
	int bad = left != mode;
	if (bad) fprintf(stderr, "batch of %u: MXCSR was %#x and is %#x\n", n, mode, left);
	for (uint32_t i = 0; i < n; i++)
		if (memcmp(hashes + (size_t)i * 32, records + (size_t)((first + step * i) % total) * RECORD + TRAILER, 32) != 0) {
			fprintf(stderr, "batch of %u from record %u, step %u, mode %#x: trailer %u is wrong\n", n, first, step, mode, i);
			bad = 1;
		}
	free(trailers);
	free(hashes);
	return bad;
}

static int check_file(const char *path) {
	FILE *f = fopen(path, "rb");
	if (!f) {
		perror(path);
		return 1;
	}
	fseek(f, 0, SEEK_END);
	long size = ftell(f);
	rewind(f);
	uint8_t *records = size > 0 ? malloc((size_t)size) : 0;
	int ok = records && size % RECORD == 0 && fread(records, 1, (size_t)size, f) == (size_t)size;
	fclose(f);
	if (!ok) {
		fprintf(stderr, "%s: %ld bytes, want whole records of %d\n", path, size, RECORD);
		free(records);
		return 1;
	}
	scratch *s = aligned_alloc(KIGO_AVX512_ALIGN, (sizeof *s + KIGO_AVX512_ALIGN - 1) / KIGO_AVX512_ALIGN * KIGO_AVX512_ALIGN);
	if (!s) abort();
	uint32_t total = (uint32_t)(size / RECORD);
	int bad = 0;
	for (uint32_t n = 0; n <= 2 * LANES + 1; n++) bad |= check_batch(records, total, 37 * n, 1, n, USUAL_MODE, s);
	bad |= check_batch(records, total, 0, 1, KIGO_AVX512_CHUNK, USUAL_MODE, s);
	bad |= check_batch(records, total, 0, 1, KIGO_AVX512_CHUNK, OTHER_MODE, s);
	// One record in all lanes: they want the same hash function at every step, so MD2
	// meets each number of groups, five as three and two.
	static const uint32_t same[] = {65, 128, 129, 193, 257, 320, 321, KIGO_AVX512_CHUNK - 1, KIGO_AVX512_CHUNK};
	for (size_t i = 0; i < sizeof same / sizeof *same; i++)
		for (uint32_t one = 0; one < 3; one++) bad |= check_batch(records, total, one, 0, same[i], USUAL_MODE, s);
	free(s);
	free(records);
	return bad;
}

int main(int argc, char **argv) {
	enum { ROUNDS = 20000 };
	int bad = 0;
	for (int i = 0; i < ROUNDS && !bad; i++) bad = check_transforms();
	if (argc > 1) bad |= check_file(argv[1]);
	puts(bad ? "FAILED" : "ok");
	return bad;
}
