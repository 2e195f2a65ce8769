package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"kigo/node"
	"kigo/node/chain"
	"kigo/node/chainsync"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/status"
	"kigo/node/tfile"
	"kigo/node/wire"
)

func newRun(a *app) *cobra.Command {
	var f networkFlags
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Run the node: prove the best chain, keep, follow and serve it",
		Long: `Run asks the network for its chain, proves the heaviest one, every proof of
work of it included, keeps it in the data folder, and follows it from then on.
The own chain is only ever replaced by a heavier one that is proven; a kill at
any moment leaves the old one or the new one, and what was fetched and proven of
a new one is not fetched and proven again.

This version knows trailers and no blocks: its tip is header-proven, which says
nothing about transactions.  So unless node.announce is set it neither announces
tips nor asks to be listed, and sees new blocks by polling a peer every 10 s.

Peers come from --peer, --core-file, the settings network.peers and
network.core-file, and the memory of earlier runs.  SIGINT and SIGTERM end it
within 2 s, with exit code 0.  It tells systemd when it is up (Type=notify).`,
		Example: `  kigo run --core-file startnodes.lst --listen 127.0.0.1:2096
  kigo run --peer 192.0.2.1 --listen-peer 0.0.0.0:2095 --data-dir /var/lib/kigo
  kigo run --import /home/mochimo/node/d --core-file startnodes.lst`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.runNode(cmd.Context(), &f) },
	}
	fs := cmd.Flags()
	addPeerFlags(fs)
	fs.String("listen-peer", "", "answer peers at this IPv4 `ADDRESS`, such as 0.0.0.0:2095")
	fs.String("import", "", "copy the trailer file in a C node's data `FOLDER`, and prove it, if it is heavier than the own chain")
	fs.String("listen", "", "serve status page, metrics and JSON at this loopback `ADDRESS`")
	fs.String("pprof-listen", "", "serve profiles of the process at this other loopback `ADDRESS`")
	f.addCalls(cmd)
	return cmd
}

// runNode is kigo run: it opens what a node is made of, and runs it.
func (a *app) runNode(ctx context.Context, f *networkFlags) (err error) {
	defer func() {
		if ctx.Err() != nil && (err == nil || errors.Is(err, context.Cause(ctx))) {
			a.log.Info("node has ended")
			err = nil // it ran until it was told to end, and everything is saved
		}
	}()
	n, err := a.openNetwork(ctx, f)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	if err := n.fillBook(ctx); err != nil {
		return err
	}
	own, err := n.openChain(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.Close()) }()
	o := n.nodeOptions(own)
	if o.Listen, err = n.listen("node.listen", n.conf.Node.Listen); err != nil {
		return err
	}
	nd, err := node.New(o)
	if err != nil {
		return err
	}
	if n.alone() && o.Listen == nil {
		return n.noPeers()
	} else if n.alone() {
		n.log.Warn("no peer is known: until one calls there is nobody to ask", "addr", n.conf.Node.Listen)
	}
	n.serves = true
	return n.serve(ctx, nd.Report, nd, 2*n.conf.Node.Rescan, func(ctx context.Context) error {
		ended := make(chan struct{})
		defer func() { <-ended }()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		go func() {
			defer close(ended)
			n.notify(ctx, nd)
		}()
		return nd.Run(ctx)
	})
}

// alone reports whether there is nobody to call.
func (n *network) alone() bool {
	c := n.options.Book.Counts(time.Now())
	return c.Configured+c.Tried+c.Candidates+c.Banned == 0
}

// openChain opens the own chain in the data folder, and takes over a C node's if
// the settings name one that is heavier.
func (n *network) openChain(ctx context.Context) (own *chain.Store, err error) {
	dir, err := n.dataDir()
	if err != nil {
		return nil, err
	}
	if n.base, err = readBase(n.conf.Chain.Base); err != nil {
		return nil, err
	}
	var engines []string
	for _, e := range n.engines.Status() {
		engines = append(engines, e.Info.Name)
	}
	n.log.Info("node starts", "version", version, "dir", dir, "engines", engines)
	own, err = chain.Open(dir, chain.Options{Base: n.base, Floor: n.floor, Log: n.log, Metrics: chain.NewMetrics(n.registry), Hook: atStep})
	if err != nil {
		return nil, fmt.Errorf("own chain: %w", err)
	}
	for _, notice := range own.Notices() {
		n.log.Warn("own chain", "notice", notice)
	}
	if tip, ok := own.Tip(); ok {
		n.log.Info("own chain is open", "bnum", tip.Num, "hash", tip.Hash, "weight", tip.Weight)
	}
	if n.conf.Data.Import != "" {
		if err := n.takeOver(ctx, own, filepath.Join(n.conf.Data.Import, "tfile.dat")); err != nil {
			return nil, errors.Join(err, own.Close())
		}
	}
	return own, nil
}

