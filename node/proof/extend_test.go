package proof_test

import (
	"crypto/sha256"
	"slices"
	"testing"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/proof/prooftest"
	"kigo/node/rules"
)

// thin returns a chain of n trailers of which the last 60 are pseudoblocks but for
// so many, and the proof of its tip with all work checked.
func thin(t *testing.T, n, worked int) (*prooftest.Miner, []mcm.Trailer, *proof.Proof) {
	t.Helper()
	m, chain := grown(11, n-60)
	chain = m.Mix(chain, 60, difficulty, func(i int) bool { return i < 60-worked })
	p := show(chain)
	if f := p.Structure(options(), clock(chain)); f != nil {
		t.Fatal(f)
	}
	work(t, p)
	if !p.Done || p.Worked != worked {
		t.Fatalf("%d worked trailers, want %d", p.Worked, worked)
	}
	return m, chain, p
}

func work(t *testing.T, proofs ...*proof.Proof) {
	t.Helper()
	if _, err := proof.Work(t.Context(), new(prooftest.StandIn), proof.NewKnownSet(nil, nil), proofs, firstOf); err != nil {
		t.Fatal(err)
	}
}

func firstOf(int) int { return 0 }

func TestMore(t *testing.T) {
	_, chain, p := thin(t, 300, 3)
	first, count := p.More(options())
	if first != base || count != 300-54 {
		t.Errorf("down to the base: got %d from %v", count, first)
	}
	o := options()
	o.Base = base + 200
	if first, count := p.More(o); first != o.Base || count != 46 {
		t.Errorf("down to a higher base: got %d from %v", count, first)
	}
	o.Base = p.First
	if _, count := p.More(o); count != 0 {
		t.Errorf("at the base: got %d", count)
	}
	if _, count := show(chain).More(options()); count != 0 {
		t.Errorf("before Work: got %d", count)
	}
	_, enoughChain, enough := thin(t, 300, proof.MinWorked)
	if _, count := enough.More(options()); count != 0 {
		t.Errorf("with enough worked trailers: got %d", count)
	}
	enough.Contested = true
	if first, count := enough.More(options()); first != base || count != 300-54 {
		t.Errorf("contested, with enough worked trailers: got %d from %v", count, first)
	}
	if f := enough.Extend(enoughChain[:300-54], options(), clock(enoughChain)); f != nil || len(enough.Trailers) != 300 {
		t.Errorf("contested: extending gives %v, %d trailers", f, len(enough.Trailers))
	}
	_, _, long := thin(t, 1300, 0)
	if first, count := long.More(options()); first != base+300 || count != proof.MaxExtension-proof.Segment {
		t.Errorf("a long chain: got %d from %v", count, first)
	}
}

func TestExtend(t *testing.T) {
	m, chain, _ := thin(t, 1300, 2)
	_, _, other := thin(t, 1300, 2)
	now := clock(chain)
	older := func(p *proof.Proof) []mcm.Trailer {
		first, count := p.More(options())
		return slices.Clone(chain[first-base : first-base+mcm.BlockNum(count)])
	}
	fork := m.Grow(chain[:1200], 100, difficulty)
	for _, c := range []struct {
		name  string
		spoil func(ts []mcm.Trailer) []mcm.Trailer
		kind  fault.Kind
		rule  rules.Rule
		index int
	}{
		{"in order", func(ts []mcm.Trailer) []mcm.Trailer { return ts }, "", "", 0},
		{"none", func([]mcm.Trailer) []mcm.Trailer { return nil }, fault.ShortReply, "", -1},
		{"one missing", func(ts []mcm.Trailer) []mcm.Trailer { return ts[:945] }, fault.ShortReply, "", -1},
		{"the first missing", func(ts []mcm.Trailer) []mcm.Trailer { return ts[1:] }, fault.WrongNumbers, "", 0},
		{"too many", func(ts []mcm.Trailer) []mcm.Trailer { return append(ts, chain[1300-54]) }, fault.TooLong, "", -1},
		{"a trailer changed", func(ts []mcm.Trailer) []mcm.Trailer { ts[100].SetMinFee(9); return ts }, fault.InvalidTrailer, rules.MinFee, 100},
		// At the upper end lies what the peer may just be leaving.
		{"another branch's", func(ts []mcm.Trailer) []mcm.Trailer {
			return append(ts[:900], fork[1200:1246]...)
		}, fault.BrokenLink, "", 946},
		{"a seam near the upper end", func(ts []mcm.Trailer) []mcm.Trailer {
			*ts[945].PrevHash() = mcm.Hash{1}
			*ts[945].Hash() = sha256.Sum256(ts[945][:128])
			return ts
		}, fault.ForeignRange, "", 945},
		{"a seam deep down", func(ts []mcm.Trailer) []mcm.Trailer {
			*ts[500].PrevHash() = mcm.Hash{1}
			*ts[500].Hash() = sha256.Sum256(ts[500][:128])
			return ts
		}, fault.ForeignRange, "", 500},
	} {
		p := *other
		p.Trailers = slices.Clone(other.Trailers)
		f := p.Extend(c.spoil(older(&p)), options(), now)
		if f != p.Finding {
			t.Errorf("%s: Finding is %v, returned is %v", c.name, p.Finding, f)
		}
		if f == nil {
			if c.kind != "" || len(p.Trailers) != proof.MaxExtension || p.First != base+300 || p.Done || p.Trailers[999] != chain[1299] || p.Trailers[0] != chain[300] {
				t.Errorf("%s: accepted, %d trailers from %v", c.name, len(p.Trailers), p.First)
			}
			work(t, &p)
			if !p.Done || p.Worked < 900 {
				t.Errorf("%s: %d worked", c.name, p.Worked)
			}
			continue
		}
		if f.Kind != c.kind || f.Rule != c.rule || f.Index != c.index {
			t.Errorf("%s: got %s %s at %d (%v), want %s %s at %d", c.name, f.Kind, f.Rule, f.Index, f, c.kind, c.rule, c.index)
		}
		if len(p.Trailers) != proof.Segment || !p.Done {
			t.Errorf("%s: the proof itself was changed", c.name)
		}
	}
}

// TestExtendChecksTheJoint: the rules hold across the two ranges.
func TestExtendChecksTheJoint(t *testing.T) {
	m, chain := grown(12, 200)
	// The proof begins with a difficulty that does not follow from what is below,
	// which nobody can tell from the proof alone.
	forged := m.Next(&chain[199], prooftest.Even)
	forged.SetDifficulty(0)
	m.Seal(&forged)
	whole := m.Mix(append(slices.Clone(chain), forged), 53, 0, func(int) bool { return true })
	p := show(whole)
	if f := p.Structure(options(), clock(whole)); f != nil {
		t.Fatal(f)
	}
	work(t, p)
	first, count := p.More(options())
	if first != base || count != 200 {
		t.Fatalf("asks for %d from %v", count, first)
	}
	f := p.Extend(slices.Clone(chain), options(), clock(whole))
	if f == nil || f.Kind != fault.InvalidTrailer || f.Rule != rules.Difficulty || f.Index != 200 || f.Num != forged.Num() {
		t.Errorf("got %+v, want the difficulty of the proof's first trailer", f)
	}
}
