package status

import (
	"sync"
	"time"
)

// EventKind says what happened.
type EventKind string

// The kinds of event.
const (
	StateChanged EventKind = "state"   // Data: StateChange
	TipChanged   EventKind = "tip"     // Data: TipChange
	SyncMoved    EventKind = "sync"    // Data: SyncProgress, at most once a second
	ScanDone     EventKind = "scan"    // Data: ScanResult
	PeerJudged   EventKind = "peer"    // Data: PeerVerdict, of peers that were charged
	AlarmRaised  EventKind = "alarm"   // Data: Alarm
	AlarmCleared EventKind = "cleared" // Data: Alarm
	BranchFailed EventKind = "branch"  // Data: BranchEnd
)

// EventKinds lists all kinds of event.
func EventKinds() []EventKind {
	return []EventKind{StateChanged, TipChanged, SyncMoved, ScanDone, PeerJudged, AlarmRaised, AlarmCleared, BranchFailed}
}

// A StateChange is the node's going from one state to another.
type StateChange struct {
	From   State  `json:"from"`
	To     State  `json:"to"`
	Reason string `json:"reason"`
}

// A TipChange is another tip of the own chain.
type TipChange struct {
	Tip   Tip `json:"tip"`
	Depth int `json:"depth"` // own blocks that were replaced; 0 for a chain that grew
	Grown int `json:"grown"` // blocks that the chain has now and had not before
}

// A ScanResult is the outcome of a scan in short.
type ScanResult struct {
	State    string  `json:"state"`
	Asked    int     `json:"asked"`
	Proven   int     `json:"proven"`
	Branches int     `json:"branches"`
	Seconds  float64 `json:"seconds"`
}

// A PeerVerdict is a peer that was charged with something.
type PeerVerdict struct {
	Addr     string `json:"addr"`
	Kind     string `json:"kind"`  // the fault
	Class    string `json:"class"` // of the fault
	Detail   string `json:"detail"`
	Evidence string `json:"evidence"` // id of the record kept, or empty
	Banned   bool   `json:"banned"`
}

// A BranchEnd is a branch that is given up: invalid, unavailable or lighter.
type BranchEnd struct {
	Tip    string `json:"tip"`
	Why    string `json:"why"` // invalid, unavailable, lighter
	Detail string `json:"detail"`
}

// An Event is one thing that happened.
type Event struct {
	Seq  uint64    `json:"seq"` // consecutive within one run of the node, and greater than in those before
	Time time.Time `json:"time"`
	Kind EventKind `json:"kind"`
	Data any       `json:"data"`
}

// DefaultKept is how many events a feed keeps.
const DefaultKept = 1024

// A Feed numbers events and keeps the last ones, for readers that come and go.  The
// zero value is ready for use, by several goroutines.
type Feed struct {
	mu   sync.Mutex
	ring []Event // the event with sequence number s is at (s-1-from) % DefaultKept
	from uint64  // the number before the first
	last uint64
	news chan struct{} // closed by the next event; nil while nobody waits
}

// Begin has the first event be number from + 1.  It comes before any is published: who
// goes on reading behind an event of an earlier run, which began at less, then sees all
// of this one.
func (f *Feed) Begin(from uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.from, f.last = from, from
}

// Publish adds an event.  data must not change any more.
func (f *Feed) Publish(now time.Time, kind EventKind, data any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	e := Event{Seq: f.last + 1, Time: now.UTC(), Kind: kind, Data: data}
	if len(f.ring) < DefaultKept {
		f.ring = append(f.ring, e)
	} else {
		f.ring[(f.last-f.from)%DefaultKept] = e
	}
	f.last++
	if f.news != nil {
		close(f.news)
		f.news = nil
	}
}

// Last returns the number of the last event, that before the first if there is none.
func (f *Feed) Last() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.last
}

// After returns the events behind number seq that are still kept, oldest first;
// missed is how many there were that aren't.  more is closed when another one
// comes.  A seq of another run of the node, before or after, is before the first.
func (f *Feed) After(seq uint64) (events []Event, missed uint64, more <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if seq > f.last || seq < f.from {
		seq = f.from
	}
	oldest := f.last - uint64(len(f.ring)) // number before the oldest one kept
	if seq < oldest {
		seq, missed = oldest, oldest-seq
	}
	for s := seq; s < f.last; s++ {
		events = append(events, f.ring[(s-f.from)%DefaultKept])
	}
	if f.news == nil {
		f.news = make(chan struct{})
	}
	return events, missed, f.news
}
