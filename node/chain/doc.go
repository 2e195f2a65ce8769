// Package chain keeps the own chain of trailers on disk (docs/spec/sync.md
// sections 8.3 to 8.5).
//
// Whatever a Store holds is proven: its trailers keep the rules and carry their
// work, or a pin's digests vouch for them.  The one exception is the span that
// Pending tells, whose links are proven and whose work is being checked.  So
// nothing at or below the own tip is ever checked again, and every byte that
// leaves a Store was held against a digest first, on each read.
//
// # Files
//
//	tfile.dat      the trailers, from the base on; with the genesis as base it is
//	               a C node's trailer file
//	chain.state    what of them is vouched for: base, count, tip, weight, SHA-256 of
//	               each 1,000 trailers, the pending span; behind a SHA-256 of its own
//	chain.switch   the journal: a switch to another chain that is decided
//	chain.state.new, switch.dat, import.dat
//	               parts of a switch that is not decided yet or not yet cleared up
//	staging-*.dat  trailers of a branch while it is fetched
//	staging-*.log  what is known of them: ranges with digest and sender, proven work
//	import.proven  what of a file that is imported is proven so far
//	chain.lock     held by the process that has the folder
//
// # What a kill leaves
//
// The state names the chain.  Bytes in tfile.dat behind its count mean nothing, so
// Extend writes them, syncs, and then replaces the state by renaming.
//
// A switch, which also overwrites, writes all that needs room on the disk first:
// the part that is longer than the old chain, the new state under another name.
// Then it writes the journal, and that decides: before it the old chain stands,
// after it the new one, which Open completes from the journal however often it is
// interrupted.  Readers see the new chain from that moment on too, the overwritten
// part from where it comes from until it is copied, so none ever waits for a disk
// or sees half a switch.
//
// Order on the disk comes from fsync alone: of a file before the name that makes it
// count, of the folder after.
//
// # Damage
//
// Open checks every digest.  Trailers behind the first damaged piece of 1,000 are
// set aside in a file of their own, and the chain ends before it; a state or a
// journal that doesn't read exactly is renamed.  Nothing is deleted that was not
// Kigo's own unfinished work, and Notices says what was done.  What was set aside
// is fetched again like everything else.
//
// # Stagings
//
// A Staging holds one contiguous run of a branch while it grows, mostly downwards.
// Its place in the data file is reckoned from the number, less the number of the
// lowest trailer that a full budget could reach, so that a file is at most as long
// as the budget of all stagings however high a peer's blocks claim to be.
package chain
