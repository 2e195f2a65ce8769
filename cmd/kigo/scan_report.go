package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/dustin/go-humanize"

	"kigo/node/mcm"
	"kigo/node/scan"
)

// A printer writes lines until one can't be written.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) table(g *grid, width int, c palette) {
	for _, line := range g.lines(width, c) {
		p.line("%s", line)
	}
}

// summary says in a line what a scan did.
func summary(r *scan.Report) string {
	return fmt.Sprintf("%s asked, %s reached, %s proven in %.1f s", plural(int64(r.Asked), "peer"), count(r.Reached), count(provenPeers(r)), r.Seconds)
}

// A reported is what --json prints: a report, and where its evidence is.
type reported struct {
	*scan.Report
	DataDir *string `json:"data_dir"` // null: nowhere
}

// writeJSON writes a report.
func (n *network) writeJSON(w io.Writer, r *scan.Report) error {
	out := reported{Report: r}
	if n.memory != nil {
		dir, err := n.dataDir()
		if err != nil {
			return err
		}
		out.DataDir = &dir
	}
	return writeJSON(w, out)
}

// whereabouts says where the evidence of a report is, or nothing if there is none.
func (n *network) whereabouts(r *scan.Report) string {
	records := 0
	for i := range r.Peers {
		records += len(r.Peers[i].Evidence)
	}
	what := plural(int64(records), "record") + " of evidence"
	switch {
	case records == 0:
		return ""
	case n.memory != nil:
		return what + ": kigo evidence list" + n.dataDirFlag()
	case n.serves:
		return what + ", at /v1/evidence until this ends (--no-memory)"
	}
	return what + ", not kept (--no-memory)"
}

// printScan prints a report for people, tables at most width columns wide.
// whereabouts is about its evidence, if there is some.
func printScan(out *printer, r *scan.Report, whereabouts string, width int, all bool, port int, c palette) {
	if len(r.Peers) > 0 {
		out.table(peerGrid(r, all, c), width, c)
		out.line("")
	}
	if len(r.Branches) > 0 {
		out.table(branchGrid(r, all, c), width, c)
		out.line("")
	}
	if r.Chosen >= 0 {
		printChosen(out, r, c)
	}
	out.line("%s; %s in, %s out", summary(r), bytesOf(r.Bytes.In), bytesOf(r.Bytes.Out))
	out.line("%s received, %s distinct, %s invalid; %s computed in %.2f s", plural(int64(r.Trailers.Received), "trailer"),
		count(r.Trailers.Distinct), count(r.Trailers.Invalid), plural(int64(r.Trailers.Checked), "proof")+" of work", r.PowSeconds)
	if whereabouts != "" {
		out.line("%s", whereabouts)
	}
	for _, alarm := range r.Alarms {
		out.alarm(alarm, c)
	}
	out.line("")
	out.line("%s", stateText(r, port, c))
}

func (p *printer) alarm(a scan.Alarm, c palette) {
	p.line("%s%sALARM%s, %s: %s", c.bold, c.bad, c.off, words(string(a.Kind)), a.Detail)
}

// bytesOf writes an amount of bytes.
func bytesOf(n int64) string { return humanize.Bytes(uint64(max(n, 0))) }

// branchGrid is the table of a report's branches.
func branchGrid(r *scan.Report, all bool, c palette) *grid {
	g := &grid{columns: []column{
		{title: "BRANCH", right: true},
		{title: "HEIGHT", right: true},
		{title: "TIP"},
		{title: "SOLVED", spare: 1},
		{title: "DENSITY", right: true},
		{title: "WORKED", right: true},
		{title: "PEERS", right: true},
		{title: "GROUPS", right: true},
		{title: "NOTE"},
	}}
	for i := range r.Branches {
		b := &r.Branches[i]
		if !all && i >= sectionRows && !b.Chosen {
			continue
		}
		var note, sep string
		for _, n := range []struct {
			holds bool
			text  string
		}{
			{b.Chosen, "chosen"}, {b.Quorum, "quorum"}, {b.Thin, "thin"},
			{b.Refused, "refused: lacks the pinned block"}, {!b.Fresh, "old"}, {b.Exact, "exact weight"},
		} {
			if n.holds {
				note, sep = note+sep+n.text, ", "
			}
		}
		var p paint
		if b.Chosen {
			p = c.good
		}
		g.add(p, count(i+1), count(uint64(b.Height)), shortHash(b.Tip), utc(b.Time), brief(b.Density),
			fmt.Sprintf("%d/%d", b.Worked, b.Trailers), count(len(b.Peers)), count(len(b.Groups)), note)
	}
	if left := len(r.Branches) - len(g.rows); left > 0 {
		g.across(c.dim, fmt.Sprintf("and %s more; --all lists them", count(left)))
	}
	return g
}

