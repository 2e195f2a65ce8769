// SPDX-License-Identifier: GPL-3.0-or-later

// The words that all device code is written in, and the few instructions that
// C++ has no name for.  With KIGO_HOST the same source is ordinary C++, to be run
// over vectors without a GPU.
//
// The typedefs are spelled out, and dp4a and prmt are inline PTX, because NVRTC
// has neither <stdint.h> nor the intrinsics.

#ifndef KIGO_WORD_CUH
#define KIGO_WORD_CUH

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

static_assert(sizeof(u32) == 4 && sizeof(u64) == 8, "words of 4 and 8 bytes");

#ifdef KIGO_HOST
#include "host.h"
#else

#define DEVICE static __device__ __forceinline__
#define TABLE static __device__ __constant__ const
#define UNROLL _Pragma("unroll")
#define ROLL _Pragma("unroll 1")
#define DEVICE_MEMBER __device__ __forceinline__

// prmt picks four bytes out of a (0 to 3) and b (4 to 7), one for each nibble of
// sel; a nibble with bit 3 set repeats the sign of its byte instead.
DEVICE u32 prmt(u32 a, u32 b, u32 sel)
{
	u32 r;
	asm("prmt.b32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(sel));
	return r;
}

// byte_sum adds the four bytes of a to sum.
DEVICE u32 byte_sum(u32 a, u32 sum)
{
	u32 r;
	asm("dp4a.u32.u32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(0x01010101u), "r"(sum));
	return r;
}

// funnel returns 32 bits of hi:lo, from bit n on.
DEVICE u32 funnel(u32 lo, u32 hi, u32 n) { return __funnelshift_r(lo, hi, n); }

// atomic_add returns what was there before.
DEVICE u32 atomic_add(u32 *p, u32 v) { return atomicAdd(p, v); }

DEVICE float bits_float(u32 v) { return __uint_as_float(v); }
DEVICE u32 float_bits(float f) { return __float_as_uint(f); }

// Each rounds once, to nearest; none is contracted with another.
DEVICE float f_add(float a, float b) { return __fadd_rn(a, b); }
DEVICE float f_mul(float a, float b) { return __fmul_rn(a, b); }
DEVICE float f_div(float a, float b) { return __fdiv_rn(a, b); }
DEVICE float f_int(int v) { return __int2float_rn(v); }

#endif

DEVICE u32 rotr(u32 v, int n) { return funnel(v, v, n); }
DEVICE u32 rotl(u32 v, int n) { return funnel(v, v, 32 - n); }
DEVICE u32 swap_bytes(u32 v) { return prmt(v, 0, 0x0123); }

#endif
