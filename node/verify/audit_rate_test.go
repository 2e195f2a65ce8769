package verify_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"kigo/node/mcm"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

// A rarelyWrong is a backend that is always asked for the same batch, knows the
// truth about it, and lies about one trailer in so many.
type rarelyWrong struct {
	*verifytest.Fake // for the rest of a Backend
	truth            []verify.Result
	rate             float64
	lie              func(*verify.Result)
	random           *rand.Rand

	asked, lies int
	wait        int // trailers until the next lie; 0 when not drawn
}

func (w *rarelyWrong) VerifyPoW(_ context.Context, dst []verify.Result, _ []mcm.Trailer) error {
	copy(dst, w.truth)
	w.asked += len(dst)
	for at := -1; ; {
		if w.wait == 0 {
			w.wait = 1 + int(w.random.ExpFloat64()/w.rate)
		}
		if at+w.wait >= len(dst) {
			w.wait -= len(dst) - 1 - at
			return nil
		}
		at, w.wait = at+w.wait, 0
		w.lie(&dst[at])
		w.lies++
	}
}

func newRarelyWrong(t testing.TB, batch []mcm.Trailer, rate float64, seed uint64, lie func(*verify.Result)) *rarelyWrong {
	return &rarelyWrong{Fake: named("liar"), truth: truth(t, batch), rate: rate, lie: lie, random: rand.New(rand.NewPCG(seed, 1))}
}

// TestAuditNeedsNoLuckForBadVerdicts has good work called bad, however rarely: it
// is found out at the first time, and nobody hears of it.
func TestAuditNeedsNoLuckForBadVerdicts(t *testing.T) {
	batch := makeTrailers(0, 1<<14)
	for _, rate := range []float64{1e-3, 1e-4, 1e-5, 1e-6} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			liar := newRarelyWrong(t, batch, rate, 1, func(r *verify.Result) { r.Verdict = verify.BadWork; r.Hash[0] ^= 0x80 })
			a := verify.Audited(liar, &verifytest.Fake{}, verify.AuditOptions{Sample: 0})
			dst := make([]verify.Result, len(batch))
			for a.Retired() == nil {
				if liar.lies > 0 {
					t.Fatalf("after %d trailers and %d lies the liar still serves", liar.asked, liar.lies)
				}
				err := a.VerifyPoW(t.Context(), dst, batch)
				var retired *verify.RetiredError
				switch {
				case err == nil && !slices.Equal(dst, liar.truth):
					t.Fatal("a wrong result is told")
				case err != nil && (!errors.As(err, &retired) || retired.Class != verify.Disagreed || !allUnchecked(dst)):
					t.Fatalf("got error %v", err)
				}
			}
			t.Logf("found out in the batch that ended at trailer %d", liar.asked)
		})
	}
}

// TestAuditSampleBoundsWrongGoodVerdicts has bad work called good, which only the
// sample finds: at a share s of good verdicts repeated, (1-s)/s of them get
// through on average before the backend is out, at whatever rate they come.
func TestAuditSampleBoundsWrongGoodVerdicts(t *testing.T) {
	const sample, runs = 0.2, 400
	batch := makeBad(0, 1)
	escaped := 0
	for range runs {
		liar := named("liar") // without the right results between the lies, which change nothing
		liar.Spoil = func(_ []mcm.Trailer, r []verify.Result) { r[0].Verdict = verify.Valid }
		a := verify.Audited(liar, &verifytest.Fake{}, verify.AuditOptions{Sample: sample})
		for a.VerifyPoW(t.Context(), make([]verify.Result, 1), batch) == nil {
			escaped++
		}
	}
	want := runs * (1 - sample) / sample
	deviation := math.Sqrt(runs*(1-sample)) / sample
	if diff := math.Abs(float64(escaped) - want); diff > 6*deviation {
		t.Errorf("%d lies got through in %d runs, want %.0f, give or take %.0f", escaped, runs, want, deviation)
	}
}
