package chaos

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/wire"
)

// A line is a chain from some block on, or what is made to look like one:
// trailers one after another and the weight of the chain up to each.
type line struct {
	trailers []mcm.Trailer
	weights  []mcm.Weight
}

// newLine weighs trailers whose first one has all of a chain's weight below it
// in base.
func newLine(base mcm.Weight, ts []mcm.Trailer) *line {
	l := &line{trailers: ts, weights: make([]mcm.Weight, len(ts))}
	w := base
	for i := range ts {
		w = rules.AddWeight(w, &ts[i])
		l.weights[i] = w
	}
	return l
}

func (l *line) last() int { return len(l.trailers) - 1 }

// state is what a node says of itself that has the line up to index i.
func (l *line) state(i int) wire.State {
	t := &l.trailers[i]
	return wire.State{Num: t.Num(), Hash: *t.Hash(), Prev: *t.PrevHash(), Weight: l.weights[i]}
}

// cut returns what a node that has the line up to index i serves of count
// trailers from number first on, which can be none.
func (l *line) cut(i int, first, count uint32) []mcm.Trailer {
	from := int64(first) - int64(l.trailers[0].Num())
	if from < 0 || from > int64(i) {
		return nil
	}
	return l.trailers[from:min(from+int64(count), int64(i)+1)]
}

// steps returns how the blocks from index i to j came about.
func (l *line) steps(i, j int) (steps []step) {
	for ; i <= j; i++ {
		t := &l.trailers[i]
		steps = append(steps, step{t.Kind() == mcm.Pseudo, t.SolveTime() - t.StartTime()})
	}
	return steps
}

// A step is how a block comes about: as a pseudoblock, or worked, after so many
// seconds.
type step struct {
	pseudo  bool
	elapsed uint32
}

// follow lays out the block after prev without nonce and hash, obeying all rules.
func follow(prev *mcm.Trailer, s step, r *rand.Rand) (t mcm.Trailer) {
	n := prev.Num() + 1
	*t.PrevHash() = *prev.Hash()
	t.SetNum(n)
	if n.IsNeogenesis() {
		t.SetStartTime(prev.StartTime())
		t.SetSolveTime(prev.SolveTime())
		t.SetDifficulty(prev.Difficulty())
		if n >= mcm.V30Trigger {
			randomBytes(t.MerkleRoot()[:], r)
		}
		return t
	}
	t.SetStartTime(prev.SolveTime())
	t.SetDifficulty(rules.NextDifficulty(prev))
	if s.pseudo {
		t.SetSolveTime(prev.SolveTime() + n.Bridge())
		*t.MerkleRoot() = rules.PseudoRoot(n)
		return t
	}
	t.SetSolveTime(prev.SolveTime() + s.elapsed)
	t.SetMinFee(mcm.MinFee)
	t.SetTxCount(1 + r.Uint32N(64))
	randomBytes(t.MerkleRoot()[:], r)
	return t
}

// seal stores the hash that a version 3 trailer commits to.  In an older one it is
// as good as any, since that is the hash of the whole block.
func seal(t *mcm.Trailer) { *t.Hash() = sha256.Sum256(t[:128]) }

// relink makes links and hashes of ts right again from index i on.
func relink(ts []mcm.Trailer, i int) {
	for ; i < len(ts); i++ {
		if i > 0 {
			*ts[i].PrevHash() = *ts[i-1].Hash()
		}
		seal(&ts[i])
	}
}

func randomBytes(b []byte, r *rand.Rand) {
	for ; len(b) >= 8; b = b[8:] {
		binary.LittleEndian.PutUint64(b, r.Uint64())
	}
	for i := range b {
		b[i] = byte(r.Uint32())
	}
}
