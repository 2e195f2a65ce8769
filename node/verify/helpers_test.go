package verify_test

import (
	"math/rand/v2"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

// makeTrailers returns n different trailers from number first on that need
// Peach, each of which a Fake calls Valid.
func makeTrailers(first, n int) []mcm.Trailer {
	r := rand.New(rand.NewPCG(uint64(first), 7))
	ts := make([]mcm.Trailer, n)
	for i := range ts {
		t := &ts[i]
		t.SetNum(0x20001 + mcm.BlockNum(first+i)*256)
		t.SetTxCount(1)
		pow.SetRandomNonce(t, r)
	}
	return ts
}

// makeBad returns trailers that a Fake calls BadWork.
func makeBad(first, n int) []mcm.Trailer {
	ts := makeTrailers(first, n)
	for i := range ts {
		ts[i].SetDifficulty(255)
	}
	return ts
}

// truth returns what a Fake finds out about ts.
func truth(t testing.TB, ts []mcm.Trailer) []verify.Result {
	t.Helper()
	r := make([]verify.Result, len(ts))
	if err := new(verifytest.Fake).VerifyPoW(t.Context(), r, ts); err != nil {
		t.Fatal(err)
	}
	return r
}

// wantTruth asks v and compares.
func wantTruth(t testing.TB, v verify.Verifier, ts []mcm.Trailer) {
	t.Helper()
	got, want := make([]verify.Result, len(ts)), truth(t, ts)
	if err := v.VerifyPoW(t.Context(), got, ts); err != nil {
		t.Error(err)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("trailer %d of %d: got %v with hash %v, want %v with hash %v",
				i, len(ts), got[i].Verdict, got[i].Hash, want[i].Verdict, want[i].Hash)
			return
		}
	}
}

// allUnchecked reports whether results say nothing.
func allUnchecked(results []verify.Result) bool {
	for i := range results {
		if results[i] != (verify.Result{}) {
			return false
		}
	}
	return true
}

// value returns a counter's or gauge's value; labels come as name, value pairs.
func value(t testing.TB, g prometheus.Gatherer, name string, labels ...string) float64 {
	t.Helper()
	families, err := g.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	series:
		for _, m := range f.GetMetric() {
			for i := 0; i < len(labels); i += 2 {
				for _, l := range m.GetLabel() {
					if l.GetName() == labels[i] && l.GetValue() != labels[i+1] {
						continue series
					}
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return sum
}
