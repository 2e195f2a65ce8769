package lanes

import (
	"bytes"
	"encoding/json"
	"testing"

	"kigo/node/mcm"
	"kigo/node/pow"
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

// count fails the test unless a vector file has as many cases as it should.
func count(t testing.TB, what string, got, want int) {
	t.Helper()
	if got != want {
		t.Fatalf("%d %s, want %d", got, what, want)
	}
}

var names = [8]string{"blake2b-256/key32x00", "blake2b-256/key64x01", "sha1", "sha256", "sha3-256", "keccak-256", "md2", "md5"}

func TestDigests(t *testing.T) {
	var v struct {
		Pattern struct{ Mul, Add int }
		Cases   []map[string]json.RawMessage
	}
	load(t, "hashes.json", &v)
	count(t, "lengths", len(v.Cases), 42)
	for _, c := range v.Cases {
		var n int
		if err := json.Unmarshal(c["length"], &n); err != nil {
			t.Fatal(err)
		}
		in := make([]byte, n)
		for i := range in {
			in[i] = byte(i*v.Pattern.Mul + v.Pattern.Add)
		}
		for f, name := range names {
			var want hexBytes
			if err := json.Unmarshal(c[name], &want); err != nil || len(want) < 16 {
				t.Fatalf("%s of %d bytes: bad vector %s: %v", name, n, c[name], err)
			}
			var got mcm.Hash
			switch {
			case f == md2:
				continue // TestMD2
			case n == 0 && (f == blake2bZeros || f == blake2bOnes):
				continue // the key's block would be the last one
			}
			digest(&got, uint32(f), in)
			if filled := append(want, make([]byte, 32-len(want))...); !bytes.Equal(got[:], filled) {
				t.Errorf("%s of %d bytes: got %v, want %x", name, n, got, filled)
			}
		}
	}
}

// TestMD2 digests the vectors in every lane beside every number of others, each
// lane beginning with another vector.
func TestMD2(t *testing.T) {
	var v struct {
		Pattern struct{ Mul, Add int }
		Cases   []struct {
			Length int
			MD2    hexBytes
		}
	}
	load(t, "hashes.json", &v)
	count(t, "lengths", len(v.Cases), 42)
	for n := 1; n <= Lanes; n++ {
		x := md2Lanes{pairs: md2Pairs()}
		var taken [Lanes]int
		start := func(s int) {
			c := v.Cases[(taken[s]+s)%len(v.Cases)]
			in := make([]byte, c.Length/16*16+16)
			for i := range in {
				in[i] = byte(i*v.Pattern.Mul + v.Pattern.Add)
				if i >= c.Length {
					in[i] = byte(len(in) - c.Length)
				}
			}
			x.startPadded(s, in)
		}
		for s := range n {
			start(s)
		}
		for rest := n * len(v.Cases); rest > 0; {
			x.step(n)
			for s := range n {
				if !x.ended(s) {
					continue
				}
				c := v.Cases[(taken[s]+s)%len(v.Cases)]
				var got mcm.Hash
				x.digest(s, &got)
				if !bytes.Equal(got[:16], c.MD2) || !bytes.Equal(got[16:], make([]byte, 16)) {
					t.Fatalf("%d bytes in lane %d of %d: got %v, want %x", c.Length, s, n, got, c.MD2)
				}
				taken[s]++
				rest--
				start(s)
			}
		}
	}
}

func TestMD2Padding(t *testing.T) {
	for _, n := range []int{seedLen, jumpLen} {
		buf := bytes.Repeat([]byte{0xee}, n+md2Pad+1)
		x := md2Lanes{pairs: md2Pairs()}
		x.start(3, buf[:n])
		if want := (n+md2Pad)/16 + 1; x.left[3] != want {
			t.Errorf("%d bytes: %d blocks, want %d", n, x.left[3], want)
		}
		if !bytes.Equal(buf[n:], append(bytes.Repeat([]byte{12}, 12), 0xee)) {
			t.Errorf("%d bytes: padding %x", n, buf[n:])
		}
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
	count(t, "edge cases", len(edge.Cases), 174)
	count(t, "steps", len(steps.Dflops), 48)
	for i, c := range append(edge.Cases, steps.Dflops...) {
		data := bytes.Clone(c.Input)
		op := dflops(data, c.Index, c.TxF == 1)
		if op%8 != c.Op%8 || !bytes.Equal(data, c.Output) {
			t.Errorf("case %d (%s): got op %d, %x; want %d, %x", i, c.Class, op%8, data, c.Op%8, c.Output)
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
	count(t, "cases", len(v.Dmemtx), 48)
	lengths := map[int]int{}
	for i, c := range v.Dmemtx {
		data := bytes.Clone(c.Input)
		var op uint32
		switch lengths[len(data)]++; len(data) {
		case 32:
			op = dmemtx32((*[32]byte)(data), c.OpIn)
		case 36:
			op = dmemtx36((*[36]byte)(data), c.OpIn)
		}
		if op%8 != c.OpOut%8 || !bytes.Equal(data, c.Output) {
			t.Errorf("case %d: got op %d, %x; want %d, %x", i, byte(op), data, byte(c.OpOut), c.Output)
		}
	}
	if lengths[32] == 0 || lengths[36] == 0 || lengths[32]+lengths[36] != len(v.Dmemtx) {
		t.Errorf("lengths %v", lengths)
	}
}

// peachVectors returns the trailers of peach.json and mainnet.json whose Peach
// hash is known, and those hashes.
func peachVectors(t testing.TB) (batch []mcm.Trailer, want []mcm.Hash) {
	t.Helper()
	var v struct {
		Cases []struct {
			Trailer   hexBytes
			FinalHash hexBytes `json:"final_hash"`
		}
	}
	load(t, "peach.json", &v)
	count(t, "cases", len(v.Cases), 548)
	var m struct {
		Trailers []struct {
			Trailer   hexBytes
			Algorithm string
			FinalHash hexBytes `json:"final_hash"`
		}
	}
	load(t, "mainnet.json", &m)
	count(t, "mainnet trailers", len(m.Trailers), 268)
	for _, c := range v.Cases {
		if c.FinalHash != nil {
			batch = append(batch, mcm.Trailer(c.Trailer))
			want = append(want, mcm.Hash(c.FinalHash))
		}
	}
	for _, c := range m.Trailers {
		if c.FinalHash != nil && c.Algorithm == "peach" {
			batch = append(batch, mcm.Trailer(c.Trailer))
			want = append(want, mcm.Hash(c.FinalHash))
		}
	}
	return batch, want
}

func TestVectors(t *testing.T) {
	batch, want := peachVectors(t)
	got := make([]mcm.Hash, len(batch))
	New().Hash(got, batch)
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("trailer %d (block %d): got %v, want %v", i, batch[i].Num(), got[i], want[i])
		}
	}
	if len(batch) < 700 {
		t.Errorf("only %d trailers", len(batch))
	}
}

func TestTiles(t *testing.T) {
	var v struct {
		Tiles []struct {
			Index       uint32
			PHash, Tile hexBytes
			Row0, Row31 hexBytes
			SHA256      hexBytes `json:"tile_sha256"`
		}
	}
	load(t, "peach-steps.json", &v)
	count(t, "tiles", len(v.Tiles), 48)
	for _, c := range v.Tiles {
		// A lane at its ninth tile ends with SHA-256 of the trailer hash and it.
		l := lane{dst: new(mcm.Hash), prev: (*mcm.Hash)(c.PHash), jumps: jumps}
		l.enter(c.Index % pow.Tiles)
		x := md2Lanes{pairs: md2Pairs()}
		for in := l.run(); in != nil; in = l.run() {
			for x.start(0, in); !x.ended(0); {
				x.step(1)
			}
			var d mcm.Hash
			x.digest(0, &d)
			l.accept(&d)
		}
		tile := l.msg[tileAt : tileAt+tileLen]
		if !bytes.Equal(tile[:32], c.Row0) || !bytes.Equal(tile[tileLen-32:], c.Row31) {
			t.Errorf("tile %d: rows %x and %x, want %x and %x", c.Index, tile[:32], tile[tileLen-32:], c.Row0, c.Row31)
		}
		if c.Tile != nil && !bytes.Equal(tile, c.Tile) {
			t.Errorf("tile %d differs", c.Index)
		}
	}
}
