package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"kigo/node/chain"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/tfile"
)

// The names of exported files: what a C node calls its trailer file, and what its
// start script calls its list of peers.
const (
	exportedTrailers = "tfile.dat"
	exportedPeers    = "startnodes.lst"
)

// maxExported is how many peers are listed: as many as a C node remembers
// (docs/spec/network.md section 8).
const maxExported = 64

func newExport(a *app) *cobra.Command {
	var force, asJSON bool
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write the proven chain and a peer list for a C node",
		Long: `Export writes what Kigo has proven to DIR, which it makes if need be, in the C
node's formats: tfile.dat with all trailers of the own chain, each held against
its digest once more, and startnodes.lst with the addresses of up to 64 peers
that have shown a proof and aren't banned, the best first.  Each file appears
whole or not at all.  A node may be running meanwhile.

A C node drops a trailer file that runs ahead of its blocks, so give it one with
the blocks to go with it.`,
		Example: `  kigo export /tmp/proven
  kigo export --force --json /tmp/proven`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			e, err := a.export(cmd.Context(), args[0], force)
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(cmd.OutOrStdout(), e)
			}
			return e.print(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "replace files of these names")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().String("data-dir", "", "`FOLDER` with the own chain (default: kigo in the user's state folder)")
	return cmd
}

// An export is what was written.
type export struct {
	File      string       `json:"file"`
	Trailers  uint64       `json:"trailers"`
	Height    mcm.BlockNum `json:"height"`
	Tip       mcm.Hash     `json:"tip"`
	Weight    mcm.Weight   `json:"weight"`
	Time      uint32       `json:"time"`
	PeersFile *string      `json:"peers_file"` // null: no peer is known to be good
	Peers     []netip.Addr `json:"peers"`
}

func (e *export) print(w io.Writer) error {
	out := &printer{w: w}
	out.line("%s: %s, up to block %s (%v), solved %s UTC", e.File, plural(int64(e.Trailers), "trailer"),
		count(uint64(e.Height)), e.Height, time.Unix(int64(e.Time), 0).UTC().Format(time.DateTime))
	out.line("  tip %v, weight 0x%s", e.Tip, shortWeight(e.Weight))
	if e.PeersFile == nil {
		out.line("no list of peers: none is known to be good")
	} else {
		out.line("%s: %s", *e.PeersFile, plural(int64(len(e.Peers)), "peer"))
	}
	return out.err
}

// export writes chain and peers to a folder.
func (a *app) export(ctx context.Context, dir string, force bool) (*export, error) {
	from, err := a.dataDir()
	if err != nil {
		return nil, err
	}
	if err := a.exportable(from, dir, force); err != nil {
		return nil, err
	}
	e := &export{File: filepath.Join(dir, exportedTrailers), Peers: []netip.Addr{}}
	tip, err := exportChain(ctx, from, e.File)
	if err != nil {
		return nil, err
	}
	e.Trailers, e.Height, e.Tip, e.Weight, e.Time = uint64(tip.Num)+1, tip.Num, tip.Hash, tip.Weight, tip.Time
	known, err := peersBeside(ctx, filepath.Join(from, memoryName), dir)
	if err != nil {
		return nil, fmt.Errorf("%s is written, the list of peers is not: %w", e.File, err)
	}
	if e.Peers = ranked(known, time.Now()); len(e.Peers) == 0 {
		return e, nil
	}
	path := filepath.Join(dir, exportedPeers)
	err = tfile.WriteFile(path, func(w io.Writer) error {
		for _, p := range e.Peers {
			if _, err := fmt.Fprintln(w, p); err != nil {
				return err
			}
		}
		return nil
	})
	e.PeersFile = &path
	return e, err
}

