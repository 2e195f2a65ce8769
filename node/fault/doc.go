// Package fault says what an observation about a peer is worth: its class, its
// points, how they fade, and what follows from them for an address and for its
// group (docs/spec/sync.md section 8.8).
//
// A peer is charged in one way only: whoever holds the evidence makes a Fault,
// and whoever keeps the peer's Record observes its Kind.  The records are plain
// values.  They read no clock: the time is an argument, and a time that lies
// further ahead than it can honestly lie, since the clock was set back, counts
// as over (section 8.7).
//
// What a caller decides, because it takes more than one record: that a false
// weight is charged once per tip, that nobody is charged when most peers seem
// wrong, that a resting peer is called all the same when fewer than three
// groups are left, and how many groups are reachable.
package fault
