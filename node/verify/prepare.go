package verify

import (
	"fmt"

	"kigo/node/mcm"
	"kigo/node/pow"
)

// Prepare decides all that needs no Peach hash: exempt trailers, nonces that
// are no haiku, and Trigg.  It stores those results in dst, which has batch's
// length, and appends to peach the indexes of the trailers that are left
// (docs/spec/pow.md sections 3 to 7).  Engines call it first.
func Prepare(dst []Result, batch []mcm.Trailer, peach []int32) []int32 {
	for i := range batch {
		t := &batch[i]
		switch pow.AlgorithmOf(t) {
		case pow.None:
			dst[i] = Result{Verdict: Exempt}
		case pow.Trigg:
			if !pow.NonceSyntax(t) {
				dst[i] = Result{Verdict: BadNonce}
				continue
			}
			hash := pow.TriggHash(t)
			dst[i] = judge(t, &hash)
		case pow.Peach:
			if !pow.NonceSyntax(t) {
				dst[i] = pardon(t, Result{Verdict: BadNonce})
				continue
			}
			peach = append(peach, int32(i))
		}
	}
	return peach
}

// JudgePeach returns the result for t whose nonce has passed Prepare and whose
// final Peach hash is hash: the comparison with the difficulty and the one
// exception (docs/spec/pow.md sections 4 and 6).
func JudgePeach(t *mcm.Trailer, hash *mcm.Hash) Result {
	return pardon(t, judge(t, hash))
}

func judge(t *mcm.Trailer, hash *mcm.Hash) Result {
	if pow.Meets(hash, t.WorkDifficulty()) {
		return Result{Valid, *hash}
	}
	return Result{BadWork, *hash}
}

func pardon(t *mcm.Trailer, r Result) Result {
	if r.Verdict.Bad() && pow.Anomaly(t) {
		r.Verdict = Valid
	}
	return r
}

// Explain says in words why a bad result of t is bad: what was expected and what
// was found.
func Explain(t *mcm.Trailer, r *Result) string {
	switch r.Verdict {
	case BadNonce:
		first, second := pow.Halves(t)
		which := "both halves of the nonce are"
		switch {
		case first.Syntax():
			which = "the second half of the nonce is"
		case second.Syntax():
			which = "the first half of the nonce is"
		}
		return fmt.Sprintf("%s no haiku (%x), expected a sentence that one of the ten frames fits", which, *t.Nonce())
	case BadWork:
		return fmt.Sprintf("%v hash %v has %d leading zero bits, expected at least %d", pow.AlgorithmOf(t), r.Hash, r.Hash.LeadingZeroBits(), t.WorkDifficulty())
	}
	return r.Verdict.String()
}