// exportable makes the folder and refuses one that isn't to be written to.
func (a *app) exportable(from, dir string, force bool) error {
	if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return usagef("%s can't be made: %v", dir, err)
	}
	st, err := os.Stat(dir)
	if err != nil || !st.IsDir() {
		return usagef("%s is no folder", dir)
	}
	if data, err := os.Stat(from); err == nil && os.SameFile(st, data) {
		return usagef("%s is the data folder itself: name another one", dir)
	}
	for _, name := range []string{exportedTrailers, exportedPeers} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil && !force {
			return usagef("%s is there already; --force replaces it", filepath.Join(dir, name))
		}
	}
	return nil
}

// exportTries is how often an export begins anew because the chain was replaced
// meanwhile, which happens every few hours at most.
const exportTries = 5

// exportChain writes the chain in a data folder to a file.
func exportChain(ctx context.Context, from, path string) (tip chain.Tip, err error) {
	for range exportTries {
		if tip, err = exportOnce(ctx, from, path); !errors.Is(err, chain.ErrChanged) {
			return tip, err
		}
	}
	return tip, fmt.Errorf("%w, %d times; try again", err, exportTries)
}

func exportOnce(ctx context.Context, from, path string) (tip chain.Tip, err error) {
	s, err := chain.ReadSnapshot(from)
	if errors.Is(err, chain.ErrEmpty) {
		return tip, fmt.Errorf("there is no chain in %s yet: kigo run fetches and proves one", from)
	}
	if err != nil {
		return tip, err
	}
	defer s.Close() // only read from
	if s.First() > 0 {
		return tip, fmt.Errorf("the chain in %s begins at block %v, and a C node's trailer file with the genesis", from, s.First())
	}
	if first, last, ok := s.Pending(); ok {
		return tip, fmt.Errorf("the work of blocks %v to %v is still being checked: try again when kigo run has done so", first, last)
	}
	return s.Tip(), tfile.WriteFile(path, func(w io.Writer) error { return s.Copy(ctx, w) })
}

// peersBeside returns the peers that the memory at path has.  A running node lets
// nobody else open it, so a copy is read, which may be torn; then another is made.
func peersBeside(ctx context.Context, path, dir string) (known []memory.Peer, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for range exportTries {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if known, err = peersOfCopy(path, dir); err == nil {
			return known, nil
		}
	}
	return nil, err
}

func peersOfCopy(path, dir string) (known []memory.Peer, err error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close() // only read from
	out, err := os.CreateTemp(dir, ".kigo-export-*")
	if err != nil {
		return nil, err
	}
	defer os.Remove(out.Name()) // nobody else's
	_, err = io.Copy(out, in)
	if err = errors.Join(err, out.Close()); err != nil {
		return nil, err
	}
	db, err := memory.OpenReadOnly(out.Name(), memory.Options{})
	if err != nil {
		return nil, err
	}
	known, err = db.Peers()
	return known, errors.Join(err, db.Close())
}

// ranked returns the addresses of the best peers: those that have shown a proof that
// held and are neither banned nor resting; without objective points first, then the
// longest known, then with the fewest points.
func ranked(known []memory.Peer, now time.Time) []netip.Addr {
	type entry struct {
		memory.Peer
		objective, points float64
	}
	var good []entry
	for _, p := range known {
		if p.LastGood.IsZero() || p.Standing.Banned(now) || p.Standing.Resting(now) || now.Sub(p.LastContact) > memory.PeerTime {
			continue
		}
		objective, soft := p.Standing.Points(now)
		good = append(good, entry{p, objective, objective + soft})
	}
	slices.SortFunc(good, func(x, y entry) int {
		return cmp.Or(
			cmp.Compare(convicted(x.objective), convicted(y.objective)),
			x.FirstSeen.Compare(y.FirstSeen),
			cmp.Compare(x.points, y.points),
			x.Addr.Compare(y.Addr))
	})
	addrs := []netip.Addr{}
	for _, p := range good[:min(len(good), maxExported)] {
		addrs = append(addrs, p.Addr)
	}
	return addrs
}

// convicted is 1 for an address that has objective points left, or a rounding error
// above none, else 0.
func convicted(points float64) int {
	if points >= 1 {
		return 1
	}
	return 0
}
