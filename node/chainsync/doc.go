// Package chainsync obtains the trailers of the branches that peers have shown the end
// of, proves them, and makes the best branch the own chain (docs/spec/sync.md sections
// 8.5 to 8.7, stages S2 to S4 and S6).
//
// A [Syncer] is given branches whose ends are proven (S1), by [FromReport] from a scan
// or from elsewhere, and [Syncer.Run] chooses:
//
//	places    branches that meet in what is known of them share a place; four places
//	          are under way at once: two by rank, one with the most groups, one drawn
//	download  follows one branch backwards, range by range, from whoever supports it,
//	          until it meets the own chain or the base; what arrives is linked, held
//	          against the rules, and its work checked, or sampled where the engines
//	          don't keep up
//	weight    of what has met something known is a fact (S3)
//	choice    the heaviest; ties go by groups, worked weight, addresses, hash
//	proof     of what would be chosen: samples, then everything (S4)
//	switch    under Options.Switch, in one step, if it still goes before the own chain
//
// # What claims can do
//
// Nothing but cost their peer points.  A claim names a tip that the peer has proven,
// so that it counts as support; its weight is compared with the exact one when that is
// known, and charged if it is another.
//
// # History before version 3
//
// Below block 0xa0700 a hash fixes nothing (section 8.3).  With a pin, trailers there are
// taken by the digest of each 1,000 and nothing else.  Without one they are held against
// rules and work before anything is decided by them; what is wrong with them is no fault
// of the branch above, and is asked of others.  Another weight that supporters state,
// those of the own tip among them, is taken for another version of the past, which is
// fetched from where it differs, proven, and taken if it has more worked weight.
//
// Where nobody serves ranges whole files do, which are judged as they arrive.
//
// # Failures
//
// What is invalid falls with all that follows from it, and the choice is made anew
// among the rest; what nobody serves waits and is tried later; both without another
// scan.  What is not resolved when it is time to choose is handed back as
// [Outcome].Behind.  The own chain isn't touched before its replacement is complete
// and proven.  An error of Run is our own failure, never a peer's.
//
// # Restarts
//
// What a branch has brought so far is in a staging of package chain, which another Run
// goes on with, in this process or the next.  Stagings of branches that are resolved
// are removed, and others where their room is needed.
package chainsync
