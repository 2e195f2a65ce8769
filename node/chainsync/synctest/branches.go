package synctest

import (
	"cmp"
	"net/netip"
	"slices"

	"kigo/node/chainsync"
	"kigo/node/mcm"
)

// Branch returns the branch that these peers support: the tip of the first one's
// chain with the segment of 54 trailers that proves it, fewer above the base.
func Branch(peers ...*Peer) chainsync.Branch {
	chain := peers[0].Chain()
	b := chainsync.Branch{FirstClass: true}
	b.Trailers = slices.Clone(chain[max(0, len(chain)-mcm.ProofTrailers):])
	groups := map[netip.Prefix]bool{}
	for _, p := range peers {
		s := chainsync.Supporter{Addr: p.Addr, Group: Groups.Of(p.Addr), Claim: p.State()}
		groups[s.Group] = true
		b.Supporters = append(b.Supporters, s)
	}
	slices.SortFunc(b.Supporters, func(x, y chainsync.Supporter) int { return x.Addr.Compare(y.Addr) })
	b.Groups = len(groups)
	return b
}

// Branches returns the branches of peers, in the order in which a scan would have
// them: those with more groups first.  Peers with the same tip support one branch.
func Branches(peers ...*Peer) (branches []chainsync.Branch) {
	byTip := map[mcm.Hash][]*Peer{}
	var tips []mcm.Hash
	for _, p := range peers {
		chain := p.Chain()
		tip := *chain[len(chain)-1].Hash()
		if byTip[tip] == nil {
			tips = append(tips, tip)
		}
		byTip[tip] = append(byTip[tip], p)
	}
	for _, tip := range tips {
		branches = append(branches, Branch(byTip[tip]...))
	}
	slices.SortStableFunc(branches, func(x, y chainsync.Branch) int { return cmp.Compare(y.Groups, x.Groups) })
	for i := range branches {
		branches[i].Rank = i
	}
	return branches
}
