package main

import "kigo/node/verify"

// Where a test of kigo run in a process of its own reaches in.  Nothing else sets
// these.
var (
	// atStep, unless nil, is called at each named step of the own chain and of syncs.
	atStep func(step string)
	// watchWork, unless nil, returns what stands before the engines of commands that
	// call peers.
	watchWork func(engines verify.Verifier) verify.Verifier
)
