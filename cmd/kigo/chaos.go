package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"kigo/node/branch"
	"kigo/node/chaos"
	"kigo/node/fault"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/scan"
)

type chaosFlags struct {
	list, serve, json, quick bool
	seed                     uint64
	kinds                    []string
	peers, honest            int
	coreOut                  string
	port                     uint16 // 0: any
}

func newChaos(a *app) *cobra.Command {
	f := chaosFlags{seed: 1, honest: 5}
	cmd := &cobra.Command{
		Use:   "chaos",
		Short: "Run a fleet of hostile peers on loopback, against Kigo or any node",
		Long: `Chaos mines a small chain, starts a fleet of peers on addresses of 127.0.0.0/8,
most of them hostile, scans it, and compares what the scan saw of each kind with
what it should have seen.  Then it scans each kind alone to tell what one such
peer costs: bytes, and processor time of the whole process, the fleet's own
share included.  Nothing is remembered.  Exit code 3 if a kind isn't seen as
expected.

With --serve the fleet stays up for a node under test until it is interrupted;
its addresses are printed as a core list, and in the end what each kind saw.`,
		Example: `  kigo chaos
  kigo chaos --kinds garbage-proof,weight-one-on-tip --peers 100
  kigo chaos --serve --core-out coreip.lst`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.list {
				return listKinds(cmd, f.json)
			}
			if err := f.check(cmd); err != nil {
				return err
			}
			if f.serve || cmd.Flags().Changed("port") {
				f.port = uint16(a.conf.Network.Port)
			}
			return a.chaos(cmd, &f)
		},
	}
	fs := cmd.Flags()
	fs.BoolVar(&f.list, "list", false, "list all kinds and what is expected of them")
	fs.Uint64Var(&f.seed, "seed", f.seed, "the same seed makes the same fleet")
	fs.StringSliceVar(&f.kinds, "kinds", nil, "only peers of these `KINDS`, separated by commas (default: all)")
	fs.IntVar(&f.peers, "peers", 0, "how many peers, the honest ones included (default: two of each kind)")
	fs.IntVar(&f.honest, "honest", f.honest, "how many plainly honest ones")
	fs.Int("port", defaults["network.port"].(int), "where all peers listen (default: the usual port with --serve, else any)")
	fs.Lookup("port").DefValue = "0" // so that the help says no more of it
	fs.BoolVar(&f.serve, "serve", false, "stay up for an outside node until interrupted")
	fs.StringVar(&f.coreOut, "core-out", "", "write the addresses as a core list to this `FILE`")
	fs.BoolVar(&f.quick, "quick", false, "don't scan each kind alone: no costs are told")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	engineFlags{}.add(cmd)
	return cmd
}

// maxFleet is as many peers as one process has files for, with a connection each.
const maxFleet = 4096

// check refuses what can't be a fleet.
func (f *chaosFlags) check(cmd *cobra.Command) error {
	var names []string
	for _, k := range chaos.Kinds() {
		names = append(names, k.Name)
	}
	for _, kind := range f.kinds {
		if !slices.Contains(names, kind) {
			return usagef("--kinds: %q is no kind (kigo chaos --list shows all)%s", kind, suggest(kind, names))
		}
	}
	if cmd.Flags().Changed("kinds") && len(f.kinds) == 0 {
		return usagef("--kinds: name one; kigo chaos --list shows all")
	}
	if len(f.kinds) == 0 {
		f.kinds = names
	}
	if !cmd.Flags().Changed("peers") {
		f.peers = f.honest + 2*len(f.kinds)
	}
	if f.peers < 1 || f.peers > maxFleet {
		return usagef("--peers %d: want between 1 and %d", f.peers, maxFleet)
	}
	if f.honest < 0 || f.honest > f.peers {
		return usagef("--honest %d: want between 0 and --peers, which is %d", f.honest, f.peers)
	}
	if f.serve && f.quick {
		return usagef("--serve scans nothing, so it doesn't go with --quick")
	}
	return nil
}

