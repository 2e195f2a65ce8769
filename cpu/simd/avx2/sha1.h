// SPDX-License-Identifier: GPL-3.0-or-later

// SHA-1 (FIPS 180-4) on 8 lanes.

#ifndef KIGO_AVX2_SHA1_H
#define KIGO_AVX2_SHA1_H

#include "mdhash.h"

INLINE vec sha1_f(int i, vec b, vec c, vec d)
{
	if (i < 20)
		return xor(d, and(b, xor(c, d)));
	if (i >= 40 && i < 60) // disjoint bits, so the sum is their or
		return add32(and(b, c), and(d, xor(b, c)));
	return xor(xor(b, c), d);
}

NOINLINE void sha1_block(vec h[5], vec w[16])
{
	vec a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
	_Pragma("GCC unroll 80")
	for (int i = 0; i < 80; i++) {
		if (i >= 16)
			w[i & 15] = rol32(xor(xor(w[(i + 13) & 15], w[(i + 8) & 15]),
				xor(w[(i + 2) & 15], w[i & 15])), 1);
		uint32_t k = i < 20 ? 0x5a827999 : i < 40 ? 0x6ed9eba1 : i < 60 ? 0x8f1bbcdc : 0xca62c1d6;
		vec t = add32(add32(add32(e, set32(k)), w[i & 15]), sha1_f(i, b, c, d));
		t = add32(t, rol32(a, 5));
		e = d;
		d = c;
		c = rol32(b, 30);
		b = a;
		a = t;
	}
	h[0] = add32(h[0], a);
	h[1] = add32(h[1], b);
	h[2] = add32(h[2], c);
	h[3] = add32(h[3], d);
	h[4] = add32(h[4], e);
}

INLINE void sha1x8(const struct job *j, const size_t len)
{
	vec w[16], h[5] = {
		set32(0x67452301), set32(0xefcdab89), set32(0x98badcfe), set32(0x10325476), set32(0xc3d2e1f0),
	};
	for (size_t off = 0; len - off > 64; off += 64) {
		md_full(w, j, off, 1);
		sha1_block(h, w);
	}
	md_tail36(w, j, len, 1);
	sha1_block(h, w);
	md_store(h, 5, j, 1);
}

KERNEL(sha1x8)

#endif
