package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"kigo/node/chaos"
	"kigo/node/scan"
)

// A trial is a scan of a fleet and what came of it.
type trial struct {
	*network
	flags *chaosFlags
	world *chaos.World
	fleet *chaos.Fleet
	plan  []chaos.Assignment
}

// A chaosReport is what kigo chaos --json prints (docs/commands.md).
type chaosReport struct {
	Seed    uint64     `json:"seed"`
	Peers   int        `json:"peers"`
	Honest  int        `json:"honest"`
	State   scan.State `json:"state"`
	Chosen  bool       `json:"honest_branch_chosen"`
	Kinds   []chaosRow `json:"kinds"`
	OK      bool       `json:"ok"`
	Bytes   scan.Bytes `json:"bytes"`
	Seconds float64    `json:"seconds"`
	CPU     float64    `json:"cpu_seconds"` // of the scan of all, the fleet's share included
}

// A chaosRow adds to a row of conformance what one peer of the kind costs.
type chaosRow struct {
	chaos.Row
	Alone *cost `json:"alone"` // nil when it wasn't measured
}

// A cost is what a scan of a single peer took.
type cost struct {
	BytesIn  int64   `json:"bytes_in"`
	BytesOut int64   `json:"bytes_out"`
	Seconds  float64 `json:"seconds"`
	CPU      float64 `json:"cpu_seconds"` // the fleet's share included
}

func (t *trial) run(cmd *cobra.Command) error {
	ctx := cmd.Context()
	t.aim(t.plan, t.flags, t.world, t.fleet.Port())
	before := cpuTime()
	r, err := t.watched(ctx, "chaos", scan.Run)
	if err != nil {
		return err
	}
	report := &chaosReport{
		Seed: t.flags.seed, Peers: len(t.plan), Honest: t.flags.honest,
		State: r.State, Bytes: r.Bytes, Seconds: round3(r.Seconds), CPU: round3((cpuTime() - before).Seconds()),
	}
	report.Chosen = r.Chosen >= 0 && t.world.OnChain(r.Branches[r.Chosen].Tip)
	report.OK = t.flags.honest == 0 || report.Chosen && r.State == scan.Quorum
	for _, row := range chaos.Conformance(r, t.plan) {
		report.Kinds = append(report.Kinds, chaosRow{Row: row})
		report.OK = report.OK && row.OK
	}
	if !t.flags.quick {
		if err := t.measure(cmd, report.Kinds); err != nil {
			return err
		}
	}
	if t.flags.json {
		err = writeJSON(cmd.OutOrStdout(), report)
	} else {
		err = report.print(cmd.OutOrStdout())
	}
	if err == nil && !report.OK {
		err = errInvalid
	}
	return err
}

// measure scans one peer of each kind alone, with nothing known of it or its
// trailers.
func (t *trial) measure(cmd *cobra.Command, rows []chaosRow) error {
	bar := newProgress(cmd.ErrOrStderr(), "kinds measured alone")
	defer bar.done()
	for i := range rows {
		one := slices.DeleteFunc(slices.Clone(t.plan), func(p chaos.Assignment) bool { return p.Kind != rows[i].Kind })[:1]
		if err := t.fleet.Assign(t.flags.seed, one); err != nil {
			return err
		}
		t.aim(one, t.flags, t.world, t.fleet.Port())
		o := t.options
		o.Verifier = t.merged
		before := cpuTime()
		r, err := scan.Run(cmd.Context(), o)
		if err != nil {
			return err
		}
		rows[i].Alone = &cost{r.Bytes.In, r.Bytes.Out, round3(r.Seconds), round3((cpuTime() - before).Seconds())}
		bar.tell(int64(i+1), int64(len(rows)), rows[i].Kind)
	}
	return nil
}

func (r *chaosReport) print(w io.Writer) error {
	out, c := &printer{w: w}, paletteFor(w)
	width, _ := size(w)
	g := &grid{columns: []column{
		{title: "KIND"},
		{title: "OK"},
		{title: "PEERS", right: true, spare: 2},
		{title: "BYTES", right: true},
		{title: "CPU", right: true},
		{title: "OBSERVED"},
		{title: "EXPECTED", spare: 1},
	}}
	family, bad := "", 0
	for _, row := range r.Kinds {
		if row.Family != family {
			family = row.Family
			g.across(c.bold, family)
		}
		bytes, cpu := bytesOf((row.BytesIn+row.BytesOut)/int64(max(row.Peers, 1))), ""
		if row.Alone != nil {
			bytes = bytesOf(row.Alone.BytesIn + row.Alone.BytesOut)
			cpu = fmt.Sprintf("%.0f ms", 1000*row.Alone.CPU)
		}
		p, ok := c.good, "yes"
		if !row.OK {
			p, ok = c.bad, "NO"
			bad++
		}
		g.add(p, row.Kind, ok, count(row.Peers), bytes, cpu, row.Observed, row.Expected)
		if !row.OK {
			g.across(c.bad, "  "+row.Detail)
		}
	}
	out.table(g, width, c)
	out.line("")
	what := "bytes are those of one such peer"
	if len(r.Kinds) > 0 && r.Kinds[0].Alone != nil {
		what = "bytes and processor time are those of a scan of one such peer, the fleet's own share of time included"
	}
	out.line("%s", what)
	out.line("%s, %d of them honest, seed %d: scanned in %.1f s with %.1f s of processor time; %s in, %s out", plural(int64(r.Peers), "peer"), r.Honest, r.Seed,
		r.Seconds, r.CPU, bytesOf(r.Bytes.In), bytesOf(r.Bytes.Out))
	chain := "the honest chain is chosen"
	if !r.Chosen {
		chain = "the honest chain is not chosen"
	}
	out.line("state %s, %s", words(string(r.State)), chain)
	paint, verdict := c.good, "AS EXPECTED"
	if !r.OK {
		paint, verdict = c.bad, "NOT AS EXPECTED"
	}
	out.line("")
	out.line("%s%s%s%s: %d of %s", c.bold, paint, verdict, c.off, len(r.Kinds)-bad, plural(int64(len(r.Kinds)), "kind"))
	return out.err
}
