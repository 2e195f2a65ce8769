// Package scan finds out what the network knows: whom there is to call, what chain
// each peer claims, whether its proof holds, and which branch to follow
// (docs/spec/sync.md section 8.6, "scan only", with stages S0 and S1 of 8.5).
//
// # The way of a scan
//
// A [Book] holds the addresses.  [Run] takes them out in an order that no peer can
// push others back in, 256 at a time and 4 of one group.  Each is called twice: once
// for its list of addresses, which become candidates of this same scan, and once for
// its proof, in a call whose handshake makes the claim that the proof is held
// against, so that a block found in between fails nobody.  All that costs next to
// nothing is tested where the proof arrives.  What is left, proof of work, goes
// to one goroutine, the judge, which takes the segments that have gathered while it
// checked the last ones: peers share nearly all of their trailers, each is checked
// once, and engines are best at large batches.  If it can't keep up, those that state
// the most work come first; what it hasn't got to when the scan ends stays unjudged.
//
// Nothing is admitted and nobody excluded by a claim.  When the time has come, see
// [Deadlines], the segments that hold become branches (package branch), the branch
// to follow is chosen, and accounts are settled: verdicts, points, bans, evidence
// for each objective fault, all saved in one go.  Points wait until then because
// one thing can't be known earlier: whether most of all fall by the same trailer, in
// which case our own rules are the suspect and nobody is charged.
//
// # Who is asked again
//
// A link that is broken, a proof that ends elsewhere, a call that was closed without
// an answer: honest peers do that while they change branches, or are crowded.  They
// are asked once more, 5 s later.  A peer that was too slow for its list isn't asked
// for its proof, so that no peer costs a scan more than one time-out.  A tip that our
// clock refuses for less than those 5 s is looked at again when it allows it, since
// the most likely reason is a clock that is a little behind a block just found.
//
// # Thin segments
//
// A segment with fewer than 8 worked trailers says nothing, since pseudoblocks are
// free.  It may still be honest, on a network that has lost nearly all its hash rate,
// and is then followed back up to 1,000 trailers to find 8.  That is 160 kB, eighteen
// times what the proof cost, while thin segments cost their makers nothing: a
// thousand of them would have a scan download 160 MB.  So it is not done as they
// arrive, but at the end, when it is known what they stand beside:
//
//   - one supporter of each stem is asked, another one only if that one fails;
//   - not at all below a quarter of the greatest density of the fresh branches that
//     have enough work, because such a branch is not of the first class whatever is
//     found below it;
//   - no more than 8 stems, fresh ones first, densest first among them.
//
// The rest is reported as [Thin] and counts for no quorum.
//
// # Stems that may meet further down
//
// Genuine trailers from right below the honest segments, with pseudoblocks on them up
// to the present, make a branch of the first class for nothing, and by rank alone the
// groups that name it would decide.  Where several stems are of the first class, the
// two highest are therefore followed back in the same way: the honest one is among
// them, since such a tail takes longer than the blocks that it replaces.  A stem that
// parts there then meets it, and weight decides.
//
// # What it leaves out
//
// Weights stay claims unless an anchor lies within the segments.  Fetching what is
// below them (S2 on) is another package's work.
package scan
