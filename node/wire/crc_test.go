package wire

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"kigo/testdata"
)

func TestCRC16Vectors(t *testing.T) {
	var v struct {
		CheckInput string `json:"check_input_ascii"`
		Check      string
		Vectors    []struct {
			Hex    testdata.Hex
			CRC    string       `json:"crc16"`
			Stored testdata.Hex `json:"stored_bytes"`
		}
	}
	load(t, "crc16.json", &v)
	if got := fmt.Sprintf("%#04x", CRC16([]byte(v.CheckInput))); got != v.Check || v.Check != "0x31c3" {
		t.Errorf("check value %s, want %s", got, v.Check)
	}
	if len(v.Vectors) != 16 {
		t.Errorf("%d vectors, want 16", len(v.Vectors))
	}
	for i, c := range v.Vectors {
		want, err := strconv.ParseUint(c.CRC, 0, 16)
		if err != nil {
			t.Fatal(err)
		}
		got := CRC16(c.Hex)
		if got != uint16(want) {
			t.Errorf("vector %d, %d bytes: %#04x, want %#04x", i, len(c.Hex), got, want)
		}
		if stored := [2]byte{byte(got), byte(got >> 8)}; stored != [2]byte(c.Stored) {
			t.Errorf("vector %d: stored %x, want %x", i, stored, c.Stored)
		}
	}
}

// The tables take eight bytes at a time, so every length around a multiple of
// eight goes through another path.
func TestCRC16EveryLength(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, 300)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	for n := range len(b) + 1 {
		for from := range min(9, n+1) {
			if got, want := CRC16(b[from:n]), slowCRC(b[from:n]); got != want {
				t.Fatalf("bytes %d to %d: %#04x, want %#04x", from, n, got, want)
			}
		}
	}
}

func FuzzCRC16(f *testing.F) {
	f.Add([]byte("123456789"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, want := CRC16(b), slowCRC(b); got != want {
			t.Errorf("%#04x, want %#04x", got, want)
		}
	})
}
