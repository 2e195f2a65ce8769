package avx512

import "kigo/cpu/internal/engine"

// Lanes is how many trailers go side by side; a batch takes as long as the next
// multiple of it.
const Lanes = 64

// Chunk is the most trailers that Hash takes: about 26 ms on one core, measured at
// 3.5 GHz.  MD2 pads its lists of lanes to 64; at this number little of that is
// padding (bench/avx512.md).
const Chunk = 1408

var _ engine.Kernel = (*Kernel)(nil)
