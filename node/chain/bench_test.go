package chain

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"kigo/node/mcm"
)

// mainNet is about how many trailers the main net has.
const mainNet = 1_100_000

// filled returns a store of n trailers, and the last of them.
func filled(b *testing.B, dir string, n int) (*Store, mcm.Trailer) {
	b.Helper()
	s := mustOpen(b, dir, Options{})
	prev := mcm.GenesisTrailer()
	must(b, s.Extend([]mcm.Trailer{prev}))
	for left := n - 1; left > 0; {
		ts := grow(&prev, min(left, 100_000), 1)
		must(b, s.Extend(ts))
		prev, left = ts[len(ts)-1], left-len(ts)
	}
	return s, prev
}

// BenchmarkOpen opens a chain of the main net's length, every digest checked.
func BenchmarkOpen(b *testing.B) {
	dir := filepath.Join(b.TempDir(), "chain")
	s, _ := filled(b, dir, mainNet)
	must(b, s.Close())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for b.Loop() {
		s, err := Open(dir, Options{})
		must(b, err)
		must(b, s.Close())
	}
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/1e6, "MB/op")
	b.ReportMetric(float64(mainNet)*float64(b.N)/b.Elapsed().Seconds(), "trailers/s")
}

// BenchmarkAt looks up weights at random heights, and near the tip.
func BenchmarkAt(b *testing.B) {
	s, _ := filled(b, filepath.Join(b.TempDir(), "chain"), mainNet)
	for _, near := range []int{mainNet, 2000} {
		b.Run(fmt.Sprintf("of=%d", near), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			for b.Loop() {
				if _, ok := s.At(mcm.BlockNum(mainNet - 1 - rng.IntN(near))); !ok {
					b.Fatal("not there")
				}
			}
		})
	}
}

// BenchmarkExtend puts a block at a time behind a long chain, on the disk each.
func BenchmarkExtend(b *testing.B) {
	s, prev := filled(b, filepath.Join(b.TempDir(), "chain"), mainNet)
	for b.Loop() {
		ts := grow(&prev, 1, 1)
		must(b, s.Extend(ts))
		prev = ts[0]
	}
}

// BenchmarkPrepend stages ranges of 1,000 from the top down, as a sync does.
func BenchmarkPrepend(b *testing.B) {
	a := fromGenesis(100_000, 1)
	s := mustOpen(b, filepath.Join(b.TempDir(), "chain"), Options{})
	b.SetBytes(int64(len(a)) * mcm.TrailerLen)
	for b.Loop() {
		must(b, stage(b, s, "0a", a, 1000).Remove())
	}
}

// BenchmarkAdopt makes a staging of the main net's length the chain: an empty one by
// renaming, one of a single block by copying.
func BenchmarkAdopt(b *testing.B) {
	g := mcm.GenesisTrailer()
	for _, from := range []int{0, 1} {
		b.Run(fmt.Sprintf("from=%d", from), func(b *testing.B) {
			var spent time.Duration
			for b.Loop() {
				s := mustOpen(b, filepath.Join(b.TempDir(), "chain"), Options{})
				staged, err := s.Stage("0a")
				must(b, err)
				if from == 0 {
					must(b, staged.Append([]mcm.Trailer{g}, sender))
				} else {
					must(b, s.Extend([]mcm.Trailer{g}))
				}
				prev := g
				for range mainNet / 100_000 {
					ts := grow(&prev, 100_000, 1)
					must(b, staged.Append(ts, sender))
					prev = ts[len(ts)-1]
				}
				began := time.Now()
				must(b, s.Adopt(staged))
				spent += time.Since(began)
				must(b, s.Close())
			}
			b.ReportMetric(spent.Seconds()/float64(b.N), "s/adopt")
		})
	}
}
