package verify

import (
	"context"
	"errors"
	"fmt"

	"kigo/node/mcm"
)

// ErrClosed is returned by a Verifier that has been closed.
var ErrClosed = errors.New("verify: closed")

// errUndecided is what a Verifier is charged with that returns no error and
// leaves entries Unchecked.
var errUndecided = errors.New("reported success but left trailers unchecked")

// A BackendError says that a backend itself failed.  No peer is to blame, and
// nothing is proven about any trailer.
type BackendError struct {
	Backend string // its Info().Name
	Op      string // what it was asked to do: verify, self-test, audit, close
	Err     error
}

func (e *BackendError) Error() string {
	return fmt.Sprintf("verify: backend %s: %s: %v", e.Backend, e.Op, e.Err)
}

func (e *BackendError) Unwrap() error { return e.Err }

// A RetireClass says in a word why a backend is retired, for metrics.
type RetireClass string

// The classes.  The first two say that it computes wrongly, so that what it has
// called valid before may be wrong too.
const (
	Disagreed   RetireClass = "disagreed"    // the oracle judged a trailer otherwise
	KnownAnswer RetireClass = "known_answer" // it was wrong about a trailer of which all is known
	Failed      RetireClass = "failed"       // its hardware or driver reported an error for good
	Hung        RetireClass = "hung"         // it gave no answer in time
)

// wrong reports whether what is retired for it computes wrongly.
func (c RetireClass) wrong() bool { return c == Disagreed || c == KnownAnswer }

// A RetiredError says that a backend serves no more for the life of the process.
type RetiredError struct {
	Backend string // its Info().Name
	Class   RetireClass
	Reason  string // what happened, for people
}

func (e *RetiredError) Error() string {
	return fmt.Sprintf("verify: backend %s is retired: %s", e.Backend, e.Reason)
}

// A LengthError says that a caller's slices don't match.  It is the caller's
// mistake, so no backend is demoted for it.
type LengthError struct {
	Results  int // len(dst)
	Trailers int // len(batch)
}

func (e *LengthError) Error() string {
	return fmt.Sprintf("verify: %d results for %d trailers, want as many", e.Results, e.Trailers)
}

// CheckLengths returns a *LengthError unless dst has batch's length.  Every
// Verifier calls it before it touches dst.
func CheckLengths(dst []Result, batch []mcm.Trailer) error {
	if len(dst) != len(batch) {
		return &LengthError{len(dst), len(batch)}
	}
	return nil
}

// Interrupted returns nil while ctx lives, and then the error that a Verifier
// has to return: one that wraps context.Cause(ctx).
func Interrupted(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return fmt.Errorf("verify: interrupted: %w", context.Cause(ctx))
}

// undecided reports whether an entry is left Unchecked.
func undecided(dst []Result) bool {
	for i := range dst {
		if dst[i].Verdict == Unchecked {
			return true
		}
	}
	return false
}
