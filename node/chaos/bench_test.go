package chaos

import (
	"testing"

	"kigo/node/scan"
)

// A scan of honest peers only: what the conversations cost, on both sides, and
// which share of the time went into work checks.
func BenchmarkScan(b *testing.B) {
	for _, test := range []struct {
		name  string
		peers int
	}{{"peers=100", 100}, {"peers=1000", 1000}} {
		b.Run(test.name, func(b *testing.B) {
			as, err := Plan(1, test.peers, test.peers, nil)
			if err != nil {
				b.Fatal(err)
			}
			f := newFleet(b, as)
			var took, work float64
			before := cpuTime(b)
			for b.Loop() {
				o := options(f, as)
				o.Client = patient(f)
				r := run(b, o)
				if r.State != scan.Quorum {
					b.Fatalf("state %s", r.State)
				}
				took += r.Seconds
				work += r.PowSeconds
			}
			b.ReportMetric(float64(test.peers*b.N)/b.Elapsed().Seconds(), "peers/s")
			b.ReportMetric(100*work/took, "%pow")
			b.ReportMetric(1000*(cpuTime(b)-before).Seconds()/float64(test.peers*b.N), "cpu-ms/peer")
		})
	}
}
