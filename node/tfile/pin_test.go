package tfile

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/verify"
)

// pinOf makes the pin of a chain by the definition of its fields.
func pinOf(ts []mcm.Trailer, height mcm.BlockNum) *Pin {
	ts = ts[:height+1]
	p := &Pin{Height: height, Hash: *ts[height].Hash(), SHA256: sha256.Sum256(mcm.Bytes(ts))}
	for i := range ts {
		p.Weight = rules.AddWeight(p.Weight, &ts[i])
	}
	for piece := range slices.Chunk(ts, PieceTrailers) {
		p.Pieces = append(p.Pieces, sha256.Sum256(mcm.Bytes(piece)))
	}
	return p
}

func TestPinGood(t *testing.T) {
	const n = 4600
	ts := chain(n, 3)
	plain := mustVerify(t, bytesOf(ts), Options{Now: clock, Verifier: &fake{}})
	for _, h := range []mcm.BlockNum{0, 998, 999, 1000, 2345, n - 1} {
		for _, batch := range []int{1, 3000, 0} {
			f := &fake{}
			rep := mustVerify(t, bytesOf(ts), Options{Now: clock, Verifier: f, Pin: pinOf(ts, h), Batch: batch})
			if !rep.Valid() || rep.Pinned != worked(ts[:h+1]) || rep.Checked != worked(ts[h+1:]) || f.total() != rep.Checked || rep.Known != rep.Pinned {
				t.Errorf("pin at %v, batch %d: got %+v", h, batch, rep)
			}
			if rep.Weight != plain.Weight || rep.Proven != plain.Proven {
				t.Errorf("pin at %v: weights %v, %v, want %v, %v", h, rep.Weight, rep.Proven, plain.Weight, plain.Proven)
			}
		}
	}
}

func TestPinBad(t *testing.T) {
	const n, h = 4600, 2345
	ts := chain(n, 3)
	spoiled := func(i int) []byte {
		b := bytesOf(ts)
		b[i*160+92+31]++ // nonce
		return b
	}
	pin := func(change func(*Pin)) *Pin {
		p := pinOf(ts, h)
		change(p)
		return p
	}
	same := pin(func(*Pin) {})
	for _, c := range []struct {
		name  string
		data  []byte
		pin   *Pin
		piece int64
		says  string
	}{
		{"first piece", spoiled(1), same, 0, "trailers 0 to 999"},
		{"last of a piece", spoiled(999), same, 0, "piece 0"},
		{"first of a piece", spoiled(1000), same, 1, "piece 1"},
		{"last piece", spoiled(2345), same, 2, "piece 2"},
		{"too short", bytesOf(ts[:2345]), same, -1, "ends after 2345 trailers"},
		{"whole sum", bytesOf(ts), pin(func(p *Pin) { p.SHA256[0]++ }), -1, "SHA-256"},
		{"hash", bytesOf(ts), pin(func(p *Pin) { p.Hash[0]++ }), -1, "block hash"},
		{"weight", bytesOf(ts), pin(func(p *Pin) { p.Weight[0]++ }), -1, "weight"},
		{"pieces missing", bytesOf(ts), pin(func(p *Pin) { p.Pieces = p.Pieces[:2] }), -1, "2 pieces"},
		{"height", bytesOf(ts), pin(func(p *Pin) { p.Height = 1<<64 - 1 }), -1, "pieces"},
	} {
		for _, batch := range []int{1000, 3000} {
			rep, err := VerifyFile(t.Context(), writeFile(t, c.data), Options{Now: clock, Verifier: &fake{}, Pin: c.pin, Batch: batch})
			var pe *PinError
			if !errors.As(err, &pe) || pe.Piece != c.piece || !strings.Contains(pe.Error(), c.says) || rep.Valid() || len(rep.Problems) != 0 {
				t.Errorf("%s: got %v, problems %v", c.name, err, rep.Problems)
			}
		}
	}
	// After the pin everything is checked.
	f := &fake{bad: map[mcm.BlockNum]verify.Verdict{5: verify.BadWork, 2347: verify.BadWork}}
	if rep := mustVerify(t, spoiled(2347), Options{Now: clock, Verifier: f, Pin: same}); len(rep.Problems) != 1 || rep.Problems[0].Index != 2347 {
		t.Errorf("behind the pin: got %v", rep.Problems)
	}
	for name, o := range map[string]Options{
		"a pin":       {Now: clock, Pin: same, Segment: true},
		"to make one": {Now: clock, DerivePin: true, Segment: true},
	} {
		if _, err := VerifyFile(t.Context(), writeFile(t, bytesOf(ts)), o); !errors.Is(err, ErrPinSegment) {
			t.Errorf("%s and a segment together: got %v", name, err)
		}
	}
	// A pin of a file with broken structure doesn't hide that.
	broken := chain(n, 3)
	broken[100].SetMinFee(1)
	relink(broken, 101)
	if rep := mustVerify(t, bytesOf(broken), Options{Now: clock, Verifier: &fake{}, Pin: pinOf(broken, h)}); len(rep.Problems) != 1 || rep.Problems[0].Rule != rules.MinFee {
		t.Errorf("structure under the pin: got %v", rep.Problems)
	}
}

