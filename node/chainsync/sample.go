package chainsync

import (
	"fmt"
	"math"
	"strconv"

	"kigo/node/status"
)

// missed is the chance that Established speaks of, 0.1 %.
const missed = 0.001

// Established says what it means that all of n trailers, drawn with probability
// proportional to their weight by somebody whom no peer can guess, have valid work
// (docs/spec/sync.md section 8.5, S4): if a fraction f of the weight had none, all n
// would miss it with probability (1-f)^n.  Fraction is the f at which that is 0.1 %,
// rounded up to two digits, so that what the text says is true.
func Established(n int) status.Sampled {
	s := status.Sampled{Samples: n, Missed: missed, Fraction: 1}
	if n > 0 {
		s.Fraction = roundUp(-math.Expm1(math.Log(missed) / float64(n)))
	}
	s.Text = fmt.Sprintf("if more than %s %% of the weight had no valid work, the chance of missing it is below %s %%",
		percent(s.Fraction), percent(s.Missed))
	return s
}

// roundUp returns f, between 0 and 1, rounded up to two significant digits.
func roundUp(f float64) float64 {
	scale := math.Pow(10, 1-math.Floor(math.Log10(f)))
	return min(1, math.Ceil(f*scale*(1-1e-12))/scale)
}

// percent writes a fraction of few digits in per cent.
func percent(f float64) string {
	return strconv.FormatFloat(math.Round(f*1e14)/1e12, 'f', -1, 64)
}
