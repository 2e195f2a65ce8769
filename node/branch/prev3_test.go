package branch_test

import (
	"slices"
	"testing"

	"kigo/node/branch"
	"kigo/node/mcm"
	"kigo/node/proof/prooftest"
)

// TestPartingBeforeVersion3: there worked weight counts and weight never does, since
// a pseudoblock of that time can be had for nothing.
func TestPartingBeforeVersion3(t *testing.T) {
	was := options
	options.Base = base - 40
	defer func() { options = was }()
	m := prooftest.NewMiner(501)
	pseudo := func(c []mcm.Trailer) []mcm.Trailer {
		p := m.Pseudo(&c[len(c)-1])
		if p.Num() < base {
			*p.MerkleRoot() = mcm.Hash{}
			p.SetSolveTime(p.StartTime() + p.Num().Bridge())
			m.Seal(&p)
			p.Hash()[0]++ // any will do there, so each of these is another block
		}
		return append(slices.Clone(c), p)
	}
	stem := m.Grow([]mcm.Trailer{m.First(base-40, difficulty, began)}, 19, difficulty)
	// As much work, and a tip more.
	fork := pseudo(stem)
	less := m.Grow(fork, 40, difficulty)
	fork[20].Hash()[0]++
	more := pseudo(m.Grow(fork, 40, difficulty))
	// A block of work less, and three tips more.
	fork[20].Hash()[0]++
	poor := pseudo(pseudo(pseudo(pseudo(m.Grow(fork, 39, difficulty)))))
	now := clock(less, more, poor)
	at := func(c []mcm.Trailer, groups ...int) (all []showing) {
		for _, g := range groups {
			all = append(all, shows(t, peer(g, 1), c))
		}
		return all
	}
	for _, c := range []struct {
		name   string
		all    []showing
		want   []mcm.Trailer
		reason string
	}{
		{"more work", append(at(less, 1), at(poor, 2, 3)...), less, branch.ByWork},
		{"equal work goes to groups", append(at(less, 1, 2), at(more, 3)...), less, branch.ByGroups},
		{"equal work and groups go to addresses", append(append(at(less, 1), shows(t, peer(1, 2), less)), at(more, 3)...), less, branch.ByAddresses},
	} {
		rival := more
		if c.reason == branch.ByWork {
			rival = poor
		}
		if weigh(rival).Cmp(weigh(c.want)) <= 0 {
			t.Fatalf("%s: the rival isn't the heavier one", c.name)
		}
		got := choose(t, branch.Options{}, c.all, now, branch.Quorum{})
		if got.Branch.Tip != tipOf(c.want) || got.Reason != c.reason || got.Common != base-21 {
			t.Errorf("%s: chose %v by %s above %v", c.name, got.Branch.Height, got.Reason, got.Common)
		}
	}
}
