package branch_test

import (
	"slices"
	"testing"

	"kigo/node/branch"
	"kigo/node/mcm"
	"kigo/node/proof"
)

// The weaknesses of docs/spec/sync.md section 7 that a choice of branches could
// have.

// TestH3: nothing of a refused candidate's weight is left for the next one.
func TestH3(t *testing.T) {
	m, chain := grown(201, 200)
	o := branch.Options{Anchors: []proof.Anchor{anchorAt(chain, 150, mcm.Weight{})}}
	now := clock(chain)
	clean := fill(o, []showing{shows(t, peer(2, 1), chain)}).Branches(now)[0].Weight
	if clean != weigh(chain) {
		t.Fatalf("weight %v, want %v", clean, weigh(chain))
	}
	// The first source has one trailer more, which turns out invalid.
	forged := m.Next(&chain[199], 60)
	longer := append(slices.Clone(chain), forged)
	s := fill(o, []showing{shows(t, peer(1, 1), longer)})
	s.Branches(now)
	s.Remove(proof.ID(&forged))
	doubled, _ := clean.Add(clean)
	for g := 2; g < 5; g++ {
		sh := shows(t, peer(g, 1), chain)
		if g == 4 {
			sh = sh.stating(doubled)
		}
		s.Add(sh.proof, sh.peer, group(sh.peer))
		if b := s.Branches(now)[0]; !b.Exact || b.Weight != clean || b.Tip != tipOf(chain) {
			t.Errorf("weight %v, want %v", b.Weight, clean)
		}
	}
	if list := s.FalseWeights(); len(list) != 1 || list[0].Peer != peer(4, 1) || list[0].Exact != clean {
		t.Errorf("the claim of double the weight: %+v", list)
	}
}

// TestH4: any weight over the genuine tip moves nothing but its own peer.
func TestH4(t *testing.T) {
	_, chain := grown(202, 200)
	o := branch.Options{Anchors: []proof.Anchor{anchorAt(chain, 100, mcm.Weight{})}}
	var all []showing
	for g := 1; g <= 3; g++ {
		all = append(all, shows(t, peer(g, 1), chain).stating(weigh(chain)))
	}
	for g := 11; g <= 13; g++ {
		all = append(all, shows(t, peer(g, 1), chain).stating(greatest))
	}
	c := choose(t, o, all, clock(chain), branch.Quorum{Peers: 3, Groups: 3})
	if c.Branch.Tip != tipOf(chain) || !c.Quorum || len(c.Branch.Peers) != 6 {
		t.Errorf("got %+v", c.Branch)
	}
	if all[3].proof.Claim.Weight == weigh(chain) {
		t.Fatal("the liars don't lie")
	}
	// Without the anchor as with it: a claim has no part in rank or choice.
	if d := choose(t, branch.Options{}, all, clock(chain), branch.Quorum{Peers: 3, Groups: 3}); d.Branch.Tip != c.Branch.Tip || !d.Quorum {
		t.Errorf("without an anchor: got %+v", d.Branch)
	}
}

// TestH7: 54 trailers say nothing about the weight below them, and nothing is
// made of it.
func TestH7(t *testing.T) {
	_, chain := grown(203, 200)
	_, other := grown(204, 150)
	all := []showing{
		shows(t, peer(1, 1), chain), shows(t, peer(2, 1), chain),
		shows(t, peer(3, 1), other).stating(greatest),
	}
	for _, b := range fill(branch.Options{}, all).Branches(clock(chain, other)) {
		if b.Exact || b.Weight != (mcm.Weight{}) {
			t.Errorf("weight %v of a branch that meets nothing known", b.Weight)
		}
	}
	if c := choose(t, branch.Options{}, all, clock(chain, other), branch.Quorum{}); c.Branch.Tip != tipOf(chain) || c.Reason != branch.ByRank {
		t.Errorf("chose %v by %s", c.Branch.Tip, c.Reason)
	}
	if list := fill(branch.Options{}, all).FalseWeights(); list != nil {
		t.Errorf("convicted without a known weight: %+v", list)
	}
}

