package proof_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"kigo/cpu"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/proof"
	"kigo/node/proof/prooftest"
	"kigo/node/rules"
	"kigo/node/verify"
	"kigo/testdata"
)

// unworked takes the work from p's i-th trailer and makes hashes and links fit
// again from there on, without work: what costs nothing to forge.
func unworked(p *proof.Proof, i int) {
	for j := i; j < len(p.Trailers); j++ {
		t := &p.Trailers[j]
		if j > i {
			*t.PrevHash() = *p.Trailers[j-1].Hash()
		} else {
			flip(t)
		}
		*t.Hash() = sha256.Sum256(t[:128])
	}
	p.Claim.Hash = *p.Tip().Hash()
}

// flip gives t a haiku that does not work.
func flip(t *mcm.Trailer) {
	r := rand.New(rand.NewPCG(1, 2))
	for {
		pow.SetRandomNonce(t, r)
		if hash := mcm.Hash(sha256.Sum256(t[:124])); !pow.Meets(&hash, t.WorkDifficulty()) {
			return
		}
	}
}

func structured(t testing.TB, chain []mcm.Trailer, p *proof.Proof) *proof.Proof {
	t.Helper()
	if f := p.Structure(options(), clock(chain)); f != nil {
		t.Fatal(f)
	}
	return p
}

func TestWorkHonest(t *testing.T) {
	m, chain := grown(21, 200)
	chain = m.Mix(chain, 100, difficulty, func(i int) bool { return i%3 == 0 })
	known, v := proof.NewKnownSet(nil, nil), new(prooftest.StandIn)
	p := structured(t, chain, show(chain))
	worked, hashes := 0, 0.0
	for i := range p.Trailers {
		if p.Trailers[i].Kind() == mcm.Standard {
			worked++
			hashes += float64(uint64(1) << p.Trailers[i].WorkDifficulty())
		}
	}
	checked, err := proof.Work(t.Context(), v, known, []*proof.Proof{p}, firstOf)
	if err != nil || checked != worked || int(v.Checked.Load()) != worked {
		t.Errorf("checked %d (%d), %v; want %d", checked, v.Checked.Load(), err, worked)
	}
	if !p.Done || p.Finding != nil || p.Worked != worked || proof.Hashes(p.Work) != hashes || p.Density() != hashes/54 {
		t.Errorf("%d worked, %v hashes, density %v; want %d and %v", p.Worked, p.Work, p.Density(), worked, hashes)
	}
	// A second peer of the same tip, and one of the next: only what is new.
	chain = m.Grow(chain, 1, difficulty)
	again, next := structured(t, chain, show(chain[:300])), structured(t, chain, show(chain))
	checked, err = proof.Work(t.Context(), v, known, []*proof.Proof{again, next, p}, firstOf)
	if err != nil || checked != 1 || !again.Done || !next.Done || again.Worked != worked {
		t.Errorf("second time: checked %d, %v; want the new tip alone", checked, err)
	}
}

func TestDistinctTrailersOnce(t *testing.T) {
	_, chain := grown(22, 100)
	var proofs []*proof.Proof
	for range 1000 {
		proofs = append(proofs, structured(t, chain, show(chain)))
	}
	v := new(prooftest.StandIn)
	checked, err := proof.Work(t.Context(), v, proof.NewKnownSet(nil, nil), proofs, rand.New(rand.NewPCG(3, 4)).IntN)
	if err != nil || checked != 54 || v.Calls.Load() > 2 {
		t.Errorf("a thousand equal proofs: %d checks in %d calls, %v", checked, v.Calls.Load(), err)
	}
	for _, p := range proofs {
		if !p.Done {
			t.Fatal("one is not done")
		}
	}
}

func TestForgedWork(t *testing.T) {
	_, chain := grown(23, 100)
	for _, c := range []struct {
		name  string
		spoil func(p *proof.Proof)
		index int
	}{
		{"first", func(p *proof.Proof) { unworked(p, 0) }, 0},
		{"middle", func(p *proof.Proof) { unworked(p, 26) }, 26},
		{"tip", func(p *proof.Proof) { unworked(p, 53) }, 53},
		{"no haiku", func(p *proof.Proof) {
			p.Tip().Nonce()[0] ^= 0xff
			*p.Tip().Hash() = sha256.Sum256(p.Tip()[:128])
			p.Claim.Hash = *p.Tip().Hash()
		}, 53},
	} {
		p, honest := show(chain), structured(t, chain, show(chain))
		c.spoil(p)
		structured(t, chain, p)
		known := proof.NewKnownSet(nil, nil)
		if _, err := proof.Work(t.Context(), new(prooftest.StandIn), known, []*proof.Proof{p, honest}, rand.IntN); err != nil {
			t.Fatal(err)
		}
		f := p.Finding
		if f == nil || f.Kind != fault.InvalidTrailer || f.Rule != rules.PowPeach || f.Detail == "" || p.Done {
			t.Errorf("%s: got %+v", c.name, f)
			continue
		}
		// Behind the first one without work a draw may hit another without.
		if f.Index < c.index || f.Num != p.Trailers[f.Index].Num() {
			t.Errorf("%s: at %d, want %d or behind", c.name, f.Index, c.index)
		}
		if !honest.Done || honest.Finding != nil {
			t.Errorf("%s: the honest proof is %+v", c.name, honest.Finding)
		}
		// The trailer stays known, at no cost.
		again, v := show(chain), new(prooftest.StandIn)
		c.spoil(again)
		structured(t, chain, again)
		if checked, err := proof.Work(t.Context(), v, known, []*proof.Proof{again}, rand.IntN); err != nil || checked != 0 || again.Finding == nil || again.Finding.Index != f.Index {
			t.Errorf("%s again: %d checks, %v, %v", c.name, checked, again.Finding, err)
		}
	}
}

