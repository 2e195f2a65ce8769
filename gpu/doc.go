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
// Its caller doesn't wait for that: a device that hangs never comes to its next step.
//
// A device that fails in any way is retired: all calls on it, those under way and
// later ones, return an error that is a *verify.RetiredError and a
// *verify.BackendError, its memory is given back, and a verify.Router does the
// batch elsewhere.  So is one that hangs, and one that is wrong about a trailer of
// which the answer is known: some are planted in each piece.
//
// # Who finds wrong results
//
// A device that is wrong about one trailer in 10^6 is wrong once in a whole chain.
// Behind verify.Audited, which repeats a share s of the good verdicts
// (verify.audit-rate in the settings) and all others:
//
//   - Good work called bad, another hash of bad work, and a hash that was never
//     written, which reads as bad: found at the first time, whatever the rate,
//     before anyone hears of it.
//   - Good work with another hash that meets the difficulty too: the verdict is
//     right.  The hash is found with chance s, or if it is one of the 4 planted
//     in a piece.
//   - Bad work called good: found with chance s, so (1-s)/s of them get through on
//     average before the device is out, 4,000 with verify.DefaultSample.  A random
//     error hits a hash that meets difficulty d once in 2^d times.  So on the main
//     net such errors would not be random but a broken kernel, say, whose hashes
//     are zeros; the planted ones find it in the first piece if all are, and if a
//     share of them is, with a chance of about 4 times that share in each piece.
//
// With s at 1 nothing of this gets through, at the portable engine's speed.
package gpu
