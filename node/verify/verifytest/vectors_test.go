package verifytest

import (
	"testing"

	"kigo/node/verify"
)

func TestVectors(t *testing.T) {
	files, verdicts, hashes := map[string]int{}, map[verify.Verdict]int{}, 0
	for _, v := range Vectors(t) {
		files[v.File]++
		verdicts[v.Want.Verdict]++
		if !v.NoHash {
			hashes++
			// A hash must be there exactly when one was computed.
			if computed := v.Want.Verdict == verify.Valid || v.Want.Verdict == verify.BadWork; computed == v.Want.Hash.IsZero() {
				t.Errorf("%v: verdict %v with hash %v", &v, v.Want.Verdict, v.Want.Hash)
			}
		}
	}
	for file, want := range map[string]int{"mainnet": 268, "peach": 548, "trigg": 144, "dispatch": 64} {
		if files[file] != want {
			t.Errorf("%d vectors of %s, want %d", files[file], file, want)
		}
	}
	for verdict, least := range map[verify.Verdict]int{verify.Valid: 700, verify.BadWork: 70, verify.BadNonce: 80, verify.Exempt: 38} {
		if verdicts[verdict] < least {
			t.Errorf("%d vectors are %v, want at least %d", verdicts[verdict], verdict, least)
		}
	}
	if hashes < 960 {
		t.Errorf("%d vectors tell the hash, want at least 960", hashes)
	}
	mine := Vectors(t)
	mine[0] = Vector{}
	if Vectors(t)[0] == (Vector{}) {
		t.Error("callers share one slice")
	}
}

func TestVectorCheck(t *testing.T) {
	v := Vectors(t)[0]
	if err := v.Check(v.Want); err != nil {
		t.Error(err)
	}
	other := v.Want
	other.Hash[31] ^= 1
	if v.Check(other) == nil {
		t.Error("another hash passes")
	}
	v.NoHash = true
	if err := v.Check(other); err != nil {
		t.Errorf("the hash isn't known: %v", err)
	}
	other.Verdict = verify.BadWork
	if v.Check(other) == nil {
		t.Error("another verdict passes")
	}
}
