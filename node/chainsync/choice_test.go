package chainsync_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof/prooftest"
	"kigo/node/scan"
	"kigo/node/wire"
)

// TestInflatedWeights has liars on the genuine tip, as many as honest peers
// (acceptance test 2): they are charged once, and the data they serve is welcome.
func TestInflatedWeights(t *testing.T) {
	l := newLab(t, 10, 2500)
	honest := l.net.Peers(t, l.w.Chain, 3)
	liars := l.net.Peers(t, l.w.Chain, 3)
	for i, p := range liars {
		p.SetState(func(s *wire.State) { s.Weight[2] += uint64(i + 1) })
	}
	s := l.syncer()
	out := l.runWith(s, synctest.Branches(append(liars, honest...)...)...)
	l.wantTip(l.w.Chain)
	wantAlarms(t, out)
	if out.Faults[fault.FalseWeight] != 3 {
		t.Errorf("faults: %v", out.Faults)
	}
	for _, p := range liars {
		if got := l.ledger.objective(p); got != "false_weight" {
			t.Errorf("liar %v: %q", p.Addr, got)
		}
	}
	l.unconvicted(honest)
	// The same statements again are not charged again.
	out = l.runWith(s, synctest.Branches(append(liars, honest...)...)...)
	if out.Switched || len(out.Faults) > 0 {
		t.Errorf("again: %+v", out.Faults)
	}
	l.noStagings()
}

// TestWeightDisagreement has most groups state one and the same other weight: then it
// may be ours that is wrong, and nobody is charged.
func TestWeightDisagreement(t *testing.T) {
	for _, c := range []struct {
		liars, honest int
		same          bool
		alarms        []scan.AlarmKind
		faults        int
	}{
		{4, 3, true, []scan.AlarmKind{scan.WeightAlarm}, 0},
		{3, 3, true, nil, 3},
		{4, 3, false, nil, 4}, // not with one voice
		{2, 0, true, []scan.AlarmKind{scan.WeightAlarm}, 0},
	} {
		for _, own := range []bool{false, true} {
			l := newLab(t, 11, 300)
			if own {
				l.own(synctest.Upto(l.w.Chain, l.w.Tip().Num()-10))
			}
			liars, honest := l.net.Peers(t, l.w.Chain, c.liars), l.net.Peers(t, l.w.Chain, c.honest)
			for i, p := range liars {
				p.SetState(func(s *wire.State) {
					s.Weight[1]++
					if !c.same {
						s.Weight[0] += uint64(i)
					}
				})
			}
			out := l.run(synctest.Branches(append(honest, liars...)...)...)
			l.wantTip(l.w.Chain)
			wantAlarms(t, out, c.alarms...)
			if out.Faults[fault.FalseWeight] != c.faults {
				t.Errorf("%+v: %v", c, out.Faults)
			}
		}
	}
}

// TestUnreckonedWeights has honest peers at a tip that doesn't add to the weight, with
// both weights that it can be said to have, and at the neogenesis block after it
// (acceptance test 20).
func TestUnreckonedWeights(t *testing.T) {
	l := newLab(t, 12, 0x1ff)
	at, next := l.w.Chain, l.w.Grow(l.w.Chain, 1)
	if l.w.Tip().Num().Low() != 0xff {
		t.Fatal(l.w.Tip().Num())
	}
	with, without := l.net.Peers(t, at, 2), l.net.Peers(t, at, 2)
	for _, p := range without {
		p.SetState(func(s *wire.State) { s.Weight = l.w.Weight(at) })
	}
	neo := l.net.Peers(t, next, 2)
	liar := l.net.Peer(t, "127.200.1.1", next)
	liar.SetState(func(s *wire.State) { s.Weight = s.Weight.AddDifficulty(synctest.Difficulty) })
	all := append(append(append(with, without...), neo...), liar)
	out := l.run(synctest.Branches(all...)...)
	l.wantTip(next)
	wantAlarms(t, out)
	for _, p := range all {
		want := ""
		if p == liar {
			want = "false_weight"
		}
		if got := l.ledger.objective(p); got != want {
			t.Errorf("%v: %q, expected %q", p.Addr, got, want)
		}
	}
}

