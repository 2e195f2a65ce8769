// Package lanes is the pure Go engine for Peach: no cgo, no assembly, no unsafe,
// any architecture and byte order.  It computes what cpu/portable computes, some
// times faster, and serves builds without cgo and processors that have no engine
// of their own.
//
// # Design
//
// In plain code 70 % of a Peach check is MD2, and MD2 waits: a block is 864
// table look-ups, each needing the one before.  Within a message nothing can be
// done about that, but messages of different trailers don't wait for each other.
// So a Kernel has a number of lanes, each with a trailer of its own.  A lane
// works on alone until its next hash is an MD2, which happens to every lane
// within a few rows.  When all stand there, one call digests one block of each
// lane's message, side by side; lanes whose message has ended work on alone to
// their next MD2, and so forth.  A lane that has finished its trailer takes the
// next of the batch.  Nothing is sorted or queued, and all lanes stay busy until
// the batch runs out; then fewer are left and narrower functions serve them.
//
// The MD2 state lies transposed, byte k of all lanes together, so that the wide
// function holds four lanes in a word: it fetches their table entries with one
// load each, already shifted into place, and loads and stores the state once for
// four steps.  That takes fewer instructions than sixteen chains of bytes, which
// is what counts when there is nothing left to wait for.  Up to eight lanes are
// chains of bytes, and up to four take two steps with one look-up in a larger
// table, because there latency is all.
//
// What mispredicted branches cost elsewhere is avoided by doing too much: the
// floating-point step carries out all four operations and takes one result, and
// the memory step treats eight bytes at a time.
//
// bench/lanes.md has what was measured on the way here.
package lanes
