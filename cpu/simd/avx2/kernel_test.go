package avx2

import (
	"testing"

	"kigo/cpu/portable"
	"kigo/node/verify/verifytest"
)

func TestKernel(t *testing.T) {
	ok, reason := Supported()
	verifytest.Require(t, "avx2", ok, reason)
	verifytest.Kernel{
		Lanes:   Lanes,
		Chunk:   Chunk,
		Lengths: []int{8, 9, 16, 17, 40, 41, 65, 75, 76, 128, 129, 150, 151, 193, 257, 320, 321},
		New:     func() verifytest.Hasher { return New().Hash },
		Oracle:  portable.New().Hash,
	}.Run(t)
}

func TestSupportedGivesAReason(t *testing.T) {
	ok, reason := Supported()
	if ok != (reason == "") {
		t.Errorf("got %v and reason %q, want a reason just when it isn't supported", ok, reason)
	}
	if ok {
		return
	}
	defer func() {
		if recover() == nil {
			t.Error("New did not panic")
		}
	}()
	New()
}

// TestWriteVectors is for the Makefile.
func TestWriteVectors(t *testing.T) { verifytest.WriteVectors(t) }
