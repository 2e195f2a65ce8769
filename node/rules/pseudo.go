package rules

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"kigo/node/mcm"
)

// pseudoTag is who a pseudoblock pays its reward to (docs/spec/sync.md section
// 8.4.1).
var pseudoTag = [20]byte{
	0x12, 0x60, 0x88, 0x7b, 0x0d, 0x36, 0x53, 0xf8, 0xac, 0x25,
	0x59, 0x69, 0xcb, 0x4a, 0x60, 0x7f, 0x00, 0x6c, 0xf6, 0x73,
}

// PseudoRoot returns the Merkle root of a pseudoblock n from V30Trigger on: its
// one leaf, the hash of who is paid how much.
func PseudoRoot(n mcm.BlockNum) mcm.Hash {
	leaf := binary.LittleEndian.AppendUint64(slices.Clip(pseudoTag[:]), Reward(n))
	return sha256.Sum256(leaf)
}

// CheckPseudoRoot reports whether t, if it is a pseudoblock from V30Trigger on,
// has the one Merkle root that its number allows.  Check leaves that to those who
// have the block, but it can be told from the trailer, and unless it is, anybody
// can put any number of pseudoblocks on any block for nothing (docs/spec/sync.md
// section 8.4).  The error is an *Error with MerkleRoot.
func CheckPseudoRoot(t *mcm.Trailer) error {
	n := t.Num()
	if n < mcm.V30Trigger || t.Kind() != mcm.Pseudo {
		return nil
	}
	if want := PseudoRoot(n); *t.MerkleRoot() != want {
		return fail(MerkleRoot, n, "Merkle root is %v, expected the pseudoblock's %v", t.MerkleRoot(), want)
	}
	return nil
}
