package proof_test

import (
	"crypto/sha256"
	"math"
	"math/rand/v2"
	"testing"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/proof/prooftest"
	"kigo/node/rules"
)

// The weaknesses of docs/spec/sync.md section 7 that a proof could have.

// TestH4: genuine trailers under a false claim are not condemned.
func TestH4(t *testing.T) {
	_, chain := grown(51, 100)
	liar, honest := show(chain), structured(t, chain, show(chain))
	liar.Claim.Weight = mcm.Weight{math.MaxUint64, math.MaxUint64, math.MaxUint64, math.MaxUint64}
	structured(t, chain, liar)
	known := proof.NewKnownSet(nil, nil)
	if _, err := proof.Work(t.Context(), new(prooftest.StandIn), known, []*proof.Proof{liar, honest}, rand.IntN); err != nil {
		t.Fatal(err)
	}
	if !liar.Done || !honest.Done || liar.Density() != honest.Density() || len(known.Changes().Invalid) != 0 {
		t.Errorf("liar %+v, honest %+v: the trailers are the same", liar.Finding, honest.Finding)
	}
}

// TestH5: a peer whose statements don't fit one another condemns no content.
func TestH5(t *testing.T) {
	m, chain := grown(52, 100)
	known := proof.NewKnownSet(nil, nil)
	forged := show(chain)
	forged.Claim.Hash = mcm.Hash{1} // another tip than it shows
	cut, seamed := show(chain), show(chain)
	cut.Trailers = cut.Trailers[:30]
	fork := m.Grow(chain[:90], 10, difficulty)
	copy(seamed.Trailers[50:], fork[96:]) // a reorganisation under way
	seamed.Claim = prooftest.Claim(fork, mcm.Weight{})
	bad := show(chain)
	unworked(bad, 20) // and genuine trailers together with forged ones
	all := []*proof.Proof{forged, cut, seamed, bad}
	for i, want := range []fault.Kind{fault.ClaimMismatch, fault.ShortReply, fault.BrokenLink, ""} {
		if f := all[i].Structure(options(), clock(chain)); f == nil && want != "" || f != nil && f.Kind != want {
			t.Errorf("proof %d: got %v, want %q", i, f, want)
		}
	}
	if _, err := proof.Work(t.Context(), new(prooftest.StandIn), known, all, rand.IntN); err != nil {
		t.Fatal(err)
	}
	if bad.Finding == nil {
		t.Error("forged work is not noticed")
	}
	honest := []*proof.Proof{structured(t, chain, show(chain)), structured(t, fork, show(fork))}
	if _, err := proof.Work(t.Context(), new(prooftest.StandIn), known, honest, rand.IntN); err != nil || !honest[0].Done || !honest[1].Done {
		t.Errorf("the same trailers from others: %v, %v, %v", honest[0].Finding, honest[1].Finding, err)
	}
}

// TestH6: a proof can't be forged for nothing, or is worth nothing.
func TestH6(t *testing.T) {
	m, chain := grown(53, 300)
	r := rand.New(rand.NewPCG(5, 6))
	honest := structured(t, chain, show(chain))
	work(t, honest)
	relink := func(p *proof.Proof, hash bool) {
		for i := range p.Trailers {
			if i > 0 {
				*p.Trailers[i].PrevHash() = *p.Trailers[i-1].Hash()
			}
			if hash {
				*p.Trailers[i].Hash() = sha256.Sum256(p.Trailers[i][:128])
			}
		}
		p.Claim.Hash = *p.Tip().Hash()
	}
	for _, c := range []struct {
		name  string
		forge func(p *proof.Proof)
		rule  rules.Rule
	}{
		{"arbitrary hashes", func(p *proof.Proof) {
			for i := range p.Trailers {
				for j := range p.Trailers[i].Hash() {
					p.Trailers[i].Hash()[j] = byte(r.Uint32())
				}
			}
			relink(p, false)
		}, rules.BlockHash},
		{"right hashes, no work", func(p *proof.Proof) {
			for i := range p.Trailers {
				if p.Trailers[i].Kind() == mcm.Standard {
					flip(&p.Trailers[i])
				}
			}
			relink(p, true)
		}, rules.PowPeach},
		{"no haikus", func(p *proof.Proof) {
			for i := range p.Trailers {
				if p.Trailers[i].Kind() == mcm.Standard {
					*p.Trailers[i].Nonce() = mcm.Nonce{1}
				}
			}
			relink(p, true)
		}, rules.PowPeach},
		{"difficulty 255 for all", func(p *proof.Proof) {
			for i := range p.Trailers {
				p.Trailers[i].SetDifficulty(255)
			}
			relink(p, true)
		}, rules.PowPeach},
	} {
		p := show(chain)
		c.forge(p)
		if f := p.Structure(options(), clock(chain)); f == nil {
			v := new(prooftest.StandIn)
			if _, err := proof.Work(t.Context(), v, proof.NewKnownSet(nil, nil), []*proof.Proof{p}, rand.IntN); err != nil {
				t.Fatal(err)
			}
			if n := v.Checked.Load(); n != 1 {
				t.Errorf("%s: %d checks, want one", c.name, n)
			}
		}
		if p.Finding == nil || p.Finding.Kind != fault.InvalidTrailer || p.Finding.Rule != c.rule {
			t.Errorf("%s: got %v, want %s", c.name, p.Finding, c.rule)
		}
	}

	// What costs next to nothing weighs as much.
	for name, chain := range map[string][]mcm.Trailer{
		"pseudoblocks at difficulty 255": m.Mix([]mcm.Trailer{m.First(base+256, 255, began)}, 53, 0, func(int) bool { return true }),
		"work at difficulty 0":           m.Grow([]mcm.Trailer{m.First(base+248, 0, began)}, 53, 0),
	} {
		p := structured(t, chain, show(chain))
		work(t, p)
		if !p.Done || p.Density() > honest.Density()/4 {
			t.Errorf("%s: density %v beside an honest %v, finding %v", name, p.Density(), honest.Density(), p.Finding)
		}
	}
}
