// SPDX-License-Identifier: GPL-3.0-or-later

// Peach once more (docs/spec/pow.md sections 8 and 9), the plain way: one thread
// does one trailer from start to end, with arrays where the specification has
// bytes.  It is the yardstick that the wavefront of peach.cuh is measured by, and
// a second opinion in tests, so it shares with it only the names of word.cuh and
// the tables of constants.
//
// Threads of a warp want eight hash functions at once and take turns, and their
// arrays are local memory; both is what the wavefront is there to avoid.

#ifndef KIGO_SIMPLE_CUH
#define KIGO_SIMPLE_CUH

#include "md2.cuh"
#include "sha.cuh"
#include "wide.cuh"

namespace simple {

// A message is whole words; each function stores 8 words of digest, zeros behind a
// short one.

DEVICE u64 rotl64(u64 v, int n) { return v << n | v >> (64 - n); }

// padded returns word i of a message of so many words padded to blocks of 64
// bytes: a one bit, zeros, the number of bits.
DEVICE u32 padded(const u32 *m, u32 words, u32 i, u32 end, bool big)
{
	if (i == end - (big ? 1 : 2))
		return 32 * words;
	u32 w = i < words ? m[i] : i == words ? 0x80 : 0;
	return big ? swap_bytes(w) : w;
}

DEVICE u32 padded_words(u32 words) { return (words + 3 + 15) / 16 * 16; }

DEVICE void sha256(u32 *out, const u32 *m, u32 words)
{
	u32 h[8] = {
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	};
	const u32 end = padded_words(words);
	ROLL
	for (u32 at = 0; at < end; at += 16) {
		u32 w[64], v[8];
		for (int i = 0; i < 16; i++)
			w[i] = padded(m, words, at + i, end, true);
		for (int i = 16; i < 64; i++) {
			u32 x = w[i - 15], y = w[i - 2];
			w[i] = w[i - 16] + (rotr(x, 7) ^ rotr(x, 18) ^ x >> 3) + w[i - 7] + (rotr(y, 17) ^ rotr(y, 19) ^ y >> 10);
		}
		for (int i = 0; i < 8; i++)
			v[i] = h[i];
		UNROLL
		for (int i = 0; i < 64; i++) {
			u32 a = v[0], b = v[1], c = v[2], e = v[4];
			u32 t = v[7] + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & v[5]) | (~e & v[6])) + sha256_k[i] + w[i];
			u32 u = (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) | (a & c) | (b & c));
			for (int j = 7; j > 0; j--)
				v[j] = v[j - 1];
			v[4] += t;
			v[0] = t + u;
		}
		for (int i = 0; i < 8; i++)
			h[i] += v[i];
	}
	for (int i = 0; i < 8; i++)
		out[i] = swap_bytes(h[i]);
}

DEVICE void sha1(u32 *out, const u32 *m, u32 words)
{
	u32 h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	const u32 end = padded_words(words);
	ROLL
	for (u32 at = 0; at < end; at += 16) {
		u32 w[80];
		for (int i = 0; i < 16; i++)
			w[i] = padded(m, words, at + i, end, true);
		for (int i = 16; i < 80; i++)
			w[i] = rotl(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
		u32 a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];
		UNROLL
		for (int i = 0; i < 80; i++) {
			u32 f, k;
			if (i < 20)
				f = (b & c) | (~b & d), k = 0x5a827999;
			else if (i < 40)
				f = b ^ c ^ d, k = 0x6ed9eba1;
			else if (i < 60)
				f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
			else
				f = b ^ c ^ d, k = 0xca62c1d6;
			u32 t = rotl(a, 5) + f + e + k + w[i];
			e = d, d = c, c = rotl(b, 30), b = a, a = t;
		}
		h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
	}
	for (int i = 0; i < 8; i++)
		out[i] = i < 5 ? swap_bytes(h[i < 5 ? i : 0]) : 0;
}

