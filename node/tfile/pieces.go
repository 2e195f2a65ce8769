package tfile

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"kigo/node/mcm"
)

// PieceTrailers is the number of trailers that one SHA-256 of a pin or a side
// file covers.
const PieceTrailers = 1000

// A prefix is the beginning of a trailer file, known by the SHA-256 of each
// PieceTrailers trailers of it.  The last piece may be shorter.
type prefix struct {
	trailers int64
	pieces   []mcm.Hash
}

// piecesOf returns how many pieces n trailers have.
func piecesOf(n int64) int64 { return (n + PieceTrailers - 1) / PieceTrailers }

// sumPieces appends the SHA-256 of each piece of ts to sums.
func sumPieces(sums []mcm.Hash, ts []mcm.Trailer) []mcm.Hash {
	for len(ts) > 0 {
		n := min(PieceTrailers, len(ts))
		sums = append(sums, sha256.Sum256(mcm.Bytes(ts[:n])))
		ts = ts[n:]
	}
	return sums
}

// match holds ts, which stand at index start of a file, a multiple of
// PieceTrailers, against the prefix; sums are the SHA-256 of their pieces.  It
// returns how many trailers at the front of ts agree with the prefix, and false
// if the piece after them differs.  A piece of which ts has only a part agrees
// with nothing and differs from nothing.
func (p *prefix) match(start int64, ts []mcm.Trailer, sums []mcm.Hash) (same int, ok bool) {
	for k, sum := range sums {
		known := min(PieceTrailers, p.trailers-start-int64(same))
		have := min(PieceTrailers, int64(len(ts)-same))
		if known <= 0 || have < known {
			break
		}
		if have > known {
			sum = sha256.Sum256(mcm.Bytes(ts[same:][:known]))
		}
		if sum != p.pieces[start/PieceTrailers+int64(k)] {
			return same, false
		}
		same += int(known)
	}
	return same, true
}

// hexHash is a hash that JSON holds as 64 hex digits.
type hexHash mcm.Hash

func (h hexHash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

func (h *hexHash) UnmarshalText(s []byte) error {
	if len(s) != 2*len(h) {
		return fmt.Errorf("hash %q: want %d hex digits", s, 2*len(h))
	}
	if _, err := hex.Decode(h[:], s); err != nil {
		return fmt.Errorf("hash %q: want %d hex digits", s, 2*len(h))
	}
	return nil
}

func toHex(hs []mcm.Hash) []hexHash {
	out := make([]hexHash, len(hs))
	for i, h := range hs {
		out[i] = hexHash(h)
	}
	return out
}

func fromHex(hs []hexHash) []mcm.Hash {
	out := make([]mcm.Hash, len(hs))
	for i, h := range hs {
		out[i] = mcm.Hash(h)
	}
	return out
}
