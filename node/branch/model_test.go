package branch_test

import (
	"bytes"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"kigo/node/branch"
	"kigo/node/mcm"
)

// modelBranch is a branch as a model without a store has it.
type modelBranch struct {
	chain        []mcm.Trailer
	peers        []netip.Addr
	groups       map[netip.Prefix]bool
	weight, work *big.Int
}

// model lists the branches of chains, which all begin alike, and the peers that
// show them, by comparing whole chains.
func model(chains [][]mcm.Trailer, peers []netip.Addr) (list []*modelBranch) {
	within := func(a, b []mcm.Trailer) bool { return len(a) <= len(b) && a[len(a)-1] == b[len(a)-1] }
	for i, c := range chains {
		leaf := !slices.ContainsFunc(chains, func(other []mcm.Trailer) bool { return len(other) > len(c) && within(c, other) })
		first := slices.IndexFunc(chains, func(other []mcm.Trailer) bool { return len(other) == len(c) && within(c, other) }) == i
		if !leaf || !first {
			continue
		}
		b := &modelBranch{chain: c, groups: map[netip.Prefix]bool{}, weight: new(big.Int), work: new(big.Int)}
		for j, other := range chains {
			if within(other, c) {
				b.peers = append(b.peers, peers[j])
				b.groups[group(peers[j])] = true
			}
		}
		for k := range c {
			t := &c[k]
			add := new(big.Int).Lsh(big.NewInt(1), uint(t.WorkDifficulty()))
			if t.Num()%256 != 255 || k == len(c)-1 {
				b.weight.Add(b.weight, add)
			}
			if t.Num()%256 != 0 && t.TxCount() > 0 {
				b.work.Add(b.work, add)
			}
		}
		list = append(list, b)
	}
	return list
}

func (b *modelBranch) beats(o *modelBranch) bool {
	x, y := tipOf(b.chain), tipOf(o.chain)
	for _, c := range []int{
		b.weight.Cmp(o.weight), len(b.groups) - len(o.groups), b.work.Cmp(o.work), len(b.peers) - len(o.peers), bytes.Compare(x[:], y[:]),
	} {
		if c != 0 {
			return c > 0
		}
	}
	return false
}

// TestModel holds branches and choice against the model, over random trees of forks
// around a neogenesis block.
func TestModel(t *testing.T) {
	m, stem := grown(401, 258)
	r := rand.New(rand.NewPCG(402, 403))
	for round := range 40 {
		forks := [][]mcm.Trailer{stem[:240]}
		for range 2 + r.IntN(8) {
			from := forks[r.IntN(len(forks))]
			from = from[:len(from)-r.IntN(min(8, len(from)-239))]
			share := r.Float64()
			forks = append(forks, m.Mix(from, 1+r.IntN(10), difficulty, func(int) bool { return r.Float64() < share }))
		}
		var chains [][]mcm.Trailer
		var peers []netip.Addr
		var all []showing
		for i := range 3 + r.IntN(20) {
			c := forks[r.IntN(len(forks))]
			c = c[:len(c)-r.IntN(3)]
			chains, peers = append(chains, c), append(peers, peer(1+r.IntN(5), i))
			all = append(all, shows(t, peers[i], c))
		}
		now := clock(chains...)
		want := model(chains, peers)
		best := want[0]
		for _, b := range want[1:] {
			if b.beats(best) {
				best = b
			}
		}
		s := fill(branch.Options{}, all)
		list := s.Branches(now)
		if len(list) != len(want) {
			t.Fatalf("round %d: %d branches, want %d", round, len(list), len(want))
		}
		for _, b := range list {
			i := slices.IndexFunc(want, func(w *modelBranch) bool { return tipOf(w.chain) == b.Tip })
			if i < 0 || len(b.Peers) != len(want[i].peers) || len(b.Groups) != len(want[i].groups) || b.Place != 0 {
				t.Errorf("round %d: branch %+v is not the model's", round, b)
			}
		}
		if c := s.Choose(now, branch.Quorum{}); c.Branch.Tip != tipOf(best.chain) {
			t.Errorf("round %d: chose %v by %s, want %v", round, c.Branch.Tip, c.Reason, tipOf(best.chain))
		}
	}
}
