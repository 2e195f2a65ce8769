// SPDX-License-Identifier: GPL-3.0-or-later

#ifndef KIGO_AVX2_PEACH_H
#define KIGO_AVX2_PEACH_H

#include <stdint.h>

// The most trailers of one call.
#define KIGO_AVX2_CHUNK 512

// Bytes of scratch memory that a call needs, wherever it is aligned.
#define KIGO_AVX2_SCRATCH (KIGO_AVX2_CHUNK * (1088 + 16 + 3 * 32 + 14 * 2) + 13312)

// kigo_avx2_peach stores the final Peach hash of each of n trailers
// (docs/spec/pow.md section 9.7).  hashes has 32 n bytes, trailers 160 n; none
// of the three blocks overlaps another one, and any alignment will do.  n is at
// most KIGO_AVX2_CHUNK.  Nothing is kept between calls; scratch may hold
// anything.
void kigo_avx2_peach(uint8_t *hashes, const uint8_t *trailers, uint32_t n, uint8_t *scratch);

#endif
