package portable

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"kigo/node/mcm"
	"kigo/testdata"
)

type hexBytes = testdata.Hex

// load reads a file of golden vectors.
func load(t testing.TB, name string, into any) {
	t.Helper()
	if err := testdata.Load("pow/"+name, into); err != nil {
		t.Fatal(err)
	}
}

func TestHashes(t *testing.T) {
	var v struct {
		Pattern struct{ Mul, Add int }
		Cases   []map[string]json.RawMessage
	}
	load(t, "hashes.json", &v)
	names := []string{"blake2b-256/key32x00", "blake2b-256/key64x01", "sha1", "sha256", "sha3-256", "keccak-256", "md2", "md5"}
	d := newDigests()
	for _, c := range v.Cases {
		var n int
		if err := json.Unmarshal(c["length"], &n); err != nil {
			t.Fatal(err)
		}
		in := make([]byte, n)
		for i := range in {
			in[i] = byte(i*v.Pattern.Mul + v.Pattern.Add)
		}
		for number, name := range names {
			want, err := hex.DecodeString(strings.Trim(string(c[name]), `"`))
			if err != nil || len(want) < 16 {
				t.Fatalf("%s: bad vector %s", name, c[name])
			}
			var got mcm.Hash
			for i := range got {
				got[i] = 0xee
			}
			d.sum(&got, uint32(number), in)
			if filled := append(want, make([]byte, 32-len(want))...); !bytes.Equal(got[:], filled) {
				t.Errorf("%s of %d bytes: got %v, want %x", name, n, got, filled)
			}
		}
	}
	if len(v.Cases) != 42 {
		t.Errorf("%d lengths, want 42", len(v.Cases))
	}
}

func TestMD2InPieces(t *testing.T) {
	in := []byte(strings.Repeat("of pi ", 20))
	var whole md2
	whole.Write(in)
	want := whole.Sum(nil)
	for piece := 1; piece < 40; piece++ {
		var h md2
		for rest := in; len(rest) > 0; rest = rest[min(piece, len(rest)):] {
			h.Write(rest[:min(piece, len(rest))])
			h.Sum(nil) // changes nothing
		}
		if got := h.Sum([]byte{7}); !bytes.Equal(got[1:], want) || got[0] != 7 {
			t.Errorf("in pieces of %d: got %x, want 07%x", piece, got, want)
		}
	}
	if whole.Reset(); hex.EncodeToString(whole.Sum(nil)) != "8350e5a3e24c153df2275c9f80692773" {
		t.Error("the empty message's digest is wrong after Reset")
	}
	if whole.Size() != 16 || whole.BlockSize() != 16 {
		t.Error("wrong sizes")
	}
}

type dflopsCase struct {
	Class         string
	Index         uint32
	TxF           int
	Input, Output hexBytes
	Op            uint32
}

func TestDflops(t *testing.T) {
	var edge struct{ Cases []dflopsCase }
	load(t, "dflops-edge.json", &edge)
	var steps struct{ Dflops []dflopsCase }
	load(t, "peach-steps.json", &steps)
	if len(edge.Cases) != 174 || len(steps.Dflops) != 48 {
		t.Fatalf("%d edge cases, %d steps", len(edge.Cases), len(steps.Dflops))
	}
	for i, c := range append(edge.Cases, steps.Dflops...) {
		data := bytes.Clone(c.Input)
		op := dflops(data, c.Index, c.TxF == 1)
		if op != c.Op || !bytes.Equal(data, c.Output) {
			t.Errorf("case %d (%s): got op %d, %x; want %d, %x", i, c.Class, op, data, c.Op, c.Output)
		}
	}
}

func TestDmemtx(t *testing.T) {
	var v struct {
		Dmemtx []struct {
			OpIn   uint32 `json:"op_in"`
			OpOut  uint32 `json:"op_out"`
			Input  hexBytes
			Output hexBytes
		}
	}
	load(t, "peach-steps.json", &v)
	if len(v.Dmemtx) != 48 {
		t.Fatalf("%d cases", len(v.Dmemtx))
	}
	for i, c := range v.Dmemtx {
		data := bytes.Clone(c.Input)
		if op := dmemtx(data, c.OpIn); op != c.OpOut || !bytes.Equal(data, c.Output) {
			t.Errorf("case %d: got op %d, %x; want %d, %x", i, op, data, c.OpOut, c.Output)
		}
	}
}

