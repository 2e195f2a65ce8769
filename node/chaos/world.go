package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/synth"
	"kigo/node/verify"
)

// Shape of the world's chain, in blocks from its first one, which is 0xa0700.
// The tip is two blocks past one whose number ends in 00, so that nodes whose tip
// ends in ff or 00 are honest ones a little behind.
const (
	tipIndex   = 0x102 // 0xa0802
	aheadIndex = tipIndex + 1
	mixedEnd   = tipIndex - 22          // last of a proof's worth in which every other block is pseudo
	mixedStart = mixedEnd - segment + 1 // its first
	oldEnd     = 100                    // up to here blocks had more work
	forkIndex  = tipIndex - 7           // last block that the side branch shares
	segment    = mcm.ProofTrailers
)

// Difficulties that block times steer to.
const (
	oldDifficulty    = 7 // eight times the density of recent blocks
	recentDifficulty = 4
)

// tipAge is how far in the past the tip of a new world lies: far enough for one
// block on top, near enough for a block in the future in the tip's place.
const tipAge = 20

// A WorldConfig says which world to make.
type WorldConfig struct {
	Seed uint64
	// Solver tries nonces; its verdicts must be right.  Some 30,000 trailers
	// are checked.
	Solver verify.Verifier
	// Now is the time just after the tip was found.
	Now time.Time
}

// A World is the chain that honest peers are on, with all that hostile ones need
// to be hostile with.  It doesn't change once it is made, and costs no work any
// more.
//
// The chain begins with a neogenesis block at 0xa0700 behind which there is
// nothing, so all of it is version 3 and nobody need hold what is below.
type World struct {
	Base proof.Anchor // the chain's first block
	Now  time.Time    // as configured

	main *line // up to the block ahead of the tip
	side *line // the loser of a fork just below the tip
	tie  *line // another tip of the same weight, of a greater hash

	pseudo []*line // other chains, of pseudoblocks all through

	// Forgeries that took work.
	cheap      []*line       // other chains, of difficulty 0 all through
	difficulty *line         // the difficulty rule is broken once, all else holds
	neogenesis *line         // a neogenesis block has another time than it must repeat
	missed     []mcm.Trailer // in place of the tip, with work just short of it
}

// NewWorld makes a world.  It is a function of the seed and the time, whatever
// engine the solver runs on.  The error is the solver's or ctx's.
func NewWorld(ctx context.Context, c WorldConfig) (*World, error) {
	f := &forge{seed: c.Seed, solver: c.Solver}
	w := &World{Now: c.Now}
	if err := w.makeMain(ctx, f); err != nil {
		return nil, fmt.Errorf("make the honest chain: %w", err)
	}
	if err := w.makeForgeries(ctx, f); err != nil {
		return nil, fmt.Errorf("make forgeries: %w", err)
	}
	return w, nil
}

// Tip returns what honest peers say of the chain.
func (w *World) Tip() proof.Anchor { return w.Anchor(0) }

// Anchor returns the block of the honest chain that is depth below the tip.
func (w *World) Anchor(depth int) proof.Anchor {
	i := tipIndex - depth
	t := &w.main.trailers[i]
	return proof.Anchor{Num: t.Num(), Hash: *t.Hash(), Weight: w.main.weights[i], Time: t.SolveTime()}
}

// Anchors are what a node that scans this world may hold for proven: its first
// block, and one near the tip by which false weights show.
func (w *World) Anchors() []proof.Anchor { return []proof.Anchor{w.Base, w.Anchor(segment / 2)} }

// OnChain reports whether a hash is that of a block of the honest chain, the one
// ahead of the tip included.
func (w *World) OnChain(h mcm.Hash) bool {
	for i := range w.main.trailers {
		if *w.main.trailers[i].Hash() == h {
			return true
		}
	}
	return false
}

