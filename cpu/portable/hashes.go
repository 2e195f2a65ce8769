package portable

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"hash"

	"golang.org/x/crypto/blake2b"
	legacy "golang.org/x/crypto/sha3"

	"kigo/node/mcm"
)

// digests are the eight hash functions of nighthash by number (docs/spec/pow.md
// section 8), kept for reuse: making them anew for each of a check's 296 calls
// would cost more than some of them do.
type digests [8]hash.Hash

func newDigests() digests {
	return digests{
		newBlake2b(make([]byte, 32)), // a key of zeros is a key
		newBlake2b(ones(64)),
		sha1.New(),
		sha256.New(),
		sha3.New256(),
		legacy.NewLegacyKeccak256(),
		new(md2),
		md5.New(),
	}
}

// sum stores the digest of data by function number n in dst, zeros behind a
// short one.
func (d *digests) sum(dst *mcm.Hash, n uint32, data []byte) {
	h := d[n]
	h.Reset()
	h.Write(data)
	clear(h.Sum(dst[:0])[h.Size():mcm.HashLen])
}

func newBlake2b(key []byte) hash.Hash {
	h, err := blake2b.New256(key)
	if err != nil {
		panic("portable: " + err.Error()) // only a key over 64 bytes
	}
	return h
}

func ones(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 1
	}
	return b
}
