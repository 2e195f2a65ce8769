// Package proof judges what a peer shows for its chain: the last 54 trailers, up
// to the tip that it claims (docs/spec/sync.md section 8.5, stages S0 and S1).
//
// # The way of a proof
//
// Want says which trailers to ask for and Free whether asking is worth it.  A
// Proof holds the claim and the answer.  Structure runs all that costs
// next to nothing: numbers, links, rules, hashes.  Work then has the proof of
// work of many proofs checked at once, each distinct trailer once.  A proof with
// few worked trailers asks for More, older ones, which Extend puts in front.
//
// # Findings
//
// What is wrong with a proof is a Finding, one for each proof: the gravest.  A
// trailer that is wrong by itself, or that breaks a rule against the parent which
// it names, convicts its sender, whatever else is wrong.  A link that does not
// fit says nothing about either trailer: an honest peer that is changing branches
// sends such a seam.  A solve time in the future rests on our clock, so it is no
// fault at all, and never hides one: all rules are tested with a clock that
// objects to nothing, and the real clock comes last.
//
// A Finding is about the bytes and the claim alone, so it can be repeated from
// them; nothing here does I/O, reads a clock or logs.
package proof
