package portable

import (
	"crypto/sha256"
	"encoding/binary"
	"math"

	"kigo/node/mcm"
	"kigo/node/pow"
)

// Shape of a Peach check (docs/spec/pow.md section 9).
const (
	rowLen  = 32
	rows    = 32
	tileLen = rows * rowLen
	jumps   = 8
	rounds  = 8 // of dmemtx
	seedLen = mcm.HashLen + 4
	jumpLen = mcm.NonceLen + 4 + tileLen
)

// Chunk is how many checks take about 10 ms.
const Chunk = 16

// A Kernel computes Peach hashes one after the other.  It serves one goroutine
// at a time.
type Kernel struct {
	digests digests
	tile    [tileLen]byte
}

// New returns a Kernel.
func New() *Kernel { return &Kernel{digests: newDigests()} }

// Hash stores the final Peach hash of batch[i] in dst[i]; the slices have the
// same length.  It doesn't look at the nonces' syntax (docs/spec/pow.md section
// 9.7).
func (k *Kernel) Hash(dst []mcm.Hash, batch []mcm.Trailer) {
	for i := range batch {
		dst[i] = k.check(&batch[i], nil)
	}
}

// check returns the final hash of t and tells visit, unless it is nil, the nine
// tiles in order of use.
func (k *Kernel) check(t *mcm.Trailer, visit func(index uint32)) mcm.Hash {
	th := pow.TrailerHash(t)
	index := pow.StartTile(&th)
	for jump := 0; ; jump++ {
		if visit != nil {
			visit(index)
		}
		k.makeTile(index, t.PrevHash())
		if jump == jumps {
			break
		}
		index = k.jump(index, t.Nonce())
	}
	final := sha256.New()
	final.Write(th[:])
	final.Write(k.tile[:])
	return mcm.Hash(final.Sum(nil))
}

// makeTile fills k.tile (docs/spec/pow.md section 9.4).  Making a row transforms
// the one before it, which stays transformed: a finished tile is 31 transformed
// digests and a plain one.
func (k *Kernel) makeTile(index uint32, phash *mcm.Hash) {
	var seed [seedLen]byte
	binary.LittleEndian.PutUint32(seed[:], index) // first here, last in the rows
	copy(seed[4:], phash[:])
	row := k.row(0)
	k.nighthash(row, seed[:], len(seed), index)

	for r := 1; r < rows; r++ {
		copy(seed[:], row[:])
		binary.LittleEndian.PutUint32(seed[rowLen:], index)
		k.nighthash(k.row(r), seed[:], rowLen, index)
		copy(row[:], seed[:])
		row = k.row(r)
	}
}

func (k *Kernel) row(r int) *mcm.Hash { return (*mcm.Hash)(k.tile[r*rowLen:]) }

// jump returns the tile after index (docs/spec/pow.md section 9.6).
func (k *Kernel) jump(index uint32, nonce *mcm.Nonce) uint32 {
	var seed [jumpLen]byte
	copy(seed[:], nonce[:])
	binary.LittleEndian.PutUint32(seed[mcm.NonceLen:], index)
	copy(seed[mcm.NonceLen+4:], k.tile[:])
	var d mcm.Hash
	k.nighthash(&d, seed[:], 0, index)
	var sum uint32
	for i := 0; i < len(d); i += 4 {
		sum += binary.LittleEndian.Uint32(d[i:])
	}
	return sum % pow.Tiles
}

// nighthash transforms the first tx bytes of data and stores the digest of all
// of data in dst; with tx 0 it only reads data (docs/spec/pow.md section 9.3).
func (k *Kernel) nighthash(dst *mcm.Hash, data []byte, tx int, index uint32) {
	var op uint32
	if tx > 0 {
		op = dmemtx(data[:tx], dflops(data[:tx], index, true))
	} else {
		op = dflops(data, index, false)
	}
	k.digests.sum(dst, op%8, data)
}

// Which byte of a word steers what in dflops, by the low three bits of its
// first byte (docs/spec/pow.md section 9.1).
var (
	opByte    = [8]uint8{1, 3, 0, 0, 3, 2, 1, 2}
	valueByte = [8]uint8{2, 1, 2, 1, 0, 0, 1, 1}
	signByte  = [8]uint8{3, 2, 3, 2, 1, 1, 3, 3}
)

// dflops runs one float32 operation on each 4-byte word of data, stores the
// results there when modify is set, and returns the sum that steers what comes
// next (docs/spec/pow.md section 9.1).
//
// A float32 operation of Go is a single correctly rounded one with subnormals.
// The conversions around each result keep the compiler from fusing it with
// anything (docs/spec/pow.md section 10).
func dflops(data []byte, index uint32, modify bool) (op uint32) {
	nan := float32(index)
	for ; len(data) >= 4; data = data[4:] {
		word := [4]byte(data)
		k := word[0] % 8
		op += uint32(word[opByte[k]])
		v := int32(word[valueByte[k]])
		if word[signByte[k]]&1 != 0 {
			v += math.MinInt32 // flips bit 31; it is no negation
		}
		x, y := math.Float32frombits(binary.LittleEndian.Uint32(word[:])), float32(v)
		if x != x {
			x = nan
		}
		switch op % 4 {
		case 0:
			x = float32(x + y)
		case 1:
			x = float32(x - y)
		case 2:
			x = float32(x * y)
		case 3:
			x = float32(x / y)
		}
		if x != x {
			x = nan
		}
		binary.LittleEndian.PutUint32(word[:], math.Float32bits(x))
		for _, b := range word {
			op += uint32(b)
		}
		if modify {
			copy(data, word[:])
		}
	}
	return op
}

// dmemtx stirs d in eight rounds, each chosen by op and a byte that the earlier
// rounds have left, and returns the new op (docs/spec/pow.md section 9.2).
func dmemtx(d []byte, op uint32) uint32 {
	low, high := d[:len(d)/2], d[len(d)/2:]
	for i := range rounds {
		op += uint32(d[i])
		switch op % 8 {
		case 0:
			for z := range d {
				d[z] ^= 0x81
			}
		case 1:
			for z := range low {
				low[z], high[z] = high[z], low[z]
			}
		case 2:
			for z := range d {
				d[z] = ^d[z]
			}
		case 3:
			alternate(d, 1)
		case 4:
			alternate(d, -byte(i))
		case 5:
			for z := range d {
				if d[z] == 104 {
					d[z] = 72
				}
			}
		case 6:
			for z := range low {
				low[z], high[z] = min(low[z], high[z]), max(low[z], high[z])
			}
		case 7:
			for z := 1; z < len(d); z++ {
				d[z] ^= d[z-1]
			}
		}
	}
	return op
}

// alternate adds n at even positions and subtracts it at odd ones.
func alternate(d []byte, n byte) {
	for z := 0; z+1 < len(d); z += 2 {
		d[z] += n
		d[z+1] -= n
	}
}
