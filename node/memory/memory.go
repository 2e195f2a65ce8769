package memory

import (
	"log/slog"
	"net/netip"
	"time"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/wire"
)

// How much is kept, and for how long (docs/spec/sync.md section 8.7).
const (
	MaxInvalid  = 65536 // invalid trailers, for ever; the least recently met leave first
	MaxTrailers = 1024  // of them with their 160 bytes
	MaxVerified = 262144
	MaxPeers    = 16384
	MaxGroups   = 4096
	MaxEvidence = 1024
	MaxWaiting  = 1024

	// MaxEvidenceBytes bounds the evidence table, since one record may hold a
	// whole range: the file stays small, and the oldest leave first.
	MaxEvidenceBytes = 64 << 20

	// MaxStatements bounds the false statements of one peer, of which one is
	// good for a fault; the newest stay.
	MaxStatements = 16

	VerifiedTime  = 14 * 24 * time.Hour
	PeerTime      = 30 * 24 * time.Hour // after the last contact
	GroupTime     = 30 * 24 * time.Hour
	StatementTime = 24 * time.Hour

	// WaitingTime is the longest that a branch waits, and how long after its wait it
	// is remembered, so that another failure doubles it.
	WaitingTime = 2 * time.Hour
	// MaxWaitingGroups bounds the groups noted with a waiting branch.
	MaxWaitingGroups = 256
)

// slack is how far ahead of the clock a time may lie before it counts as written
// under another clock: what a time service corrects in passing.
const slack = time.Minute

// An Identity says what a memory is about.
type Identity struct {
	Network uint16   // of the packets: wire.Network
	Rules   int      // rules.Version
	Pin     [32]byte // digest of the history pin, zero without one
}

// Options are what a DB may be given; the zero value will do.
type Options struct {
	Log     *slog.Logger     // nil: silent
	Now     func() time.Time // for the names of files set aside; nil: time.Now
	Metrics *Metrics         // nil: unseen
}

// A Peer is what is remembered of an address.
type Peer struct {
	Addr        netip.Addr // IPv4
	Source      string     // who named it; cut after 64 bytes
	FirstSeen   time.Time
	LastContact time.Time // the record leaves PeerTime after it
	LastGood    time.Time // a proof that held
	Successes   int
	Failures    int
	Delivered   bool       // has served a range that linked
	Claim       wire.State // the last one
	Standing    fault.Record
	False       []Statement
}

// A Statement is a weight of a tip that a peer stated and that was found false.
type Statement struct {
	Weight  mcm.Weight
	Tip     mcm.Hash
	Expires time.Time // at most StatementTime ahead
}

// A Group is what is remembered of a network.
type Group struct {
	Prefix   netip.Prefix // IPv4, masked
	Record   fault.GroupRecord
	LastUsed time.Time // the record leaves GroupTime after it
}

// An Invalid is a trailer that can never become valid.
type Invalid struct {
	ID      mcm.Hash      // what proof.Key says
	Parent  mcm.Hash      // the trailer's previous hash
	Trailer mcm.Trailer   // zero when it is no longer kept
	Finding proof.Finding // of kind invalid_trailer; its Index isn't kept and loads as -1
	Met     time.Time     // last
}

// A Waiting is a branch that nobody served, which is left alone for a while.
type Waiting struct {
	Root     mcm.Hash       // hash of its first trailer that is not on the own chain
	Until    time.Time      // at most WaitingTime ahead; the record leaves WaitingTime after it
	Failures int            // in a row
	Groups   []netip.Prefix // that supported it at the last one, IPv4, masked; MaxWaitingGroups at most
	Reason   string         // why nobody served it, for people; cut after 256 bytes
}

// A Snapshot is all that is remembered.  It is the caller's own copy.
type Snapshot struct {
	Peers    []Peer     // by address
	Groups   []Group    // by address
	Invalid  []Invalid  // the least recently met first
	Verified []mcm.Hash // the oldest first; an id that was saved twice is there twice
	Waiting  []Waiting  // by root
}

// Changes are what Save adds or replaces.  Save keeps nothing of it.
type Changes struct {
	Peers    []Peer
	Groups   []Group
	Invalid  []Invalid
	Met      []mcm.Hash // invalid trailers that were met again
	Verified []mcm.Hash
	Doubted  bool // what was verified before counts for nothing
	Evidence []*evidence.Record
	Waiting  []Waiting
	Served   []mcm.Hash // roots of branches that wait no longer; applied after Waiting
}