// recorder is a Verifier that notes its batches.
type recorder struct {
	prooftest.StandIn
	batches [][]mcm.Trailer
}

func (r *recorder) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	r.batches = append(r.batches, slices.Clone(batch))
	return r.StandIn.VerifyPoW(ctx, dst, batch)
}

// TestOrderOfWork: one trailer of each proof first, of those first that state the
// most; then the rest of those that survive.
func TestOrderOfWork(t *testing.T) {
	_, light := grown(24, 60)
	m := prooftest.NewMiner(25)
	heavy := m.Grow([]mcm.Trailer{m.First(base, difficulty+2, began)}, 59, difficulty+2)
	forged := show(heavy)
	for i := range forged.Trailers { // none has work
		if forged.Trailers[i].Kind() == mcm.Standard {
			flip(&forged.Trailers[i])
		}
		if i > 0 {
			*forged.Trailers[i].PrevHash() = *forged.Trailers[i-1].Hash()
		}
		*forged.Trailers[i].Hash() = sha256.Sum256(forged.Trailers[i][:128])
	}
	forged.Claim.Hash = *forged.Tip().Hash()
	a, b, c := structured(t, light, show(light)), structured(t, heavy, show(heavy)), structured(t, heavy, forged)
	v := new(recorder)
	drawn := 0
	checked, err := proof.Work(t.Context(), v, proof.NewKnownSet(nil, nil), []*proof.Proof{a, b, c}, func(n int) int {
		drawn++
		if n != 54 {
			t.Errorf("draws from %d trailers, want 54", n)
		}
		return n - drawn
	})
	if err != nil || drawn != 3 || len(v.batches) != 2 || checked != 3+53+53 {
		t.Fatalf("%d draws, %d batches, %d checks, %v", drawn, len(v.batches), checked, err)
	}
	if got := v.batches[0]; len(got) != 3 || got[0] != b.Trailers[53] || got[1] != c.Trailers[52] || got[2] != a.Trailers[51] {
		t.Error("the first batch is not one drawn trailer each, the most work stated first")
	}
	if c.Finding == nil || c.Finding.Index != 52 || !a.Done || !b.Done {
		t.Errorf("forged: %v", c.Finding)
	}
	if v.batches[1][0] != b.Trailers[0] {
		t.Error("the second batch does not begin with the proof that states most")
	}
}

