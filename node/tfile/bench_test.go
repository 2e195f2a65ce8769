package tfile

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"testing"

	"kigo/node/mcm"
)

// BenchmarkStructure is the structure pass on one core over version 3 trailers,
// beside the SHA-256 of a trailer that each of them needs at least.
func BenchmarkStructure(b *testing.B) {
	ts := v3(50000)
	run := func(part string, pass func() bool) {
		b.Run("part="+part, func(b *testing.B) {
			for b.Loop() {
				if !pass() {
					b.Fatal("a good trailer failed")
				}
			}
			b.ReportMetric(float64(b.N*len(ts))/b.Elapsed().Seconds(), "trailers/s")
		})
	}
	run("all", func() bool {
		w := walk{now: clock, segment: true}
		for i := range ts {
			if w.next(&ts[i]) != nil {
				return false
			}
		}
		return true
	})
	run("sha256", func() bool {
		for i := range ts {
			if sha256.Sum256(ts[i][:128]) != *ts[i].Hash() {
				return false
			}
		}
		return true
	})
}

// BenchmarkVerify is the whole line of stages: structure alone, and with an
// engine that costs nothing, without and with a side file's sums.
func BenchmarkVerify(b *testing.B) {
	ts := v3(100000)
	data := mcm.Bytes(ts)
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"structure", Options{}},
		{"work", Options{Verifier: instant{}}},
		{"resumed", Options{Verifier: instant{}, Resume: b.TempDir() + "/side"}},
	} {
		c.o.Now, c.o.Segment = clock, true
		b.Run(fmt.Sprintf("stages=%s", c.name), func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			for b.Loop() {
				rep, err := Verify(context.Background(), bytes.NewReader(data), int64(len(data)), c.o)
				if err != nil || !rep.Valid() {
					b.Fatal(err, rep.Problems)
				}
			}
			b.ReportMetric(float64(b.N*len(ts))/b.Elapsed().Seconds(), "trailers/s")
		})
	}
}
