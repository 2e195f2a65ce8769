package branch

import (
	"net/netip"
	"slices"
	"time"

	"kigo/node/mcm"
	"kigo/node/proof"
)

// Options say what a Store knows beforehand, and its bounds.
type Options struct {
	// Anchors are blocks of which the weight is known: pin, floor, own tip.  Where
	// several would do the first counts.
	Anchors []proof.Anchor
	// Base is the lowest block that anybody need serve, as in proof.Options.
	Base mcm.BlockNum
	// Fresh is how much older than the newest a tip may be to come first; 0 is one
	// hour, for an honest tip is at most a few minutes old.
	Fresh time.Duration
	// MaxTrailers is how many trailers are kept; 0 is 65,536.
	MaxTrailers int
}

const (
	defaultFresh       = time.Hour
	defaultMaxTrailers = 65536
)

// A Branch is one way in which the chain goes on.
type Branch struct {
	Tip    mcm.Hash     `json:"tip"`
	Height mcm.BlockNum `json:"height"`
	Time   uint32       `json:"time"` // solve time of the tip, Unix seconds

	// Root and First are hash and number of the lowest stored trailer.  Branches
	// with the same Root meet; Place numbers the roots in the order of rank.
	Root  mcm.Hash     `json:"root"`
	First mcm.BlockNum `json:"first"`
	Place int          `json:"place"`

	// Density is the work per trailer, in hashes, over the end of the branch that
	// makes a proof: 54 trailers, or as many more as hold 8 worked ones.
	Density  float64    `json:"density"`
	Trailers int        `json:"trailers"` // stored, from the root on
	Worked   int        `json:"worked"`   // those with proof of work, all verified
	Work     mcm.Weight `json:"work"`     // Σ 2^difficulty over them
	// Thin is a branch that counts for no quorum: with fewer than 8 worked trailers,
	// and not followed back to an anchor, to the base, or for 1,000 trailers.
	Thin bool `json:"thin"`

	Fresh      bool `json:"fresh"`       // the tip is about as new as the newest
	FirstClass bool `json:"first_class"` // fresh, and at least a quarter as dense as the densest
	Refused    bool `json:"refused"`     // lacks an anchor that every chain must contain

	Groups []netip.Prefix `json:"groups"` // of the peers that support it, ascending
	Peers  []netip.Addr   `json:"peers"`  // ascending

	// Weight is that of the whole chain up to the tip, if Exact: an anchor is met.
	Exact  bool       `json:"exact"`
	Weight mcm.Weight `json:"weight"`

	leaf *node
}

// Segment returns the branch's trailers that are stored, from the root to the tip.  It
// must be called before the store changes.
func (b *Branch) Segment() []mcm.Trailer {
	ts := make([]mcm.Trailer, 0, b.Trailers)
	for n := b.leaf; n != nil; n = n.parent {
		ts = append(ts, n.t)
	}
	slices.Reverse(ts)
	return ts
}
