// SPDX-License-Identifier: GPL-3.0-or-later

// SHA-1 (FIPS 180-4) on 8 lanes.

#ifndef KIGO_AVX2_SHA1_H
#define KIGO_AVX2_SHA1_H

#include "mdhash.h"

enum { SHA1_CHOOSE, SHA1_PARITY, SHA1_MAJORITY };

INLINE vec sha1_f(const int f, vec b, vec c, vec d)
{
	switch (f) {
	case SHA1_CHOOSE:
		return xor(d, and(b, xor(c, d)));
	case SHA1_MAJORITY: // disjoint bits, so the sum is their or
		return add32(and(b, c), and(d, xor(b, c)));
	default:
		return xor(xor(b, c), d);
	}
}

// sha1_rounds does 20 rounds, five at a time: then the state's words are back in
// their places, and the code is short.
INLINE void sha1_rounds(vec s[5], const vec w[20], const int f, uint32_t k)
{
	vec a = s[0], b = s[1], c = s[2], d = s[3], e = s[4];
	_Pragma("GCC unroll 1")
	for (int i = 0; i < 20; i += 5) {
		_Pragma("GCC unroll 5")
		for (int n = 0; n < 5; n++) {
			vec t = add32(add32(add32(e, set32(k)), w[i + n]), sha1_f(f, b, c, d));
			t = add32(t, rol32(a, 5));
			e = d;
			d = c;
			c = rol32(b, 30);
			b = a;
			a = t;
		}
	}
	s[0] = a;
	s[1] = b;
	s[2] = c;
	s[3] = d;
	s[4] = e;
}

// sha1_block takes a block in the first 16 words of w.
NOINLINE void sha1_block(vec h[5], vec w[80])
{
	_Pragma("GCC unroll 4")
	for (int i = 16; i < 80; i++)
		w[i] = rol32(xor(xor(w[i - 3], w[i - 8]), xor(w[i - 14], w[i - 16])), 1);
	vec s[5] = {h[0], h[1], h[2], h[3], h[4]};
	sha1_rounds(s, w, SHA1_CHOOSE, 0x5a827999);
	sha1_rounds(s, w + 20, SHA1_PARITY, 0x6ed9eba1);
	sha1_rounds(s, w + 40, SHA1_MAJORITY, 0x8f1bbcdc);
	sha1_rounds(s, w + 60, SHA1_PARITY, 0xca62c1d6);
	for (int i = 0; i < 5; i++)
		h[i] = add32(h[i], s[i]);
}

NOINLINE void sha1x8(const struct job *j, size_t len)
{
	vec w[80], h[5] = {
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

#endif
