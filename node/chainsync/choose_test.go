package chainsync

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/proof/prooftest"
	"kigo/node/wire"
)

// on returns the support of so many groups with so many addresses in all.
func on(groups, addrs int) support {
	s := newSupport()
	for i := range addrs {
		g := i % groups
		a := netip.AddrFrom4([4]byte{11, byte(g), byte(i >> 8), byte(i)})
		p, _ := a.Prefix(16)
		s.add(&Supporter{Addr: a, Group: p})
	}
	return s
}

func TestBest(t *testing.T) {
	w := func(n uint64) mcm.Weight { return mcm.Weight{n} }
	home, foreign, third := mcm.Hash{}, mcm.Hash{1}, mcm.Hash{2}
	type cs = []*contender
	for _, c := range []struct {
		name string
		all  cs
		want int // index
	}{
		{"weight before all else", cs{
			{tip: mcm.Hash{9}, weight: w(10), work: w(10), support: on(5, 9)},
			{tip: mcm.Hash{1}, weight: w(11), work: w(1), support: on(1, 1)}}, 1},
		{"groups", cs{
			{tip: mcm.Hash{9}, weight: w(10), work: w(10), support: on(2, 9)},
			{tip: mcm.Hash{1}, weight: w(10), work: w(1), support: on(3, 3)}}, 1},
		{"work", cs{
			{tip: mcm.Hash{9}, weight: w(10), work: w(8), support: on(2, 9)},
			{tip: mcm.Hash{1}, weight: w(10), work: w(9), support: on(2, 2)}}, 1},
		{"addresses", cs{
			{tip: mcm.Hash{9}, weight: w(10), work: w(9), support: on(2, 2)},
			{tip: mcm.Hash{1}, weight: w(10), work: w(9), support: on(2, 3)}}, 1},
		{"hash", cs{
			{tip: mcm.Hash{0, 9}, weight: w(10), work: w(9), support: on(2, 2)},
			{tip: mcm.Hash{1}, weight: w(10), work: w(9), support: on(2, 2)}}, 1},
		{"the own tip is one among others", cs{
			{own: true, tip: mcm.Hash{9}, weight: w(10), work: w(10), support: on(1, 9)},
			{tip: mcm.Hash{1}, weight: w(10), work: w(1), support: on(2, 2)}}, 1},
		{"a tip in ff counts", cs{
			{own: true, num: 0xa07fe, tip: mcm.Hash{9}, weight: w(10), last: 3, support: on(9, 9)},
			{num: 0xa07ff, tip: mcm.Hash{1}, weight: w(10), last: 3, support: on(1, 1), extends: true}}, 1},
		{"the block after it is worth the same, and goes on", cs{
			{own: true, num: 0xa07ff, tip: mcm.Hash{9}, weight: w(10), last: 3, support: on(9, 9)},
			{num: 0xa0800, tip: mcm.Hash{1}, weight: w(18), last: 3, support: on(1, 1), extends: true}}, 1},
		{"another one after its rival isn't worth more", cs{
			{own: true, num: 0xa07ff, tip: mcm.Hash{9}, weight: w(10), last: 3, support: on(2, 2)},
			{num: 0xa0800, tip: mcm.Hash{1}, weight: w(18), last: 3, support: on(1, 1)}}, 0},
		{"another history by work", cs{
			{own: true, tip: mcm.Hash{9}, weight: w(10), work: w(10), old: home, support: on(1, 1)},
			{tip: mcm.Hash{1}, weight: w(1000), work: w(9), old: foreign, support: on(5, 5)}}, 0},
		{"another history by as much work", cs{
			{own: true, tip: mcm.Hash{1}, weight: w(10), work: w(10), old: home, support: on(1, 1)},
			{tip: mcm.Hash{9}, weight: w(1000), work: w(10), old: foreign, support: on(5, 5)}}, 0},
		{"another history by more work", cs{
			{own: true, tip: mcm.Hash{9}, weight: w(1000), work: w(10), old: home, support: on(5, 5)},
			{tip: mcm.Hash{1}, weight: w(10), work: w(11), old: foreign, support: on(1, 1)}}, 1},
		{"the heaviest of a history speaks for it", cs{
			{tip: mcm.Hash{3}, weight: w(12), work: w(8), old: home, support: on(1, 1)},
			{own: true, tip: mcm.Hash{2}, weight: w(10), work: w(10), old: home, support: on(1, 1)},
			{tip: mcm.Hash{1}, weight: w(1), work: w(9), old: foreign, support: on(1, 1)}}, 2},
		{"two foreign histories with a tie", cs{
			{tip: mcm.Hash{3}, weight: w(12), work: w(8), old: foreign, support: on(1, 1)},
			{tip: mcm.Hash{2}, weight: w(10), work: w(8), old: third, support: on(2, 2)}}, 1},
		{"nobody", nil, -1},
	} {
		for range 20 {
			order := rand.Perm(len(c.all))
			var shuffled []*contender
			for _, i := range order {
				shuffled = append(shuffled, c.all[i])
			}
			got := best(shuffled)
			if c.want < 0 && got != nil || c.want >= 0 && got != c.all[c.want] {
				t.Errorf("%s, in order %v: %+v", c.name, order, got)
				break
			}
		}
	}
}

