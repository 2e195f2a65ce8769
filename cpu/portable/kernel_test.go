package portable

import (
	"bytes"
	"testing"

	"kigo/node/mcm"
)

// TestKernelStoresEachHash hashes trailers in one batch: each result stands at
// its own place, and one check leaves nothing behind for the next.
func TestKernelStoresEachHash(t *testing.T) {
	var v struct {
		Cases []struct {
			Trailer   hexBytes
			FinalHash hexBytes `json:"final_hash"`
		}
	}
	load(t, "peach.json", &v)
	var batch []mcm.Trailer
	var want []hexBytes
	for _, c := range v.Cases {
		if c.FinalHash != nil && len(batch) < 20 {
			batch = append(batch, mcm.Trailer(c.Trailer))
			want = append(want, c.FinalHash)
		}
	}
	got := make([]mcm.Hash, len(batch))
	New().Hash(got, batch)
	for i := range got {
		if !bytes.Equal(got[i][:], want[i]) {
			t.Errorf("trailer %d: got %v, want %x", i, got[i], want[i])
		}
	}
	if len(got) < 20 {
		t.Errorf("only %d trailers", len(got))
	}
}
