package tfile

import (
	"bytes"
	"context"
	"reflect"
	"testing"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/verify"
)

// capricious is a Verifier whose verdict is a function of the nonce, so that
// fuzzing reaches them all.
type capricious struct{}

func (capricious) VerifyPoW(_ context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	for i := range batch {
		dst[i].Verdict = verify.Exempt
		if t := &batch[i]; pow.AlgorithmOf(t) != pow.None {
			dst[i].Verdict = [...]verify.Verdict{verify.Valid, verify.Valid, verify.BadNonce, verify.BadWork}[t.Nonce()[0]%4]
		}
	}
	return nil
}

// FuzzVerify feeds Verify any bytes after a good beginning.  Nothing panics, a
// file and a stream give one report, whatever the batches, and a side file
// changes counters only.
func FuzzVerify(f *testing.F) {
	base := chain(40, 3)
	f.Add(uint8(0), []byte{}, uint8(0))
	f.Add(uint8(40), []byte{}, uint8(3))
	f.Add(uint8(7), bytesOf(base[7:12]), uint8(1))
	f.Add(uint8(0), bytesOf(v3(5)), uint8(2))
	f.Fuzz(func(t *testing.T, good uint8, rest []byte, flags uint8) {
		data := append(bytesOf(base[:int(good)%41]), rest...)
		if len(data) > 1<<16 {
			return
		}
		o := Options{Verifier: capricious{}, Now: vectorClock, All: flags&1 != 0, Segment: flags&2 != 0, PowFrom: mcm.BlockNum(flags >> 2)}
		run := func(how string, batch int, side string, stretch func() (*Report, error)) *Report {
			o.Batch, o.Resume = batch, side
			rep, err := stretch()
			if err != nil {
				t.Fatalf("%s: %v", how, err)
			}
			if !rep.Complete || rep.Exempt+rep.Known+rep.Checked > rep.Trailers || rep.Valid() && rep.Trailers*160 != int64(len(data)) {
				t.Fatalf("%s: %+v", how, rep)
			}
			rep.Elapsed = 0
			return rep
		}
		file := func() (*Report, error) { return Verify(t.Context(), bytes.NewReader(data), int64(len(data)), o) }
		streamed := func() (*Report, error) { return Verify(t.Context(), stream{bytes.NewReader(data)}, -1, o) }
		want := run("stream", 1000, "", streamed)
		if len(data) > 0 && len(data)%160 == 0 || o.All {
			if got := run("file", 1, "", file); !reflect.DeepEqual(got, want) {
				t.Fatalf("file: %+v, stream: %+v", got, want)
			}
		} else if got := run("file", 1, "", file); len(got.Problems) != 1 || got.Trailers != 0 {
			t.Fatalf("odd length: %+v", got)
		}
		side := t.TempDir() + "/side"
		for range 2 {
			got := run("resumed", 1000, side, streamed)
			got.Checked, got.Resumed, got.Known, got.Skipped = want.Checked, want.Resumed, want.Known, want.Skipped
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("with a side file: %+v, without: %+v", got, want)
			}
		}
	})
}
