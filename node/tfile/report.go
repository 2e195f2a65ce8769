package tfile

import (
	"fmt"
	"time"

	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/verify"
)

// DefaultBatch is the largest number of trailers per proof-of-work batch unless
// Options say otherwise: enough for every core's lanes many times over, so that
// the last ones of a batch don't leave cores idle for long.
const DefaultBatch = 16 * PieceTrailers

// MaxProblems is how many problems a Report keeps; the rest is counted only.
const MaxProblems = 10000

// Options tell Verify what to check and how.
type Options struct {
	// Verifier checks proof of work; nil leaves it out.
	Verifier verify.Verifier
	// Now is the clock for the rule on solve times, Unix seconds.
	Now int64
	// Segment accepts data that does not begin at the genesis.  Of the first
	// trailer all is checked that it shows by itself (rules.CheckFirst), and its
	// proof of work.
	Segment bool
	// PowFrom is the first block whose proof of work is checked.  Structure is
	// checked from the first trailer on in any case.
	PowFrom mcm.BlockNum
	// All goes on after a bad trailer and lists every one; the next trailer is
	// held against the bad one's bytes as they stand.
	All bool
	// Pin vouches for the proof of work of a prefix.  Data that contradicts it
	// ends Verify with a *PinError.  Not with Segment.
	Pin *Pin
	// DerivePin makes Report.Pin from the bytes that are judged.  Not with
	// Segment.
	DerivePin bool
	// Resume is the path of the side file that remembers what is proven, "" for
	// none.
	Resume string
	// Distrust, unless nil, is asked before the side file is saved.  Once it
	// returns true, the side file goes back to what earlier runs had proven: an
	// engine was found to be wrong, and nobody knows what else it got wrong.
	Distrust func() bool
	// Progress, unless nil, is called about ten times a second and once at the
	// end, by one goroutine at a time.
	Progress func(Progress)
	// Batch is the number of trailers per proof-of-work batch.  0 leaves it to
	// Verify, which takes what the engine does in half a second, up to
	// DefaultBatch.  Memory grows with batches above that: three of them are
	// always in use.
	Batch int
}

// A Progress tells how far Verify has come, in trailers.
type Progress struct {
	Read    int64 // structure known
	Proven  int64 // proof of work settled too, though maybe not in a row
	Total   int64 // in all, -1 if unknown
	Elapsed time.Duration
	// Fault is the first broken structure rule the scout has met, else nil.  The
	// data is invalid then, whatever the proof of work before it shows.
	Fault *Problem
}

// A Problem is a rule that one trailer, or the data as a whole, breaks.
type Problem struct {
	Num    mcm.BlockNum // the number the block must have
	Index  int64        // of the trailer in the data, from 0
	Offset int64        // of its first byte
	Rule   rules.Rule
	Detail string // what was expected and what was found
}

func (p Problem) Error() string {
	return fmt.Sprintf("block %v at byte %d: %s: %s", p.Num, p.Offset, p.Rule, p.Detail)
}

func (p Problem) Unwrap() error { return p.Rule }

func problemAt(index int64, n mcm.BlockNum, r rules.Rule, format string, args ...any) Problem {
	return Problem{n, index, index * mcm.TrailerLen, r, fmt.Sprintf(format, args...)}
}

// A Report is what Verify found.  It depends on the data and the options alone,
// but for Elapsed and, after an interruption, for how far it came.
type Report struct {
	// Trailers counts those judged: all of them, or without Options.All up to
	// and including the first bad one.
	Trailers int64
	Good     int64        // those of them that nothing was found wrong with
	First    mcm.BlockNum // number of the first trailer, as it stands
	Last     mcm.BlockNum // number of the last good trailer, 0 if Good is
	Tip      mcm.Hash     // hash of the last good trailer, zero if Good is
	// Weight sums the good trailers that count (docs/spec/chain.md section 7);
	// Proven those of them that carry work which was found valid or is known
	// from the pin or the side file.
	Weight, Proven mcm.Weight

	// Checked counts proofs of work that were computed, Bad those of them that
	// failed, Exempt trailers that need none.
	Checked, Bad, Exempt int64
	// Known counts proofs of work that were not computed: the sum of Pinned,
	// Resumed (proven by an earlier run) and Skipped (before Options.PowFrom, or
	// all others without Options.Verifier).
	Known, Pinned, Resumed, Skipped int64

	PowChecked bool // Options.Verifier was given
	// Complete says that judging came to its end: to the end of the data, or
	// without Options.All to the first problem.
	Complete bool
	Problems []Problem // in file order, at most MaxProblems
	Omitted  int64     // problems beyond them
	// Pin is the pin at the last trailer, with Options.DerivePin and if the data
	// is valid; else nil.
	Pin *Pin
	// Notices are what a person should know about the run that is no fault of
	// the data: a damaged side file, a file that was edited since.
	Notices []string
	Elapsed time.Duration
}

// Valid reports whether all of the data was judged and nothing found wrong.
// Proof of work counts only where it was asked for.
func (r *Report) Valid() bool { return r.Complete && len(r.Problems) == 0 }

// add notes a problem; problems come in file order.
func (r *Report) add(p Problem) {
	if len(r.Problems) == MaxProblems {
		r.Omitted++
		return
	}
	r.Problems = append(r.Problems, p)
}

func (r *Report) notice(format string, args ...any) {
	r.Notices = append(r.Notices, fmt.Sprintf(format, args...))
}
