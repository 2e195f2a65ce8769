package mcm

import (
	"encoding/binary"
	"encoding/hex"
	"unsafe"
)

// Sizes in bytes (docs/spec/chain.md section 1.2).
const (
	TrailerLen = 160
	HashLen    = 32
	NonceLen   = 32
)

// Offsets of the fields of a trailer (docs/spec/chain.md section 2).
const (
	offPrevHash   = 0
	offNum        = 32
	offMinFee     = 40
	offTxCount    = 48
	offStartTime  = 52
	offDifficulty = 56
	offMerkleRoot = 60
	offNonce      = 92
	offSolveTime  = 124
	offHash       = 128
)

// A Hash is 32 bytes in the order in which its algorithm writes them.
type Hash [HashLen]byte

// String returns the hash as 64 lower-case hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText implements encoding.TextMarshaler with String's form.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// IsZero reports whether all 32 bytes are zero.
func (h Hash) IsZero() bool { return h == Hash{} }

// LeadingZeroBits counts the zero bits before the first set bit, from byte 0
// on and within a byte from the most significant bit (docs/spec/pow.md
// section 6).
func (h *Hash) LeadingZeroBits() int {
	for i, b := range h {
		for bit := range 8 {
			if b&(0x80>>bit) != 0 {
				return 8*i + bit
			}
		}
	}
	return 8 * HashLen
}

// A Nonce is two haiku halves of 16 tokens each (docs/spec/pow.md section 5).
type Nonce [NonceLen]byte

// A Trailer is the last 160 bytes of a block, exactly as they stand on the wire
// and in a trailer file.  Its accessors decode fields in place.
type Trailer [TrailerLen]byte

var _ [160]byte = Trailer{}

// PrevHash returns phash, the block hash of the previous block.
func (t *Trailer) PrevHash() *Hash { return (*Hash)(t[offPrevHash:]) }

// Num returns bnum, the block number.
func (t *Trailer) Num() BlockNum { return BlockNum(binary.LittleEndian.Uint64(t[offNum:])) }

// MinFee returns mfee, the lowest transaction fee the block declares.
func (t *Trailer) MinFee() uint64 { return binary.LittleEndian.Uint64(t[offMinFee:]) }

// TxCount returns tcount, the number of transactions in the block.
func (t *Trailer) TxCount() uint32 { return binary.LittleEndian.Uint32(t[offTxCount:]) }

// StartTime returns time0, the solve time of the previous block in Unix
// seconds.
func (t *Trailer) StartTime() uint32 { return binary.LittleEndian.Uint32(t[offStartTime:]) }

// Difficulty returns all 32 bits of the difficulty field.  Rules compare all of
// them; proof of work and weight use the low byte, which is WorkDifficulty.
func (t *Trailer) Difficulty() uint32 { return binary.LittleEndian.Uint32(t[offDifficulty:]) }

// WorkDifficulty returns the low byte of the difficulty field: how many leading
// zero bits the final hash must have.
func (t *Trailer) WorkDifficulty() uint8 { return t[offDifficulty] }

// MerkleRoot returns mroot, the Merkle root of the block's contents.
func (t *Trailer) MerkleRoot() *Hash { return (*Hash)(t[offMerkleRoot:]) }

// Nonce returns the proof-of-work nonce.
func (t *Trailer) Nonce() *Nonce { return (*Nonce)(t[offNonce:]) }

// SolveTime returns stime, the time the block was solved in Unix seconds.
func (t *Trailer) SolveTime() uint32 { return binary.LittleEndian.Uint32(t[offSolveTime:]) }

// Hash returns bhash, the block hash that the trailer claims.  From V30Trigger
// on it is the SHA-256 of the first 128 bytes; before it covers the whole block
// and can't be recomputed from a trailer.
func (t *Trailer) Hash() *Hash { return (*Hash)(t[offHash:]) }

// SetNum stores the block number.
func (t *Trailer) SetNum(n BlockNum) { binary.LittleEndian.PutUint64(t[offNum:], uint64(n)) }

// SetMinFee stores the minimum fee.
func (t *Trailer) SetMinFee(fee uint64) { binary.LittleEndian.PutUint64(t[offMinFee:], fee) }

// SetTxCount stores the number of transactions.
func (t *Trailer) SetTxCount(n uint32) { binary.LittleEndian.PutUint32(t[offTxCount:], n) }

// SetStartTime stores time0.
func (t *Trailer) SetStartTime(s uint32) { binary.LittleEndian.PutUint32(t[offStartTime:], s) }

// SetDifficulty stores all 32 bits of the difficulty field.
func (t *Trailer) SetDifficulty(d uint32) { binary.LittleEndian.PutUint32(t[offDifficulty:], d) }

// SetSolveTime stores stime.
func (t *Trailer) SetSolveTime(s uint32) { binary.LittleEndian.PutUint32(t[offSolveTime:], s) }

// Kind tells which kind of block the trailer's own number and transaction count
// make it (docs/spec/chain.md section 4).
func (t *Trailer) Kind() Kind {
	switch n := t.Num(); {
	case n == 0:
		return Genesis
	case n.IsNeogenesis():
		return Neogenesis
	case t.TxCount() == 0:
		return Pseudo
	default:
		return Standard
	}
}

// Trailers returns b as trailers without copying.  It panics when b's length is
// not a multiple of TrailerLen.
func Trailers(b []byte) []Trailer {
	if len(b)%TrailerLen != 0 {
		panic("mcm: bytes are not whole trailers")
	}
	if len(b) == 0 {
		return nil
	}
	return unsafe.Slice((*Trailer)(b), len(b)/TrailerLen)
}

// Bytes returns the bytes of trailers without copying.
func Bytes(ts []Trailer) []byte {
	if len(ts) == 0 {
		return nil
	}
	return unsafe.Slice(&ts[0][0], len(ts)*TrailerLen)
}