func listKinds(cmd *cobra.Command, asJSON bool) error {
	type kind struct {
		Name     string `json:"name"`
		Family   string `json:"family"`
		Summary  string `json:"summary"`
		Expected string `json:"expected"` // of a scan
		Sync     string `json:"sync"`     // of a node that fetches the chain; empty where that says no more
	}
	list := []kind{}
	for _, k := range chaos.Kinds() {
		one := kind{Name: k.Name, Family: k.Family, Summary: k.Summary, Expected: k.Expect.String()}
		if k.Family == chaos.Files {
			one.Sync = k.Sync.String()
		}
		list = append(list, one)
	}
	if asJSON {
		return writeJSON(cmd.OutOrStdout(), list)
	}
	out := &printer{w: cmd.OutOrStdout()}
	width, _ := size(out.w)
	c := paletteFor(out.w)
	g := &grid{columns: []column{{title: "KIND"}, {title: "EXPECTED", spare: 1}, {title: "WHAT IT DOES"}}, whole: true}
	family := ""
	for _, k := range list {
		if k.Family != family {
			family = k.Family
			g.across(c.bold, family)
		}
		expected := k.Expected
		if k.Sync != "" {
			expected += "; below the proof " + k.Sync
		}
		g.add("", k.Name, expected, k.Summary)
	}
	out.table(g, width, c)
	return out.err
}

// fleetDeadline ends a scan of a fleet whatever there is.
const fleetDeadline = 2 * time.Minute

// fleetTimeouts are shorter than those for peers far away: on loopback whoever
// means to answer does so at once, even on a machine that is busy.
var fleetTimeouts = peer.Timeouts{
	Connect:  2 * time.Second,
	HelloAck: 2 * time.Second,
	First:    2 * time.Second,
	Packet:   2 * time.Second,
	List:     2 * time.Second,
	Proof:    3 * time.Second,
	Range:    6 * time.Second,
	MinRate:  16 << 10,
	Grace:    time.Second,
}

