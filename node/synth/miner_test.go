package synth

import (
	"crypto/sha256"
	"testing"

	"kigo/node/mcm"
	"kigo/node/verify"
)

// unmined is a version 3 trailer that lacks nonce and hash.
func unmined(difficulty uint32) (t mcm.Trailer) {
	t.SetNum(mcm.V30Trigger + 1)
	t.SetTxCount(1)
	t.SetMinFee(mcm.MinFee)
	t.SetDifficulty(difficulty)
	return t
}

func TestMiner(t *testing.T) {
	for _, difficulty := range []uint32{0, 1, 6, 12} {
		mined, missed := unmined(difficulty), unmined(difficulty)
		m := NewMiner(7, standIn{})
		if err := m.Mine(t.Context(), &mined); err != nil {
			t.Fatal(err)
		}
		want := []verify.Verdict{verify.Valid}
		trailers := []mcm.Trailer{mined}
		if difficulty > 0 {
			if err := m.Miss(t.Context(), &missed); err != nil {
				t.Fatal(err)
			}
			trailers, want = append(trailers, missed), append(want, verify.BadWork)
		}
		results := make([]verify.Result, len(trailers))
		if err := (standIn{}).VerifyPoW(t.Context(), results, trailers); err != nil {
			t.Fatal(err)
		}
		for i := range trailers {
			if results[i].Verdict != want[i] {
				t.Errorf("difficulty %d: %v, want %v", difficulty, results[i].Verdict, want[i])
			}
			if *trailers[i].Hash() != sha256.Sum256(trailers[i][:128]) {
				t.Errorf("difficulty %d, %v: the hash isn't that of the trailer", difficulty, want[i])
			}
		}
		again := unmined(difficulty)
		if err := NewMiner(7, standIn{}).Mine(t.Context(), &again); err != nil || again != mined {
			t.Errorf("difficulty %d: mined again, the trailer is another (%v)", difficulty, err)
		}
	}
	if t0 := unmined(3); NewMiner(7, nil).Mine(t.Context(), &t0) == nil {
		t.Error("Peach work without a solver")
	}
}
