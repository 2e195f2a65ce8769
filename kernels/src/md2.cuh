// SPDX-License-Identifier: GPL-3.0-or-later

// MD2 (docs/spec/pow.md section 8).  Each of its 864 steps a block looks up the
// byte that the step before made, so one message can't go faster than shared
// memory answers; many lanes at once must not get into each other's way.
//
// Each bank has a table of its own, 256 words of the S-box shifted left by 7.  A
// byte is kept as byte<<7 | lane<<2, which is its place in that table: a look-up
// is one load without conflict, and the exclusive-or of a byte and what it loads
// is a place again.

#ifndef KIGO_MD2_CUH
#define KIGO_MD2_CUH

#include "word.cuh"

#define MD2_TABLE (256 * 32) // words of shared memory

TABLE u8 md2_s[256] = {
	41, 46, 67, 201, 162, 216, 124, 1, 61, 54, 84, 161, 236, 240, 6, 19,
	98, 167, 5, 243, 192, 199, 115, 140, 152, 147, 43, 217, 188, 76, 130, 202,
	30, 155, 87, 60, 253, 212, 224, 22, 103, 66, 111, 24, 138, 23, 229, 18,
	190, 78, 196, 214, 218, 158, 222, 73, 160, 251, 245, 142, 187, 47, 238, 122,
	169, 104, 121, 145, 21, 178, 7, 63, 148, 194, 16, 137, 11, 34, 95, 33,
	128, 127, 93, 154, 90, 144, 50, 39, 53, 62, 204, 231, 191, 247, 151, 3,
	255, 25, 48, 179, 72, 165, 181, 209, 215, 94, 146, 42, 172, 86, 170, 198,
	79, 184, 56, 210, 150, 164, 125, 182, 118, 252, 107, 226, 156, 116, 4, 241,
	69, 157, 112, 89, 100, 113, 135, 32, 134, 91, 207, 101, 230, 45, 168, 2,
	27, 96, 37, 173, 174, 176, 185, 246, 28, 70, 97, 105, 52, 64, 126, 15,
	85, 71, 163, 35, 221, 81, 175, 58, 195, 92, 249, 206, 186, 197, 234, 38,
	44, 83, 13, 110, 133, 40, 132, 9, 211, 223, 205, 244, 65, 129, 77, 82,
	106, 220, 55, 200, 108, 193, 171, 250, 36, 225, 123, 8, 12, 189, 177, 74,
	120, 136, 149, 139, 227, 99, 232, 109, 233, 203, 213, 254, 59, 0, 29, 57,
	242, 239, 183, 14, 102, 88, 208, 228, 166, 119, 114, 248, 235, 117, 75, 10,
	49, 68, 80, 180, 143, 237, 31, 26, 219, 153, 141, 51, 159, 17, 131, 20,
};

// md2_fill fills a block's table, thread by thread.
DEVICE void md2_fill(u32 *table, u32 thread, u32 threads)
{
	for (u32 i = thread; i < MD2_TABLE; i += threads)
		table[i] = (u32)md2_s[i / 32] << 7;
}

DEVICE u32 md2_at(const u32 *table, u32 place)
{
	return *(const u32 *)((const char *)table + place);
}

// md2_absorb takes 16 bytes, each shifted left by 7, into the state x of places.
DEVICE void md2_absorb(u32 *x, const u32 *bytes, const u32 *table, u32 lane)
{
	UNROLL
	for (int j = 0; j < 16; j++) {
		x[16 + j] = bytes[j] | lane;
		x[32 + j] = bytes[j] ^ x[j];
	}
	u32 t = lane;
	ROLL
	for (u32 r = 0; r < 18; r++) {
		UNROLL
		for (int k = 0; k < 48; k++)
			t = x[k] ^= md2_at(table, t);
		t = (t + (r << 7)) & 0x7fff;
	}
}

// md2 writes the digest and sixteen zero bytes.  thread chooses the bank.
template <int WORDS, class Source>
DEVICE void md2(u32 *out, const Source &src, const u32 *table, u32 thread)
{
	const int blocks = WORDS / 4 + 1;
	const u32 pad = 0x01010101u * (16 - WORDS % 4 * 4);
	const u32 lane = (thread & 31) << 2;
	u32 x[48], c[16];
	UNROLL
	for (int j = 0; j < 16; j++)
		x[j] = c[j] = lane;
	ROLL
	for (int b = 0; b < blocks + 1; b++) {
		u32 bytes[16];
		if (b < blocks) {
			UNROLL
			for (int i = 0; i < 4; i++) {
				u32 w = 4 * b + i < WORDS ? src.word(4 * b + i) : pad;
				UNROLL
				for (int j = 0; j < 4; j++)
					bytes[4 * i + j] = (w >> (8 * j) & 255) << 7;
			}
			u32 last = c[15];
			UNROLL
			for (int j = 0; j < 16; j++)
				last = c[j] ^= md2_at(table, bytes[j] ^ last);
		} else {
			UNROLL
			for (int j = 0; j < 16; j++)
				bytes[j] = c[j] ^ lane;
		}
		md2_absorb(x, bytes, table, lane);
	}
	UNROLL
	for (int i = 0; i < 4; i++)
		out[i] = x[4 * i] >> 7 | x[4 * i + 1] >> 7 << 8 | x[4 * i + 2] >> 7 << 16 | x[4 * i + 3] >> 7 << 24;
	UNROLL
	for (int i = 4; i < 8; i++)
		out[i] = 0;
}

#endif
