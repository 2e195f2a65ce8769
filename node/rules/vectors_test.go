package rules

import (
	"errors"
	"strconv"
	"testing"

	"kigo/node/mcm"
	"kigo/testdata"
)

type hexBytes = testdata.Hex

// load reads a file of golden vectors.
func load(t testing.TB, name string, into any) {
	t.Helper()
	if err := testdata.Load("chain/"+name, into); err != nil {
		t.Fatal(err)
	}
}

// number is a block number that JSON holds as a string, "0x…" or decimal.
type number mcm.BlockNum

func (n *number) UnmarshalText(s []byte) error {
	v, err := strconv.ParseUint(string(s), 0, 64)
	*n = number(v)
	return err
}

func TestCheckVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Name          string
			Now           int64
			Prev, Trailer hexBytes
			Error         string
		}
		Mainnet struct {
			Runs []struct {
				Count    int
				Trailers hexBytes
			}
		}
	}
	load(t, "trailers.json", &v)
	if len(v.Cases) != 3419 {
		t.Errorf("%d cases, want 3419", len(v.Cases))
	}
	seen := map[string]int{}
	for i, c := range v.Cases {
		var prev *mcm.Trailer
		if c.Prev != nil {
			prev = (*mcm.Trailer)(c.Prev)
		}
		got := "OK"
		if err := Check(prev, (*mcm.Trailer)(c.Trailer), c.Now); err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Rule.Meaning() == "" || e.Detail == "" {
				t.Fatalf("case %d: error %v is no rule", i, err)
			}
			got = string(e.Rule)
		}
		if got != c.Error {
			t.Errorf("case %d (%s): got %s, want %s", i, c.Name, got, c.Error)
		}
		seen[c.Error]++
	}
	for _, r := range []Rule{NonZeroGenesis, GenesisHash, PrevHash, Num, Overflow, MinFee, TxCount, Nonce, MerkleRoot, SolveTime, StartTime, Difficulty, BlockHash} {
		if seen[string(r)] == 0 {
			t.Errorf("no vector breaks %s", r)
		}
	}
	for _, run := range v.Mainnet.Runs {
		ts := mcm.Trailers(run.Trailers)
		if len(ts) != run.Count || len(ts) < 2 {
			t.Fatalf("run of %d trailers, want %d", len(ts), run.Count)
		}
		for i := 1; i < len(ts); i++ {
			if err := Check(&ts[i-1], &ts[i], 1800000000); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestNextDifficultyVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			BNum                           number
			Time0, STime, Difficulty, Next uint32
		}
	}
	load(t, "difficulty.json", &v)
	if len(v.Cases) != 1825 {
		t.Errorf("%d cases, want 1825", len(v.Cases))
	}
	for _, c := range v.Cases {
		var p mcm.Trailer
		p.SetNum(mcm.BlockNum(c.BNum))
		p.SetStartTime(c.Time0)
		p.SetSolveTime(c.STime)
		p.SetDifficulty(c.Difficulty)
		if got := NextDifficulty(&p); got != c.Next {
			t.Errorf("after %+v: got %d", c, got)
		}
	}
}

func TestRewardVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			BNum   number
			Reward string
		}
	}
	load(t, "reward.json", &v)
	if len(v.Cases) != 317 {
		t.Errorf("%d cases, want 317", len(v.Cases))
	}
	for _, c := range v.Cases {
		if got := strconv.FormatUint(Reward(mcm.BlockNum(c.BNum)), 10); got != c.Reward {
			t.Errorf("reward of %v: got %s, want %s", mcm.BlockNum(c.BNum), got, c.Reward)
		}
	}
}

func TestWeightVectors(t *testing.T) {
	var v struct {
		Add []struct {
			Weight, Result hexBytes
			Difficulty     uint8
		}
		Sequence []struct {
			Trailers [][2]any `json:"trailers_bnum_difficulty"`
			Result   hexBytes
		}
	}
	load(t, "weight.json", &v)
	if len(v.Add) != 120 || len(v.Sequence) != 12 {
		t.Errorf("%d additions and %d sequences, want 120 and 12", len(v.Add), len(v.Sequence))
	}
	for i, c := range v.Add {
		got := mcm.WeightFromLE((*[32]byte)(c.Weight)).AddDifficulty(c.Difficulty)
		if want := mcm.WeightFromLE((*[32]byte)(c.Result)); got != want {
			t.Errorf("addition %d: got %v, want %v", i, got, want)
		}
	}
	for i, c := range v.Sequence {
		var w mcm.Weight
		for _, pair := range c.Trailers {
			var n number
			if err := n.UnmarshalText([]byte(pair[0].(string))); err != nil {
				t.Fatal(err)
			}
			var tr mcm.Trailer
			tr.SetNum(mcm.BlockNum(n))
			tr.SetDifficulty(uint32(pair[1].(float64)))
			w = AddWeight(w, &tr)
		}
		if le := w.LE(); string(le[:]) != string(c.Result) {
			t.Errorf("sequence %d: got %x, want %x", i, le, c.Result)
		}
	}
}

func TestFileNameVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			BNum               number
			File, Split, Short string
		}
	}
	load(t, "fnames.json", &v)
	if len(v.Cases) != 75 {
		t.Errorf("%d cases, want 75", len(v.Cases))
	}
	for _, c := range v.Cases {
		n := mcm.BlockNum(c.BNum)
		if BlockFile(n) != c.File || SplitFile(n) != c.Split || ShortName(n) != c.Short {
			t.Errorf("%v: got %s, %s, %s; want %s, %s, %s", n, BlockFile(n), SplitFile(n), ShortName(n), c.File, c.Split, c.Short)
		}
	}
}
