package verify

import (
	"context"
	_ "embed"
	"fmt"

	"kigo/node/mcm"
)

// answerLen is the length of one known answer in answers.bin: the trailer, the
// verdict's byte, the final hash.
const answerLen = mcm.TrailerLen + 1 + mcm.HashLen

// answersBin is a choice of the golden vectors, first those that need Peach,
// then the others.
//
//go:generate go test -run ^TestAnswersFile$ -update .
//go:embed answers.bin
var answersBin []byte

// An answer is a trailer and what any engine must find out about it.
type answer struct {
	trailer mcm.Trailer
	want    Result
}

// peachAnswers is how many of the known answers need Peach.  It is a prime, so
// that with any number of lanes each answer visits each lane sooner or later.
const peachAnswers = 17

// knownAnswers returns the answers that need Peach and the others.
func knownAnswers() (peach, other []answer) {
	for b := answersBin; len(b) > 0; b = b[answerLen:] {
		a := answer{mcm.Trailer(b[:mcm.TrailerLen]), Result{
			Verdict(b[mcm.TrailerLen]),
			mcm.Hash(b[mcm.TrailerLen+1 : answerLen]),
		}}
		if len(peach) < peachAnswers {
			peach = append(peach, a)
		} else {
			other = append(other, a)
		}
	}
	return peach, other
}

// selfTestLanes bounds the lanes that SelfTest fills, for devices whose step is
// thousands of trailers wide.
const selfTestLanes = 128

// SelfTest asks b for known answers, good and spoiled ones, at several batch
// lengths and in changing lanes, and returns a *BackendError when one result
// differs or b fails.  An engine that doesn't pass must not serve.
//
// The answers reach all eight hash functions, in tiles and in jumps.  It costs a
// scalar engine 17 Peach checks and a wide one four steps of its lanes.
func SelfTest(ctx context.Context, b Backend) error {
	peach, other := knownAnswers()
	first := 0
	for _, n := range selfTestLengths(b.Info().Lanes) {
		var batch []mcm.Trailer
		var want []Result
		add := func(a *answer) {
			batch = append(batch, a.trailer)
			want = append(want, a.want)
		}
		for i := range n {
			add(&peach[(first+i)%len(peach)])
			if i%3 == 1 { // lanes must not be confused by what needs none
				add(&other[(first+i/3)%len(other)])
			}
		}
		first += n
		got := make([]Result, len(batch))
		if err := b.VerifyPoW(ctx, got, batch); err != nil {
			return &BackendError{b.Info().Name, "self-test", err}
		}
		for i := range got {
			if got[i] != want[i] {
				return &BackendError{b.Info().Name, "self-test", fmt.Errorf(
					"block %v as trailer %d of %d: got %v with hash %v, want %v with hash %v",
					batch[i].Num(), i, len(batch), got[i].Verdict, got[i].Hash, want[i].Verdict, want[i].Hash)}
			}
		}
	}
	return nil
}

// selfTestLengths returns how many Peach trailers each batch has.
func selfTestLengths(lanes int) []int {
	if lanes <= 1 {
		return []int{1, 2, 4, 10} // every answer once
	}
	lanes = min(lanes, selfTestLanes)
	return []int{1, lanes - 1, lanes + 1} // one step, one step, two steps
}
