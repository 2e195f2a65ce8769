// Package engine makes a verify.Backend of a Kernel, a Peach function for one
// core: it decides what needs no Peach, shares a batch between cores, and lets
// concurrent batches take turns.
//
// Every CPU engine of a process draws on one Cores.  A worker takes its place
// in a first-come queue before each chunk of 10 to 30 ms and gives it back
// after, so 54 trailers of a proof segment wait for a chunk of a million-trailer
// job, not for the job; and a batch that is no longer wanted ends at the next
// chunk.
package engine
