package bench

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"kigo/cpu"
	"kigo/node"
	"kigo/node/branch"
	trailers "kigo/node/chain"
	"kigo/node/chainsync"
	"kigo/node/chaos"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/scan"
	"kigo/node/tfile"
	"kigo/node/verify"
)

// syncBlocks is how long the chain of BenchmarkSync is; main net has 1.1 million.
var syncBlocks = func() int {
	if n, err := strconv.Atoi(os.Getenv("KIGO_TEST_BLOCKS")); err == nil {
		return n
	}
	return 50_000
}()

// believing engines find all proof of work valid.
type believing struct{}

func (believing) VerifyPoW(_ context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	for i := range batch {
		dst[i] = verify.Result{Verdict: verify.Valid}
	}
	return nil
}

// A syncBench is a network to sync from.
type syncBench struct {
	world  *chaos.World
	chain  []mcm.Trailer
	honest int
	fleet  *chaos.Fleet
}

func (s *syncBench) start(b *testing.B, liars ...string) {
	b.Helper()
	var as []chaos.Assignment
	for i, kind := range slices.Concat(slices.Repeat([]string{"honest"}, s.honest), liars) {
		as = append(as, chaos.Assignment{Addr: netip.AddrFrom4([4]byte{127, 70, byte(1 + i), 1}), Kind: kind})
	}
	var err error
	if s.fleet, err = chaos.NewFleet(s.world, chaos.FleetConfig{Seed: 1, Peers: as, Bound: 10 * time.Minute}); err != nil {
		b.Fatal(err)
	}
	if err := s.fleet.Start(); err != nil {
		b.Fatal(err)
	}
}

func (s *syncBench) client() *peer.Client {
	return peer.NewClient(peer.Options{Port: s.fleet.Port(), Timeouts: peer.DefaultTimeouts()})
}

