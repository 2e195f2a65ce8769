// Package avx512 computes Peach hashes (docs/spec/pow.md section 9) with
// AVX-512, in C through cgo.  It is for large batches: a call with one trailer
// takes nearly as long as one with 64, so very small batches are best left to
// another engine.
//
// The C code is described at the top of avx512.c.  It is one function without
// state; this package owns its scratch memory and knows whether the processor
// can run it.  Built without cgo, for another architecture, for Windows, or
// with the tag purego, the package has no C code and Supported says so.
//
// The Makefile has what the go command can't do: the C code under sanitizers and
// against a plain scalar version of its floating-point step, and a profile by
// hash function.  bench/avx512.md tells what was measured.
package avx512
