package synth

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"kigo/node/mcm"
	"kigo/node/verify"
)

// maxBlocks is more than any chain can have: each block but the neogenesis
// blocks takes a second or more and times end at 2^32.
const maxBlocks = 1 << 32

// A Config says which chain to make.
type Config struct {
	// Blocks is the number of trailers, the genesis trailer included.
	Blocks int64
	// Worked is the share, 0 to 1, of the blocks other than neogenesis blocks
	// that carry a proof of work; the rest are pseudoblocks.  Each block is
	// drawn on its own, so the share is met on average.
	Worked float64
	// Difficulty is what the times of worked blocks steer the difficulty to, as
	// far as the pseudoblocks between them let it; see the package's doc.
	Difficulty uint8
	// Seed chooses one of 2^64 chains.
	Seed uint64
	// StartTime is the start time of block 1 in Unix seconds.
	StartTime uint32
	// Faults are what is wrong with the chain, at most one a block, in any
	// order.
	Faults []Fault
	// Solver tries nonces above block 0x12851, where the proof of work is Peach;
	// Trigg needs none.  It may be nil when no such block has a difficulty above
	// 0.  A wrong verdict of its makes a wrong chain.
	Solver verify.Verifier
	// Progress, when not nil, hears how many of Blocks are done: after every
	// 1,024 trailers, after each whose nonce had to be searched for, and at the
	// end.  It must be quick.
	Progress func(done, total int64)
}

// A ConfigError says that a Config asks for what can't be made.
type ConfigError struct{ Err error }

func (e *ConfigError) Error() string { return e.Err.Error() }
func (e *ConfigError) Unwrap() error { return e.Err }

// Validate reports all that is wrong with c and can be told without making the
// chain, each with the field, its value and what is allowed.  Generate calls it.
func (c Config) Validate() error {
	var errs []error
	if c.Blocks < 1 || c.Blocks > maxBlocks {
		errs = append(errs, fmt.Errorf("blocks %d: want 1 to %d", c.Blocks, int64(maxBlocks)))
	}
	if !(c.Worked >= 0 && c.Worked <= 1) { // NaN too
		errs = append(errs, fmt.Errorf("worked %v: want a share from 0 to 1", c.Worked))
	}
	if latest := uint32(lastTime); c.StartTime > latest {
		errs = append(errs, fmt.Errorf("start-time %d: want 0 to %d", c.StartTime, latest))
	}
	if c.Blocks >= 1 {
		errs = append(errs, c.validateFaults()...)
	}
	return errors.Join(errs...)
}

func (c Config) validateFaults() (errs []error) {
	var before *Fault // the last one that ends or renumbers the chain
	faults := c.faultsByBlock()
	for i, f := range faults {
		k, err := lookUp(f.Kind)
		if err != nil {
			errs = append(errs, fmt.Errorf("fault %v: %w", f, err))
			continue
		}
		switch {
		case int64(f.Block) < 0 || int64(f.Block) >= c.Blocks:
			err = fmt.Errorf("want a block from 0 to %d, the last of %d blocks", c.Blocks-1, c.Blocks)
		case !k.at(f.Block):
			err = fmt.Errorf("%s; it applies to %s, the nearest is block %d", describe(f.Block), k.Where, nearest(k.at, f.Block))
		case i > 0 && faults[i-1].Block == f.Block:
			err = fmt.Errorf("block %d has fault %s already, want one fault a block", f.Block, faults[i-1].Kind)
		case before != nil && before.Kind == bnum && !k.cuts():
			err = fmt.Errorf("%v renumbers all blocks behind it, want it as the last fault", before)
		case before != nil && before.Kind != bnum:
			err = fmt.Errorf("the file ends at %v, want faults before it only", before)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("fault %v: %w", f, err))
		}
		if f.Kind == bnum || k.cuts() {
			before = &f
		}
	}
	return errs
}

// faultsByBlock returns the faults in the order of their blocks.
func (c Config) faultsByBlock() []Fault {
	return slices.SortedStableFunc(slices.Values(c.Faults), func(a, b Fault) int {
		return cmp.Compare(a.Block, b.Block)
	})
}

// describe says which kind of block n can be.
func describe(n mcm.BlockNum) string {
	switch {
	case n == 0:
		return "block 0 is the genesis block"
	case n.IsNeogenesis():
		return fmt.Sprintf("block %d (%v) is a neogenesis block", n, n)
	default:
		return fmt.Sprintf("block %d (%v) is a standard block or a pseudoblock", n, n)
	}
}

// nearest returns the block nearest to n that has what is asked for; every kind
// of fault applies somewhere.
func nearest(at func(mcm.BlockNum) bool, n mcm.BlockNum) mcm.BlockNum {
	for d := mcm.BlockNum(0); ; d++ {
		if at(n + d) {
			return n + d
		}
		if d <= n && at(n-d) {
			return n - d
		}
	}
}

// Stats tells what Generate made.
type Stats struct {
	Trailers   int64        // whole trailers written, genesis included
	Worked     int64        // with a proof of work, true or spoiled
	Pseudo     int64        // pseudoblocks
	Neogenesis int64        // neogenesis blocks, without genesis
	Tries      uint64       // nonces whose hash was asked for, winners included
	Bytes      int64        // written
	Last       mcm.BlockNum // number of the last whole trailer
	LastTime   uint32       // its solve time, Unix seconds
	Difficulty uint32       // its difficulty
	Tip        mcm.Hash     // its block hash
	Weight     mcm.Weight   // of all whole trailers (docs/spec/chain.md section 7)
}
