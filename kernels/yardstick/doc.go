// Package yardstick has the device code of src/simple.cu: one thread for each
// trailer from start to end, the plain way to do it.  Tests and measurements
// compare the wavefront of package kernels with it; no program has it inside.
//
// The kernel is kigo_simple(const u32 *trailers, u32 *hashes, u32 n), launched with
// a block of 256 threads for every 256 trailers.
package yardstick
