package node

import (
	"cmp"
	"slices"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
)

// Bounds of what is kept beside the own chain.
const (
	maxSides = 16384 // trailers, 2.6 MB
	// maxFree is how many trailers without work may follow one trailer.  A
	// pseudoblock follows from its parent, but a neogenesis block's root may be
	// anything.
	maxFree = 4
	maxKids = 64 // trailers, with work or without, that may follow one
	// maxThin is how many trailers of a branch are kept at a time that doesn't meet the
	// own chain and has next to no work: those of one proof.
	maxThin = proof.Segment
)

// A side is a trailer beside the own chain.  Its work is proven.
type side struct {
	t       mcm.Trailer
	checked bool   // the rules were held against its parent
	seen    uint64 // when it was met last, as sides counts
}

// sides are the trailers that are known and not on the own chain.  All are of
// version 3, so that a hash names one trailer.  They belong to who holds the node's
// lock.
type sides struct {
	by    map[mcm.Hash]*side
	next  map[mcm.Hash][]*side // those that follow the block with that hash, kept or not
	clock uint64
}

func newSides() sides { return sides{by: map[mcm.Hash]*side{}, next: map[mcm.Hash][]*side{}} }

// holds reports whether exactly this trailer is kept.
func (s *sides) holds(t *mcm.Trailer) bool {
	have := s.by[*t.Hash()]
	return have != nil && have.t == *t
}

// add keeps a trailer, unless there is no room behind its parent.  checked is whether
// the rules were held against that.
func (s *sides) add(t *mcm.Trailer, checked bool) (kept bool) {
	s.clock++
	if have := s.by[*t.Hash()]; have != nil {
		have.seen = s.clock
		have.checked = have.checked || checked
		return true
	}
	if !s.room(t) {
		return false
	}
	n := &side{t: *t, checked: checked, seen: s.clock}
	s.by[*t.Hash()] = n
	s.next[*t.PrevHash()] = append(s.next[*t.PrevHash()], n)
	return true
}

// room reports whether another trailer may follow t's parent.  One that leads
// nowhere, or for a trailer without work to no work, and was met longest ago makes room
// for it with all that follows it.
func (s *sides) room(t *mcm.Trailer) bool {
	free := !proof.IsWorked(t)
	same, most := 0, maxKids
	if free {
		most = maxFree
	}
	var oldest *side
	for _, k := range s.next[*t.PrevHash()] {
		if free == proof.IsWorked(&k.t) {
			continue
		}
		same++
		if (s.leaf(k) || free && s.idle(k)) && (oldest == nil || k.seen < oldest.seen) {
			oldest = k
		}
	}
	if same < most {
		return true
	}
	if oldest == nil {
		return false
	}
	s.drop(*oldest.t.Hash())
	return true
}

// idle reports whether there is no work in what follows n.
func (s *sides) idle(n *side) bool {
	for _, k := range s.next[*n.t.Hash()] {
		if proof.IsWorked(&k.t) || !s.idle(k) {
			return false
		}
	}
	return true
}

// leaf reports whether nothing follows n.
func (s *sides) leaf(n *side) bool { return len(s.next[*n.t.Hash()]) == 0 }

func (s *sides) forget(n *side) {
	delete(s.by, *n.t.Hash())
	h := *n.t.PrevHash()
	if l := slices.DeleteFunc(s.next[h], func(o *side) bool { return o == n }); len(l) > 0 {
		s.next[h] = l
	} else {
		delete(s.next, h)
	}
}

// cut forgets ts, newest first, as far as nothing else follows them.
func (s *sides) cut(ts []mcm.Trailer) {
	for i := len(ts) - 1; i >= 0; i-- {
		n := s.by[*ts[i].Hash()]
		if n == nil || !s.leaf(n) {
			return
		}
		s.forget(n)
	}
}

// tips returns the trailers that nothing follows.
func (s *sides) tips() (tips []*side) {
	for _, n := range s.by {
		if s.leaf(n) {
			tips = append(tips, n)
		}
	}
	return tips
}

