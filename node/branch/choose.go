package branch

import (
	"bytes"
	"cmp"
	"slices"

	"kigo/node/mcm"
	"kigo/node/rules"
)

// A Quorum is how much support a choice wants.
type Quorum struct {
	Peers  int `json:"peers"`
	Groups int `json:"groups"`
}

// Meets reports whether the branch's support is a quorum.
func (b *Branch) Meets(q Quorum) bool {
	return !b.Thin && !b.Refused && len(b.Peers) >= q.Peers && len(b.Groups) >= q.Groups
}

// What a choice can rest on, from the strongest to the weakest.
const (
	ByRank      = "rank" // no other branch meets the chosen one
	ByWeight    = "weight"
	ByGroups    = "groups"
	ByWork      = "work"
	ByAddresses = "addresses"
	ByHash      = "hash"
)

// A Choice is the branch that a scan settles on.
type Choice struct {
	Branch *Branch
	// Reason is the weakest argument that was needed against a branch that meets
	// the chosen one: one of the constants above.
	Reason string
	// Quorum says that the branch has the support that was wanted.
	Quorum bool
	// Common is the number of the block above which the chosen branch and the one
	// that Reason is about part; 0 when Reason is ByRank, or when they have no stored
	// trailer in common, only exact weights.
	Common mcm.BlockNum
}

// An outcome is the best of the branches through a node.
type outcome struct {
	leaf   *node
	reason reason
	common mcm.BlockNum
}

type reason int

const (
	byRankAlone reason = iota
	byWeight
	byGroups
	byWork
	byAddresses
	byHash
)

var reasons = [...]string{ByRank, ByWeight, ByGroups, ByWork, ByAddresses, ByHash}

// Choose returns the branch to follow by what a scan shows, nil if there is none, with
// the clock at now in Unix seconds (docs/spec/sync.md section 8.6, "scan only").
// Of the branches that meet, the heaviest counts, with ties going to more groups,
// more worked weight, more addresses, and the highest hash in this order; where
// branches part below version 3 worked weight counts instead of weight.  Of those
// that don't meet, the one whose best branch ranks first.  Branches that lack
// a fixed anchor are never chosen.
func (s *Store) Choose(now int64, q Quorum) *Choice {
	branches := slices.DeleteFunc(s.Branches(now), func(b *Branch) bool { return b.Refused })
	if len(branches) == 0 {
		return nil
	}
	c := contest{of: make(map[*node]*Branch, len(branches)), weight: relative}
	for _, b := range branches {
		c.of[b.leaf] = b
	}
	var exact []*node // roots of the trees that an anchor makes comparable
	for _, n := range slices.Backward(s.view.nodes) {
		if c.of[n] != nil {
			n.best = outcome{leaf: n}
		} else {
			n.best = c.settle(n.kids, n.t.Num())
		}
		if n.parent == nil && n.anchor >= 0 {
			exact = append(exact, n)
		}
	}
	root := branches[0].leaf.root
	best := root.best
	if root.anchor >= 0 {
		c.weight = absolute
		best = c.settle(exact, 0)
	}
	b := c.of[best.leaf]
	return &Choice{
		Branch: b,
		Reason: reasons[best.reason],
		Quorum: b.Meets(q),
		Common: best.common,
	}
}

// A contest finds the best of branches that meet.
type contest struct {
	of     map[*node]*Branch      // the branches that can win, by leaf
	weight func(*node) mcm.Weight // what the weights of leaves are compared by
}

// settle returns the best of the branches through nodes, which part above block
// common.
func (c *contest) settle(nodes []*node, common mcm.BlockNum) (best outcome) {
	for _, n := range nodes {
		if n.best.leaf == nil {
			continue // all of it is refused
		}
		if best.leaf == nil {
			best = n.best
		} else if order, _ := c.compare(n.best.leaf, best.leaf, common); order > 0 {
			best = n.best
		}
	}
	for _, n := range nodes {
		if rival := n.best.leaf; rival != nil && rival != best.leaf {
			if _, why := c.compare(best.leaf, rival, common); why > best.reason {
				best.reason, best.common = why, common
			}
		}
	}
	return best
}

// compare returns 1 if a goes before b, -1 if b does, and by which argument.
func (c *contest) compare(a, b *node, common mcm.BlockNum) (order int, why reason) {
	x, y := c.of[a], c.of[b]
	work := a.work.Cmp(b.work)
	if common+1 < mcm.V30Trigger && a.root == b.root {
		if work != 0 {
			return work, byWork
		}
	} else if order = c.weight(a).Cmp(c.weight(b)); order != 0 {
		return order, byWeight
	}
	if order = cmp.Compare(len(x.Groups), len(y.Groups)); order != 0 {
		return order, byGroups
	}
	if work != 0 && a.root == b.root {
		return work, byWork
	}
	if order = cmp.Compare(len(x.Peers), len(y.Peers)); order != 0 {
		return order, byAddresses
	}
	return cmp.Or(bytes.Compare(x.Tip[:], y.Tip[:]), bytes.Compare(a.id[:], b.id[:])), byHash
}

// relative is the weight of the chain up to the leaf above what is below its root,
// as nodes reckon it: with the leaf itself if its number ends in ff.
func relative(leaf *node) mcm.Weight { return leaf.reckoned(leaf.weight) }

// absolute is the weight of the whole chain, reckoned likewise.
func absolute(leaf *node) mcm.Weight { return leaf.reckoned(leaf.exact) }

func (n *node) reckoned(w mcm.Weight) mcm.Weight {
	if !rules.AddsWeight(&n.t) {
		w = w.AddDifficulty(n.t.WorkDifficulty())
	}
	return w
}
