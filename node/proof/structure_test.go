package proof_test

import (
	"crypto/sha256"
	"errors"
	"math"
	"slices"
	"testing"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/proof/prooftest"
	"kigo/node/rules"
	"kigo/node/wire"
	"kigo/testdata"
)

const (
	base       = mcm.V30Trigger
	began      = 1_750_000_000 // when the chains of these tests begin
	difficulty = 4
)

// grown returns a chain of n trailers from base on and the time of its tip.
func grown(seed uint64, n int) (*prooftest.Miner, []mcm.Trailer) {
	m := prooftest.NewMiner(seed)
	return m, m.Grow([]mcm.Trailer{m.First(base, difficulty, began)}, n-1, difficulty)
}

func options() proof.Options { return proof.Options{Base: base} }

// show returns the proof of a peer whose chain that is.
func show(chain []mcm.Trailer) *proof.Proof {
	return &proof.Proof{
		Claim:    prooftest.Claim(chain, mcm.Weight{}),
		Trailers: slices.Clone(chain[max(0, len(chain)-proof.Segment):]),
	}
}

// clock returns when the tip of chain was solved.
func clock(chain []mcm.Trailer) int64 { return int64(chain[len(chain)-1].SolveTime()) }

func TestWant(t *testing.T) {
	for _, c := range []struct {
		height, base, first mcm.BlockNum
		count               int
	}{
		{0xa1000, 0, 0xa1000 - 53, 54},
		{0xa1000, 0xa0700, 0xa1000 - 53, 54},
		{0xa0700 + 53, 0xa0700, 0xa0700, 54},
		{0xa0700 + 52, 0xa0700, 0xa0700, 53},
		{0xa0700, 0xa0700, 0xa0700, 1},
		{0xa06ff, 0xa0700, 0xa06ff - 53, 54}, // below the base: from where it would be without
		{0, 0, 0, 1},
		{52, 0, 0, 53},
		{53, 0, 0, 54},
		{54, 0, 1, 54},
		{4, 10, 0, 5},
		{math.MaxUint64, 0, math.MaxUint64 - 53, 54},
		{math.MaxUint64, math.MaxUint64, math.MaxUint64, 1},
	} {
		first, count := proof.Want(wire.State{Num: c.height}, proof.Options{Base: c.base})
		if first != c.first || count != c.count {
			t.Errorf("height %v, base %v: got %d from %v, want %d from %v", c.height, c.base, count, first, c.count, c.first)
		}
	}
}

func TestFree(t *testing.T) {
	anchor := &proof.Anchor{Num: 0xa1000, Time: began}
	for _, c := range []struct {
		name   string
		height mcm.BlockNum
		o      proof.Options
		now    int64
		want   fault.Kind
	}{
		{"at the anchor", 0xa1000, proof.Options{Height: anchor}, began, ""},
		{"below the anchor", 0xa0fff, proof.Options{Height: anchor}, began, ""},
		{"as high as may be at once", 0xa1000 + 5, proof.Options{Height: anchor}, began, ""},
		{"one higher", 0xa1000 + 6, proof.Options{Height: anchor}, began, fault.TooHigh},
		{"a block a second, and neogenesis", 0xa1000 + 1028, proof.Options{Height: anchor}, began + 1020, ""},
		{"and one higher", 0xa1000 + 1030, proof.Options{Height: anchor}, began + 1020, fault.TooHigh},
		{"greatest height", math.MaxUint64, proof.Options{Height: anchor}, math.MaxInt64, fault.TooHigh},
		{"2^63", 1 << 63, proof.Options{}, began, fault.TooHigh},
		{"a clock before the anchor", 0xa1000 + 3, proof.Options{Height: anchor}, 0, fault.TooHigh},
		{"a clock before all time", 0xa1000 + 2, proof.Options{Height: anchor}, math.MinInt64, ""},
		{"no anchor", 0xa1000, proof.Options{}, began, ""},
		{"just before version 3", 0xa06ff, proof.Options{}, began, fault.TooOld},
		{"just before version 3, allowed", 0xa06ff, proof.Options{AllowOld: true}, began, ""},
		{"genesis", 0, proof.Options{}, began, fault.TooOld},
		{"first of version 3", 0xa0700, proof.Options{}, began, ""},
	} {
		f := proof.Free(wire.State{Num: c.height}, c.o, c.now)
		if f == nil && c.want != "" || f != nil && (f.Kind != c.want || f.Index != -1 || f.Detail == "") {
			t.Errorf("%s: got %v, want %q", c.name, f, c.want)
		}
	}
}