// TestInvalidSubtree has a branch with more groups and more weight, with one trailer that
// is wrong far below what was shown of it: it falls, and the honest one is chosen
// without another scan.  Who served the trailer is charged.
func TestInvalidSubtree(t *testing.T) {
	for name, change := range map[string]func(l *lab) func(*mcm.Trailer){
		"work": func(*lab) func(*mcm.Trailer) { return synctest.BadWork },
		"rule": func(l *lab) func(*mcm.Trailer) { return l.w.BadRule },
	} {
		for _, own := range []bool{false, true} {
			t.Run(fmt.Sprint(name, own), func(t *testing.T) {
				l := newLab(t, 13, 2000)
				if own {
					l.own(synctest.Upto(l.w.Chain, l.w.Base.Num+500))
				}
				long := l.w.Fork(l.w.Chain, l.w.Base.Num+600, 2000)
				forged := l.w.Spoil(long, l.w.Base.Num+900, change(l))
				l.w.SetNow(&forged[len(forged)-1])
				honest := l.net.Peers(t, l.w.Chain, 3)
				liars := l.net.Peers(t, forged, 2)
				b := synctest.Branches(append(honest, liars...)...)
				b[0], b[1] = b[1], b[0] // a liar's rank
				out := l.run(ranked(b...)...)
				l.wantTip(l.w.Chain)
				wantEnds(t, out, chainsync.Invalid, chainsync.Chosen)
				if f := out.Resolved[0].Finding; f == nil || f.Num != l.w.Base.Num+900 {
					t.Errorf("finding: %v", f)
				}
				if out.Faults[fault.InvalidTrailer] == 0 || len(out.Alarms) > 0 {
					t.Errorf("faults %v, alarms %v", out.Faults, out.Alarms)
				}
				l.unconvicted(honest)
				l.noStagings()
			})
		}
	}
}

// TestRuleDisagreement has all peers fall by one trailer (acceptance test 23), and half
// of them, and fewer.
func TestRuleDisagreement(t *testing.T) {
	for _, c := range []struct {
		fallen, others int
		alarm          bool
	}{{3, 0, true}, {3, 3, true}, {3, 4, false}, {2, 0, false}} {
		l := newLab(t, 14, 1500)
		own := synctest.Upto(l.w.Chain, l.w.Base.Num+100)
		l.own(own)
		forged := l.w.Spoil(l.w.Chain, l.w.Base.Num+700, l.w.BadRule)
		fallen := l.net.Peers(t, forged, c.fallen)
		others := l.net.Peers(t, own, c.others)
		out := l.run(synctest.Branches(append(fallen, others...)...)...)
		var alarms []scan.AlarmKind
		if c.alarm {
			alarms = append(alarms, scan.RulesAlarm)
		}
		wantAlarms(t, out, alarms...)
		if (len(out.Doubt) == 1) != c.alarm || (out.Faults[fault.InvalidTrailer] == 0) != c.alarm {
			t.Errorf("%+v: doubt %v, faults %v", c, out.Doubt, out.Faults)
		}
		tip, _ := l.store.Tip()
		if tip.Num != own[len(own)-1].Num() {
			t.Errorf("%+v: own tip is %v", c, tip.Num)
		}
	}
}

// tie returns four chains of one weight that fork at the tip of a common one.
func tie(w *synctest.World) (worked []mcm.Trailer, more []mcm.Trailer, pseudo []mcm.Trailer) {
	worked = w.Grow(w.Chain, 1)
	more = w.Grow(w.Chain, 1)
	pseudo = w.Mix(w.Chain, w.Tip().Num(), 1, func(int) bool { return true })
	return worked, more, pseudo
}

