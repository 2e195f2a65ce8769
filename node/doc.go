// Package node is the node: it finds out whom to follow, obtains and proves that
// chain, follows it, and serves it to others (docs/spec/sync.md sections 8.9 and
// 8.10).  It composes the packages below it and holds no engine of its own.
//
// # Who does what
//
// [Node.Run] starts a handful of loops and waits for them:
//
//   - the director scans when it is time to, hands what the scan found to package
//     chainsync, and keeps the state and the alarms;
//   - the poller calls one peer every ten seconds;
//   - the judge takes the tips that polls and found messages bring, has the unknown
//     trailers among them checked, and switches to what proves heavier;
//   - the server answers peers, if there is a listener;
//   - the keeper writes down what has to survive a restart.
//
// # What a peer can do to us
//
// A tip comes with its proof, and only proven trailers are kept.  Known ones cost a
// look into a map; the next block of a known chain costs one rule test and one check
// of work.  What proves heavier than the own chain replaces it; all else is kept
// aside, within bounds, or forgotten.  What a peer claims moves nothing: not the
// state, not the tip, not another peer's standing.  Groups that support a tip decide
// ties, and whether the node may call itself ready.
//
// Charges for trailers that can never be valid, and for false weights, wait a
// moment: if most peers fall in the same way, our own rules or weights are the
// suspects (section 8.8).
//
// # Trailers only
//
// This version keeps no blocks.  It follows tips whose headers are proven, says so,
// and neither announces them nor asks to be listed unless it is told to.
package node