// TestHonest: no honest peer has a finding, wherever its chain ends.
func TestHonest(t *testing.T) {
	_, chain := grown(1, 320)
	for n := 1; n <= len(chain); n++ {
		p := show(chain[:n])
		if f := p.Structure(options(), clock(chain[:n])); f != nil {
			t.Errorf("tip %v: %v", chain[n-1].Num(), f)
		}
		if want := max(base, base+mcm.BlockNum(n)-proof.Segment); p.First != want || p.Trailers[0].Num() != want {
			t.Errorf("tip %v: begins at %v, want %v", chain[n-1].Num(), p.First, want)
		}
	}
	m := prooftest.NewMiner(2)
	for name, pseudo := range map[string]func(int) bool{
		"every second block a pseudoblock": func(i int) bool { return i%2 == 0 },
		"half the window":                  func(i int) bool { return i%54 < 27 },
		"pseudoblocks only":                func(int) bool { return true },
	} {
		chain := m.Mix(chain[:230], 60, difficulty, pseudo)
		for n := 231; n <= len(chain); n++ {
			if f := show(chain[:n]).Structure(options(), clock(chain[:n])); f != nil {
				t.Errorf("%s, tip %v: %v", name, chain[n-1].Num(), f)
			}
		}
	}
}

// TestReferenceChain does the same with a chain that a reference node made, and
// with a stretch of the main net from before version 3.
func TestReferenceChain(t *testing.T) {
	var v struct{ TFile testdata.Hex }
	if err := testdata.Load("chain/chain.json", &v); err != nil {
		t.Fatal(err)
	}
	old, err := testdata.Files.ReadFile("mainnet/trailers-0x94701-0x947ff.bin")
	if err != nil {
		t.Fatal(err)
	}
	for name, chain := range map[string][]mcm.Trailer{"reference": mcm.Trailers(v.TFile), "main net": mcm.Trailers(old)} {
		for n := 1; n <= len(chain); n++ {
			o := proof.Options{Base: chain[0].Num(), AllowOld: true}
			if f := show(chain[:n]).Structure(o, clock(chain[:n])); f != nil {
				t.Errorf("%s: tip %v: %v", name, chain[n-1].Num(), f)
			}
		}
	}
}

// A seam is what a peer shows that changes branches while it sends.
func seam(t *testing.T) ([]mcm.Trailer, *proof.Proof) {
	t.Helper()
	m, chain := grown(3, 120)
	fork := m.Grow(chain[:110], 10, difficulty)
	p := show(fork)
	copy(p.Trailers[:50], chain[120-54:120-4]) // the first 50 are the old branch's
	return fork, p
}

func TestSeam(t *testing.T) {
	fork, p := seam(t)
	f := p.Structure(options(), clock(fork))
	if f == nil || f.Kind != fault.BrokenLink || f.Index != 50 || f.Kind.Class() != fault.Soft {
		t.Errorf("got %+v, want a broken link at 50, which is soft", f)
	}
}

