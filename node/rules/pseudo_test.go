package rules

import (
	"crypto/sha256"
	"errors"
	"math"
	"testing"

	"kigo/node/mcm"
)

// TestPseudoRoot holds the roots of real pseudoblocks against CheckPseudoRoot: a
// chain that a reference node made.
func TestPseudoRoot(t *testing.T) {
	var v struct{ TFile hexBytes }
	load(t, "chain.json", &v)
	ts := mcm.Trailers(v.TFile)
	pseudo := 0
	for i := range ts {
		if err := CheckPseudoRoot(&ts[i]); err != nil {
			t.Errorf("refused: %v", err)
		}
		if ts[i].Kind() != mcm.Pseudo {
			continue
		}
		pseudo++
		for _, spoil := range []func(*mcm.Trailer){
			func(t *mcm.Trailer) { t.MerkleRoot()[31] ^= 1 },
			func(t *mcm.Trailer) { *t.MerkleRoot() = mcm.Hash{} },
			func(t *mcm.Trailer) { *t.MerkleRoot() = PseudoRoot(t.Num() + 1) },
		} {
			bad := ts[i]
			spoil(&bad)
			*bad.Hash() = sha256.Sum256(bad[:128])
			var broken *Error
			if err := CheckPseudoRoot(&bad); !errors.As(err, &broken) || broken.Rule != MerkleRoot || broken.Num != bad.Num() || broken.Detail == "" {
				t.Errorf("block %v with another root: got %v, want %s", bad.Num(), err, MerkleRoot)
			}
			if i > 0 && Check(&ts[i-1], &bad, math.MaxInt64) != nil {
				t.Errorf("block %v: Check looks at the root of a pseudoblock, which docs/spec/chain.md leaves open", bad.Num())
			}
		}
	}
	if pseudo != 226 {
		t.Errorf("%d pseudoblocks, want 226", pseudo)
	}
}

// TestPseudoRootOfOthers: only pseudoblocks of version 3 have a root that their
// number fixes.
func TestPseudoRootOfOthers(t *testing.T) {
	root := mcm.Hash{1}
	for _, c := range []struct {
		name string
		num  mcm.BlockNum
		txs  uint32
		want error
	}{
		{"genesis", 0, 0, nil},
		{"standard", mcm.V30Trigger + 1, 1, nil},
		{"neogenesis", mcm.V30Trigger + 256, 0, nil},
		{"first neogenesis", mcm.V30Trigger, 0, nil},
		{"last pseudoblock before", mcm.V30Trigger - 1, 0, nil},
		{"first pseudoblock", mcm.V30Trigger + 1, 0, MerkleRoot},
		{"last number", math.MaxUint64, 0, MerkleRoot},
	} {
		var tr mcm.Trailer
		tr.SetNum(c.num)
		tr.SetTxCount(c.txs)
		*tr.MerkleRoot() = root
		if err := CheckPseudoRoot(&tr); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestEarly(t *testing.T) {
	const now = 1_800_000_000
	for _, c := range []struct {
		name  string
		num   mcm.BlockNum
		solve uint32
		now   int64
		want  bool
	}{
		{"now", 0xa0701, now, now, false},
		{"as far ahead as may be", 0xa0701, now + mcm.ClockLead, now, false},
		{"a second further", 0xa0701, now + mcm.ClockLead + 1, now, true},
		{"ends in ff", 0xa07ff, now + mcm.ClockLead + 1, now, true},
		{"neogenesis", 0xa0800, now + 1000, now, false},
		{"genesis", 0, now + 1000, now, false},
		{"clock at the end of time", 0xa0701, math.MaxUint32, math.MaxInt64, false},
		{"clock at its beginning", 0xa0701, 0, math.MinInt64, true},
	} {
		var tr mcm.Trailer
		tr.SetNum(c.num)
		tr.SetSolveTime(c.solve)
		if got := Early(&tr, c.now); got != c.want {
			t.Errorf("%s: got %t, want %t", c.name, got, c.want)
		}
	}
}
