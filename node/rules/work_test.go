package rules_test

import (
	"testing"

	"kigo/node/rules"
)

func TestIsWork(t *testing.T) {
	for rule, want := range map[rules.Rule]bool{
		rules.PowPeach: true, rules.PowTrigg: true, rules.PowAnomaly: true, rules.Nonce: true,
		rules.BlockHash: false, rules.PrevHash: false, rules.Difficulty: false, rules.MerkleRoot: false, "": false,
	} {
		if got := rule.IsWork(); got != want {
			t.Errorf("%q: %v, want %v", rule, got, want)
		}
	}
}
