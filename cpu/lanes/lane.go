package lanes

import (
	"crypto/sha256"
	"encoding/binary"

	"kigo/node/mcm"
	"kigo/node/pow"
)

// Shape of a Peach check (docs/spec/pow.md section 9).
const (
	rowLen  = 32
	rows    = 32
	tileLen = rows * rowLen
	jumps   = 8
	seedLen = rowLen + 4
	jumpLen = mcm.NonceLen + 4 + tileLen
	tileAt  = jumpLen - tileLen // in a jump's input
)

// A lane carries one trailer through its nine tiles and eight jumps
// (docs/spec/pow.md section 9).
type lane struct {
	// msg is a jump's input, nonce, index and tile, and room for MD2's padding.
	// Rows are made where they stay: the input of the next row is the row before
	// it and the index, which stands where the new row will be.
	msg [jumpLen + md2Pad]byte

	dst         *mcm.Hash // where the final hash goes
	prev        *mcm.Hash // phash
	trailerHash mcm.Hash

	index uint32 // of the present tile
	row   int    // the row that comes next; rows when the tile is complete
	jumps int    // jumps made so far
}

// begin takes up trailer t, whose final hash is to be stored in dst.
func (l *lane) begin(dst *mcm.Hash, t *mcm.Trailer) {
	l.dst, l.prev = dst, t.PrevHash()
	l.trailerHash = pow.TrailerHash(t)
	l.jumps = 0
	copy(l.msg[:], t.Nonce()[:])
	l.enter(pow.StartTile(&l.trailerHash))
}

// enter starts the tile at index with the input of its first row, the index and
// phash (docs/spec/pow.md section 9.4).
func (l *lane) enter(index uint32) {
	l.index, l.row = index, 0
	binary.LittleEndian.PutUint32(l.msg[mcm.NonceLen:], index)
	binary.LittleEndian.PutUint32(l.msg[tileAt:], index)
	copy(l.msg[tileAt+4:], l.prev[:])
}

// run works until the MD2 of a message is needed and returns the message, behind
// which there is room for padding.  It returns nil when the trailer's final hash
// is stored.
func (l *lane) run() []byte {
	for {
		var in []byte
		var op uint32
		switch {
		case l.row == 0:
			in = l.msg[tileAt : tileAt+seedLen]
			op = dmemtx36((*[seedLen]byte)(in), dflops(in, l.index, true))
		case l.row < rows:
			at := tileAt + (l.row-1)*rowLen
			in = l.msg[at : at+seedLen]
			binary.LittleEndian.PutUint32(in[rowLen:], l.index)
			op = dmemtx32((*[rowLen]byte)(in), dflops(in[:rowLen], l.index, true))
		case l.jumps < jumps:
			in = l.msg[:jumpLen]
			op = dflops(in, l.index, false)
		default:
			l.finish()
			return nil
		}
		if op%8 == md2 {
			return in
		}
		var d mcm.Hash
		digest(&d, op%8, in)
		l.accept(&d)
	}
}

// accept takes the digest that run asked for: the next row, or the way to the
// next tile (docs/spec/pow.md section 9.6).
func (l *lane) accept(d *mcm.Hash) {
	if l.row < rows {
		*(*mcm.Hash)(l.msg[tileAt+l.row*rowLen:]) = *d
		l.row++
		return
	}
	var sum uint32
	for i := 0; i < len(d); i += 4 {
		sum += binary.LittleEndian.Uint32(d[i:])
	}
	l.jumps++
	l.enter(sum % pow.Tiles)
}

// finish stores the final hash, that of trailer hash and ninth tile (docs/spec/pow.md section 9.7).
func (l *lane) finish() {
	var in [mcm.HashLen + tileLen]byte
	copy(in[:], l.trailerHash[:])
	copy(in[mcm.HashLen:], l.msg[tileAt:])
	*l.dst = sha256.Sum256(in[:])
	l.dst, l.prev = nil, nil
}
