package evidence

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"kigo/node/fault"
	"kigo/node/internal/pack"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/wire"
)

func mustMarshal(tb testing.TB, r *Record) []byte {
	tb.Helper()
	b, err := r.MarshalBinary()
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestRoundTrip(t *testing.T) {
	for _, s := range samples(t) {
		s.record.Options.Height = &proof.Anchor{Num: 3, Time: 4, Fixed: true}
		r := mustNew(t, s.record)
		b := mustMarshal(t, r)
		got := new(Record)
		if err := got.UnmarshalBinary(b); err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		if !reflect.DeepEqual(got, r) {
			t.Errorf("%s: read back as\n%+v\nwas\n%+v", s.name, got, r)
		}
		if again := mustMarshal(t, got); !bytes.Equal(again, b) {
			t.Errorf("%s: has other bytes when written again", s.name)
		}
		clear(b)
		if !mustVerify(t, got).Confirmed {
			t.Errorf("%s: shares memory with the bytes it was read from", s.name)
		}
	}
}

// TestGolden pins the form: a record that was exported has to be readable for as
// long as its version is.
func TestGolden(t *testing.T) {
	for _, s := range samples(t) {
		if s.name != "list/uneven" {
			continue
		}
		const want = "72e983f53e175bdda596258907f8e2dbd704615a77ebf7364d8d933a7f21e4d7"
		if got := mustNew(t, s.record).ID; got != want {
			t.Errorf("id %s, expected %s", got, want)
		}
	}
}

func TestDamagedRecords(t *testing.T) {
	for _, s := range samples(t) {
		b := mustMarshal(t, mustNew(t, s.record))
		step := max(1, len(b)/211)
		f := func(b []byte, what string, at int) {
			t.Helper()
			r := &Record{ID: "untouched"}
			if err := r.UnmarshalBinary(b); !errors.Is(err, pack.ErrMalformed) {
				t.Errorf("%s: %s %d: %v", s.name, what, at, err)
			}
			if r.ID != "untouched" || r.Packets != nil {
				t.Errorf("%s: %s %d: the record was written to", s.name, what, at)
			}
		}
		for at := 0; at < len(b); at += step {
			c := bytes.Clone(b)
			c[at] ^= 4
			f(c, "byte altered at", at)
			f(b[:at], "cut to", at)
		}
		f(append(bytes.Clone(b), 0), "longer than", len(b))
	}
	if err := new(Record).UnmarshalBinary(make([]byte, maxRecord+1)); err == nil {
		t.Error("reads a record that is too long")
	}
}

// FuzzRecordDecode looks for a panic, and for a record that has two forms or
// can't be judged.
func FuzzRecordDecode(f *testing.F) {
	// Short ones: a fuzzer makes little of long inputs.
	c := newChain(f, 3)
	st := c.state()
	whole := template(st, answer(f, st, wire.OpSendFile, mcm.Bytes(c.trailers)))
	whole.Kind, whole.Rule, whole.Num = fault.InvalidTrailer, rules.PowPeach, base+2
	f.Add(mustNew(f, whole).appendBody(nil))
	whole.Kind, whole.Anchor, whole.Chain = fault.FalseWeight, c.anchor(1), c.trailers[2:]
	whole.Packets = whole.Packets[:1]
	whole.Next = &c.trailers[0]
	f.Add(mustNew(f, whole).appendBody(nil))
	list := template(st, answer(f, st, wire.OpSendIPL, []byte{8, 8, 8, 8, 1}))
	list.Kind, list.Op, list.Count = fault.BadList, wire.OpGetIPL, 0
	f.Add(mustNew(f, list).appendBody(nil))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, body []byte) {
		// The checksum would keep the fuzzer out.
		r := new(Record)
		if r.UnmarshalBinary(body) == nil {
			t.Fatal("a checksum was met by chance")
		}
		sum := sha256.Sum256(body)
		if err := r.UnmarshalBinary(append(bytes.Clone(body), sum[:]...)); err != nil {
			return
		}
		if again := mustMarshal(t, r); !bytes.Equal(again[:len(again)-32], body) {
			t.Fatalf("%x reads as a record that is written as %x", body, again)
		}
		if o := mustVerify(t, r); o.Confirmed && o.Found == nil {
			t.Fatal("confirmed without a finding")
		}
		if _, err := json.Marshal(r); err != nil {
			t.Fatal(err)
		}
	})
}

func TestJSON(t *testing.T) {
	for _, s := range samples(t) {
		r := mustNew(t, s.record)
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var got struct {
			ID      string
			Kind    string
			Asked   string
			Packets []string
			Claim   struct{ Tip string }
			Anchor  *struct{ Hash string }
			Chain   []string
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if got.ID != r.ID || got.Kind != string(r.Kind) || got.Asked != r.Op.String() || got.Claim.Tip != r.Claim.Hash.String() ||
			len(got.Packets) != len(r.Packets) || len(got.Chain) != len(r.Chain) || (got.Anchor == nil) != (r.Anchor == nil) {
			t.Errorf("%s: %s", s.name, b[:min(len(b), 300)])
		}
		if n := len(r.Packets); n > 0 && len(got.Packets[n-1]) != 2*len(r.Packets[n-1]) {
			t.Errorf("%s: %s", s.name, b[:min(len(b), 300)])
		}
		nulls := 0
		switch r.Kind {
		case fault.TooLong, fault.BadList, fault.BadFrame:
			nulls = strings.Count(string(b), `"block":null`) // which there has to be
		}
		if strings.Count(string(b), "null") != nulls || (nulls == 1) != (r.Block() == nil) {
			t.Errorf("%s: %s", s.name, b[:min(len(b), 300)])
		}
	}
}

func BenchmarkRecord(b *testing.B) {
	r := mustNew(b, samples(b)[0].record)
	body := mustMarshal(b, r)
	b.Run("op=marshal", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			mustMarshal(b, r)
		}
	})
	b.Run("op=unmarshal", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		for b.Loop() {
			if err := new(Record).UnmarshalBinary(body); err != nil {
				b.Fatal(err)
			}
		}
	})
}
