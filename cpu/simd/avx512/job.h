// SPDX-License-Identifier: GPL-3.0-or-later
//
// What a multi-lane hash function is asked to do with messages of 36 bytes.
//
// Lanes are named by lists.  A list is padded with copies of its last lane, so a
// function may work on whole vectors: it computes that lane's digest several
// times and stores it several times in the same place.

#ifndef KIGO_AVX512_JOB_H
#define KIGO_AVX512_JOB_H

#include <stddef.h>
#include <stdint.h>

// A job is to hash 36 bytes of each lane of a list: head[32 lane .. 32 lane + 32)
// and the four bytes of tail[lane]; 32 bytes go to out + 32 lane.  Of the first
// entries of the list, the pairs of sister functions (BLAKE2b's keys, SHA-3 and
// Keccak) do the first of the pair.
typedef struct {
	const uint8_t *head;
	const uint32_t *tail;
	uint8_t *out;
	const uint16_t *lane;
	int n, first;
} job;

#endif
