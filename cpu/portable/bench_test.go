package portable

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"kigo/node/mcm"
)

// randomBytes returns n bytes that are the same in every run.
func randomBytes(n int) []byte {
	r := rand.New(rand.NewPCG(3, 5))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func perSecond(b *testing.B, what string) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), what+"/s")
}

func BenchmarkDigest(b *testing.B) {
	names := []string{"blake2b-0", "blake2b-1", "sha1", "sha256", "sha3-256", "keccak-256", "md2", "md5"}
	d := newDigests()
	for number, name := range names {
		for _, n := range []int{seedLen, jumpLen} {
			b.Run(fmt.Sprintf("hash=%s/bytes=%d", name, n), func(b *testing.B) {
				data := randomBytes(n)
				var sum mcm.Hash
				for b.Loop() {
					d.sum(&sum, uint32(number), data)
				}
			})
		}
	}
}

func BenchmarkDflops(b *testing.B) {
	for _, n := range []int{rowLen, jumpLen} {
		b.Run(fmt.Sprintf("bytes=%d", n), func(b *testing.B) {
			data := randomBytes(n)
			for b.Loop() {
				dflops(data, 12345, false)
			}
		})
	}
}

func BenchmarkDmemtx(b *testing.B) {
	data := randomBytes(rowLen)
	var op uint32
	for b.Loop() {
		op = dmemtx(data, op+1)
	}
}

func BenchmarkTile(b *testing.B) {
	k := New()
	phash := (*mcm.Hash)(randomBytes(mcm.HashLen))
	var index uint32
	for b.Loop() {
		k.makeTile(index, phash)
		index++
	}
	perSecond(b, "tiles")
}

func BenchmarkJump(b *testing.B) {
	k := New()
	k.makeTile(0, (*mcm.Hash)(randomBytes(mcm.HashLen)))
	nonce := (*mcm.Nonce)(randomBytes(mcm.NonceLen))
	var index uint32
	for b.Loop() {
		index = k.jump(index, nonce)
	}
}

// BenchmarkCheck takes a new trailer each time: the hash functions that one
// trailer happens to need are not those of another.
func BenchmarkCheck(b *testing.B) {
	batch := mcm.Trailers(randomBytes(256 * mcm.TrailerLen))
	var sum [1]mcm.Hash
	k := New()
	i := 0
	for b.Loop() {
		k.Hash(sum[:], batch[i%len(batch):][:1])
		i++
	}
	perSecond(b, "trailers")
}
