package status

import (
	"net/netip"
	"time"

	"kigo/node/mcm"
)

// A State is what the node is doing (docs/spec/sync.md section 8.9).
type State string

// The states, one at a time.
const (
	Bootstrap State = "bootstrap" // finding out whom to follow; an own chain is served meanwhile
	Sync      State = "sync"      // a heavier branch is being fetched and proven
	Follow    State = "follow"    // the own chain is proven, recent, and has its quorum
	Isolated  State = "isolated"  // no peer has shown a proof that holds for a while
	Stalled   State = "stalled"   // peers have, but something else is missing: see Status.Reason
)

// States lists all states.
func States() []State { return []State{Bootstrap, Sync, Follow, Isolated, Stalled} }

// A Tip is the end of a chain of which the trailers are proven.  A trailer says
// nothing about its block's body, and so neither does a Tip.
type Tip struct {
	Height     mcm.BlockNum `json:"height"`
	Hash       mcm.Hash     `json:"hash"`
	PrevHash   mcm.Hash     `json:"previous_hash"`
	Kind       string       `json:"kind"` // as mcm.Kind spells it
	Time       time.Time    `json:"time"` // when it was solved
	Difficulty uint32       `json:"difficulty"`
	Weight     mcm.Weight   `json:"weight"`
	Work       mcm.Weight   `json:"work"`   // Σ 2^difficulty over its chain's worked trailers
	Proven     string       `json:"proven"` // "header": trailers, work included, but no bodies
	Groups     int          `json:"groups"` // that support it: peers of so many networks are on it
	Peers      int          `json:"peers"`
	Haiku      string       `json:"haiku"` // of the newest worked trailer, lines parted by "\n"
}

// A Sampled says what a secret draw of trailers has established.
type Sampled struct {
	Samples  int     `json:"samples"`  // drawn with probability proportional to their weight
	Fraction float64 `json:"fraction"` // if more than this share of the weight had no valid work,
	Missed   float64 `json:"missed"`   // the chance that no sample shows it is below this
	Text     string  `json:"text"`     // the same in words
}

// A Branch is one that is being fetched.
type Branch struct {
	Tip      mcm.Hash     `json:"tip"`
	Height   mcm.BlockNum `json:"height"`
	Stage    string       `json:"stage"`    // anchoring, history, work, waiting, resolved
	Low      mcm.BlockNum `json:"low"`      // lowest trailer that links to the tip
	Target   mcm.BlockNum `json:"target"`   // the block to be met
	Trailers int64        `json:"trailers"` // linked so far
	Checked  int64        `json:"checked"`  // of these, those with their work checked
	Sources  int          `json:"sources"`  // peers that may be asked
	Flight   int          `json:"in_flight"`
	Detail   string       `json:"detail"`
}

// A SyncProgress tells how far a sync has come; nil in a Status means none is under way.
type SyncProgress struct {
	Started  time.Time `json:"started"`
	Stage    string    `json:"stage"` // anchoring, history, work, switching
	Branches []Branch  `json:"branches"`
	Received int64     `json:"received_bytes"`
	Trailers int64     `json:"trailers"` // linked, of all branches
	Checked  int64     `json:"checked"`  // proofs of work computed
	Rate     float64   `json:"trailers_per_second"`
	WorkRate float64   `json:"checks_per_second"`
	Left     *float64  `json:"seconds_left"` // nil when nobody can tell
	Sampled  *Sampled  `json:"sampled"`      // what sampling has established so far; nil before
}

// An Alarm says that something is wrong that no single peer can be charged with
// (docs/spec/sync.md section 8.10).
type Alarm struct {
	Kind   string    `json:"kind"`
	Detail string    `json:"detail"`
	Since  time.Time `json:"since"`
}

// A Waiting is a branch that could not be obtained, and is left alone until then.
type Waiting struct {
	Root     mcm.Hash  `json:"root"` // its first trailer that is not on the own chain
	Until    time.Time `json:"until"`
	Failures int       `json:"failures"`
	Reason   string    `json:"reason"`
}

// A Side is a branch beside the own chain that is known and not chosen.
type Side struct {
	Tip    mcm.Hash     `json:"tip"`
	Height mcm.BlockNum `json:"height"`
	Fork   mcm.BlockNum `json:"fork"`   // its first block that is not on the own chain
	Weight *mcm.Weight  `json:"weight"` // nil unless it is exact
	Groups int          `json:"groups"`
	Peers  []netip.Addr `json:"peers"`
	Detail string       `json:"detail"` // why it is not followed
}

// A Status is what the node knows of itself.  It is a copy that nobody changes.
type Status struct {
	State     State         `json:"state"`
	Since     time.Time     `json:"since"`
	Reason    string        `json:"reason"` // why it is not in follow; empty there
	Ready     bool          `json:"ready"`
	Started   time.Time     `json:"started"`
	Tip       *Tip          `json:"tip"`             // nil: no chain yet
	TipAge    float64       `json:"tip_age_seconds"` // 0 without a tip
	Lag       int64         `json:"lag_blocks"`      // how far a quorum's tip is above ours; 0 when it isn't
	Quorum    *time.Time    `json:"quorum_seen"`     // when a quorum was last seen on our chain; nil: never
	Sync      *SyncProgress `json:"sync"`
	Alarms    []Alarm       `json:"alarms"`
	Waiting   []Waiting     `json:"waiting"`
	Sides     []Side        `json:"sides"`
	Polls     int64         `json:"polls"`
	LastPoll  *time.Time    `json:"last_poll"` // nil: none yet
	Reorgs    int64         `json:"reorganisations"`
	LastDepth int           `json:"last_reorganisation_depth"`
}
