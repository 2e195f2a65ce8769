package branch_test

import (
	"bytes"
	"slices"
	"testing"

	"kigo/node/branch"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/proof/prooftest"
)

// TestChoose: what decides between branches that meet.
func TestChoose(t *testing.T) {
	m, stem := grown(71, 100)
	now := clock(stem) + 1000
	heavier := m.Grow(stem, 3, difficulty)
	lighter := m.Grow(stem, 2, difficulty)
	// One more block, each at a lower difficulty, is not more weight.
	longer := stem
	for range 4 {
		longer = append(slices.Clone(longer), m.Pseudo(&longer[len(longer)-1]))
	}
	// As heavy, and by work or not.
	worked := m.Grow(stem, 1, difficulty)
	pseudo := append(slices.Clone(stem), m.Pseudo(&stem[99]))
	twin := m.Grow(stem, 1, difficulty)
	high, low := worked, twin
	if h, l := tipOf(high), tipOf(low); bytes.Compare(h[:], l[:]) < 0 {
		high, low = low, high
	}
	at := func(chain []mcm.Trailer, peers ...[2]int) (all []showing) {
		for _, p := range peers {
			all = append(all, shows(t, peer(p[0], p[1]), chain))
		}
		return all
	}
	three := [][2]int{{1, 1}, {2, 1}, {3, 1}}
	for _, c := range []struct {
		name   string
		all    [][]showing
		want   []mcm.Trailer
		reason string
		quorum bool
		common mcm.BlockNum
	}{
		{"one branch", [][]showing{at(heavier, three...)}, heavier, branch.ByRank, true, 0},
		{"one peer", [][]showing{at(heavier, three[0])}, heavier, branch.ByRank, false, 0},
		{"three peers of two groups", [][]showing{at(heavier, [2]int{1, 1}, [2]int{1, 2}, [2]int{2, 1})}, heavier, branch.ByRank, false, 0},
		{"weight goes before groups", [][]showing{at(lighter, three...), at(heavier, [2]int{4, 1})}, heavier, branch.ByWeight, false, base + 99},
		{"weight goes before height", [][]showing{at(longer, three...), at(lighter, [2]int{4, 1})}, lighter, branch.ByWeight, false, base + 99},
		{"a tie by groups, even for a pseudoblock", [][]showing{at(pseudo, [2]int{1, 1}, [2]int{2, 1}), at(worked, [2]int{3, 1}, [2]int{3, 2}, [2]int{3, 3})}, pseudo, branch.ByGroups, false, base + 99},
		{"then by work", [][]showing{at(pseudo, [2]int{1, 1}, [2]int{1, 2}), at(worked, [2]int{3, 1})}, worked, branch.ByWork, false, base + 99},
		{"then by addresses", [][]showing{at(high, [2]int{1, 1}), at(low, [2]int{3, 1}, [2]int{3, 2})}, low, branch.ByAddresses, false, base + 99},
		{"then by hash", [][]showing{at(high, [2]int{1, 1}), at(low, [2]int{3, 1})}, high, branch.ByHash, false, base + 99},
		{"peers of a common ancestor count for both", [][]showing{at(stem, three...), at(high, [2]int{4, 1}), at(low, [2]int{5, 1})}, high, branch.ByHash, true, base + 99},
	} {
		var all []showing
		for _, a := range c.all {
			all = append(all, a...)
		}
		got := choose(t, branch.Options{}, all, now, branch.Quorum{Peers: 3, Groups: 3})
		if got.Branch.Tip != tipOf(c.want) || got.Reason != c.reason || got.Quorum != c.quorum || got.Common != c.common {
			t.Errorf("%s: got %v by %s, quorum %t, above %v; want %v by %s, quorum %t, above %v", c.name,
				got.Branch.Tip, got.Reason, got.Quorum, got.Common, tipOf(c.want), c.reason, c.quorum, c.common)
		}
	}
}

