package tfile

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"strconv"
	"testing"

	"kigo/node/mcm"
	"kigo/node/rules"
)

type hexBytes []byte

func (h *hexBytes) UnmarshalText(s []byte) (err error) {
	*h, err = hex.DecodeString(string(s))
	return err
}

func (h hexBytes) weight() mcm.Weight { return mcm.WeightFromLE((*[32]byte)(h)) }

// number is a block number that JSON holds as "0x…".
type number mcm.BlockNum

func (n *number) UnmarshalText(s []byte) error {
	v, err := strconv.ParseUint(string(s), 0, 64)
	*n = number(v)
	return err
}

// edit is what a case does to the base file before anything else.
type edit struct {
	Offset   *int     `json:"patch_offset"`
	Patch    hexBytes `json:"patch"`
	Truncate *int     `json:"truncate"`
	Append   hexBytes `json:"append"`
}

func (e edit) apply(base []byte) []byte {
	b := append([]byte(nil), base...)
	if e.Offset != nil {
		copy(b[*e.Offset:], e.Patch)
	}
	if e.Truncate != nil {
		b = b[:*e.Truncate]
	}
	return append(b, e.Append...)
}

type vectors struct {
	Base     hexBytes
	Validate []struct {
		edit
		Name      string
		Trust     int64
		BNumIn    hexBytes `json:"bnum_in"`
		BNumOut   hexBytes `json:"bnum_out"`
		WeightIn  hexBytes `json:"weight_in"`
		WeightOut hexBytes `json:"weight_out"`
		Error     string
	}
	Weigh []struct {
		BNum   *number
		Error  string
		Weight hexBytes
	}
	PastWeight []struct {
		edit
		BNum      number
		WeightIn  hexBytes `json:"weight_in"`
		WeightOut hexBytes `json:"weight_out"`
		Error     string
	} `json:"past_weight"`
	Trim []struct {
		edit
		BNum   number
		Error  string
		Length int64
	}
	Rewards []struct {
		TFile   string
		BNum    *number
		Error   string
		Rewards string
	}
}

func loadVectors(t testing.TB) (v vectors) {
	t.Helper()
	b, err := os.ReadFile("../../testdata/vectors/chain/tfile.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Validate) != 59 || len(v.Weigh) != 12 || len(v.PastWeight) != 27 || len(v.Trim) != 8 || len(v.Rewards) != 46 {
		t.Fatalf("%d, %d, %d, %d, %d cases, want 59, 12, 27, 8, 46", len(v.Validate), len(v.Weigh), len(v.PastWeight), len(v.Trim), len(v.Rewards))
	}
	return v
}

// name returns how the vectors call an error.
func name(err error) string {
	var r rules.Rule
	switch {
	case err == nil:
		return "OK"
	case errors.As(err, &r):
		return string(r)
	}
	return "NONE"
}

func open(t testing.TB, data []byte) *File {
	t.Helper()
	f, err := Open(writeFile(t, data))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

const vectorClock = 1800000000

func TestCheckStructureVectors(t *testing.T) {
	v := loadVectors(t)
	for _, c := range v.Validate {
		f := open(t, c.apply(v.Base))
		num := mcm.BlockNum(binary.LittleEndian.Uint64(c.BNumIn))
		w := c.WeightIn.weight()
		err := f.CheckStructure(c.Trust, vectorClock, &num, &w)
		if name(err) != c.Error {
			t.Errorf("%s: got %v, want %s", c.Name, err, c.Error)
		}
		if want := mcm.BlockNum(binary.LittleEndian.Uint64(c.BNumOut)); num != want {
			t.Errorf("%s: got number %v, want %v", c.Name, num, want)
		}
		if w != c.WeightOut.weight() {
			t.Errorf("%s: got weight %v, want %v", c.Name, w, c.WeightOut.weight())
		}
	}
}

// TestVerifyVectors runs the same cases through Verify.
func TestVerifyVectors(t *testing.T) {
	v := loadVectors(t)
	ran := 0
	for _, c := range v.Validate {
		if c.Trust > 0 {
			continue
		}
		ran++
		rep := mustVerify(t, c.apply(v.Base), Options{Now: vectorClock})
		got := "OK"
		if len(rep.Problems) > 0 {
			got = string(rep.Problems[0].Rule)
		}
		if got != c.Error || rep.Valid() != (c.Error == "OK") {
			t.Errorf("%s: got %v, want %s", c.Name, rep.Problems, c.Error)
		}
		want, _ := c.WeightOut.weight().Sub(c.WeightIn.weight())
		if rep.Weight != want {
			t.Errorf("%s: got weight %v, want %v", c.Name, rep.Weight, want)
		}
		if out := binary.LittleEndian.Uint64(c.BNumOut); rep.Last != mcm.BlockNum(out) && out != 0xeeeeeeeeeeeeeeee {
			t.Errorf("%s: got last block %v, want %#x", c.Name, rep.Last, out)
		}
	}
	if ran < 30 {
		t.Errorf("only %d cases without trust", ran)
	}
}

func TestWeighVectors(t *testing.T) {
	v := loadVectors(t)
	f := open(t, v.Base)
	for _, c := range v.Weigh {
		got, err := f.Weigh((*mcm.BlockNum)(c.BNum))
		if name(err) != c.Error || got != c.Weight.weight() {
			t.Errorf("up to %v: got %v, %v, want %v, %s", c.BNum, got, err, c.Weight.weight(), c.Error)
		}
	}
}

func TestPastWeightVectors(t *testing.T) {
	v := loadVectors(t)
	for _, c := range v.PastWeight {
		f := open(t, c.apply(v.Base))
		got, err := f.PastWeight(mcm.BlockNum(c.BNum), c.WeightIn.weight())
		if name(err) != c.Error || got != c.WeightOut.weight() {
			t.Errorf("block %v: got %v, %v, want %v, %s", mcm.BlockNum(c.BNum), got, err, c.WeightOut.weight(), c.Error)
		}
	}
}

func TestTrimVectors(t *testing.T) {
	v := loadVectors(t)
	for _, c := range v.Trim {
		f := open(t, c.apply(v.Base))
		err := f.Trim(mcm.BlockNum(c.BNum))
		length, serr := f.size()
		if serr != nil {
			t.Fatal(serr)
		}
		if name(err) != c.Error || length != c.Length {
			t.Errorf("block %v: got length %d, %v, want %d, %s", mcm.BlockNum(c.BNum), length, err, c.Length, c.Error)
		}
	}
}

func TestRewardsVectors(t *testing.T) {
	v := loadVectors(t)
	for i, c := range v.Rewards {
		data := []byte(v.Base)
		if c.TFile != "base" {
			var err error
			if data, err = hex.DecodeString(c.TFile); err != nil {
				t.Fatal(err)
			}
		}
		got, err := open(t, data).Rewards((*mcm.BlockNum)(c.BNum))
		if name(err) != c.Error || strconv.FormatUint(got, 10) != c.Rewards {
			t.Errorf("case %d: got %d, %v, want %s, %s", i, got, err, c.Rewards, c.Error)
		}
	}
}
