package chaos

import (
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kigo/node/branch"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/scan"
	"kigo/node/wire"
)

// options are those of a scan of the fleet with little patience, whose book holds
// the fleet's addresses in the order of the assignments.
func options(f *Fleet, as []Assignment) scan.Options {
	w := f.world
	o := scan.Options{
		Client:   client(f),
		Verifier: engine(),
		Book:     scan.NewBook(scan.BookOptions{Private: true}),
		Proof:    proof.Options{Base: w.Base.Num, Height: &w.Base},
		Anchors:  w.Anchors(),
		Deadlines: scan.Deadlines{
			Soft: time.Minute, Hard: time.Minute, Calm: time.Minute, Retry: 50 * time.Millisecond,
		},
		Now: frozen,
	}
	for _, a := range as {
		o.Book.AddConfigured(a.Addr)
	}
	return o
}

func run(t testing.TB, o scan.Options) *scan.Report {
	t.Helper()
	r, err := scan.Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// chosen returns the chosen branch.
func chosen(t testing.TB, r *scan.Report) *scan.Branch {
	t.Helper()
	if r.Chosen < 0 {
		t.Fatalf("no branch is chosen, state %s", r.State)
	}
	return &r.Branches[r.Chosen]
}

// wantHonest fails unless the honest branch was chosen with its quorum and no
// honest peer has objective points.
func wantHonest(t testing.TB, w *World, r *scan.Report, as []Assignment) {
	t.Helper()
	if b := chosen(t, r); !w.OnChain(b.Tip) || b.Height < w.Tip().Num {
		t.Errorf("chose tip %v at %v, which isn't the honest one", b.Tip, b.Height)
	}
	if r.State != scan.Quorum {
		t.Errorf("state %s, want the quorum", r.State)
	}
	for _, a := range as {
		if lookUp(a.Kind).Family != Honest {
			continue
		}
		if p := find(r, a.Addr); p != nil && p.Points.Objective > 0 {
			t.Errorf("honest peer %v (%s) has %v objective points: %v, %s", a.Addr, a.Kind, p.Points.Objective, p.Faults, p.Detail)
		}
	}
}

func find(r *scan.Report, a netip.Addr) *scan.Peer {
	for i := range r.Peers {
		if r.Peers[i].Addr == a {
			return &r.Peers[i]
		}
	}
	return nil
}

// Each kind alone among three honest peers is seen for what it is, and costs
// little.
func TestEachKind(t *testing.T) {
	as := crowd(plain, plain, plain, plain)
	o := options(newFleet(t, as), as)
	before := cpuTime(t)
	run(t, o)
	clean := cpuTime(t) - before
	for i, k := range Kinds() {
		t.Run(k.Name, func(t *testing.T) {
			as := []Assignment{{address(0), plain}, {address(1), k.Name}, {address(2), plain}, {address(3), plain}}
			f := newFleet(t, as)
			o := options(f, as)
			o.Quorum = branch.Quorum{Peers: 3, Groups: 3}
			registry := prometheus.NewRegistry()
			o.Metrics = scan.NewMetrics(registry)
			before := cpuTime(t)
			r := run(t, o)
			spent := cpuTime(t) - before
			for _, row := range Conformance(r, as) {
				if !row.OK {
					t.Errorf("%s: %s", row.Kind, row.Detail)
				}
			}
			wantHonest(t, world(), r, as)
			wantCounted(t, registry, find(r, address(1)))
			if more := spent - clean; more > perPeerCPU && !raceDetector {
				t.Errorf("cost %v of processor time more than an honest peer, want at most %v", more, perPeerCPU)
			}
			limit := int64(20 << 10)
			if k.Family == Files {
				limit += wire.MaxTF * mcm.TrailerLen // followed back to tell stems apart
			}
			if p := find(r, address(1)); p != nil && p.BytesIn > limit {
				t.Errorf("%d bytes received", p.BytesIn)
			}
			if testing.Verbose() {
				p := find(r, address(1))
				t.Logf("%d: %s; %d bytes, %v", i, describe(p), p.BytesIn, spent)
			}
		})
	}
}

// wantCounted fails unless metrics show a peer's verdict and what was observed of
// it.
func wantCounted(t *testing.T, registry *prometheus.Registry, p *scan.Peer) {
	t.Helper()
	count := func(metric, label, value string) float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if l := m.GetLabel(); f.GetName() == metric && l[0].GetName() == label && l[0].GetValue() == value {
					return m.GetCounter().GetValue()
				}
			}
		}
		return 0
	}
	if count("kigo_scan_peers_total", "verdict", string(p.Verdict)) == 0 {
		t.Errorf("no metric counts the verdict %s", p.Verdict)
	}
	for _, k := range p.Faults {
		if count("kigo_scan_faults_total", "kind", string(k)) == 0 {
			t.Errorf("no metric counts the fault %s", k)
		}
	}
}

// perPeerCPU is what a peer may cost in a scan.
const perPeerCPU = 100 * time.Millisecond
