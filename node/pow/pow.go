package pow

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"

	"kigo/node/mcm"
)

// An Algorithm is a way to prove work; the block number alone chooses it.
type Algorithm uint8

// The algorithms.
const (
	None Algorithm = iota // exempt: no proof of work is asked for
	Trigg
	Peach
)

// String returns none, trigg or peach.
func (a Algorithm) String() string {
	switch a {
	case None:
		return "none"
	case Trigg:
		return "trigg"
	case Peach:
		return "peach"
	}
	return fmt.Sprintf("Algorithm(%d)", uint8(a))
}

// AlgorithmOf returns which proof of work t has to carry.  None goes to block
// numbers with a zero low byte and to trailers without transactions; the rest
// is Trigg up to V24Trigger and Peach after it, compared in 64 bits
// (docs/spec/pow.md sections 3 and 4).
func AlgorithmOf(t *mcm.Trailer) Algorithm {
	switch n := t.Num(); {
	case n.IsNeogenesis() || t.TxCount() == 0:
		return None
	case n <= mcm.V24Trigger:
		return Trigg
	default:
		return Peach
	}
}

// Halves returns the two haikus of t's nonce, without copying.
func Halves(t *mcm.Trailer) (first, second *Half) {
	n := t.Nonce()
	return halfOf(n[:HalfLen]), halfOf(n[HalfLen:])
}

// NonceSyntax reports whether both halves of t's nonce are haikus.
func NonceSyntax(t *mcm.Trailer) bool {
	first, second := Halves(t)
	return first.Syntax() && second.Syntax()
}

// Meets reports whether the first d bits of h are zero (docs/spec/pow.md
// section 6).
func Meets(h *mcm.Hash, d uint8) bool { return h.LeadingZeroBits() >= int(d) }

// anomalyHash is the block hash by which block AnomalyNum is accepted.
var anomalyHash = mcm.Hash{
	0x2f, 0xfa, 0xb9, 0xb9, 0x00, 0xe1, 0xbc, 0xa8, 0x25, 0x19, 0x20, 0xc2, 0xdd, 0xf0, 0x46, 0xb8,
	0x07, 0x44, 0x2a, 0xbb, 0xfa, 0x5e, 0x94, 0x51, 0xb0, 0x60, 0x03, 0xcc, 0x82, 0x2d, 0xb1, 0x12,
}

// Anomaly reports whether t is the one block that is accepted though its Peach
// check fails (docs/spec/pow.md section 4).
func Anomaly(t *mcm.Trailer) bool {
	return t.Num() == mcm.AnomalyNum && *t.Hash() == anomalyHash
}

// RuleName returns the protocol's name for a failed proof of work of t
// (docs/spec/chain.md section 1.1).
func RuleName(t *mcm.Trailer) string {
	switch {
	case t.Num() <= mcm.V24Trigger:
		return "EMCM_POWTRIGG"
	case t.Num() == mcm.AnomalyNum:
		return "EMCM_POWANOMALY"
	default:
		return "EMCM_POWPEACH"
	}
}

// TriggHash returns the final hash of the Trigg check: SHA-256 over Merkle
// root, first half as text, second half and block number (docs/spec/pow.md
// section 7).  It does not look at the syntax.
func TriggHash(t *mcm.Trailer) mcm.Hash {
	const rootLen, numLen = mcm.HashLen, 8
	first, second := Halves(t)
	text := first.Expand()
	var chain [rootLen + ExpandedLen + HalfLen + numLen]byte
	b := append(chain[:0], t.MerkleRoot()[:]...)
	b = append(b, text[:]...)
	b = append(b, second[:]...)
	b = append(b, t[32:40]...) // block number as it stands
	return sha256.Sum256(b)
}

// TrailerHash returns the SHA-256 of the first 124 bytes: what Peach starts from
// and ends with (docs/spec/pow.md section 9.5).
func TrailerHash(t *mcm.Trailer) mcm.Hash { return sha256.Sum256(t[:124]) }

// Tiles is the number of Peach tiles.
const Tiles = 1 << 20

// StartTile returns the index of the first tile: the product of the trailer
// hash's bytes modulo Tiles, which is 0 for most hashes (docs/spec/pow.md
// section 9.5).
func StartTile(th *mcm.Hash) uint32 {
	m := uint32(1)
	for _, b := range th {
		m *= uint32(b)
	}
	return m % Tiles
}

// SetRandomNonce stores a random pair of haikus as t's nonce.
func SetRandomNonce(t *mcm.Trailer, r *rand.Rand) {
	n := RandomNonce(r)
	*t.Nonce() = n
}
