package chainsync

import (
	"kigo/node/chain"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/scan"
	"kigo/node/status"
)

// An End says how a branch was resolved, or that it wasn't.
type End string

// The ends of a branch.
const (
	Chosen      End = "chosen"      // the own chain is this branch now
	Lighter     End = "lighter"     // its exact weight is known, and another branch or the own chain goes before it
	Invalid     End = "invalid"     // it holds a trailer that can never be valid
	Unavailable End = "unavailable" // nobody serves it
	Unresolved  End = "unresolved"  // the sync ended before it was resolved
	Refused     End = "refused"     // it lacks the pin's or the floor's block
	Aside       End = "aside"       // not tried: it waits, see Waiting
	WantsScan   End = "needs_scan"  // see Outcome.NeedsScan
)

// Ends lists all ends.
func Ends() []End {
	return []End{Chosen, Lighter, Invalid, Unavailable, Unresolved, Refused, Aside, WantsScan}
}

// A Resolved is what came of one branch.
type Resolved struct {
	Tip    mcm.Hash     `json:"tip"`
	Height mcm.BlockNum `json:"height"`
	Rank   int          `json:"rank"`
	Groups int          `json:"groups"`
	End    End          `json:"end"`
	Detail string       `json:"detail"`

	// Of a branch that was followed to a known block.
	Exact  bool         `json:"exact"`
	Fork   mcm.BlockNum `json:"fork"` // its first block that is not on the own chain
	Weight mcm.Weight   `json:"weight"`
	Work   mcm.Weight   `json:"work"` // Σ 2^difficulty over its worked trailers, from the own chain's base on

	// Of an invalid one.
	Finding *proof.Finding `json:"-"`
}

// Alarms that a sync can raise, besides those of package scan (docs/spec/sync.md
// sections 8.5, 8.9 and 8.10).
const (
	DeepAlarm   scan.AlarmKind = "deep_reorganisation"
	FloorAlarm  scan.AlarmKind = "floor_violated"
	PinAlarm    scan.AlarmKind = "pin_violated"
	BehindAlarm scan.AlarmKind = "behind"
)

// An Outcome is what one Run came to.
type Outcome struct {
	Switched bool
	From, To chain.Tip // the own tip before and after; equal unless Switched
	Depth    int       // own blocks that were replaced
	// Replaced and Gained are the worked weight of the own blocks that were replaced
	// and of those in their place: less of it is weight without work (docs/spec/sync.md
	// section 8.10, cheap weight).
	Replaced, Gained mcm.Weight

	// NeedsScan says that a heavier branch replaces so much of the own chain that it
	// wants another scan first; when that shows the branch again Run switches to it.
	NeedsScan bool
	// Quorum says that the branch that is the own chain now has the support that was
	// asked for; false when no branch is.
	Quorum bool

	Resolved []Resolved         // by rank
	Behind   []Branch           // those that are unresolved, for another Run
	Faults   map[fault.Kind]int // that peers were charged with
	Alarms   []scan.Alarm
	Doubt    []mcm.Hash      // trailers by which too many fall: refused, not to be remembered as invalid
	Quick    *status.Sampled // what sampling established of the branch chosen; nil when all was checked at once
	Bytes    int64           // received
	Trailers int64           // that linked
	Checked  int64           // proofs of work computed
}
