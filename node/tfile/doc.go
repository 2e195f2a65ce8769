// Package tfile works on trailer files: it judges a whole one, proof of work
// included, and has the operations that a node needs on its own (docs/spec/chain.md
// sections 3, 7, 8.1 and 10).
//
// # Verify
//
// Verify takes the trailers through a line of stages, each a goroutine:
//
//	read, SHA-256 of pieces → structure → proof of work → tally
//
// A chunk is the unit that moves: some thousand trailers in one buffer.  The
// engine has two of them at once, in batches that grow to what takes it half a
// second.  The tally takes chunks in file order, so what it reports doesn't depend
// on which batch of proof of work ended first: the same bytes give the same
// report.
//
// There are at most five chunks.  When proof of work is slow they pile up before
// the tally and reading waits, which bounds memory whatever the file's size: 16
// MB with the default batch, and 32 bytes more for every 1,000 trailers when a
// side file is kept.
//
// That bound would also make the structure of a file known only as fast as its
// proof of work.  Data that can be read at any place is therefore read twice: a
// scout runs ahead through the structure of all of it, in about a quarter of a
// second for a million trailers, and tells through Progress what it met.  It
// never decides anything.  The report rests on one pass in which structure and
// proof of work look at the same bytes, so a file that changes in between can't
// slip through, and a stream gets the same report as a file.  The price is one
// more structure check for each trailer, a hundredth of what a CPU spends on its
// proof of work.
//
// The first problem reported is the lowest one: bad work at block 5 comes before
// a broken link at block 9, though the link is found first.  Who doesn't want to
// wait for that takes Progress.Fault and ends the context.
//
// # What need not be checked again
//
// A Pin vouches for the beginning of a file, a side file (Options.Resume) for
// what an earlier run has proven.  Both are lists of SHA-256 sums over pieces of
// 1,000 trailers, and a piece's sum is compared before one of its trailers is
// believed.  Structure is never skipped.
//
// The side file is written every few seconds and when Verify ends, however that
// comes about.  Proofs of work that were computed out of order are kept too.  An
// interruption costs what the engine doesn't tell of the two batches that it has.
// An audited one (verify.Audited) tells nothing of a batch that didn't end, which
// makes about a second of work.  A crash costs what was not yet saved: some
// seconds, on a slow engine the two chunks of 1,000 trailers that it has.  A file that was edited in between is
// noticed at the piece with the edit: work before it is kept, what follows is
// checked again.
//
// An engine that was found to be wrong (Options.Distrust) may have passed bad
// trailers before, so then nothing that the run has proven is kept.
package tfile
