package rules

import (
	"errors"
	"testing"

	"kigo/node/mcm"
)

// TestGenesisBytes spoils each byte of the genesis trailer.
func TestGenesisBytes(t *testing.T) {
	genesis := mcm.GenesisTrailer()
	if err := Check(nil, &genesis, 0); err != nil {
		t.Errorf("the genesis itself: %v", err)
	}
	for i := range genesis {
		spoiled := genesis
		spoiled[i] ^= 0x10
		want := NonZeroGenesis
		if i >= 128 {
			want = GenesisHash
		}
		var got *Error
		if err := Check(nil, &spoiled, 0); !errors.As(err, &got) || got.Rule != want || got.Num != 0 {
			t.Errorf("byte %d: got %v, want %v at block 0", i, err, want)
		}
	}
}
