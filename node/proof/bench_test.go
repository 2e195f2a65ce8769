package proof_test

import (
	"math/rand/v2"
	"testing"

	"kigo/node/proof"
	"kigo/node/proof/prooftest"
)

// BenchmarkStructure judges an honest segment, the cheap part.
func BenchmarkStructure(b *testing.B) {
	_, chain := grown(61, 300)
	p := show(chain)
	for b.Loop() {
		if f := p.Structure(options(), clock(chain)); f != nil {
			b.Fatal(f)
		}
	}
	b.ReportMetric(float64(len(p.Trailers)*b.N)/b.Elapsed().Seconds(), "trailers/s")
}

// BenchmarkWork is what a thousand equal proofs cost beside their one segment's
// proof of work.
func BenchmarkWork(b *testing.B) {
	_, chain := grown(62, 300)
	var proofs []*proof.Proof
	for range 1000 {
		proofs = append(proofs, structured(b, chain, show(chain)))
	}
	for b.Loop() {
		for _, p := range proofs {
			p.Done = false
		}
		if _, err := proof.Work(b.Context(), new(prooftest.StandIn), proof.NewKnownSet(nil, nil), proofs, rand.IntN); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(len(proofs)*b.N)/b.Elapsed().Seconds(), "proofs/s")
}
