package avx2

import "kigo/cpu/internal/engine"

// Lanes is how many trailers the widest kernel, MD2, takes side by side.
const Lanes = 72

// Chunk is the most trailers that Hash takes, some 30 ms of work on one core.
const Chunk = 512

var _ engine.Kernel = (*Kernel)(nil)
