// Package mcm holds the domain types of the Mochimo chain: the 160-byte
// trailer, block numbers and kinds, hashes, the 256-bit weight of a chain, and
// the height at which each of its rules changes (docs/spec/chain.md).
//
// It is a leaf: it imports nothing but the standard library, does no I/O, reads
// no clock and logs nothing.  Multi-byte integers are little-endian wherever
// bytes are seen; hashes are byte strings and are never reversed.
package mcm
