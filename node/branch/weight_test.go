package branch_test

import (
	"math"
	"net/netip"
	"slices"
	"testing"

	"kigo/node/branch"
	"kigo/node/mcm"
	"kigo/node/proof"
)

var greatest = mcm.Weight{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64}

// TestExactWeight: an anchor in the branch, right below it, beside it on the stem,
// or nowhere.
func TestExactWeight(t *testing.T) {
	m, chain := grown(131, 300)
	fork := m.Grow(chain[:290], 5, difficulty)
	below := mcm.Weight{12345, 0, 7}
	want, _ := weigh(chain).Add(below)
	wantFork, _ := weigh(fork).Add(below)
	all := []showing{shows(t, peer(1, 1), chain), shows(t, peer(2, 1), fork)}
	lowest := len(fork) - 54
	for name, at := range map[string]int{
		"tip": 299, "above the fork": 295, "fork": 289, "in the stem": 260, "lowest stored": lowest, "right below": lowest - 1, "none": lowest - 2,
	} {
		o := branch.Options{Anchors: []proof.Anchor{anchorAt(chain, at, below)}}
		for _, b := range fill(o, all).Branches(clock(chain)) {
			w := want
			if b.Tip == tipOf(fork) {
				w = wantFork
			}
			if exact := name != "none"; b.Exact != exact || exact && b.Weight != w {
				t.Errorf("%s: tip %v: exact %t, weight %v; want %t, %v", name, b.Height, b.Exact, b.Weight, exact, w)
			}
		}
	}
}

// TestFalseWeights: who is convicted, and who can't be.
func TestFalseWeights(t *testing.T) {
	below := mcm.Weight{1 << 40}
	_, chain := grown(141, 300)
	at := func(n int) ([]mcm.Trailer, mcm.Weight) { // a tip, and its weight by trailers
		w, _ := weigh(chain[:n]).Add(below)
		return chain[:n], w
	}
	off := func(w mcm.Weight, by uint64) mcm.Weight {
		w, _ = w.Add(mcm.Weight{by})
		return w
	}
	tip, w := at(300)
	lag, wLag := at(297)
	ff, wFF := at(256)
	neo, wNeo := at(257)
	two := func(n int) uint64 { return 1 << chain[n].WorkDifficulty() }
	good := anchorAt(chain, 250, below)
	wrong := good
	wrong.Weight = off(wrong.Weight, 99)
	type stated struct {
		peer  [2]int
		chain []mcm.Trailer
		w     mcm.Weight
	}
	honest := []stated{{[2]int{1, 1}, tip, w}, {[2]int{2, 1}, tip, w}, {[2]int{3, 1}, lag, wLag}}
	for _, c := range []struct {
		name     string
		anchors  []proof.Anchor
		stated   []stated
		false_   [][2]int
		disagree int
	}{
		{"honest", []proof.Anchor{good}, honest, nil, 0},
		{"no anchor", nil, append(slices.Clone(honest), stated{[2]int{4, 1}, tip, greatest}), nil, 0},
		{"greatest weight", []proof.Anchor{good}, append(slices.Clone(honest), stated{[2]int{4, 1}, tip, greatest}), [][2]int{{4, 1}}, 0},
		{"weight 1", []proof.Anchor{good}, append(slices.Clone(honest), stated{[2]int{4, 1}, tip, mcm.Weight{1}}), [][2]int{{4, 1}}, 0},
		{"weight 0", []proof.Anchor{good}, append(slices.Clone(honest), stated{[2]int{4, 1}, tip, mcm.Weight{}}), [][2]int{{4, 1}}, 0},
		{"one too many, alone on its tip", []proof.Anchor{good}, append(slices.Clone(honest), stated{[2]int{4, 1}, chain[:299], off(wLag, 1<<20)}), [][2]int{{4, 1}}, 0},
		{"the same number of groups with one voice", []proof.Anchor{good}, append(slices.Clone(honest),
			stated{[2]int{4, 1}, tip, greatest}, stated{[2]int{5, 1}, tip, greatest}, stated{[2]int{6, 1}, tip, greatest}, stated{[2]int{6, 2}, tip, greatest}),
			[][2]int{{4, 1}, {5, 1}, {6, 1}, {6, 2}}, 0},
		{"more groups with one voice", []proof.Anchor{good}, append(slices.Clone(honest),
			stated{[2]int{4, 1}, tip, greatest}, stated{[2]int{5, 1}, tip, greatest}, stated{[2]int{6, 1}, tip, greatest}, stated{[2]int{7, 1}, tip, greatest}), nil, 1},
		{"more groups, each its own lie", []proof.Anchor{good}, append(slices.Clone(honest),
			stated{[2]int{4, 1}, tip, mcm.Weight{1}}, stated{[2]int{5, 1}, tip, mcm.Weight{2}}, stated{[2]int{6, 1}, tip, mcm.Weight{3}}, stated{[2]int{7, 1}, tip, mcm.Weight{4}}),
			[][2]int{{4, 1}, {5, 1}, {6, 1}, {7, 1}}, 0},
		{"the anchor is wrong", []proof.Anchor{wrong}, honest, nil, 1},
		{"ff, with its own and without", []proof.Anchor{good}, []stated{{[2]int{1, 1}, ff, wFF}, {[2]int{2, 1}, ff, off(wFF, two(255))}, {[2]int{3, 1}, tip, w}}, nil, 0},
		{"ff, with twice its own", []proof.Anchor{good}, append(slices.Clone(honest), stated{[2]int{4, 1}, ff, off(wFF, 2*two(255))}), [][2]int{{4, 1}}, 0},
		{"neogenesis", []proof.Anchor{good}, append(slices.Clone(honest), stated{[2]int{4, 1}, neo, wNeo}), nil, 0},
		{"neogenesis, counted twice", []proof.Anchor{good}, append(slices.Clone(honest), stated{[2]int{4, 1}, neo, off(wNeo, two(256))}), [][2]int{{4, 1}}, 0},
	} {
		var all []showing
		for _, st := range c.stated {
			all = append(all, shows(t, peer(st.peer[0], st.peer[1]), st.chain).stating(st.w))
		}
		o := branch.Options{Anchors: c.anchors}
		list := steady(t, o, all, func(s *branch.Store) []branch.False { return s.FalseWeights() })
		var got, want []netip.Addr
		for _, f := range list {
			got = append(got, f.Peer)
			if f.Stated == f.Exact || f.Num < good.Num || f.Anchor != good {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
		for _, p := range c.false_ {
			want = append(want, peer(p[0], p[1]))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: convicted %v, want %v", c.name, got, want)
		}
		if alarms := fill(o, all).Disagreements(); len(alarms) != c.disagree || len(alarms) > 0 && alarms[0].OthersGroups <= alarms[0].Groups {
			t.Errorf("%s: alarms %+v, want %d", c.name, alarms, c.disagree)
		}
	}
}

// TestNoExactWeightBeforeVersion3: there links don't fix what is below.
func TestNoExactWeightBeforeVersion3(t *testing.T) {
	_, chain := grown(151, 60)
	o := branch.Options{Anchors: []proof.Anchor{{Num: 0, Hash: mcm.GenesisHash, Weight: mcm.Weight{1}}, {Num: base - 2, Hash: *chain[0].PrevHash()}}}
	s := fill(o, []showing{shows(t, peer(1, 1), chain[:30]).stating(greatest)})
	if b := s.Branches(clock(chain))[0]; b.Exact || len(s.FalseWeights()) != 0 {
		t.Errorf("exact weight %v", b.Weight)
	}
}