// sync has a node that has all but the last behind blocks find, fetch and prove the
// chain, and returns how long that took and how many bytes came in.
func (s *syncBench) sync(b *testing.B, v verify.Verifier, behind int) (time.Duration, int64) {
	b.Helper()
	store, err := trailers.Open(b.TempDir(), trailers.Options{Base: s.world.Base})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	for ts := s.chain[:len(s.chain)-behind]; len(ts) > 0; {
		n := min(len(ts), 10_000)
		if err := store.Extend(ts[:n]); err != nil {
			b.Fatal(err)
		}
		ts = ts[n:]
	}
	o := scan.Options{
		Client: s.client(), Verifier: verify.Cached(v, 1<<16, nil, nil),
		Book:    scan.NewBook(scan.BookOptions{Private: true, Groups: fault.Groups{Bits: 24}}),
		Proof:   proof.Options{Base: s.world.Base.Num, Height: &s.world.Base},
		Anchors: []proof.Anchor{s.world.Base},
		Quorum:  branch.Quorum{Peers: 3, Groups: 3},
	}
	for _, a := range s.fleet.Peers() {
		o.Book.AddConfigured(a.Addr)
	}
	n, err := node.New(node.Options{
		Chain: store, Scan: o, Sync: chainsync.Options{Base: s.world.Base}, Times: node.Times{Stale: 3 * time.Hour},
	})
	if err != nil {
		b.Fatal(err)
	}
	before := s.sent()
	ctx, cancel := context.WithTimeout(b.Context(), 20*time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	began := time.Now()
	go func() { ended <- n.Run(ctx) }()
	want := *s.chain[len(s.chain)-1].Hash()
	seq := uint64(0)
	for {
		events, _, more := n.Events().After(seq)
		for _, e := range events {
			seq = e.Seq
		}
		if tip, ok := store.Tip(); ok && tip.Hash == want {
			break
		}
		select {
		case <-more:
		case err := <-ended:
			b.Fatalf("the node has ended: %v", err)
		}
	}
	took := time.Since(began)
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	return took, s.sent() - before
}

// sent is how many bytes all peers have sent.
func (s *syncBench) sent() (n int64) {
	for _, p := range s.fleet.Stats() {
		n += p.BytesOut
	}
	return n
}

// BenchmarkSync measures what it takes to find, fetch and prove a chain from 8 peers
// on loopback, which run in the same process, and compares that with one whole file
// that is fetched and then verified.  KIGO_TEST_BLOCKS says how long the chain is.
func BenchmarkSync(b *testing.B) {
	cores := cpu.NewCores(0)
	var backends []verify.Backend
	for _, e := range cpu.Engines() {
		if e.Available {
			backends = append(backends, e.Open(cores))
		}
	}
	engines := verify.NewRouter(slog.New(slog.DiscardHandler), nil, backends...)
	defer engines.Close()
	w, err := chaos.NewWorld(b.Context(), chaos.WorldConfig{Seed: 1, Solver: engines, Now: time.Now(), Blocks: syncBlocks})
	if err != nil {
		b.Fatal(err)
	}
	s := &syncBench{world: w, chain: w.Chain().Trailers(), honest: 8}
	size := float64(len(s.chain) * mcm.TrailerLen)
	seconds := map[string]float64{}
	// measure runs one case, and tells its time, its bytes as a multiple of the file's
	// size, and its time as a multiple of others' before it.
	measure := func(name string, run func(b *testing.B) (time.Duration, int64), others map[string]func() float64) {
		b.Run(name, func(b *testing.B) {
			var took time.Duration
			var bytes int64
			for b.Loop() {
				t, n := run(b)
				took, bytes = took+t, bytes+n
			}
			mean := took.Seconds() / float64(b.N)
			seconds[name] = mean
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(mean, "s")
			b.ReportMetric(float64(bytes)/float64(b.N)/size, "bytes/file")
			b.ReportMetric(float64(bytes)/float64(b.N), "bytes")
			for name, of := range others {
				if o := of(); o > 0 {
					b.ReportMetric(mean/o, name)
				}
			}
		})
	}
	alone := func() float64 { return seconds["what=fetch"] + seconds["what=verify"] }
	with := map[string]func() float64{"x/file+verify": alone}

	s.start(b)
	var whole bytes.Buffer
	measure("what=fetch", func(b *testing.B) (time.Duration, int64) {
		whole.Reset()
		before, began := s.sent(), time.Now()
		call, err := s.client().Call(b.Context(), s.fleet.Peers()[0].Addr)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := call.TFile(b.Context(), peer.MaxFile, &whole); err != nil {
			b.Fatal(err)
		}
		if whole.Len() != int(size) {
			b.Fatalf("a file of %d bytes, expected %.0f", whole.Len(), size)
		}
		return time.Since(began), s.sent() - before
	}, nil)
	measure("what=verify", func(b *testing.B) (time.Duration, int64) {
		began := time.Now()
		r, err := tfile.Verify(b.Context(), bytes.NewReader(mcm.Bytes(s.chain)), int64(size), tfile.Options{Verifier: engines, Now: time.Now().Unix(), Segment: true})
		if err != nil || len(r.Problems) > 0 {
			b.Fatal(err, r.Problems)
		}
		return time.Since(began), 0
	}, nil)
	measure("what=ranges", func(b *testing.B) (time.Duration, int64) { return s.sync(b, believing{}, len(s.chain)) }, nil)
	measure("what=sync/from=empty", func(b *testing.B) (time.Duration, int64) { return s.sync(b, engines, len(s.chain)) }, map[string]func() float64{
		"x/file+verify": alone,
		"x/larger":      func() float64 { return max(seconds["what=ranges"], seconds["what=verify"]) },
	})
	measure("what=sync/from=1000", func(b *testing.B) (time.Duration, int64) { return s.sync(b, engines, 1000) }, with)
	if err := s.fleet.Close(); err != nil {
		b.Fatal(err)
	}
	s.honest = 4
	s.start(b, "file-forged-tail", "file-forged-head", "file-bad-work", "file-not-proof")
	measure("what=sync/from=empty/hostile=4", func(b *testing.B) (time.Duration, int64) { return s.sync(b, engines, len(s.chain)) }, with)
	measure("what=sync/from=1000/hostile=4", func(b *testing.B) (time.Duration, int64) { return s.sync(b, engines, 1000) }, with)
	if err := s.fleet.Close(); err != nil {
		b.Fatal(err)
	}
	b.Logf("%d trailers", len(s.chain))
}
