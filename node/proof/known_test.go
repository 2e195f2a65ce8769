package proof_test

import (
	"testing"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
)

func number(i int) (h mcm.Hash) {
	for j := range 4 {
		h[j] = byte(i >> (8 * j))
	}
	return h
}

func invalid(i int) (mcm.Trailer, *proof.Finding) {
	var t mcm.Trailer
	t.SetNum(mcm.BlockNum(i))
	*t.PrevHash() = number(i - 1)
	return t, &proof.Finding{Kind: fault.InvalidTrailer, Rule: rules.PowPeach, Num: mcm.BlockNum(i), Index: 3, Detail: "short"}
}

func TestKnownSet(t *testing.T) {
	k := proof.NewKnownSet(nil, nil)
	tr, f := invalid(7)
	k.Learn(&tr, number(7), f)
	k.Learn(&tr, number(8), nil)
	k.Learn(&tr, number(8), nil)
	if k.Valid(number(7)) || !k.Valid(number(8)) {
		t.Error("valid: wrong")
	}
	got, ok := k.Invalid(number(7))
	if !ok || got.Rule != f.Rule || got.Detail != f.Detail || got.Num != 7 {
		t.Errorf("invalid: got %+v", got)
	}
	if _, ok := k.Invalid(number(8)); ok {
		t.Error("a valid one is invalid too")
	}
	k.Invalid(number(7))
	c := k.Changes()
	if len(c.Invalid) != 1 || c.Invalid[0].ID != number(7) || c.Invalid[0].Parent != number(6) || c.Invalid[0].Trailer != tr || c.Invalid[0].Finding.Index != -1 {
		t.Errorf("changes: invalid %+v", c.Invalid)
	}
	if len(c.Verified) != 1 || c.Verified[0] != number(8) || len(c.Met) != 1 || c.Met[0] != number(7) {
		t.Errorf("changes: verified %v, met %v", c.Verified, c.Met)
	}
	if c := k.Changes(); c.Invalid != nil || c.Verified != nil || c.Met != nil {
		t.Errorf("a second time: %+v", c)
	}
	loaded := proof.NewKnownSet(c.Invalid, c.Verified)
	if _, ok := loaded.Invalid(number(7)); !ok || !loaded.Valid(number(8)) {
		t.Error("loaded: something is missing")
	}
	if c := loaded.Changes(); c.Invalid != nil || c.Verified != nil {
		t.Error("loaded: what was loaded counts as new")
	}
}

// TestKnownSetDoubt: what was verified is forgotten, what is invalid isn't.
func TestKnownSetDoubt(t *testing.T) {
	tr, f := invalid(7)
	k := proof.NewKnownSet([]proof.Invalid{{ID: number(7), Parent: number(6), Trailer: tr, Finding: *f}}, []mcm.Hash{number(1)})
	k.Learn(&tr, number(2), nil)
	k.Doubt()
	k.Learn(&tr, number(3), nil)
	if _, ok := k.Invalid(number(7)); !ok || k.Valid(number(1)) || k.Valid(number(2)) || !k.Valid(number(3)) {
		t.Error("too much or too little is known")
	}
	if c := k.Changes(); len(c.Verified) != 1 || c.Verified[0] != number(3) {
		t.Errorf("changes: verified %v", c.Verified)
	}
}

// TestKnownSetIsBounded: what was met least recently leaves first.
func TestKnownSetIsBounded(t *testing.T) {
	k := proof.NewKnownSet(nil, nil)
	for i := range proof.MaxInvalid {
		tr, f := invalid(i)
		k.Learn(&tr, number(i), f)
	}
	if _, ok := k.Invalid(number(0)); !ok { // and is met
		t.Fatal("the first is gone while there is room")
	}
	for i := range 10 {
		tr, f := invalid(proof.MaxInvalid + i)
		k.Learn(&tr, number(proof.MaxInvalid+i), f)
	}
	for i, want := range map[int]bool{0: true, 1: false, 10: false, 11: true, proof.MaxInvalid + 9: true} {
		if _, ok := k.Invalid(number(i)); ok != want {
			t.Errorf("invalid %d: known is %t, want %t", i, ok, want)
		}
	}
	var tr mcm.Trailer
	for i := range proof.MaxVerified + 5 {
		k.Learn(&tr, number(i), nil)
	}
	for i, want := range map[int]bool{0: false, 4: false, 5: true, proof.MaxVerified + 4: true} {
		if k.Valid(number(i)) != want {
			t.Errorf("verified %d: known is %t, want %t", i, !want, want)
		}
	}
	c := k.Changes()
	if len(c.Invalid) > proof.MaxInvalid || len(c.Verified) > proof.MaxVerified || c.Verified[len(c.Verified)-1] != number(proof.MaxVerified+4) {
		t.Errorf("changes: %d invalid, %d verified", len(c.Invalid), len(c.Verified))
	}
}
