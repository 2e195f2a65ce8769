package engine

import "kigo/node/mcm"

// A Kernel computes Peach hashes on one core.  It owns its scratch memory, so it
// serves one goroutine at a time; the engine gives each of its workers one.
type Kernel interface {
	// Hash stores the final Peach hash of batch[i] in dst[i], for every i
	// (docs/spec/pow.md section 9.7).  The slices have the same length, at most
	// the engine's chunk; the trailers' nonces are haikus, which Hash doesn't
	// check.  It looks at neither height, exemption nor difficulty.
	Hash(dst []mcm.Hash, batch []mcm.Trailer)
}
