package scan_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"kigo/cpu"
	"kigo/node/internal/freeport"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/scan"
	"kigo/node/verify"
	"kigo/node/wire"
	"kigo/testdata"
)

// A node is an honest one that serves trailers.
type node struct {
	trailers []mcm.Trailer
	state    wire.State
	peers    []netip.Addr
}

func (n *node) State() wire.State                         { return n.state }
func (n *node) Peers() []netip.Addr                       { return n.peers }
func (n *node) TFile() (io.ReadCloser, error)             { return nil, errors.ErrUnsupported }
func (n *node) Block(mcm.BlockNum) (io.ReadCloser, error) { return nil, errors.ErrUnsupported }
func (n *node) Hash(mcm.BlockNum) (h mcm.Hash, ok bool)   { return h, false }
func (n *node) Heard(netip.Addr, wire.Caps)               {}
func (n *node) Found(netip.Addr, *wire.Packet)            {}
func (n *node) TX(netip.Addr, *wire.Packet)               {}
func (n *node) Trailers(first, count uint32) []mcm.Trailer {
	at := int64(first) - int64(n.trailers[0].Num())
	if at < 0 || at >= int64(len(n.trailers)) {
		return nil
	}
	return n.trailers[at:min(at+int64(count), int64(len(n.trailers)))]
}

// serve starts a node on all of these loopback addresses and returns their port.
func serve(tb testing.TB, n *node, addrs []netip.Addr) uint16 {
	s := peer.NewServer(n, peer.ServerOptions{Workers: 4096, PerGroup: 4096, Open: 4096, OpenPerGroup: 4096})
	ctx, cancel := context.WithCancel(context.Background())
	var serving sync.WaitGroup
	tb.Cleanup(serving.Wait)
	tb.Cleanup(cancel)
	reserved, err := freeport.Reserve()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { reserved.Close() })
	for _, a := range addrs {
		ln, err := net.Listen("tcp4", netip.AddrPortFrom(a, reserved.Number).String())
		if err != nil {
			tb.Fatal(err)
		}
		serving.Go(func() {
			if err := s.Serve(ctx, ln); err != nil {
				tb.Error(err)
			}
		})
	}
	return reserved.Number
}

// BenchmarkScan scans 1,000 honest peers on loopback, all of which name 64 others,
// with the last 54 trailers of a real chain and their work.  Servers and scan share
// the processor.
func BenchmarkScan(b *testing.B) {
	data, err := testdata.Files.ReadFile("mainnet/trailers-0x94701-0x947ff.bin")
	if err != nil {
		b.Fatal(err)
	}
	n := &node{trailers: mcm.Trailers(data)}
	tip := &n.trailers[len(n.trailers)-1]
	n.state = wire.State{Num: tip.Num(), Hash: *tip.Hash(), Prev: *tip.PrevHash()}
	for i := range n.trailers {
		n.state.Weight = rules.AddWeight(n.state.Weight, &n.trailers[i])
	}
	var addrs []netip.Addr
	for i := range 1000 {
		addrs = append(addrs, netip.AddrFrom4([4]byte{127, byte(1 + i%250), 0, byte(1 + i/250)}))
	}
	n.peers = addrs[:64]
	port := serve(b, n, addrs)
	cores := cpu.NewCores(2)
	var backends []verify.Backend
	for _, e := range cpu.Engines() {
		if e.Available {
			backends = append(backends, e.Open(cores))
		}
	}
	v := verify.NewRouter(slog.New(slog.DiscardHandler), nil, backends...)
	defer v.Close()

	var bytes, work, seconds float64
	b.ReportAllocs()
	for b.Loop() {
		book := scan.NewBook(scan.BookOptions{Private: true})
		book.AddConfigured(addrs...)
		r, err := scan.Run(b.Context(), scan.Options{
			Client:   peer.NewClient(peer.Options{Port: port}),
			Verifier: v,
			Book:     book,
			Proof:    proof.Options{AllowOld: true},
			Now:      func() time.Time { return time.Unix(int64(tip.SolveTime()), 0) },
		})
		if err != nil {
			b.Fatal(err)
		}
		if r.State != scan.Quorum || len(r.Branches) != 1 || len(r.Branches[0].Peers) != len(addrs) {
			b.Fatalf("state %s, %d branches, alarms %v: %+v", r.State, len(r.Branches), r.Alarms, r.Peers[0])
		}
		bytes += float64(r.Bytes.In + r.Bytes.Out)
		work += r.PowSeconds
		seconds += r.Seconds
	}
	b.ReportMetric(float64(len(addrs)*b.N)/b.Elapsed().Seconds(), "peers/s")
	b.ReportMetric(work/seconds, "pow-share")
	b.ReportMetric(bytes/float64(len(addrs)*b.N), "wire-B/peer")
}