// makeMain draws the times of the honest chain, such that it ends just before
// now, and does its work.
func (w *World) makeMain(ctx context.Context, f *forge) error {
	r := f.rand(streamMain)
	steps, seconds := drawSteps(r)
	var first mcm.Trailer
	first.SetNum(mcm.V30Trigger)
	first.SetDifficulty(oldDifficulty)
	randomBytes(first.PrevHash()[:], r)
	randomBytes(first.MerkleRoot()[:], r)
	start := uint32(w.Now.Unix()) - tipAge - seconds
	first.SetStartTime(start - 100)
	first.SetSolveTime(start)
	seal(&first)
	ts, err := f.grow(ctx, r, []mcm.Trailer{first}, steps, nil)
	if err != nil {
		return err
	}
	// A past that is heavier than all that the world adds to it, as anywhere.
	below := mcm.Weight{1<<50 + r.Uint64N(1<<50)}
	w.main = newLine(below, ts)
	w.Base = proof.Anchor{Num: first.Num(), Hash: *first.Hash(), Weight: w.main.weights[0], Time: start}
	return nil
}

// drawSteps returns how each block after the first comes about, the one ahead of
// the tip included, and how many seconds the chain takes up to the tip.
func drawSteps(r *rand.Rand) (steps []step, seconds uint32) {
	d := oldDifficulty
	for i := 1; i <= aheadIndex; i++ {
		target := recentDifficulty
		if i <= oldEnd {
			target = oldDifficulty
		}
		s := step{elapsed: 69 + r.Uint32N(70)} // leaves the difficulty as it is
		switch {
		case (mcm.V30Trigger + mcm.BlockNum(i)).IsNeogenesis():
			steps = append(steps, step{})
			continue
		case i >= mixedStart && i <= mixedEnd && (i-mixedStart)%2 == 0:
			s = step{pseudo: true, elapsed: mcm.BridgeV3}
		case i == aheadIndex:
			s.elapsed = 5 + r.Uint32N(tipAge-10)
		case i == tipIndex || d < target:
			s.elapsed = 20 + r.Uint32N(40)
		case d > target || i > oldEnd && r.IntN(8) == 0:
			s.elapsed = 139 + r.Uint32N(90)
		}
		switch {
		case s.elapsed > 138:
			d--
		case s.elapsed < 69:
			d++
		}
		steps = append(steps, s)
		if i <= tipIndex {
			seconds += s.elapsed
		}
	}
	return steps, seconds
}

// makeForgeries does the work that hostile kinds need, in parallel: none of it
// builds on another's.
func (w *World) makeForgeries(ctx context.Context, f *forge) error {
	for i := range pseudoLines {
		w.pseudo = append(w.pseudo, w.makePseudo(f.rand(streamCheap+cheapLines+uint64(i))))
	}
	w.cheap = make([]*line, cheapLines)
	jobs := []func(context.Context) error{
		func(ctx context.Context) error { return w.makeSide(ctx, f) },
		func(ctx context.Context) error { return w.makeTie(ctx, f) },
		func(ctx context.Context) error { return w.makeDifficulty(ctx, f) },
		func(ctx context.Context) error { return w.makeNeogenesis(ctx, f) },
		func(ctx context.Context) error { return w.makeMissed(ctx, f) },
	}
	for i := range w.cheap {
		jobs = append(jobs, func(ctx context.Context) error { return w.makeCheap(ctx, f, i) })
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var group sync.WaitGroup
	for _, job := range jobs {
		group.Go(func() {
			if err := job(ctx); err != nil {
				cancel(err)
			}
		})
	}
	group.Wait()
	return context.Cause(ctx)
}

// A forge makes trailers with work.
type forge struct {
	seed   uint64
	solver verify.Verifier
}

// Streams of random numbers, one for each thing made.
const (
	streamMain = iota
	streamSide
	streamTie
	streamDifficulty
	streamNeogenesis
	streamMissed
	streamCheap // and on
)

func (f *forge) rand(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(f.seed, stream)) }

// grow appends a block to ts for each step and does its work.  alter, unless nil,
// spoils a trailer before that.
func (f *forge) grow(ctx context.Context, r *rand.Rand, ts []mcm.Trailer, steps []step, alter func(i int, t *mcm.Trailer)) ([]mcm.Trailer, error) {
	m := synth.NewMiner(r.Uint64(), f.solver)
	for i, s := range steps {
		t := follow(&ts[len(ts)-1], s, r)
		if alter != nil {
			alter(i, &t)
		}
		if err := m.Mine(ctx, &t); err != nil {
			return nil, err
		}
		ts = append(ts, t)
	}
	return ts, nil
}
