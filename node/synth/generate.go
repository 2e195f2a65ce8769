package synth

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"slices"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
)

// progressEvery is how many trailers pass between two calls of Progress, and
// between two looks at the context.
const progressEvery = 1024

// Generate writes the chain to w, trailer after trailer as in a trailer file
// (docs/spec/chain.md section 3), and tells what it made.
//
// It first goes over the whole chain without hashing, so a Config that asks for
// the impossible, such as times past 2^32 or a fault at a block without
// difficulty, fails with a *ConfigError before anything is written.  When ctx ends, w or the Solver
// fails, what was made up to then is written as far as possible and the error
// wraps its cause.
func Generate(ctx context.Context, w io.Writer, c Config) (Stats, error) {
	if err := c.Validate(); err != nil {
		return Stats{}, &ConfigError{err}
	}
	if err := c.rehearse(ctx); err != nil {
		if ctx.Err() != nil {
			return Stats{}, err
		}
		return Stats{}, &ConfigError{err}
	}
	out := bufio.NewWriterSize(w, 1<<18)
	s, err := c.write(ctx, out, newProver(c))
	if flushErr := out.Flush(); err == nil && flushErr != nil {
		err = fmt.Errorf("write trailers: %w", flushErr)
	}
	return s, err
}

// write makes the chain with p's proofs.
func (c Config) write(ctx context.Context, out *bufio.Writer, p *prover) (s Stats, err error) {
	ch := newChain(c)
	for i := mcm.BlockNum(0); i < mcm.BlockNum(c.Blocks); i++ {
		if i%progressEvery == 0 && ctx.Err() != nil {
			return s, fmt.Errorf("block %d: %w", i, context.Cause(ctx))
		}
		if err := ch.advance(); err != nil {
			return s, err
		}
		if err := p.finish(ctx, &ch.cur, i, ch.fault); err != nil {
			return s, err
		}
		length := mcm.TrailerLen
		if ch.fault != nil && ch.fault.cuts() {
			length = ch.fault.keep(ch.rand)
		}
		n, err := out.Write(ch.cur[:length])
		s.Bytes += int64(n)
		if err != nil {
			return s, fmt.Errorf("write trailers: %w", err)
		}
		if length < mcm.TrailerLen {
			break
		}
		s.add(&ch.cur, i)
		if c.Progress != nil && (p.tries != s.Tries || s.Trailers%progressEvery == 0) {
			c.Progress(s.Trailers, c.Blocks)
		}
		s.Tries = p.tries
	}
	if c.Progress != nil {
		c.Progress(s.Trailers, c.Blocks)
	}
	return s, nil
}

// add counts t, the trailer at position i.
func (s *Stats) add(t *mcm.Trailer, i mcm.BlockNum) {
	s.Trailers++
	switch {
	case i == 0:
	case i.IsNeogenesis():
		s.Neogenesis++
	case t.TxCount() == 0:
		s.Pseudo++
	default:
		s.Worked++
	}
	s.Last, s.LastTime, s.Difficulty, s.Tip = t.Num(), t.SolveTime(), t.Difficulty(), *t.Hash()
	s.Weight = rules.AddWeight(s.Weight, t)
}

// rehearse lays the chain out without hashing and reports what can't be made.
func (c Config) rehearse(ctx context.Context) error {
	ch := newChain(c)
	for i := mcm.BlockNum(0); i < mcm.BlockNum(c.Blocks); i++ {
		if i%progressEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := ch.advance(); err != nil {
			return err
		}
		switch t, fault := &ch.cur, ch.fault; {
		case fault != nil && fault.cuts():
			return nil
		case fault != nil && fault.works && t.WorkDifficulty() == 0:
			return c.noWork(Fault{fault.Name, i})
		case c.Solver == nil && t.WorkDifficulty() > 0 && pow.AlgorithmOf(t) == pow.Peach &&
			(fault == nil || fault.prove == nil || fault.works):
			return errNoSolver(t)
		}
	}
	return nil
}

// noWork reports that f needs a difficulty that its block does not have, and
// which is the nearest block that has it.
func (c Config) noWork(f Fault) error {
	// Later faults are left out: they may want what f wants.
	c.Faults = slices.DeleteFunc(slices.Clone(c.Faults), func(g Fault) bool { return g.Block >= f.Block })
	ch := newChain(c)
	var found mcm.BlockNum // 0 for none
	for n := mcm.BlockNum(0); n < mcm.BlockNum(c.Blocks) && (found == 0 || n < 2*f.Block-found); n++ {
		if ch.advance() != nil {
			break
		}
		if !n.IsNeogenesis() && ch.cur.WorkDifficulty() > 0 {
			found = n
			if n > f.Block {
				break
			}
		}
	}
	if found == 0 {
		return fmt.Errorf("fault %v: block %d has difficulty 0 and so have all others; want a difficulty of 1 or more and worked blocks to reach it", f, f.Block)
	}
	return fmt.Errorf("fault %v: block %d has difficulty 0; want one of difficulty 1 or more, the nearest is block %d", f, f.Block, found)
}
