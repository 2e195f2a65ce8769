package synth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/verify"
)

// maxBatch is the most candidates handed to a Solver at a time: enough to fill
// a GPU, at 3 MiB of memory.
const maxBatch = 1 << 14

// A prover gives trailers their nonces and hashes.
type prover struct {
	solver   verify.Verifier
	seed     uint64
	minBatch int // at least so many candidates at a time, if more than one
	maxBatch int

	pcg     rand.PCG
	rand    *rand.Rand // reads pcg
	batch   []mcm.Trailer
	results []verify.Result
	tries   uint64
}

func newProver(c Config) *prover {
	p := &prover{solver: c.Solver, seed: c.Seed, maxBatch: maxBatch}
	p.rand = rand.New(&p.pcg)
	return p
}

// finish gives t, the trailer at position i, the proof of work that it needs and
// its hash, spoiled where fault says so.
func (p *prover) finish(ctx context.Context, t *mcm.Trailer, i mcm.BlockNum, fault *Kind) error {
	if i == 0 {
		return nil // the genesis trailer has all it needs
	}
	if pow.AlgorithmOf(t) != pow.None {
		reseed(&p.pcg, p.seed, i, nonceStream)
		if fault != nil && fault.prove != nil {
			if err := fault.prove(ctx, p, t, i); err != nil {
				return err
			}
		} else if err := p.solve(ctx, t); err != nil {
			return err
		}
	}
	*t.Hash() = sha256.Sum256(t[:128])
	if fault != nil && fault.seal != nil {
		reseed(&p.pcg, p.seed, i, spoilStream)
		fault.seal(t, p.rand)
	}
	return nil
}

// solve stores the first nonce that proves t's work.  Without difficulty any
// haiku does.
func (p *prover) solve(ctx context.Context, t *mcm.Trailer) error {
	if t.WorkDifficulty() == 0 {
		pow.SetRandomNonce(t, p.rand)
		return nil
	}
	return p.search(ctx, t, p.anyHaiku, func(r *verify.Result) bool { return r.Verdict == verify.Valid })
}

// short stores the first nonce whose hash is one bit short of t's
// difficulty.
func short(ctx context.Context, p *prover, t *mcm.Trailer, _ mcm.BlockNum) error {
	near := int(t.WorkDifficulty()) - 1
	return p.search(ctx, t, p.anyHaiku, func(r *verify.Result) bool {
		return r.Verdict == verify.BadWork && r.Hash.LeadingZeroBits() == near
	})
}

// flip solves t, then changes one word of its haikus to another that
// fits the grammar, such that the work no longer holds.
func flip(ctx context.Context, p *prover, t *mcm.Trailer, i mcm.BlockNum) error {
	if err := p.solve(ctx, t); err != nil {
		return err
	}
	reseed(&p.pcg, p.seed, i, spoilStream)
	return p.search(ctx, t, p.otherWord, func(r *verify.Result) bool { return r.Verdict == verify.BadWork })
}

// misspell returns a proof whose half 0 or 1 is no haiku.
func misspell(half int) func(context.Context, *prover, *mcm.Trailer, mcm.BlockNum) error {
	return func(_ context.Context, p *prover, t *mcm.Trailer, _ mcm.BlockNum) error {
		pow.SetRandomNonce(t, p.rand)
		first, second := pow.Halves(t)
		h := [2]*pow.Half{first, second}[half]
		for good := *h; h.Syntax(); {
			*h = good
			h[p.rand.IntN(pow.HalfLen)] = byte(p.rand.Uint32())
		}
		return nil
	}
}

func (p *prover) anyHaiku(t *mcm.Trailer) { pow.SetRandomNonce(t, p.rand) }

func (p *prover) otherWord(t *mcm.Trailer) {
	for solved := *t.Nonce(); ; *t.Nonce() = solved {
		at, word := p.rand.IntN(mcm.NonceLen), byte(p.rand.Uint32())
		if solved[at] == 0 || solved[at] == word {
			continue
		}
		if t.Nonce()[at] = word; pow.NonceSyntax(t) {
			return
		}
	}
}

// search tries the nonces that propose makes out of t's, in their order, and
// stores the first whose result is wanted.
func (p *prover) search(ctx context.Context, t *mcm.Trailer, propose func(*mcm.Trailer), wanted func(*verify.Result) bool) error {
	check, size := p.solver, min(max(1<<min(int(t.WorkDifficulty()), 30), p.minBatch), p.maxBatch)
	if pow.AlgorithmOf(t) == pow.Trigg {
		check, size = trigg{}, 1 // quick, so none are tried in vain
	}
	if check == nil {
		return errNoSolver(t)
	}
	if len(p.batch) < size {
		p.batch, p.results = make([]mcm.Trailer, size), make([]verify.Result, size)
	}
	batch, results := p.batch[:size], p.results[:size]
	for {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		for i := range batch {
			batch[i] = *t
			propose(&batch[i])
		}
		if err := check.VerifyPoW(ctx, results, batch); err != nil {
			return fmt.Errorf("solving block %v: %w", t.Num(), err)
		}
		for i := range results {
			p.tries++
			if v := results[i].Verdict; v != verify.Valid && v != verify.BadWork {
				return fmt.Errorf("solving block %v: the solver's verdict on a haiku is %v, want valid or bad_work", t.Num(), v)
			}
			if wanted(&results[i]) {
				*t.Nonce() = *batch[i].Nonce()
				return nil
			}
		}
	}
}

// errNoSolver names the first block that a Solver is missed for.
func errNoSolver(t *mcm.Trailer) error {
	return fmt.Errorf("solver: none is given, want one for the Peach work of difficulty %d of block %d", t.WorkDifficulty(), t.Num())
}

var errNotTrigg = errors.New("synth: trailer needs more than Trigg")

// trigg is the Verifier of blocks whose proof of work is Trigg.
type trigg struct{}

func (trigg) VerifyPoW(_ context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	if left := verify.Prepare(dst, batch, nil); len(left) > 0 {
		return errNotTrigg
	}
	return nil
}

// A Miner gives trailers outside a Config's chain their proof of work.  Like
// Generate's, its proofs are a function of seed, block and trailer, whichever
// engine finds them.  It isn't safe for concurrent use.
type Miner struct{ p *prover }

// NewMiner returns a Miner that asks solver for verdicts.
func NewMiner(seed uint64, solver verify.Verifier) *Miner {
	p := newProver(Config{Seed: seed, Solver: solver})
	p.minBatch = 64 // what makes it worth while for every engine
	return &Miner{p}
}

// Mine stores a nonce that proves t's work, where t needs one, and then t's hash.
func (m *Miner) Mine(ctx context.Context, t *mcm.Trailer) error {
	return m.p.finish(ctx, t, t.Num(), nil)
}

// Miss stores a nonce that is good haikus but falls short of t's work by some
// bits, and then t's hash.  t needs a difficulty above 0.
func (m *Miner) Miss(ctx context.Context, t *mcm.Trailer) error {
	return m.p.finish(ctx, t, t.Num(), &Kind{prove: short})
}