// TestH9: what is refused is a trailer, not a tip under a weight: the branch below
// stays, and no block or claim gives what follows it another name.
func TestH9(t *testing.T) {
	m, chain := grown(205, 150)
	bad := m.Next(&chain[149], 60)
	branchOf := func(n int) []mcm.Trailer { return m.Grow(append(slices.Clone(chain), bad), n, difficulty) }
	first, second := branchOf(0), branchOf(5)
	all := []showing{
		shows(t, peer(1, 1), chain), shows(t, peer(4, 1), first), shows(t, peer(5, 1), second).stating(greatest), shows(t, peer(6, 1), second[:153]),
	}
	s := fill(branch.Options{}, all)
	s.Remove(proof.ID(&bad))
	list := s.Branches(clock(second))
	if len(list) != 1 || list[0].Tip != tipOf(chain) || len(list[0].Peers) != 1 {
		t.Errorf("%d branches; %+v", len(list), list[0])
	}
	// An honest branch is there again as soon as anybody shows it, under any claim.
	s.Remove(proof.ID(&chain[149]))
	sh := shows(t, peer(2, 1), chain).stating(mcm.Weight{1})
	s.Add(sh.proof, sh.peer, group(sh.peer))
	if c := s.Choose(clock(second), branch.Quorum{Peers: 1, Groups: 1}); c == nil || c.Branch.Tip != tipOf(chain) || !c.Quorum {
		t.Errorf("got %+v", c)
	}
}

// TestH19: at equal weight a ground hash wins nothing against more groups, nor
// against work.
func TestH19(t *testing.T) {
	m, stem := grown(206, 100)
	honest := m.Grow(stem, 1, difficulty)
	grind := func(tip func() mcm.Trailer) []mcm.Trailer { // until its hash is above honest's
		for {
			last := tip()
			if last.Hash()[0] == 0xff && honest[100].Hash()[0] < 0xff {
				return append(slices.Clone(stem), last)
			}
			if honest[100].Hash()[0] == 0xff {
				honest = m.Grow(stem, 1, difficulty)
			}
		}
	}
	ground := grind(func() mcm.Trailer { return m.Next(&stem[99], 100) })
	all := []showing{shows(t, peer(1, 1), honest), shows(t, peer(2, 1), honest)}
	for n := range 50 {
		all = append(all, shows(t, peer(9, n), ground))
	}
	now := clock(honest, ground)
	if c := choose(t, branch.Options{}, all, now, branch.Quorum{}); c.Branch.Tip != tipOf(honest) || c.Reason != branch.ByGroups {
		t.Errorf("ground hash: chose %v by %s", c.Branch.Tip, c.Reason)
	}
	pseudo := append(slices.Clone(stem), m.Pseudo(&stem[99]))
	all = []showing{shows(t, peer(1, 1), honest), shows(t, peer(2, 1), pseudo)}
	if c := choose(t, branch.Options{}, all, clock(pseudo), branch.Quorum{}); c.Branch.Tip != tipOf(honest) || c.Reason != branch.ByWork {
		t.Errorf("pseudo tip: chose %v by %s", c.Branch.Tip, c.Reason)
	}
}

// TestH20: addresses of one group are one voice, and no quorum.
func TestH20(t *testing.T) {
	m, stem := grown(207, 100)
	a, b := m.Grow(stem, 1, difficulty), m.Grow(stem, 1, difficulty)
	var all []showing
	for n := range 100 {
		all = append(all, shows(t, peer(9, n), a))
	}
	now := clock(a, b)
	q := branch.Quorum{Peers: 3, Groups: 3}
	if c := choose(t, branch.Options{}, all, now, q); c.Quorum || len(c.Branch.Groups) != 1 {
		t.Errorf("a hundred addresses of one group: quorum %t", c.Quorum)
	}
	all = append(all, shows(t, peer(1, 1), b), shows(t, peer(2, 1), b), shows(t, peer(3, 1), b))
	if c := choose(t, branch.Options{}, all, now, q); c.Branch.Tip != tipOf(b) || !c.Quorum || c.Reason != branch.ByGroups {
		t.Errorf("against three groups: chose %v by %s, quorum %t", c.Branch.Tip, c.Reason, c.Quorum)
	}
}

// TestSegment takes the trailers of branches out of a store in which they share some.
func TestSegment(t *testing.T) {
	m, stem := grown(77, 120)
	fork := m.Grow(stem[:110], 15, difficulty)
	s := fill(branch.Options{Base: base}, []showing{
		shows(t, peer(1, 1), stem), shows(t, peer(2, 1), fork), shows(t, peer(3, 1), stem[:90]),
	})
	all := s.Branches(clock(stem, fork))
	if len(all) != 2 {
		t.Fatalf("%d branches", len(all))
	}
	for _, b := range all {
		chain := stem
		if b.Tip == tipOf(fork) {
			chain = fork
		}
		if want := chain[b.First-base:]; !slices.Equal(b.Segment(), want) || len(want) != b.Trailers {
			t.Errorf("branch to %v: %d trailers, expected %d from %v on", b.Height, len(b.Segment()), len(want), b.First)
		}
	}
}