// choiceReasons are the reasons of a choice (docs/spec/sync.md section 8.6) in
// words.
var choiceReasons = map[string]string{
	"rank":      "first by freshness, groups and proven density",
	"weight":    "it is heavier than its rivals above the trailer they have in common",
	"groups":    "as heavy as a rival, with more groups behind it",
	"work":      "as heavy as a rival and in as many groups, with more proven work",
	"addresses": "as good as a rival, with more peers behind it",
	"hash":      "as good as a rival in everything: the highest tip hash decides",
}

func printChosen(out *printer, r *scan.Report, c palette) {
	b := &r.Branches[r.Chosen]
	field := func(name, format string, args ...any) {
		out.line("  %s%-8s%s %s", c.dim, name, c.off, fmt.Sprintf(format, args...))
	}
	out.line("%sbranch %d is chosen%s", c.bold, r.Chosen+1, c.off)
	field("block", "%s (%v), solved %s", count(uint64(b.Height)), b.Height, utc(b.Time))
	field("tip", "%v", b.Tip)
	why := choiceReasons[r.Reason]
	switch {
	case len(r.Branches) == 1:
		why = "no other branch was seen"
	case why == "":
		why = r.Reason
	}
	field("why", "%s", why)
	if b.Exact {
		field("weight", "0x%s, counted from a pinned block", shortWeight(b.Weight))
		return
	}
	weight, peers, stated := statedWeight(r, b)
	others := ""
	if stated > 1 {
		others = fmt.Sprintf(" (there %s %s)", verb(stated-1, "is", "are"), plural(int64(stated-1), "other claim"))
	}
	field("weight", "0x%s claimed by %s%s, not proven", shortWeight(weight), plural(int64(peers), "peer"), others)
	field("", "a scan proves the last trailers of a chain, not the weight before them")
}

func verb(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

// statedWeight returns the weight that most peers with a branch's tip state, how
// many these are, and how many weights are stated.
func statedWeight(r *scan.Report, b *scan.Branch) (most mcm.Weight, peers, stated int) {
	counts := map[mcm.Weight]int{}
	for i := range r.Peers {
		if p := &r.Peers[i]; p.Branch == b.Index && p.Claim != nil && p.Claim.Hash == b.Tip {
			counts[p.Claim.Weight]++
		}
	}
	for w, n := range counts {
		if n > peers || n == peers && w.Cmp(most) < 0 {
			most, peers = w, n
		}
	}
	return most, peers, len(counts)
}

// stateText says what came of a scan, and what can be done about it.
func stateText(r *scan.Report, port int, c palette) string {
	bad := func(title, format string, args ...any) string {
		return fmt.Sprintf("%s%s%s%s: %s", c.bold, c.bad, title, c.off, fmt.Sprintf(format, args...))
	}
	wanted := fmt.Sprintf("%d in %s", r.Quorum.Peers, plural(int64(r.Quorum.Groups), "group"))
	var have string
	if r.Chosen >= 0 {
		b := &r.Branches[r.Chosen]
		have = fmt.Sprintf("%s in %s", plural(int64(len(b.Peers)), "proven peer"), plural(int64(len(b.Groups)), "group"))
	}
	switch r.State {
	case scan.Quorum:
		return fmt.Sprintf("%s%sQUORUM%s: %s, and %s were wanted", c.bold, c.good, c.off, have, wanted)
	case scan.TooFew:
		return bad("TOO FEW", "%s, and it takes %s; name more peers, or ask for less (--quorum-peers, --quorum-groups)", have, wanted)
	case scan.NoneValid:
		if slices.ContainsFunc(r.Branches, func(b scan.Branch) bool { return b.Refused }) {
			return bad("NONE VALID", "%s answered, and no chain that was proven contains the block of chain.pin or chain.floor; is that file of this network?",
				plural(int64(r.Reached), "peer"))
		}
		return bad("NONE VALID", "%s answered, and none proved a chain; these are peers of another network, or liars, or this clock (%s) is wrong",
			plural(int64(r.Reached), "peer"), time.Now().UTC().Format("2006-01-02 15:04 UTC"))
	}
	if r.Asked == 0 {
		return bad("NOBODY REACHED", "%s known, banned or resting for what was seen of %s; name others, or look again with --no-memory",
			plural(int64(len(r.Peers)), "peer"), verb(len(r.Peers), "it", "them"))
	}
	return bad("NOBODY REACHED", "none of %s answered; is this machine online, and is %d their port?", plural(int64(r.Asked), "peer"), port)
}
