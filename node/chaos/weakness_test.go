package chaos

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/scan"
	"kigo/node/wire"
)

// The weaknesses of docs/spec/sync.md section 7 by their numbers there, each as a
// test that Kigo doesn't have it.  Package scan has some of the same names, at its
// own level; here everything is real but the distance.

// A claim without proof empties no quorum, and costs three calls at most.
func TestH1(t *testing.T) {
	as := crowd("max-weight-no-proof", plain, plain, plain)
	n := newNode(t, as)
	wantHonest(t, world(), n.scan(t), as)
	if s := n.fleet.Stats()[0]; s.Connections > 3 {
		t.Errorf("%d calls to the liar, want at most 3", s.Connections)
	}
}

// A second scan in the same process is as good as the first, and one that finds
// nobody says which nobody it found.
func TestH2(t *testing.T) {
	liars := times(3, "random-bytes")
	as := crowd(slices.Concat(liars, times(3, "busy"))...)
	f := newFleet(t, as)
	o := options(f, as)
	if r := run(t, o); r.State != scan.NoneValid || r.Chosen >= 0 {
		t.Errorf("liars alone: state %s, branch %d, want %s and none", r.State, r.Chosen, scan.NoneValid)
	}
	as = crowd(slices.Concat(liars, times(3, plain))...)
	if err := f.Assign(2, as); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		wantHonest(t, world(), run(t, o), as)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if r := run(t, o); r.State != scan.NobodyReached {
		t.Errorf("nobody there: state %s, want %s", r.State, scan.NobodyReached)
	}
}

// Weights of candidates don't add up: the exact weight is the genuine one,
// whatever failed before.
func TestH3(t *testing.T) {
	as := crowd(plain, plain, plain, plain)
	n := newNode(t, as)
	liar := *lookUp("last-forged")
	liar.hooks.claim = func(_ *call, s *wire.State) {
		s.Weight, _ = s.Weight.Add(s.Weight)
		s.Weight, _ = s.Weight.Sub(mcm.Weight{1})
	}
	n.fleet.become(address(0), liar)
	r := n.scan(t)
	wantHonest(t, world(), r, as[1:])
	wantVerdict(t, r, address(0), scan.Convicted, fault.InvalidTrailer)
	if b := chosen(t, r); !b.Exact || b.Weight != world().Tip().Weight {
		t.Errorf("weight %v (exact: %v), want %v", b.Weight, b.Exact, world().Tip().Weight)
	}
}

// A false weight over genuine trailers condemns who states it, not the trailers.
func TestH4(t *testing.T) {
	as := crowd("weight-plus-one", "weight-plus-one", "weight-plus-one", plain, plain, plain)
	n := newNode(t, as)
	for life := range 2 {
		r := n.scan(t)
		wantHonest(t, world(), r, as)
		for i := range 3 {
			if life == 0 {
				wantVerdict(t, r, address(i), scan.Convicted, fault.FalseWeight)
			}
			if p := find(r, address(i)); p.Points.Objective != 50 {
				t.Errorf("%v has %v points, want 50 once", p.Addr, p.Points.Objective)
			}
		}
	}
	if bad := n.invalid(t); len(bad) > 0 {
		t.Errorf("%d trailers are remembered as invalid", len(bad))
	}
}

// A forged proof beside genuine trailers condemns the one trailer that is wrong,
// and a change of tip between two calls nobody.
func TestH5(t *testing.T) {
	as := crowd("nonce-byte", "changing-tip", plain, plain, plain)
	n := newNode(t, as)
	wantHonest(t, world(), n.scan(t), as)
	r := n.scan(t)
	wantHonest(t, world(), r, as)
	for i := 1; i < len(as); i++ {
		wantVerdict(t, r, as[i].Addr, scan.Proven, "")
		if p := find(r, as[i].Addr); len(p.Faults) > 0 {
			t.Errorf("%s: faults %v", as[i].Kind, p.Faults)
		}
	}
	bad := n.invalid(t)
	if len(bad) != 1 || world().main.trailers[bad[0].Trailer.Num()-world().Base.Num] == bad[0].Trailer {
		t.Errorf("%d trailers are remembered as invalid, want the forged one", len(bad))
	}
}

