package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"kigo/node/chaos"
	"kigo/node/fault"
	"kigo/node/rules"
)

func newDemo(a *app) *cobra.Command {
	f := demoFlags{seed: 1}
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Watch a node find the honest chain among liars",
		Long: `Demo starts a network of peers on loopback addresses of this machine, most of
them hostile, each kind in its own way, and among them a Kigo node that knows
nothing: this program once more, as "kigo run" with a temporary data folder.
The node judges them all, fetches and proves the honest chain, is killed in the
middle and goes on where it was, follows new blocks and two reorganisations, and
serves another node.

Nothing leaves this machine, and nothing stays on it.  It takes about a minute.
Exit code 1 if anything doesn't go as told.`,
		Example: `  kigo demo
  kigo demo --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd, &f) },
	}
	fs := cmd.Flags()
	fs.Uint64Var(&f.seed, "seed", f.seed, "the same seed makes the same chain and the same liars")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	engineFlags{}.add(cmd)
	return cmd
}

type demoFlags struct {
	seed uint64
	json bool
}

// A demoReport is what kigo demo --json prints (docs/commands.md).
type demoReport struct {
	OK      bool       `json:"ok"`
	Seed    uint64     `json:"seed"`
	Seconds float64    `json:"seconds"`
	Acts    []*demoAct `json:"acts"`
}

// A demoAct is one part of the demo.
type demoAct struct {
	Name    string         `json:"name"`
	OK      bool           `json:"ok"`
	Seconds float64        `json:"seconds"`
	Problem string         `json:"problem"` // what didn't go as told; empty if all did
	Details map[string]any `json:"details"`
}

// Sizes of the demo's network.  Long replies are slow, as from far away, so that
// there is something to see and to kill.
const (
	demoBlocks = 30_000
	demoHonest = 8
	demoRate   = 64 << 10 // bytes a second of a range
	demoLate   = 200 * time.Millisecond
)

// demoEnd is when the demo gives up, whatever it waits for.
const demoEnd = 5 * time.Minute

// A demo is a play of a fleet, a node and a world that lives.
type demo struct {
	*app
	stage
	flags   *demoFlags
	report  demoReport
	engines *engines
	dir     string // temporary
	world   *chaos.World
	chain   *chaos.Chain // that the network is on
	fleet   *chaos.Fleet
	plan    []chaos.Assignment
	node    *demoNode                   // the hero
	other   *demoNode                   // the one that learns from it
	charged chaos.Charges               // of all runs of the node
	first   demoScan                    // what its first scan has found
	ranges  map[netip.Addr][]fault.Kind // what came of those it asked for in vain, in all its runs
	rules   map[netip.Addr]rules.Rule   // that they broke, of those that were charged by name
	told    []chaos.Stats               // by all peers, when the node was killed
	nodes   []*demoNode                 // all that were started
}

func (a *app) demo(cmd *cobra.Command, f *demoFlags) (err error) {
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), demoEnd, errors.New("the demo took too long"))
	defer cancel()
	a.quieten()
	d := &demo{app: a, flags: f, charged: chaos.Charges{}, ranges: map[netip.Addr][]fault.Kind{}, rules: map[netip.Addr]rules.Rule{}, report: demoReport{OK: true, Seed: f.seed}}
	d.stage = newStage(cmd.OutOrStdout(), a.screen, f.json)
	begun := time.Now()
	defer func() { err = errors.Join(err, d.clear()) }()
	if d.dir, err = os.MkdirTemp("", "kigo-demo-"); err != nil {
		return err
	}
	d.overture()
	failed := d.play(ctx)
	d.report.Seconds = round3(time.Since(begun).Seconds())
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if f.json {
		err = writeJSON(cmd.OutOrStdout(), d.report)
	} else {
		d.finale(&d.report)
	}
	if failed != nil && err == nil {
		err = &exitError{exitFailed, fmt.Sprintf("the demo failed: %v", failed)}
	}
	return errors.Join(err, d.out.err)
}

// play goes through the acts until one fails.
func (d *demo) play(ctx context.Context) error {
	for _, act := range []struct {
		name, title string
		play        func(context.Context, *demoAct) error
	}{
		{"network", "A network full of liars", d.raise},
		{"bootstrap", "An empty node among them", d.bootstrap},
		{"kill", "Killed in the middle", d.kill},
		{"proven", "The honest chain, proven", d.proven},
		{"liars", "Every liar, and what it was caught at", d.liars},
		{"blocks", "New blocks", d.blocks},
		{"fork", "A fork", func(ctx context.Context, a *demoAct) error { return d.reorganise(ctx, a, 3) }},
		{"deep-fork", "A fork deeper than any proof", func(ctx context.Context, a *demoAct) error { return d.reorganise(ctx, a, 60) }},
		{"serve", "Another node, taught by the first", d.serve},
		{"stop", "The end", d.stop},
	} {
		a := &demoAct{Name: act.name, Details: map[string]any{}}
		d.title(act.title)
		begun := time.Now()
		err := act.play(ctx, a)
		d.live("")
		a.Seconds = round3(time.Since(begun).Seconds())
		d.report.Acts = append(d.report.Acts, a)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if a.OK = err == nil; !a.OK {
			a.Problem = err.Error()
			d.report.OK = false
			d.wrong(a.Problem)
			if d.node != nil {
				d.wrong("the last that the node said:")
				for _, line := range d.node.lastLogs() {
					d.wrong("  " + line)
				}
			}
			return fmt.Errorf("%s: %w", act.title, err)
		}
	}
	return nil
}

// clear ends what still runs and removes what was written.
func (d *demo) clear() error {
	d.live("")
	var errs []error
	for _, n := range d.nodes {
		n.kill()
	}
	if d.fleet != nil {
		errs = append(errs, d.fleet.Close())
	}
	if d.engines != nil {
		errs = append(errs, d.engines.Close())
	}
	if d.dir != "" {
		errs = append(errs, os.RemoveAll(d.dir))
	}
	return errors.Join(errs...)
}

// demoKinds are the kinds of peers in the demo: all but those that need a history,
// and those that are a block ahead of a network that has to begin somewhere.
func demoKinds() (names []string) {
	for _, k := range chaos.Kinds() {
		absent := []string{"honest", "ahead", "changing-tip", "file-advanced", "turncoat", "legacy-altered", "legacy-other", "legacy-wrapped"}
		if !slices.Contains(absent, k.Name) {
			names = append(names, k.Name)
		}
	}
	return names
}
