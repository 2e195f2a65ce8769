package chainsync

import (
	"bytes"
	"cmp"
	"net/netip"

	"kigo/node/chain"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
)

// A contender is a chain whose exact weight is known, the own one included.
type contender struct {
	own bool // the own chain as it is

	num    mcm.BlockNum // of the tip
	tip    mcm.Hash
	fork   mcm.BlockNum // its first block that is not on the own chain
	weight mcm.Weight   // exact, as trailers are weighed
	last   uint8        // difficulty of the tip
	work   mcm.Weight   // Σ 2^difficulty over the worked trailers, from the own chain's base on

	// extends says that it is the own chain and more.
	extends bool
	// old says which history before version 3 it rests on.  Weight is no measure
	// between two of those (docs/spec/sync.md section 8.3).
	old mcm.Hash

	support support

	// Where its trailers from the fork on are, unless it is the own chain.
	ts      []mcm.Trailer  // rules and work of all of them proven
	g       *chain.Staging // else
	rests   basis
	sampled int  // trailers that were drawn from it, whose work is right
	trimmed bool // its end was cut off, for it was invalid
}

func (c *contender) setTip(t *mcm.Trailer) {
	c.num, c.tip, c.last = t.Num(), *t.Hash(), t.WorkDifficulty()
}

// A support is who is on a branch.
type support struct {
	groups map[netip.Prefix]bool
	addrs  map[netip.Addr]bool
}

func newSupport() support {
	return support{map[netip.Prefix]bool{}, map[netip.Addr]bool{}}
}

func (s support) add(by *Supporter) {
	s.groups[by.Group] = true
	s.addrs[by.Addr] = true
}

// reckoned is the weight as nodes compare it: with the tip itself if its number ends
// in ff, for the block after it, which nobody has to wait for, repeats its
// difficulty (docs/spec/sync.md section 1.1).
func (c *contender) reckoned() mcm.Weight {
	if c.num.Low() == 0xff {
		return c.weight.AddDifficulty(c.last)
	}
	return c.weight
}

// best returns the contender to follow, nil if there is none (docs/spec/sync.md
// section 8.6): of those with the same history before version 3 the heaviest, ties
// going by compareTie; between such histories by worked weight, the own one staying
// unless there is more of it.
func best(all []*contender) *contender {
	var order []mcm.Hash // histories as they come
	first := map[mcm.Hash]*contender{}
	var home mcm.Hash
	var settled bool
	for _, c := range all {
		if c.own {
			home, settled = c.old, true
		}
		was := first[c.old]
		if was == nil {
			order = append(order, c.old)
		}
		if was == nil || compareWeight(c, was) > 0 {
			first[c.old] = c
		}
	}
	var top *contender
	for _, old := range order {
		c := first[old]
		if top == nil {
			top = c
			continue
		}
		by := c.work.Cmp(top.work)
		if by == 0 && settled && (c.old == home || top.old == home) {
			by = -1
			if c.old == home {
				by = 1
			}
		}
		if by > 0 || by == 0 && compareTie(c, top) > 0 {
			top = c
		}
	}
	return top
}

// compareWeight returns 1 if a goes before b, -1 if b does, 0 if they are the same
// chain.  They share the history before version 3.
func compareWeight(a, b *contender) int {
	if by := a.reckoned().Cmp(b.reckoned()); by != 0 {
		return by
	}
	// A chain goes before its own beginning, which a neogenesis block behind a tip
	// in ff doesn't outweigh.
	switch {
	case a.own && b.extends:
		return -1
	case b.own && a.extends:
		return 1
	}
	return compareTie(a, b)
}

// compareTie is the order among equal weights, from rule 2 of docs/spec/sync.md
// section 8.6 on: a node that knows trailers only can't say of its own tip's block
// that it is verified in full, so the own tip is one among others.
func compareTie(a, b *contender) int {
	return cmp.Or(
		cmp.Compare(len(a.support.groups), len(b.support.groups)),
		a.work.Cmp(b.work),
		cmp.Compare(len(a.support.addrs), len(b.support.addrs)),
		bytes.Compare(a.tip[:], b.tip[:]))
}

// sums returns what trailers add to weight and to work.
func sums(ts []mcm.Trailer) (weight, work mcm.Weight) {
	for i := range ts {
		weight = rules.AddWeight(weight, &ts[i])
		work = proof.AddWork(work, &ts[i])
	}
	return weight, work
}
