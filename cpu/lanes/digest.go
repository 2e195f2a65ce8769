package lanes

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"

	"kigo/node/mcm"
)

// The numbers of the hash functions (docs/spec/pow.md section 8).
const (
	blake2bZeros = iota // key of 32 zero bytes
	blake2bOnes         // key of 64 bytes of 1
	sha1Fill
	sha256Full
	sha3Full
	keccak
	md2 // never asked of digest; the lanes do it together
	md5Fill
)

// digest stores the digest of in by function number f, which is not md2, in dst.
// The bytes of dst behind a short digest stay as they are.
func digest(dst *mcm.Hash, f uint32, in []byte) {
	switch f {
	case blake2bZeros:
		blake2b(dst, &blake2bZerosState, in)
	case blake2bOnes:
		blake2b(dst, &blake2bOnesState, in)
	case sha1Fill:
		*(*[sha1.Size]byte)(dst[:]) = sha1.Sum(in)
	case sha256Full:
		*dst = sha256.Sum256(in)
	case sha3Full:
		sponge(dst, in, 0x06)
	case keccak:
		sponge(dst, in, 0x01)
	case md5Fill:
		*(*[md5.Size]byte)(dst[:]) = md5.Sum(in)
	}
}
