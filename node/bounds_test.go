package node

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"kigo/node/chainsync/synctest"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/wire"
)

// Groups get their turns in the inbox whatever each of them sends, and it is bounded.
func TestInbox(t *testing.T) {
	b := newInbox()
	at := time.Unix(1e9, 0)
	one := func(g int) *sighting {
		return &sighting{from: host(g), group: netip.PrefixFrom(host(g), 24).Masked()}
	}
	for range 100 {
		b.add(one(1))
	}
	b.add(one(2))
	batch, _ := b.take(at)
	if len(batch) != maxPerGroup+1 || batch[1].from != host(2) {
		t.Errorf("%d in the batch, the second from %v; want %d, and host 2", len(batch), batch[1].from, maxPerGroup+1)
	}
	for g := range 200 {
		for range 20 {
			b.add(one(g))
		}
	}
	if b.size > maxWaiting {
		t.Errorf("%d wait, want %d at most", b.size, maxWaiting)
	}
	if !b.add(one(999)) {
		t.Error("a new group has no room beside others that have more")
	}
	seen := 0
	for {
		batch, _ = b.take(at)
		if len(batch) == 0 {
			break
		}
		seen += len(batch)
	}
	if seen > maxWaiting || b.size != 0 || len(b.groups) != 0 || len(b.turns) != 0 {
		t.Errorf("%d taken, %d left, %d groups, %d turns", seen, b.size, len(b.groups), len(b.turns))
	}
	// What was put off comes when it is due, one a peer, a few times.
	for range 10 {
		b.later(one(1), at.Add(time.Second))
	}
	s := one(2)
	for range maxAgain + 3 {
		b.later(s, at.Add(2*time.Second))
	}
	if batch, due := b.take(at); len(batch) != 0 || due != at.Add(time.Second) {
		t.Errorf("%d early, the next at %v", len(batch), due)
	}
	if batch, _ := b.take(at.Add(time.Hour)); len(batch) != 2 {
		t.Errorf("%d were put off, want 2", len(batch))
	}
	b.later(s, at)
	if batch, _ := b.take(at); len(batch) != 0 {
		t.Error("put off more often than allowed")
	}
	for g := range 500 {
		b.later(one(g), at.Add(time.Duration(g)*time.Second))
	}
	if len(b.putOff) > maxPutOff {
		t.Errorf("%d put off", len(b.putOff))
	}
}

// A group with many addresses pushes no other group's voices out.
func TestVoicesAreBounded(t *testing.T) {
	v := voices{}
	at := time.Unix(1e9, 0)
	honest := netip.MustParsePrefix("10.1.0.0/16")
	v.note(netip.MustParseAddr("10.1.0.1"), honest, wire.State{}, at)
	flood := netip.MustParsePrefix("10.2.0.0/16")
	for i := range 3 * maxVoices {
		v.note(netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(i)}), flood, wire.State{}, at.Add(time.Hour))
	}
	if len(v) > maxVoices || v[netip.MustParseAddr("10.1.0.1")] == nil {
		t.Errorf("%d voices, the honest one %v", len(v), v[netip.MustParseAddr("10.1.0.1")])
	}
	v.expire(at.Add(time.Minute))
	if v[netip.MustParseAddr("10.1.0.1")] != nil {
		t.Error("an old voice stays")
	}
}

// Side branches are bounded; those without work make room for those with.
func TestSidesAreBounded(t *testing.T) {
	w := synctest.NewWorld(61, 1500)
	b := newBench(t, w, w.Chain)
	b.Node.mu.Lock()
	defer b.Node.mu.Unlock()
	keep := func(c []mcm.Trailer) {
		for i := range c {
			b.sides.add(&c[i], i > 0)
		}
	}
	dense := w.Fork(w.Chain, w.Chain[1300].Num(), 80)
	keep(dense[len(dense)-60:]) // doesn't meet
	for i := range 30 {
		from := w.Chain[600+20*i].Num()
		free := w.Mix(w.Chain, from, 700, func(int) bool { return true })
		keep(free[from-w.Base.Num+1:])
	}
	if len(b.sides.by) <= maxSides {
		t.Fatalf("%d kept, too few for the test", len(b.sides.by))
	}
	b.sides.prune(b.own)
	if n := len(b.sides.by); n > maxSides {
		t.Errorf("%d kept, want %d at most", n, maxSides)
	}
	if !b.sides.holds(&dense[len(dense)-1]) {
		t.Error("a branch with work made room for pseudoblocks")
	}
	for h, l := range b.sides.next {
		for _, k := range l {
			if *k.t.PrevHash() != h || b.sides.by[*k.t.Hash()] != k {
				t.Fatal("the index doesn't fit what is kept")
			}
		}
	}
	b.sides.drop(*dense[len(dense)-60].Hash())
	if b.sides.holds(&dense[len(dense)-1]) {
		t.Error("dropped and still there")
	}
}

// A found message for a tip that is known.
func BenchmarkFoundKnown(b *testing.B) { benchmarkFound(b, 0) }

// One that shows a block of a chain far behind.
func BenchmarkFoundOld(b *testing.B) { benchmarkFound(b, 3500) }

func benchmarkFound(b *testing.B, behind int) {
	w := synctest.NewWorld(62, 4000)
	o, _ := options(b, w, w.Chain, nil)
	o.Now = w.Now
	o.Scan.Client = synctest.NewNetwork(b, w).Client(timeouts)
	n, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	c := w.Chain[:len(w.Chain)-behind]
	bb := bench{w: w}
	m := wire.Packet{State: bb.claimOf(c), Data: slices.Clone(mcm.Bytes(last(c)))}
	s := server{n}
	for b.Loop() {
		s.Found(host(1), &m)
	}
}

// A peer can't have the charges of others settled before others had time to fall by
// the same thing.
func TestJuryIsBounded(t *testing.T) {
	at := time.Unix(1e9, 0)
	j := newJury()
	one := func(p int, about byte) charge {
		return charge{
			fault: &fault.Fault{Kind: fault.InvalidTrailer, Peer: host(p)}, about: mcm.Hash{about}, at: at,
			group: netip.PrefixFrom(host(p), 24).Masked(),
		}
	}
	j.charge(one(1, 1))
	for i := range 10000 {
		j.charge(one(2, byte(i)))
	}
	if v := j.settle(at.Add(time.Second), time.Minute, false); len(v) != 0 || len(j.charges) != 1+maxOfPeer {
		t.Errorf("%d verdicts, %d charges wait", len(v), len(j.charges))
	}
	j.charge(one(3, 1))
	j.charge(one(4, 1))
	j.passed(host(9), netip.Prefix{}, true, at.Add(time.Second))
	doubted := 0
	for _, v := range j.settle(at.Add(time.Minute), time.Minute, false) {
		if v.doubt != "" {
			t.Errorf("settled after a minute: %+v", v)
		}
	}
	for _, v := range j.settle(at.Add(weightDoubts*time.Minute), time.Minute, false) {
		if v.doubt != "" {
			doubted++
			if v.about != (mcm.Hash{1}) || len(v.charges) != 3+1 {
				t.Errorf("in doubt: %v, %d charges", v.about, len(v.charges))
			}
		}
	}
	if doubted != 1 || len(j.charges) != 0 {
		t.Errorf("%d verdicts in doubt, %d charges left", doubted, len(j.charges))
	}
}
