package branch

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"

	"kigo/node/mcm"
	"kigo/node/proof"
)

// Branches returns the branches, ranked best first, with the clock at now in Unix
// seconds: fresh ones before others, among the fresh the first class before the
// rest; the first class by supporting groups, then density; the rest by
// density.  Within a class the best branch of each place comes before all others,
// so that many tips on one stem push nobody back.
func (s *Store) Branches(now int64) []*Branch {
	s.look()
	branches := make([]*Branch, len(s.view.leaves))
	for i, leaf := range s.view.leaves {
		branches[i] = s.branch(leaf)
	}
	s.classify(branches, now)
	slices.SortFunc(branches, byRank)

	places := make(map[mcm.Hash]int)
	for _, b := range branches {
		n, known := places[b.Root]
		if !known {
			n = len(places)
			places[b.Root] = n
		}
		b.Place = n
	}
	led := make([]bool, len(places))
	leads := make(map[*Branch]bool, len(places))
	for _, b := range branches {
		leads[b], led[b.Place] = !led[b.Place], true
	}
	slices.SortStableFunc(branches, func(a, b *Branch) int {
		return cmp.Or(cmp.Compare(a.class(), b.class()), first(leads[a], leads[b]))
	})
	return branches
}

func (s *Store) branch(leaf *node) *Branch {
	b := &Branch{
		Tip:      *leaf.t.Hash(),
		Height:   leaf.t.Num(),
		Time:     leaf.t.SolveTime(),
		Root:     *leaf.root.t.Hash(),
		First:    leaf.root.t.Num(),
		Density:  leaf.density(),
		Trailers: leaf.trailers,
		Worked:   leaf.worked,
		Work:     leaf.work,
		Refused:  leaf.off || s.tooLow(leaf),
		leaf:     leaf,
	}
	if leaf.anchor >= 0 {
		b.Exact, b.Weight = true, leaf.exact
	}
	b.Thin = b.Worked < proof.MinWorked && !b.Exact && b.First > s.o.Base && b.Trailers < proof.MaxExtension
	b.Peers = make([]netip.Addr, 0, leaf.peers.len())
	leaf.peers.each(func(i int) { b.Peers = append(b.Peers, s.view.supporters[i].addr) })
	b.Groups = make([]netip.Prefix, 0, leaf.groups.len())
	leaf.groups.each(func(i int) { b.Groups = append(b.Groups, s.view.groups[i]) })
	return b
}

// tooLow reports whether the branch ends below a block that every chain must have.
func (s *Store) tooLow(leaf *node) bool {
	return slices.ContainsFunc(s.o.Anchors, func(a proof.Anchor) bool { return a.Fixed && leaf.t.Num() < a.Num })
}

// density returns the work per trailer, in hashes, of a proof that ends in the leaf:
// as many of its last trailers as a proof has.
func (leaf *node) density() float64 {
	var work mcm.Weight
	trailers, worked := 0, 0
	for n := leaf; n != nil && trailers < proof.MaxExtension; n = n.parent {
		if trailers >= proof.Segment && worked >= proof.MinWorked {
			break
		}
		trailers++
		if proof.IsWorked(&n.t) {
			worked++
			work = work.AddDifficulty(n.t.WorkDifficulty())
		}
	}
	return proof.Hashes(work) / float64(trailers)
}

// classify sets Fresh and FirstClass.  What is refused sets no measure.
func (s *Store) classify(branches []*Branch, now int64) {
	newest := int64(-1)
	for _, b := range branches {
		if solved := int64(b.Time); !b.Refused && solved-mcm.ClockLead <= now {
			newest = max(newest, solved)
		}
	}
	densest := 0.0
	for _, b := range branches {
		solved := int64(b.Time)
		b.Fresh = newest >= 0 && solved-mcm.ClockLead <= now && newest-solved <= int64(s.o.Fresh.Seconds())
		if b.Fresh && !b.Refused {
			densest = max(densest, b.Density)
		}
	}
	for _, b := range branches {
		b.FirstClass = b.Fresh && !b.Refused && b.Density >= densest/4
	}
}

// class returns where a branch stands before its merits count.
func (b *Branch) class() int {
	switch {
	case b.Refused:
		return 3
	case b.FirstClass:
		return 0
	case b.Fresh:
		return 1
	default:
		return 2
	}
}

func byRank(a, b *Branch) int {
	groups, density := cmp.Compare(len(b.Groups), len(a.Groups)), cmp.Compare(b.Density, a.Density)
	class := cmp.Compare(a.class(), b.class())
	if class == 0 && a.class() != 0 {
		groups, density = density, groups
	}
	return cmp.Or(class, groups, density,
		cmp.Compare(len(b.Peers), len(a.Peers)),
		bytes.Compare(b.Tip[:], a.Tip[:]),
		bytes.Compare(b.leaf.id[:], a.leaf.id[:]))
}

// first orders true before false.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}
