// Package synctest is a small network for tests of a sync: chains of any length
// above a block 0xa0700 that counts as known, forks and spoiled trailers, and
// scripted peers on loopback addresses, each with a real socket, that count what
// they are asked.
//
// Proof of work is that of prooftest.StandIn, so thousands of trailers cost
// milliseconds; it is real all the same, and every check is counted.
package synctest
