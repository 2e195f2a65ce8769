package pow

import (
	"bytes"
	"math/rand/v2"
	"strings"
)

// HalfLen is the number of tokens in one half of a nonce.
const HalfLen = 16

// ExpandedLen is the length of an expanded half (docs/spec/pow.md section 5.3).
const ExpandedLen = 256

// A Half is one haiku of a nonce: 16 tokens, each an index into the dictionary.
type Half [HalfLen]byte

type word struct {
	text string
	is   features
}

// features are the roles a word can play; a frame's slot asks for one of a set.
type features uint16

const (
	ing features = 1 << iota
	inf
	motion
	ns
	npl
	mass
	amb
	timed
	timey
	at
	on
	in
	prep
	adj
	op
)

// Tokens that frames name directly.
const (
	nl = 1 // line feed
	co = 2 // colon
	md = 3 // dash
	a  = 5 // the article
	s  = 9 // genitive or plural s
)

// A slot is one position of a frame: the literal token, or when that is 0 any
// word that has one of the features.
type slot struct {
	token byte
	any   features
}

func (s slot) fits(token byte) bool {
	if s.token != 0 {
		return token == s.token
	}
	return dictionary[token].is&s.any != 0
}

func lit(token byte) slot     { return slot{token: token} }
func of(f features) slot      { return slot{any: f} }
func frame(s ...slot) []slot  { return s }
func halfOf(n []byte) *Half   { return (*Half)(n) }
func tokenText(t byte) string { return dictionary[t].text }

// frames are the ten sentence patterns (docs/spec/pow.md section 5.1).
var frames = [10][]slot{
	frame(of(prep), of(adj), of(mass), lit(nl), of(npl), lit(nl), of(inf|ing)),
	frame(of(prep), of(mass), lit(nl), of(adj), of(npl), lit(nl), of(inf|ing)),
	frame(of(prep), of(timed), lit(nl), of(adj), of(npl), lit(nl), of(inf|ing)),
	frame(of(prep), of(timed), lit(nl), lit(a), of(ns), lit(nl), of(ing)),
	frame(of(timed|timey), of(amb), lit(nl), of(prep), lit(a), of(adj), of(ns), lit(md), lit(nl), of(adj|ing)),
	frame(of(timed|timey), of(amb), lit(nl), of(adj), of(mass), lit(nl), of(ing)),
	frame(of(timed|timey), of(mass), lit(nl), of(inf), lit(s), lit(co), lit(nl), of(amb)),
	frame(of(ing), of(prep), lit(a), of(adj), of(ns), lit(nl), of(mass), of(ing), lit(md), lit(nl), lit(a), of(adj), of(ns)),
	frame(of(ing), of(prep), of(timed|timey), of(mass), lit(nl), of(mass), of(ing), lit(md), lit(nl), lit(a), of(adj), of(ns)),
	frame(lit(a), of(ns), lit(nl), of(prep), of(timed), of(mass), lit(md), lit(nl), of(adj)),
}

// grammar is the frames turned on their side, so that one look at each token
// rules out frames for good: fits[j][token] has a bit for each frame that can
// have the token at position j, its terminating 0 included, and ends[j] one for
// each frame whose terminator is at j.  Words has what a slot can hold, for
// making haikus.
var grammar = func() (g struct {
	fits  [HalfLen][256]uint16
	ends  [HalfLen]uint16
	words [len(frames)][][]byte
}) {
	for f, slots := range frames {
		for j, s := range slots {
			var words []byte
			for token := range 256 {
				if s.fits(byte(token)) {
					g.fits[j][token] |= 1 << f
					words = append(words, byte(token))
				}
			}
			g.words[f] = append(g.words[f], words)
		}
		g.fits[len(slots)][0] |= 1 << f
		g.ends[len(slots)] |= 1 << f
	}
	return g
}()

// Syntax reports whether the half is a haiku: some frame fits it word for word
// and is followed by a zero.  Tokens behind that zero are not looked at
// (docs/spec/pow.md section 5.2).
func (h *Half) Syntax() bool {
	alive := uint16(1)<<len(frames) - 1
	for j, token := range h {
		alive &= grammar.fits[j][token]
		if alive&grammar.ends[j] != 0 {
			return true
		}
		if alive == 0 {
			return false
		}
	}
	return false
}

// Expand returns the half as the text that Trigg hashes, padded with zeros:
// each word and a space, no space after a line feed, backspaces kept
// (docs/spec/pow.md section 5.3).
func (h *Half) Expand() (out [ExpandedLen]byte) {
	n := 0
	for _, token := range h {
		if token == 0 {
			break
		}
		n += copy(out[n:], tokenText(token))
		if out[n-1] != '\n' {
			out[n] = ' '
			n++
		}
	}
	return out
}

// Lines returns the haiku as it is printed, backspaces carried out and spaces
// at the ends of lines dropped.  A half that is no haiku prints whatever words
// it has.
func (h *Half) Lines() []string {
	expanded := h.Expand()
	text, _, _ := bytes.Cut(expanded[:], []byte{0})
	var out []byte
	for _, c := range text {
		switch {
		case c != '\b':
			out = append(out, c)
		case len(out) > 0:
			out = out[:len(out)-1]
		}
	}
	lines := strings.Split(string(out), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// RandomHalf draws a haiku: a frame, then for each slot one of its words, each
// with equal chance.  Tokens behind the haiku are zero (docs/spec/pow.md
// section 12).
func RandomHalf(r *rand.Rand) (h Half) {
	fill(&h, r, r.IntN(len(frames)))
	return h
}

// richFrame has 2.2e12 haikus, more than any search needs; frame 3 for example
// has only 101,400.
const richFrame = 7

// RandomNonce draws two haikus for a search: the frame with the most words, so
// that tries don't repeat.
func RandomNonce(r *rand.Rand) (n [2 * HalfLen]byte) {
	fill(halfOf(n[:HalfLen]), r, richFrame)
	fill(halfOf(n[HalfLen:]), r, richFrame)
	return n
}

func fill(h *Half, r *rand.Rand, f int) {
	for j, words := range grammar.words[f] {
		h[j] = words[r.IntN(len(words))]
	}
}
