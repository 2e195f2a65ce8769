package chaos

import (
	"context"
	"net/netip"
	"path/filepath"
	"sync/atomic"
	"testing"

	"kigo/node/branch"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/rules"
	"kigo/node/scan"
	"kigo/node/verify"
	"kigo/node/wire"
)

// A counter is a Verifier that counts.
type counter struct {
	verify.Verifier
	n atomic.Int64
}

func (c *counter) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	c.n.Add(int64(len(batch)))
	return c.Verifier.VerifyPoW(ctx, dst, batch)
}

// A node is what scans a fleet time and again, with a memory that it closes after
// each time, as one that is restarted.
type node struct {
	fleet *Fleet
	path  string
	count counter
}

func newNode(t *testing.T, as []Assignment) *node {
	return &node{fleet: newFleet(t, as), path: filepath.Join(t.TempDir(), "memory.db"), count: counter{Verifier: engine()}}
}

// scan is one life of the node.
func (n *node) scan(t *testing.T) *scan.Report {
	t.Helper()
	db, err := memory.Open(n.path, memory.Identity{Network: wire.Network, Rules: rules.Version}, memory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	o := options(n.fleet, n.fleet.Peers())
	o.Client = patient(n.fleet)
	o.Memory, o.Verifier = db, &n.count
	o.Quorum = branch.Quorum{Peers: 3, Groups: 3}
	n.count.n.Store(0)
	r := run(t, o)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return r
}

// invalid returns what the node remembers of invalid trailers.
func (n *node) invalid(t *testing.T) []memory.Invalid {
	t.Helper()
	db, err := memory.Open(n.path, memory.Identity{Network: wire.Network, Rules: rules.Version}, memory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	s, err := db.Load(worldTime)
	if err != nil {
		t.Fatal(err)
	}
	return s.Invalid
}

// become gives a peer of a fleet a kind that isn't listed.
func (f *Fleet) become(a netip.Addr, k Kind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.peers[a].Kind = &k
}

// seed returns what a peer's forgeries are made from, and sets it if it is asked
// to.
func (f *Fleet) seed(a netip.Addr, to ...uint64) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range to {
		f.peers[a].seed = s
	}
	return f.peers[a].seed
}

func wantVerdict(t *testing.T, r *scan.Report, a netip.Addr, want scan.Verdict, reason fault.Kind) {
	t.Helper()
	if p := find(r, a); p == nil || p.Verdict != want || p.Reason != reason {
		t.Errorf("%v: %s, want %s %s", a, describe(p), want, reason)
	}
}