// A forged proof is refused or its branch ranked behind, with honest peers in sight
// and without.
func TestH6(t *testing.T) {
	for kind, alone := range map[string]scan.State{
		"random-bytes":    scan.NoneValid,
		"unhashed":        scan.NoneValid,
		"no-work":         scan.NoneValid,
		"no-haiku":        scan.NoneValid,
		"last-forged":     scan.NoneValid,
		"all-pseudo":      scan.TooFew, // it stands with the density it has, none
		"difficulty-zero": scan.TooFew, // it is work, but not of one chain
	} {
		t.Run(kind, func(t *testing.T) {
			as := crowd(slices.Concat(times(12, kind), times(3, plain))...)
			r := newNode(t, as).scan(t)
			wantHonest(t, world(), r, as)
			if chosen(t, r).Index != 0 {
				t.Errorf("the honest branch is at %d", chosen(t, r).Index)
			}
			as = crowd(times(4, kind)...)
			n := newNode(t, as)
			for i, a := range as {
				n.fleet.seed(a.Addr, uint64(i)) // each another forgery
			}
			r = n.scan(t)
			if r.State != alone {
				t.Errorf("alone: state %s, want %s", r.State, alone)
			}
			if most := int64(4 * 100 << 10); r.Bytes.In > most {
				t.Errorf("alone: %d bytes, want at most %d", r.Bytes.In, most)
			}
		})
	}
}

// A segment says nothing about the weight below it: without an anchor the weight
// isn't known, whoever claims what, and nobody is charged for another.
func TestH7(t *testing.T) {
	as := crowd("max-weight-on-tip", plain, plain, plain)
	f := newFleet(t, as)
	o := options(f, as)
	o.Anchors = nil
	r := run(t, o)
	wantHonest(t, world(), r, as)
	if b := chosen(t, r); b.Exact {
		t.Errorf("weight %v passes for exact", b.Weight)
	}
	wantVerdict(t, r, address(0), scan.Proven, "")
}

// However many proofs came before, those that come after are as usable, and
// nothing that was learned is crowded out.
func TestH8(t *testing.T) {
	n := newNode(t, crowd(times(70, "no-work")...))
	n.scan(t)
	as := crowd(slices.Concat(times(70, "no-work"), times(65, plain), []string{"stale", "tip-00", "ahead"})...)
	if err := n.fleet.Assign(1, as); err != nil {
		t.Fatal(err)
	}
	r := n.scan(t)
	wantHonest(t, world(), r, as)
	for i := 70; i < len(as); i++ {
		wantVerdict(t, r, as[i].Addr, scan.Proven, "")
	}
	if bad := n.invalid(t); len(bad) < 70 {
		t.Errorf("%d invalid trailers are remembered, want one of each of 70 peers at least", len(bad))
	}
}

// What is bad stays bad under another weight, and what could not be had is not bad.
func TestH9(t *testing.T) {
	n := newNode(t, crowd("last-forged", "busy", "busy", "busy"))
	seed := n.fleet.seed(address(0))
	if r := n.scan(t); r.State != scan.NoneValid || n.count.n.Load() == 0 {
		t.Errorf("state %s with %d checks, want %s with some", r.State, n.count.n.Load(), scan.NoneValid)
	}
	// The liar comes back from another address, with the same tip and another
	// weight; the others have time now.
	as := crowd(plain, plain, plain, plain, plain)[1:]
	if err := n.fleet.Assign(2, as); err != nil {
		t.Fatal(err)
	}
	liar := *lookUp("last-forged")
	liar.hooks.claim = weigh(func(mcm.Weight) mcm.Weight { return maxWeight })
	n.fleet.become(address(4), liar)
	n.fleet.seed(address(4), seed)
	r := n.scan(t)
	wantHonest(t, world(), r, as[:3])
	wantVerdict(t, r, address(4), scan.Convicted, fault.InvalidTrailer)
	worked := int64(0)
	for _, tr := range world().proof() {
		if tr.Kind() == mcm.Standard {
			worked++
		}
	}
	if got := n.count.n.Load(); got > worked {
		t.Errorf("%d checks, want no more than the %d of the honest tip", got, worked)
	}
}

// What is known to be bad costs neither a check nor more bytes than a proof has.
func TestH11(t *testing.T) {
	n := newNode(t, crowd("last-forged", plain, plain, plain))
	seed := n.fleet.seed(address(0))
	n.scan(t)
	as := crowd(plain, plain, plain, plain, "last-forged")[1:]
	if err := n.fleet.Assign(1, as); err != nil {
		t.Fatal(err)
	}
	n.fleet.seed(address(4), seed)
	r := n.scan(t)
	wantVerdict(t, r, address(4), scan.Convicted, fault.InvalidTrailer)
	if got := n.count.n.Load(); got != 0 {
		t.Errorf("%d checks of trailers that were all checked before", got)
	}
	if p := find(r, address(4)); p.BytesIn > 10<<10 {
		t.Errorf("%d bytes received of a proof that is known to be bad", p.BytesIn)
	}
}