// TestPinResume has the side file remember what lies behind a pin, and without
// the pin not believe what only the pin vouched for.
func TestPinResume(t *testing.T) {
	ts := chain(5000, 3)
	path := writeFile(t, bytesOf(ts))
	pin := pinOf(ts, 2345)
	for _, c := range []struct {
		name                     string
		pin                      *Pin
		pinned, resumed, checked int64
	}{
		{"pin", pin, worked(ts[:2346]), 0, worked(ts[2346:])},
		{"pin again", pin, worked(ts[:2346]), worked(ts[2346:]), 0},
		{"no pin", nil, 0, worked(ts[2346:]), worked(ts[:2346])},
		{"pin at last", pin, 0, worked(ts), 0},
		{"nothing left", nil, 0, worked(ts), 0},
	} {
		rep, err := VerifyFile(t.Context(), path, Options{Now: clock, Verifier: &fake{}, Pin: c.pin, Resume: path + ".kigo", Batch: 1000})
		if err != nil || !rep.Valid() || rep.Pinned != c.pinned || rep.Resumed != c.resumed || rep.Checked != c.checked || rep.Known != c.pinned+c.resumed {
			t.Errorf("%s: got %+v, %v", c.name, rep, err)
		}
	}
}

// TestDerivePin has the pass that judges make the pin, whatever else it does.
func TestDerivePin(t *testing.T) {
	ts := chain(4600, 3)
	for _, n := range []int{1, 999, 1000, 1001, 4600} {
		want := pinOf(ts, mcm.BlockNum(n-1))
		for name, o := range map[string]Options{
			"structure": {},
			"work":      {Verifier: &fake{}},
			"batches":   {Verifier: &fake{}, Batch: 3000},
			"resume":    {Verifier: &fake{}, Resume: filepath.Join(t.TempDir(), "side")},
			"pinned":    {Verifier: &fake{}, Pin: pinOf(ts, mcm.BlockNum(n-1)/2)},
		} {
			o.Now, o.DerivePin = clock, true
			if rep := mustVerify(t, bytesOf(ts[:n]), o); !rep.Valid() || !reflect.DeepEqual(rep.Pin, want) {
				t.Errorf("%d trailers, %s: got %+v, want %+v", n, name, rep.Pin, want)
			}
		}
	}
	if rep := mustVerify(t, bytesOf(ts), Options{Now: clock}); rep.Pin != nil {
		t.Errorf("unasked: got %+v", rep.Pin)
	}
	ts[4321].SetMinFee(1)
	relink(ts, 4322)
	bad := &fake{bad: map[mcm.BlockNum]verify.Verdict{1: verify.BadWork}}
	for name, o := range map[string]Options{
		"structure": {},
		"all":       {All: true},
		"work":      {Verifier: bad},
	} {
		o.Now, o.DerivePin = clock, true
		if rep := mustVerify(t, bytesOf(ts), o); rep.Valid() || rep.Pin != nil {
			t.Errorf("invalid by %s: got %+v", name, rep.Pin)
		}
	}
}

func TestPinFile(t *testing.T) {
	p := pinOf(chain(2500, 3), 2345)
	path := filepath.Join(t.TempDir(), "pin.json")
	for range 2 { // the second time over the first
		if err := writePin(path, p); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ReadPin(path)
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("got %+v, %v, want %+v", got, err, p)
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 1 {
		t.Errorf("files left in the folder: %v, %v", left, err)
	}
	b, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(b), `"weight":"`+p.Weight.String()+`"`) || !strings.Contains(string(b), `"height":2345,`) {
		t.Errorf("JSON: %s", b)
	}
	for _, change := range [][2]string{
		{`"height":2345`, `"height":3000`}, {`"height":2345`, `"height":-1`}, {`"piece_trailers":1000`, `"piece_trailers":1024`},
		{`"weight":"`, `"weight":"x`}, {`"hash":"`, `"hash":"0`}, {`"hash"`, `"hsah"`}, {`"pieces":["`, `"pieces":["zz`},
	} {
		bad := strings.Replace(string(b), change[0], change[1], 1)
		if bad == string(b) {
			t.Fatalf("no %s in %s", change[0], b)
		}
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadPin(path); err == nil {
			t.Errorf("%s: read as %+v", change[1], got)
		}
	}
	if _, err := ReadPin(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: got %v", err)
	}
	if err := writePin(filepath.Join(path, "x"), p); err == nil {
		t.Error("written where no folder is")
	}
}

// writePin writes p as kigo pins derive does.
func writePin(path string, p *Pin) error {
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(append(b, '\n'))
		return err
	})
}
