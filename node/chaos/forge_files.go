package chaos

import (
	"context"
	"math/rand/v2"
	"slices"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
	"kigo/node/synth"
)

const (
	tailLines  = 1
	shortLines = 2
	tailDepth  = 119 // blocks from the last honest one of a forged tail to its tip
	humpBlocks = 60  // of them have no work
)

// A past is what may stand below a genuine block 0xa0700: trailers of which only the
// last one's hash is bound to it.
type past struct {
	altered []mcm.Trailer // the honest ones, one without its work
	other   []mcm.Trailer // worked, of less weight, the last ones
	wrapped []mcm.Trailer // worked, difficulties 256 higher, which work doesn't feel
}

// makeTail makes a branch that parts from the honest chain below its proof and
// outweighs all there is by blocks without work: they are so fast that the
// difficulty rises by dozens, then slow until it is back.  Above them are as many
// worked blocks as a proof needs, and a few.
func (w *World) makeTail(ctx context.Context, f *forge, i int) error {
	r := f.rand(streamTail + uint64(i))
	m := synth.NewMiner(r.Uint64(), f.solver)
	ts := w.below(w.tip - tailDepth)
	usual := ts[len(ts)-1].Difficulty()
	for i := range humpBlocks {
		prev := &ts[len(ts)-1]
		s := step{elapsed: 100}
		switch d := rules.NextDifficulty(prev); {
		case i < humpBlocks/2-2:
			s.elapsed = 20
		case d > usual:
			s.elapsed = 145
		}
		t := follow(prev, s, r)
		if i == 0 {
			if err := m.Miss(ctx, &t); err != nil {
				return err
			}
		} else {
			pow.SetRandomNonce(&t, r)
			seal(&t)
		}
		ts = append(ts, t)
	}
	ts, err := f.grow(ctx, r, ts, w.steps(w.tip-tailDepth+humpBlocks+1), nil)
	if err != nil {
		return err
	}
	w.tails[i] = w.fork(ts)
	return nil
}

// makeShort makes a branch like the honest chain, and of a little more weight, but
// for a block, somewhere below the proof, whose work falls just short.
func (w *World) makeShort(ctx context.Context, f *forge, i int) error {
	r := f.rand(streamShort + uint64(i))
	m := synth.NewMiner(r.Uint64(), f.solver)
	at := w.tip - segment - 1 - r.IntN(newBlocks/2)
	for t := &w.main.trailers[at]; t.Kind() != mcm.Standard || t.WorkDifficulty() == 0; t = &w.main.trailers[at] {
		at--
	}
	t := follow(&w.main.trailers[at-1], w.steps(at)[0], r)
	if err := m.Miss(ctx, &t); err != nil {
		return err
	}
	// From a block that is faster on, all others have more work.
	steps := w.steps(at + 1)
	quick := slices.IndexFunc(steps, func(s step) bool { return !s.pseudo && s.elapsed > 68 && s.elapsed < 139 })
	if quick >= 0 {
		steps[quick].elapsed = 60
	}
	ts, err := f.grow(ctx, r, append(w.below(at-1), t), steps, nil)
	if err != nil {
		return err
	}
	w.short[i] = w.fork(ts)
	return nil
}

// otherPast is how many blocks of another past are not those of the honest one.
const otherPast = 64

// makePasts makes what may stand below block 0xa0700, if there is anything.
func (w *World) makePasts(ctx context.Context, f *forge) error {
	if w.v3 == 0 {
		return nil
	}
	r := f.rand(streamPast)
	genuine := w.main.trailers[:w.v3]
	p := past{altered: slices.Clone(genuine)}
	at := 1 + r.IntN(w.v3-2)
	for genuine[at].Kind() != mcm.Standard {
		at++
	}
	// The link is to a hash that nobody can recompute, so it still holds.
	hash := *genuine[at].Hash()
	if err := synth.NewMiner(r.Uint64(), f.solver).Miss(ctx, &p.altered[at]); err != nil {
		return err
	}
	*p.altered[at].Hash() = hash

	first := genuine[0]
	first.SetDifficulty(first.Difficulty() + 256)
	from := w.v3 - otherPast
	for _, other := range []struct {
		ts    *[]mcm.Trailer
		below []mcm.Trailer
		steps []step
	}{
		{&p.wrapped, []mcm.Trailer{first}, w.main.steps(1, w.v3-1)},
		{&p.other, slices.Clone(genuine[:from]), otherSteps(genuine[from:])},
	} {
		ts, err := f.grow(ctx, r, other.below, other.steps, nil)
		if err != nil {
			return err
		}
		*ts[w.v3-1].Hash() = *genuine[w.v3-1].Hash()
		*other.ts = ts
	}
	w.pasts = []past{p}
	return nil
}

// otherSteps returns how other blocks come about in the places of ts, of less
// difficulty, such that the last one has the same difficulty and the same times.
func otherSteps(ts []mcm.Trailer) []step {
	const slow, fast = 300, 100 // seconds
	steps := make([]step, len(ts))
	last := &ts[len(ts)-1]
	steps[len(ts)-1].elapsed = last.SolveTime() - last.StartTime()
	left := last.StartTime() - ts[0].StartTime() // for all but the last
	for i := range legacyDifficulty {
		steps[i].elapsed, steps[len(ts)-2-i].elapsed = slow, fast
		left -= slow + fast
	}
	middle := steps[legacyDifficulty : len(ts)-1-legacyDifficulty]
	for i := range middle {
		middle[i].elapsed = left / uint32(len(middle)-i)
		left -= middle[i].elapsed
	}
	return steps
}

// beside returns a copy of the honest trailers that a range or a file holds, with
// others in the places of those below index i: they keep their fields but have
// neither content nor work of the honest ones, and link to each other.
func beside(ts []mcm.Trailer, i int, r *rand.Rand) []mcm.Trailer {
	for j := range ts[:i] {
		t := &ts[j]
		if j > 0 {
			*t.PrevHash() = *ts[j-1].Hash()
		}
		if t.Kind() == mcm.Standard {
			randomBytes(t.MerkleRoot()[:], r)
			pow.SetRandomNonce(t, r)
		}
		seal(t)
	}
	return ts
}
