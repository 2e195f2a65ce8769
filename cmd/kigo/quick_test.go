package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kigo/node/mcm"
)

func TestVerifyQuick(t *testing.T) {
	const established = "if more than 0.34 % of the weight had no valid work, the chance of missing it is below 0.1 %"
	good := synthFile(t, "--blocks", "300", "--difficulty", "3", "--seed", "1")
	r := verifyJSON(t, 0, "--quick", good)
	if q := r.Quick; q == nil || q.Samples != 2048 || q.Text != established || q.Bad != nil || q.Distinct < 200 || q.Distinct > 300 {
		t.Errorf("a good file: %+v", q)
	}
	if !r.Valid || r.Trailers != 300 {
		t.Errorf("it did not go on to certainty: %+v", r)
	}
	out := kigo(t, "verify", "--quick", good)
	out.want(t, 0)
	if !strings.Contains(out.stderr, "quick verdict: 2,048 draws by weight hold after") || !strings.Contains(out.stderr, established) {
		t.Errorf("stderr: %s", out.stderr)
	}

	// One bad trailer of 300 is drawn by 2,048 draws all but surely: (1-1/300)^2048 is
	// 0.1 %, so spoil five.
	b := readFile(t, good)
	ts := mcm.Trailers(b)
	var spoiled []int
	for i := 100; len(spoiled) < 5; i++ {
		if ts[i].Kind() == mcm.Standard {
			ts[i].Nonce()[0] = 0 // no haiku begins so
			spoiled = append(spoiled, i)
		}
	}
	bad := filepath.Join(t.TempDir(), "bad.dat")
	if err := os.WriteFile(bad, b, 0o644); err != nil {
		t.Fatal(err)
	}
	r = verifyJSON(t, exitInvalid, "--quick", bad)
	if q := r.Quick; q == nil || q.Bad == nil || q.Bad.Index < int64(spoiled[0]) || q.Bad.Index > int64(spoiled[4]) {
		t.Errorf("a bad file: %+v", q)
	}
	if len(r.Errors) != 1 || r.Errors[0].Index != int64(spoiled[0]) {
		t.Errorf("the whole verdict: %+v", r.Errors)
	}

	// Nothing to draw from, and words that don't go together.
	if r := verifyJSON(t, 0, "--quick", genesis); r.Quick != nil {
		t.Errorf("the genesis alone: %+v", r.Quick)
	}
	if r := verifyJSON(t, 0, "--quick", "--from-height", "300", good); r.Quick != nil {
		t.Errorf("nothing from block 300 on: %+v", r.Quick)
	}
	kigo(t, "verify", "--quick", "--no-pow", good).want(t, exitUsage)
	if out := kigoWith(t, b, "verify", "--quick", "-"); out.code != exitUsage || !strings.Contains(out.stderr, "--quick draws from all over the file") {
		t.Errorf("standard input: %d, %s", out.code, out.stderr)
	}
}

// TestDraw has trailers of difficulty 8 drawn 16 times as often as those of 4, in
// whatever chunk of the file they are, and no others.
func TestDraw(t *testing.T) {
	var b bytes.Buffer
	const n = 3*quickChunk + 17
	for i := range n {
		var t mcm.Trailer
		t.SetNum(mcm.V30Trigger + 1 + mcm.BlockNum(i))
		if i%4 != 0 {
			t.SetTxCount(1)
		}
		t.SetDifficulty(4)
		if i%400 == 1 {
			t.SetDifficulty(8)
		}
		b.Write(t[:])
	}
	file := filepath.Join(t.TempDir(), "trailers")
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var sums []float64
	total := 0.0
	ts := mcm.Trailers(b.Bytes())
	for i := range ts {
		total += statedWork(&ts[i], 0)
		if (i+1)%quickChunk == 0 {
			sums = append(sums, total)
		}
	}
	sums = append(sums, total)
	heavy, light, late := 0, 0, 0
	for range 20 {
		drawn, err := draw(t.Context(), io.NewSectionReader(f, 0, int64(b.Len())), sums, 0)
		if err != nil {
			t.Fatal(err)
		}
		last := int64(-1)
		for _, d := range drawn {
			if d.trailer != ts[d.index] || d.index <= last {
				t.Fatalf("drawn %d behind %d is another trailer, or out of order", d.index, last)
			}
			last = d.index
			switch {
			case statedWork(&d.trailer, 0) == 0:
				t.Fatalf("trailer %d has no work to show and was drawn", d.index)
			case d.trailer.Difficulty() == 8:
				heavy++
			default:
				light++
			}
			if d.index >= 3*quickChunk {
				late++
			}
		}
	}
	// 31 heavy ones of 256 and about 9,200 light ones of 16: expected are 31·(1-e^-3.4)
	// = 30 and 9,200·(1-e^-0.21) = 1,740 of them a time.
	if heavy < 20*28 || heavy > 20*31 || light < 20*1600 || light > 20*1900 || late == 0 {
		t.Errorf("drawn %d heavy, %d light, %d of the last chunk", heavy, light, late)
	}
}
