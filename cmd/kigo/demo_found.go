package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"kigo/node/chaos"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/scan"
)

// A demoScan is what a node tells of one of its scans.
type demoScan struct {
	Peers []demoPeer
	Forks demoForks
}

// A demoPeer is one of /v1/peers.
type demoPeer struct {
	scan.Peer
	Claim *struct {
		Height mcm.BlockNum
		Tip    string
	}
}

// A demoForks is what is looked at of /v1/forks.
type demoForks struct {
	Ended    time.Time
	Chosen   *int
	Branches []struct {
		Tip    string
		Height mcm.BlockNum
		First  mcm.BlockNum
		Root   string
		Thin   bool
		Fresh  bool
	}
}

// scanned asks a node what its last scan has found.
func (n *demoNode) scanned(ctx context.Context) (s demoScan, err error) {
	for range 10 { // the scan may be another one the next moment
		var peers struct {
			Ended time.Time
			Total int
			Peers []demoPeer
		}
		for path, to := range map[string]any{"/v1/peers?limit=1000": &peers, "/v1/forks?limit=50": &s.Forks} {
			b, err := n.get(ctx, path)
			if err == nil {
				err = json.Unmarshal(b, to)
			}
			if err != nil {
				return s, err
			}
		}
		if s.Peers = peers.Peers; peers.Ended.Equal(s.Forks.Ended) {
			return s, nil
		}
	}
	return s, errors.New("the node's scans follow each other too quickly to look at one")
}

// report is as much of the scan's report as its judgement of peers takes.
func (s *demoScan) report() *scan.Report {
	r := &scan.Report{}
	for i := range s.Peers {
		r.Peers = append(r.Peers, s.Peers[i].Peer)
	}
	return r
}

// A demoFound is what the node has told of the peers of one kind.
type demoFound struct {
	Scan    string             `json:"scan"`     // what the scan said
	Faults  []fault.Kind       `json:"observed"` // by the scan, whatever its verdict
	Charged []fault.Kind       `json:"charged"`  // what is objective, by the scan or later
	Rule    rules.Rule         `json:"rule"`     // that was broken, by the evidence, if one was
	Ranges  map[fault.Kind]int `json:"ranges"`   // that the sync asked for and didn't get, by why
	Asked   bool               `json:"asked"`    // for more than its proof
	Branch  int                `json:"branch"`   // that its tip is on, by rank: from 1, 0 for none
	Of      int                `json:"branches"` // that there were
	Chosen  bool               `json:"chosen"`   // that branch is the one that the scan chose
	Meets   bool               `json:"meets"`    // or it has the beginning of that one
	Thin    bool               `json:"thin"`     // that branch counts for nothing
	Fresh   bool               `json:"fresh"`    // its tip is about as new as the newest
	Behind  int                `json:"behind"`   // so many blocks lower than the chosen branch
	Named   int                `json:"named"`    // addresses in its list
	New     int                `json:"new"`      // of these, those that nobody else had named
	Useful  int                `json:"useful"`   // of these, those with a proof that holds
}

// found gathers what the node has told of peers of which its scan said observed.
func (d *demo) found(observed string, peers []netip.Addr) demoFound {
	forks := &d.first.Forks
	f := demoFound{Scan: observed, Faults: []fault.Kind{}, Charged: []fault.Kind{}, Ranges: map[fault.Kind]int{}, Of: len(forks.Branches)}
	for _, a := range peers {
		f.Charged = union(f.Charged, d.charged[a])
		for _, k := range d.ranges[a] {
			f.Ranges[k]++
		}
		if f.Rule == "" {
			f.Rule = d.rules[a]
		}
	}
	for i := range d.first.Peers {
		p := &d.first.Peers[i]
		if who, err := netip.ParseAddr(p.Source); err == nil && slices.Contains(peers, who) {
			f.New++
			if p.Verdict == scan.Proven {
				f.Useful++
			}
		}
		if !slices.Contains(peers, p.Addr) {
			continue
		}
		f.Faults = union(f.Faults, p.Faults)
		f.Named = max(f.Named, p.Addresses)
		if p.Branch < 0 || p.Branch >= f.Of || p.Claim == nil || forks.Chosen == nil || *forks.Chosen >= f.Of {
			continue
		}
		b, best := &forks.Branches[p.Branch], &forks.Branches[*forks.Chosen]
		f.Branch, f.Thin, f.Fresh = p.Branch+1, b.Thin, b.Fresh
		f.Chosen = p.Branch == *forks.Chosen
		f.Meets = f.Chosen || b.Root == best.Root
		f.Behind = int(max(best.Height, p.Claim.Height) - p.Claim.Height)
	}
	return f
}

// text says what became of a kind, in a line: the worst that was found, or else what
// its proof was worth.
func (f *demoFound) text(family string) string {
	verdict, _, _ := strings.Cut(f.Scan, " [")
	if verdict != string(scan.Proven) && verdict != string(scan.Thin) {
		verdict, rule, named := strings.Cut(verdict, " (") // rules keep their names
		if verdict = words(verdict); named {
			verdict += " (" + rule
		}
		return verdict
	}
	for _, k := range fault.Kinds() { // the worst first
		what := words(string(k))
		switch {
		case slices.Contains(f.Charged, k):
			if k == fault.InvalidTrailer && f.Rule != "" {
				what += " (" + string(f.Rule) + ")"
			}
			return "then convicted: " + what
		case slices.Contains(f.Faults, k) && k.Class() == fault.Objective:
			return "proven, and charged: " + what
		case slices.Contains(f.Faults, k):
			return "proven at last, first: " + what
		case f.Ranges[k] > 0 && f.tells(k, family):
			return "proven, asked for more: " + what
		}
	}
	switch {
	case f.Thin:
		return "thin: too little work to count"
	case f.Branch == 0:
		return verdict
	case family == chaos.Lists && f.New == 0:
		return fmt.Sprintf("proven, names %d, nobody new", f.Named)
	case family == chaos.Lists && f.Useful == 0:
		return fmt.Sprintf("proven, names %d, %d new, none proven", f.Named, f.New)
	case f.Chosen && f.Behind > 0:
		return fmt.Sprintf("proven, on the chain, %s behind", plural(int64(f.Behind), "block"))
	case f.Chosen && family == chaos.Honest:
		return verdict
	case f.Chosen && !f.Asked:
		return "proven, not asked for more"
	case f.Chosen:
		return "proven, its proof counts for the honest chain"
	}
	rank := fmt.Sprintf("proven, ranks %d of %d", f.Branch, f.Of)
	if f.Branch == f.Of {
		rank = fmt.Sprintf("proven, ranks last of %d", f.Of)
	}
	switch {
	case !f.Fresh:
		return rank + ", its tip is old"
	case f.Meets:
		return rank + ", one place with the best"
	}
	return rank + ", not chosen"
}

// tells reports whether a kind of fault in ranges says something of a peer.  The demo
// has peers keep the node waiting before it is killed, honest ones, too; and of a
// branch that isn't chosen more is to be said than that nobody serves it.
func (f *demoFound) tells(k fault.Kind, family string) bool {
	switch {
	case family == chaos.Honest || k == fault.Timeout:
		return false
	case k == fault.Refused || k == fault.Reset || k == fault.TooSlow:
		return f.Chosen
	}
	return true
}
