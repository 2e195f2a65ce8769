package scan

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Genuine trailers from right below the honest segment with a free tail of
// pseudoblocks make a branch of the first class, with more groups than the honest
// one.  It loses by weight once it is seen where it parts, also if the peers that
// show the lowest honest trailers don't serve more.
func TestReplayWithFreeTail(t *testing.T) {
	for name, hold := range map[string]int{"alone": 0, "with peers that hold the stem": 3} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNetwork()
				ts := chain(time.Now().Add(-30*time.Second), 20, 1, worked(180))
				var actors []*actor
				for range 3 {
					actors = append(actors, &actor{chain: ts})
				}
				tailed := slices.Clone(ts[:len(ts)-60])
				tailed = grow(tailed, 1, pseudo(24))
				for range 12 {
					actors = append(actors, &actor{chain: tailed})
				}
				for range hold { // on the honest branch, three blocks behind
					actors = append(actors, &actor{chain: slices.Clone(ts[len(ts)-57 : len(ts)-3])})
				}
				addrs := n.add(actors...)
				o := n.options(&fakeVerifier{}, addrs...)
				o.Proof.Base = ts[0].Num()
				r := n.scan(t, o)
				wantChosen(t, r, Quorum, last(ts))
				if len(r.Branches) != 2 || !r.Branches[0].FirstClass || !r.Branches[1].FirstClass {
					t.Errorf("%d branches, want two of the first class", len(r.Branches))
				}
				noPoints(t, r)
			})
		})
	}
}