// A proof longer than asked for ends where that shows.
func TestH12(t *testing.T) {
	as := crowd("trailers-65535", "flood", "huge-list", plain, plain, plain)
	r := newNode(t, as).scan(t)
	wantHonest(t, world(), r, as)
	for _, a := range as {
		if p := find(r, a.Addr); p.BytesIn > 10<<10 {
			t.Errorf("%s: %d bytes received", a.Kind, p.BytesIn)
		}
	}
}

// Nobody waits for a slow peer but those who have nothing else left to do.
func TestH13(t *testing.T) {
	as := crowd(slices.Concat(times(20, "drip"), times(20, plain))...)
	began := time.Now()
	r := newNode(t, as).scan(t)
	wantHonest(t, world(), r, as)
	if took := time.Since(began); took > aWhile+slack {
		t.Errorf("took %v, want one time-out and little more", took)
	}
	for _, a := range as {
		if p := find(r, a.Addr); a.Kind == plain && p.Seconds > aWhile.Seconds() {
			t.Errorf("honest peer %v took %v s", a.Addr, p.Seconds)
		}
	}
}

// A block found between two calls fails nobody: claim and proof meet in one.
func TestH14(t *testing.T) {
	as := crowd(times(6, "changing-tip")...)
	n := newNode(t, as)
	for range 3 {
		r := n.scan(t)
		for i := range r.Peers {
			if p := &r.Peers[i]; p.Verdict != scan.Proven || len(p.Faults) > 0 {
				t.Errorf("%v: %s", p.Addr, describe(p))
			}
		}
		if b := chosen(t, r); !world().OnChain(b.Tip) || r.State != scan.Quorum {
			t.Errorf("chose %v, state %s", b.Tip, r.State)
		}
	}
}

// A proof belongs to its trailers, not to an address: two peers behind one address
// don't spoil each other's, and under a new address nothing is checked again.
func TestH15(t *testing.T) {
	n := newNode(t, crowd(plain, plain, plain, plain))
	n.fleet.become(address(0), Kind{Name: plain, Family: Honest, hooks: hooks{stand: func(c *call) spot {
		if c.n%4 < 2 { // two calls of a scan each
			return end(c.fleet.world.side)
		}
		return c.tip()
	}}})
	for range 2 {
		r := n.scan(t)
		wantHonest(t, world(), r, n.fleet.Peers())
		wantVerdict(t, r, address(0), scan.Proven, "")
	}
	as := crowd(times(8, plain)...)[4:]
	if err := n.fleet.Assign(1, as); err != nil {
		t.Fatal(err)
	}
	wantHonest(t, world(), n.scan(t), as)
	if got := n.count.n.Load(); got != 0 {
		t.Errorf("%d checks of trailers that were all checked before", got)
	}
}

// Convicted peers are remembered and not called again, also across a restart.
func TestH17(t *testing.T) {
	as := crowd("no-work", "shifted", "unhashed", plain, plain, plain)
	n := newNode(t, as)
	wantHonest(t, world(), n.scan(t), as)
	before := n.fleet.Stats()
	r := n.scan(t)
	wantHonest(t, world(), r, as)
	for i, s := range n.fleet.Stats()[:3] {
		wantVerdict(t, r, s.Addr, scan.Skipped, "")
		if s.Connections != before[i].Connections {
			t.Errorf("%v (%s) was called again", s.Addr, s.Kind)
		}
	}
}

// Of equal weights the one with more groups is chosen: a hash can be ground, and
// the other branch has the greater one.
func TestH19(t *testing.T) {
	for name, as := range map[string][]Assignment{
		"two against one": crowd("tie", plain, plain, plain),
		"a crowd of one group against two": {
			{netip.MustParseAddr("127.9.0.1"), "tie"}, {netip.MustParseAddr("127.9.0.2"), "tie"},
			{netip.MustParseAddr("127.9.0.3"), "tie"}, {netip.MustParseAddr("127.9.0.4"), "tie"},
			{address(1), plain}, {address(2), plain}, {address(3), plain},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newNode(t, as).scan(t)
			wantHonest(t, world(), r, as)
			if r.Reason != "groups" {
				t.Errorf("chosen by %s, want by groups", r.Reason)
			}
		})
	}
}

// Three addresses of one network are no quorum, three networks are.
func TestH20(t *testing.T) {
	var one []Assignment
	for _, s := range []string{"127.9.0.1", "127.9.0.2", "127.9.0.3", "127.9.1.1"} {
		one = append(one, Assignment{netip.MustParseAddr(s), plain})
	}
	if r := newNode(t, one).scan(t); r.State != scan.TooFew {
		t.Errorf("one network: state %s, want %s", r.State, scan.TooFew)
	}
	three := crowd(plain, plain, plain)
	wantHonest(t, world(), newNode(t, three).scan(t), three)
}
