package branch_test

import (
	"slices"
	"testing"

	"kigo/node/branch"
	"kigo/node/mcm"
	"kigo/node/proof/prooftest"
)

// BenchmarkThousandPeers adds what a thousand peers show and chooses: all honest
// within the last blocks, all with a pseudo tip of their own on the stem, and all
// with a branch of their own.
func BenchmarkThousandPeers(b *testing.B) {
	m, chain := grown(301, 300)
	mixes := map[string]func(i int) []mcm.Trailer{
		"honest": func(i int) []mcm.Trailer { return chain[:300-i%3] },
		"tips": func(i int) []mcm.Trailer {
			stem := chain[:300-i%200]
			return append(slices.Clone(stem), m.Pseudo(&stem[len(stem)-1]))
		},
		"branches": func(i int) []mcm.Trailer {
			m := prooftest.NewMiner(uint64(i))
			return m.Grow([]mcm.Trailer{m.First(base, 0, began)}, 59, 0)
		},
	}
	for _, name := range []string{"honest", "tips", "branches"} {
		var all []showing
		for i := range 1000 {
			all = append(all, shows(b, peer(i%250, i), mixes[name](i)))
		}
		now := clock(chain) + 300
		b.Run("peers="+name, func(b *testing.B) {
			for b.Loop() {
				s := fill(branch.Options{}, all)
				if s.Choose(now, branch.Quorum{Peers: 3, Groups: 3}) == nil {
					b.Fatal("nothing chosen")
				}
			}
			b.ReportMetric(float64(1000*b.N)/b.Elapsed().Seconds(), "peers/s")
		})
	}
}
