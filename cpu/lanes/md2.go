package lanes

import (
	"encoding/binary"

	"kigo/node/mcm"
)

const (
	md2Block  = 16
	md2Rounds = 18
	// md2Pad is the length and the value of the padding: the inputs of rows and
	// jumps both end 4 bytes into a block.
	md2Pad = md2Block - seedLen%md2Block
)

var _ [md2Pad]byte = [md2Block - jumpLen%md2Block]byte{}

// md2Lanes digests a message in each lane, all of them block by block together
// (docs/spec/pow.md section 8).
type md2Lanes struct {
	state md2State               // digest so far, block, XOR of the two
	sum   [md2Block * Lanes]byte // checksum, laid out like the state

	pairs *[256][256]byte // md2Pairs

	rest [Lanes][]byte         // whole blocks, the padding among them
	tail [Lanes][md2Block]byte // a copy of the checksum as the last block
	left [Lanes]int            // blocks to go, the checksum the last of them
}

// start begins a message in lane s.  In's length is that of a row's or a jump's
// input, and the padding is written behind it, where there must be room.
func (x *md2Lanes) start(s int, in []byte) {
	n := len(in)
	in = in[:n+md2Pad]
	for i := range in[n:] {
		in[n+i] = md2Pad
	}
	x.startPadded(s, in)
}

// startPadded begins a message of whole blocks in lane s.
func (x *md2Lanes) startPadded(s int, in []byte) {
	x.rest[s], x.left[s] = in, len(in)/md2Block+1
	for k := range md2Block {
		x.state[k*Lanes+s], x.sum[k*Lanes+s] = 0, 0
	}
}

// step takes the next block of the first n lanes.  Lanes behind them lose their
// messages.
func (x *md2Lanes) step(n int) {
	var blocks [Lanes]*[md2Block]byte
	for s := range n {
		blocks[s] = x.next(s)
	}
	if n <= 8 {
		for s, b := range blocks[:n] {
			x.load(s, b)
		}
	} else {
		for s := n; s < Lanes; s++ {
			blocks[s] = blocks[0]
		}
		x.loadAll(&blocks, &md2Shifted)
	}
	switch {
	case n == 1:
		x.state.mix1(&md2Table, x.pairs)
	case n == 2:
		x.state.mix2(&md2Table, x.pairs)
	case n <= 4:
		x.state.mix4(&md2Table, x.pairs)
	case n <= 8:
		x.state.mix8(&md2Table)
	default:
		x.state.mix16(&md2Shifted)
	}
}

// next returns lane s's next block, which after the message is the checksum.
func (x *md2Lanes) next(s int) *[md2Block]byte {
	if x.left[s]--; x.left[s] == 0 {
		b := &x.tail[s]
		for k := range b {
			b[k] = x.sum[k*Lanes+s]
		}
		return b
	}
	b := (*[md2Block]byte)(x.rest[s])
	x.rest[s] = x.rest[s][md2Block:]
	return b
}

// load puts block b of lane s into its state and checksum.
func (x *md2Lanes) load(s int, b *[md2Block]byte) {
	const part = md2Block * Lanes
	last := x.sum[part-Lanes+s]
	for k, v := range b {
		at := k*Lanes + s
		x.state[part+at] = v
		x.state[2*part+at] = v ^ x.state[at]
		last = x.sum[at] ^ md2Table[v^last]
		x.sum[at] = last
	}
}

// loadAll does what load does, in all lanes together.
func (x *md2Lanes) loadAll(blocks *[Lanes]*[md2Block]byte, table *[4][256]uint32) {
	const part = md2Block * Lanes
	digest, block, mixed := (*[part]byte)(x.state[:]), (*[part]byte)(x.state[part:]), (*[part]byte)(x.state[2*part:])
	for s := 0; s <= Lanes-4; s += 4 {
		b := blocks[s : s+4]
		for k := 0; k <= md2Block-4; k += 4 {
			v0, v1, v2, v3 := transpose(
				binary.LittleEndian.Uint32(b[0][k:]), binary.LittleEndian.Uint32(b[1][k:]),
				binary.LittleEndian.Uint32(b[2][k:]), binary.LittleEndian.Uint32(b[3][k:]))
			rows := block[k*Lanes+s:]
			binary.LittleEndian.PutUint32(rows[0*Lanes:], v0)
			binary.LittleEndian.PutUint32(rows[1*Lanes:], v1)
			binary.LittleEndian.PutUint32(rows[2*Lanes:], v2)
			binary.LittleEndian.PutUint32(rows[3*Lanes:], v3)
		}
	}
	for at := 0; at <= part-8; at += 8 {
		v := binary.LittleEndian.Uint64(digest[at:]) ^ binary.LittleEndian.Uint64(block[at:])
		binary.LittleEndian.PutUint64(mixed[at:], v)
	}
	last := x.sum[part-Lanes:]
	a, b := binary.LittleEndian.Uint32(last[0:]), binary.LittleEndian.Uint32(last[4:])
	c, d := binary.LittleEndian.Uint32(last[8:]), binary.LittleEndian.Uint32(last[12:])
	for at := 0; at <= part-Lanes; at += Lanes {
		sum, v := x.sum[at:at+Lanes], block[at:at+Lanes]
		a = md2Step(table, a^binary.LittleEndian.Uint32(v[0:]), binary.LittleEndian.Uint32(sum[0:]))
		b = md2Step(table, b^binary.LittleEndian.Uint32(v[4:]), binary.LittleEndian.Uint32(sum[4:]))
		c = md2Step(table, c^binary.LittleEndian.Uint32(v[8:]), binary.LittleEndian.Uint32(sum[8:]))
		d = md2Step(table, d^binary.LittleEndian.Uint32(v[12:]), binary.LittleEndian.Uint32(sum[12:]))
		binary.LittleEndian.PutUint32(sum[0:], a)
		binary.LittleEndian.PutUint32(sum[4:], b)
		binary.LittleEndian.PutUint32(sum[8:], c)
		binary.LittleEndian.PutUint32(sum[12:], d)
	}
}

// transpose returns the first bytes of a, b, c and d as a word, then the second,
// third and fourth ones.
func transpose(a, b, c, d uint32) (uint32, uint32, uint32, uint32) {
	const even, low = 0x00ff00ff, 0xffff
	a, b = a&even|b&even<<8, a>>8&even|b&^even
	c, d = c&even|d&even<<8, c>>8&even|d&^even
	return a&low | c<<16, b&low | d<<16, a>>16 | c&^low, b>>16 | d&^low
}

// ended reports whether lane s has taken its last block.
func (x *md2Lanes) ended(s int) bool { return x.left[s] == 0 }

// digest stores lane s's digest in dst, and zeros behind it.
func (x *md2Lanes) digest(s int, dst *mcm.Hash) {
	*dst = mcm.Hash{}
	for k := range md2Block {
		dst[k] = x.state[k*Lanes+s]
	}
}

// move gives lane dst the message of lane src.
func (x *md2Lanes) move(dst, src int) {
	x.rest[dst], x.left[dst] = x.rest[src], x.left[src]
	for k := range md2Block {
		row := k * Lanes
		x.state[row+dst], x.sum[row+dst] = x.state[row+src], x.sum[row+src]
	}
}
