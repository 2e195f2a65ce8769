package scan

import (
	"encoding/json"
	"net/netip"
	"time"

	"kigo/node/branch"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/wire"
)

// A Verdict is what a scan found out about one peer.
type Verdict string

// The verdicts.
const (
	Proven      Verdict = "proven"      // its segment holds, work included
	Thin        Verdict = "thin"        // it holds, with too little work to count
	Convicted   Verdict = "convicted"   // an objective fault in its claim or proof
	Doubtful    Verdict = "doubtful"    // its story does not hold together, as an honest peer's may not for a moment
	Unavailable Verdict = "unavailable" // no answer, or not in time
	SetAside    Verdict = "set_aside"   // refused for reasons that rest on our clock or the network's age
	Skipped     Verdict = "skipped"     // not called: banned, resting, or of a group over its budget
)

// Verdicts lists all verdicts, in the order of reports.
func Verdicts() []Verdict {
	return []Verdict{Proven, Thin, Convicted, Doubtful, Unavailable, SetAside, Skipped}
}

// A State sums a scan up (docs/spec/sync.md section 8.6).
type State string

// The states.  The first three are three ways to have nobody.
const (
	NobodyReached State = "nobody_reached" // no peer completed a handshake
	NoneValid     State = "none_valid"     // peers answered, none has a segment that holds
	TooFew        State = "too_few"        // segments hold, but the chosen branch lacks the quorum
	Quorum        State = "quorum"         // the chosen branch has the quorum
)

// States lists all states.
func States() []State { return []State{NobodyReached, NoneValid, TooFew, Quorum} }

// A Report is what one scan found.  Its order is fixed: branches by rank, peers
// by branch and then by address, those of no branch last.  Times are in UTC.
type Report struct {
	Started    time.Time     `json:"started"`
	Ended      time.Time     `json:"ended"`
	State      State         `json:"state"`
	Quorum     branch.Quorum `json:"quorum"` // what was asked for
	Chosen     int           `json:"chosen"` // index in Branches, -1 when there is none
	Reason     string        `json:"reason"` // why Chosen was: rank, weight, groups, work, addresses or hash
	Branches   []Branch      `json:"branches"`
	Peers      []Peer        `json:"peers"`
	Alarms     []Alarm       `json:"alarms"`
	Bytes      Bytes         `json:"bytes"`
	Trailers   Trailers      `json:"trailers"`
	Asked      int           `json:"asked"`       // peers called
	Reached    int           `json:"reached"`     // of these, those that shook hands
	Seconds    float64       `json:"seconds"`     // of the whole scan
	PowSeconds float64       `json:"pow_seconds"` // of these, those in which work was checked
}

// Bytes counts what went over the wire, packets' headers included.
type Bytes struct {
	In  int64 `json:"in"`
	Out int64 `json:"out"`
}

// Trailers counts what peers served.
type Trailers struct {
	Received int `json:"received"`
	Distinct int `json:"distinct"`
	Checked  int `json:"checked"` // proofs of work computed in this scan
	Invalid  int `json:"invalid"` // distinct ones that can never be valid
}

// A Peer is one row of a report.
type Peer struct {
	Addr      netip.Addr    `json:"addr"`
	Group     netip.Prefix  `json:"group"`
	Source    string        `json:"source"` // who named it: "configured", "core", or an address
	Verdict   Verdict       `json:"verdict"`
	Reason    fault.Kind    `json:"reason"` // empty for a proven peer
	Rule      rules.Rule    `json:"rule"`   // the rule that was broken, if one was
	Block     *mcm.BlockNum `json:"block"`  // where it was broken
	Detail    string        `json:"detail"`
	Faults    []fault.Kind  `json:"faults"`  // all that was observed, each once, other calls included
	Claim     *wire.State   `json:"-"`       // shown as height, tip and weight
	Density   float64       `json:"density"` // of its own segment
	Worked    int           `json:"worked"`
	Trailers  int           `json:"trailers"`
	Branch    int           `json:"branch"` // index in Branches of the best that its tip is on, -1 for none
	Points    Points        `json:"points"`
	BytesIn   int64         `json:"bytes_in"`
	BytesOut  int64         `json:"bytes_out"`
	Calls     int           `json:"calls"`
	Addresses int           `json:"addresses"` // in its peer list
	Seconds   float64       `json:"seconds"`   // from the first call to the last byte
	Evidence  []string      `json:"evidence"`  // ids of the records kept
}

