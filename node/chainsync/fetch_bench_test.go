package chainsync_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/verify"
)

// benchTrailers is how long the chain of the benchmarks is.
const benchTrailers = 50_000

// BenchmarkSync fetches and proves a chain from 8 honest peers on loopback in ranges,
// with a stand-in for proof of work.
func BenchmarkSync(b *testing.B) {
	w := synctest.NewWorld(1, benchTrailers)
	for _, peers := range []int{1, 8} {
		b.Run(fmt.Sprintf("peers=%d", peers), func(b *testing.B) {
			var bytes int64
			for b.Loop() {
				b.StopTimer()
				t := newBench(b, w, func(o *chainsync.Options) { o.Limits = chainsync.Limits{} })
				all := t.net.Peers(b, w.Chain, peers)
				t.o.Client = t.net.Client(peer.Timeouts{})
				s, err := chainsync.New(t.o)
				if err != nil {
					b.Fatal(err)
				}
				t.s = s
				b.StartTimer()
				d := t.download(b, synctest.Branch(all...))
				if err := d.Run(context.Background()); err != nil {
					b.Fatal(err)
				}
				if err := chainsync.Full(context.Background(), s, d.Staging()); err != nil {
					b.Fatal(err)
				}
				for _, p := range all {
					bytes += p.Counts().Bytes
				}
			}
			b.ReportMetric(float64(bytes)/float64(b.N)/float64(len(w.Chain)*mcm.TrailerLen), "bytes/file")
			b.ReportMetric(float64(b.N)*benchTrailers/b.Elapsed().Seconds(), "trailers/s")
		})
	}
}

// BenchmarkWholeFile is what it is compared with: one whole file from one peer, its
// work checked when all of it is there.
func BenchmarkWholeFile(b *testing.B) {
	w := synctest.NewWorld(1, benchTrailers)
	n := synctest.NewNetwork(b, w)
	p := n.Peer(b, "127.10.1.1", w.Chain)
	client := n.Client(peer.Timeouts{})
	for b.Loop() {
		call, err := client.Call(context.Background(), p.Addr)
		if err != nil {
			b.Fatal(err)
		}
		var file bytes.Buffer
		if _, err := call.TFile(context.Background(), peer.MaxFile, &file); err != nil {
			b.Fatal(err)
		}
		ts := mcm.Trailers(file.Bytes())
		if len(ts) != len(w.Chain) {
			b.Fatal(len(ts))
		}
		for len(ts) > 0 {
			part := ts[:min(len(ts), 1<<13)]
			if err := w.Work.VerifyPoW(context.Background(), make([]verify.Result, len(part)), part); err != nil {
				b.Fatal(err)
			}
			ts = ts[len(part):]
		}
	}
	b.ReportMetric(float64(b.N)*benchTrailers/b.Elapsed().Seconds(), "trailers/s")
}
