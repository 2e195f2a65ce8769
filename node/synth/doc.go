// Package synth makes synthetic chains: trailer files that begin with the main
// net's genesis block and break no rule of docs/spec/chain.md section 5 and no
// proof of work of docs/spec/pow.md, except where a Fault asks for it.
//
// # What is the same
//
// A chain is a function of its Config.  The Solver has no say: of the candidates
// for a nonce, whose order the seed and the block fix, the first valid one wins,
// whichever engine finds it and in batches of whatever size.  Everything random
// in a block is drawn from a generator seeded with (Seed, block), and no block
// looks ahead, so a chain of N trailers is the beginning of one of M > N with
// the same other settings.
//
// # What it looks like
//
// Blocks link by hash.  Before block 0xa0700 the real hash covers a whole block
// that does not exist here; the chain uses the SHA-256 of the first 128 bytes of
// the trailer in all eras.  Every 256th block is a neogenesis block; of the rest
// the share Worked is standard blocks with real work and the others are
// pseudoblocks.  Merkle roots are random, but for those of pseudoblocks, which are
// zeros before block 0xa0700 and from there on what the block's number makes them.
//
// A standard block's time is drawn from what the rules allow, such that the
// difficulty after it is one nearer to Config.Difficulty, or stays once it is
// there.  A pseudoblock's time is fixed and always lowers a difficulty above 0
// by one, and a standard block can only raise it by one.  So the difficulty
// stays at its goal when Worked is 1, is mostly just below it when Worked is
// well above one half, and hovers near 0 below one half, whatever the goal: the
// rules allow no more.  It starts at 1 after the genesis block, so even a chain
// of difficulty 0 can have one worked block with a bit of work.
//
// In blocks 0x4321 to 0x4521 a difficulty of 1 can wrap to 0xffffffff.  A block
// that would do that is given another time; a pseudoblock, which has no choice,
// becomes a standard block.
//
// # Faults
//
// Each kind of Fault breaks one rule at one block.  The chain goes on from the
// bytes of the faulty trailer, with its hash, times and difficulty, so that a
// checker that continues behind a bad trailer finds that one and no other.  A
// fault can decide whether its block is a standard block or a pseudoblock.
//
// Rules that no fault breaks: EMCM_MATH64_OVERFLOW, which no chain from the
// genesis block can reach; EMCM_MREWARDS_OVERFLOW, for the same reason; and
// EMCM_EOF and EINVAL, which are about what a file is asked for.
package synth
