// Package kernels is the place of Kigo's device code: CUDA sources in src, and
// what the build makes of them and embeds.  It holds no logic in Go.
//
// src/peach.cuh tells the design; peach.cu has the four kernels, which package gpu
// launches.  With the tag cuda, Image is what the build has put in folder image: a
// fatbin of peach.cu, compiled with src/nvcc.flags.  src/simple.cu is the yardstick
// (package yardstick).
//
// The tests run the device code over all vectors without a GPU, twice: the source,
// which is ordinary C++ with KIGO_HOST (src/emulate.cpp), and the PTX that nvcc
// makes of it (package ptx, src/ptx.cpp).  src/kernels.h is the table of kernels
// that both launch from, and the fake driver of package gpu too.
package kernels
