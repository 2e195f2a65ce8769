package scan

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"kigo/cpu"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/verify"
)

// BenchmarkFlood scans 4,096 peers of 1,024 groups, each with a segment that nobody
// else serves, over connections in memory and with a memory on disk.  peak-MB is the
// most that the heap held, that of the peers included.
func BenchmarkFlood(b *testing.B) {
	now := time.Now()
	ts := chain(now.Add(-30*time.Second), 20, 1, worked(60))
	var addrs []netip.Addr
	for i := range 4096 {
		addrs = append(addrs, addr(i%1024, i/1024))
	}
	var backends []verify.Backend
	cores := cpu.NewCores(runtime.GOMAXPROCS(0))
	for _, e := range cpu.Engines() {
		if e.Available {
			backends = append(backends, e.Open(cores))
		}
	}
	engines := verify.NewRouter(slog.New(slog.DiscardHandler), nil, backends...)
	defer engines.Close()

	own := func(a netip.Addr) []mcm.Trailer {
		ip := a.As4()
		return relink(ts, 0, func(t *mcm.Trailer) { copy(t.MerkleRoot()[:], ip[:]) })
	}
	for _, test := range []struct {
		name     string
		chain    func(netip.Addr) []mcm.Trailer
		verifier verify.Verifier
		want     Verdict
	}{
		{"hash", func(a netip.Addr) []mcm.Trailer { l := own(a); last(l).MerkleRoot()[9]++; return l }, engines, Convicted},
		{"rule", func(a netip.Addr) []mcm.Trailer { return relink(own(a), 40, func(t *mcm.Trailer) { t.SetMinFee(1) }) }, engines, Convicted},
		{"work", own, engines, Convicted},
		{"none", own, &fakeVerifier{}, Proven}, // as if each had worked for its own
	} {
		b.Run(test.name, func(b *testing.B) {
			var most uint64
			for b.Loop() {
				most = max(most, flood(b, addrs, test.chain, test.verifier, test.want))
			}
			b.ReportMetric(float64(most>>20), "peak-MB")
		})
	}
}

// flood makes one scan and returns the most that the heap held.
func flood(b *testing.B, addrs []netip.Addr, chain func(netip.Addr) []mcm.Trailer, v verify.Verifier, want Verdict) (most uint64) {
	var peers sync.WaitGroup
	db, err := memory.Open(filepath.Join(b.TempDir(), "memory.db"), memory.Identity{Rules: rules.Version}, memory.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	o := Options{
		Client: peer.NewClient(peer.Options{Dial: func(_ context.Context, ap netip.AddrPort) (net.Conn, error) {
			here, there := net.Pipe()
			peers.Go(func() { (&actor{chain: chain(ap.Addr())}).serve(context.Background(), there) })
			return here, nil
		}}),
		Verifier: v,
		Book:     NewBook(BookOptions{}),
		Memory:   db,
		Proof:    proof.Options{Height: &proof.Anchor{Num: firstBlock, Time: uint32(time.Now().Add(-365 * 24 * time.Hour).Unix())}},
	}
	o.Book.AddConfigured(addrs...)
	stop := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
			select {
			case <-tick.C:
			case <-stop:
				return
			}
		}
	})
	r, err := Run(b.Context(), o)
	close(stop)
	watch.Wait()
	peers.Wait()
	if err != nil {
		b.Fatal(err)
	}
	for i := range r.Peers {
		if p := &r.Peers[i]; p.Verdict != want {
			b.Fatalf("%v is %s (%s), want %s", p.Addr, p.Verdict, p.Detail, want)
		}
	}
	return most
}