// takeOver has a C node's trailer file proven, and makes it the own chain if it is
// heavier.
func (n *network) takeOver(ctx context.Context, own *chain.Store, file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return usagef("data.import: %v", err)
	}
	if !info.Mode().IsRegular() {
		return usagef("data.import: %s is no regular file", file)
	}
	n.log.Info("trailer file is being proven", "file", file, "trailers", info.Size()/mcm.TrailerLen)
	told := time.Now()
	rep, err := own.Import(ctx, file, tfile.Options{
		Verifier: n.engines, Now: time.Now().Unix(), Pin: n.pin, Distrust: n.engines.distrusted,
		Progress: func(p tfile.Progress) {
			if time.Since(told) >= lineEvery {
				told = time.Now()
				n.log.Info("trailer file is being proven", "file", file, "proven", p.Proven, "trailers", p.Total)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("data.import: %s: %w", file, err)
	}
	for _, p := range rep.Problems {
		n.log.Warn("trailer file is bad from here on", "file", file, "bnum", p.Num, "err", p)
	}
	n.log.Info("trailer file is proven", "file", file, "bnum", rep.Last, "weight", rep.Weight)
	return nil
}

// nodeOptions returns what the settings make of a node.
func (n *network) nodeOptions(own *chain.Store) node.Options {
	c := &n.conf
	o := node.Options{
		Chain:    own,
		Scan:     n.options,
		Announce: c.Node.Announce,
		Times:    node.Times{Poll: c.Node.Poll, Retry: c.Scan.Retry, Stale: c.Node.Stale, Rescan: c.Node.Rescan},
		Log:      n.log,
		Metrics:  node.NewMetrics(n.registry),
		Server: peer.ServerOptions{
			Groups: fault.Groups{Bits: c.Network.GroupBits}, Timeouts: peer.DefaultTimeouts(), Log: n.log, Metrics: n.calls,
		},
		Sync: chainsync.Options{
			Base: n.base, Pin: n.pin, Floor: n.floor, Log: n.log, Metrics: chainsync.NewMetrics(n.registry), Hook: atStep,
		},
	}
	if n.base.Num > 0 {
		// Nobody need serve anything below, so proofs of a short chain begin there.
		o.Scan.Proof.Base = max(o.Scan.Proof.Base, n.base.Num)
		o.Scan.Proof.Height = &n.base
		o.Scan.Anchors = append([]proof.Anchor{n.base}, o.Scan.Anchors...)
	}
	if o.Sync.Unpinned() {
		n.log.Warn("without chain.pin old history is judged by its work, which takes long, and by several groups",
			"quorum_groups", max(o.Scan.Quorum.Groups, chainsync.UnpinnedGroups))
	}
	if c.Node.Announce {
		o.Server.Caps |= wire.CapOptIn
	}
	return o
}

// notify tells systemd, if that has started us, when the node is up, what it does,
// and that it is alive.
func (n *network) notify(ctx context.Context, nd *node.Node) {
	say := func(state string) {
		if _, err := daemon.SdNotify(false, state); err != nil {
			n.log.Warn("systemd can't be told", "err", err)
		}
	}
	say(daemon.SdNotifyReady)
	defer say(daemon.SdNotifyStopping)
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Warn("the watchdog of systemd is set up wrong", "err", err)
	}
	tick := time.NewTicker(cmp.Or(watchdog/2, time.Minute))
	defer tick.Stop()
	feed := nd.Events()
	seq := feed.Last()
	for {
		s := nd.Status()
		text := string(s.State)
		if s.Tip != nil {
			text += fmt.Sprintf(", block %d", s.Tip.Height)
		}
		if s.Reason != "" {
			text += ": " + s.Reason
		}
		say("STATUS=" + text)
		for changed := false; !changed; {
			events, _, more := feed.After(seq)
			for _, e := range events {
				seq = e.Seq
				changed = changed || e.Kind == status.StateChanged || e.Kind == status.TipChanged
			}
			if changed {
				break
			}
			select {
			case <-more:
			case <-tick.C:
				nd.Status() // a node that hangs doesn't answer
				if watchdog > 0 {
					say(daemon.SdNotifyWatchdog)
				}
			case <-ctx.Done():
				return
			}
		}
	}
}
