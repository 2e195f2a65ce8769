package tfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"kigo/node/mcm"
)

// powRules is the version of what counts as valid proof of work.  It is raised
// when that changes, so that nothing proven under other rules is believed.
const powRules = 1

// maxSpans bounds a record of data with many bad trailers, each of which ends a
// span; work behind the last one is forgotten.
const maxSpans = 10000

// A span is the trailers with indexes from lo to below hi.
type span [2]int64

// spans are ascending and don't touch.
type spans []span

// has reports whether index i is in one of the spans.
func (s spans) has(i int64) bool {
	_, found := slices.BinarySearchFunc(s, i, func(x span, i int64) int {
		switch {
		case i < x[0]:
			return 1
		case i >= x[1]:
			return -1
		}
		return 0
	})
	return found
}

// extend adds the trailers from lo to below hi, which begin at or after the end
// of the last span.
func (s spans) extend(lo, hi int64) spans {
	switch n := len(s); {
	case lo >= hi:
	case n > 0 && s[n-1][1] == lo:
		s[n-1][1] = hi
	default:
		s = append(s, span{lo, hi})
	}
	return s
}

// clip returns the part of the spans from lo to below hi.
func (s spans) clip(lo, hi int64) (out spans) {
	for _, x := range s {
		out = out.extend(max(x[0], lo), min(x[1], hi))
	}
	return out
}

// A record is what a side file says: the beginning of a trailer file by its
// SHA-256 sums, and which trailers of it carry proven work.  Exempt trailers may
// be in the spans or not.
type record struct {
	prefix
	proven spans
}

// sideFile is a record's JSON form.
type sideFile struct {
	Format   string    `json:"format"`
	PowRules int       `json:"pow_rules"`
	Network  hexHash   `json:"network"` // hash of the genesis block
	Trailers int64     `json:"trailers"`
	Proven   spans     `json:"proven"`
	Piece    int       `json:"piece_trailers"`
	Pieces   []hexHash `json:"pieces"` // SHA-256 of each
	Sum      *hexHash  `json:"sum"`    // SHA-256 of this object without sum
}

const sideFormat = "kigo proven work 1"

func (r *record) encode() ([]byte, error) {
	s := sideFile{sideFormat, powRules, hexHash(mcm.GenesisHash), r.trailers, r.proven, PieceTrailers, toHex(r.pieces), nil}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	sum := hexHash(sha256.Sum256(b))
	s.Sum = &sum
	b, err = json.Marshal(s)
	return append(b, '\n'), err
}

// decodeRecord reads what encode wrote and nothing else.
func decodeRecord(b []byte) (record, error) {
	var s sideFile
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return record{}, err
	}
	r := record{prefix{s.Trailers, fromHex(s.Pieces)}, s.Proven}
	switch {
	case s.Format != sideFormat:
		return record{}, fmt.Errorf("format is %q, expected %q", s.Format, sideFormat)
	case s.PowRules != powRules:
		return record{}, fmt.Errorf("made under proof-of-work rules %d, these are %d", s.PowRules, powRules)
	case mcm.Hash(s.Network) != mcm.GenesisHash:
		return record{}, fmt.Errorf("of network %x, this is %v", s.Network, mcm.GenesisHash)
	case s.Trailers < 0 || piecesOf(s.Trailers) != int64(len(s.Pieces)):
		return record{}, fmt.Errorf("%d sums for %d trailers", len(s.Pieces), s.Trailers)
	}
	if again, err := r.encode(); err != nil || !bytes.Equal(again, b) {
		return record{}, errors.New("its sum doesn't fit its content")
	}
	last := int64(0)
	for _, x := range s.Proven {
		if x[0] < last || x[1] <= x[0] || x[1] > s.Trailers {
			return record{}, fmt.Errorf("proven trailers %v of %d", x, s.Trailers)
		}
		last = x[1] + 1
	}
	return r, nil
}

