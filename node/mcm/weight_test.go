package mcm

import (
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"
)

var two256 = new(big.Int).Lsh(big.NewInt(1), 256)

func (w Weight) big() *big.Int {
	n, ok := new(big.Int).SetString(w.String(), 16)
	if !ok {
		panic("weight " + w.String() + " is no number")
	}
	return n
}

// weights are 0, 1, 2^64-1 and their like in each limb, the greatest weight, and
// random ones.
func weights(t *testing.T) []Weight {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	all := []Weight{{}, {^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}}
	for limb := range 4 {
		for _, v := range []uint64{1, 1 << 63, ^uint64(0)} {
			var w Weight
			w[limb] = v
			all = append(all, w)
		}
	}
	for range 20 {
		all = append(all, Weight{r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64()})
	}
	return all
}

func TestWeightArithmetic(t *testing.T) {
	all := weights(t)
	for _, w := range all {
		for _, v := range all {
			a, b := w.big(), v.big()
			sum := new(big.Int).Add(a, b)
			got, overflow := w.Add(v)
			if over := sum.Cmp(two256) >= 0; got.big().Cmp(new(big.Int).Mod(sum, two256)) != 0 || overflow != over {
				t.Errorf("%v + %v = %v, overflow %v", w, v, got, overflow)
			}
			diff, borrow := w.Sub(v)
			if want := new(big.Int).Mod(new(big.Int).Sub(a, b), two256); diff.big().Cmp(want) != 0 || borrow != (a.Cmp(b) < 0) {
				t.Errorf("%v - %v = %v, borrow %v", w, v, diff, borrow)
			}
			if got := w.Cmp(v); got != a.Cmp(b) || (got == 0) != (w == v) {
				t.Errorf("%v compared with %v: %d", w, v, got)
			}
		}
		for d := range 256 {
			want := new(big.Int).Lsh(big.NewInt(1), uint(d))
			want.Mod(want.Add(want, w.big()), two256)
			if got := w.AddDifficulty(uint8(d)); got.big().Cmp(want) != 0 {
				t.Errorf("%v + 2^%d = %v", w, d, got)
			}
		}
	}
}

func TestWeightBytes(t *testing.T) {
	for _, w := range weights(t) {
		le := w.LE()
		var be [32]byte
		w.big().FillBytes(be[:])
		for i := range le {
			if le[i] != be[31-i] {
				t.Fatalf("%v as bytes is %x", w, le)
			}
		}
		if back := WeightFromLE(&le); back != w {
			t.Errorf("%v became %v", w, back)
		}
		parsed, err := ParseWeight(w.String())
		if err != nil || parsed != w {
			t.Errorf("%v parsed is %v, %v", w, parsed, err)
		}
		text, err := json.Marshal(w)
		if err != nil || string(text) != `"`+w.String()+`"` || len(w.String()) != 64 {
			t.Errorf("%v in JSON is %s, %v", w, text, err)
		}
	}
}

func TestParseWeight(t *testing.T) {
	for s, want := range map[string]Weight{
		"0":                           {},
		"1":                           {1},
		"fF":                          {255},
		"10000000000000000":           {0, 1},
		strings.Repeat("0", 64):       {},
		"1" + strings.Repeat("0", 63): {3: 1 << 60},
	} {
		if got, err := ParseWeight(s); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", "g", "0x1", " 1", "-1", strings.Repeat("0", 65)} {
		if got, err := ParseWeight(s); err == nil || !strings.Contains(err.Error(), "1 to 64 hex digits") || got != (Weight{}) {
			t.Errorf("%q: got %v, %v; want an error that says what is allowed", s, got, err)
		}
	}
}
