package avx2

import "kigo/cpu/internal/engine"

// Lanes is how many trailers the widest kernel, MD2, takes side by side.
const Lanes = 75

// Chunk is the most trailers that Hash takes: about 29 ms on one core, measured at
// 3.5 GHz.
const Chunk = 512

var _ engine.Kernel = (*Kernel)(nil)