// TestBestInAnyOrder has random contenders, where what is best must not depend on the
// order in which they became known.
func TestBestInAnyOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var all []*contender
		for i := range 2 + r.IntN(6) {
			all = append(all, &contender{
				tip: mcm.Hash{byte(r.IntN(3)), byte(i)}, num: 0xa07fe + mcm.BlockNum(r.IntN(4)), last: 1,
				weight: mcm.Weight{uint64(r.IntN(3))}, work: mcm.Weight{uint64(r.IntN(3))},
				old: mcm.Hash{byte(r.IntN(2))}, support: on(1+r.IntN(2), 2+r.IntN(2)),
			})
		}
		all[0].own = r.IntN(2) == 0
		want := best(all)
		r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if got := best(all); got != want {
			t.Fatalf("%+v, and in another order %+v", want, got)
		}
	}
}

func TestEstablished(t *testing.T) {
	if got, want := Established(2048).Text, "if more than 0.34 % of the weight had no valid work, the chance of missing it is below 0.1 %"; got != want {
		t.Errorf("2,048 samples:\n%s\n%s", got, want)
	}
	for n, want := range map[int]string{8: "58", 64: "11", 256: "2.7", 100000: "0.007", 0: "100", 1: "100"} {
		if got := Established(n).Text; got != "if more than "+want+" % of the weight had no valid work, the chance of missing it is below 0.1 %" {
			t.Errorf("%d samples: %s", n, got)
		}
	}
	for n := 1; n <= 5000; n++ {
		s := Established(n)
		if missed := math.Pow(1-s.Fraction, float64(n)); missed > s.Missed {
			t.Fatalf("%d samples: %v of the weight is missed with probability %v, not %v", n, s.Fraction, missed, s.Missed)
		}
		if unit := math.Pow(10, math.Floor(math.Log10(s.Fraction))-1); math.Pow(1-s.Fraction+unit, float64(n)) <= s.Missed && s.Fraction < 1 {
			t.Fatalf("%d samples: %v could be less", n, s.Fraction)
		}
	}
}

// grown returns a chain from 0xa0700 on.
func grown(seed uint64, n int) (*prooftest.Miner, []mcm.Trailer) {
	m := prooftest.NewMiner(seed)
	return m, m.Grow([]mcm.Trailer{m.First(mcm.V30Trigger, 2, 1_700_000_000)}, n-1, 2)
}

// branchOf returns the branch of the last trailers of a chain with one supporter in each
// of some groups.
func branchOf(chain []mcm.Trailer, rank int, groups ...int) *Branch {
	b := &Branch{Trailers: chain[max(0, len(chain)-54):], Rank: rank, FirstClass: true, Groups: len(groups)}
	for _, g := range groups {
		a := netip.AddrFrom4([4]byte{11, byte(g), 0, 1})
		p, _ := a.Prefix(16)
		b.Supporters = append(b.Supporters, Supporter{Addr: a, Group: p, Claim: prooftest.Claim(chain, mcm.Weight{})})
	}
	return b
}

// TestPlaces has tips on one stem, shown with different beginnings, and others.
func TestPlaces(t *testing.T) {
	m, stem := grown(1, 200)
	late := m.Grow(stem, 3, 2)
	side := m.Grow(stem[:198], 1, 2)
	old := stem[:180]
	_, other := grown(2, 150)
	list := places([]*Branch{branchOf(other, 0, 9), branchOf(side, 1, 1, 2), branchOf(stem, 2, 3), branchOf(old, 4, 5, 1), branchOf(late, 3, 4)})
	if len(list) != 2 {
		t.Fatalf("%d places", len(list))
	}
	p := list[1]
	if p.rank != 1 || len(p.branches) != 4 || p.groups != 5 || len(p.head.Supporters) != 5 {
		t.Errorf("rank %d, %d branches, %d groups, %d supporters", p.rank, len(p.branches), p.groups, len(p.head.Supporters))
	}
	if *p.tip() != late[len(late)-1] || len(p.head.Trailers) != 54+23 || p.head.Trailers[0] != stem[180-54] {
		t.Errorf("followed is block %v, from %v on", p.tip().Num(), p.head.Trailers[0].Num())
	}
	if len(p.support.groups) != 1 {
		t.Errorf("%d groups on the best one", len(p.support.groups))
	}
	for i := range p.head.Trailers[1:] {
		if *p.head.Trailers[i+1].PrevHash() != *p.head.Trailers[i].Hash() {
			t.Fatal("a link is broken")
		}
	}
}

