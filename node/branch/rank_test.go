package branch_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"kigo/node/branch"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/proof/prooftest"
	"kigo/node/rules"
)

// TestSupport: the tips of one branch, and a common ancestor of two.
func TestSupport(t *testing.T) {
	m, chain := grown(1, 100)
	other := m.Grow(chain[:95], 5, difficulty)
	all := []showing{
		shows(t, peer(1, 1), chain),
		shows(t, peer(1, 2), chain[:99]), // lags by one
		shows(t, peer(2, 1), other),
		shows(t, peer(3, 1), chain[:90]), // below the fork: supports both
		shows(t, peer(4, 1), other[:97]),
	}
	list := steady(t, branch.Options{}, all, func(s *branch.Store) []*branch.Branch { return s.Branches(clock(chain, other)) })
	if len(list) != 2 {
		t.Fatalf("%d branches, want 2", len(list))
	}
	for _, b := range list {
		want := []netip.Addr{peer(1, 1), peer(1, 2), peer(3, 1)}
		groups := []netip.Prefix{group(peer(1, 0)), group(peer(3, 0))}
		if b.Tip == tipOf(other) {
			want = []netip.Addr{peer(2, 1), peer(3, 1), peer(4, 1)}
			groups = []netip.Prefix{group(peer(2, 0)), group(peer(3, 0)), group(peer(4, 0))}
		} else if b.Tip != tipOf(chain) {
			t.Errorf("tip %v", b.Tip)
		}
		if !slices.Equal(b.Peers, want) || !slices.Equal(b.Groups, groups) {
			t.Errorf("height %v: peers %v, groups %v; want %v, %v", b.Height, b.Peers, b.Groups, want, groups)
		}
		if b.Root != *chain[90-54].Hash() || b.First != base+36 || b.Trailers != 64 || b.Worked != 64 || b.Height != base+99 || b.Place != 0 || b.Thin || b.Exact || b.Refused {
			t.Errorf("branch %+v", b)
		}
	}
	if list[0].Tip != tipOf(other) {
		t.Error("three groups go behind two")
	}
}

// TestLastShowingCounts: a peer supports what it showed last, and what nobody shows
// any more is gone.
func TestLastShowingCounts(t *testing.T) {
	m, chain := grown(2, 100)
	other := m.Grow(chain[:95], 6, difficulty)
	s := fill(branch.Options{}, []showing{shows(t, peer(1, 1), chain), shows(t, peer(1, 1), other)})
	list := s.Branches(clock(chain, other))
	if len(list) != 1 || list[0].Tip != tipOf(other) || len(list[0].Peers) != 1 || list[0].Trailers != 55 { // with one below, which still leads to the tip
		t.Errorf("got %+v", list[0])
	}
}

// TestUnprovenIsLeftAlone: only proofs that hold enter.
func TestUnprovenIsLeftAlone(t *testing.T) {
	_, chain := grown(3, 100)
	sh := shows(t, peer(1, 1), chain)
	undone, wrong := *sh.proof, *sh.proof
	undone.Done = false
	wrong.Finding = &proof.Finding{}
	s := branch.New(branch.Options{})
	for _, p := range []*proof.Proof{&undone, &wrong, {}, {Done: true}} {
		s.Add(p, peer(1, 1), group(peer(1, 1)))
	}
	if list := s.Branches(clock(chain)); len(list) != 0 {
		t.Errorf("got %d branches", len(list))
	}
	if c := s.Choose(clock(chain), branch.Quorum{}); c != nil {
		t.Errorf("chose %+v", c.Branch)
	}
}