// TestVerifierFails: an error of ours decides nothing and blames nobody.
func TestVerifierFails(t *testing.T) {
	_, chain := grown(26, 100)
	lost := errors.New("device lost")
	for fails := range 2 {
		forged, honest := show(chain), structured(t, chain, show(chain))
		unworked(forged, 0)
		structured(t, chain, forged)
		known := proof.NewKnownSet(nil, nil)
		call := 0
		v := &prooftest.StandIn{Fail: func() error {
			call++
			if call > fails {
				return lost
			}
			return nil
		}}
		proofs := []*proof.Proof{forged, honest}
		if _, err := proof.Work(t.Context(), v, known, proofs, firstOf); !errors.Is(err, lost) {
			t.Errorf("call %d fails: got %v", fails, err)
		}
		for _, p := range proofs {
			if p.Done || p.Finding != nil || p.Worked != 0 {
				t.Errorf("call %d fails: a proof is decided: %+v", fails, p.Finding)
			}
		}
		if c := known.Changes(); c.Invalid != nil || c.Verified != nil || c.Met != nil {
			t.Errorf("call %d fails: something was learned", fails)
		}
		if _, err := proof.Work(t.Context(), new(prooftest.StandIn), known, proofs, firstOf); err != nil || !honest.Done || forged.Finding == nil {
			t.Errorf("call %d fails, then not: %v", fails, err)
		}
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(lost)
	if _, err := proof.Work(ctx, new(prooftest.StandIn), proof.NewKnownSet(nil, nil), []*proof.Proof{structured(t, chain, show(chain))}, firstOf); !errors.Is(err, lost) {
		t.Errorf("interrupted: got %v", err)
	}
}

// lazy is a Verifier that says nothing.
type lazy struct{}

func (lazy) VerifyPoW(context.Context, []verify.Result, []mcm.Trailer) error { return nil }

func TestNoVerdictIsOurFailure(t *testing.T) {
	_, chain := grown(27, 60)
	p := structured(t, chain, show(chain))
	if _, err := proof.Work(t.Context(), lazy{}, proof.NewKnownSet(nil, nil), []*proof.Proof{p}, firstOf); err == nil || p.Done || p.Finding != nil {
		t.Errorf("got %v, done %t, finding %v", err, p.Done, p.Finding)
	}
}

// TestMainNet judges real segments of the main net with a real engine, and the same
// with a bit of one nonce changed.
func TestMainNet(t *testing.T) {
	data, err := testdata.Files.ReadFile("mainnet/trailers-0x94701-0x947ff.bin")
	if err != nil {
		t.Fatal(err)
	}
	engines := cpu.Engines()
	engine := engines[len(engines)-1].Open(cpu.NewCores(1)) // portable
	defer engine.Close()
	chain := mcm.Trailers(data)
	o := proof.Options{AllowOld: true}
	honest, ancestor, spoiled := show(chain), show(chain[:254]), show(chain)
	last := slices.IndexFunc(spoiled.Trailers, func(t mcm.Trailer) bool { return t.Kind() == mcm.Standard })
	spoiled.Trailers[last].MerkleRoot()[0] ^= 1 // covered by the work, and by no hash that a trailer has
	proofs := []*proof.Proof{honest, ancestor, spoiled}
	for _, p := range proofs {
		if f := p.Structure(o, clock(chain)); f != nil {
			t.Fatal(f)
		}
	}
	checked, err := proof.Work(t.Context(), engine, proof.NewKnownSet(nil, nil), proofs, rand.IntN)
	if err != nil {
		t.Fatal(err)
	}
	if !honest.Done || !ancestor.Done || honest.Worked < 40 || checked > 56 {
		t.Errorf("%v, %v; %d worked, %d checks", honest.Finding, ancestor.Finding, honest.Worked, checked)
	}
	if f := spoiled.Finding; f == nil || f.Rule != rules.PowPeach || f.Index != last {
		t.Errorf("spoiled: got %v", f)
	}
}

// TestPseudoOnly: nothing to check, and no density.
func TestPseudoOnly(t *testing.T) {
	m, chain := grown(28, 60)
	chain = m.Mix(chain, 60, 0, func(int) bool { return true })
	p, v := structured(t, chain, show(chain)), new(prooftest.StandIn)
	checked, err := proof.Work(t.Context(), v, proof.NewKnownSet(nil, nil), []*proof.Proof{p}, firstOf)
	if err != nil || checked != 0 || v.Calls.Load() != 0 || !p.Done || p.Worked != 0 || p.Density() != 0 {
		t.Errorf("%d checks in %d calls, %d worked, density %v, %v", checked, v.Calls.Load(), p.Worked, p.Density(), err)
	}
}

// TestRuleFaultsAreRemembered: an invalid trailer that Structure found is known
// from then on.
func TestRuleFaultsAreRemembered(t *testing.T) {
	m, chain := grown(29, 100)
	bad := m.Next(&chain[98], prooftest.Even)
	bad.SetDifficulty(1)
	m.Seal(&bad)
	chain[99] = bad
	p := show(chain)
	f := p.Structure(options(), clock(chain))
	if f == nil || f.Rule != rules.Difficulty {
		t.Fatal(f)
	}
	known := proof.NewKnownSet(nil, nil)
	if _, err := proof.Work(t.Context(), new(prooftest.StandIn), known, []*proof.Proof{p}, firstOf); err != nil {
		t.Fatal(err)
	}
	if got, ok := known.Invalid(proof.ID(&bad)); !ok || got.Rule != rules.Difficulty || got.Index != -1 {
		t.Errorf("got %v", got)
	}
	if p.Finding != f || p.Done {
		t.Error("the proof was changed")
	}
}

func TestKey(t *testing.T) {
	m, chain := grown(30, 3)
	if got := proof.Key(&chain[1], &chain[2]); got != proof.ID(&chain[2]) {
		t.Error("version 3: the key is not the trailer's id")
	}
	old := m.First(0xa0600-5, 0, began)
	next := m.Next(&old, prooftest.Even)
	other := old
	other.SetMinFee(501)
	if proof.Key(nil, &next) != proof.ID(&next) || proof.Key(&old, &next) == proof.ID(&next) || proof.Key(&old, &next) == proof.Key(&other, &next) {
		t.Error("before version 3: the key does not cover the parent")
	}
	last := m.First(0xa06ff, 0, began)
	first := m.Next(&last, prooftest.Even)
	if proof.Key(&last, &first) == proof.ID(&first) {
		t.Error("the first of version 3: the key does not cover the parent, which its link does not fix")
	}
}
