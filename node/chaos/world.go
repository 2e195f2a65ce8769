package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/synth"
	"kigo/node/verify"
)

// Shape of the world's chain, in blocks.  The tip is two blocks past one whose
// number ends in 00, so that nodes whose tip ends in ff or 00 are honest ones a
// little behind.
const (
	shortest   = 0x102 // from 0xa0700 to the tip, unless more are asked for
	oldBlocks  = 100   // from 0xa0700 on, had more work
	newBlocks  = shortest - oldBlocks
	mixedDepth = 22 // from the tip to the last of a proof's worth in which every other block is pseudo
	forkDepth  = 7  // from the tip to the last block that the side branch shares
	segment    = mcm.ProofTrailers
)

// Difficulties that block times steer to.
const (
	legacyDifficulty = 3 // before version 3
	oldDifficulty    = 7 // eight times the density of recent blocks
	longDifficulty   = 0 // of what a longer chain has between: free to make, and to be checked as any
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
	// Blocks is how many there are at least from 0xa0700 to the tip; more than
	// 258 take next to no work.
	Blocks int
	// History is how many blocks there are at least below 0xa0700, none when it is
	// 0: the chain begins with a neogenesis block, behind which there is nothing.
	History int
}

// A World is the chain that honest peers are on, with all that hostile ones need
// to be hostile with.  It doesn't change once it is made, and costs no work any
// more; Grow and Fork make chains that go on from it.
//
// Unless it has a history, the chain begins with a neogenesis block at 0xa0700
// behind which there is nothing, so all of it is version 3 and nobody need hold what
// is below.
type World struct {
	Base proof.Anchor // the chain's first block
	Now  time.Time    // as configured

	forge *forge
	v3    int // index in main of block 0xa0700
	tip   int // of the tip

	main *line // up to the block ahead of the tip
	side *line // the loser of a fork just below the tip
	tie  *line // another tip of the same weight, of a greater hash

	pseudo []*line // other chains, of pseudoblocks all through

	// Forgeries that took work.
	cheap      []*line       // other chains, of difficulty 0 all through
	difficulty *line         // the difficulty rule is broken once, all else holds
	neogenesis *line         // a neogenesis block has another time than it must repeat
	missed     []mcm.Trailer // in place of the tip, with work just short of it
	tails      []*line       // most weight of all, by blocks below a proof's worth that have no work
	short      []*line       // one block below a proof's worth lacks work, all else holds
	pasts      []past        // other blocks before version 3, if the world has any
}

// NewWorld makes a world.  It is a function of the seed and the time, whatever
// engine the solver runs on.  The error is the solver's or ctx's.
func NewWorld(ctx context.Context, c WorldConfig) (*World, error) {
	f := &forge{seed: c.Seed, solver: c.Solver}
	w := &World{Now: c.Now, forge: f, v3: (c.History + 0xff) &^ 0xff}
	w.tip = w.v3 + (max(c.Blocks, shortest)+0xff-2)&^0xff + 2
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
	i := w.tip - depth
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
	var first mcm.Trailer
	first.SetNum(mcm.V30Trigger - mcm.BlockNum(w.v3))
	elapsed := uint32(100) // leaves the difficulty as it is
	first.SetDifficulty(oldDifficulty)
	if w.v3 > 0 {
		elapsed = 200
		first.SetDifficulty(legacyDifficulty)
	}
	steps, seconds := w.drawSteps(r, &first, elapsed)
	randomBytes(first.PrevHash()[:], r)
	if w.v3 == 0 {
		randomBytes(first.MerkleRoot()[:], r)
	}
	start := uint32(w.Now.Unix()) - tipAge - seconds
	first.SetStartTime(start - elapsed)
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
// the tip included, and how many seconds the chain takes up to the tip.  The first
// took so many seconds itself.
func (w *World) drawSteps(r *rand.Rand, first *mcm.Trailer, elapsed uint32) (steps []step, seconds uint32) {
	mixedEnd := w.tip - mixedDepth
	mixedStart := mixedEnd - segment + 1
	d := first.Difficulty()
	for i := 1; i <= w.tip+1; i++ {
		n := first.Num() + mcm.BlockNum(i)
		if n.IsNeogenesis() { // it repeats the times, which count again
			steps = append(steps, step{})
			d = nextDifficulty(n, d, elapsed)
			continue
		}
		s := step{elapsed: 69 + r.Uint32N(70)} // leaves the difficulty as it is
		target := uint32(longDifficulty)
		switch {
		case i > w.tip-newBlocks:
			target = recentDifficulty
		case i <= w.v3+oldBlocks:
			target = oldDifficulty
		}
		switch {
		case i < w.v3:
			s.elapsed = 160 + r.Uint32N(100) // the same by older rules
		case i >= mixedStart && i <= mixedEnd && (i-mixedStart)%2 == 0:
			s = step{pseudo: true, elapsed: mcm.BridgeV3}
		case i == w.tip+1:
			s.elapsed = 5 + r.Uint32N(tipAge-10)
		case i == w.tip || d < target:
			s.elapsed = 20 + r.Uint32N(40)
		case d > target || i > w.v3+oldBlocks && r.IntN(8) == 0:
			s.elapsed = 139 + r.Uint32N(90)
		}
		elapsed = s.elapsed
		d = nextDifficulty(n, d, elapsed)
		steps = append(steps, s)
		if i <= w.tip {
			seconds += elapsed
		}
	}
	return steps, seconds
}

// nextDifficulty is that of the block after number n, which has difficulty d and
// took so many seconds.
func nextDifficulty(n mcm.BlockNum, d, elapsed uint32) uint32 {
	var t mcm.Trailer
	t.SetNum(n)
	t.SetDifficulty(d)
	t.SetSolveTime(elapsed)
	return rules.NextDifficulty(&t)
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
		func(ctx context.Context) error { return w.makePasts(ctx, f) },
	}
	w.tails, w.short = make([]*line, tailLines), make([]*line, shortLines)
	for i := range w.tails {
		jobs = append(jobs, func(ctx context.Context) error { return w.makeTail(ctx, f, i) })
	}
	for i := range w.short {
		jobs = append(jobs, func(ctx context.Context) error { return w.makeShort(ctx, f, i) })
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

	streamTail  = 1 << 10 // and on
	streamShort = 1 << 11 // and on
	streamPast  = 1 << 12 // and on
	streamLive  = 1 << 32 // and on
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
