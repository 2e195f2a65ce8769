package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/spf13/cobra"

	"kigo/node/api"
	"kigo/node/evidence"
	"kigo/node/scan"
)

type scanFlags struct {
	json, all bool
	every     time.Duration
	network   networkFlags
}

func newScan(a *app) *cobra.Command {
	var f scanFlags
	cmd := &cobra.Command{
		Use:   "scan",
		Short: "Ask the network: each peer's proof and verdict, the chosen chain",
		Long: `Scan calls the peers it is told of and all that they name, asks each for its
chain and the last trailers of it, and checks these in full, every proof of work
included.  What a peer claims decides nothing: a branch is chosen by what is
proven, and it takes a quorum of proven peers in several groups.

A scan sees only the ends of chains.  It proves the last blocks of the chosen
one, and its weight only where they reach a block of chain.pin or chain.floor.

Peers come from --peer, --core-file, the settings network.peers and
network.core-file, and the memory of earlier scans.  Exit code 4 if no branch
has a quorum.`,
		Example: `  kigo scan --peer 192.0.2.1 --peer node.example.org
  kigo scan --core-file startnodes.lst --json
  kigo scan --every 5m --listen 127.0.0.1:2096`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("%q: peers are named with --peer, and judged alone by kigo check", args[0])
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case cmd.Flags().Changed("every") && f.every < time.Second:
				return usagef("--every %v: want at least 1s", f.every)
			case cmd.Flags().Changed("listen") && f.every == 0:
				return usagef("--listen serves between scans, so it needs --every, such as --every 5m")
			case cmd.Flags().Changed("pprof-listen") && f.every == 0:
				return usagef("--pprof-listen is for a process that stays, so it needs --every, such as --every 5m")
			}
			return a.scan(cmd, &f)
		},
	}
	fs := cmd.Flags()
	addPeerFlags(fs)
	fs.BoolVar(&f.all, "all", false, "list every peer, however many there are")
	fs.BoolVar(&f.json, "json", false, "print one JSON object")
	fs.DurationVar(&f.every, "every", 0, "scan again after this time, until interrupted")
	fs.String("listen", "", "serve metrics and status at this loopback `ADDRESS` meanwhile")
	fs.String("pprof-listen", "", "serve profiles of the process at this other loopback `ADDRESS`")
	f.network.add(cmd)
	return cmd
}