// Points are a peer's after the scan (docs/spec/sync.md section 8.8).
type Points struct {
	Objective float64 `json:"objective"`
	Soft      float64 `json:"soft"`
}

// claim is how JSON shows a claimed state.
type claim struct {
	Height mcm.BlockNum `json:"height"`
	Tip    mcm.Hash     `json:"tip"`
	Weight mcm.Weight   `json:"weight"`
}

// MarshalJSON writes the row with lists that are never null.
func (p Peer) MarshalJSON() ([]byte, error) {
	type row Peer
	out := struct {
		row
		Claim *claim `json:"claim"`
	}{row: row(p)}
	if p.Claim != nil {
		out.Claim = &claim{p.Claim.Num, p.Claim.Hash, p.Claim.Weight}
	}
	out.Faults = list(p.Faults)
	out.Evidence = list(p.Evidence)
	return json.Marshal(out)
}

// A Branch is one of a report, with what the scan made of it.
type Branch struct {
	branch.Branch
	Index  int
	Chosen bool
	Quorum bool // whether its support has the quorum
}

// MarshalJSON writes the branch with lists that are never null, and with a weight
// that is null unless it is a fact.
func (b Branch) MarshalJSON() ([]byte, error) {
	var weight *mcm.Weight
	if b.Exact {
		weight = &b.Weight
	}
	return json.Marshal(struct {
		Index      int            `json:"index"`
		Chosen     bool           `json:"chosen"`
		Quorum     bool           `json:"quorum"`
		Tip        mcm.Hash       `json:"tip"`
		Height     mcm.BlockNum   `json:"height"`
		Time       time.Time      `json:"time"`
		Root       mcm.Hash       `json:"root"`
		First      mcm.BlockNum   `json:"first"`
		Density    float64        `json:"density"`
		Worked     int            `json:"worked"`
		Trailers   int            `json:"trailers"`
		Fresh      bool           `json:"fresh"`
		FirstClass bool           `json:"first_class"`
		Thin       bool           `json:"thin"`
		Refused    bool           `json:"refused"` // lacks a block that every chain must contain
		Exact      bool           `json:"exact"`
		Weight     *mcm.Weight    `json:"weight"`
		Work       mcm.Weight     `json:"work"`
		Groups     []netip.Prefix `json:"groups"`
		Peers      []netip.Addr   `json:"peers"`
	}{
		b.Index, b.Chosen, b.Quorum, b.Tip, b.Height, time.Unix(int64(b.Time), 0).UTC(), b.Root, b.First,
		b.Density, b.Worked, b.Trailers, b.Fresh, b.FirstClass, b.Thin, b.Refused, b.Exact, weight, b.Work,
		list(b.Groups), list(b.Peers),
	})
}

// list returns l, or an empty list where it is nil.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// An AlarmKind names an alarm.
type AlarmKind string

// The alarms a scan can raise (docs/spec/sync.md sections 8.5, 8.8 and 8.10).
const (
	ClockAlarm  AlarmKind = "clock"
	RulesAlarm  AlarmKind = "rule_disagreement"
	WeightAlarm AlarmKind = "weight_disagreement"
)

// An Alarm says that something is wrong that no single peer can be charged
// with.
type Alarm struct {
	Kind   AlarmKind `json:"kind"`
	Detail string    `json:"detail"`
}

// Progress is a scan under way, for a live table.
type Progress struct {
	Asked, Reached, Judged, Proven int // peers so far; judged ones are through, whatever came of it
	Queue, InFlight                int // peers still to be called, and being called
	Elapsed                        time.Duration
	Peers                          []Peer // rows that changed since the last call; one under way has no verdict
}