// TestChooseByRank: branches that don't meet, of which one has rivals in its own
// family.
func TestChooseByRank(t *testing.T) {
	m, honest := grown(81, 100)
	fork := m.Grow(honest[:98], 1, difficulty)
	now := clock(honest)
	var all []showing
	for g := 1; g <= 3; g++ {
		all = append(all, shows(t, peer(g, 1), honest))
	}
	all = append(all, shows(t, peer(4, 1), fork))
	// More peers, more groups, more weight stated, more height: and no work.
	worthless := prooftest.NewMiner(82).Grow([]mcm.Trailer{prooftest.NewMiner(83).First(base, 0, began)}, 400, 0)
	later := now - clock(worthless)
	worthless = prooftest.NewMiner(82).Grow([]mcm.Trailer{prooftest.NewMiner(83).First(base, 0, uint32(began+later))}, 400, 0)
	for g := 10; g < 60; g++ {
		all = append(all, shows(t, peer(g, 1), worthless).stating(mcm.Weight{0, 0, 0, 1 << 63}))
	}
	c := choose(t, branch.Options{}, all, now, branch.Quorum{Peers: 3, Groups: 3})
	if c.Branch.Tip != tipOf(honest) || !c.Quorum || c.Reason != branch.ByWeight || c.Branch.Place != 0 {
		t.Errorf("got %+v by %s, quorum %t", c.Branch, c.Reason, c.Quorum)
	}
}

// TestTipAtFF: a tip whose number ends in ff counts for itself, as in every node,
// though trailers are weighed without it.
func TestTipAtFF(t *testing.T) {
	m, chain := grown(91, 255) // to 0xa07fe
	ff := m.Grow(chain, 1, difficulty)
	neo := m.Grow(ff, 1, difficulty)
	beside := append(slices.Clone(chain[:254]), m.Pseudo(&chain[253])) // as heavy as 0xa07fe
	now := clock(neo, beside)
	for name, c := range map[string]struct{ tip []mcm.Trailer }{"ff": {ff}, "00": {neo}} {
		all := []showing{shows(t, peer(1, 1), c.tip)}
		for g := 2; g < 9; g++ {
			all = append(all, shows(t, peer(g, 1), beside))
		}
		if got := choose(t, branch.Options{}, all, now, branch.Quorum{}); got.Branch.Tip != tipOf(c.tip) || got.Reason != branch.ByWeight {
			t.Errorf("%s: got %v by %s", name, got.Branch.Height, got.Reason)
		}
	}
	// The neogenesis block adds nothing to the block that it repeats.
	all := []showing{shows(t, peer(1, 1), ff), shows(t, peer(2, 1), neo)}
	if got := choose(t, branch.Options{}, all, now, branch.Quorum{Peers: 2, Groups: 2}); got.Branch.Tip != tipOf(neo) || !got.Quorum || got.Reason != branch.ByRank {
		t.Errorf("got %v by %s, quorum %t; want the neogenesis tip, which is the same branch", got.Branch.Height, got.Reason, got.Quorum)
	}
}

// TestThin: with fewer than 8 worked trailers down to where the chain begins nothing
// is a quorum.
func TestThin(t *testing.T) {
	m := prooftest.NewMiner(101)
	chain := m.Mix([]mcm.Trailer{m.First(base, difficulty, began)}, 100, difficulty, func(i int) bool { return i < 93 })
	all := []showing{shows(t, peer(1, 1), chain), shows(t, peer(2, 1), chain), shows(t, peer(3, 1), chain)}
	c := choose(t, branch.Options{}, all, clock(chain), branch.Quorum{Peers: 3, Groups: 3})
	if c.Quorum || !c.Branch.Thin || c.Branch.Worked != 7 {
		t.Errorf("seven: quorum %t, thin %t, %d worked", c.Quorum, c.Branch.Thin, c.Branch.Worked)
	}
	anchor := chain[90]
	for name, o := range map[string]branch.Options{
		"the base":  {Base: c.Branch.First},
		"an anchor": {Anchors: []proof.Anchor{{Num: anchor.Num(), Hash: *anchor.Hash(), Weight: mcm.Weight{1000}}}},
	} {
		if c := choose(t, o, all, clock(chain), branch.Quorum{Peers: 3, Groups: 3}); !c.Quorum || c.Branch.Thin {
			t.Errorf("seven down to %s: quorum %t, thin %t", name, c.Quorum, c.Branch.Thin)
		}
	}
	if c := choose(t, branch.Options{Base: c.Branch.First - 1}, all, clock(chain), branch.Quorum{}); !c.Branch.Thin {
		t.Error("seven down to the block above the base are not thin")
	}
	chain = m.Grow(chain, 1, difficulty)
	all = []showing{shows(t, peer(1, 1), chain), shows(t, peer(2, 1), chain), shows(t, peer(3, 1), chain)}
	if c = choose(t, branch.Options{}, all, clock(chain), branch.Quorum{Peers: 3, Groups: 3}); !c.Quorum || c.Branch.Thin {
		t.Errorf("eight: quorum %t, thin %t", c.Quorum, c.Branch.Thin)
	}
}

