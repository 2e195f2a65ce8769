// Package ptx looks at what the CUDA compiler makes of the device code, on machines
// without a GPU: it turns PTX into C++ that runs on the CPU, and reads what ptxas
// says about the resources of kernels.  Tests use it; no program does.
//
// Translate knows the instructions that nvcc has used for these kernels, each by
// its full spelling with all its modifiers, and refuses any other: one that
// flushes subnormals or approximates a division can't slip through as its exact
// sister.  What an instruction does was written down from NVIDIA's PTX ISA
// reference.  Registers keep their names, so the C++ can be read beside the PTX.
//
// The C++ needs src/ptx.h, which has memory, barriers and the order of threads.
package ptx
