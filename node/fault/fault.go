package fault

import (
	"fmt"
	"net/netip"
)

// A Class says what an observation proves.
type Class uint8

// The classes.
const (
	None      Class = iota // nothing is proven, nobody is charged
	Soft                   // what a bad line or a chain switch does to an honest peer too
	Objective              // a statement that contradicts itself or a verified fact
)

// A Kind is one thing that can be observed about a peer.  It is spelled as in
// JSON, in logs and in the kind label of metrics.
type Kind string

// The kinds of docs/spec/sync.md section 8.8, objective ones first.
const (
	InvalidTrailer Kind = "invalid_trailer" // a trailer that breaks a rule for ever, or has no valid work
	WrongNumbers   Kind = "wrong_numbers"   // trailers whose numbers are not those asked for
	PinMismatch    Kind = "pin_mismatch"    // a chunk of old history that differs from the pin's digest
	BadBody        Kind = "bad_body"        // a block whose body does not fit its genuine trailer
	TooLong        Kind = "too_long"        // more data than was asked for
	BadList        Kind = "bad_list"        // an address list that is no multiple of four, or too long
	BadFrame       Kind = "bad_frame"       // wrong network, end mark or ids under a right CRC
	FalseWeight    Kind = "false_weight"    // a weight other than the exact one of the stated tip
	ForeignRange   Kind = "foreign_range"   // a range that does not link, deep below the stated tip

	BrokenLink    Kind = "broken_link"    // a link broken near the tip
	ClaimMismatch Kind = "claim_mismatch" // a proof that does not end in the peer's own claim
	NotMultiple   Kind = "not_multiple"   // trailers whose bytes are no multiple of 160
	BadCRC        Kind = "bad_crc"
	TooSlow       Kind = "too_slow" // below the least rate, or past a deadline while data came
	Timeout       Kind = "timeout"
	Reset         Kind = "reset"
	Refused       Kind = "refused" // no connection, BUSY, NACK, another opcode, a close without an answer

	ShortReply Kind = "short_reply" // fewer trailers than asked for
	OtherBlock Kind = "other_block" // another block than expected under a number
	Early      Kind = "early"       // rests on our clock: a solve time in the future
	TooHigh    Kind = "too_high"    // rests on our clock: a height that no chain can have yet
	TooOld     Kind = "too_old"     // a tip below version 3, which recomputes to nothing
)

// scores is the table of docs/spec/sync.md section 8.8, in the order of the
// constants.
var scores = []struct {
	kind   Kind
	class  Class
	points float64
}{
	{InvalidTrailer, Objective, 100},
	{WrongNumbers, Objective, 100},
	{PinMismatch, Objective, 100},
	{BadBody, Objective, 100},
	{TooLong, Objective, 50},
	{BadList, Objective, 50},
	{BadFrame, Objective, 50},
	{FalseWeight, Objective, 50},
	{ForeignRange, Objective, 50},
	{BrokenLink, Soft, 10},
	{ClaimMismatch, Soft, 10},
	{NotMultiple, Soft, 10},
	{BadCRC, Soft, 10},
	{TooSlow, Soft, 10},
	{Timeout, Soft, 5},
	{Reset, Soft, 2},
	{Refused, Soft, 1},
	{ShortReply, None, 0},
	{OtherBlock, None, 0},
	{Early, None, 0},
	{TooHigh, None, 0},
	{TooOld, None, 0},
}

// Kinds returns all kinds, objective ones first.
func Kinds() []Kind {
	kinds := make([]Kind, len(scores))
	for i := range scores {
		kinds[i] = scores[i].kind
	}
	return kinds
}

// Class returns what the kind proves: None for a kind that isn't in the table.
func (k Kind) Class() Class {
	class, _ := k.score()
	return class
}

// Points returns what one observation costs: 0 for a kind that isn't in the
// table.
func (k Kind) Points() float64 {
	_, points := k.score()
	return points
}

func (k Kind) score() (Class, float64) {
	for i := range scores {
		if scores[i].kind == k {
			return scores[i].class, scores[i].points
		}
	}
	return None, 0
}

// String returns the class's name in lower case.
func (c Class) String() string {
	switch c {
	case Soft:
		return "soft"
	case Objective:
		return "objective"
	default:
		return "none"
	}
}

// A Fault is an observation about a peer, made where the evidence is.  It is an
// error, and the only thing that a peer is charged for.
type Fault struct {
	Kind   Kind
	Peer   netip.Addr
	Detail string // what was seen, for people
	Err    error  // what it rests on, if anything
}

// Error implements error.
func (f *Fault) Error() string {
	s := fmt.Sprintf("peer %s: %s", f.Peer, f.Kind)
	if seen := f.Seen(); seen != "" {
		s += ": " + seen
	}
	return s
}

// Seen returns what was seen, without who it was and what it is called.
func (f *Fault) Seen() string {
	switch {
	case f.Err == nil:
		return f.Detail
	case f.Detail == "":
		return f.Err.Error()
	}
	return f.Detail + ": " + f.Err.Error()
}

// Unwrap returns what the fault rests on.
func (f *Fault) Unwrap() error { return f.Err }
