// SPDX-License-Identifier: GPL-3.0-or-later
//
// What Go sees of the AVX-512 engine: one function and the size of its scratch
// memory.  Nothing here needs AVX-512, so that any file may include it.

#ifndef KIGO_AVX512_H
#define KIGO_AVX512_H

#include <stddef.h>
#include <stdint.h>

enum {
	KIGO_AVX512_LANES = 64,      // trailers that share a vector of bytes
	KIGO_AVX512_CHUNK = 1408,    // most trailers of one call
	KIGO_AVX512_ALIGN = 64,      // alignment of the scratch memory
	KIGO_AVX512_PARTS = 16,      // counters of the profile build
	KIGO_AVX512_WORDS = 272,     // words of a long message, padded: 17 blocks of 64 bytes

	// Distance between two rows of the tiles.  The odd number of cache lines on
	// top keeps the 32 rows of a lane out of one another's cache sets.
	KIGO_AVX512_ROW = KIGO_AVX512_CHUNK * 32 + 192,
};

// Scratch memory of one call.  Its content means nothing between calls.
struct kigo_avx512_scratch {
	// row[0..31] are the rows of the tiles, lane by lane; row[32] takes digests
	// that are no row: trailer hashes, jumps, final hashes.
	uint8_t row[33][KIGO_AVX512_ROW];
	uint8_t trailer_hash[KIGO_AVX512_CHUNK * 32];
	uint8_t phash[KIGO_AVX512_CHUNK * 32];
	uint8_t nonce[KIGO_AVX512_CHUNK * 32];
	uint8_t seed[KIGO_AVX512_CHUNK * 32];  // transformed seeds of row 0, bytes 0..31
	uint32_t seed_tail[KIGO_AVX512_CHUNK]; // and their bytes 32..35
	uint32_t tile[KIGO_AVX512_CHUNK];      // index of the lane's tile
	uint32_t jump_op[KIGO_AVX512_CHUNK];   // op of the jump's dflops so far
	// Long messages, sliced: each word of 16 lanes is a vector, for MD2's 256 lanes.
	uint8_t message[16][KIGO_AVX512_WORDS * 64];
	// Lanes by hash function, each list with room for padding.
	uint16_t list[8][2 * KIGO_AVX512_CHUNK + 2 * KIGO_AVX512_LANES];
	uint32_t count[8];
	uint64_t cycles[KIGO_AVX512_PARTS]; // profile build only
};

_Static_assert(KIGO_AVX512_CHUNK % KIGO_AVX512_LANES == 0, "a chunk fills its last vectors");
_Static_assert(KIGO_AVX512_CHUNK <= 65536, "lists hold lane numbers of 16 bits");
_Static_assert(offsetof(struct kigo_avx512_scratch, message) % KIGO_AVX512_ALIGN == 0, "messages are read as vectors");

// kigo_avx512_hash stores the final Peach hash (docs/spec/pow.md section 9.7) of
// n trailers of 160 bytes in n hashes of 32 bytes; n is at most
// KIGO_AVX512_CHUNK.  scratch is aligned to KIGO_AVX512_ALIGN, and serves one
// call at a time.  The nonce's syntax is not looked at.
//
// It allocates nothing, keeps nothing and has no state of its own.  The machine
// must have AVX-512 F, BW, DQ, VL, VBMI, VBMI2 and VNNI.
void kigo_avx512_hash(uint8_t *hashes, const uint8_t *trailers, uint32_t n,
                      struct kigo_avx512_scratch *scratch);

#endif
