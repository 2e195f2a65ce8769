package scan

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/verify"
	"kigo/node/wire"
)

// A stuckVerifier never answers.
type stuckVerifier struct{}

func (stuckVerifier) VerifyPoW(ctx context.Context, _ []verify.Result, _ []mcm.Trailer) error {
	<-ctx.Done()
	return context.Cause(ctx)
}

// Engines that don't get through with what peers have sent don't make a scan last
// longer than it may.  That is our failure, and nobody else's.
func TestStuckVerifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, _ := honest(5)
		o := n.options(stuckVerifier{}, n.add(actors...)...)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		r, err := Run(ctx, o)
		n.wg.Wait()
		if err == nil || ctx.Err() != nil {
			t.Errorf("Run: %v, want the judge's error", err)
		}
		if r.Seconds > 301 {
			t.Errorf("took %v s, want 300", r.Seconds)
		}
		for _, p := range r.Peers {
			if p.Verdict != Skipped || len(p.Faults) > 0 || p.Points != (Points{}) || !strings.Contains(p.Detail, "proof of work") {
				t.Errorf("%v is %s (%s) with faults %v, want %s for the work and none", p.Addr, p.Verdict, p.Detail, p.Faults, Skipped)
			}
		}
	})
}

// A flood of segments with work that is real and cheap, each of its own, neither has
// honest ones wait nor makes a scan last until all of them are judged.
func TestCheapFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		var addrs []netip.Addr
		for i := range 1500 {
			cheap := chain(time.Now().Add(-30*time.Second), 1, 9, worked(54))
			cheap = relink(cheap, 0, func(t *mcm.Trailer) { binary.LittleEndian.PutUint32(t.MerkleRoot()[:], uint32(i)) })
			addrs = append(addrs, n.add(&actor{chain: cheap})...)
		}
		actors, ts := honest(3)
		good := n.add(actors...)
		r := n.scan(t, n.options(&fakeVerifier{took: time.Millisecond}, append(addrs, good...)...))
		wantChosen(t, r, Quorum, last(ts))
		for _, a := range good {
			wantVerdict(t, r, a, Proven, "")
		}
		if r.Seconds > 25 {
			t.Errorf("took %v s, want 25 at most", r.Seconds)
		}
	})
}

// Naming each address in two of one's groups doesn't give it a seat for good.
func TestBookCrowdingTogether(t *testing.T) {
	living := addr(100, 200)
	for name, b := range map[string]*Book{
		"a full group": NewBook(BookOptions{}),
		"a full table": NewBook(BookOptions{Max: 256}),
	} {
		for target := range 20 {
			if name == "a full group" {
				target = 80
			}
			for source := range 2 {
				var l []netip.Addr
				for i := range MaxPerTarget {
					l = append(l, addr(20+target, i))
				}
				b.Learn(addr(source, 0), l, noon)
			}
			if name == "a full group" {
				break
			}
		}
		if c := b.Counts(noon).Candidates; c != 16 && c != 256 {
			t.Fatalf("%s: %d candidates", name, c)
		}
		if n := b.Learn(addr(3, 0), []netip.Addr{living}, noon); n != 1 || b.entries[living] == nil {
			t.Errorf("%s keeps the address out that another source names", name)
		}
	}
}

// Peers that answer at once don't end a scan before the known ones have answered
// that are slower.
func TestEndEarlyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(35)
		for _, a := range actors[:3] {
			a.chain = grow(ts, 1, nil)
			a.reply = func(_ *peer.Session, r *wire.Packet) bool {
				time.Sleep(4 * time.Second)
				return false
			}
		}
		addrs := n.add(actors...)
		for j := range 64 {
			actors[10].list = append(actors[10].list, addr(1000+j, 0))
		}
		o := n.options(&fakeVerifier{}, addrs...)
		r := n.scan(t, o)
		for _, a := range addrs[:3] {
			wantVerdict(t, r, a, Proven, "")
		}
		if r.Seconds > 10 {
			t.Errorf("took %v s, want 8", r.Seconds)
		}
	})
}

// A false weight is charged once, but whoever states it is no proven peer in
// the next scan either.
func TestFalseWeightAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		liar := &actor{chain: ts, claim: func(s wire.State) wire.State { s.Weight = maxWeight; return s }}
		addrs := n.add(append(actors, liar)...)
		o := n.options(&fakeVerifier{}, addrs...)
		var w mcm.Weight
		for i := range 20 {
			w = rules.AddWeight(w, &ts[i])
		}
		o.Anchors = []proof.Anchor{{Num: ts[19].Num(), Hash: *ts[19].Hash(), Weight: w, Time: ts[19].SolveTime()}}
		for range 2 {
			r := n.scan(t, o)
			wantVerdict(t, r, addrs[3], Convicted, string(fault.FalseWeight))
			if p := row(t, r, addrs[3]); p.Points.Objective > 50 || p.Detail == "" || p.Block == nil {
				t.Errorf("%v has points %+v, detail %q, block %v", p.Addr, p.Points, p.Detail, p.Block)
			}
		}
	})
}