DEVICE void md5(u32 *out, const u32 *m, u32 words)
{
	u32 h[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
	const u32 end = padded_words(words);
	ROLL
	for (u32 at = 0; at < end; at += 16) {
		u32 w[16];
		for (int i = 0; i < 16; i++)
			w[i] = padded(m, words, at + i, end, false);
		u32 a = h[0], b = h[1], c = h[2], d = h[3];
		UNROLL
		for (int i = 0; i < 64; i++) {
			const int turns[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
			u32 f;
			int g;
			if (i < 16)
				f = (b & c) | (~b & d), g = i;
			else if (i < 32)
				f = (b & d) | (c & ~d), g = 5 * i + 1;
			else if (i < 48)
				f = b ^ c ^ d, g = 3 * i + 5;
			else
				f = c ^ (b | ~d), g = 7 * i;
			u32 t = b + rotl(a + f + md5_k[i] + w[g % 16], turns[i / 16][i % 4]);
			a = d, d = c, c = b, b = t;
		}
		h[0] += a, h[1] += b, h[2] += c, h[3] += d;
	}
	for (int i = 0; i < 8; i++)
		out[i] = i < 4 ? h[i < 4 ? i : 0] : 0;
}

// load64 returns 64-bit word i of a message of so many words of 32 bits and zeros
// behind them.
DEVICE u64 load64(const u32 *m, u32 words, u32 i)
{
	u64 low = 2 * i < words ? m[2 * i] : 0, high = 2 * i + 1 < words ? m[2 * i + 1] : 0;
	return high << 32 | low;
}

DEVICE void store64(u32 *out, const u64 *h)
{
	for (int i = 0; i < 4; i++)
		out[2 * i] = (u32)h[i], out[2 * i + 1] = (u32)(h[i] >> 32);
}

// blake2b begins with the key as a block of its own: 32 zeros or 64 ones.
DEVICE void blake2b(u32 *out, const u32 *m, u32 words, u32 key)
{
	const u8 sigma[10][16] = {
		{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}, {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
		{11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4}, {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
		{9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13}, {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
		{12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11}, {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
		{6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5}, {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
	};
	const u8 mixed[8][4] = {
		{0, 4, 8, 12}, {1, 5, 9, 13}, {2, 6, 10, 14}, {3, 7, 11, 15}, {0, 5, 10, 15}, {1, 6, 11, 12}, {2, 7, 8, 13}, {3, 4, 9, 14},
	};
	u64 h[8];
	for (int i = 0; i < 8; i++)
		h[i] = blake2b_iv[i];
	h[0] ^= 0x01010000 | (key ? 64 : 32) << 8 | 32; // depth 1, fanout 1, lengths of key and digest
	const u32 end = 32 + words;
	ROLL
	for (u32 at = 0; at < end; at += 32) {
		u64 w[16], v[16];
		for (u32 i = 0; i < 16; i++)
			w[i] = at ? load64(m, words, (at - 32) / 2 + i) : key && i < 8 ? 0x0101010101010101 : 0;
		for (int i = 0; i < 8; i++)
			v[i] = h[i], v[i + 8] = blake2b_iv[i];
		bool last = at + 32 >= end;
		v[12] ^= 4 * (last ? end : at + 32);
		if (last)
			v[14] = ~v[14];
		UNROLL
		for (int r = 0; r < 12; r++) {
			UNROLL
			for (int i = 0; i < 8; i++) {
				u64 &a = v[mixed[i][0]], &b = v[mixed[i][1]], &c = v[mixed[i][2]], &d = v[mixed[i][3]];
				a += b + w[sigma[r % 10][2 * i]];
				d = rotl64(d ^ a, 32);
				c += d;
				b = rotl64(b ^ c, 40);
				a += b + w[sigma[r % 10][2 * i + 1]];
				d = rotl64(d ^ a, 48);
				c += d;
				b = rotl64(b ^ c, 1);
			}
		}
		for (int i = 0; i < 8; i++)
			h[i] ^= v[i] ^ v[i + 8];
	}
	store64(out, h);
}

// keccak is SHA3-256 with 0x06 as first byte of padding, Keccak-256 with 0x01.
DEVICE void keccak(u32 *out, const u32 *m, u32 words, u32 pad)
{
	const u32 rate = 34; // words
	const u32 end = (words / rate + 1) * rate;
	u64 a[25] = {0};
	ROLL
	for (u32 at = 0; at < end; at += rate) {
		for (u32 i = 0; i < rate / 2; i++) {
			a[i] ^= load64(m, words, at / 2 + i);
			if (words / 2 == at / 2 + i)
				a[i] ^= (u64)pad << (words % 2 * 32);
		}
		if (at + rate == end)
			a[rate / 2 - 1] ^= 1ull << 63;
		ROLL
		for (int r = 0; r < 24; r++) {
			u64 c[5];
			UNROLL
			for (int x = 0; x < 5; x++)
				c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
			UNROLL
			for (int i = 0; i < 25; i++)
				a[i] ^= c[(i + 4) % 5] ^ rotl64(c[(i + 1) % 5], 1);
			// Rho and pi follow one lane from place to place; lane 0 stays.
			u64 lane = a[1];
			int x = 1, y = 0;
			UNROLL
			for (int i = 1; i < 25; i++) {
				int to = (2 * x + 3 * y) % 5;
				x = y, y = to;
				u64 next = a[x + 5 * y];
				a[x + 5 * y] = rotl64(lane, i * (i + 1) / 2 % 64);
				lane = next;
			}
			UNROLL
			for (int row = 0; row < 25; row += 5) {
				for (int i = 0; i < 5; i++)
					c[i] = a[row + i];
				for (int i = 0; i < 5; i++)
					a[row + i] ^= ~c[(i + 1) % 5] & c[(i + 2) % 5];
			}
			a[0] ^= keccak_rc[r];
		}
	}
	store64(out, a);
}

// md2 reads the S-box where it is quick to reach.
DEVICE void md2(u32 *out, const u32 *m, u32 words, const u8 *sbox)
{
	u8 x[48] = {0}, sum[16] = {0};
	const u32 length = 4 * words, pad = 16 - length % 16;
	ROLL
	for (u32 at = 0; at <= length + pad; at += 16) {
		u8 block[16];
		for (u32 j = 0; j < 16; j++) {
			u32 i = at + j;
			block[j] = at == length + pad ? sum[j] : i < length ? m[i / 4] >> (8 * (i % 4)) : pad;
		}
		u8 last = sum[15];
		for (u32 j = 0; j < 16; j++)
			last = sum[j] ^= sbox[block[j] ^ last];
		for (u32 j = 0; j < 16; j++) {
			x[16 + j] = block[j];
			x[32 + j] = block[j] ^ x[j];
		}
		u8 t = 0;
		for (u32 r = 0; r < 18; r++) {
			for (u32 k = 0; k < 48; k++)
				t = x[k] ^= sbox[t];
			t += r;
		}
	}
	for (u32 i = 0; i < 8; i++)
		out[i] = i < 4 ? x[4 * i] | x[4 * i + 1] << 8 | x[4 * i + 2] << 16 | (u32)x[4 * i + 3] << 24 : 0;
}

DEVICE void digest(u32 *out, const u32 *m, u32 words, u32 kind, const u8 *sbox)
{
	switch (kind) {
	case 0:
	case 1:
		blake2b(out, m, words, kind);
		break;
	case 2:
		sha1(out, m, words);
		break;
	case 3:
		sha256(out, m, words);
		break;
	case 4:
	case 5:
		keccak(out, m, words, kind == 4 ? 0x06 : 0x01);
		break;
	case 6:
		md2(out, m, words, sbox);
		break;
	default:
		md5(out, m, words);
	}
}

DEVICE u32 byte_at(u32 w, u32 i) { return w >> (8 * i) & 255; }

// dflops is section 9.1.
DEVICE u32 dflops(u32 *d, u32 words, u32 index, bool modify)
{
	const u32 opsel = 0x21230031, valsel = 0x11001212, sgnsel = 0x33112323; // a nibble for each k
	const float other = f_int((int)index);
	u32 op = 0;
	ROLL
	for (u32 i = 0; i < words; i++) {
		u32 w = d[i], k = 4 * (w & 7);
		op += byte_at(w, opsel >> k & 3);
		u32 v = byte_at(w, valsel >> k & 3);
		if (byte_at(w, sgnsel >> k & 3) & 1)
			v -= 0x80000000;
		float x = bits_float(w), y = f_int((int)v), r;
		if (x != x)
			x = other;
		switch (op & 3) {
		case 0:
			r = f_add(x, y);
			break;
		case 1:
			r = f_add(x, -y);
			break;
		case 2:
			r = f_mul(x, y);
			break;
		default:
			r = f_div(x, y);
		}
		if (r != r)
			r = other;
		u32 q = float_bits(r);
		if (modify)
			d[i] = q;
		op += byte_at(q, 0) + byte_at(q, 1) + byte_at(q, 2) + byte_at(q, 3);
	}
	return op;
}

// dmemtx is section 9.2.
DEVICE u32 dmemtx(u8 *d, u32 length, u32 op)
{
	const u32 half = length / 2;
	ROLL
	for (u32 i = 0; i < 8; i++) {
		op += d[i];
		u32 k = op & 7;
		if (k == 1 || k == 6) {
			for (u32 z = 0; z < half; z++) {
				u8 a = d[z], b = d[z + half];
				if (k == 1 || a > b)
					d[z] = b, d[z + half] = a;
			}
			continue;
		}
		for (u32 z = 0; z < length; z++) {
			u8 b = d[z];
			if (k == 0)
				b ^= 0x81;
			else if (k == 2)
				b = ~b;
			else if (k == 3)
				b += z % 2 ? -1 : 1;
			else if (k == 4)
				b += z % 2 ? i : -i;
			else if (k == 5)
				b = b == 104 ? 72 : b;
			else if (z > 0)
				b ^= d[z - 1];
			d[z] = b;
		}
	}
	return op;
}

// tile makes the tile of an index (section 9.4) in 256 words.  The word behind a
// row, where the next one will be, is the last of its seed.
DEVICE void tile(u32 *t, u32 index, const u32 *phash, const u8 *sbox)
{
	t[0] = index;
	for (u32 i = 0; i < 8; i++)
		t[i + 1] = phash[i];
	u32 op = dmemtx((u8 *)t, 36, dflops(t, 9, index, true));
	u32 row[8];
	digest(row, t, 9, op & 7, sbox);
	for (u32 i = 0; i < 8; i++)
		t[i] = row[i];
	ROLL
	for (u32 r = 0; r < 31; r++, t += 8) {
		t[8] = index;
		op = dmemtx((u8 *)t, 32, dflops(t, 8, index, true));
		digest(row, t, 9, op & 7, sbox);
		for (u32 i = 0; i < 8; i++)
			t[i + 8] = row[i];
	}
}

// peach is section 9.7 up to the final hash.
DEVICE void peach(u32 *out, const u32 *trailer, const u8 *sbox)
{
	u32 s[8 + 1 + 256]; // nonce, index, tile
	u32 th[8], d[8];
	sha256(th, trailer, 31);
	u32 index = 1;
	for (u32 i = 0; i < 32; i++)
		index *= byte_at(th[i / 4], i % 4);
	index %= 1 << 20;
	ROLL
	for (u32 jump = 0;; jump++) {
		tile(s + 9, index, trailer, sbox);
		if (jump == 8)
			break;
		for (u32 i = 0; i < 8; i++)
			s[i] = trailer[23 + i];
		s[8] = index;
		digest(d, s, 265, dflops(s, 265, index, false) & 7, sbox);
		index = 0;
		for (u32 i = 0; i < 8; i++)
			index += d[i];
		index %= 1 << 20;
	}
	for (u32 i = 0; i < 8; i++)
		s[i + 1] = th[i];
	sha256(out, s + 1, 264);
}

} // namespace simple

#endif
