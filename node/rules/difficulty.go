package rules

import "kigo/node/mcm"

// NextDifficulty returns the difficulty of the block after prev.  All 32 bits
// count: with difficulty 1 and the mixing of 0x4321 to 0x4521 it can wrap to
// 0xffffffff (docs/spec/chain.md section 6).
func NextDifficulty(prev *mcm.Trailer) uint32 {
	d := prev.Difficulty()
	elapsed := int32(prev.SolveTime() - prev.StartTime())
	if elapsed < 0 {
		return d
	}
	slow, fast := blockTimes(prev.Num())
	var mix uint32
	if n := prev.Num(); n >= mcm.V20Trigger && n <= mcm.V2001Patch {
		mix = prev.SolveTime()>>6 ^ prev.SolveTime()
	}
	switch {
	case elapsed > slow && d > 0:
		return d - 1 - mix%2
	case elapsed < fast && mix%4 == 0 && d < 255:
		return d + 1
	}
	return d
}

// blockTimes returns between which block times, in seconds, the difficulty
// stays, after block n.
func blockTimes(n mcm.BlockNum) (slow, fast int32) {
	switch {
	case n >= mcm.V30Trigger:
		return 138, 69
	case n >= mcm.V20Trigger:
		return 284, 143
	default:
		return 506, 253
	}
}

// AddsWeight reports whether a trailer of a trailer file adds to the chain's
// weight: all do but those whose number ends in ff, for the neogenesis block
// after one repeats its difficulty (docs/spec/chain.md section 7).
func AddsWeight(t *mcm.Trailer) bool { return t.Num().Low() != 0xff }

// AddWeight returns w with the weight of t added, if t adds any.
func AddWeight(w mcm.Weight, t *mcm.Trailer) mcm.Weight {
	if !AddsWeight(t) {
		return w
	}
	return w.AddDifficulty(t.WorkDifficulty())
}
