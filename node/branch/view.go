package branch

import (
	"bytes"
	"cmp"
	"math"
	"math/bits"
	"net/netip"
	"slices"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
)

// never is a clock to which nothing is early.
const never = math.MaxInt64

// A view is how the stored trailers hang together.
type view struct {
	nodes      []*node // parents before children
	leaves     []*node
	supporters []*supporter // by address
	groups     []netip.Prefix
}

// A place is where a node stands in the view.
type place struct {
	parent *node
	kids   []*node // by hash
	root   *node

	// Sums from the root to the node, both included.
	weight   mcm.Weight
	work     mcm.Weight
	trailers int
	worked   int

	peers  set        // indexes of the supporters whose tips are on the way from the root
	groups set        // indexes of their groups
	off    bool       // contradicts a fixed anchor
	anchor int        // index of the anchor that fixes exact; -1 for none
	exact  mcm.Weight // of the whole chain, if anchor >= 0
	live   bool       // a peer's tip is here or above
	best   outcome    // of the branches through the node, while Choose works
}

// look makes the view, if it isn't there.
func (s *Store) look() {
	for s.view == nil {
		s.arrange()
	}
}

// arrange makes the view, or removes something and leaves it to be made again.
func (s *Store) arrange() {
	v := &view{nodes: make([]*node, 0, len(s.byID))}
	for _, n := range s.byID {
		n.place = place{anchor: -1}
		v.nodes = append(v.nodes, n)
	}
	slices.SortFunc(v.nodes, func(a, b *node) int {
		return cmp.Or(cmp.Compare(a.t.Num(), b.t.Num()), bytes.Compare(a.t.Hash()[:], b.t.Hash()[:]), bytes.Compare(a.id[:], b.id[:]))
	})
	type refusal struct {
		n, parent *node
		why       *proof.Finding
	}
	var refused []refusal
	for _, n := range v.nodes {
		parent, why := s.parentOf(n)
		switch {
		case why != nil:
			refused = append(refused, refusal{n, parent, why})
		case parent != nil:
			n.parent = parent
			parent.kids = append(parent.kids, n)
		}
	}
	for _, r := range refused {
		s.refuse(r.n, r.parent, r.why)
	}
	if len(refused) > 0 {
		return
	}
	if s.sweep(v) {
		return
	}
	v.number(s.peers)
	for _, n := range v.nodes {
		n.descend(s.o.Anchors)
		if len(n.kids) == 0 {
			v.leaves = append(v.leaves, n)
		}
	}
	for i := len(s.o.Anchors) - 1; i >= 0; i-- { // the first one writes last
		v.anchor(i, &s.o.Anchors[i], s.byHash)
	}
	s.view = v
}

// parentOf returns the stored trailer that n follows, nil for none.  From version 3
// on there is one at most: its hash covers it, and if n breaks a rule against it
// then n is invalid, as the finding says.  Before, any number of trailers may
// have the hash that n names; of those that n may follow, one is chosen by id.
func (s *Store) parentOf(n *node) (*node, *proof.Finding) {
	var parent *node
	for _, p := range s.byHash[*n.t.PrevHash()] {
		if n.checked != p {
			if f := proof.Against(&p.t, &n.t); f != nil {
				if p.t.Num() >= mcm.V30Trigger {
					return p, f
				}
				continue
			}
		}
		if parent == nil || bytes.Compare(p.id[:], parent.id[:]) < 0 {
			parent = p
		}
	}
	n.checked = parent
	return parent, nil
}

// sweep drops the trailers that lead to no peer's tip, and reports whether there
// were any.
func (s *Store) sweep(v *view) (dropped bool) {
	for _, n := range slices.Backward(v.nodes) {
		n.live = n.live || len(n.tips) > 0
		if n.live && n.parent != nil {
			n.parent.live = true
		}
	}
	for _, n := range v.nodes {
		if !n.live {
			s.forget(n)
			dropped = true
		}
	}
	return dropped
}