// A book keeps record of proven work during a run: what an earlier run has left
// in the side file and what this one adds.  Its methods do nothing on nil.
type book struct {
	path     string
	distrust func() bool // or nil
	known    record      // from the side file; never changed

	now   record // what this run has seen, in file order
	mute  bool   // nothing is saved any more
	wrote bool   // the side file is no more what known is
	stale bool   // known contradicts the data from now on
	dirty bool   // there is something to save
	done  bool   // now is the whole file
	rep   *Report
}

// openBook reads the side file at path.  One that can't be understood is moved
// out of the way, and rep says so.
func openBook(path string, distrust func() bool, rep *Report) (*book, error) {
	b := &book{path: path, distrust: distrust, rep: rep}
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return b, nil
	}
	if err != nil {
		return nil, fmt.Errorf("side file: %w", err)
	}
	if b.known, err = decodeRecord(data); err != nil {
		rep.notice("side file %s is not used and was renamed to end in .bad: %v", path, err)
		if err := os.Rename(path, path+".bad"); err != nil {
			return nil, fmt.Errorf("side file: %w", err)
		}
	}
	return b, nil
}

// add notes that the trailer at index carries proven work; fresh says that this
// run has proven it.
func (b *book) add(index int64, fresh bool) {
	if b == nil {
		return
	}
	if n := len(b.now.proven); n == maxSpans && b.now.proven[n-1][1] != index {
		return
	}
	b.now.proven = b.now.proven.extend(index, index+1)
	b.dirty = b.dirty || fresh
}

// bridge notes an exempt trailer: it continues a span but begins none.
func (b *book) bridge(index int64) {
	if b == nil {
		return
	}
	if n := len(b.now.proven); n > 0 && b.now.proven[n-1][1] == index {
		b.now.proven[n-1][1]++
	}
}

// advance notes that c lies behind: what it has proven has been added.
func (b *book) advance(c *chunk) {
	if b == nil {
		return
	}
	if c.differs && !b.stale {
		b.stale = true
		at := c.start + int64(c.same)
		b.rep.notice("side file %s: the data has changed after trailer %d; its proof of work is checked again from there", b.path, at)
	}
	whole := len(c.ts) / PieceTrailers
	b.now.pieces = append(b.now.pieces, c.sums[:whole]...)
	b.now.pieces = sumPieces(b.now.pieces, c.ts[whole*PieceTrailers:]) // the chunk may have been cut
	b.now.trailers = c.start + int64(len(c.ts))
}

// finish notes that the data has ended.
func (b *book) finish() {
	if b != nil {
		b.done = true
	}
}

// outlook returns the record to save: what this run has seen, and what is still
// to be believed of the side file beyond that.
func (b *book) outlook() record {
	r := record{b.now.prefix, slices.Clone(b.now.proven)}
	if b.stale || b.done || b.known.trailers <= r.trailers {
		return r
	}
	for _, x := range b.known.proven.clip(r.trailers, b.known.trailers) {
		r.proven = r.proven.extend(x[0], x[1])
	}
	r.prefix = b.known.prefix
	return r
}

// save writes the side file if there is news.
func (b *book) save() {
	switch {
	case b == nil || b.mute:
	case b.distrust != nil && b.distrust():
		b.recant()
	case b.dirty, b.done && (b.stale || b.now.trailers != b.known.trailers):
		b.write(b.outlook())
		b.dirty = false
	}
}

// recant puts the side file back to what earlier runs had proven and ends saving.
func (b *book) recant() {
	b.rep.notice("side file %s: an engine was found to be wrong, so nothing that this run has proven is kept", b.path)
	if b.wrote {
		b.write(b.known)
	}
	b.mute = true
}

// write makes r the side file.  Failing to costs time in the next run, nothing
// else, so it is a notice, and once is enough.
func (b *book) write(r record) {
	data, err := r.encode()
	if err == nil {
		err = WriteFile(b.path, func(w io.Writer) error {
			_, err := w.Write(data)
			return err
		})
	}
	if err != nil {
		b.mute = true
		b.rep.notice("what is proven could not be saved in side file %s: %v", b.path, err)
		return
	}
	b.wrote = true
}

func (v *verification) save() {
	v.saved = time.Now()
	v.book.save()
}