func (a *app) chaos(cmd *cobra.Command, f *chaosFlags) (err error) {
	ctx := cmd.Context()
	if !f.serve {
		a.quieten()
	}
	n, err := a.openFleetNetwork(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	a.screen.show([]string{"mining a chain"})
	world, err := chaos.NewWorld(ctx, chaos.WorldConfig{Seed: f.seed, Solver: n.engines.miner, Now: time.Now()})
	a.screen.show(nil)
	if err != nil {
		return err
	}
	plan, err := chaos.Plan(f.seed, f.peers, f.honest, f.kinds)
	if err != nil {
		return usagef("%v", err)
	}
	conf := chaos.FleetConfig{Seed: f.seed, Port: f.port, Peers: plan, Late: 200 * time.Millisecond}
	if f.serve {
		conf.Log = a.log
	}
	fleet, err := chaos.NewFleet(world, conf)
	if err != nil {
		return err
	}
	if err := fleet.Start(); err != nil {
		return usagef("the fleet can't start: %v; is another one up?  --port takes another port", err)
	}
	defer func() { err = errors.Join(err, fleet.Close()) }()
	if f.coreOut != "" {
		if err := writeFile(cmd, f.coreOut, func(w io.Writer) error { return writeCore(w, plan) }); err != nil {
			return err
		}
	}
	if f.serve {
		return a.serveFleet(cmd, f, fleet, plan)
	}
	t := &trial{network: n, flags: f, world: world, fleet: fleet, plan: plan}
	return t.run(cmd)
}

// writeCore writes the addresses of a fleet as a core list.
func writeCore(w io.Writer, plan []chaos.Assignment) error {
	for _, p := range plan {
		if _, err := fmt.Fprintln(w, p.Addr); err != nil {
			return err
		}
	}
	return nil
}

// serveFleet keeps a fleet up until the end of the command's context, which is not
// an error, and tells what it saw.
func (a *app) serveFleet(cmd *cobra.Command, f *chaosFlags, fleet *chaos.Fleet, plan []chaos.Assignment) error {
	if !f.json && f.coreOut == "" {
		if err := writeCore(cmd.OutOrStdout(), plan); err != nil {
			return err
		}
		fmt.Fprintln(cmd.OutOrStdout())
	}
	<-cmd.Context().Done()
	saw := sawByKind(fleet.Stats())
	if f.json {
		return writeJSON(cmd.OutOrStdout(), struct {
			Seed  uint64        `json:"seed"`
			Port  uint16        `json:"port"`
			Kinds []kindSaw     `json:"kinds"`
			Peers []chaos.Stats `json:"peers"`
		}{f.seed, fleet.Port(), saw, fleet.Stats()})
	}
	out := &printer{w: cmd.OutOrStdout()}
	width, _ := size(out.w)
	g := &grid{columns: []column{
		{title: "KIND"}, {title: "PEERS", right: true}, {title: "CONNECTIONS", right: true}, {title: "REQUESTS", right: true},
		{title: "RECEIVED", right: true}, {title: "SENT", right: true}, {title: "EXPECTED VERDICT"},
	}}
	for _, k := range saw {
		g.add("", k.Kind, count(k.Peers), count(k.Connections), count(k.Requests), bytesOf(k.BytesIn), bytesOf(k.BytesOut), k.Expected)
	}
	out.table(g, width, paletteFor(out.w))
	return out.err
}

// A kindSaw is what came to pass at all peers of a kind.
type kindSaw struct {
	Kind        string `json:"kind"`
	Expected    string `json:"expected"` // what a node should make of it
	Peers       int    `json:"peers"`
	Connections int64  `json:"connections"`
	Requests    int64  `json:"requests"`
	BytesIn     int64  `json:"bytes_in"`
	BytesOut    int64  `json:"bytes_out"`
}

// sawByKind adds up what peers saw, in the order of all kinds.
func sawByKind(stats []chaos.Stats) (all []kindSaw) {
	for _, k := range chaos.Kinds() {
		sum := kindSaw{Kind: k.Name, Expected: k.Expect.String()}
		for _, s := range stats {
			if s.Kind == k.Name {
				sum.Peers++
				sum.Connections += s.Connections
				sum.Requests += s.Requests
				sum.BytesIn += s.BytesIn
				sum.BytesOut += s.BytesOut
			}
		}
		if sum.Peers > 0 {
			all = append(all, sum)
		}
	}
	return all
}

// openFleetNetwork opens what it takes to scan a fleet.  It remembers nothing and
// knows no peer.
func (a *app) openFleetNetwork(ctx context.Context) (*network, error) {
	n := &network{app: a, registry: newRegistry()}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// aim makes scans go to the peers of a plan, with a book of their own.
func (n *network) aim(plan []chaos.Assignment, f *chaosFlags, world *chaos.World, port uint16) {
	o := &n.options
	o.Book = scan.NewBook(scan.BookOptions{Private: true, Groups: fault.Groups{}})
	var addrs []netip.Addr
	for _, p := range plan {
		addrs = append(addrs, p.Addr)
	}
	o.Book.AddConfigured(addrs...)
	o.Client = peer.NewClient(peer.Options{Port: port, Dial: chaos.Dial, Timeouts: fleetTimeouts})
	o.Proof = proof.Options{Base: world.Base.Num, Height: &world.Base}
	o.Anchors = world.Anchors()
	want := max(1, min(3, f.honest))
	o.Quorum = branch.Quorum{Peers: want, Groups: want}
	o.Log = nil // a fleet gives cause for every alarm
	// It ends when everybody was judged, not when enough is known.
	o.Deadlines = scan.Deadlines{Soft: fleetDeadline, Hard: fleetDeadline, Calm: fleetDeadline, Retry: 200 * time.Millisecond}
}
