package chaos

import (
	"bytes"
	"context"
	"math/rand/v2"
	"slices"

	"kigo/node/mcm"
	"kigo/node/synth"
)

const (
	cheapLines   = 4
	pseudoLines  = 4
	missedTips   = 8
	brokenDepth  = 13 // blocks from the broken difficulty to the tip
	sideBlocks   = 4
	cheapElapsed = 150 // seconds a block: slow enough to stay at difficulty 0
)

// below returns a copy of the honest chain up to index i, with room to grow.
func (w *World) below(i int) []mcm.Trailer { return slices.Clone(w.main.trailers[:i+1]) }

// proof returns a copy of the honest tip's proof.
func (w *World) proof() []mcm.Trailer {
	return slices.Clone(w.main.trailers[w.tip+1-segment : w.tip+1])
}

// fork returns the line of trailers that share the honest chain's beginning.
func (w *World) fork(ts []mcm.Trailer) *line {
	below, _ := w.main.weights[0].Sub(mcm.Weight{}.AddDifficulty(w.main.trailers[0].WorkDifficulty()))
	return newLine(below, ts)
}

// makeSide grows the branch that lost a fork: fewer blocks, slower ones.
func (w *World) makeSide(ctx context.Context, f *forge) error {
	r := f.rand(streamSide)
	var steps []step
	for range sideBlocks {
		steps = append(steps, step{elapsed: 90 + r.Uint32N(40)})
	}
	ts, err := f.grow(ctx, r, w.below(w.tip-forkDepth), steps, nil)
	w.side = w.fork(ts)
	return err
}

// makeTie makes another block in the tip's place, with the same work and, as
// whoever makes a block can have it, a numerically greater hash.
func (w *World) makeTie(ctx context.Context, f *forge) error {
	r := f.rand(streamTie)
	honest := w.main.trailers[w.tip].Hash()
	for {
		ts, err := f.grow(ctx, r, w.below(w.tip-1), w.steps(w.tip), nil)
		if err != nil {
			return err
		}
		if bytes.Compare(ts[w.tip].Hash()[:], honest[:]) > 0 {
			w.tie = w.fork(ts)
			return nil
		}
	}
}

// makeDifficulty grows a branch whose first block has a difficulty of one less
// than it should and all the work that this asks for.
func (w *World) makeDifficulty(ctx context.Context, f *forge) error {
	ts, err := f.grow(ctx, f.rand(streamDifficulty), w.below(w.tip-brokenDepth), w.steps(w.tip-brokenDepth+1),
		func(i int, t *mcm.Trailer) {
			if i == 0 {
				t.SetDifficulty(t.Difficulty() - 1)
			}
		})
	w.difficulty = w.fork(ts)
	return err
}

// makeNeogenesis grows a branch through another neogenesis block, solved a second
// later than the block whose times it must repeat.
func (w *World) makeNeogenesis(ctx context.Context, f *forge) error {
	at := w.tip &^ 0xff
	ts, err := f.grow(ctx, f.rand(streamNeogenesis), w.below(at-1), w.steps(at),
		func(i int, t *mcm.Trailer) {
			if i == 0 {
				t.SetSolveTime(t.SolveTime() + 1)
			}
		})
	w.neogenesis = w.fork(ts)
	return err
}

// steps returns how the blocks of the honest chain from index i to the tip came
// about.
func (w *World) steps(i int) []step { return w.main.steps(i, w.tip) }

// makeMissed makes other tips whose work falls just short.
func (w *World) makeMissed(ctx context.Context, f *forge) error {
	r := f.rand(streamMissed)
	m := synth.NewMiner(r.Uint64(), f.solver)
	for range missedTips {
		t := follow(&w.main.trailers[w.tip-1], w.steps(w.tip)[0], r)
		if err := m.Miss(ctx, &t); err != nil {
			return err
		}
		w.missed = append(w.missed, t)
	}
	return nil
}

// makePseudo makes a chain from the world's first number on, of pseudoblocks that
// keep all rules.  The last proof's worth begins at difficulty 255.  Below that,
// where each has one more than the block behind it, only the field's higher bytes
// are left to count with.
func (w *World) makePseudo(r *rand.Rand) *line {
	tip := &w.main.trailers[w.tip]
	var first mcm.Trailer
	first.SetNum(mcm.V30Trigger)
	randomBytes(first.PrevHash()[:], r)
	randomBytes(first.MerkleRoot()[:], r)
	blocks := w.tip - w.v3
	pauses := uint32(blocks - blocks/256) // neogenesis blocks take no time
	start := tip.SolveTime() - pauses*mcm.BridgeV3
	first.SetSolveTime(start)
	first.SetStartTime(start - mcm.BridgeV3)
	first.SetDifficulty(255)
	for range blocks + 1 - segment {
		first.SetDifficulty(first.Difficulty() + 1)
	}
	seal(&first)
	ts := []mcm.Trailer{first}
	for len(ts) <= blocks {
		t := follow(&ts[len(ts)-1], step{pseudo: true}, r)
		seal(&t)
		ts = append(ts, t)
	}
	return newLine(w.Base.Weight, ts)
}

// makeCheap makes an anchored-nowhere proof's worth of real work at difficulty 0,
// ending with the honest tip's number and time.
func (w *World) makeCheap(ctx context.Context, f *forge, i int) error {
	r := f.rand(streamCheap + uint64(i))
	tip := &w.main.trailers[w.tip]
	var before mcm.Trailer
	before.SetNum(tip.Num() - segment)
	before.SetSolveTime(tip.SolveTime() - segment*cheapElapsed)
	before.SetStartTime(before.SolveTime() - cheapElapsed)
	randomBytes(before.Hash()[:], r)
	steps := slices.Repeat([]step{{elapsed: cheapElapsed}}, segment)
	ts, err := f.grow(ctx, r, []mcm.Trailer{before}, steps, nil)
	if err != nil {
		return err
	}
	w.cheap[i] = newLine(w.Base.Weight, ts[1:])
	return nil
}
