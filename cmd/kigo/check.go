package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kigo/node/fault"
	"kigo/node/scan"
	"kigo/node/verify"
)

func newCheck(a *app) *cobra.Command {
	var asJSON bool
	var f networkFlags
	cmd := &cobra.Command{
		Use:   "check PEER...",
		Short: "Judge the named peers in full: claim, proof, faults, evidence",
		Long: `Check asks the named peers, and no others, for their chain and the last trailers
of it and checks these in full, every proof of work included.  A PEER is an IPv4
address or a host name.

Exit code 0 if every named peer is proven, 3 if one is not, 4 if none was
reached.`,
		Example: `  kigo check 192.0.2.1 192.0.2.2
  kigo check --json pool.example.org | jq '.peers[].verdict'`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.check(cmd, args, asJSON, &f) },
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	f.add(cmd)
	return cmd
}

func (a *app) check(cmd *cobra.Command, args []string, asJSON bool, f *networkFlags) (err error) {
	ctx := cmd.Context()
	a.quieten()
	for _, arg := range args {
		if err := checkPeer(arg); err != nil {
			return usagef("%q is not %v", arg, err)
		}
	}
	peers, failed := addressesOf(ctx, args)
	if err := verify.Interrupted(ctx); err != nil {
		return err
	}
	for _, arg := range args {
		if err := failed[arg]; err != nil {
			return usagef("%q has no address: %v", arg, err)
		}
	}
	n, err := a.openNetwork(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	r, err := n.watched(ctx, "check", func(ctx context.Context, o scan.Options) (*scan.Report, error) {
		return scan.Check(ctx, o, peers)
	})
	if err != nil {
		return err
	}
	if asJSON {
		err = n.writeJSON(cmd.OutOrStdout(), r)
	} else {
		out, c := &printer{w: cmd.OutOrStdout()}, paletteFor(cmd.OutOrStdout())
		for _, addr := range peers {
			for i := range r.Peers {
				if r.Peers[i].Addr == addr {
					printPeer(out, r, &r.Peers[i], n.whereIs, c)
				}
			}
		}
		printCheck(out, r, c)
		err = out.err
	}
	switch {
	case err != nil:
		return err
	case n.unkept != nil:
		return n.unkept
	case r.Reached == 0:
		return errNobody
	case provenPeers(r) < len(peers):
		return errInvalid
	}
	return nil
}

func provenPeers(r *scan.Report) int {
	return len(pick(r.Peers, func(p *scan.Peer) bool { return p.Verdict == scan.Proven }))
}

// whereIs says how to see a record.
func (n *network) whereIs(id string) string {
	if n.memory == nil {
		return id[:12] + ", not kept (--no-memory)"
	}
	return "kigo evidence show " + id[:12] + n.dataDirFlag()
}

// printPeer prints all that is known of one peer.  whereIs says where a record of
// evidence is.
func printPeer(out *printer, r *scan.Report, p *scan.Peer, whereIs func(id string) string, c palette) {
	field := func(name, format string, args ...any) {
		out.line("  %s%-9s%s %s", c.dim, name, c.off, fmt.Sprintf(format, args...))
	}
	verdict := strings.ToUpper(words(string(p.Verdict)))
	if p.Reason != "" {
		verdict += ": " + words(string(p.Reason))
	}
	out.line("%s%v%s  %s%s%s", c.bold, p.Addr, c.off, c.verdict(p.Verdict), verdict, c.off)
	if p.Rule != "" {
		field("rule", "%s: %s", p.Rule, p.Rule.Meaning())
	}
	if p.Block != nil {
		field("at", "block %s (%v)", claimedHeight(*p.Block), *p.Block)
	}
	if p.Detail != "" {
		field("found", "%s", p.Detail)
	}
	if p.Claim != nil {
		field("claims", "block %s (%v), weight 0x%s", claimedHeight(p.Claim.Num), p.Claim.Num, shortWeight(p.Claim.Weight))
		field("", "tip %v", p.Claim.Hash)
	}
	switch {
	case holds(p):
		field("proof", "%s, %d with proof of work, density %s", plural(int64(p.Trailers), "trailer"), p.Worked, brief(p.Density))
	case p.Trailers > 0:
		field("proof", "%s, which prove nothing", plural(int64(p.Trailers), "trailer"))
	}
	if p.Branch >= 0 {
		b := &r.Branches[p.Branch]
		field("branch", "%d of %d, with %s of those named", p.Branch+1, len(r.Branches), plural(int64(len(b.Peers)), "peer"))
	}
	if len(p.Faults) > 0 {
		field("faults", "%s (points: %.0f objective, %.0f soft)", kinds(p.Faults), p.Points.Objective, p.Points.Soft)
	}
	field("traffic", "%s, %s in, %s out, %.2f s, %s named", plural(int64(p.Calls), "call"), bytesOf(p.BytesIn), bytesOf(p.BytesOut),
		p.Seconds, plural(int64(p.Addresses), "other peer"))
	for _, id := range p.Evidence {
		field("evidence", "%s", whereIs(id))
	}
	out.line("")
}

func kinds(faults []fault.Kind) string {
	var names []string
	for _, k := range faults {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}

// printCheck prints what came of a check.
func printCheck(out *printer, r *scan.Report, c palette) {
	proven := provenPeers(r)
	paint, title := c.good, "PROVEN"
	switch {
	case r.Reached == 0:
		paint, title = c.bad, "NOBODY REACHED"
	case proven < len(r.Peers):
		paint, title = c.bad, "NOT PROVEN"
	}
	for _, alarm := range r.Alarms {
		out.alarm(alarm, c)
	}
	out.line("%s%s%s%s: %d of %s %s proven", c.bold, paint, title, c.off, proven, plural(int64(len(r.Peers)), "named peer"), verb(proven, "is", "are"))
}