// TestRank: freshness, density, groups.
func TestRank(t *testing.T) {
	make := func(seed uint64, difficulty uint8, end uint32) []mcm.Trailer {
		m := prooftest.NewMiner(seed)
		chain := m.Grow([]mcm.Trailer{m.First(base, difficulty, began)}, 79, difficulty)
		shift := end - chain[79].SolveTime()
		return m.Grow([]mcm.Trailer{m.First(base, difficulty, began+shift)}, 79, difficulty)
	}
	const now = began + 1_000_000
	dense, good, near := make(11, 6, now), make(12, 5, now-100), make(13, 5, now-238)
	poor, stale := make(14, 1, now), make(15, 9, now-3601)
	m := prooftest.NewMiner(16)
	empty := m.Mix([]mcm.Trailer{m.First(base, 0, now-238*60)}, 60, 0, func(int) bool { return true })
	all := []showing{
		shows(t, peer(1, 1), dense),
		shows(t, peer(2, 1), good), shows(t, peer(3, 1), good), shows(t, peer(2, 2), good), shows(t, peer(2, 3), good),
		shows(t, peer(4, 1), near), shows(t, peer(5, 1), near), shows(t, peer(6, 1), near),
	}
	for i := range 20 {
		all = append(all, shows(t, peer(20+i, 1), poor), shows(t, peer(50+i, 1), stale), shows(t, peer(80+i, 1), empty))
	}
	list := steady(t, branch.Options{}, all, func(s *branch.Store) []*branch.Branch { return s.Branches(now) })
	for i, want := range []struct {
		name              string
		chain             []mcm.Trailer
		fresh, firstClass bool
		thin              bool
	}{
		{"three groups", near, true, true, false},
		{"two groups", good, true, true, false},
		{"one group, denser", dense, true, true, false},
		{"low difficulty, twenty groups", poor, true, false, false},
		{"pseudo, twenty groups", empty, true, false, true},
		{"stale, denser than all", stale, false, false, false},
	} {
		if b := list[i]; b.Tip != tipOf(want.chain) || b.Fresh != want.fresh || b.FirstClass != want.firstClass || b.Thin != want.thin || b.Place != i {
			t.Errorf("place %d: %v at density %v with %d groups, fresh %t, first class %t, place %d; want %s", i, b.Tip, b.Density, len(b.Groups), b.Fresh, b.FirstClass, b.Place, want.name)
		}
	}
	list = fill(branch.Options{Fresh: 2 * time.Hour}, all).Branches(now)
	if list[0].Tip != tipOf(stale) || !list[0].Fresh {
		t.Error("with two hours the stale branch is fresh, and the densest by far")
	}
	// A clock that was put back: what is early sets no measure.
	list = fill(branch.Options{}, all).Branches(now - 150)
	for _, b := range list {
		if early := b.Tip == tipOf(dense) || b.Tip == tipOf(poor) || b.Tip == tipOf(empty); early && b.Fresh {
			t.Errorf("early tip at %d is fresh at %d", b.Time, now-150)
		}
	}
}

// TestDensityIsOfTheEnd: what somebody shows of the branch's past changes nothing.
func TestDensityIsOfTheEnd(t *testing.T) {
	m := prooftest.NewMiner(21)
	chain := m.Mix([]mcm.Trailer{m.First(base, 2, began)}, 150, difficulty, func(i int) bool { return i < 90 && i%2 == 0 })
	now := clock(chain)
	alone := fill(branch.Options{}, []showing{shows(t, peer(1, 1), chain)}).Branches(now)[0]
	both := fill(branch.Options{}, []showing{shows(t, peer(1, 1), chain), shows(t, peer(2, 1), chain[:100])}).Branches(now)[0]
	if both.Trailers <= alone.Trailers || both.Density != alone.Density {
		t.Errorf("density %v over %d trailers, with older ones %v over %d", alone.Density, alone.Trailers, both.Density, both.Trailers)
	}
}

// TestManyTipsOnOneStem: a thousand pseudo and neogenesis tips on the honest stem
// take one place, push nobody back, and are gone when their peers are.
func TestManyTipsOnOneStem(t *testing.T) {
	m, chain := grown(31, 255) // the next is 0xa07ff, then a neogenesis block, whose root nobody can check
	chain = m.Grow(chain, 1, difficulty)
	rival := func() []mcm.Trailer { // another branch of the first class, with one group
		m := prooftest.NewMiner(32)
		c := m.Grow([]mcm.Trailer{m.First(base+201, difficulty, chain[201].SolveTime())}, 50, difficulty)
		return c
	}()
	all := []showing{shows(t, peer(1, 1), chain), shows(t, peer(2, 1), chain), shows(t, peer(3, 1), chain)}
	options.Base = rival[0].Num()
	all = append(all, shows(t, peer(4, 1), rival))
	options.Base = base
	for i := range 1000 {
		stem := chain
		if i%2 == 0 {
			stem = chain[:255-i%50]
		}
		fork := append(slices.Clone(stem), m.Pseudo(&stem[len(stem)-1]))
		all = append(all, shows(t, peer(10+i%200, i), fork))
	}
	now := clock(chain) + 300
	s := fill(branch.Options{}, all)
	list := s.Branches(now)
	if len(list) < 500 || list[0].Place != 0 || list[1].Tip != tipOf(rival) || list[1].Place != 1 || list[2].Place != 0 {
		t.Errorf("%d branches; places %d, %d, %d", len(list), list[0].Place, list[1].Place, list[2].Place)
	}
	// The next honest block settles it.
	chain = m.Grow(chain, 2, difficulty)
	for g := 1; g <= 3; g++ {
		sh := shows(t, peer(g, 1), chain)
		s.Add(sh.proof, sh.peer, group(sh.peer))
	}
	c := s.Choose(clock(chain), branch.Quorum{Peers: 3, Groups: 3})
	if c == nil || c.Branch.Tip != tipOf(chain) || !c.Quorum || c.Reason != branch.ByWeight {
		t.Errorf("got %+v", c)
	}
	// Memory: the store is bounded, and the honest branch stays.
	s = branch.New(branch.Options{MaxTrailers: 200})
	for _, sh := range all {
		s.Add(sh.proof, sh.peer, group(sh.peer))
	}
	if n := s.Trailers(); n > 200 {
		t.Errorf("%d trailers are kept, want 200 at most", n)
	}
	if c := s.Choose(now, branch.Quorum{Peers: 3, Groups: 3}); c == nil || !c.Quorum || !slices.Contains(c.Branch.Peers, peer(1, 1)) {
		t.Errorf("full: chose %+v", c)
	}
}

