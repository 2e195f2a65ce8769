// Package avx2 computes Peach hashes (docs/spec/pow.md section 9) with AVX2, in C
// through cgo.  It is for batches of some dozens of trailers and more: vectors
// run across trailers, so a batch of one is best left to another engine.
//
// The C code is described at the top of peach.c.  It is one function without
// state; this package owns its scratch memory and knows whether the processor
// can run it.  Built without cgo, for another architecture, for Windows, or
// with the tag purego, the package has no C code and Supported says so.
//
// The Makefile has what the go command can't do: the C code under sanitizers,
// and a profile of its parts.  bench/avx2.md tells what was measured.
package avx2
