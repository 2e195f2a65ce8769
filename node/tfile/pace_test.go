package tfile

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/mcm"
	"kigo/node/verify"
)

// TestPace has batches grow to what an engine does in half a second.
func TestPace(t *testing.T) {
	data := bytesOf(chain(50000, 300))
	for _, c := range []struct {
		name  string
		rate  time.Duration // per trailer
		least int           // length of the longest batch
		most  int
	}{
		{"slow", 10 * time.Millisecond, 1, firstBatch},
		{"middling", 50 * time.Microsecond, 9000, 10000},
		{"fast", time.Microsecond, DefaultBatch, DefaultBatch},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := new(fake)
			paced := verifierFunc(func(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
				time.Sleep(time.Duration(len(batch)) * c.rate) // of the bubble's clock
				return f.VerifyPoW(ctx, dst, batch)
			})
			rep, err := Verify(t.Context(), stream{bytes.NewReader(data)}, -1, Options{Now: clock, Verifier: paced})
			if err != nil || !rep.Valid() {
				t.Fatal(rep.Problems, err)
			}
			if f.batch < c.least || f.batch > c.most {
				t.Errorf("%s: longest batch has %d trailers, want %d to %d", c.name, f.batch, c.least, c.most)
			}
		})
	}
}