// TestBounded: with more different branches than there is room for, the best by rank
// stays.
func TestBounded(t *testing.T) {
	_, honest := grown(41, 60)
	o := branch.Options{MaxTrailers: 1000}
	s := branch.New(o)
	add := func(sh showing) { s.Add(sh.proof, sh.peer, group(sh.peer)) }
	for i := range 100 {
		if i == 30 {
			add(shows(t, peer(1, 1), honest))
		}
		m := prooftest.NewMiner(uint64(1000 + i))
		add(shows(t, peer(2+i%100, i), m.Grow([]mcm.Trailer{m.First(base, 0, began)}, 59, 0)))
		if s.Trailers() > o.MaxTrailers {
			t.Fatalf("%d trailers, want %d at most", s.Trailers(), o.MaxTrailers)
		}
	}
	if b := s.Branches(clock(honest) + 600)[0]; b.Tip != tipOf(honest) {
		t.Errorf("first is %+v", b)
	}
}

// TestRemove: a trailer leaves with all that follow it, and their support.
func TestRemove(t *testing.T) {
	m, chain := grown(51, 100)
	other := m.Grow(chain[:95], 3, difficulty)
	s := fill(branch.Options{}, []showing{
		shows(t, peer(1, 1), chain), shows(t, peer(2, 1), chain[:97]), shows(t, peer(3, 1), other), shows(t, peer(4, 1), chain[:90]),
	})
	s.Remove(mcm.Hash{1}) // not there
	s.Remove(proof.ID(&chain[96]))
	list := s.Branches(clock(chain))
	if len(list) != 1 || list[0].Tip != tipOf(other) || !slices.Equal(list[0].Peers, []netip.Addr{peer(3, 1), peer(4, 1)}) {
		t.Errorf("got %d branches, first %+v", len(list), list[0])
	}
	s.Remove(proof.ID(&chain[60]))
	if list := s.Branches(clock(chain)); len(list) != 0 || s.Trailers() != 0 {
		t.Errorf("%d branches and %d trailers are left", len(list), s.Trailers())
	}
}

// TestInvalidWhereSegmentsMeet: a segment whose first trailer names an honest block,
// and breaks a rule against it, which its proof could not show.
func TestInvalidWhereSegmentsMeet(t *testing.T) {
	m, chain := grown(61, 120)
	forged := m.Next(&chain[79], prooftest.Even)
	forged.SetDifficulty(0)
	m.Seal(&forged)
	whole := m.Grow(append(slices.Clone(chain[:80]), forged), 53, 0)
	all := []showing{shows(t, peer(1, 1), chain), shows(t, peer(2, 1), whole), shows(t, peer(3, 1), whole)}
	type result struct {
		Invalid  []branch.Invalid
		Branches []*branch.Branch
		Again    int
	}
	r := steady(t, branch.Options{}, all, func(s *branch.Store) result {
		return result{s.Invalid(), s.Branches(clock(whole, chain)), len(s.Invalid())}
	})
	if len(r.Branches) != 1 || r.Branches[0].Tip != tipOf(chain) {
		t.Errorf("%d branches are left", len(r.Branches))
	}
	if len(r.Invalid) != 1 || r.Again != 0 {
		t.Fatalf("%d invalid, then %d; want 1, then none", len(r.Invalid), r.Again)
	}
	inv := r.Invalid[0]
	if inv.Trailer != forged || inv.Parent != chain[79] || inv.Finding.Rule != rules.Difficulty || !slices.Equal(inv.Peers, []netip.Addr{peer(2, 1), peer(3, 1)}) {
		t.Errorf("got %+v", inv)
	}
}
