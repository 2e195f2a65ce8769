// Package memory keeps what the node learned about trailers and peers across
// restarts (docs/spec/sync.md section 8.7): trailers that can never become
// valid, ids of trailers whose work was verified, peers with their standing and
// their false statements, groups, the evidence for objective faults, and branches
// that nobody served.
//
// It is one bbolt file with a bucket for each table:
//
//	header    format version, rule-set version, network id, digest of the pin
//	invalid   trailer id (up to 0xa0700 with its parent's: proof.Key) -> finding
//	trailers  same key -> the 160 bytes, for the entries met last
//	verified  time, id -> nothing
//	peers     address -> record
//	groups    network, prefix length -> record
//	evidence  time, id -> record
//	waiting   hash of the branch's first trailer -> record
//
// [DB.Load] hands out the whole memory once, [DB.Save] writes changes in one
// transaction: whenever the process is killed, the file holds the state before
// or after it.  Both keep to the capacities and expiries of section 8.7 and take
// the time as an argument.
//
// [RAM] is the memory of a process that may not write.
//
// # What is trusted
//
// Nothing in the file is needed to be right; without it the node is slower, not
// less safe.  So a file that is about another network or pin is set aside, that
// is renamed and never deleted, and so is a damaged one, whether bbolt sees it
// when it opens the file or faults on it later.  A record stands behind a
// checksum that covers its key too, and has one form only: one that does not
// read exactly is dropped and counted.  A record whose time lies in the future
// was written under another clock and is dropped as well.
//
// # Design
//
// bbolt v1.5 is etcd's store: pure Go, one file, a transaction is two syncs.  It
// holds its file exclusively, so that evidence can't be read from the file while
// a node runs; the node's API shows it then.  Its weak side is a damaged file, on
// which it panics, reads outside of its mapping or never ends, and so does its own
// check.  Open therefore looks through all pages itself before any transaction,
// and every transaction runs in a frame that turns a panic or a memory fault into
// damage.
package memory
