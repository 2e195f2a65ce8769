package chainsync

import (
	"net/netip"
	"slices"

	"kigo/node/scan"
)

// FromReport returns the branches that a scan has found, best rank first, with those
// who support each.  preferred says of which peers it is known that they serve; nil
// leaves it at those that were configured.
func FromReport(rep *scan.Report, preferred func(netip.Addr) bool) []Branch {
	peers := make(map[netip.Addr]*scan.Peer, len(rep.Peers))
	for i := range rep.Peers {
		peers[rep.Peers[i].Addr] = &rep.Peers[i]
	}
	branches := make([]Branch, 0, len(rep.Branches))
	for i := range rep.Branches {
		from := &rep.Branches[i]
		b := Branch{Trailers: from.Segment(), Rank: i, FirstClass: from.FirstClass, Groups: len(from.Groups)}
		for _, a := range from.Peers {
			p := peers[a]
			if p == nil || p.Claim == nil {
				continue
			}
			b.Supporters = append(b.Supporters, Supporter{
				Addr: a, Group: p.Group, Claim: *p.Claim,
				Preferred: isConfigured(p.Source) || preferred != nil && preferred(a),
			})
		}
		slices.SortFunc(b.Supporters, func(x, y Supporter) int { return x.Addr.Compare(y.Addr) })
		if len(b.Trailers) > 0 {
			branches = append(branches, b)
		}
	}
	return branches
}

// isConfigured reports whether a report names the operator as the source of an address.
func isConfigured(source string) bool { return source == "configured" || source == "core" }
