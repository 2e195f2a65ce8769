// Package chaos runs peers that misbehave: a fleet of honest and hostile ones on
// addresses of 127.0.0.0/8, over real sockets and with the node's own packet codec.
// It is the test bed of all that judges peers, and the product behind kigo chaos.
//
// # How the pieces meet
//
//	NewWorld         makes a chain with work, and what forgeries need work for
//	Grow, Fork       make chains that go on from it, for peers to follow
//	Kinds            lists the ways to behave, each with what a scan must say of it
//	Plan             draws which address gets which kind
//	Fleet            listens at the addresses and plays the kinds
//	Dial             calls the fleet and nobody else, whomever it names
//	Conformance      holds a scan's report against what was expected
//	SyncConformance  holds against it what a sync has charged peers with
//
// A World is a function of its seed and time, a Plan of its seed, and what a peer
// draws depends on the fleet's seed, its address and the number of the call alone:
// what happens in one conversation can be had again.
//
// # The chain
//
// It begins at block 0xa0700, behind which there is nothing, and is two blocks past
// a neogenesis block at its tip.  Its oldest blocks have eight times the work of the
// recent ones, so that old proofs are denser than the honest one; then, where a
// longer one is asked for, come blocks of difficulty 0, which are free to make; then
// there is a proof's worth in which every other block is pseudo.  One block ahead of
// the tip, a branch that lost a fork, and a tip of equal weight belong to honest peers
// too.  With a history it begins below 0xa0700, at a neogenesis block again.
//
// The world itself stands still.  A fleet lives when its peers are told to follow
// chains that were grown from it, and to announce them.
//
// # A new kind
//
// A Kind is an honest peer with a few hooks: where its chain ends, what it claims,
// what it serves for a range, or below its proof, whom it names, what becomes of its
// packets; or a script that has the whole connection.  It goes into the list of its family with
// the verdict, reason and rule that a scan owes it, and is then part of every test
// of the fleet.  Whatever never ends is bounded here, too: by Bound, by the size of
// a flood, and when the caller hangs up.
//
// Kinds that lie about blocks are not here yet; they come with the code that fetches
// these.
package chaos
