// SPDX-License-Identifier: GPL-3.0-or-later

// What word.cuh needs where there is no GPU: each instruction in C++, after its
// description in the PTX manual.

#ifndef KIGO_HOST_H
#define KIGO_HOST_H

#include <cstring>

#define DEVICE static inline
#define TABLE static const
#define UNROLL
#define ROLL
#define DEVICE_MEMBER inline

DEVICE u32 prmt(u32 a, u32 b, u32 sel)
{
	u64 both = (u64)b << 32 | a;
	u32 r = 0;
	for (int i = 0; i < 4; i++) {
		u32 nibble = sel >> (4 * i) & 15;
		u32 byte = (u32)(both >> (8 * (nibble & 7))) & 255;
		if (nibble & 8)
			byte = byte & 128 ? 255 : 0;
		r |= byte << (8 * i);
	}
	return r;
}

DEVICE u32 byte_sum(u32 a, u32 sum)
{
	for (int i = 0; i < 4; i++)
		sum += a >> (8 * i) & 255;
	return sum;
}

DEVICE u32 funnel(u32 lo, u32 hi, u32 n) { return (u32)(((u64)hi << 32 | lo) >> (n & 31)); }

DEVICE u32 atomic_add(u32 *p, u32 v)
{
	u32 before = *p;
	*p += v;
	return before;
}

DEVICE float bits_float(u32 v) { float f; memcpy(&f, &v, 4); return f; }
DEVICE u32 float_bits(float f) { u32 v; memcpy(&v, &f, 4); return v; }

DEVICE float f_add(float a, float b) { return a + b; }
DEVICE float f_mul(float a, float b) { return a * b; }
#if defined(__clang__)
__attribute__((no_sanitize("float-divide-by-zero")))
#endif
DEVICE float f_div(float a, float b) { return a / b; }
DEVICE float f_int(int v) { return (float)v; }

#endif
