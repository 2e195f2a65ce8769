// Package kernels is the place of Kigo's device code: CUDA sources in src, and
// what the build makes of them and embeds.  It holds no logic in Go.
//
// src/peach.cuh tells the design; peach.cu has the four kernels, which package gpu
// launches.  With the tag cuda, Image is what the build has put in folder image: a
// fatbin of peach.cu.  The same source is ordinary C++ with KIGO_HOST
// (src/emulate.cpp), and that is how the tests run it over all vectors without a
// GPU.
package kernels
