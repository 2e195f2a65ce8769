// SPDX-License-Identifier: GPL-3.0-or-later

// Runs the compiled device code on the CPU: what the C++ needs that package
// kernels/ptx makes of PTX.  A kernel is a function that takes one thread up to
// its next barrier, where the thread notes how it goes on, so all threads of a
// block can be run one after the other, in any order, from barrier to barrier
// (ptx.cpp).  Memory outside of what a launch may touch, or not aligned, ends the
// program.

#ifndef KIGO_PTX_H
#define KIGO_PTX_H

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

namespace ptx {

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef short s16;
typedef int s32;
typedef long long s64;

// Memory is a piece of it that may be read or written.
struct Memory {
	u64 at, bytes;
	bool has(u64 from, size_t n) const { return from - at <= bytes && bytes - (from - at) >= n; }
};

// Block is what the threads of a block share.
struct Block {
	const char *kernel;
	u32 index;
	u64 args[8];
	std::vector<Memory> global;
	Memory shared;
};

struct ThreadBase {
	u32 thread; // its number in the block
	u32 at;     // barrier where it waits, counted from 1 in the order of the text
};

// Code is a kernel.  run returns the barrier that a thread has come to, or 0 at
// its end.
struct Code {
	const char *name;
	u32 params, threads, shared;
	size_t thread_bytes;
	u32 (*run)(const Block &, ThreadBase *);
};

// all returns what the translated kernels note: their Code, and the Memory of
// their arrays of constants.
template <class T>
std::vector<T> &all()
{
	static std::vector<T> list;
	return list;
}

// A Note adds to them.
template <class T>
struct Note {
	Note(T v) { all<T>().push_back(v); }
};

[[noreturn]] __attribute__((format(printf, 2, 3))) inline void fail(const char *kernel, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fprintf(stderr, "%s: ", kernel);
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n");
	va_end(args);
	exit(1);
}

[[noreturn]] inline void bad_address(const Block &b, const ThreadBase &t, const char *space, u64 at, size_t bytes, int line)
{
	fail(b.kernel, "line %d: block %u, thread %u: %zu bytes at %llx are not aligned, or not in %s memory", line, b.index,
		t.thread, bytes, at, space);
}

// Translated code is compiled without optimization, which takes longer than it
// gains.  Only what memory is for is worth it.
#pragma GCC push_options
#pragma GCC optimize("O2")

template <class T>
T *in_shared(const Block &b, const ThreadBase &t, u32 at, int line)
{
	if (at % sizeof(T) || at > b.shared.bytes || b.shared.bytes - at < sizeof(T))
		bad_address(b, t, "shared", at, sizeof(T), line);
	return reinterpret_cast<T *>(b.shared.at + at);
}

template <class T>
T *in_local(const Block &b, const ThreadBase &t, const Memory &local, u64 at, int line)
{
	if (at % sizeof(T) || !local.has(at, sizeof(T)))
		bad_address(b, t, "local", at, sizeof(T), line);
	return reinterpret_cast<T *>(at);
}

template <class T>
T *in_global(const Block &b, const ThreadBase &t, u64 at, int line)
{
	for (const Memory &m : b.global)
		if (at % sizeof(T) == 0 && m.has(at, sizeof(T)))
			return reinterpret_cast<T *>(at);
	bad_address(b, t, "global", at, sizeof(T), line);
}

template <class T>
const T *in_const(const Block &b, const ThreadBase &t, u64 at, int line)
{
	for (const Memory &m : all<Memory>())
		if (at % sizeof(T) == 0 && m.has(at, sizeof(T)))
			return reinterpret_cast<const T *>(at);
	bad_address(b, t, "constant", at, sizeof(T), line);
}

inline u32 add(u32 *p, u32 v)
{
	u32 before = *p;
	*p += v;
	return before;
}

inline float value(u32 v)
{
	float f;
	memcpy(&f, &v, 4);
	return f;
}

inline u32 bits(float f)
{
	u32 v;
	memcpy(&v, &f, 4);
	return v;
}

inline bool is_nan(u32 v) { return (v & 0x7fffffff) > 0x7f800000; }

inline u32 prmt(u32 a, u32 b, u32 selector)
{
	u32 r = 0;
	for (u32 i = 0; i < 32; i += 8, selector >>= 4) {
		u32 word = selector & 4 ? b : a;
		u32 byte = word >> 8 * (selector & 3) & 0xff;
		if (selector & 8)
			byte = byte >> 7 ? 0xff : 0;
		r |= byte << i;
	}
	return r;
}

inline u32 dp4a(u32 a, u32 b, u32 c)
{
	for (u32 i = 0; i < 32; i += 8)
		c += (a >> i & 0xff) * (b >> i & 0xff);
	return c;
}

// insert puts the lowest bits of a into b, from bit position on.
template <class T>
inline T insert(T a, T b, u32 position, u32 length)
{
	const u32 width = 8 * sizeof(T);
	position &= 255, length &= 255;
	if (position >= width)
		return b;
	T mask = (length < width ? ((T)1 << length) - 1 : ~(T)0) << position;
	return (b & ~mask) | (a << position & mask);
}

#pragma GCC pop_options

} // namespace ptx

#endif
