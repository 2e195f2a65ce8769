// Package prooftest makes version 3 chains for tests, good ones and such with one
// thing wrong, block by block and on any parent, so that they fork where a test
// wants them to.
package prooftest

import (
	"context"
	"crypto/sha256"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
	"kigo/node/verify"
	"kigo/node/wire"
)

// A StandIn is a Verifier whose Peach hash is the SHA-256 of what Peach covers, a
// thousand times quicker.  Haikus have to be haikus.  The zero value works.
type StandIn struct {
	Calls, Checked atomic.Int64 // of VerifyPoW, and of trailers in them
	// Fail, when not nil, is asked before each call for the error to return.
	Fail func() error
}

// VerifyPoW implements verify.Verifier.
func (s *StandIn) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	if err := verify.CheckLengths(dst, batch); err != nil {
		return err
	}
	s.Calls.Add(1)
	s.Checked.Add(int64(len(batch)))
	if s.Fail != nil {
		if err := s.Fail(); err != nil {
			return err
		}
	}
	for _, i := range verify.Prepare(dst, batch, nil) {
		hash := mcm.Hash(sha256.Sum256(batch[i][:124]))
		dst[i] = verify.JudgePeach(&batch[i], &hash)
	}
	return verify.Interrupted(ctx)
}

// Times of worked blocks, in seconds, and what they do to the difficulty.
const (
	Quick = 60  // raises it by one
	Even  = 100 // leaves it
	Slow  = 200 // lowers it by one
)

// A Miner makes trailers with real work for a StandIn.
type Miner struct {
	rand *rand.Rand
}

// NewMiner returns a Miner of which all choices follow from seed.
func NewMiner(seed uint64) *Miner { return &Miner{rand.New(rand.NewPCG(seed, seed))} }

// First returns a worked trailer to begin with, or a neogenesis one if the number
// asks for it.  What is before it is random.
func (m *Miner) First(n mcm.BlockNum, difficulty uint8, solved uint32) mcm.Trailer {
	var t mcm.Trailer
	m.random(t.PrevHash())
	m.random(t.MerkleRoot())
	t.SetNum(n)
	t.SetDifficulty(uint32(difficulty))
	t.SetStartTime(solved - Even)
	t.SetSolveTime(solved)
	if !n.IsNeogenesis() {
		t.SetMinFee(mcm.MinFee)
		t.SetTxCount(1)
	}
	m.Seal(&t)
	return t
}

// Next returns a worked trailer on parent that took so many seconds, or the
// neogenesis one that has to come there.
func (m *Miner) Next(parent *mcm.Trailer, seconds uint32) mcm.Trailer {
	t := m.draft(parent)
	if !t.Num().IsNeogenesis() {
		m.random(t.MerkleRoot())
		t.SetMinFee(mcm.MinFee)
		t.SetTxCount(1)
		t.SetSolveTime(t.StartTime() + seconds)
	}
	m.Seal(&t)
	return t
}

// Pseudo returns the pseudoblock on parent, or a neogenesis one.
func (m *Miner) Pseudo(parent *mcm.Trailer) mcm.Trailer {
	t := m.draft(parent)
	if !t.Num().IsNeogenesis() {
		*t.MerkleRoot() = rules.PseudoRoot(t.Num())
		t.SetSolveTime(t.StartTime() + mcm.BridgeV3)
	}
	m.Seal(&t)
	return t
}

// draft returns what all trailers on parent have, and all of a neogenesis one.
func (m *Miner) draft(parent *mcm.Trailer) (t mcm.Trailer) {
	*t.PrevHash() = *parent.Hash()
	t.SetNum(parent.Num() + 1)
	if t.Num().IsNeogenesis() {
		m.random(t.MerkleRoot())
		t.SetStartTime(parent.StartTime())
		t.SetSolveTime(parent.SolveTime())
		t.SetDifficulty(parent.Difficulty())
		return t
	}
	t.SetStartTime(parent.SolveTime())
	t.SetDifficulty(rules.NextDifficulty(parent))
	return t
}

// Seal gives t the work that it needs, if any, and its hash.  Call it after a
// change to make that the only thing that is wrong.
func (m *Miner) Seal(t *mcm.Trailer) {
	if pow.AlgorithmOf(t) != pow.None {
		for {
			pow.SetRandomNonce(t, m.rand)
			if hash := mcm.Hash(sha256.Sum256(t[:124])); pow.Meets(&hash, t.WorkDifficulty()) {
				break
			}
		}
	}
	*t.Hash() = sha256.Sum256(t[:128])
}

// Grow appends n trailers to a copy of chain, which has at least one: all worked and
// keeping difficulty, as nearly as may be.
func (m *Miner) Grow(chain []mcm.Trailer, n int, difficulty uint8) []mcm.Trailer {
	return m.Mix(chain, n, difficulty, func(int) bool { return false })
}

// Mix is Grow with pseudoblocks where pseudo, given 0 to n-1, says so.
func (m *Miner) Mix(chain []mcm.Trailer, n int, difficulty uint8, pseudo func(i int) bool) []mcm.Trailer {
	chain = slices.Clone(chain)
	for i := range n {
		parent := &chain[len(chain)-1]
		var t mcm.Trailer
		if pseudo(i) {
			t = m.Pseudo(parent)
		} else {
			seconds := uint32(Even)
			switch d := rules.NextDifficulty(parent); {
			case d < uint32(difficulty):
				seconds = Quick
			case d > uint32(difficulty):
				seconds = Slow
			}
			t = m.Next(parent, seconds)
		}
		chain = append(chain, t)
	}
	return chain
}

func (m *Miner) random(h *mcm.Hash) {
	for i := range h {
		h[i] = byte(m.rand.Uint32())
	}
}

// Claim returns what an honest peer states whose tip is the last of chain and
// whose weight below chain is below: a node in memory counts a tip ending in ff.
func Claim(chain []mcm.Trailer, below mcm.Weight) wire.State {
	for i := range chain {
		below = rules.AddWeight(below, &chain[i])
	}
	tip := &chain[len(chain)-1]
	if !rules.AddsWeight(tip) {
		below = below.AddDifficulty(tip.WorkDifficulty())
	}
	return wire.State{Num: tip.Num(), Hash: *tip.Hash(), Prev: *tip.PrevHash(), Weight: below}
}
