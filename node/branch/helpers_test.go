package branch_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"kigo/node/branch"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/proof/prooftest"
)

const (
	base       = mcm.V30Trigger
	began      = 1_750_000_000
	difficulty = 5
)

var options = proof.Options{Base: base}

func grown(seed uint64, n int) (*prooftest.Miner, []mcm.Trailer) {
	m := prooftest.NewMiner(seed)
	return m, m.Grow([]mcm.Trailer{m.First(base, difficulty, began)}, n-1, difficulty)
}

// clock returns when the newest tip of chains was solved.
func clock(chains ...[]mcm.Trailer) (now int64) {
	for _, c := range chains {
		now = max(now, int64(c[len(c)-1].SolveTime()))
	}
	return now
}

// A showing is a peer with its proof.
type showing struct {
	proof *proof.Proof
	peer  netip.Addr
}

// group is how peers are grouped here, 16 bits.
func group(a netip.Addr) netip.Prefix {
	p, err := a.Prefix(16)
	if err != nil {
		panic(err)
	}
	return p
}

// peer returns the n-th address of a group.
func peer(g, n int) netip.Addr { return netip.AddrFrom4([4]byte{127, byte(g), byte(n >> 8), byte(n)}) }

// shows returns what a peer shows whose chain that is, its work checked.  It fails
// the test if that is not in order.
func shows(t testing.TB, who netip.Addr, chain []mcm.Trailer) showing {
	t.Helper()
	p := &proof.Proof{Claim: prooftest.Claim(chain, mcm.Weight{}), Trailers: slices.Clone(chain[max(0, len(chain)-proof.Segment):])}
	if f := p.Structure(options, clock(chain)); f != nil {
		t.Fatal(f)
	}
	known := proof.NewKnownSet(nil, nil)
	for {
		if _, err := proof.Work(t.Context(), new(prooftest.StandIn), known, []*proof.Proof{p}, rand.IntN); err != nil {
			t.Fatal(err)
		}
		if p.Finding != nil {
			t.Fatal(p.Finding)
		}
		first, count := p.More(options)
		if count == 0 || first < chain[0].Num() {
			return showing{p, who}
		}
		from := int(first - chain[0].Num())
		if f := p.Extend(chain[from:from+count], options, clock(chain)); f != nil {
			t.Fatal(f)
		}
	}
}

// stating returns the showing with another weight claimed.
func (s showing) stating(w mcm.Weight) showing {
	p := *s.proof
	p.Claim.Weight = w
	return showing{&p, s.peer}
}

func fill(o branch.Options, all []showing) *branch.Store {
	s := branch.New(o)
	for _, sh := range all {
		s.Add(sh.proof, sh.peer, group(sh.peer))
	}
	return s
}

// steady runs f on stores to which the showings were added in many orders, and
// fails unless what it returns is always the same, which it returns.
func steady[T any](t *testing.T, o branch.Options, all []showing, f func(s *branch.Store) T) (result T) {
	t.Helper()
	var want string
	r := rand.New(rand.NewPCG(7, 8))
	for i := range 20 {
		order := slices.Clone(all)
		if i > 0 {
			r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		}
		result = f(fill(o, order))
		b, err := json.Marshal(result)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			want = string(b)
		} else if string(b) != want {
			t.Fatalf("another order, another result:\n%s\n%s", want, b)
		}
	}
	return result
}

func choose(t *testing.T, o branch.Options, all []showing, now int64, q branch.Quorum) *branch.Choice {
	t.Helper()
	return steady(t, o, all, func(s *branch.Store) *branch.Choice { return s.Choose(now, q) })
}

// weigh returns the weight of trailers by the rule for trailers.
func weigh(ts []mcm.Trailer) (w mcm.Weight) {
	for i := range ts {
		if ts[i].Num().Low() != 0xff {
			w = w.AddDifficulty(ts[i].WorkDifficulty())
		}
	}
	return w
}

func anchorAt(chain []mcm.Trailer, i int, below mcm.Weight) proof.Anchor {
	w, _ := weigh(chain[:i+1]).Add(below)
	return proof.Anchor{Num: chain[i].Num(), Hash: *chain[i].Hash(), Weight: w, Time: chain[i].SolveTime()}
}

func tipOf(chain []mcm.Trailer) mcm.Hash { return *chain[len(chain)-1].Hash() }
