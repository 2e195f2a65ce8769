// Package branch keeps the trailers of proven peers and tells which branches of
// the chain they form, which peers support each, how they rank, and which to
// choose (docs/spec/sync.md sections 8.4 to 8.6).
//
// A Store takes proofs that package proof has found to be in order.  Their trailers
// are shared by block hash, so that a thousand peers of one branch cost one
// segment.  Where two segments meet, the rules are held against the pair as well,
// for nobody has looked at it before: see Invalid.  Trailers that lead to no peer's
// tip are dropped.
//
// # Branches
//
// A branch ends in a trailer that no other follows.  A tip that is an ancestor of
// another tip belongs to the latter's branch, and its peers support every branch
// through it.  A branch begins with its lowest stored trailer; branches with the
// same one meet, and share a place, so that any number of tips on one stem takes
// one.
//
// # Rank and choice
//
// The rank orders attempts by what costs an attacker work: a recent tip, then
// density, among near equals the number of /16 groups that support it.  What peers
// claim has no part in it, and neither has height.
//
// Branches that meet are compared by weight, which is then a matter of adding up:
// what is below the common trailer is the same for both.  So are branches whose
// exact weight an anchor gives.  A block whose number ends in ff counts in that
// comparison when it is the tip, as it does in every node's own reckoning; Branch's
// Weight leaves it out, as the weight of trailers does.
//
// All answers follow from the set of proofs, whatever the order they came in, as
// long as each peer has shown one and no trailer had to leave for want of room.
package branch
