package chaos

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	kigonode "kigo/node"
	"kigo/node/branch"
	"kigo/node/chain"
	"kigo/node/chainsync"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/status"
)

// A synced is what came of a node that was let loose on a fleet.
type synced struct {
	status  status.Status
	charged Charges
	stats   []Stats
	rows    []Row
	file    []byte // its trailer file
	took    time.Duration
}

// syncNode lets an empty node find its chain among the peers of a fleet.  A lie whose
// range another peer was quicker to serve goes unpunished: where that is all that is
// wrong it is done again.
func syncNode(t *testing.T, w *World, as []Assignment, quorum int, wait time.Duration) (s *synced) {
	t.Helper()
	for range tries {
		if s = syncOnce(t, w, as, quorum, wait); !slices.ContainsFunc(s.rows, uncharged) {
			break
		}
	}
	return s
}

// syncOnce ends the node a while after it is content.
func syncOnce(t *testing.T, w *World, as []Assignment, quorum int, wait time.Duration) *synced {
	t.Helper()
	f, err := NewFleet(w, FleetConfig{Seed: 1, Peers: as, Late: 50 * time.Millisecond, Bound: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := t.TempDir()
	store, err := chain.Open(dir, chain.Options{Base: w.Base})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	o := options(f, as)
	o.Now = nil
	o.Client = patient(f)
	o.Verifier = cached()
	o.Anchors = []proof.Anchor{w.Base}
	o.Quorum = branch.Quorum{Peers: quorum, Groups: quorum}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelInfo}))
	n, err := kigonode.New(kigonode.Options{
		Chain: store, Scan: o, Log: log,
		Sync:  chainsync.Options{Base: w.Base, Log: log, Limits: chainsync.Limits{FirstByte: aWhile, Complete: aWhile, End: 4 * aWhile}},
		Times: kigonode.Times{Poll: 200 * time.Millisecond, Retry: 100 * time.Millisecond, Pause: 100 * time.Millisecond, Doubt: aWhile / 2, Review: 100 * time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	s := &synced{charged: Charges{}}
	content := false
	seq := uint64(0)
	hear := func() <-chan struct{} {
		events, missed, more := n.Events().After(seq)
		if missed > 0 {
			t.Errorf("%d events missed", missed)
		}
		for _, e := range events {
			seq = e.Seq
			if v, is := e.Data.(status.PeerVerdict); is {
				s.charged.Add(netip.MustParseAddr(v.Addr), fault.Kind(v.Kind))
			}
		}
		return more
	}
	for ctx.Err() == nil && (!content || time.Since(begun) < s.took+2*aWhile) { // charges that wait for others
		more := hear()
		if s.status = n.Status(); !content && s.status.State == status.Follow && s.status.Tip != nil {
			content, s.took = true, time.Since(begun)
		}
		if content && s.stats == nil && time.Since(begun) > s.took+aWhile { // no lie counts that there is no time to charge
			s.stats = f.Stats()
		}
		select {
		case <-more:
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	cancel()
	if err := <-ended; err != nil && !content {
		t.Errorf("the node: %v", err)
	}
	if !content {
		b, _ := json.MarshalIndent(s.status, "", " ")
		t.Fatalf("the node isn't content after %v:\n%.6000s", wait, b)
	}
	hear()
	if s.stats == nil {
		s.stats = f.Stats()
	}
	s.rows = SyncConformance(s.charged, s.stats)
	if s.file, err = os.ReadFile(filepath.Join(dir, "tfile.dat")); err != nil {
		t.Error(err)
	}
	return s
}

// wantSynced fails unless the node is on the honest chain, nobody honest was charged
// with what is objective, and liars were with what they should be.
func wantSynced(t *testing.T, w *World, s *synced, as []Assignment) {
	t.Helper()
	if tip := s.status.Tip; !w.OnChain(tip.Hash) || tip.Height < w.Tip().Num {
		t.Errorf("ended on %v at %v, which isn't the honest tip", tip.Hash, tip.Height)
	}
	if n := len(s.file) / mcm.TrailerLen; n > len(w.main.trailers) || !slices.Equal(mcm.Trailers(s.file), w.main.trailers[:n]) {
		t.Errorf("the trailer file, %d bytes, isn't the honest chain's", len(s.file))
	}
	for _, row := range s.rows {
		if testing.Verbose() {
			t.Logf("%-18s %d peers, expected %s, charged %s", row.Kind, row.Peers, row.Expected, row.Observed)
		}
		if !row.OK {
			t.Errorf("%s: %s", row.Kind, row.Detail)
		}
	}
	for _, a := range as {
		if lookUp(a.Kind).Family != Honest || a.Kind == turncoat {
			continue
		}
		for _, k := range s.charged[a.Addr] {
			if k.Class() == fault.Objective {
				t.Errorf("honest peer %v (%s) was charged with %s", a.Addr, a.Kind, k)
			}
		}
	}
}

// fileKinds are those that lie below their proof, in a world without history.
func fileKinds() (names []string) {
	for _, k := range Kinds() {
		if k.Family == Files && k.Name[:5] == "file-" {
			names = append(names, k.Name)
		}
	}
	return names
}

// liveWorld makes a world of now, since nodes go by the clock.
func liveWorld(t *testing.T, c WorldConfig) *World {
	t.Helper()
	c.Seed, c.Solver, c.Now = 1, engine(), time.Now()
	w, err := NewWorld(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// Peers that lie about the chain below their proof don't move a node, be they few or
// most, and are charged for what they did.
func TestSyncAmongLiars(t *testing.T) {
	w := liveWorld(t, WorldConfig{Blocks: 3000})
	for _, c := range []struct {
		name          string
		honest, liars int // liars of each kind
	}{
		{"honest majority", 12, 1},
		{"honest minority", 3, 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			kinds := times(c.honest, plain)
			for _, k := range fileKinds() {
				kinds = append(kinds, times(c.liars, k)...)
			}
			as := crowd(append(kinds, "file-stale", "file-advanced", "stale", "tip-00", "tip-ff", "side-branch")...)
			s := syncNode(t, w, as, 3, 90*time.Second)
			t.Logf("%d peers, %d blocks: %v", len(as), w.tip, s.took.Round(time.Millisecond))
			wantSynced(t, w, s, as)
		})
	}
}

// Each kind of file among honest peers, with little else to see.
func TestSyncEachFile(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	w := liveWorld(t, WorldConfig{Blocks: 2000})
	for _, k := range append(fileKinds(), "file-stale", "file-advanced") {
		t.Run(k, func(t *testing.T) {
			as := crowd(append(times(3, plain), times(3, k)...)...)
			wantSynced(t, w, syncNode(t, w, as, 3, time.Minute), as)
		})
	}
}

// uncharged reports whether all that is wrong with a row is that nobody was charged.
func uncharged(r Row) bool { return !r.OK && strings.HasPrefix(r.Detail, "nobody was charged") }

// A thousand peers of all kinds, five of them plainly honest.
func TestSyncAmongAThousand(t *testing.T) {
	if testing.Short() || raceDetector {
		t.Skip("takes a while")
	}
	w := liveWorld(t, WorldConfig{Blocks: 5000})
	as, err := Plan(1, 1000, 5, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := syncNode(t, w, as, 3, 3*time.Minute)
	t.Logf("%v", s.took.Round(time.Millisecond))
	wantSynced(t, w, s, as)
}
