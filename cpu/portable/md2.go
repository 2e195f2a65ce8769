package portable

import "hash"

// md2Size and md2Block are MD2's digest and block length in bytes.
const (
	md2Size  = 16
	md2Block = 16
)

// An md2 is the hash function of RFC 1319 (docs/spec/pow.md section 8).  The
// zero value is ready for the first byte.
type md2 struct {
	state    [48]byte // X: digest, block, digest XOR block
	checksum [md2Block]byte
	buf      [md2Block]byte // bytes that don't fill a block yet
	buffered int
}

var _ hash.Hash = (*md2)(nil)

func (h *md2) Reset()         { *h = md2{} }
func (h *md2) Size() int      { return md2Size }
func (h *md2) BlockSize() int { return md2Block }

func (h *md2) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		c := copy(h.buf[h.buffered:], p)
		p = p[c:]
		if h.buffered += c; h.buffered == md2Block {
			h.sum(&h.buf)
			h.absorb(&h.buf)
			h.buffered = 0
		}
	}
	return n, nil
}

// Sum pads with p bytes of value p, at least one, then absorbs the checksum.
func (h *md2) Sum(b []byte) []byte {
	end := *h
	pad := md2Block - end.buffered
	for i := end.buffered; i < md2Block; i++ {
		end.buf[i] = byte(pad)
	}
	end.sum(&end.buf)
	end.absorb(&end.buf)
	end.absorb(&end.checksum)
	return append(b, end.state[:md2Size]...)
}

// sum takes a block into the checksum.
func (h *md2) sum(block *[md2Block]byte) {
	last := h.checksum[md2Block-1]
	for j, b := range block {
		h.checksum[j] ^= md2Table[b^last]
		last = h.checksum[j]
	}
}

// absorb takes a block into the state.  Each of its 864 steps looks up the
// result of the one before, so its time is their latency: this loop is 70 % of
// a Peach check.
func (h *md2) absorb(block *[md2Block]byte) {
	x := h.state
	for j, b := range block {
		x[16+j] = b
		x[32+j] = b ^ x[j]
	}
	var t byte
	for round := range byte(18) {
		for k := range x {
			x[k] ^= md2Table[t]
			t = x[k]
		}
		t += round
	}
	h.state = x
}

// md2Table is a permutation of the bytes derived from the digits of pi (RFC
// 1319).
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
