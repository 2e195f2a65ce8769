// Package gpu is the CUDA engine: a verify.Backend for each device of the machine.
// It is built with the tag cuda; without it Open returns ErrNotBuilt.
//
//	VerifyPoW          two workers a call: claim a piece of the batch, decide on
//	   │   ▲           the processor's cores what needs no Peach, fill a slot's
//	 fill judge        pinned memory; later compare the hashes with the difficulty
//	   │   │
//	 [slot] [slot]     a stream each, with device memory for half of what a device
//	   │   ▲           works on at a time
//	   ▼   │
//	Device.serve       one goroutine locked to its thread; gives the slots' streams
//	                   a step each in turn, and waits for the other meanwhile
//
// So copies and the processor's part of one piece hide behind the kernels of the
// other.  A step is a tile, 32 of the 298 launches that kernels/src/peach.cuh has
// for a piece; between steps a piece whose context has ended is dropped.
//
// A device that fails in any way is retired: all calls on it, those under way and
// later ones, return an error that is a *verify.RetiredError and a
// *verify.BackendError, its memory is given back, and a verify.Router does the
// batch elsewhere.  So is one that hangs, and one that is wrong about a trailer of
// which the answer is known: some are planted in each piece.  Single wrong hashes
// are verify.Audited's to find.
package gpu
