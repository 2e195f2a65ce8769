package verify_test

import (
	"strings"
	"testing"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		v       verify.Verdict
		text    string
		bad, ok bool
	}{
		{verify.Unchecked, "unchecked", false, false},
		{verify.Exempt, "exempt", false, true},
		{verify.Valid, "valid", false, true},
		{verify.BadNonce, "bad_nonce", true, false},
		{verify.BadWork, "bad_work", true, false},
		{99, "Verdict(99)", false, false},
	} {
		if c.v.String() != c.text || c.v.Bad() != c.bad || c.v.OK() != c.ok {
			t.Errorf("verdict %d: %q, bad %v, ok %v; want %q, %v, %v", c.v, c.v, c.v.Bad(), c.v.OK(), c.text, c.bad, c.ok)
		}
	}
	var zero verify.Result
	if zero.Verdict != verify.Unchecked {
		t.Error("a forgotten entry isn't Unchecked")
	}
}

// TestPrepare has it decide all vectors that need no Peach, and leave the others
// alone.
func TestPrepare(t *testing.T) {
	vectors := verifytest.Vectors(t)
	batch, dst := make([]mcm.Trailer, len(vectors)), make([]verify.Result, len(vectors))
	for i := range vectors {
		batch[i] = vectors[i].Trailer
	}
	left := verify.Prepare(dst, batch, []int32{-7})
	if left[0] != -7 {
		t.Error("what the slice had before is gone")
	}
	left = left[1:]
	for i := range vectors {
		v := &vectors[i]
		if v.Peach() {
			if len(left) == 0 || left[0] != int32(i) {
				t.Fatalf("%v isn't left", v)
			}
			left = left[1:]
			if dst[i] != (verify.Result{}) {
				t.Errorf("%v: decided without Peach", v)
			}
			hash := v.Want.Hash
			if v.NoHash {
				continue
			}
			if err := v.Check(verify.JudgePeach(&batch[i], &hash)); err != nil {
				t.Error(err)
			}
			continue
		}
		if err := v.Check(dst[i]); err != nil {
			t.Error(err)
		}
	}
	if len(left) != 0 {
		t.Errorf("%d are left that need no Peach", len(left))
	}
}

// TestJudgePeach covers the edge of the difficulty and the exception.
func TestJudgePeach(t *testing.T) {
	var excepted mcm.Trailer
	for _, v := range verifytest.Vectors(t) {
		if v.Kind == "anomaly-block-and-hash-bad-nonce" {
			excepted = v.Trailer
		}
	}
	if excepted.Num() != mcm.AnomalyNum {
		t.Fatal("the vector with the exception is missing")
	}
	ten := mcm.Hash{0, 0x20} // ten leading zero bits
	for _, c := range []struct {
		name       string
		difficulty uint32
		hash       mcm.Hash
		want       verify.Verdict
	}{
		{"none asked", 0, mcm.Hash{0xff}, verify.Valid},
		{"one more than asked", 9, ten, verify.Valid},
		{"as many as asked", 10, ten, verify.Valid},
		{"one less than asked", 11, ten, verify.BadWork},
		{"only the low byte asks", 0x10a, ten, verify.Valid},
		{"most", 255, mcm.Hash{31: 1}, verify.Valid},
	} {
		tr := makeTrailers(0, 1)[0]
		tr.SetDifficulty(c.difficulty)
		if got := verify.JudgePeach(&tr, &c.hash); got != (verify.Result{Verdict: c.want, Hash: c.hash}) {
			t.Errorf("%s: got %v with hash %v, want %v", c.name, got.Verdict, got.Hash, c.want)
		}
		tr = excepted
		tr.SetDifficulty(c.difficulty)
		if got := verify.JudgePeach(&tr, &c.hash); got.Verdict != verify.Valid {
			t.Errorf("%s, the excepted block: got %v, want valid", c.name, got.Verdict)
		}
		tr.Hash()[0] ^= 1
		if got := verify.JudgePeach(&tr, &c.hash); got.Verdict != c.want {
			t.Errorf("%s, the excepted number with another hash: got %v, want %v", c.name, got.Verdict, c.want)
		}
	}
}

func TestExplain(t *testing.T) {
	tr := makeBad(0, 1)[0]
	first, second := tr, tr
	first.Nonce()[0] = 0
	second.Nonce()[pow.HalfLen] = 0
	both := first
	both.Nonce()[pow.HalfLen] = 0
	for _, c := range []struct {
		name string
		t    mcm.Trailer
		want []string
	}{
		{"work", tr, []string{"peach", "expected at least 255", truth(t, []mcm.Trailer{tr})[0].Hash.String()}},
		{"first half", first, []string{"the first half", "haiku"}},
		{"second half", second, []string{"the second half", "haiku"}},
		{"both halves", both, []string{"both halves", "haiku"}},
	} {
		r := truth(t, []mcm.Trailer{c.t})[0]
		got := verify.Explain(&c.t, &r)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: %q doesn't say %q", c.name, got, want)
			}
		}
	}
	if got := verify.Explain(&tr, &verify.Result{Verdict: verify.Valid}); got != "valid" {
		t.Errorf("a good one: %q", got)
	}
}
