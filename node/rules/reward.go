package rules

import (
	"math/bits"

	"kigo/node/mcm"
)

// GenesisAmount is the amount of the genesis ledger, in the smallest unit.
const GenesisAmount = 4757066000000000

// rewardFloor is the reward that falling rewards end at.
const rewardFloor = 1000000000

// Reward returns the mining reward of block number n in the smallest unit, 10^9
// of which make a coin.  It is defined for all numbers; who is paid is
// PaysReward's to say (docs/spec/chain.md section 8).
func Reward(n mcm.BlockNum) uint64 {
	switch {
	case n == 0:
		return 0
	case n < mcm.V20Trigger:
		return 5000000000 + 56000*uint64(n-1)
	case n < mcm.MidTrigger:
		return 5917392000 + 150000*uint64(n-mcm.V20Trigger)
	case n <= mcm.V30Trigger:
		return 59523942000 - 28488*uint64(n-mcm.MidTrigger)
	}
	const start = 12938103399
	overflow, drop := bits.Mul64(2070, uint64(n-mcm.V30Trigger))
	if overflow != 0 || drop > start-rewardFloor {
		return rewardFloor
	}
	return start - drop
}

// PaysReward reports whether somebody was paid Reward for t: for standard blocks
// always, for pseudoblocks from V30Trigger on, for neogenesis blocks never
// (docs/spec/chain.md section 8).
func PaysReward(t *mcm.Trailer) bool {
	n := t.Num()
	return !n.IsNeogenesis() && (n >= mcm.V30Trigger || t.TxCount() != 0)
}

// AddReward returns the sum of rewards with that of t added, if it pays one, and
// RewardsOverflow when the sum does not fit 64 bits.
func AddReward(sum uint64, t *mcm.Trailer) (uint64, error) {
	if !PaysReward(t) {
		return sum, nil
	}
	total, carry := bits.Add64(sum, Reward(t.Num()), 0)
	if carry != 0 {
		return sum, fail(RewardsOverflow, t.Num(), "the sum of rewards up to here exceeds 64 bits")
	}
	return total, nil
}
