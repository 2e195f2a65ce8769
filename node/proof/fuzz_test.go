package proof_test

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
)

// judged is what matters of a Finding.
type judged struct {
	kind  fault.Kind
	rule  rules.Rule
	index int
}

// slowly judges a proof by sync.md once more: all that is wrong is listed first,
// and the gravest picked then.
func slowly(p *proof.Proof, o proof.Options, now int64) judged {
	want := []mcm.BlockNum{p.Claim.Num}
	for len(want) < 54 && want[0] != 0 && want[0] != o.Base {
		want = append([]mcm.BlockNum{want[0] - 1}, want...)
	}
	var numbers, invalid, links, early []judged
	for i := range p.Trailers {
		if i >= len(want) {
			break
		}
		t := p.Trailers[i]
		if t.Num() != want[i] {
			numbers = append(numbers, judged{fault.WrongNumbers, "", i})
		}
		linked := i > 0 && string(p.Trailers[i-1][128:]) == string(t[:32])
		if i > 0 && !linked {
			links = append(links, judged{fault.BrokenLink, "", i})
		}
		err := rules.CheckFirst(&t, math.MaxInt64)
		if linked {
			err = rules.Check(&p.Trailers[i-1], &t, math.MaxInt64)
		}
		var broken *rules.Error
		switch {
		case errors.As(err, &broken):
			invalid = append(invalid, judged{fault.InvalidTrailer, broken.Rule, i})
		case t.Num() >= 0xa0700 && t.Num()%256 != 0 && t.TxCount() == 0:
			leaf := []byte("\x12\x60\x88\x7b\x0d\x36\x53\xf8\xac\x25\x59\x69\xcb\x4a\x60\x7f\x00\x6c\xf6\x73")
			leaf = binary.LittleEndian.AppendUint64(leaf, rules.Reward(t.Num()))
			if sum := sha256.Sum256(leaf); string(sum[:]) != string(t[60:92]) {
				invalid = append(invalid, judged{fault.InvalidTrailer, rules.MerkleRoot, i})
			}
		}
		if t.Num()%256 != 0 && int64(t.SolveTime()) > now+3 {
			early = append(early, judged{fault.Early, rules.SolveTime, i})
		}
	}
	var long, claim, short []judged
	switch n := len(p.Trailers); {
	case n > len(want):
		long = append(long, judged{fault.TooLong, "", -1})
	case n < len(want):
		short = append(short, judged{fault.ShortReply, "", -1})
	case string(p.Trailers[n-1][128:]) != string(p.Claim.Hash[:]):
		claim = append(claim, judged{fault.ClaimMismatch, "", n - 1})
	}
	for _, wrong := range [][]judged{numbers, invalid, long, claim, links, short, early} {
		if len(wrong) > 0 {
			return wrong[0]
		}
	}
	return judged{}
}

// mutate changes a proof, and what the clock says, as script asks: four bytes a
// step, what to do, where and with what.
func mutate(p *proof.Proof, now int64, script []byte) int64 {
	for ; len(script) >= 4; script = script[4:] {
		op, at, value := script[0]%10, int(script[1]), script[2:4]
		if op == 0 {
			now += int64(int16(binary.LittleEndian.Uint16(value)))
			continue
		}
		if len(p.Trailers) == 0 {
			continue
		}
		at %= len(p.Trailers)
		t := &p.Trailers[at]
		switch op {
		case 1: // any byte
			t[int(value[0])%mcm.TrailerLen] ^= value[1]
		case 2: // the hash made right
			*t.Hash() = sha256.Sum256(t[:128])
		case 3: // links and hashes made right from here on
			for i := at; i < len(p.Trailers); i++ {
				if i > 0 {
					*p.Trailers[i].PrevHash() = *p.Trailers[i-1].Hash()
				}
				*p.Trailers[i].Hash() = sha256.Sum256(p.Trailers[i][:128])
			}
		case 4: // the claim made right
			p.Claim.Hash = *p.Tip().Hash()
		case 5: // one missing
			p.Trailers = slices.Delete(p.Trailers, at, at+1)
		case 6: // one twice
			p.Trailers = slices.Insert(p.Trailers, at, *t)
		case 7: // the rest missing
			p.Trailers = p.Trailers[:at]
		case 8: // a time
			t.SetSolveTime(t.SolveTime() + uint32(int8(value[0])))
		case 9: // the claimed height
			p.Claim.Num += mcm.BlockNum(int64(int8(value[0])))
		}
	}
	return now
}

// FuzzStructure holds Structure against slowly, for any proof and clock.
func FuzzStructure(f *testing.F) {
	m, chain := grown(41, 200)
	_, short := grown(42, 20)
	_, neo := grown(43, 0x120)
	half := m.Mix(chain, 80, difficulty, func(i int) bool { return i%2 == 0 })
	pool := [][]mcm.Trailer{chain, short, neo, neo[:257], neo[:256], half}
	for i := range pool {
		f.Add(byte(i), []byte{})
		f.Add(byte(i), []byte{1, 20, 100, 1})
		f.Add(byte(i), []byte{1, 20, 56, 1, 3, 20, 0, 0, 4, 0, 0, 0})
		f.Add(byte(i), []byte{1, 10, 0, 1, 2, 10, 0, 0, 8, 11, 1, 0})
		f.Add(byte(i), []byte{1, 19, 0, 1, 3, 20, 0, 0})
		f.Add(byte(i), []byte{0, 0, 0xf0, 0xff, 5, 0, 0, 0})
		f.Add(byte(i), []byte{5, 19, 0, 0})
		f.Add(byte(i), []byte{6, 19, 0, 0})
		f.Add(byte(i), []byte{7, 12, 0, 0})
		f.Add(byte(i), []byte{8, 15, 200, 0, 3, 15, 0, 0, 4, 0, 0, 0})
		f.Add(byte(i), []byte{9, 0, 1, 0})
		f.Add(byte(i), []byte{9, 0, 255, 0, 7, 18, 0, 0, 4, 0, 0, 0})
		f.Add(byte(i), []byte{1, 15, 64, 1, 3, 15, 0, 0, 4, 0, 0, 0}) // a root: worked ones have any
	}
	f.Fuzz(func(t *testing.T, which byte, script []byte) {
		chain := pool[int(which)%len(pool)]
		p := show(chain)
		now := mutate(p, clock(chain), script)
		want := slowly(p, options(), now)
		var got judged
		if f := p.Structure(options(), now); f != nil {
			got = judged{f.Kind, f.Rule, f.Index}
		}
		if got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}
