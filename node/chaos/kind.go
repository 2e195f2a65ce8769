package chaos

import (
	"slices"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/scan"
	"kigo/node/wire"
)

// Families of kinds.  Those of blocks come with the code that fetches these.
const (
	Claims  = "claims"  // what a peer says of its chain
	Proofs  = "proofs"  // the trailers it backs that with
	Files   = "files"   // the chain below the proof, in ranges and as a file
	Lists   = "lists"   // the addresses it names
	Network = "network" // how it speaks
	Honest  = "honest"
)

// A Kind is one way in which a peer behaves.
type Kind struct {
	Name    string // in kebab-case
	Family  string
	Summary string // what it does, in a few words
	Expect  Expect
	Sync    Sync // of the family of files; nothing for honest kinds

	hooks hooks
	// script takes the whole of a connection; nil is a server that the hooks
	// change.
	script func(*call) error
}

// Expect is what a scan that holds the World's Anchors and has a quorum of honest
// peers must say of every peer of a kind.
type Expect struct {
	Verdicts []scan.Verdict // one of them
	Reasons  []fault.Kind   // one of them; none for a proven peer
	Rule     rules.Rule     // the broken rule that must be named, if any
	Faults   []fault.Kind   // what must have been observed besides the reason
	MaxClass fault.Class    // nothing that was observed may be worse
}

// Sync is what a node that syncs must say of the peers of a kind, all of them
// together.  What is soft may be said of anybody.
type Sync struct {
	Must []fault.Kind // one of them, if a peer of the kind has told its lie
	May  []fault.Kind // nothing else that is objective but these
}

// Hooks change in which way a peer differs from an honest one.
type hooks struct {
	stand   func(*call) spot                                         // where its chain ends; nil: at the tip
	claim   func(*call, *wire.State)                                 // what it says instead
	rangeOf func(c *call, first, count uint32, honest []byte) []byte // what it serves instead; nil closes
	// deep sends something else than the honest trailers of a range below the peer's
	// tip, or of the whole file, which begin with number first.
	deep   func(c *call, first uint32, honest []byte) error
	list   func(*call) []byte             // whom it names instead
	packet func(c *call, b []byte) []byte // what becomes of a packet after HELLO_ACK
}

// A spot is where on a line a peer stands.
type spot struct {
	line  *line
	index int
}

func (s spot) num() mcm.BlockNum { return s.line.trailers[s.index].Num() }

func (s spot) state() wire.State { return s.line.state(s.index) }

// end is the spot at the end of a line.
func end(l *line) spot { return spot{l, l.last()} }

// kinds are all kinds.  Each family's file describes its own.
var kinds = slices.Concat(honest, claims, proofs, files, lists, network)

// Kinds returns all kinds, family by family.
func Kinds() []Kind { return slices.Clone(kinds) }

// lookUp returns the kind of that name, or nil.
func lookUp(name string) *Kind {
	for i := range kinds {
		if kinds[i].Name == name {
			return &kinds[i]
		}
	}
	return nil
}

// Expectations that many kinds share.

func proven(faults ...fault.Kind) Expect {
	return Expect{Verdicts: []scan.Verdict{scan.Proven}, Faults: faults, MaxClass: classOf(faults)}
}

func convicted(rule rules.Rule, reasons ...fault.Kind) Expect {
	return Expect{Verdicts: []scan.Verdict{scan.Convicted}, Reasons: reasons, Rule: rule, MaxClass: fault.Objective}
}

func doubtful(reasons ...fault.Kind) Expect {
	return Expect{Verdicts: []scan.Verdict{scan.Doubtful}, Reasons: reasons, MaxClass: fault.Soft}
}

func unavailable(reasons ...fault.Kind) Expect {
	return Expect{Verdicts: []scan.Verdict{scan.Unavailable}, Reasons: reasons, MaxClass: fault.Soft}
}

func setAside(reasons ...fault.Kind) Expect {
	return Expect{Verdicts: []scan.Verdict{scan.SetAside}, Reasons: reasons, MaxClass: fault.None}
}

// classOf returns the worst class of the faults.
func classOf(faults []fault.Kind) (worst fault.Class) {
	for _, k := range faults {
		worst = max(worst, k.Class())
	}
	return worst
}
