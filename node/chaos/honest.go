package chaos

import (
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/wire"
)

// plain is the kind of a peer that does all as it should.
const plain = "honest"

// honest are kinds of peers that deserve no point, and of those that a bad
// moment makes look worse than they are.
var honest = []Kind{
	{
		Name: plain, Family: Honest, Expect: proven(),
		Summary: "is on the tip and answers",
	}, {
		Name: "tip-ff", Family: Honest, Expect: proven(),
		Summary: "is three blocks behind, on a tip ending in ff",
		hooks:   hooks{stand: behind(3)},
	}, {
		Name: "tip-ff-stuck", Family: Honest, Expect: proven(),
		Summary: "is on a tip ending in ff and counts that block, as a node stuck there does",
		hooks: hooks{stand: behind(3), claim: func(c *call, s *wire.State) {
			s.Weight = s.Weight.AddDifficulty(c.at.line.trailers[c.at.index].WorkDifficulty())
		}},
	}, {
		Name: "tip-00", Family: Honest, Expect: proven(),
		Summary: "is two blocks behind, on a neogenesis block",
		hooks:   hooks{stand: behind(2)},
	}, {
		Name: "half-pseudo", Family: Honest, Expect: proven(),
		Summary: "is 22 blocks behind, where half of its last 54 blocks are pseudoblocks",
		hooks:   hooks{stand: behind(mixedDepth)},
	}, {
		Name: "stale", Family: Honest, Expect: proven(),
		Summary: "is ten blocks behind",
		hooks:   hooks{stand: behind(10)},
	}, {
		Name: "ahead", Family: Honest, Expect: proven(),
		Summary: "is one block ahead of the others",
		hooks:   hooks{stand: behind(-1)},
	}, {
		Name: "changing-tip", Family: Honest, Expect: proven(),
		Summary: "has another tip at every call: the one before, the tip, the next one",
		hooks:   hooks{stand: func(c *call) spot { return behind(1 - int(c.n%3))(c) }},
	}, {
		Name: "side-branch", Family: Honest, Expect: proven(),
		Summary: "is still on the branch that lost a fork",
		hooks:   hooks{stand: func(c *call) spot { return end(c.fleet.world.side) }},
	}, {
		Name: "tie", Family: Honest, Expect: proven(),
		Summary: "has another tip of the same weight, with a greater hash",
		hooks:   hooks{stand: func(c *call) spot { return end(c.fleet.world.tie) }},
	}, {
		Name: "seam-once", Family: Honest, Expect: proven(fault.BrokenLink),
		Summary: "changes branches while it serves its first range",
		hooks: hooks{rangeOf: func(c *call, first, count uint32, honest []byte) []byte {
			if c.nth > 1 {
				return honest
			}
			return seam(c.fleet.world, first, honest)
		}},
	}, {
		Name: "file-stale", Family: Honest, Expect: proven(),
		Summary: "is 40 blocks behind, more than an hour",
		hooks:   hooks{stand: behind(40)},
	}, {
		Name: "file-advanced", Family: Honest, Expect: proven(),
		Summary: "is on the tip when it shows its proof, and one block ahead ever after",
		hooks: hooks{stand: func(c *call) spot {
			if c.ranges.Load() == 0 {
				return c.tip()
			}
			return behind(-1)(c)
		}},
	}, {
		Name: turncoat, Family: Honest, Expect: proven(),
		Summary: "is honest for nine scans and then one of the hostile kinds",
	},
}

// behind is the spot so many blocks behind the tip.
func behind(n int) func(*call) spot {
	return func(c *call) spot {
		s := c.tip()
		s.index = min(s.index-n, s.line.last())
		return s
	}
}

// seam returns a range in which the blocks just behind the fork are still those
// of the side branch.
func seam(w *World, first uint32, honest []byte) []byte {
	data := append([]byte(nil), honest...)
	ts := mcm.Trailers(data)
	for i := range ts {
		at := int(uint64(first) + uint64(i) - uint64(w.Base.Num)) // index in both lines
		if at > w.tip-forkDepth && at <= w.side.last() {
			ts[i] = w.side.trailers[at]
		}
	}
	return data
}