func TestStructure(t *testing.T) {
	m, chain := grown(4, 0x130) // tip 0xa082f; the segment crosses 0xa0800 at index 7 of 0xa07fa on
	now := clock(chain)
	reseal := func(ts []mcm.Trailer, from int) { // makes hashes and links right again, without work
		for i := from; i < len(ts); i++ {
			if i > 0 {
				*ts[i].PrevHash() = *ts[i-1].Hash()
			}
			*ts[i].Hash() = sha256.Sum256(ts[i][:128])
		}
	}
	tip := func(p *proof.Proof) {
		p.Claim.Hash = *p.Tip().Hash()
	}
	neo := slices.IndexFunc(show(chain).Trailers, func(t mcm.Trailer) bool { return t.Num().IsNeogenesis() })
	for _, c := range []struct {
		name  string
		spoil func(p *proof.Proof)
		kind  fault.Kind
		rule  rules.Rule
		index int
	}{
		{"nothing", func(*proof.Proof) {}, "", "", 0},
		{"no trailers", func(p *proof.Proof) { p.Trailers = nil }, fault.ShortReply, "", -1},
		{"53", func(p *proof.Proof) { p.Trailers = p.Trailers[:53] }, fault.ShortReply, "", -1},
		{"53, the last ones", func(p *proof.Proof) { p.Trailers = p.Trailers[1:] }, fault.WrongNumbers, "", 0},
		{"55", func(p *proof.Proof) { p.Trailers = append(p.Trailers, m.Next(p.Tip(), prooftest.Even)) }, fault.TooLong, "", -1},
		{"1000", func(p *proof.Proof) {
			p.Trailers = append(p.Trailers, make([]mcm.Trailer, 946)...)
		}, fault.TooLong, "", -1},
		{"shifted by one", func(p *proof.Proof) { p.Trailers = slices.Clone(chain[len(chain)-55 : len(chain)-1]) }, fault.WrongNumbers, "", 0},
		{"two exchanged", func(p *proof.Proof) { p.Trailers[3], p.Trailers[4] = p.Trailers[4], p.Trailers[3] }, fault.WrongNumbers, "", 3},
		{"zeros", func(p *proof.Proof) { clear(p.Trailers) }, fault.WrongNumbers, "", 0},
		{"another tip", func(p *proof.Proof) { p.Claim.Hash[5] ^= 1 }, fault.ClaimMismatch, "", 53},
		{"another weight", func(p *proof.Proof) { p.Claim.Weight = mcm.Weight{1, 2, 3, 4} }, "", "", 0},
		{"another previous hash in the claim", func(p *proof.Proof) { p.Claim.Prev[0] ^= 1 }, "", "", 0},

		{"first hash", func(p *proof.Proof) { p.Trailers[0].Hash()[0] ^= 1 }, fault.InvalidTrailer, rules.BlockHash, 0},
		{"last hash", func(p *proof.Proof) { p.Tip().Hash()[0] ^= 1; tip(p) }, fault.InvalidTrailer, rules.BlockHash, 53},
		{"nonce", func(p *proof.Proof) { p.Trailers[20].Nonce()[3] ^= 1 }, fault.InvalidTrailer, rules.BlockHash, 20},
		{"fee", func(p *proof.Proof) { p.Trailers[9].SetMinFee(499); reseal(p.Trailers, 9); tip(p) }, fault.InvalidTrailer, rules.MinFee, 9},
		{"difficulty", func(p *proof.Proof) {
			p.Trailers[30].SetDifficulty(p.Trailers[30].Difficulty() + 1)
			reseal(p.Trailers, 30)
			tip(p)
		}, fault.InvalidTrailer, rules.Difficulty, 30},
		{"start time", func(p *proof.Proof) {
			p.Trailers[31].SetStartTime(p.Trailers[31].StartTime() + 1)
			reseal(p.Trailers, 31)
			tip(p)
		}, fault.InvalidTrailer, rules.StartTime, 31},
		{"neogenesis time", func(p *proof.Proof) {
			p.Trailers[neo].SetSolveTime(p.Trailers[neo].SolveTime() + 1)
			reseal(p.Trailers, neo)
			tip(p)
		}, fault.InvalidTrailer, rules.SolveTime, neo},
		{"transactions in a neogenesis block", func(p *proof.Proof) { p.Trailers[neo].SetTxCount(1) }, fault.InvalidTrailer, rules.TxCount, neo},
		{"root of a pseudoblock", func(p *proof.Proof) {
			bogus := m.Pseudo(&p.Trailers[52])
			bogus.MerkleRoot()[0] ^= 1
			m.Seal(&bogus)
			p.Trailers[53] = bogus
			tip(p)
		}, fault.InvalidTrailer, rules.MerkleRoot, 53},

		{"broken link", func(p *proof.Proof) {
			*p.Trailers[40].PrevHash() = mcm.Hash{1}
			*p.Trailers[40].Hash() = sha256.Sum256(p.Trailers[40][:128])
			reseal(p.Trailers, 41)
			tip(p)
		}, fault.BrokenLink, "", 40},
		{"another difficulty behind a broken link", func(p *proof.Proof) {
			*p.Trailers[53].PrevHash() = mcm.Hash{1}
			p.Trailers[53].SetDifficulty(200)
			*p.Trailers[53].Hash() = sha256.Sum256(p.Trailers[53][:128])
			tip(p)
		}, fault.BrokenLink, "", 53},
		{"broken link, another tip", func(p *proof.Proof) {
			*p.Trailers[53].PrevHash() = mcm.Hash{1}
			*p.Trailers[53].Hash() = sha256.Sum256(p.Trailers[53][:128])
		}, fault.ClaimMismatch, "", 53},
		{"broken link, short", func(p *proof.Proof) {
			*p.Trailers[40].PrevHash() = mcm.Hash{1}
			*p.Trailers[40].Hash() = sha256.Sum256(p.Trailers[40][:128])
			p.Trailers = p.Trailers[:41]
		}, fault.BrokenLink, "", 40},

		{"future", func(p *proof.Proof) {
			p.Trailers[53] = m.Next(&p.Trailers[52], 238)
			tip(p)
		}, fault.Early, rules.SolveTime, 53},

		// The gravest goes first.
		{"invalid behind a broken link", func(p *proof.Proof) {
			*p.Trailers[10].PrevHash() = mcm.Hash{1}
			*p.Trailers[10].Hash() = sha256.Sum256(p.Trailers[10][:128])
			p.Trailers[40].SetMinFee(1)
		}, fault.InvalidTrailer, rules.MinFee, 40},
		{"invalid before a broken link", func(p *proof.Proof) {
			p.Trailers[9].SetMinFee(1)
			*p.Trailers[40].PrevHash() = mcm.Hash{1}
			*p.Trailers[40].Hash() = sha256.Sum256(p.Trailers[40][:128])
		}, fault.InvalidTrailer, rules.MinFee, 9},
		{"invalid, another tip, too long", func(p *proof.Proof) {
			p.Trailers[50].SetMinFee(1)
			p.Claim.Hash[0] ^= 1
			p.Trailers = append(p.Trailers, p.Trailers[0])
		}, fault.InvalidTrailer, rules.MinFee, 50},
		{"invalid and short", func(p *proof.Proof) {
			p.Trailers[2].SetMinFee(1)
			p.Trailers = p.Trailers[:3]
		}, fault.InvalidTrailer, rules.MinFee, 2},
		{"invalid behind one in the future", func(p *proof.Proof) {
			for i := 40; i < 54; i++ {
				p.Trailers[i] = m.Next(&p.Trailers[i-1], 238)
			}
			p.Trailers[53].SetSolveTime(p.Trailers[53].StartTime() + 239)
			reseal(p.Trailers, 53)
			tip(p)
		}, fault.InvalidTrailer, rules.SolveTime, 53},
		{"future and another tip", func(p *proof.Proof) { p.Trailers[53] = m.Next(&p.Trailers[52], 238) }, fault.ClaimMismatch, "", 53},
		{"future and short", func(p *proof.Proof) {
			p.Trailers[51] = m.Next(&p.Trailers[50], 238)
			p.Trailers = p.Trailers[:52]
		}, fault.ShortReply, "", -1},
	} {
		p := show(chain)
		c.spoil(p)
		f := p.Structure(options(), now)
		switch {
		case f != p.Finding:
			t.Errorf("%s: Finding is %v, returned is %v", c.name, p.Finding, f)
		case f == nil:
			if c.kind != "" {
				t.Errorf("%s: nothing found, want %s", c.name, c.kind)
			}
		case f.Kind != c.kind || f.Rule != c.rule || f.Index != c.index || f.Detail == "":
			t.Errorf("%s: got %s %s at %d (%v), want %s %s at %d", c.name, f.Kind, f.Rule, f.Index, f, c.kind, c.rule, c.index)
		case f.Index >= 0 && f.Num != base+mcm.BlockNum(len(chain)-proof.Segment+f.Index):
			t.Errorf("%s: at block %v, trailer %d is another", c.name, f.Num, f.Index)
		case c.rule != "" && !errors.Is(f, c.rule):
			t.Errorf("%s: %v is not %s", c.name, f, c.rule)
		}
	}
}