// TestTiesWithinAPlace has worked and pseudo tips with one parent.
func TestTiesWithinAPlace(t *testing.T) {
	m, stem := grown(3, 100)
	worked := m.Grow(stem, 1, 2)
	pseudo := append(stem[:100:100], m.Pseudo(&stem[99]))
	for _, c := range []struct {
		onWorked, onPseudo []int
		want               []mcm.Trailer
	}{
		{[]int{1}, []int{2}, worked},
		{[]int{1}, []int{2, 3}, pseudo},
		{[]int{1, 4}, []int{2, 3}, worked},
	} {
		for _, swap := range []bool{false, true} {
			all := []*Branch{branchOf(worked, 0, c.onWorked...), branchOf(pseudo, 1, c.onPseudo...)}
			if swap {
				all[0].Rank = 2
			}
			list := places(all)
			if len(list) != 1 || *list[0].tip() != c.want[100] {
				t.Errorf("%+v, swapped %v: %d places, tip %v", c, swap, len(list), list[0].tip().Hash())
			}
		}
	}
}

func testWaits(now *time.Time) *waits {
	o := Options{}.defaults()
	o.Now = func() time.Time { return *now }
	return newWaits(&o)
}

// TestWaits follows a branch through failures, growth, and clocks.
func TestWaits(t *testing.T) {
	m, chain := grown(4, 100)
	now := time.Unix(1_700_000_000, 0)
	w := testWaits(&now)
	b := branchOf(chain, 0, 1, 2)
	if w.hold(b, now) {
		t.Error("waits before it failed")
	}
	for i, want := range []time.Duration{10, 20, 40, 80, 120, 120} {
		w.failed(b, "refused", now)
		if !w.hold(b, now.Add(want*time.Minute-time.Second)) || w.hold(b, now.Add(want*time.Minute)) {
			t.Errorf("failure %d: doesn't wait for %d minutes", i+1, want)
		}
		now = now.Add(want * time.Minute)
	}
	for _, n := range []int{1, 20, 26} {
		if !w.hold(branchOf(m.Grow(chain, n, 2), 0, 1), now.Add(-time.Minute)) {
			t.Errorf("%d blocks more, and it doesn't wait", n)
		}
	}
	if len(w.m) != 1 {
		t.Errorf("%d records", len(w.m))
	}
	if w.hold(branchOf(chain, 0, 1, 3), now.Add(-time.Minute)) || len(w.m) != 0 {
		t.Error("waits though a new group is on it")
	}
	w.failed(b, "refused", now)
	w.served(b)
	if len(w.m) != 0 {
		t.Error("waits though somebody served it")
	}
	w.failed(b, "refused", now)
	if w.hold(b, now.Add(-100*24*time.Hour)) || len(w.m) != 0 {
		t.Error("waits by another clock")
	}
	w.failed(b, "refused", now)
	if w.hold(b, now.Add(10*time.Minute+2*time.Hour)) || len(w.m) != 0 {
		t.Error("remembered for ever")
	}
}

// TestWaitsMakeRoom fills the table.
func TestWaitsMakeRoom(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	w := testWaits(&now)
	for i := range memory.MaxWaiting + 5 {
		now = now.Add(time.Second)
		ts := make([]mcm.Trailer, 1)
		ts[0].Hash()[0], ts[0].Hash()[1] = byte(i), byte(i>>8)
		w.failed(&Branch{Trailers: ts}, "", now)
	}
	list := w.list()
	if len(list) != memory.MaxWaiting || !list[0].Until.Equal(now.Add(10*time.Minute-(memory.MaxWaiting-1)*time.Second)) {
		t.Errorf("%d, the first until %v", len(list), list[0].Until)
	}
}

// TestVoices counts who states what.
func TestVoices(t *testing.T) {
	say := func(off uint64, group int) statement {
		a := netip.AddrFrom4([4]byte{11, byte(group), 0, 1})
		p, _ := a.Prefix(16)
		return statement{by: &Supporter{Addr: a, Group: p, Claim: wire.State{}}, off: mcm.Weight{off}}
	}
	for _, c := range []struct {
		all          []statement
		right, wrong int
	}{
		{nil, 0, 0},
		{[]statement{say(0, 1), say(0, 1), say(0, 2), say(5, 3)}, 2, 1},
		{[]statement{say(0, 1), say(5, 2), say(5, 3), say(6, 4)}, 1, 2},
		{[]statement{say(5, 1), say(5, 1), say(6, 1)}, 0, 1},
	} {
		if right, wrong := voices(c.all); right != c.right || wrong != c.wrong {
			t.Errorf("%v: %d, %d", c.all, right, wrong)
		}
	}
}

func TestSlots(t *testing.T) {
	var kinds []string
	for i := range 8 {
		kinds = append(kinds, fmt.Sprint(slotKind(i)))
	}
	count := map[string]int{}
	for _, k := range kinds[:4] {
		count[k]++
	}
	if count["0"] != 2 || count["1"] != 1 || count["2"] != 1 {
		t.Errorf("slots: %v", kinds)
	}
}