func TestNighthash(t *testing.T) {
	var v struct {
		Nighthash []struct {
			Index, InLen, TxLen uint32
			Algorithm           uint32
			Input, Hashed       hexBytes
			Digest              hexBytes
		}
	}
	load(t, "peach-steps.json", &v)
	if len(v.Nighthash) != 48 {
		t.Fatalf("%d cases", len(v.Nighthash))
	}
	k := New()
	for i, c := range v.Nighthash {
		data := bytes.Clone(c.Input)
		var got mcm.Hash
		k.nighthash(&got, data, int(c.TxLen), c.Index)
		if want := cmp.Or(string(c.Hashed), string(c.Input)); string(data) != want {
			t.Errorf("case %d (function %d): hashed %x, want %x", i, c.Algorithm, data, want)
		}
		if !bytes.Equal(got[:], c.Digest) {
			t.Errorf("case %d (function %d): got %v, want %x", i, c.Algorithm, got, c.Digest)
		}
	}
}

func TestTilesAndJumps(t *testing.T) {
	var v struct {
		Tiles []struct {
			Index       uint32
			PHash, Tile hexBytes
			Row0, Row31 hexBytes
			SHA256      hexBytes `json:"tile_sha256"`
		}
		Jumps []struct {
			Index     uint32
			Nonce     hexBytes
			Tile      hexBytes // or, in place of it:
			TilePHash hexBytes `json:"tile_phash"`
			NextIndex uint32   `json:"next_index"`
		}
	}
	load(t, "peach-steps.json", &v)
	if len(v.Tiles) != 48 || len(v.Jumps) != 48 {
		t.Fatalf("%d tiles, %d jumps", len(v.Tiles), len(v.Jumps))
	}
	k := New()
	for _, c := range v.Tiles {
		k.makeTile(c.Index, (*mcm.Hash)(c.PHash))
		sum := sha256.Sum256(k.tile[:])
		if !bytes.Equal(sum[:], c.SHA256) || !bytes.Equal(k.row(0)[:], c.Row0) || !bytes.Equal(k.row(31)[:], c.Row31) {
			t.Errorf("tile %d: got SHA-256 %x, rows %v and %v; want %x, %x and %x", c.Index, sum, k.row(0), k.row(31), c.SHA256, c.Row0, c.Row31)
		}
		if c.Tile != nil && !bytes.Equal(k.tile[:], c.Tile) {
			t.Errorf("tile %d differs", c.Index)
		}
	}
	for _, c := range v.Jumps {
		if c.Tile != nil {
			k.tile = [tileLen]byte(c.Tile)
		} else {
			k.makeTile(c.Index, (*mcm.Hash)(c.TilePHash))
		}
		if got := k.jump(c.Index, (*mcm.Nonce)(c.Nonce)); got != c.NextIndex {
			t.Errorf("jump from %d: got %d, want %d", c.Index, got, c.NextIndex)
		}
	}
}

func TestPeach(t *testing.T) {
	var v struct {
		Cases []struct {
			ID        int
			Kind      string
			Trailer   hexBytes
			Tiles     []uint32
			FinalHash hexBytes `json:"final_hash"`
		}
	}
	load(t, "peach.json", &v)
	if len(v.Cases) != 548 {
		t.Fatalf("%d cases", len(v.Cases))
	}
	k := New()
	for _, c := range v.Cases {
		if c.FinalHash == nil {
			continue // no haiku, so there is no hash
		}
		var tiles []uint32
		got := k.check((*mcm.Trailer)(c.Trailer), func(index uint32) { tiles = append(tiles, index) })
		if !bytes.Equal(got[:], c.FinalHash) {
			t.Errorf("case %d (%s): got %v, want %x", c.ID, c.Kind, got, c.FinalHash)
		}
		for i, want := range c.Tiles {
			if i >= len(tiles) || tiles[i] != want {
				t.Errorf("case %d (%s): tiles %v, want %v", c.ID, c.Kind, tiles, c.Tiles)
				break
			}
		}
	}
}
