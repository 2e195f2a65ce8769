package lanes

import (
	"encoding/binary"
	"sync"
)

// An md2State is the 48 bytes of each lane's state, byte k of lane s at
// k*Lanes + s.
type md2State [3 * md2Block * Lanes]byte

// The functions here take 18 rounds of 48 steps in one or more lanes.  In each of
// them step k is X[k] = S[t] ^ X[k], and t the new X[k]; a round's number is added
// to t after it (docs/spec/pow.md section 8).
//
// Their shape is what the compiler makes the best of: nil checks are done before
// the loops, tables come as arguments so that their address stays in a register,
// and results are stored at the end of a step.  Unrolling the wide ones, or more
// lanes in them, makes it spill registers.

// mix1 mixes lane 0.  Nothing hides the latency of its look-ups, so it takes two
// steps with one (see md2Pairs).
func (x *md2State) mix1(table *[256]byte, pairs *[256][256]byte) {
	_, _, _ = x[0], table[0], pairs[0]
	var a uint
	for r := range uint(md2Rounds) {
		for k := 0; k <= len(x)-4*Lanes; k += 4 * Lanes {
			p := x[k : k+4*Lanes]
			x0, x2 := uint(p[0]), uint(p[2*Lanes])
			y0, y2 := &pairs[x0], &pairs[x2]
			p[0] = table[a&255] ^ byte(x0)
			a = uint(y0[a&255]) ^ uint(p[Lanes])
			p[Lanes] = byte(a)
			p[2*Lanes] = table[a] ^ byte(x2)
			a = uint(y2[a]) ^ uint(p[3*Lanes])
			p[3*Lanes] = byte(a)
		}
		a += r
	}
}

// mix2 mixes lanes 0 and 1, by the same means.
func (x *md2State) mix2(table *[256]byte, pairs *[256][256]byte) {
	_, _, _ = x[0], table[0], pairs[0]
	var a, b uint
	for r := range uint(md2Rounds) {
		for k := 0; k <= len(x)-2*Lanes; k += 2 * Lanes {
			p := x[k : k+2*Lanes]
			xa, xb := uint(p[0]), uint(p[1])
			ya, yb := &pairs[xa], &pairs[xb]
			ta, tb := table[a&255]^byte(xa), table[b&255]^byte(xb)
			a = uint(ya[a&255]) ^ uint(p[Lanes])
			b = uint(yb[b&255]) ^ uint(p[Lanes+1])
			p[0], p[1] = ta, tb
			p[Lanes], p[Lanes+1] = byte(a), byte(b)
		}
		a, b = a+r, b+r
	}
}

// mix4 mixes lanes 0 to 3, by the same means.
func (x *md2State) mix4(table *[256]byte, pairs *[256][256]byte) {
	_, _, _ = x[0], table[0], pairs[0]
	var a, b, c, d uint
	for r := range uint(md2Rounds) {
		for k := 0; k <= len(x)-2*Lanes; k += 2 * Lanes {
			p := x[k : k+2*Lanes]
			v := uint(p[0])
			p[0] = table[a&255] ^ byte(v)
			a = uint(pairs[v][a&255]) ^ uint(p[Lanes])
			p[Lanes] = byte(a)
			v = uint(p[1])
			p[1] = table[b&255] ^ byte(v)
			b = uint(pairs[v][b&255]) ^ uint(p[Lanes+1])
			p[Lanes+1] = byte(b)
			v = uint(p[2])
			p[2] = table[c&255] ^ byte(v)
			c = uint(pairs[v][c&255]) ^ uint(p[Lanes+2])
			p[Lanes+2] = byte(c)
			v = uint(p[3])
			p[3] = table[d&255] ^ byte(v)
			d = uint(pairs[v][d&255]) ^ uint(p[Lanes+3])
			p[Lanes+3] = byte(d)
		}
		a, b, c, d = a+r, b+r, c+r, d+r
	}
}

// mix8 mixes lanes 0 to 7.
func (x *md2State) mix8(table *[256]byte) {
	_, _ = x[0], table[0]
	var a, b, c, d, e, f, g, h uint
	for r := range uint(md2Rounds) {
		for k := 0; k <= len(x)-Lanes; k += Lanes {
			p := x[k : k+Lanes]
			a = uint(table[a&255]) ^ uint(p[0])
			b = uint(table[b&255]) ^ uint(p[1])
			c = uint(table[c&255]) ^ uint(p[2])
			d = uint(table[d&255]) ^ uint(p[3])
			e = uint(table[e&255]) ^ uint(p[4])
			f = uint(table[f&255]) ^ uint(p[5])
			g = uint(table[g&255]) ^ uint(p[6])
			h = uint(table[h&255]) ^ uint(p[7])
			p[0], p[1], p[2], p[3] = byte(a), byte(b), byte(c), byte(d)
			p[4], p[5], p[6], p[7] = byte(e), byte(f), byte(g), byte(h)
		}
		a, b, c, d = a+r, b+r, c+r, d+r
		e, f, g, h = e+r, f+r, g+r, h+r
	}
}

