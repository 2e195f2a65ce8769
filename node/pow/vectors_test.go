package pow

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"kigo/node/mcm"
	"kigo/testdata"
)

// load reads a JSON file of the repository.
func load(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("../../" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

type hexBytes = testdata.Hex

type triggVectors struct {
	Syntax []struct {
		Kind   string
		Half   hexBytes
		Accept bool
	}
	Expand []struct {
		Kind          string
		Half, Text    hexBytes
		Length        int
		Display       *string
		SHA256OfWhole hexBytes `json:"sha256_of_256_bytes"`
	}
	Check []struct {
		ID         int
		Kind       string
		Trailer    hexBytes
		Difficulty uint8
		FinalHash  hexBytes `json:"final_hash"`
		Zeros      int      `json:"leading_zero_bits"`
		Verdict    string
	}
	Eval []struct {
		Hash       hexBytes
		Difficulty uint8
		Zeros      int `json:"leading_zero_bits"`
		Verdict    string
	}
}

func loadTrigg(t testing.TB) (v triggVectors) {
	load(t, "testdata/vectors/pow/trigg.json", &v)
	return v
}

func TestSyntaxVectors(t *testing.T) {
	v := loadTrigg(t)
	if len(v.Syntax) != 282 {
		t.Errorf("%d cases, want 282", len(v.Syntax))
	}
	for _, c := range v.Syntax {
		if got := halfOf(c.Half).Syntax(); got != c.Accept {
			t.Errorf("%x (%s): got %v, want %v", c.Half, c.Kind, got, c.Accept)
		}
	}
}

func TestExpandVectors(t *testing.T) {
	v := loadTrigg(t)
	if len(v.Expand) != 48 {
		t.Errorf("%d cases, want 48", len(v.Expand))
	}
	for _, c := range v.Expand {
		h := halfOf(c.Half)
		got := h.Expand()
		if sum := sha256.Sum256(got[:]); !bytes.Equal(got[:c.Length], c.Text) || !bytes.Equal(sum[:], c.SHA256OfWhole) {
			t.Errorf("%x (%s): got %q, want %q and zeros", c.Half, c.Kind, got, c.Text)
		}
		if c.Display != nil && strings.Join(h.Lines(), "\n") != *c.Display {
			t.Errorf("%x (%s): prints as %q, want %q", c.Half, c.Kind, h.Lines(), *c.Display)
		}
	}
}

func TestTriggVectors(t *testing.T) {
	v := loadTrigg(t)
	if len(v.Check) != 160 {
		t.Errorf("%d cases, want 160", len(v.Check))
	}
	for _, c := range v.Check {
		tr := (*mcm.Trailer)(c.Trailer)
		accept := NonceSyntax(tr)
		if accept != (c.FinalHash != nil) {
			t.Errorf("case %d (%s): syntax %v, want %v", c.ID, c.Kind, accept, c.FinalHash != nil)
		}
		if c.FinalHash != nil {
			got := TriggHash(tr)
			if !bytes.Equal(got[:], c.FinalHash) {
				t.Errorf("case %d (%s): got %v, want %x", c.ID, c.Kind, got, c.FinalHash)
			}
			accept = accept && Meets(&got, tr.WorkDifficulty())
		}
		if accept != (c.Verdict == "accept") {
			t.Errorf("case %d (%s): got %v, want %s", c.ID, c.Kind, accept, c.Verdict)
		}
	}
}

func TestDifficultyVectors(t *testing.T) {
	v := loadTrigg(t)
	if len(v.Eval) != 143 {
		t.Errorf("%d cases, want 143", len(v.Eval))
	}
	for _, c := range v.Eval {
		h := (*mcm.Hash)(c.Hash)
		if got := Meets(h, c.Difficulty); got != (c.Verdict == "accept") || h.LeadingZeroBits() != c.Zeros {
			t.Errorf("%v at difficulty %d: got %v with %d zero bits, want %s with %d", h, c.Difficulty, got, h.LeadingZeroBits(), c.Verdict, c.Zeros)
		}
	}
}

func TestDispatchVectors(t *testing.T) {
	var v struct {
		Cases []struct {
			Kind, Block, Algorithm string
			Trailer                hexBytes
			NeedsPow               bool `json:"needs_pow"`
			Peach                  string
			Rule                   string `json:"pow_rule"`
		}
	}
	load(t, "testdata/vectors/pow/dispatch.json", &v)
	if len(v.Cases) != 64 {
		t.Errorf("%d cases, want 64", len(v.Cases))
	}
	for _, c := range v.Cases {
		tr := (*mcm.Trailer)(c.Trailer)
		n, err := strconv.ParseUint(c.Block, 0, 64)
		if err != nil || tr.Num() != mcm.BlockNum(n) {
			t.Fatalf("%s: number %v, want %s", c.Kind, tr.Num(), c.Block)
		}
		want := c.Algorithm
		if !c.NeedsPow {
			want = "none"
		}
		if got := AlgorithmOf(tr).String(); got != want {
			t.Errorf("block %s (%s): got %s, want %s", c.Block, c.Kind, got, want)
		}
		if want := c.Algorithm == "peach" && c.Peach == "reject" && c.Rule == "accept"; Anomaly(tr) && !want && c.Peach == "reject" || want && !Anomaly(tr) {
			t.Errorf("block %s (%s): exception %v, want %v", c.Block, c.Kind, Anomaly(tr), want)
		}
	}
}

// TestDictionary compares words, features and frames with the specification's
// own list.
func TestDictionary(t *testing.T) {
	var spec struct {
		Bits   map[string]features `json:"feature_bits"`
		Tokens []struct {
			Text string
			Mask features
		}
		Frames []struct {
			Slots []struct {
				Token   byte
				Mask    features
				Choices int
			}
		}
	}
	load(t, "docs/spec/trigg-dictionary.json", &spec)
	for name, bit := range map[string]features{
		"ING": ing, "INF": inf, "MOTION": motion, "NS": ns, "NPL": npl, "MASS": mass, "AMB": amb, "TIMED": timed,
		"TIMEY": timey, "AT": at, "ON": on, "IN": in, "PREP": prep, "ADJ": adj, "OP": op,
	} {
		if spec.Bits[name] != bit {
			t.Errorf("feature %s is %#x, want %#x", name, bit, spec.Bits[name])
		}
	}
	if len(spec.Bits) != 15 || len(spec.Tokens) != len(dictionary) || len(spec.Frames) != len(frames) {
		t.Fatalf("%d features, %d tokens, %d frames", len(spec.Bits), len(spec.Tokens), len(spec.Frames))
	}
	for i, want := range spec.Tokens {
		if got := dictionary[i]; got.text != want.Text || got.is != want.Mask {
			t.Errorf("token %d is %q %#x, want %q %#x", i, got.text, got.is, want.Text, want.Mask)
		}
	}
	for f, want := range spec.Frames {
		if len(frames[f]) != len(want.Slots) {
			t.Errorf("frame %d has %d slots, want %d", f, len(frames[f]), len(want.Slots))
			continue
		}
		for j, s := range want.Slots {
			if got := frames[f][j]; got.token != s.Token || got.any != s.Mask {
				t.Errorf("frame %d slot %d is %+v, want %+v", f, j, got, s)
			}
			if s.Choices != 0 && len(grammar.words[f][j]) != s.Choices {
				t.Errorf("frame %d slot %d has %d words, want %d", f, j, len(grammar.words[f][j]), s.Choices)
			}
		}
	}
}
