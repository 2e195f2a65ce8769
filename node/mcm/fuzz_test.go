package mcm

import (
	"bytes"
	"encoding/binary"
	"math/big"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// FuzzTrailer reads every field of any 160 bytes at the offset that
// docs/spec/chain.md section 2 gives, and writes it back.
func FuzzTrailer(f *testing.F) {
	first := numbered()
	genesis := GenesisTrailer()
	f.Add(first[:])
	f.Add(genesis[:])
	f.Add(bytes.Repeat([]byte{0xff}, 2*TrailerLen))
	f.Add(slices.Concat(first[:], genesis[:], []byte("no whole trailer")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		testLayout(t, raw)
		if len(raw) < TrailerLen {
			return
		}
		tr := Trailer(raw[:TrailerLen])
		u32 := func(at int) uint64 { return uint64(binary.LittleEndian.Uint32(raw[at : at+4])) }
		u64 := func(at int) uint64 { return binary.LittleEndian.Uint64(raw[at : at+8]) }
		for _, c := range []struct {
			name      string
			got, want uint64
		}{
			{"bnum", uint64(tr.Num()), u64(32)},
			{"low byte of bnum", uint64(tr.Num().Low()), u64(32) % 256},
			{"mfee", tr.MinFee(), u64(40)},
			{"tcount", uint64(tr.TxCount()), u32(48)},
			{"time0", uint64(tr.StartTime()), u32(52)},
			{"difficulty", uint64(tr.Difficulty()), u32(56)},
			{"difficulty for work", uint64(tr.WorkDifficulty()), u32(56) % 256},
			{"stime", uint64(tr.SolveTime()), u32(124)},
		} {
			if c.got != c.want {
				t.Errorf("%s is %#x, want %#x", c.name, c.got, c.want)
			}
		}
		for _, c := range []struct {
			name string
			got  []byte
			at   int
		}{
			{"phash", tr.PrevHash()[:], 0},
			{"mroot", tr.MerkleRoot()[:], 60},
			{"nonce", tr.Nonce()[:], 92},
			{"bhash", tr.Hash()[:], 128},
		} {
			if !bytes.Equal(c.got, raw[c.at:c.at+32]) {
				t.Errorf("%s is %x, want %x", c.name, c.got, raw[c.at:c.at+32])
			}
		}
		testSetters(t, &tr)
		testKind(t, &tr, u64(32), u32(48))
	})
}

// testLayout looks at the whole trailers of raw and back.
func testLayout(t *testing.T, raw []byte) {
	whole := raw[:len(raw)-len(raw)%TrailerLen]
	ts := Trailers(whole)
	if len(ts) != len(whole)/TrailerLen {
		t.Fatalf("%d bytes became %d trailers", len(whole), len(ts))
	}
	for i := range ts {
		if !bytes.Equal(ts[i][:], whole[i*TrailerLen:(i+1)*TrailerLen]) {
			t.Fatalf("trailer %d is %x", i, ts[i])
		}
	}
	if back := Bytes(ts); !bytes.Equal(back, whole) {
		t.Fatalf("%x became %x", whole, back)
	}
}

// testSetters writes from's fields, the last one first, over bytes that are all
// wrong.
func testSetters(t *testing.T, from *Trailer) {
	var to Trailer
	for i := range to {
		to[i] = ^from[i]
	}
	*to.Hash() = *from.Hash()
	to.SetSolveTime(from.SolveTime())
	*to.Nonce() = *from.Nonce()
	*to.MerkleRoot() = *from.MerkleRoot()
	to.SetDifficulty(from.Difficulty())
	to.SetStartTime(from.StartTime())
	to.SetTxCount(from.TxCount())
	to.SetMinFee(from.MinFee())
	to.SetNum(from.Num())
	*to.PrevHash() = *from.PrevHash()
	if to != *from {
		t.Errorf("written back it is %x, want %x", to, *from)
	}
}

func testKind(t *testing.T, tr *Trailer, num, count uint64) {
	want := Standard
	if count == 0 {
		want = Pseudo
	}
	if num%256 == 0 {
		want = Neogenesis
	}
	if num == 0 {
		want = Genesis
	}
	if got := tr.Kind(); got != want {
		t.Errorf("block %#x with %d transactions is %v, want %v", num, count, got, want)
	}
}

var hexDigits = regexp.MustCompile(`\A[0-9a-fA-F]{1,64}\z`)

// FuzzWeight holds the 256-bit arithmetic against math/big, and the text form
// against a regular expression.
func FuzzWeight(f *testing.F) {
	ones := bytes.Repeat([]byte{0xff}, 32)
	top := append(make([]byte, 31), 0x80)
	f.Add([]byte{}, []byte{}, uint8(0), "0")
	f.Add(ones, []byte{1}, uint8(0), strings.Repeat("f", 64))
	f.Add(top, top, uint8(255), "8"+strings.Repeat("0", 63))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0, 1}, []byte{1}, uint8(64), "10000000000000000")
	f.Add(ones[:24], ones[:8], uint8(192), strings.Repeat("0", 65))
	f.Add([]byte{7}, ones, uint8(63), "0x12")
	f.Fuzz(func(t *testing.T, a, b []byte, d uint8, text string) {
		w, x := fromAnyBytes(a)
		v, y := fromAnyBytes(b)
		for _, c := range []struct {
			weight Weight
			number *big.Int
		}{{w, x}, {v, y}} {
			le := c.weight.LE()
			if bigLE(le[:]).Cmp(c.number) != 0 {
				t.Fatalf("%x in bytes is %x", c.number, le)
			}
			if s := c.weight.String(); len(s) != 64 || bigHex(s).Cmp(c.number) != 0 || s != strings.ToLower(s) {
				t.Fatalf("%x in hex is %s", c.number, s)
			}
			if back, err := ParseWeight(c.weight.String()); err != nil || back != c.weight {
				t.Fatalf("%v parsed is %v, %v", c.weight, back, err)
			}
		}

		sum := new(big.Int).Add(x, y)
		if got, over := w.Add(v); bigHex(got.String()).Cmp(new(big.Int).Mod(sum, two256)) != 0 || over != (sum.Cmp(two256) >= 0) {
			t.Errorf("%v + %v = %v, overflow %v", w, v, got, over)
		}
		diff := new(big.Int).Sub(x, y)
		if got, borrow := w.Sub(v); bigHex(got.String()).Cmp(new(big.Int).Mod(diff, two256)) != 0 || borrow != (diff.Sign() < 0) {
			t.Errorf("%v - %v = %v, borrow %v", w, v, got, borrow)
		}
		if got := w.Cmp(v); got != x.Cmp(y) {
			t.Errorf("%v compared with %v: %d", w, v, got)
		}
		power := new(big.Int).Exp(big.NewInt(2), big.NewInt(int64(d)), nil)
		power.Mod(power.Add(power, x), two256)
		if got := w.AddDifficulty(d); bigHex(got.String()).Cmp(power) != 0 {
			t.Errorf("%v + 2^%d = %v", w, d, got)
		}

		got, err := ParseWeight(text)
		if ok := hexDigits.MatchString(text); ok != (err == nil) {
			t.Errorf("%q: got %v, %v; 1 to 64 hex digits: %v", text, got, err, ok)
		} else if ok && bigHex(text).Cmp(bigHex(got.String())) != 0 {
			t.Errorf("%q parsed is %v", text, got)
		}
	})
}

// fromAnyBytes returns the weight that b begins with, zeros added, and the same
// as a big number.
func fromAnyBytes(b []byte) (Weight, *big.Int) {
	var le [32]byte
	copy(le[:], b)
	return WeightFromLE(&le), bigLE(le[:])
}

// bigLE adds up bytes, least significant first.
func bigLE(le []byte) *big.Int {
	n := new(big.Int)
	for i, b := range le {
		n.Add(n, new(big.Int).Lsh(big.NewInt(int64(b)), uint(8*i)))
	}
	return n
}

func bigHex(s string) *big.Int {
	n, ok := new(big.Int).SetString(s, 16)
	if !ok {
		panic("not hex: " + s)
	}
	return n
}
