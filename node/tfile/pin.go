package tfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"os"

	"kigo/node/mcm"
)

// A Pin says what the beginning of the chain is: with one, its proof of work need
// not be computed again.  It is as good as the place it comes from.
type Pin struct {
	Height mcm.BlockNum // the last block it vouches for
	Hash   mcm.Hash     // that block's hash
	Weight mcm.Weight   // of the trailer file up to and including it
	SHA256 mcm.Hash     // of the same trailers
	Pieces []mcm.Hash   // SHA-256 of each PieceTrailers of them; the last may be shorter
}

// ErrPinSegment says that the options ask for a pin of a segment, or to use one
// with it.
var ErrPinSegment = errors.New("a pin vouches for data from the genesis on: it can't be used with a segment")

// A PinError says that data contradicts a pin, or that a pin contradicts itself.
type PinError struct {
	Height mcm.BlockNum // the pin's
	// Piece counts the pieces of PieceTrailers before the one at fault; -1 if it
	// is none in particular.
	Piece  int64
	Detail string
}

func (e *PinError) Error() string {
	if e.Piece < 0 {
		return fmt.Sprintf("pin at block %v: %s", e.Height, e.Detail)
	}
	first := e.Piece * PieceTrailers
	return fmt.Sprintf("pin at block %v: piece %d, trailers %d to %d, %s", e.Height, e.Piece, first, first+PieceTrailers-1, e.Detail)
}

func (p *Pin) prefix() prefix { return prefix{int64(p.Height) + 1, p.Pieces} }

// checkSize reports a pin whose pieces don't fit its height.
func (p *Pin) checkSize() error {
	if want := uint64(p.Height)/PieceTrailers + 1; uint64(len(p.Pieces)) != want {
		return &PinError{p.Height, -1, fmt.Sprintf("it has %d pieces of %d trailers, expected %d", len(p.Pieces), PieceTrailers, want)}
	}
	return nil
}

// checkTip holds the trailer at the pin's height and the weight up to it against
// the pin.
func (p *Pin) checkTip(t *mcm.Trailer, w mcm.Weight) error {
	if *t.Hash() != p.Hash {
		return &PinError{p.Height, -1, fmt.Sprintf("block hash is %v, the pin has %v", t.Hash(), p.Hash)}
	}
	if w != p.Weight {
		return &PinError{p.Height, -1, fmt.Sprintf("weight is %v, the pin has %v", w, p.Weight)}
	}
	return nil
}

// A draft is a pin in the making: the sums over the chunks that were tallied.  Its
// methods do nothing on nil.
type draft struct {
	whole  hash.Hash
	pieces []mcm.Hash
}

func newDraft() *draft { return &draft{whole: sha256.New()} }

// add notes that c, all of it, was tallied.
func (d *draft) add(c *chunk) {
	if d == nil {
		return
	}
	d.whole.Write(mcm.Bytes(c.ts))
	d.pieces = append(d.pieces, c.sums...)
}

// pin returns the pin at the last trailer of data that rep found valid.
func (d *draft) pin(rep *Report) *Pin {
	if d == nil {
		return nil
	}
	return &Pin{rep.Last, rep.Tip, rep.Weight, mcm.Hash(d.whole.Sum(nil)), d.pieces}
}

// pinFile is a pin's JSON form.
type pinFile struct {
	Height uint64    `json:"height"`
	Hash   hexHash   `json:"hash"`
	Weight string    `json:"weight"` // hex, most significant digit first
	SHA256 hexHash   `json:"sha256"`
	Piece  int       `json:"piece_trailers"`
	Pieces []hexHash `json:"pieces"`
}

// MarshalJSON implements json.Marshaler: hashes and weight as 64 hex digits, the
// weight's most significant first.
func (p *Pin) MarshalJSON() ([]byte, error) {
	return json.Marshal(pinFile{uint64(p.Height), hexHash(p.Hash), p.Weight.String(), hexHash(p.SHA256), PieceTrailers, toHex(p.Pieces)})
}

// UnmarshalJSON implements json.Unmarshaler and refuses what MarshalJSON can't
// have made.
func (p *Pin) UnmarshalJSON(b []byte) error {
	var f pinFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return err
	}
	w, err := mcm.ParseWeight(f.Weight)
	if err != nil {
		return err
	}
	if f.Piece != PieceTrailers {
		return fmt.Errorf("pin: pieces of %d trailers, expected %d", f.Piece, PieceTrailers)
	}
	*p = Pin{mcm.BlockNum(f.Height), mcm.Hash(f.Hash), w, mcm.Hash(f.SHA256), fromHex(f.Pieces)}
	return p.checkSize()
}

// ReadPin reads a pin from its file.
func ReadPin(path string) (*Pin, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p := new(Pin)
	if err := json.Unmarshal(b, p); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}
