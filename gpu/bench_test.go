//go:build cuda

package gpu

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"kigo/node/mcm"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

// BenchmarkVerifyPoW measures the whole way of a batch that needs Peach, copies and
// the host's part included.  The fake driver does small ones only.
func BenchmarkVerifyPoW(b *testing.B) {
	all := devices(b, options(0))
	var peach []mcm.Trailer
	for _, t := range verifytest.Trailers(rand.New(rand.NewPCG(1, 1)), 1<<16) {
		if len(verify.Prepare(make([]verify.Result, 1), []mcm.Trailer{t}, nil)) == 1 {
			peach = append(peach, t)
		}
	}
	for _, d := range all {
		for _, n := range []int{54, 1 << 10, 1 << 13, 1 << 16, 1 << 18, 1 << 20, 1 << 22} {
			b.Run(fmt.Sprintf("impl=%s/batch=%d", d.Info().Name, n), func(b *testing.B) {
				if n > 1<<10 && strings.Contains(d.Info().Detail, "fake") {
					b.Skip("the fake driver")
				}
				batch, dst := make([]mcm.Trailer, n), make([]verify.Result, n)
				for i := range batch {
					batch[i] = peach[i%len(peach)]
				}
				for b.Loop() {
					if err := d.VerifyPoW(b.Context(), dst, batch); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "trailers/s")
			})
		}
	}
}