// What a proven segment was received in isn't kept, but for the HELLO_ACK.
func TestPacketsAreLetGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		_, ts := honest(0)
		a := &actor{chain: ts}
		addrs := n.add(a)
		o, err := n.options(&fakeVerifier{}, addrs...).complete()
		if err != nil {
			t.Fatal(err)
		}
		s := &scan{tips: map[mcm.Hash]bool{}, groups: map[netip.Prefix]bool{}}
		v := o.visit(t.Context(), addrs[0], false, nil)
		n.wg.Wait()
		c := &contact{entry: &entry{}}
		c.add(v)
		c.proof.Done = true
		s.judged(c)
		for _, p := range c.asked.packets[1:cap(c.asked.packets)] {
			if p != nil {
				t.Errorf("a packet of %d bytes is still held", len(p))
			}
		}
	})
}

// A range that doesn't link far below the tip convicts by what is kept of it.
func TestForeignRangeEvidence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		ts := chain(time.Now().Add(-30*time.Second), 120, 1, worked(40), pseudo(49), worked(3), pseudo(2))
		other := chain(time.Now().Add(-30*time.Second), 120, 7, worked(40), pseudo(49), worked(3), pseudo(2))
		a := &actor{chain: ts}
		a.reply = func(s *peer.Session, r *wire.Packet) bool {
			first, count := wire.SplitTFArg(r.Arg)
			if r.Op != wire.OpTF || count == proof.Segment {
				return false
			}
			older := slices.Clone(a.trailers(first, count))
			copy(older, other[:len(older)/2])
			s.Reply(wire.OpSendFile, mcm.Bytes(older))
			return true
		}
		addrs := n.add(a)
		o := n.options(&fakeVerifier{}, addrs...)
		o.Proof.Base = ts[0].Num()
		mem := &fakeMemory{}
		o.Memory = mem
		r := n.scan(t, o)
		wantVerdict(t, r, addrs[0], Convicted, string(fault.ForeignRange))
		confirmed(t, mem.saved[0], 1)
	})
}

// An address that breaks the protocol before it has shaken hands is remembered,
// too, or it would never be banned.
func TestBadFrameIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		bad := &actor{raw: badHello}
		actors, _ := honest(3)
		addrs := n.add(append(actors, bad)...)
		actors[0].list = addrs[3:]
		o := n.options(&fakeVerifier{}, addrs[:3]...)
		o.Memory = &fakeMemory{}
		n.scan(t, o)
		r := n.scan(t, o)
		if p := row(t, r, addrs[3]); p.Points.Objective < 99 {
			t.Errorf("two bad frames brought %v to %v points, want 100", p.Addr, p.Points.Objective)
		}
	})
}

// If it is our rules that are wrong, honest peers fall by the first trailer of what
// they serve, and that is another one for each tip.  They aren't charged for it.
func TestRuleDisagreementTips(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		ts := chain(time.Now().Add(-30*time.Second), 20, spoiled, worked(60))
		var addrs []netip.Addr
		for i := range 10 {
			addrs = append(addrs, n.add(&actor{chain: ts[:60-i/2]})...)
		}
		mem := &fakeMemory{}
		o := n.options(&fakeVerifier{}, addrs...)
		o.Memory = mem
		r := n.scan(t, o)
		if len(alarms(r, RulesAlarm)) == 0 {
			t.Errorf("alarms: %v, want one about rules", r.Alarms)
		}
		for _, a := range addrs {
			wantVerdict(t, r, a, Doubtful, string(fault.InvalidTrailer))
		}
		noPoints(t, r)
		if len(mem.saved[0].Invalid) > 0 || len(mem.saved[0].Evidence) > 0 {
			t.Errorf("%d trailers remembered as invalid, %d records of evidence, want none", len(mem.saved[0].Invalid), len(mem.saved[0].Evidence))
		}
	})
}

// Eight groups that name an honest address first, among many dead ones, don't keep
// it out of the turn of a group that names little else.
func TestBookNamersTaken(t *testing.T) {
	b := NewBook(BookOptions{Seed: 1})
	living := addr(500, 0)
	for source := range maxNamers {
		l := []netip.Addr{living}
		for i := range 63 {
			l = append(l, addr(1000+100*source+i, 0))
		}
		b.Learn(addr(source, 0), l, noon)
	}
	o := b.start(noon)
	o.learn(addr(600, 0), []netip.Addr{living}, noon)
	got := calls(o)
	if i := slices.Index(got, living); i < 0 || i > maxNamers {
		t.Errorf("the honest address is called as number %d, want %d at most", i, maxNamers)
	}
	if len(got) != 1+63*maxNamers || o.waiting() != 0 {
		t.Errorf("%d calls, %d waiting, want %d and none", len(got), o.waiting(), 1+63*maxNamers)
	}
}