// drop forgets a trailer and all that follows it.
func (s *sides) drop(h mcm.Hash) {
	n := s.by[h]
	if n == nil {
		return
	}
	for _, k := range slices.Clone(s.next[h]) {
		s.drop(*k.t.Hash())
	}
	s.forget(n)
}

// prune forgets what is on the own chain now, and, if there is too much, whole
// branches: first those that don't meet the own chain and are too thin to be looked
// into, then those that do, the lightest first, then the others.  Without work nobody
// gets past the first two.
func (s *sides) prune(o *own) {
	for _, n := range s.by {
		if o.holds(&n.t) {
			s.forget(n)
		}
	}
	if len(s.by) <= maxSides {
		return
	}
	type ranked struct {
		path    path
		class   int
		weight  mcm.Weight
		density float64
	}
	var all []ranked
	least := density(o.last(proof.Segment)) / densityShare
	for _, n := range s.tips() {
		r := ranked{path: s.path(*n.t.Hash(), o)}
		if r.path.met {
			at, _ := o.at(r.path.fork)
			r.weight, r.class = weigh(at.Weight, r.path.trailers), 1
		} else if r.density = density(r.path.trailers); r.density >= least {
			r.class = 2
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(a.class, b.class), a.weight.Cmp(b.weight), cmp.Compare(a.density, b.density))
	})
	for _, r := range all {
		if len(s.by) <= maxSides/8*7 {
			return
		}
		s.cut(r.path.trailers) // but for what another branch needs
	}
}

// A path is the way to a side's tip from where it leaves the own chain, or from as
// far down as it is known.
type path struct {
	trailers []mcm.Trailer // oldest first
	unproved []int         // of these, those that weren't held against their parent
	met      bool          // the own chain is met
	fork     mcm.BlockNum  // if so, the last block in common
}

// root returns the lowest trailer.
func (p *path) root() *mcm.Trailer { return &p.trailers[0] }

// tip returns the highest trailer.
func (p *path) tip() *mcm.Trailer { return &p.trailers[len(p.trailers)-1] }

// contains reports whether the block is on the path.
func (p *path) contains(n mcm.BlockNum, h mcm.Hash) bool {
	first := p.root().Num()
	return n >= first && n <= p.tip().Num() && *p.trailers[n-first].Hash() == h
}

// work returns Σ 2^difficulty over the path's worked trailers.
func (p *path) work() mcm.Weight { return work(p.trailers) }

func work(ts []mcm.Trailer) (sum mcm.Weight) {
	for i := range ts {
		sum = proof.AddWork(sum, &ts[i])
	}
	return sum
}

// path returns the way to the side with that hash.
func (s *sides) path(tip mcm.Hash, o *own) (p path) {
	for n := s.by[tip]; n != nil; n = s.by[*n.t.PrevHash()] {
		if !n.checked {
			p.unproved = append(p.unproved, len(p.trailers))
		}
		p.trailers = append(p.trailers, n.t)
	}
	if i := len(p.trailers) - 1; i >= 0 { // nothing is kept here that is on the own chain
		low := &p.trailers[i]
		if below := low.Num() - 1; o.has(below, *low.PrevHash()) {
			p.met, p.fork = true, below
		}
	}
	slices.Reverse(p.trailers)
	for i := range p.unproved {
		p.unproved[i] = len(p.trailers) - 1 - p.unproved[i]
	}
	return p
}

// density returns the work per trailer of a segment, in hashes.
func density(ts []mcm.Trailer) float64 {
	if len(ts) == 0 {
		return 0
	}
	return proof.Hashes(work(ts)) / float64(len(ts))
}

// reckoned is a chain's weight as nodes compare it: with its tip even if that number
// ends in ff (docs/spec/sync.md section 1.1).
func reckoned(w mcm.Weight, tip *mcm.Trailer) mcm.Weight {
	if !rules.AddsWeight(tip) {
		w = w.AddDifficulty(tip.WorkDifficulty())
	}
	return w
}

// weigh returns the weight of a chain that weighs below and goes on with ts.
func weigh(below mcm.Weight, ts []mcm.Trailer) mcm.Weight {
	for i := range ts {
		below = rules.AddWeight(below, &ts[i])
	}
	return below
}