// TestEarlyHeals: what the clock does not allow yet is in order later.
func TestEarlyHeals(t *testing.T) {
	_, chain := grown(5, 90)
	p, now := show(chain), clock(chain)
	if f := p.Structure(options(), now-mcm.ClockLead-1); f == nil || f.Kind != fault.Early || f.Kind.Class() != fault.None || f.Index != 53 {
		t.Errorf("four seconds early: got %v", f)
	}
	if f := p.Structure(options(), now-mcm.ClockLead); f != nil || p.Finding != nil {
		t.Errorf("three seconds early: got %v", f)
	}
	if f := p.Structure(options(), now-86400); f == nil || f.Kind != fault.Early || f.Index != 0 {
		t.Errorf("a day early: got %v", f)
	}
	// A neogenesis tip is not held against the clock, but the block before it is.
	neo := slices.IndexFunc(chain, func(t mcm.Trailer) bool { return t.Num().Low() == 0xff })
	if neo >= 0 {
		t.Fatal("the chain is too long for this test")
	}
	_, chain = grown(5, 257)
	p = show(chain)
	if f := p.Structure(options(), clock(chain)-10); f == nil || f.Kind != fault.Early || f.Index != 52 {
		t.Errorf("early neogenesis tip: got %v", f)
	}
}

// TestGenesis: a chain that has not got to version 3, on a network that allows it.
func TestGenesis(t *testing.T) {
	chain := []mcm.Trailer{mcm.GenesisTrailer()}
	m := prooftest.NewMiner(6)
	for range 60 {
		next := m.Pseudo(&chain[len(chain)-1])
		*next.MerkleRoot() = mcm.Hash{}
		if next.Num() == 1 {
			next.SetStartTime(began)
			next.SetDifficulty(1)
		}
		next.SetSolveTime(next.StartTime() + mcm.BridgeV2)
		m.Seal(&next)
		chain = append(chain, next)
	}
	o := proof.Options{AllowOld: true}
	for n := 1; n <= len(chain); n++ {
		if f := show(chain[:n]).Structure(o, clock(chain)); f != nil {
			t.Errorf("height %d: %v", n-1, f)
		}
	}
	p := show(chain[:20])
	p.Trailers[0].Hash()[0] ^= 1
	if f := p.Structure(o, clock(chain)); f == nil || f.Kind != fault.InvalidTrailer || f.Rule != rules.GenesisHash || f.Index != 0 {
		t.Errorf("another genesis block: got %v", f)
	}
}
