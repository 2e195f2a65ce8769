package branch_test

import (
	"testing"

	"kigo/node/branch"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/proof/prooftest"
)

// TestFreeWeightOverAnchor: what begins right above an anchor begins at a difficulty
// of its own making, since nobody has the anchor's trailer.  Without work for it
// that makes no weight exact, or a few pseudoblocks outweigh any chain.
func TestFreeWeightOverAnchor(t *testing.T) {
	m, honest := grown(161, 400)
	now := clock(honest)
	floor, own := anchorAt(honest, 100, mcm.Weight{}), anchorAt(honest, 390, mcm.Weight{})
	floor.Fixed = true
	// over returns a trailer on the floor, at a difficulty.
	over := func(difficulty uint32, kind mcm.Kind, ago uint32) []mcm.Trailer {
		first := m.First(floor.Num+1, 0, uint32(now)-ago)
		*first.PrevHash() = floor.Hash
		first.SetDifficulty(difficulty)
		if kind == mcm.Pseudo {
			first = pseudoOf(m, first)
		} else {
			m.Seal(&first)
		}
		return []mcm.Trailer{first}
	}
	all := []showing{}
	for g := 1; g <= 3; g++ {
		all = append(all, shows(t, peer(g, 1), honest))
	}
	pseudo := m.Mix(over(255, mcm.Pseudo, 60*238), 53, 0, func(int) bool { return true })
	// Difficulty 256 counts as 0 for work, and the block after a slow one has 255.
	wrapped := over(256, mcm.Standard, 60*200)
	for range 50 {
		wrapped = append(wrapped, m.Next(&wrapped[len(wrapped)-1], prooftest.Even))
	}
	wrapped = append(wrapped, m.Next(&wrapped[50], prooftest.Slow))
	for range 2 {
		wrapped = append(wrapped, m.Pseudo(&wrapped[len(wrapped)-1]))
	}
	for name, forged := range map[string][]mcm.Trailer{"pseudo": pseudo, "wrapped": wrapped} {
		with := all
		for g := 10; g < 20; g++ {
			with = append(with, shows(t, peer(g, 1), forged))
		}
		o := branch.Options{Anchors: []proof.Anchor{floor, own}}
		c := choose(t, o, with, now, branch.Quorum{Peers: 3, Groups: 3})
		if c.Branch.Tip != tipOf(honest) || c.Branch.Weight != weigh(honest) {
			t.Errorf("%s: chose %v by %s, quorum %t, weight %v", name, c.Branch.Height, c.Reason, c.Quorum, c.Branch.Weight)
		}
		for _, b := range fill(o, with).Branches(now) {
			if b.Exact != (b.Tip == tipOf(honest)) {
				t.Errorf("%s: branch at %v is exact: %t", name, b.Height, b.Exact)
			}
		}
	}
}

// pseudoOf returns first as a pseudoblock.
func pseudoOf(m *prooftest.Miner, first mcm.Trailer) mcm.Trailer {
	before := first
	before.SetNum(first.Num() - 1)
	before.SetSolveTime(first.StartTime())
	p := m.Pseudo(&before)
	*p.PrevHash() = *first.PrevHash()
	p.SetDifficulty(first.Difficulty())
	m.Seal(&p)
	return p
}
