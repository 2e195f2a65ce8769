package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"kigo/cpu"
	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
	"kigo/node/synth"
	"kigo/node/tfile"
	"kigo/node/verify"
)

// now is a clock that all synthetic chains lie before.
const now = 4_000_000_000

func report(b *testing.B, trailers int) {
	b.ReportMetric(float64(b.N*trailers)/b.Elapsed().Seconds(), "trailers/s")
	b.ReportMetric(0, "ns/op")
}

// workedTrailers returns n trailers that all need a whole Peach check.
func workedTrailers(n int) []mcm.Trailer {
	r := rand.New(rand.NewPCG(1, 2))
	ts := make([]mcm.Trailer, n)
	for i := range ts {
		t := &ts[i]
		for j := range t {
			t[j] = byte(r.Uint32())
		}
		t.SetNum(mcm.V30Trigger + 1)
		t.SetTxCount(1)
		t.SetDifficulty(0)
		pow.SetRandomNonce(t, r)
	}
	return ts
}

// BenchmarkVerifyPoW compares the engines at all batch sizes, on one core and on
// all.
func BenchmarkVerifyPoW(b *testing.B) {
	trailers := workedTrailers(65536)
	results := make([]verify.Result, len(trailers))
	for _, cores := range []int{1, runtime.GOMAXPROCS(0)} {
		for _, e := range cpu.Engines() {
			if !e.Available {
				b.Logf("engine %s: %s", e.Name, e.Reason)
				continue
			}
			v := e.Open(cpu.NewCores(cores))
			for _, batch := range []int{1, 8, 54, 256, 1024, 4096, 65536} {
				if batch > 64*e.Chunk {
					continue // it gets no faster, only longer
				}
				b.Run(fmt.Sprintf("cores=%d/batch=%d/impl=%s", cores, batch, e.Name), func(b *testing.B) {
					// A new part of the trailers each time: one trailer's hash functions are
					// not another's.
					from := 0
					for b.Loop() {
						if from+batch > len(trailers) {
							from = 0
						}
						if err := v.VerifyPoW(b.Context(), results[:batch], trailers[from:from+batch]); err != nil {
							b.Fatal(err)
						}
						from += batch
					}
					report(b, batch)
				})
			}
		}
	}
}

// BenchmarkSegment is how long a caller with a proof segment of 54 trailers waits:
// alone, and while a batch that never ends keeps all cores busy.
func BenchmarkSegment(b *testing.B) {
	trailers := workedTrailers(65536)
	segment := trailers[:mcm.ProofTrailers]
	results := make([]verify.Result, len(segment))
	for _, e := range cpu.Engines() {
		if !e.Available {
			b.Logf("engine %s: %s", e.Name, e.Reason)
			continue
		}
		for _, beside := range []string{"nothing", "large"} {
			b.Run(fmt.Sprintf("beside=%s/impl=%s", beside, e.Name), func(b *testing.B) {
				v := e.Open(cpu.NewCores(runtime.GOMAXPROCS(0)))
				ctx, cancel := context.WithCancel(b.Context())
				var wg sync.WaitGroup
				if beside == "large" {
					wg.Go(func() {
						dst := make([]verify.Result, len(trailers))
						for ctx.Err() == nil {
							if err := v.VerifyPoW(ctx, dst, trailers); err != nil && ctx.Err() == nil {
								b.Error(err)
								return
							}
						}
					})
				}
				for b.Loop() {
					if err := v.VerifyPoW(b.Context(), results, segment); err != nil {
						b.Fatal(err)
					}
				}
				b.StopTimer()
				canceled := time.Now()
				cancel()
				wg.Wait()
				if beside == "large" {
					b.ReportMetric(float64(time.Since(canceled).Milliseconds()), "cancel-ms")
				}
			})
		}
	}
}

// chain returns a synthetic trailer file, made once for each share of worked
// blocks.
func chain(b *testing.B, blocks int64, worked float64) []byte {
	b.Helper()
	chainsMu.Lock()
	defer chainsMu.Unlock()
	key := fmt.Sprint(blocks, worked)
	if chains[key] == nil {
		var out bytes.Buffer
		out.Grow(int(blocks) * mcm.TrailerLen)
		_, err := synth.Generate(b.Context(), &out, synth.Config{Blocks: blocks, Worked: worked, Seed: 1, StartTime: 946684800})
		if err != nil {
			b.Fatal(err)
		}
		chains[key] = out.Bytes()
	}
	return chains[key]
}

var (
	chainsMu sync.Mutex
	chains   = map[string][]byte{}
)

// BenchmarkStructure is the structure pass alone over version 3 trailers, block
// hash recomputed, on one core.
func BenchmarkStructure(b *testing.B) {
	const first = int(mcm.V30Trigger)
	all := mcm.Trailers(chain(b, int64(first)+100_000, 0.01))
	ts := all[first-1:]
	b.Run("part=rules", func(b *testing.B) {
		for b.Loop() {
			for i := 1; i < len(ts); i++ {
				if err := rules.Check(&ts[i-1], &ts[i], now); err != nil {
					b.Fatal(err)
				}
			}
		}
		report(b, len(ts)-1)
	})
	b.Run("part=file", func(b *testing.B) {
		data := mcm.Bytes(ts)
		for b.Loop() {
			verifyFile(b, data, tfile.Options{Segment: true})
		}
		report(b, len(ts))
	})
}

// BenchmarkEndToEnd verifies a file of 100,000 trailers, nearly all worked, and
// reports its rate as a share of the engine's own on the same trailers, measured
// between the runs.
func BenchmarkEndToEnd(b *testing.B) {
	data := chain(b, 200_000, 0.99)[100_000*mcm.TrailerLen:]
	trailers := mcm.Trailers(data)
	results := make([]verify.Result, len(trailers))
	for _, e := range cpu.Engines() {
		if !e.Available {
			b.Logf("engine %s: %s", e.Name, e.Reason)
			continue
		}
		part := trailers[:min(len(trailers), 1024*e.Chunk/16)]
		b.Run("impl="+e.Name, func(b *testing.B) {
			v := e.Open(cpu.NewCores(runtime.GOMAXPROCS(0)))
			var alone time.Duration
			for b.Loop() {
				verifyFile(b, mcm.Bytes(part), tfile.Options{Segment: true, Verifier: v})
				b.StopTimer()
				start := time.Now()
				if err := v.VerifyPoW(b.Context(), results[:len(part)], part); err != nil {
					b.Fatal(err)
				}
				alone += time.Since(start)
				b.StartTimer()
			}
			report(b, len(part))
			b.ReportMetric(alone.Seconds()/b.Elapsed().Seconds(), "of-engine")
		})
	}
}

func verifyFile(b *testing.B, data []byte, o tfile.Options) {
	b.Helper()
	o.Now = now
	r, err := tfile.Verify(context.Background(), io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data))), int64(len(data)), o)
	if err != nil || !r.Valid() {
		b.Fatalf("%v, %+v", err, r)
	}
}

// BenchmarkSynth makes chains with few worked blocks.
func BenchmarkSynth(b *testing.B) {
	const blocks = 100_000
	for b.Loop() {
		_, err := synth.Generate(b.Context(), io.Discard, synth.Config{Blocks: blocks, Worked: 0.001, Seed: 1, StartTime: 946684800})
		if err != nil {
			b.Fatal(err)
		}
	}
	report(b, blocks)
}