func (a *app) scan(cmd *cobra.Command, f *scanFlags) (err error) {
	ctx := cmd.Context()
	if f.every == 0 {
		a.quieten()
	}
	n, err := a.openNetwork(ctx, &f.network)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	if err := n.fillBook(ctx); err != nil {
		return err
	}
	once := func(ctx context.Context) (*scan.Report, error) {
		r, err := n.watched(ctx, "scan", scan.Run)
		if err != nil {
			return nil, err
		}
		if len(r.Peers) == 0 {
			return nil, n.noPeers()
		}
		if f.json {
			return r, n.writeJSON(cmd.OutOrStdout(), r)
		}
		out := &printer{w: cmd.OutOrStdout()}
		width, _ := size(out.w)
		printScan(out, r, n.whereabouts(r), width, f.all, n.conf.Network.Port, paletteFor(out.w))
		if f.every > 0 {
			out.line("again every %v, until interrupted\n", f.every)
		}
		return r, out.err
	}
	if f.every == 0 {
		r, err := once(ctx)
		if err == nil && r.State != scan.Quorum {
			err = errNobody
		}
		return cmp.Or(n.unkept, err)
	}
	n.serves = n.conf.API.Listen != ""
	var last atomic.Pointer[scan.Report]
	return n.serve(ctx, last.Load, nil, 2*f.every, func(ctx context.Context) error {
		tick := time.NewTicker(f.every)
		defer tick.Stop()
		for {
			r, err := once(ctx)
			if err != nil {
				return err
			}
			last.Store(r)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
}

// noPeers says how to name a peer.
func (n *network) noPeers() error {
	switch c := &n.conf.Network; {
	case len(c.Peers) > 0:
		return &exitError{exitNobody, "none of the peers that were named has an address"}
	case c.CoreFile != "":
		return &exitError{exitNobody, fmt.Sprintf("network.core-file: %s names no peer", c.CoreFile)}
	}
	return usagef("no peer is known: name one with --peer ADDRESS, a list with --core-file FILE, or put network.peers into the config file (kigo config init)")
}

// watched runs a scan and shows how it goes.  When it is interrupted it says what
// was found till then.  A report that can't be kept is still a report.
func (n *network) watched(ctx context.Context, what string, run func(context.Context, scan.Options) (*scan.Report, error)) (*scan.Report, error) {
	w := newWatch(n.screen, what)
	o := n.options
	o.OnChange = w.note
	r, err := run(ctx, o)
	w.end()
	n.unkept = nil
	if unsaved := (*scan.SaveError)(nil); errors.As(err, &unsaved) {
		n.log.Error("what was found can't be kept", "err", unsaved.Err)
		n.unkept, err = &exitError{code: exitFailed}, nil // it has been said
	}
	if err != nil && r != nil && ctx.Err() != nil {
		note := "nothing is kept (--no-memory)"
		if n.memory != nil {
			note = "what was found is remembered"
		}
		fmt.Fprintf(n.screen, "%s, %s\n", summary(r), note)
	}
	return r, err
}

// serve runs work beside the listeners that the settings name.  They show what last
// returns, which is news for as long as maxAge, and the node, unless it is nil.
func (n *network) serve(ctx context.Context, last func() *scan.Report, nd api.Node, maxAge time.Duration, work func(ctx context.Context) error) error {
	status, err := n.listen("api.listen", n.conf.API.Listen)
	if err != nil {
		return err
	}
	profiles, err := n.listen("api.pprof-listen", n.conf.API.PprofListen)
	if err != nil {
		if status != nil {
			status.Close()
		}
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	failed := make(chan error, 2)
	var serving sync.WaitGroup
	serve := func(ln net.Listener, h http.Handler) {
		serving.Go(func() {
			err := api.Serve(ctx, ln, h)
			cancel(err) // work that nobody can look at ends too
			failed <- err
		})
	}
	s := &source{network: n, last: last}
	if status != nil {
		b := build()
		serve(status, api.New(api.Options{
			Source: s, Node: nd, Registry: n.registry, Log: n.log,
			Build:      api.Build{Version: b.Version, Revision: b.Revision, Go: b.Go},
			MaxScanAge: max(api.DefaultMaxAge, maxAge),
			MaxTipAge:  n.conf.Node.Stale,
		}))
	}
	if profiles != nil {
		serve(profiles, api.Profiles())
	}
	err = work(ctx)
	cancel(nil)
	serving.Wait()
	close(failed)
	for e := range failed {
		err = cmp.Or(e, err)
	}
	return err
}

// listen opens the listener that a setting names, nil when it names none.
func (n *network) listen(key, address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, usagef("%s: %v", key, err)
	}
	n.log.Info("listener is up", "key", key, "addr", ln.Addr().String())
	return ln, nil
}

// A source is what the listener shows.
type source struct {
	*network
	last func() *scan.Report
}

// Report implements api.Source.
func (s *source) Report() *scan.Report { return s.last() }

// Evidence implements api.Source.
func (s *source) Evidence(context.Context) ([]*evidence.Record, error) { return s.kept.Evidence() }

// Engines implements api.Source.
func (s *source) Engines() []api.EngineStatus {
	var all []api.EngineStatus
	for _, e := range s.engines.Status() {
		status := api.EngineStatus{Name: e.Info.Name, Retired: e.Retired, Rate: e.Rate}
		if e.Err != nil {
			status.Detail = e.Err.Error()
		}
		all = append(all, status)
	}
	return all
}

// Now implements api.Source.
func (s *source) Now() time.Time { return time.Now() }