// TestTies is acceptance test 15 as far as a node goes that knows trailers only.
func TestTies(t *testing.T) {
	type side struct {
		chain  string
		groups int
		addrs  int // in each group
	}
	for _, c := range []struct {
		name string
		own  string // chain that the node has; empty: none
		a, b side
		want string
	}{
		{"two groups against one", "", side{"pseudo", 2, 1}, side{"worked", 1, 1}, "pseudo"},
		{"groups before addresses", "", side{"pseudo", 2, 1}, side{"worked", 1, 5}, "pseudo"},
		{"worked against pseudo", "", side{"pseudo", 2, 2}, side{"worked", 2, 1}, "worked"},
		{"more addresses", "", side{"high", 2, 1}, side{"low", 2, 2}, "low"},
		{"highest hash", "", side{"low", 2, 1}, side{"high", 2, 1}, "high"},
		{"own tip with more groups stays", "low", side{"low", 2, 1}, side{"high", 1, 3}, "low"},
		{"own tip with fewer groups goes", "worked", side{"worked", 1, 5}, side{"pseudo", 2, 1}, "pseudo"},
		{"own tip that nobody shows goes", "worked", side{"", 0, 0}, side{"pseudo", 1, 1}, "pseudo"},
		{"own worked tip stays among equals", "worked", side{"worked", 1, 1}, side{"pseudo", 1, 1}, "worked"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t, 15, 70)
			worked, more, pseudo := tie(l.w)
			l.w.SetNow(&pseudo[len(pseudo)-1])
			chains := map[string][]mcm.Trailer{"worked": worked, "pseudo": pseudo, "low": worked, "high": more}
			if worked[len(worked)-1].Hash()[0] > more[len(more)-1].Hash()[0] {
				chains["low"], chains["high"] = more, worked
			}
			if c.own != "" {
				l.own(chains[c.own])
			}
			var branches []chainsync.Branch
			for i, s := range []side{c.a, c.b} {
				if s.groups == 0 {
					continue
				}
				var peers []*synctest.Peer
				for g := range s.groups {
					for a := range s.addrs {
						peers = append(peers, l.net.Peer(t, fmt.Sprintf("127.%d.%d.%d", 50+i, g+1, a+1), chains[s.chain]))
					}
				}
				branches = append(branches, synctest.Branch(peers...))
			}
			l.run(ranked(branches...)...)
			l.wantTip(chains[c.want])

			// Once more, the other way round: the answer is the same.
			for i, j := 0, len(branches)-1; i < j; i, j = i+1, j-1 {
				branches[i], branches[j] = branches[j], branches[i]
			}
			out := l.run(ranked(branches...)...)
			l.wantTip(chains[c.want])
			if out.Switched {
				t.Error("switched again")
			}
		})
	}
}

// TestBogusTips has a thousand neogenesis tips on the honest stem (acceptance test 25),
// each as good as the honest one by all that its trailer says: they take one place, and
// end with the next block.
func TestBogusTips(t *testing.T) {
	l := newLab(t, 16, 0x4ff)
	l.own(synctest.Upto(l.w.Chain, l.w.Base.Num+0x400))
	chain := l.w.Grow(l.w.Chain, 1)
	honest := l.net.Peers(t, chain, 3)
	var branches []chainsync.Branch
	for i := range 1000 {
		bogus := l.w.Grow(l.w.Chain, 1)
		b := synctest.Branch(honest[0])
		b.Trailers[len(b.Trailers)-1] = bogus[len(bogus)-1]
		b.Supporters[0].Claim.Hash = *b.Tip().Hash()
		b.Supporters[0].Addr = netip.AddrFrom4([4]byte{127, 99, byte(i / 250), byte(i % 250)})
		b.Supporters[0].Group = synctest.Groups.Of(b.Supporters[0].Addr)
		branches = append(branches, b)
	}
	branches = append(branches, synctest.Branch(honest...))
	began := time.Now()
	out := l.run(ranked(branches...)...)
	l.wantTip(chain)
	if n := asked(honest...); n > 8 {
		t.Errorf("%d ranges for one place", n)
	}
	t.Logf("%v for 1,001 branches", time.Since(began))
	if r := out.Resolved[1000]; r.End != chainsync.Chosen || out.Resolved[0].End != chainsync.Lighter {
		t.Errorf("%+v, %+v", r, out.Resolved[0])
	}

	next := l.w.Grow(chain, 1)
	l.w.SetNow(&next[len(next)-1])
	for _, p := range honest {
		p.SetChain(next)
	}
	branches[1000] = synctest.Branch(honest...)
	had := asked(honest...)
	l.run(ranked(branches...)...)
	l.wantTip(next)
	if n := asked(honest...) - had; n > 0 {
		t.Errorf("%d ranges for what is known", n)
	}
	l.noStagings()
}