// Candidates of a group over its budget aren't in the order, so that making room for
// others doesn't take them out of its count.
func TestOrderOverBudget(t *testing.T) {
	b := NewBook(BookOptions{Seed: 1})
	spent := addr(100, 0)
	b.group(fault.Groups{}.Of(spent)).Record.Worthless(fault.WorthlessBudget+1, noon)
	b.AddConfigured(addr(1, 0), addr(2, 0), addr(3, 0))
	o := b.start(noon)
	for source := range 2 {
		var l []netip.Addr
		for i := range MaxPerTarget {
			l = append(l, addr(100, 100*source+i))
		}
		o.learn(addr(source, 0), l, noon)
	}
	if n := o.waiting(); n != 3 {
		t.Errorf("%d addresses are waiting, want 3", n)
	}
}

// Peers that only shook hands, however lately, don't push out those that have proved
// something.
func TestBookPruneKeepsGood(t *testing.T) {
	var s memory.Snapshot
	for i := range MaxTried + 10 {
		p := memory.Peer{Addr: addr(i/200, i%200), LastContact: noon}
		if i < 5 {
			p.LastContact = noon.Add(-time.Hour)
			p.LastGood = p.LastContact
		}
		s.Peers = append(s.Peers, p)
	}
	b := NewBook(BookOptions{})
	b.Load(&s)
	b.prune(noon)
	for i := range 5 {
		if b.entries[addr(0, i)] == nil {
			t.Errorf("good peer %v is gone", addr(0, i))
		}
	}
	if c := b.Counts(noon).Tried; c != MaxTried {
		t.Errorf("%d tried peers, want %d", c, MaxTried)
	}
}

// Trailers below a segment that don't hold are on the group's account, too.
func TestOlderRangeIsWorthless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		ts := chain(time.Now().Add(-30*time.Second), 120, 1, worked(40), pseudo(49), worked(3), pseudo(2))
		a := &actor{chain: ts}
		a.reply = func(s *peer.Session, r *wire.Packet) bool {
			first, count := wire.SplitTFArg(r.Arg)
			if r.Op != wire.OpTF || count == proof.Segment {
				return false
			}
			older := slices.Clone(a.trailers(first, count))
			older[3].MerkleRoot()[1]++
			s.Reply(wire.OpSendFile, mcm.Bytes(older))
			return true
		}
		addrs := n.add(a)
		o := n.options(&fakeVerifier{}, addrs...)
		o.Proof.Base = ts[0].Num()
		mem := &fakeMemory{}
		o.Memory = mem
		r := n.scan(t, o)
		wantVerdict(t, r, addrs[0], Convicted, string(fault.InvalidTrailer))
		if got := mem.saved[0].Groups[0].Record.WorthlessCount; got != len(ts) {
			t.Errorf("%d worthless trailers, want %d", got, len(ts))
		}
	})
}

// A failure of our own is no fault of anybody.
func TestOwnFailureIsNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		addrs := n.add(&actor{dial: func(context.Context) error { return errFake }})
		o := n.options(&fakeVerifier{}, addrs...)
		reg := prometheus.NewRegistry()
		o.Metrics = NewMetrics(reg)
		r := n.scan(t, o)
		wantVerdict(t, r, addrs[0], Unavailable, "")
		all, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if f.GetName() == "kigo_scan_faults_total" {
				t.Errorf("faults were counted: %v", f)
			}
		}
	})
}

// Banned peers don't take the places of those that are asked first.
func TestOrderLongStandingNotBanned(t *testing.T) {
	b := NewBook(BookOptions{Seed: 1})
	var s memory.Snapshot
	for i := range 300 {
		p := memory.Peer{Addr: addr(i, 0), FirstSeen: noon.Add(time.Duration(i-400) * time.Hour), LastContact: noon}
		if i <= longStanding {
			p.LastGood = noon
		}
		if i < longStanding {
			p.Standing.Observe(fault.InvalidTrailer, noon)
		}
		s.Peers = append(s.Peers, p)
	}
	b.Load(&s)
	if got := calls(b.start(noon)); got[0] != addr(longStanding, 0) {
		t.Errorf("%v is called first, want the one good peer that isn't banned", got[0])
	}
}

// Old thin segments of times with higher difficulty, which cost nothing to replay,
// don't take the places of the fresh stem.
func TestExtendFreshFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		thin := [][]block{worked(30), pseudo(49), worked(3), pseudo(2)}
		var addrs []netip.Addr
		for i := range maxStems {
			old := chain(time.Now().Add(-2*time.Hour), 125, byte(2+i), thin...)
			addrs = append(addrs, n.add(&actor{chain: old})...)
		}
		ts := chain(time.Now().Add(-30*time.Second), 120, 1, thin...)
		addrs = append(addrs, n.add(&actor{chain: ts}, &actor{chain: ts}, &actor{chain: ts})...)
		o := n.options(&fakeVerifier{}, addrs...)
		o.Proof.Base = ts[0].Num()
		wantChosen(t, n.scan(t, o), Quorum, last(ts))
	})
}
