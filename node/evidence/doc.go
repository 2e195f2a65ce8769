// Package evidence keeps what convicts a peer: for one objective fault
// (docs/spec/sync.md section 8.8) the packets as they were received, what had been
// asked, by what they were judged, and the verdict.
//
// [Record.Verify] repeats the judgement from these bytes, with the code that
// judges peers: package wire takes the packets apart, package proof holds the
// trailers against the rules, a Verifier checks their work.  A record is confirmed
// if that shows the fault it states, of the same kind, rule and block; whoever
// reads it needs to trust neither the node that wrote it nor anything else in it.
//
// What a record can't show is who sent the bytes: packets carry no signature, so
// the address is the word of the node that wrote it.  The same goes for what was
// asked, for the clock, and for the anchor of a false weight, which says what the
// writer held to be true; Verify names them where a verdict rests on them.
//
// The kinds: invalid_trailer, wrong_numbers, too_long, bad_list, bad_frame,
// false_weight and foreign_range.
package evidence