// mix16 mixes lanes 0 to 15, four of them in a word.
func (x *md2State) mix16(table *[4][256]uint32) {
	_, _ = x[0], table[0][0]
	var a, b, c, d uint32
	for r := range uint32(md2Rounds) {
		for k := 0; k <= len(x)-Lanes; k += Lanes {
			p := x[k : k+Lanes]
			a = md2Step(table, a, binary.LittleEndian.Uint32(p[0:]))
			b = md2Step(table, b, binary.LittleEndian.Uint32(p[4:]))
			c = md2Step(table, c, binary.LittleEndian.Uint32(p[8:]))
			d = md2Step(table, d, binary.LittleEndian.Uint32(p[12:]))
			binary.LittleEndian.PutUint32(p[0:], a)
			binary.LittleEndian.PutUint32(p[4:], b)
			binary.LittleEndian.PutUint32(p[8:], c)
			binary.LittleEndian.PutUint32(p[12:], d)
		}
		a, b, c, d = addToBytes(a, r), addToBytes(b, r), addToBytes(c, r), addToBytes(d, r)
	}
}

// md2Step takes a step in four lanes, t and x holding a byte of each.
func md2Step(table *[4][256]uint32, t, x uint32) uint32 {
	return table[0][t&255] ^ table[1][t>>8&255] ^ table[2][t>>16&255] ^ table[3][t>>24] ^ x
}

// addToBytes adds r, which is less than 128, to each byte of w.
func addToBytes(w, r uint32) uint32 {
	return (w&0x7f7f7f7f + r*0x01010101) ^ w&0x80808080
}

// md2Shifted[i][b] is md2Table[b] as byte i of a word.
var md2Shifted = func() (t [4][256]uint32) {
	for b, s := range md2Table {
		for i := range t {
			t[i][b] = uint32(s) << (8 * i)
		}
	}
	return t
}()

// md2Pairs returns the table of two steps in one: entry [x][t] is S[S[t] ^ x].
// The second step's look-up then needn't wait for the first's: t goes from before
// a step with X[k] = x to the look-up of the step after it.  The table's 64 KiB
// share the first-level cache with little else while few lanes are at work.
var md2Pairs = sync.OnceValue(func() *[256][256]byte {
	var pairs [256][256]byte
	for x := range pairs {
		for t, s := range md2Table {
			pairs[x][t] = md2Table[s^byte(x)]
		}
	}
	return &pairs
})

// md2Table is S, derived from the digits of pi (RFC 1319).
var md2Table = [256]byte{
	41, 46, 67, 201, 162, 216, 124, 1, 61, 54, 84, 161, 236, 240, 6, 19,
	98, 167, 5, 243, 192, 199, 115, 140, 152, 147, 43, 217, 188, 76, 130, 202,
	30, 155, 87, 60, 253, 212, 224, 22, 103, 66, 111, 24, 138, 23, 229, 18,
	190, 78, 196, 214, 218, 158, 222, 73, 160, 251, 245, 142, 187, 47, 238, 122,
	169, 104, 121, 145, 21, 178, 7, 63, 148, 194, 16, 137, 11, 34, 95, 33,
	128, 127, 93, 154, 90, 144, 50, 39, 53, 62, 204, 231, 191, 247, 151, 3,
	255, 25, 48, 179, 72, 165, 181, 209, 215, 94, 146, 42, 172, 86, 170, 198,
	79, 184, 56, 210, 150, 164, 125, 182, 118, 252, 107, 226, 156, 116, 4, 241,
	69, 157, 112, 89, 100, 113, 135, 32, 134, 91, 207, 101, 230, 45, 168, 2,
	27, 96, 37, 173, 174, 176, 185, 246, 28, 70, 97, 105, 52, 64, 126, 15,
	85, 71, 163, 35, 221, 81, 175, 58, 195, 92, 249, 206, 186, 197, 234, 38,
	44, 83, 13, 110, 133, 40, 132, 9, 211, 223, 205, 244, 65, 129, 77, 82,
	106, 220, 55, 200, 108, 193, 171, 250, 36, 225, 123, 8, 12, 189, 177, 74,
	120, 136, 149, 139, 227, 99, 232, 109, 233, 203, 213, 254, 59, 0, 29, 57,
	242, 239, 183, 14, 102, 88, 208, 228, 166, 119, 114, 248, 235, 117, 75, 10,
	49, 68, 80, 180, 143, 237, 31, 26, 219, 153, 141, 51, 159, 17, 131, 20,
}
