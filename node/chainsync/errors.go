package chainsync

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
)

// A charge is what one peer has to answer for.
type charge struct {
	Peer      netip.Addr
	Fault     *fault.Fault     // nil: none
	Evidence  *evidence.Record // of the fault, where there is any
	Worthless int              // trailers that led nowhere
	Failed    int              // checks of work that failed
}

// settle enters the charge into the accounts, and reports whether it bans the peer.
func (c *charge) settle(a Accounts, now time.Time) (banned bool) {
	if c.Worthless > 0 {
		a.Worthless(c.Peer, c.Worthless, now)
	}
	if c.Failed > 0 {
		a.FailedWork(c.Peer, c.Failed, now)
	}
	return c.Fault != nil && a.Observe(c.Fault, c.Evidence, now)
}

// An invalidError says that a branch holds a trailer that can never be valid: it
// links to the tip and breaks a rule, or lacks its work.
type invalidError struct {
	proof.Invalid
	at     mcm.BlockNum
	faults []charge // those who served it, not yet charged
}

func (e *invalidError) Error() string { return "invalid branch: " + e.Finding.Error() }

// An anchorError says that a branch lacks a block that every chain has to have.
type anchorError struct {
	Name      string // base, pin or floor
	Num       mcm.BlockNum
	Got, Want mcm.Hash
}

func (e *anchorError) Error() string {
	return fmt.Sprintf("the branch has block %v with hash %v, the %s has %v", e.Num, e.Got, e.Name, e.Want)
}

// An unavailableError says that nobody serves a branch.
type unavailableError struct {
	at      mcm.BlockNum // the highest trailer that is missing
	reasons map[string]int
}

func (e *unavailableError) Error() string {
	var why []string
	for r, n := range e.reasons {
		why = append(why, fmt.Sprintf("%s: %d", r, n))
	}
	slices.Sort(why)
	if len(why) == 0 {
		why = []string{"no peer may be asked"}
	}
	return fmt.Sprintf("nobody serves block %v and those below it (%s)", e.at, strings.Join(why, ", "))
}

// errVerdict is a Verifier that says neither good nor bad of a trailer with work.
var errVerdict = errors.New("chainsync: the verifier reported success without a verdict")
