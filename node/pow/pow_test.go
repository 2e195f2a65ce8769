package pow

import (
	"crypto/sha256"
	"testing"

	"kigo/node/mcm"
)

func TestAlgorithmNames(t *testing.T) {
	for a, want := range map[Algorithm]string{None: "none", Trigg: "trigg", Peach: "peach", 7: "Algorithm(7)"} {
		if got := a.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestAlgorithmOf(t *testing.T) {
	for _, c := range []struct {
		num   mcm.BlockNum
		count uint32
		want  Algorithm
	}{
		{0, 1, None},
		{1, 1, Trigg},
		{1, 0, None},
		{0x100, 1, None},
		{mcm.V24Trigger, 1, Trigg},
		{mcm.V24Trigger + 1, 1, Peach},
		{mcm.V24Trigger + 1, 0, None},
		{mcm.V24Trigger + 1, 1 << 24, Peach},
		{0x100000001, 1, Peach},
		{0x8000000000000001, 1, Peach},
		{0xffffffffffffff00, 1, None},
	} {
		var tr mcm.Trailer
		tr.SetNum(c.num)
		tr.SetTxCount(c.count)
		if got := AlgorithmOf(&tr); got != c.want {
			t.Errorf("block %v with %d transactions: got %v, want %v", c.num, c.count, got, c.want)
		}
	}
}

func TestRuleName(t *testing.T) {
	for n, want := range map[mcm.BlockNum]string{
		1:                  "EMCM_POWTRIGG",
		mcm.V24Trigger:     "EMCM_POWTRIGG",
		mcm.V24Trigger + 1: "EMCM_POWPEACH",
		mcm.AnomalyNum - 1: "EMCM_POWPEACH",
		mcm.AnomalyNum:     "EMCM_POWANOMALY",
		mcm.AnomalyNum + 1: "EMCM_POWPEACH",
	} {
		var tr mcm.Trailer
		tr.SetNum(n)
		if got := RuleName(&tr); got != want {
			t.Errorf("block %v: got %s, want %s", n, got, want)
		}
	}
}

func TestAnomalyIsOneBlock(t *testing.T) {
	var tr mcm.Trailer
	tr.SetNum(mcm.AnomalyNum)
	*tr.Hash() = anomalyHash
	if !Anomaly(&tr) {
		t.Error("the block itself is not known")
	}
	for bit := range 8 * mcm.HashLen {
		spoiled := tr
		spoiled.Hash()[bit/8] ^= 1 << (bit % 8)
		if Anomaly(&spoiled) {
			t.Errorf("bit %d of the hash does not matter", bit)
		}
	}
	for bit := range 64 {
		spoiled := tr
		spoiled.SetNum(mcm.AnomalyNum ^ 1<<bit)
		if Anomaly(&spoiled) {
			t.Errorf("block %v passes with the hash", spoiled.Num())
		}
	}
}

// TestCovered flips each byte of a trailer: the hashes change for the bytes
// they cover and for no other (docs/spec/pow.md sections 2 and 7).
func TestCovered(t *testing.T) {
	var tr mcm.Trailer
	SetRandomNonce(&tr, newRand(t))
	end := 92 + len(frames[richFrame]) // what follows this zero is not hashed
	for i := range tr {
		spoiled := tr
		spoiled[i] ^= 1
		if got, want := TrailerHash(&spoiled) != TrailerHash(&tr), i < 124; got != want {
			t.Errorf("byte %d changes the trailer hash: %v, want %v", i, got, want)
		}
		want := i >= 32 && i < 40 || i >= 60 && i <= end || i >= 108 && i < 124
		if got := TriggHash(&spoiled) != TriggHash(&tr); got != want {
			t.Errorf("byte %d changes the Trigg hash: %v, want %v", i, got, want)
		}
	}
	if TrailerHash(&tr) != sha256.Sum256(tr[:124]) {
		t.Error("the trailer hash is not the SHA-256 of 124 bytes")
	}
}

func TestStartTile(t *testing.T) {
	ones := mcm.Hash{}
	for i := range ones {
		ones[i] = 1
	}
	for _, c := range []struct {
		name  string
		bytes map[int]byte
		want  uint32
	}{
		{"all ones", nil, 1},
		{"a zero", map[int]byte{31: 0}, 0},
		{"first and last", map[int]byte{0: 3, 31: 5}, 15},
		{"below the modulus", map[int]byte{0: 255, 1: 255, 2: 16}, 255 * 255 * 16},
		{"over the modulus", map[int]byte{0: 255, 1: 255, 2: 17}, 255*255*17 - 1<<20},
		{"2^20", map[int]byte{4: 128, 5: 128, 6: 64}, 0},
		{"over 32 bits", map[int]byte{0: 255, 1: 255, 2: 255, 3: 255, 4: 255}, 255 * 255 * 255 * 255 * 255 % (1 << 20)},
	} {
		h := ones
		for i, b := range c.bytes {
			h[i] = b
		}
		if got := StartTile(&h); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestMeetsAtTheBoundary(t *testing.T) {
	for d := range 256 {
		var exact mcm.Hash // d zero bits, then a one
		exact[d/8] = 0x80 >> (d % 8)
		if !Meets(&exact, uint8(d)) {
			t.Errorf("%d zero bits miss difficulty %d", d, d)
		}
		if d < 255 && Meets(&exact, uint8(d+1)) {
			t.Errorf("%d zero bits meet difficulty %d", d, d+1)
		}
	}
	if !Meets(new(mcm.Hash), 255) {
		t.Error("a zero hash misses difficulty 255")
	}
}
