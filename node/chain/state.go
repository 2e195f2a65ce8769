package chain

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"kigo/node/internal/pack"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/tfile"
)

// pieceLen is how many trailers one digest covers.
const pieceLen = tfile.PieceTrailers

// A Tip is a block of the own chain and what lies behind it.
type Tip struct {
	Num    mcm.BlockNum
	Hash   mcm.Hash
	Weight mcm.Weight // exact, of the chain up to and including it
	Work   mcm.Weight // Σ 2^difficulty of the worked trailers from the base on
	Time   uint32     // its solve time, Unix seconds
}

// A Span is Count blocks from First on.
type Span struct {
	First mcm.BlockNum
	Count int
}

// end returns the number behind the span.
func (s Span) end() mcm.BlockNum { return s.First + mcm.BlockNum(s.Count) }

// A base is the block at which a chain begins.
type base struct {
	num    mcm.BlockNum
	hash   mcm.Hash
	weight mcm.Weight
}

// baseOf returns the base that an anchor names; the zero one is the genesis.
func baseOf(a proof.Anchor) base {
	if a.Num == 0 && a.Hash.IsZero() {
		g := mcm.GenesisTrailer()
		return base{0, *g.Hash(), rules.AddWeight(mcm.Weight{}, &g)}
	}
	return base{a.Num, a.Hash, a.Weight}
}

func (b base) String() string {
	return fmt.Sprintf("block %v, hash %v, weight %v", b.num, b.hash, b.weight)
}

// first returns the tip of the chain that consists of the base, whose trailer is t.
func (b base) first(t *mcm.Trailer) Tip {
	tip := Tip{Num: b.num, Hash: b.hash, Weight: b.weight, Time: t.SolveTime()}
	if proof.IsWorked(t) {
		tip.Work = tip.Work.AddDifficulty(t.WorkDifficulty())
	}
	return tip
}

// grow returns the tip after t has followed it.
func (p Tip) grow(t *mcm.Trailer) Tip {
	p.Num, p.Hash, p.Time = t.Num(), *t.Hash(), t.SolveTime()
	p.Weight = rules.AddWeight(p.Weight, t)
	if proof.IsWorked(t) {
		p.Work = p.Work.AddDifficulty(t.WorkDifficulty())
	}
	return p
}

// A state is what is vouched for.  It doesn't change once made.
type state struct {
	base    base
	count   int64 // trailers
	tip     Tip   // zero while count is
	pending Span  // empty for none
	pieces  []mcm.Hash
}

func piecesOf(count int64) int { return int((count + pieceLen - 1) / pieceLen) }

// index returns the place of block n among the trailers.  It need not be below
// count.
func (s *state) index(n mcm.BlockNum) int64 { return int64(n - s.base.num) }

// has reports whether block n is in the chain.
func (s *state) has(n mcm.BlockNum) bool {
	return n >= s.base.num && uint64(n-s.base.num) < uint64(s.count)
}

// pieceSize returns the number of trailers in piece i.
func (s *state) pieceSize(i int) int {
	return int(min(pieceLen, s.count-int64(i)*pieceLen))
}

// The state's form on disk, integers little-endian:
//
//	magic | base: number, hash, weight | count | tip: hash, weight, work, time |
//	pending: first, count | number of pieces | their digests | SHA-256 of all before
const (
	stateMagic = "kigo chain state 1\n"
	stateHead  = len(stateMagic) + 8 + 64 + 8 + 96 + 4 + 16 + 4
)

func (s *state) encode() []byte {
	b := make([]byte, 0, stateHead+len(s.pieces)*mcm.HashLen+sha256.Size)
	u64 := func(n uint64) { b = binary.LittleEndian.AppendUint64(b, n) }
	weight := func(w mcm.Weight) {
		le := w.LE()
		b = append(b, le[:]...)
	}
	b = append(b, stateMagic...)
	u64(uint64(s.base.num))
	b = append(b, s.base.hash[:]...)
	weight(s.base.weight)
	u64(uint64(s.count))
	b = append(b, s.tip.Hash[:]...)
	weight(s.tip.Weight)
	weight(s.tip.Work)
	b = binary.LittleEndian.AppendUint32(b, s.tip.Time)
	u64(uint64(s.pending.First))
	u64(uint64(s.pending.Count))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(s.pieces)))
	for i := range s.pieces {
		b = append(b, s.pieces[i][:]...)
	}
	return seal(b)
}

// seal appends the SHA-256 of b.
func seal(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// unseal returns what seal was given, behind the magic.
func unseal(b []byte, magic string) ([]byte, error) {
	n := len(b) - sha256.Size
	if n < len(magic) || string(b[:len(magic)]) != magic {
		return nil, fmt.Errorf("doesn't begin with %q", magic)
	}
	if sum := sha256.Sum256(b[:n]); !bytes.Equal(sum[:], b[n:]) {
		return nil, errors.New("its checksum doesn't fit its content")
	}
	return b[len(magic):n], nil
}

// maxTrailers bounds what a record may say, so that no sum of places overflows.
const maxTrailers = 1 << 40

// decodeState reads what encode wrote and nothing else.
func decodeState(b []byte) (*state, error) {
	body, err := unseal(b, stateMagic)
	if err != nil {
		return nil, err
	}
	r := pack.NewReader(body)
	weight := func() mcm.Weight {
		var le [32]byte
		r.Fill(le[:])
		return mcm.WeightFromLE(&le)
	}
	s := &state{}
	s.base.num = mcm.BlockNum(r.Uint64())
	r.Fill(s.base.hash[:])
	s.base.weight = weight()
	count := r.Uint64()
	r.Fill(s.tip.Hash[:])
	s.tip.Weight = weight()
	s.tip.Work = weight()
	s.tip.Time = r.Uint32()
	s.pending.First = mcm.BlockNum(r.Uint64())
	pending := r.Uint64()
	pieces := int64(r.Uint32())
	if count > maxTrailers || pending > count || pieces != int64(piecesOf(int64(count))) || uint64(s.base.num)+count < count {
		return nil, fmt.Errorf("%d digests for %d trailers, %d of them pending", pieces, count, pending)
	}
	s.count, s.pending.Count = int64(count), int(pending)
	for range pieces {
		var h mcm.Hash
		r.Fill(h[:])
		if !r.OK() {
			break
		}
		s.pieces = append(s.pieces, h)
	}
	if err := r.Done(); err != nil {
		return nil, err
	}
	switch {
	case s.count == 0 && (s.tip != Tip{} || s.pending != Span{}):
		return nil, errors.New("a tip without trailers")
	case s.count > 0:
		s.tip.Num = s.base.num + mcm.BlockNum(s.count) - 1
	}
	if p := s.pending; p.Count == 0 && p.First != 0 || p.Count > 0 && (!s.has(p.First) || !s.has(p.end()-1)) {
		return nil, fmt.Errorf("%d pending from block %v on are not in the chain", p.Count, p.First)
	}
	return s, nil
}
