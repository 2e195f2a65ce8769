package pow

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"kigo/node/mcm"
)

// newRand returns a generator and prints the seed to repeat a failure with.
func newRand(t *testing.T) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// naiveSyntax is the syntax check as docs/spec/pow.md section 5.2 has it: any
// frame, slot by slot, then a zero.
func naiveSyntax(h *Half) bool {
	for _, slots := range frames {
		fits := h[len(slots)] == 0
		for j, s := range slots {
			if s.token != 0 {
				fits = fits && h[j] == s.token
			} else {
				fits = fits && dictionary[h[j]].is&s.any != 0
			}
		}
		if fits {
			return true
		}
	}
	return false
}

// TestSyntaxAgainstFrames changes each token of random haikus to each value.
func TestSyntaxAgainstFrames(t *testing.T) {
	r := newRand(t)
	verdicts := map[bool]int{}
	for range 20 {
		haiku := RandomHalf(r)
		for j := range haiku {
			for token := range 256 {
				h := haiku
				h[j] = byte(token)
				want := naiveSyntax(&h)
				if got := h.Syntax(); got != want {
					t.Fatalf("%x: got %v, want %v", h, got, want)
				}
				verdicts[want]++
			}
		}
	}
	if verdicts[true] < 1000 || verdicts[false] < 1000 {
		t.Errorf("%v: too one-sided to tell anything", verdicts)
	}
}

func TestNonceNeedsTwoHaikus(t *testing.T) {
	haiku := RandomHalf(newRand(t))
	for _, c := range []struct {
		name          string
		first, second Half
		want          bool
	}{
		{"both", haiku, haiku, true},
		{"first only", haiku, Half{}, false},
		{"second only", Half{}, haiku, false},
		{"neither", Half{}, Half{}, false},
	} {
		var tr mcm.Trailer
		first, second := Halves(&tr)
		*first, *second = c.first, c.second
		if got := NonceSyntax(&tr); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
		if (Half)(tr[92:108]) != c.first || (Half)(tr[108:124]) != c.second {
			t.Errorf("%s: the halves lie at the wrong place", c.name)
		}
	}
}

func TestRandomNoncesAreHaikus(t *testing.T) {
	r := newRand(t)
	lengths := map[int]bool{}
	for range 2000 {
		h := RandomHalf(r)
		if !h.Syntax() {
			t.Fatalf("%x is no haiku", h)
		}
		end := slices.Index(h[:], 0)
		if slices.Max(h[end:]) != 0 {
			t.Fatalf("%x: something stands behind the haiku", h)
		}
		lengths[end] = true

		var tr mcm.Trailer
		SetRandomNonce(&tr, r)
		if !NonceSyntax(&tr) {
			t.Fatalf("%x is no pair of haikus", *tr.Nonce())
		}
		for _, h := range []Half{Half(tr[92:108]), Half(tr[108:124])} {
			if slices.Index(h[:], 0) != len(frames[7]) {
				t.Fatalf("%x is not of the frame with the most haikus", h)
			}
		}
	}
	for _, slots := range frames {
		if !lengths[len(slots)] {
			t.Errorf("no haiku of %d words was drawn", len(slots))
		}
	}
}

// TestRandomWordsVary makes sure that a search does not try the same nonce
// again: every word of a slot comes up.
func TestRandomWordsVary(t *testing.T) {
	r := newRand(t)
	var seen [HalfLen]map[byte]bool
	for j := range seen {
		seen[j] = map[byte]bool{}
	}
	for range 3000 {
		n := RandomNonce(r)
		for j, token := range n[:HalfLen] {
			seen[j][token] = true
		}
	}
	for j, words := range grammar.words[richFrame] {
		if len(seen[j]) != len(words) {
			t.Errorf("slot %d: %d different words came up, want %d", j, len(seen[j]), len(words))
		}
	}
}

func TestLines(t *testing.T) {
	for _, c := range []struct {
		name  string
		words string // separated by |
		want  string // lines separated by /
	}{
		{"three lines", "above|day|\n|a|journey|\n|walking", "above day/a journey/walking"},
		{"genitive and colon", "fall|\bs|\b:|\n|cloud", "falls:/cloud"},
		{"dash", "coming|\b--|\n|a|sad|cloud", "coming--/a sad cloud"},
		{"backspace first", "\b:|cloud", ": cloud"},
		{"backspace after a line feed", "cloud|\n|\b:|cloud", "cloud : cloud"},
		{"backspace after nothing but a line feed", "\n|\b:|cloud", ": cloud"},
		{"ends in a line feed", "cloud|\n", "cloud/"},
		{"empty", "", ""},
	} {
		var h Half
		if c.words != "" {
			for j, w := range strings.Split(c.words, "|") {
				h[j] = tokenOf(t, w)
			}
		}
		if got := strings.Join(h.Lines(), "/"); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func tokenOf(t *testing.T, text string) byte {
	for i, w := range dictionary {
		if w.text == text {
			return byte(i)
		}
	}
	t.Fatalf("%q is no word of the dictionary", text)
	return 0
}

// TestExpandLongest fills a half with the longest word: it has no terminator
// and still fits.
func TestExpandLongest(t *testing.T) {
	longest := 0
	for i, w := range dictionary {
		if len(w.text) > len(dictionary[longest].text) {
			longest = i
		}
	}
	var h Half
	for j := range h {
		h[j] = byte(longest)
	}
	text := h.Expand()
	want := strings.Repeat(dictionary[longest].text+" ", HalfLen)
	if got := strings.TrimRight(string(text[:]), "\x00"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzHaiku(f *testing.F) {
	v := loadTrigg(f)
	for _, c := range v.Syntax {
		f.Add([]byte(c.Half))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < HalfLen {
			return
		}
		h := halfOf(b)
		if got, want := h.Syntax(), naiveSyntax(h); got != want {
			t.Errorf("%x: syntax %v, want %v", h, got, want)
		}
		text := h.Expand()
		words := 0
		for words < HalfLen && h[words] != 0 {
			words++
		}
		length := len(strings.TrimRight(string(text[:]), "\x00"))
		if length < words || length > 12*words {
			t.Errorf("%x: %d words became %d bytes", h, words, length)
		}
		for _, line := range h.Lines() {
			if strings.ContainsAny(line, "\b\n\x00") || strings.HasSuffix(line, " ") {
				t.Errorf("%x: line %q", h, line)
			}
		}
	})
}