// TestFixedAnchor: a chain without the floor, or that ends below it, is not chosen
// whatever its support; an own tip binds nobody.
func TestFixedAnchor(t *testing.T) {
	m, chain := grown(111, 100)
	fork := m.Grow(chain[:80], 25, difficulty)
	_, foreign := grown(112, 110)
	all := []showing{shows(t, peer(1, 1), chain)}
	for g := 2; g < 9; g++ {
		all = append(all, shows(t, peer(g, 1), fork), shows(t, peer(g, 2), foreign))
	}
	now := clock(chain, fork, foreign)
	floor := anchorAt(chain, 85, mcm.Weight{})
	own := branch.Options{Anchors: []proof.Anchor{floor}}
	if c := choose(t, own, all, now, branch.Quorum{}); c.Branch.Tip == tipOf(chain) {
		t.Errorf("own tip: chose the lighter branch on it")
	}
	floor.Fixed = true
	fixed := branch.Options{Anchors: []proof.Anchor{floor}}
	c := choose(t, fixed, all, now, branch.Quorum{})
	if c.Branch.Tip != tipOf(chain) || c.Branch.Refused {
		t.Errorf("floor: chose %v", c.Branch.Tip)
	}
	for _, b := range fill(fixed, all).Branches(now) {
		if b.Refused != (b.Tip != tipOf(chain)) {
			t.Errorf("branch %v is refused: %t", b.Tip, b.Refused)
		}
	}
	// Where the branch begins right above it, or ends below it.
	below := anchorAt(chain, 100-55, mcm.Weight{})
	below.Fixed = true
	if c := choose(t, branch.Options{Anchors: []proof.Anchor{below}}, all[:1], now, branch.Quorum{}); c == nil || !c.Branch.Exact {
		t.Errorf("right above the floor: got %+v", c)
	}
	below.Hash[0] ^= 1
	if c := choose(t, branch.Options{Anchors: []proof.Anchor{below}}, all[:1], now, branch.Quorum{}); c != nil {
		t.Errorf("right above another floor: chose %+v", c.Branch)
	}
	above := proof.Anchor{Num: base + 1000, Fixed: true}
	if c := choose(t, branch.Options{Anchors: []proof.Anchor{above}}, all, now, branch.Quorum{}); c != nil {
		t.Errorf("below the floor: chose %+v", c.Branch)
	}
}

// TestExactBranchesCompare: two that don't meet, each over an anchor, go by weight.
func TestExactBranchesCompare(t *testing.T) {
	m, chain := grown(121, 300)
	fork := m.Grow(chain[:200], 90, difficulty-1) // parts 100 below: the segments don't meet
	now := clock(chain, fork)
	all := []showing{shows(t, peer(1, 1), chain)}
	for g := 2; g < 9; g++ {
		all = append(all, shows(t, peer(g, 1), fork))
	}
	if c := choose(t, branch.Options{}, all, now, branch.Quorum{}); c.Branch.Tip != tipOf(fork) || c.Reason != branch.ByRank {
		t.Errorf("without anchors: got %v by %s", c.Branch.Height, c.Reason)
	}
	o := branch.Options{Anchors: []proof.Anchor{anchorAt(chain, 250, mcm.Weight{}), anchorAt(fork, 245, mcm.Weight{})}}
	c := choose(t, o, all, now, branch.Quorum{})
	if c.Branch.Tip != tipOf(chain) || c.Reason != branch.ByWeight || !c.Branch.Exact || c.Branch.Weight != weigh(chain) {
		t.Errorf("with anchors: got %v by %s, exact weight %v", c.Branch.Height, c.Reason, c.Branch.Weight)
	}
}