// TestOldSegments has twenty old genuine tips before the honest branch (acceptance test
// 18), with honest supporters that state the least and the greatest weight there is.
func TestOldSegments(t *testing.T) {
	l := newLab(t, 17, 2500)
	honest := l.net.Peers(t, l.w.Chain, 3)
	low := l.net.Peer(t, "127.98.1.1", l.w.Chain)
	low.SetState(func(s *wire.State) { s.Weight = mcm.Weight{1} })
	high := l.net.Peer(t, "127.98.2.1", l.w.Chain)
	high.SetState(func(s *wire.State) { s.Weight = mcm.Weight{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)} })
	var branches []chainsync.Branch
	for i := range 20 {
		old := l.net.Peer(t, fmt.Sprintf("127.97.%d.1", i+1), synctest.Upto(l.w.Chain, l.w.Base.Num+mcm.BlockNum(100*(i+1))))
		b := synctest.Branch(old)
		b.FirstClass = false
		branches = append(branches, b)
	}
	branches = append(branches, synctest.Branch(append(honest, low, high)...))
	out := l.run(ranked(branches...)...)
	l.wantTip(l.w.Chain)
	if r := out.Resolved[20]; r.End != chainsync.Chosen {
		t.Errorf("%+v", r)
	}
	if l.ledger.objective(low) != "false_weight" || l.ledger.objective(high) != "false_weight" {
		t.Errorf("%q, %q", l.ledger.objective(low), l.ledger.objective(high))
	}
	l.unconvicted(honest)
	// What goes on behind ends well too.
	for n := 0; len(out.Behind) > 0 && n < 20; n++ {
		out = l.run(out.Behind...)
		if out.Switched {
			t.Errorf("%+v", out)
		}
	}
	if len(out.Behind) > 0 {
		t.Errorf("%d branches are never resolved", len(out.Behind))
	}
	l.wantTip(l.w.Chain)
	l.noStagings()
}

// TestRisingDifficulty follows a chain whose difficulty rises from 0, and one whose hash
// rate falls (acceptance test 24).
func TestRisingDifficulty(t *testing.T) {
	for name, seconds := range map[string]func(i int) uint32{
		"rising":  func(i int) uint32 { return map[bool]uint32{true: prooftest.Quick, false: prooftest.Even}[i%50 == 49] },
		"falling": func(i int) uint32 { return map[bool]uint32{true: prooftest.Even, false: prooftest.Slow}[i < 100] },
	} {
		l := newLab(t, 18, 3)
		chain := l.w.Chain
		for i := range 400 {
			chain = append(chain, l.w.Miner.Next(&chain[len(chain)-1], seconds(i)))
			if name == "falling" && i > 200 {
				chain[len(chain)-1] = l.w.Miner.Pseudo(&chain[len(chain)-2])
			}
		}
		l.w.SetNow(&chain[len(chain)-1])
		l.run(synctest.Branches(l.net.Peers(t, chain, 3)...)...)
		l.wantTip(chain)
	}
}
