package verify

import (
	"context"
	"fmt"

	"kigo/node/mcm"
)

// A Verdict is what a Verifier found out about one trailer.
type Verdict uint8

// The verdicts.  The zero value accepts nothing: an entry that was forgotten
// fails closed.
const (
	Unchecked Verdict = iota // nobody has decided yet
	Exempt                   // genesis, neogenesis and pseudoblocks carry no proof
	Valid                    // the proof of work holds
	BadNonce                 // a half of the nonce breaks the haiku grammar
	BadWork                  // the final hash falls short of the difficulty
)

// String returns the verdict as it is spelled in JSON: unchecked, exempt,
// valid, bad_nonce or bad_work.
func (v Verdict) String() string {
	switch v {
	case Unchecked:
		return "unchecked"
	case Exempt:
		return "exempt"
	case Valid:
		return "valid"
	case BadNonce:
		return "bad_nonce"
	case BadWork:
		return "bad_work"
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// Bad reports whether the verdict proves the trailer wrong.
func (v Verdict) Bad() bool { return v == BadNonce || v == BadWork }

// OK reports whether the trailer carries all the work that is asked of it.
func (v Verdict) OK() bool { return v == Valid || v == Exempt }

// A Result is what an engine found out about one trailer.
type Result struct {
	Verdict Verdict
	// Hash is the final hash the verdict rests on (docs/spec/pow.md sections 7
	// and 9.7); zero when the trailer is exempt or its nonce is no haiku.
	Hash mcm.Hash
}

// A Verifier checks the proof of work of many trailers in one call.
//
// VerifyPoW stores the result for batch[i] in dst[i]; the slices must have the
// same length, stay the caller's and aren't kept.  A bad trailer is a verdict,
// never an error: an error says that the verifier itself failed or that ctx
// ended (then it wraps context.Cause(ctx)), and entries that were not reached
// stay or become Unchecked.  Safe for concurrent use.
type Verifier interface {
	VerifyPoW(ctx context.Context, dst []Result, batch []mcm.Trailer) error
}

// Info describes a Backend.
type Info struct {
	// Name is the engine's name as --engine takes it: portable, lanes, avx2,
	// avx512, cuda:0.
	Name string
	// Detail says on what it runs, for people.
	Detail string
	// Device names the hardware the engine keeps busy: cpu, cuda:0.  Backends of
	// different devices can share one large batch; those that name none share
	// with nobody.
	Device string
	// Lanes is how many trailers the engine takes in one step; 1 for scalar
	// engines.
	Lanes int
	// MinBatch is the smallest batch worth handing over; the router gives
	// smaller ones to the next engine.
	MinBatch int
	// Chunk is the batch at which the engine is about at its best rate.
	Chunk int
}

// A Backend is a Verifier bound to a piece of hardware.
type Backend interface {
	Verifier
	Info() Info
	Close() error
}