// number puts the supporters and their groups in order, and gives them indexes.
func (v *view) number(peers map[netip.Addr]*supporter) {
	for _, p := range peers {
		v.supporters = append(v.supporters, p)
		v.groups = append(v.groups, p.group)
	}
	slices.SortFunc(v.supporters, func(a, b *supporter) int { return a.addr.Compare(b.addr) })
	slices.SortFunc(v.groups, netip.Prefix.Compare)
	v.groups = slices.Compact(v.groups)
	for i, p := range v.supporters {
		p.index = i
		p.groupIndex, _ = slices.BinarySearchFunc(v.groups, p.group, netip.Prefix.Compare)
	}
}

// descend takes over what the way to n's parent has come to, and adds n.
func (n *node) descend(anchors []proof.Anchor) {
	n.root = n
	if p := n.parent; p != nil {
		n.root, n.weight, n.work, n.trailers, n.worked = p.root, p.weight, p.work, p.trailers, p.worked
		n.peers, n.groups, n.off = p.peers, p.groups, p.off
	}
	n.weight = rules.AddWeight(n.weight, &n.t)
	n.trailers++
	if proof.IsWorked(&n.t) {
		n.worked++
		n.work = n.work.AddDifficulty(n.t.WorkDifficulty())
	}
	if len(n.tips) > 0 {
		n.peers, n.groups = slices.Clone(n.peers), slices.Clone(n.groups)
		for _, p := range n.tips {
			n.peers, n.groups = n.peers.with(p.index), n.groups.with(p.groupIndex)
		}
	}
	for i := range anchors {
		a := &anchors[i]
		if a.Fixed && (n.t.Num() == a.Num && *n.t.Hash() != a.Hash || follows(n, a.Num) && *n.t.PrevHash() != a.Hash) {
			n.off = true
		}
	}
}

// follows reports whether n's number comes right after num.
func follows(n *node, num mcm.BlockNum) bool { return n.t.Num() == num+1 && num+1 != 0 }

// anchor finds the trailers whose weight a, the i-th anchor, makes exact: those that
// hang together with it by version 3's links, which fix every trailer in between.
func (v *view) anchor(i int, a *proof.Anchor, byHash map[mcm.Hash][]*node) {
	if a.Num < mcm.V30Trigger {
		return
	}
	for _, n := range byHash[a.Hash] {
		if n.t.Num() != a.Num {
			continue
		}
		below, _ := a.Weight.Sub(n.weight)
		for n.parent != nil && n.parent.t.Num()+1 >= mcm.V30Trigger {
			n = n.parent
		}
		n.spread(i, below)
		return
	}
	for _, n := range v.nodes {
		if n.parent == nil && follows(n, a.Num) && *n.t.PrevHash() == a.Hash && n.paidFor() {
			n.spread(i, a.Weight)
		}
	}
}

// paidFor reports whether n has the work for its difficulty, whatever is below it.
// Without a parent nothing else binds the difficulty: a pseudoblock could have any,
// and a field above 255 means far less work than the blocks after it may weigh.
func (n *node) paidFor() bool {
	return proof.IsWorked(&n.t) && n.t.Difficulty() == uint32(n.t.WorkDifficulty())
}

// spread gives n and all that follow it their exact weight: below is what the chain
// weighs below the root.
func (n *node) spread(anchor int, below mcm.Weight) {
	for stack := []*node{n}; len(stack) > 0; {
		n := stack[len(stack)-1]
		stack = append(stack[:len(stack)-1], n.kids...)
		n.anchor = anchor
		n.exact, _ = below.Add(n.weight)
	}
}

// A set is a set of small numbers.
type set []uint64

// with returns the set with i in it; s may be changed.
func (s set) with(i int) set {
	for len(s) <= i/64 {
		s = append(s, 0)
	}
	s[i/64] |= 1 << (i % 64)
	return s
}

// len returns how many numbers are in the set.
func (s set) len() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

// each calls f for the numbers in the set, ascending.
func (s set) each(f func(i int)) {
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			f(64*w + bits.TrailingZeros64(word))
		}
	}
}
