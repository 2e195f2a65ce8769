package lanes

import "encoding/binary"

const dmemtxRounds = 8

const (
	lowBytes = 0x0101010101010101 // 1 in each byte
	topBits  = 0x8080808080808080 // the top bit of each byte
	lowBits  = ^uint64(topBits)
)

// dmemtx32 runs the memory step over a row and returns the new op; only op mod 8
// counts, here and there (docs/spec/pow.md section 9.2).
func dmemtx32(row *[rowLen]byte, op uint32) uint32 {
	a := binary.LittleEndian.Uint64(row[0:])
	b := binary.LittleEndian.Uint64(row[8:])
	c := binary.LittleEndian.Uint64(row[16:])
	d := binary.LittleEndian.Uint64(row[24:])
	for i := range uint64(dmemtxRounds) {
		op += uint32(a >> (8 * i & 63))
		switch op % 8 {
		case 0:
			a, b, c, d = a^0x81*lowBytes, b^0x81*lowBytes, c^0x81*lowBytes, d^0x81*lowBytes
		case 1:
			a, b, c, d = c, d, a, b
		case 2:
			a, b, c, d = ^a, ^b, ^c, ^d
		case 3:
			a, b, c, d = addBytes(a, dmemtxOne), addBytes(b, dmemtxOne), addBytes(c, dmemtxOne), addBytes(d, dmemtxOne)
		case 4:
			n := dmemtxRound[i]
			a, b, c, d = addBytes(a, n), addBytes(b, n), addBytes(c, n), addBytes(d, n)
		case 5:
			a, b, c, d = replace104(a), replace104(b), replace104(c), replace104(d)
		case 6:
			a, c = sortBytes(a, c)
			b, d = sortBytes(b, d)
		case 7:
			a = runningXor(a)
			b = runningXor(b) ^ a>>56*lowBytes
			c = runningXor(c) ^ b>>56*lowBytes
			d = runningXor(d) ^ c>>56*lowBytes
		}
	}
	binary.LittleEndian.PutUint64(row[0:], a)
	binary.LittleEndian.PutUint64(row[8:], b)
	binary.LittleEndian.PutUint64(row[16:], c)
	binary.LittleEndian.PutUint64(row[24:], d)
	return op
}

// dmemtxOne is what operation 3 adds: 1 at even positions, -1 at odd ones.
const dmemtxOne = 0xff01ff01ff01ff01

// dmemtxRound is what operation 4 adds in round i: -i at even positions, i at odd
// ones.
var dmemtxRound = func() (t [dmemtxRounds]uint64) {
	for i := range t {
		t[i] = 0x0001000100010001 * (uint64(i)<<8 | uint64(-i)&255)
	}
	return t
}()

// addBytes adds byte by byte.
func addBytes(x, y uint64) uint64 { return (x&lowBits + y&lowBits) ^ (x^y)&topBits }

// replace104 makes each byte of 104 a 72, which differs in one bit.
func replace104(x uint64) uint64 {
	y := x ^ 104*lowBytes
	equal := ^(y&lowBits + lowBits | y | lowBits)
	return x ^ equal>>2
}

// sortBytes returns the lesser and the greater byte at each position.
func sortBytes(x, y uint64) (lesser, greater uint64) {
	low := (y | topBits) - x&lowBits // top bit: y's low seven bits aren't less
	sorted := (y&^x | ^(x^y)&low) & topBits
	t := (x ^ y) &^ (sorted >> 7 * 255)
	return x ^ t, y ^ t
}

// runningXor XORs each byte with all before it.
func runningXor(x uint64) uint64 {
	x ^= x << 8
	x ^= x << 16
	return x ^ x<<32
}

// dmemtx36 is the memory step over the input of a tile's first row.  Its halves
// are 18 bytes: l2 and h2 have two and whatever above them.
func dmemtx36(seed *[seedLen]byte, op uint32) uint32 {
	l0 := binary.LittleEndian.Uint64(seed[0:])
	l1 := binary.LittleEndian.Uint64(seed[8:])
	l2 := uint64(binary.LittleEndian.Uint16(seed[16:]))
	h0 := binary.LittleEndian.Uint64(seed[18:])
	h1 := binary.LittleEndian.Uint64(seed[26:])
	h2 := uint64(binary.LittleEndian.Uint16(seed[34:]))
	for i := range uint64(dmemtxRounds) {
		op += uint32(l0 >> (8 * i & 63))
		switch op % 8 {
		case 0:
			l0, l1, l2 = l0^0x81*lowBytes, l1^0x81*lowBytes, l2^0x81*lowBytes
			h0, h1, h2 = h0^0x81*lowBytes, h1^0x81*lowBytes, h2^0x81*lowBytes
		case 1:
			l0, l1, l2, h0, h1, h2 = h0, h1, h2, l0, l1, l2
		case 2:
			l0, l1, l2, h0, h1, h2 = ^l0, ^l1, ^l2, ^h0, ^h1, ^h2
		case 3:
			l0, l1, l2 = addBytes(l0, dmemtxOne), addBytes(l1, dmemtxOne), addBytes(l2, dmemtxOne)
			h0, h1, h2 = addBytes(h0, dmemtxOne), addBytes(h1, dmemtxOne), addBytes(h2, dmemtxOne)
		case 4:
			n := dmemtxRound[i]
			l0, l1, l2 = addBytes(l0, n), addBytes(l1, n), addBytes(l2, n)
			h0, h1, h2 = addBytes(h0, n), addBytes(h1, n), addBytes(h2, n)
		case 5:
			l0, l1, l2 = replace104(l0), replace104(l1), replace104(l2)
			h0, h1, h2 = replace104(h0), replace104(h1), replace104(h2)
		case 6:
			l0, h0 = sortBytes(l0, h0)
			l1, h1 = sortBytes(l1, h1)
			l2, h2 = sortBytes(l2, h2)
		case 7:
			l0 = runningXor(l0)
			l1 = runningXor(l1) ^ l0>>56*lowBytes
			l2 = runningXor(l2) ^ l1>>56*lowBytes
			h0 = runningXor(h0) ^ l2>>8&255*lowBytes
			h1 = runningXor(h1) ^ h0>>56*lowBytes
			h2 = runningXor(h2) ^ h1>>56*lowBytes
		}
	}
	binary.LittleEndian.PutUint64(seed[0:], l0)
	binary.LittleEndian.PutUint64(seed[8:], l1)
	binary.LittleEndian.PutUint16(seed[16:], uint16(l2))
	binary.LittleEndian.PutUint64(seed[18:], h0)
	binary.LittleEndian.PutUint64(seed[26:], h1)
	binary.LittleEndian.PutUint16(seed[34:], uint16(h2))
	return op
}
