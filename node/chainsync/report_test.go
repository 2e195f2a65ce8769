package chainsync_test

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"kigo/node/branch"
	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/scan"
	"kigo/node/wire"
)

// report returns what a scan says of peers with these chains.
func report(t *testing.T, w *synctest.World, chains map[string][]mcm.Trailer) *scan.Report {
	t.Helper()
	o := proof.Options{Base: w.Base.Num}
	store := branch.New(branch.Options{Base: w.Base.Num})
	rep := &scan.Report{}
	for _, at := range slices.Sorted(func(yield func(string) bool) {
		for a := range chains {
			if !yield(a) {
				return
			}
		}
	}) {
		chain, a := chains[at], netip.MustParseAddr(at)
		tip := &chain[len(chain)-1]
		claim := wire.State{Num: tip.Num(), Hash: *tip.Hash(), Prev: *tip.PrevHash(), Weight: mcm.Weight{uint64(a.As4()[1])}}
		p := &proof.Proof{Claim: claim, Trailers: slices.Clone(chain[len(chain)-54:])}
		if f := p.Structure(o, w.Now().Unix()); f != nil {
			t.Fatal(f)
		}
		if _, err := proof.Work(t.Context(), w.Work, proof.NewKnownSet(nil, nil), []*proof.Proof{p}, rand.IntN); err != nil || p.Finding != nil {
			t.Fatal(err, p.Finding)
		}
		store.Add(p, a, synctest.Groups.Of(a))
		source := "127.0.0.9"
		if a.As4()[1] == 1 {
			source = "configured"
		}
		rep.Peers = append(rep.Peers, scan.Peer{Addr: a, Group: synctest.Groups.Of(a), Source: source, Claim: &claim})
	}
	for i, b := range store.Branches(w.Now().Unix()) {
		rep.Branches = append(rep.Branches, scan.Branch{Branch: *b, Index: i})
	}
	return rep
}

func TestFromReport(t *testing.T) {
	w := synctest.NewWorld(60, 300)
	fork := w.Fork(w.Chain, w.Tip().Num()-10, 12)
	w.SetNow(&fork[len(fork)-1])
	_, lone := w.Chain, synctest.NewWorld(61, 300).Chain
	rep := report(t, w, map[string][]mcm.Trailer{
		"127.1.0.1": w.Chain, "127.2.0.1": synctest.Upto(w.Chain, w.Tip().Num()-20), "127.3.0.1": fork, "127.4.0.1": lone, "127.5.0.1": w.Chain,
	})
	all := chainsync.FromReport(rep, func(a netip.Addr) bool { return a == netip.MustParseAddr("127.3.0.1") })
	if len(all) != 3 {
		t.Fatalf("%d branches", len(all))
	}
	for i, b := range all {
		if b.Rank != i || b.Groups != len(rep.Branches[i].Groups) || b.FirstClass != rep.Branches[i].FirstClass {
			t.Errorf("branch %d: rank %d, %d groups, first class %v", i, b.Rank, b.Groups, b.FirstClass)
		}
		if len(b.Supporters) != len(rep.Branches[i].Peers) || *b.Tip().Hash() != rep.Branches[i].Tip {
			t.Errorf("branch %d: %d supporters, tip %v", i, len(b.Supporters), b.Tip().Hash())
		}
		for _, s := range b.Supporters {
			n := s.Addr.As4()[1]
			if s.Claim.Weight != (mcm.Weight{uint64(n)}) || s.Group != synctest.Groups.Of(s.Addr) || s.Preferred != (n == 1 || n == 3) {
				t.Errorf("branch %d: %+v", i, s)
			}
		}
		chain := w.Chain
		switch *b.Tip().Hash() {
		case *fork[len(fork)-1].Hash():
			chain = fork
		case *lone[len(lone)-1].Hash():
			chain = lone
		}
		if first := b.Trailers[0].Num() - chain[0].Num(); !slices.Equal(b.Trailers, chain[first:]) || len(b.Trailers) < 54 {
			t.Errorf("branch %d: %d trailers that are not its chain's", i, len(b.Trailers))
		}
	}
}
