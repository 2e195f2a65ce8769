package rules

import (
	"errors"
	"strconv"
	"testing"

	"kigo/node/mcm"
)

func TestRewardSumVectors(t *testing.T) {
	var v struct {
		Base    hexBytes
		Rewards []struct {
			TFile   string
			BNum    *number
			Error   string
			Rewards string
		}
	}
	load(t, "tfile.json", &v)
	if len(v.Rewards) == 0 {
		t.Fatal("no cases")
	}
	for i, c := range v.Rewards {
		file := v.Base
		if c.TFile != "base" {
			file = nil
			if err := file.UnmarshalText([]byte(c.TFile)); err != nil {
				t.Fatal(err)
			}
		}
		sum, err := uint64(GenesisAmount), error(nil)
		for _, tr := range mcm.Trailers(file) {
			if c.BNum != nil && mcm.BlockNum(*c.BNum) < tr.Num() {
				break
			}
			if sum, err = AddReward(sum, &tr); err != nil {
				break
			}
		}
		got := "OK"
		if err != nil {
			got = errors.Unwrap(err).Error()
		}
		if got != c.Error || err == nil && strconv.FormatUint(sum, 10) != c.Rewards {
			t.Errorf("case %d: got %d, %s; want %s, %s", i, sum, got, c.Rewards, c.Error)
		}
	}
}

func TestPaysReward(t *testing.T) {
	for _, c := range []struct {
		name  string
		num   mcm.BlockNum
		count uint32
		want  bool
	}{
		{"genesis", 0, 0, false},
		{"standard", 1, 1, true},
		{"standard with many transactions", 1, mcm.MaxTx, true},
		{"pseudo before version 3", mcm.V30Trigger - 1, 0, false},
		{"standard before version 3", mcm.V30Trigger - 1, 1, true},
		{"first neogenesis of version 3", mcm.V30Trigger, 0, false},
		{"neogenesis with a count", mcm.V30Trigger, 1, false},
		{"pseudo of version 3", mcm.V30Trigger + 1, 0, true},
		{"standard of version 3", mcm.V30Trigger + 1, 1, true},
		{"neogenesis of version 3", mcm.V30Trigger + 256, 0, false},
	} {
		var tr mcm.Trailer
		tr.SetNum(c.num)
		tr.SetTxCount(c.count)
		if got := PaysReward(&tr); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		const before = 1000
		want := uint64(before)
		if c.want {
			want += Reward(c.num)
		}
		if got, err := AddReward(before, &tr); got != want || err != nil {
			t.Errorf("%s: the sum is %d, %v; want %d", c.name, got, err, want)
		}
	}
}

func TestRewardSumOverflow(t *testing.T) {
	var tr mcm.Trailer
	tr.SetNum(1)
	tr.SetTxCount(1)
	room := ^uint64(0) - Reward(1)
	if got, err := AddReward(room, &tr); got != ^uint64(0) || err != nil {
		t.Errorf("the greatest sum: got %d, %v", got, err)
	}
	if got, err := AddReward(room+1, &tr); got != room+1 || !errors.Is(err, RewardsOverflow) {
		t.Errorf("one more: got %d, %v; want the sum as it was and %v", got, err, RewardsOverflow)
	}
}
