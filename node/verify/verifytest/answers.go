package verifytest

import "testing"

// peachAnswers and otherAnswers say how many vectors of which file and kind
// verify.SelfTest uses: good ones, and ones spoiled by one flipped bit, one bit
// of difficulty or a wrong word.
var (
	peachAnswers = []pick{
		{"mainnet", "", 3},
		{"peach", "random", 3},
		{"peach", "one-bit-short", 3},
		{"peach", "solved", 1},
		{"peach", "flip-base", 2},
		{"peach", "flipped", 2},
		{"peach", "start-not-zero", 1},
		{"peach", "free-tail", 1},
		{"peach", "high-difficulty-bytes", 1},
	}
	otherAnswers = []pick{
		{"peach", "bad-syntax-first", 1},
		{"peach", "bad-syntax-second", 1},
		{"trigg", "solved", 1},
		{"trigg", "one-bit-short", 1},
		{"trigg", "bad-syntax-second", 1},
		{"dispatch", "neogenesis", 1},
		{"dispatch", "pseudoblock-with-nonce", 1},
	}
)

// A pick is n vectors of a kind, any when it is empty.
type pick struct {
	file, kind string
	n          int
}

// Answers returns the vectors that verify.SelfTest uses: first those that need
// Peach, then the others.
func Answers(t testing.TB) (peach, other []Vector) {
	t.Helper()
	all := Vectors(t)
	choose := func(picks []pick, needPeach bool) (chosen []Vector) {
		for _, p := range picks {
			left := p.n
			for i := range all {
				v := &all[i]
				if left > 0 && v.File == p.file && (p.kind == "" || v.Kind == p.kind) && v.Peach() == needPeach && !v.NoHash {
					chosen = append(chosen, *v)
					left--
				}
			}
			if left > 0 {
				t.Fatalf("%d vectors too few of %s %q", left, p.file, p.kind)
			}
		}
		return chosen
	}
	return choose(peachAnswers, true), choose(otherAnswers, false)
}

// EncodeAnswers returns vectors as node/verify/answers.bin has them: for each
// the trailer, one byte of verdict, the final hash.
func EncodeAnswers(vectors []Vector) []byte {
	var b []byte
	for i := range vectors {
		v := &vectors[i]
		b = append(b, v.Trailer[:]...)
		b = append(b, byte(v.Want.Verdict))
		b = append(b, v.Want.Hash[:]...)
	}
	return b
}
