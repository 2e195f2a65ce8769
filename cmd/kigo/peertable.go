package main

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"kigo/node/mcm"
	"kigo/node/scan"
)

// peerColumns are those of tables with a peer in each row.
var peerColumns = []column{
	{title: "PEER"},
	{title: "GROUP", spare: 3},
	{title: "HEIGHT", right: true},
	{title: "TIP"},
	{title: "WEIGHT", right: true, spare: 1},
	{title: "DENSITY", right: true},
	{title: "WORKED", right: true},
	{title: "VERDICT"},
	{title: "DETAIL", spare: 2},
}

// addPeer adds the row of a peer: what it claims, what of that is proven, and the
// verdict.
func (g *grid) addPeer(p *scan.Peer, c palette) {
	var height, tip, weight, density, worked string
	if p.Claim != nil {
		height, tip, weight = claimedHeight(p.Claim.Num), shortHash(p.Claim.Hash), briefWeight(p.Claim.Weight)
	}
	if holds(p) {
		density, worked = brief(p.Density), fmt.Sprintf("%d/%d", p.Worked, p.Trailers)
	}
	verdict := words(string(p.Verdict))
	if verdict == "" { // while the scan goes on
		verdict = "being judged"
	}
	switch {
	case p.Reason != "":
		verdict += " " + string(p.Reason)
	case len(p.Faults) > 0: // of other calls
		verdict += ", " + kinds(p.Faults)
	}
	g.add(c.verdict(p.Verdict), p.Addr.String(), p.Group.String(), height, tip, weight, density, worked, verdict, p.Detail)
}

// holds reports whether a peer's proof was found to hold, so that it has a density.
func holds(p *scan.Peer) bool { return p.Verdict == scan.Proven || p.Verdict == scan.Thin }

// verdict is the paint of a peer's row.
func (c palette) verdict(v scan.Verdict) paint {
	switch v {
	case scan.Proven:
		return c.good
	case scan.Convicted:
		return c.bad
	case scan.Unavailable, scan.Skipped, scan.SetAside:
		return c.dim
	}
	return ""
}

// words spells a name of JSON for people.
func words(name string) string { return strings.ReplaceAll(name, "_", " ") }

// claimedHeight writes a block number that anybody may have made up.
func claimedHeight(n mcm.BlockNum) string {
	if n < 1e9 {
		return count(uint64(n))
	}
	return brief(float64(n))
}

// shortHash is the beginning of a hash, enough to tell tips apart.
func shortHash(h mcm.Hash) string { return h.String()[:8] }

// brief writes a number of any size in seven or eight columns at most.
func brief(x float64) string {
	if x == 0 || x >= 0.01 && x < 9999 {
		return strconv.FormatFloat(x, 'g', 4, 64)
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(x, 'e', 2, 64), "e")
	n, _ := strconv.Atoi(exponent)
	return mantissa + "e" + strconv.Itoa(n)
}

// briefWeight writes a weight exactly as long as it isn't absurd.
func briefWeight(w mcm.Weight) string {
	if s := shortWeight(w); len(s) <= 16 {
		return "0x" + s
	}
	var f float64
	for _, limb := range slices.Backward(w[:]) {
		f = f*0x1p64 + float64(limb)
	}
	return fmt.Sprintf("≈ 2^%.1f", math.Log2(f))
}

// A section of a report's peers is those of one branch, or those of none with
// one verdict.
type section struct {
	title  string
	branch *scan.Branch // nil for a verdict's
	peers  []*scan.Peer
	brief  bool // not worth a row each
}

// sections groups a report's peers in the order in which they are shown.
func sections(r *scan.Report) []section {
	var all []section
	for i := range r.Branches {
		b := &r.Branches[i]
		s := section{title: fmt.Sprintf("branch %d", i+1), branch: b}
		if b.Chosen {
			s.title += ", chosen"
		}
		s.peers = pick(r.Peers, func(p *scan.Peer) bool { return p.Branch == i })
		all = append(all, s)
	}
	for _, v := range scan.Verdicts() {
		s := section{title: words(string(v)), brief: v == scan.Unavailable || v == scan.Skipped}
		s.peers = pick(r.Peers, func(p *scan.Peer) bool { return p.Branch < 0 && p.Verdict == v })
		all = append(all, s)
	}
	return slices.DeleteFunc(all, func(s section) bool { return len(s.peers) == 0 })
}

func pick(peers []scan.Peer, pass func(*scan.Peer) bool) (picked []*scan.Peer) {
	for i := range peers {
		if pass(&peers[i]) {
			picked = append(picked, &peers[i])
		}
	}
	return picked
}

// groups counts the groups of peers.
func groups(peers []*scan.Peer) int {
	seen := map[netip.Prefix]bool{}
	for _, p := range peers {
		seen[p.Group] = true
	}
	return len(seen)
}

// reasons counts peers by why they are where they are, the most frequent first.
func reasons(peers []*scan.Peer) string {
	counts := map[string]int{}
	for _, p := range peers {
		counts[string(p.Reason)]++
	}
	delete(counts, "")
	var names []string
	for name := range counts {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		if d := counts[b] - counts[a]; d != 0 {
			return d
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = count(counts[name]) + " " + name
	}
	return strings.Join(names, ", ")
}

// Rows of a section that are shown unless all are asked for.
const (
	sectionRows = 20
	briefRows   = 5
)

// peerGrid is the table of a report's peers.
func peerGrid(r *scan.Report, all bool, c palette) *grid {
	g := &grid{columns: peerColumns}
	for i, s := range sections(r) {
		if i > 0 {
			g.across("", "")
		}
		title := fmt.Sprintf("%s: %s in %s", s.title, plural(int64(len(s.peers)), "peer"), plural(int64(groups(s.peers)), "group"))
		if all := s.branch; all != nil && len(all.Peers) > len(s.peers) {
			title += fmt.Sprintf(", and %s above whose tips it contains", count(len(all.Peers)-len(s.peers)))
		}
		if why := reasons(s.peers); why != "" {
			title += " (" + why + ")"
		}
		g.across(c.bold, title)
		rows := sectionRows
		if s.brief {
			rows = briefRows
		}
		if all || len(s.peers) <= rows+1 { // a line that says "1 more" helps nobody
			rows = len(s.peers)
		}
		for _, p := range s.peers[:rows] {
			g.addPeer(p, c)
		}
		if left := len(s.peers) - rows; left > 0 {
			g.across(c.dim, fmt.Sprintf("and %s more; --all lists them", count(left)))
		}
	}
	return g
}
