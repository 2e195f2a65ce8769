package node

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kigo/node/chain"
	"kigo/node/chainsync/synctest"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/rules"
	"kigo/node/scan"
	"kigo/node/status"
	"kigo/node/wire"
)

// A rig is a node that runs, among peers on the loopback.
type rig struct {
	*Node
	t     *testing.T
	w     *synctest.World
	net   *synctest.Network
	store *chain.Store
	o     Options
	waits peer.Timeouts
	now   atomic.Int64 // Unix nanoseconds ahead of the machine's clock
	end   func() error
}

// clock returns the rig's time, which goes on like the machine's.
func (r *rig) clock() time.Time { return time.Now().Add(time.Duration(r.now.Load())) }

// at sets the clock to right after a trailer was solved.
func (r *rig) at(t *mcm.Trailer) {
	r.now.Store(int64(time.Until(time.Unix(int64(t.SolveTime())+1, 0))))
}

// newRig returns a rig that isn't running yet.  The clock stands after the world's
// tip.
func newRig(t *testing.T, w *synctest.World, own []mcm.Trailer) *rig {
	t.Helper()
	r := &rig{t: t, w: w, net: synctest.NewNetwork(t, w), waits: timeouts}
	r.o, r.store = options(t, w, own, nil)
	r.at(w.Tip())
	r.o.Now = r.clock
	r.o.Scan.Deadlines = scan.Deadlines{Soft: 200 * time.Millisecond, Hard: 3 * time.Second, Calm: 50 * time.Millisecond, Retry: 20 * time.Millisecond}
	r.o.Times = Times{
		Poll: 20 * time.Millisecond, Retry: 20 * time.Millisecond, Pause: 50 * time.Millisecond, MaxPause: 200 * time.Millisecond,
		Rescan: time.Hour, Urgent: 200 * time.Millisecond, Doubt: 300 * time.Millisecond, Save: 50 * time.Millisecond, Review: 20 * time.Millisecond,
	}
	return r
}

// peers adds honest peers and has the node know them.
func (r *rig) peers(c []mcm.Trailer, n int, script ...synctest.Script) []*synctest.Peer {
	l := r.net.Peers(r.t, c, n, script...)
	for _, p := range l {
		r.o.Scan.Book.AddConfigured(p.Addr)
	}
	return l
}

// start runs the node until the test ends.
func (r *rig) start() {
	r.t.Helper()
	r.o.Scan.Client = r.net.Client(r.waits)
	n, err := New(r.o)
	if err != nil {
		r.t.Fatal(err)
	}
	r.Node = n
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	stopped := false
	r.end = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		began := time.Now()
		select {
		case err := <-ended:
			if took := time.Since(began); took > 8*time.Second { // 2 s, but for a disk that others keep busy
				r.t.Errorf("it took %v to end", took)
			}
			return err
		case <-time.After(10 * time.Second):
			r.t.Fatal("the node doesn't end")
			return nil
		}
	}
	r.t.Cleanup(func() {
		if err := r.end(); err != nil {
			r.t.Error(err)
		}
	})
}

// until waits for an event after which is holds.
func (r *rig) until(what string, is func(status.Status) bool) {
	r.t.Helper()
	deadline := time.After(20 * time.Second)
	var seq uint64
	for {
		events, _, more := r.Events().After(seq)
		if len(events) > 0 {
			seq = events[len(events)-1].Seq
		}
		if is(r.Status()) {
			return
		}
		look := time.NewTimer(20 * time.Millisecond) // some things are no events
		select {
		case <-more:
		case <-look.C:
		case <-deadline:
			s := r.Status()
			r.t.Fatalf("%s: not in time; state %s (%s), tip %+v, alarms %+v, sides %d", what, s.State, s.Reason, s.Tip, s.Alarms, len(s.Sides))
		}
	}
}

// following starts the node among n honest peers, and waits until it follows them.
func (r *rig) following(n int) []*synctest.Peer {
	r.t.Helper()
	l := r.peers(r.w.Chain, n)
	r.start()
	r.follows(r.w.Chain, "start")
	return l
}

// follows waits until the node follows a chain.
func (r *rig) follows(c []mcm.Trailer, what string) {
	r.t.Helper()
	tip := *c[len(c)-1].Hash()
	r.until(what, func(s status.Status) bool { return s.State == status.Follow && s.Tip.Hash == tip })
}

// Acceptance test 1: a liar with the greatest weight and no proof is called three times
// a scan at most, and the chain is found.
func TestBootstrapPastALiar(t *testing.T) {
	w := synctest.NewWorld(31, 3000)
	r := newRig(t, w, nil)
	r.peers(w.Chain, 3)
	liar := r.peers(w.Chain, 1, synctest.Serves(func(mcm.BlockNum, int) []mcm.Trailer { return nil }))[0]
	liar.SetState(func(s *wire.State) {
		s.Weight = mcm.Weight{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}
		s.Hash[3]++
	})
	r.start()
	r.until("a scan", func(status.Status) bool { return r.Report() != nil })
	first := r.Report()
	r.follows(w.Chain, "an empty node beside a liar")
	if s := r.Status(); !s.Ready || s.Tip.Weight != w.Weight(w.Chain) || s.Tip.Groups < 3 || s.Tip.Proven != headerProven || s.Tip.Haiku == "" {
		t.Errorf("status %+v, tip %+v", s, s.Tip)
	}
	for _, p := range first.Peers {
		if p.Addr == liar.Addr && p.Calls > 3 {
			t.Errorf("the liar was called %d times in one scan", p.Calls)
		}
	}
	if distinct, most := w.Work.Counts(); most > 1 || distinct != synctest.Worked(w.Chain[1:]) {
		t.Errorf("%d trailers checked, one of them %d times", distinct, most)
	}
}

// Polls bring new blocks, a block at a time, and a one-range reorganisation, without a
// found message; addresses are learned on the way.
func TestFollowByPolling(t *testing.T) {
	w := synctest.NewWorld(32, 200)
	r := newRig(t, w, w.Chain)
	l := r.peers(w.Chain, 4)
	r.start()
	r.follows(w.Chain, "start with an own chain")
	c := w.Chain
	for range 3 {
		c = w.Grow(c, 1)
		r.at(&c[len(c)-1])
		for _, p := range l {
			p.SetChain(c)
		}
		r.follows(c, "a new block")
	}
	fork := w.Fork(c, c[len(c)-101].Num(), 105)
	r.at(&fork[len(fork)-1])
	for _, p := range l {
		p.SetChain(fork)
	}
	r.follows(fork, "a fork of a hundred")
	if s := r.Status(); s.LastDepth != 100 || s.Polls == 0 {
		t.Errorf("last depth %d after %d polls", s.LastDepth, s.Polls)
	}
	if charged := r.o.Scan.Memory.(*record).charged(r.clock()); len(charged) > 0 {
		t.Errorf("%v have points", charged)
	}
}

// Acceptance test 12: with an own chain and hostile peers only, nothing of it changes.
func TestHostileOnly(t *testing.T) {
	w := synctest.NewWorld(33, 200)
	r := newRig(t, w, w.Chain)
	// Their own past, lighter forks, no proofs, other answers.
	foreign := synctest.NewWorld(34, 300)
	thin := w.Mix(w.Chain, w.Chain[150].Num(), 60, func(int) bool { return true })
	r.peers(w.Fork(w.Chain, w.Chain[100].Num(), 60), 2)
	r.peers(thin, 2)
	r.peers(w.Chain, 1, synctest.Mute)
	r.peers(w.Chain, 1, synctest.Busy)
	r.peers(foreign.Chain, 2)
	bad := w.Grow(w.Chain, 5)
	r.peers(w.Spoil(bad, bad[len(bad)-3].Num(), synctest.BadWork), 1)
	liar := r.peers(w.Chain, 1)[0]
	liar.SetState(func(s *wire.State) { s.Weight[3] = 1 << 50 })
	dir := t.TempDir()
	store, err := chain.Open(dir, chain.Options{Base: w.Base})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if err := store.Extend(w.Chain); err != nil {
		t.Fatal(err)
	}
	r.o.Chain, r.store = store, store
	files := func() (all []string) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			b, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e.Name(), string(b))
		}
		return all
	}
	before := files()
	r.at(&thin[len(thin)-1])
	r.start()
	for i := range 12 { // an hour, in which all are polled
		r.until("polls", func(s status.Status) bool { return s.Polls >= int64(8*(i+1)) })
		if s := r.Status(); s.State == status.Follow || s.Ready {
			t.Errorf("state %s, ready %v among hostile peers only", s.State, s.Ready)
		}
		r.now.Add(int64(5 * time.Minute))
	}
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(files(), before) {
		t.Error("the own chain's files have changed")
	}
}

// Acceptance test 24: the hash rate falls to next to nothing, and short chains are found
// and followed.
func TestThinAndShortChains(t *testing.T) {
	for _, n := range []int{5, 53, 54, 300} {
		t.Run(fmt.Sprint(n, " blocks"), func(t *testing.T) {
			w := synctest.NewWorld(uint64(40+n), n)
			r := newRig(t, w, nil)
			l := r.peers(w.Chain, 3)
			r.start()
			r.follows(w.Chain, "a short chain")
			c := w.Grow(w.Chain, 1)
			r.at(&c[len(c)-1])
			for _, p := range l {
				p.SetChain(c)
			}
			r.follows(c, "its next block")
		})
	}
	t.Run("one block in twenty worked", func(t *testing.T) {
		w := synctest.NewWorld(39, 200)
		thin := w.Mix(w.Chain, w.Tip().Num(), 300, func(i int) bool { return i%20 != 0 })
		r := newRig(t, w, w.Chain)
		r.at(&thin[len(thin)-1])
		l := r.peers(thin, 3)
		r.start()
		r.follows(thin, "a chain with hardly any work")
		c := w.Grow(thin, 1)
		r.at(&c[len(c)-1])
		for _, p := range l {
			p.SetChain(c)
		}
		r.follows(c, "its next block")
	})
}

// fall returns a chain that goes on by n blocks with a hash rate so many times smaller
// than the one at which its difficulty would stay.
func fall(w *synctest.World, c []mcm.Trailer, n int, times float64) []mcm.Trailer {
	c = slices.Clone(c)
	draw := rand.New(rand.NewPCG(uint64(n), uint64(times)))
	start := int(c[len(c)-1].Difficulty())
	for range n {
		parent := c[len(c)-1]
		mean := 100 * times / math.Exp2(float64(start-int(rules.NextDifficulty(&parent))))
		if took := draw.ExpFloat64() * mean; took < 238 {
			c = append(c, w.Miner.Next(&parent, uint32(took)+1))
		} else {
			c = append(c, w.Miner.Pseudo(&parent))
		}
	}
	return c
}

// Acceptance test 24, too: the hash rate falls to a tenth and to a thousandth, and
// difficulty rises from 0.
func TestHashRateChanges(t *testing.T) {
	w := synctest.NewWorld(61, 100)
	high := w.Miner.Grow(w.Chain, 250, 12)
	low := w.Miner.Grow(w.Chain, 100, 0)
	for _, c := range []struct {
		name      string
		own, next []mcm.Trailer
	}{
		{"to a tenth", high, fall(w, high, 300, 10)},
		{"to a thousandth", high, fall(w, high, 300, 1000)},
		{"rises from 0", low, w.Miner.Grow(low, 300, 9)},
		{"to a thousandth, for a new node", nil, fall(w, high, 300, 1000)},
		{"rises from 0, for a new node", nil, w.Miner.Grow(low, 300, 9)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, w, c.own)
			r.at(&c.next[len(c.next)-1])
			l := r.peers(c.next, 3)
			r.start()
			r.follows(c.next, "the chain")
			more := fall(w, c.next, 3, 1)
			r.at(&more[len(more)-1])
			for _, p := range l {
				p.SetChain(more)
			}
			r.follows(more, "its next blocks")
			if charged := r.o.Scan.Memory.(*record).charged(r.clock()); len(charged) > 0 {
				t.Errorf("%v have points", charged)
			}
		})
	}
}

// caller returns a client that calls from an address.
func (r *rig) caller(from netip.Addr, port uint16) *peer.Client {
	return peer.NewClient(peer.Options{Port: port, Dial: func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: from.AsSlice()}}
		return d.DialContext(ctx, "tcp4", a.String())
	}})
}

// What the node serves, and what others tell it, over sockets.
func TestServe(t *testing.T) {
	w := synctest.NewWorld(35, 1200)
	r := newRig(t, w, w.Chain)
	r.peers(w.Chain, 3)
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.o.Listen = ln
	r.start()
	r.follows(w.Chain, "start")
	port := ln.Addr().(*net.TCPAddr).AddrPort().Port()
	here := netip.MustParseAddr("127.0.0.1")
	ctx := t.Context()
	client := r.caller(host(1), port)
	call := func() *peer.Call {
		c, err := client.Call(ctx, here)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if c := call(); c.Claim() != r.State() || c.Claim().Hash != *w.Tip().Hash() {
		t.Errorf("claim %+v", c.Claim())
	}
	if ts, err := call().Trailers(ctx, w.Chain[100].Num(), 1000); err != nil || !slices.Equal(ts, w.Chain[100:1100]) {
		t.Errorf("range: %d trailers, %v", len(ts), err)
	}
	if ts, err := call().Trailers(ctx, w.Tip().Num()-1, 10); len(ts) != 2 || err == nil {
		t.Errorf("a range beyond the tip: %d trailers, %v", len(ts), err)
	}
	if ts, _ := call().Trailers(ctx, w.Base.Num-5, 10); len(ts) != 0 {
		t.Errorf("%d trailers from below the base", len(ts))
	}
	if h, err := call().Hash(ctx, w.Chain[7].Num()); err != nil || h != *w.Chain[7].Hash() {
		t.Errorf("hash: %v, %v", h, err)
	}
	if _, err := call().Hash(ctx, w.Tip().Num()+1); err == nil {
		t.Error("the hash of a block that isn't there")
	}
	if l, _, err := call().IPL(ctx); err != nil || len(l) != 3 {
		t.Errorf("list %v, %v", l, err)
	}
	if _, err := call().TFile(ctx, 1<<20, new(strings.Builder)); err == nil {
		t.Error("a trailer file that doesn't begin with the genesis block")
	}
	if _, err := call().Block(ctx, w.Tip().Num(), 1<<20, new(strings.Builder)); err == nil {
		t.Error("a block")
	}
	// A found message, from an address of its own, while another one is flooding.
	next := w.Grow(w.Chain, 1)
	r.at(&next[len(next)-1])
	b := bench{w: w}
	flood := r.caller(host(2), port)
	for range 20 {
		c, err := flood.Call(ctx, here)
		if err == nil {
			c.Found(ctx, b.claimOf(w.Chain), last(w.Chain))
		}
	}
	if err := call().Found(ctx, b.claimOf(next), last(next)); err != nil {
		t.Fatal(err)
	}
	r.until("a found block", func(s status.Status) bool { return s.Tip.Hash == *next[len(next)-1].Hash() })
}

// A node that is told to announces new tips to those who don't have them.
func TestAnnounce(t *testing.T) {
	w := synctest.NewWorld(36, 100)
	next := w.Grow(w.Chain, 1)
	r := newRig(t, w, w.Chain)
	r.o.Announce = true
	l := r.following(4)
	r.at(&next[len(next)-1])
	l[0].SetChain(next)
	r.until("announcements", func(status.Status) bool {
		told := 0
		for _, p := range l[1:] {
			told += p.Counts().Requests[wire.OpFound]
		}
		return told == 3
	})
	if n := l[0].Counts().Requests[wire.OpFound]; n != 0 {
		t.Errorf("who has the tip was told %d times", n)
	}
}

// Whatever is under way, the node ends in time, and no goroutine stays.
func TestShutdown(t *testing.T) {
	w := synctest.NewWorld(37, 2500)
	before := runtime.NumGoroutine()
	t.Run("node", func(t *testing.T) {
		r := newRig(t, w, nil)
		r.peers(w.Chain, 3)
		r.peers(w.Chain, 3, synctest.Mute)
		r.peers(w.Chain, 2, synctest.Drip(50*time.Millisecond))
		r.start()
		r.until("a sync", func(s status.Status) bool { return s.State != status.Bootstrap || s.Tip != nil })
		if err := r.end(); err != nil {
			t.Error(err)
		}
	})
	tick := time.NewTicker(10 * time.Millisecond) // the test's own connections end a little later
	defer tick.Stop()
	for range 200 {
		if runtime.NumGoroutine() <= before {
			return
		}
		<-tick.C
	}
	buf := make([]byte, 1<<16)
	t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}

// Acceptance tests 5 and 9: many peers admitted one after another are all usable, and a
// proof that is too long ends where it passes what was asked for.
func TestManyPeersAndLongProof(t *testing.T) {
	w := synctest.NewWorld(38, 150)
	r := newRig(t, w, w.Chain)
	long := r.peers(w.Chain, 1, func(c *synctest.Conn) {
		q, ok := c.Request()
		if !ok {
			return
		}
		if q.Op != wire.OpTF {
			synctest.Truth(c, &q)
			return
		}
		for range 10 << 20 / (160 * 1000) {
			c.Send(slices.Repeat(w.Chain[:1], 1000))
		}
	})[0]
	r.peers(w.Chain, 68)
	r.start()
	r.follows(w.Chain, "seventy peers")
	next := w.Grow(w.Chain, 1)
	r.at(&next[len(next)-1])
	long.SetChain(next) // shows a tip that isn't known, so polls want its proof
	r.until("everybody was heard", func(s status.Status) bool { return s.Tip.Peers >= 68 })
	r.until("the long proof was met", func(status.Status) bool {
		o, _ := r.o.Scan.Memory.(*record).points(long.Addr, r.clock())
		return o >= 49
	})
	records, err := r.o.Scan.Memory.(*record).Evidence()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range records {
		if most := wire.ProofTrailers*mcm.TrailerLen + 2*wire.Overhead; e.Size() > most {
			t.Errorf("%d bytes were taken from %v, want %d at most", e.Size(), e.Peer, most)
		}
	}
	if len(records) == 0 {
		t.Error("no evidence of the long proof")
	}
}

// A fork deeper than a proof and a range is synced, and followed; the state shows it.
func TestDeepFork(t *testing.T) {
	w := synctest.NewWorld(51, 2500)
	r := newRig(t, w, w.Chain)
	l := r.following(4)
	fork := w.Fork(w.Chain, w.Chain[1000].Num(), 1510)
	r.at(&fork[len(fork)-1])
	for _, p := range l {
		p.SetChain(fork)
	}
	r.follows(fork, "a fork of fifteen hundred")
	r.until("its alarm", func(s status.Status) bool { return len(s.Alarms) > 0 }) // a moment later
	s := r.Status()
	if s.LastDepth != 1500 || s.Tip.Weight != w.Weight(fork) {
		t.Errorf("last depth %d, weight %v, want 1500 and %v", s.LastDepth, s.Tip.Weight, w.Weight(fork))
	}
	if !slices.ContainsFunc(s.Alarms, func(a status.Alarm) bool { return a.Kind == string(deepAlarm) }) {
		t.Errorf("alarms %+v, want one for the depth", s.Alarms)
	}
	// Who changes chains while it is asked may send a seam, which is a soft fault.
	if convicted := r.o.Scan.Memory.(*record).convicted(r.clock()); len(convicted) > 0 {
		t.Errorf("%v are convicted", convicted)
	}
}

// A peer that doesn't serve the range below its branch keeps nobody from being heard.
func TestSlowRangeBesideANewBlock(t *testing.T) {
	w := synctest.NewWorld(52, 300)
	r := newRig(t, w, w.Chain)
	l := r.peers(w.Chain, 3)
	r.waits.First = time.Minute
	fork := w.Fork(w.Chain, w.Chain[150].Num(), 140)
	slow := r.net.Peer(t, "127.99.1.1", fork, func(c *synctest.Conn) {
		q, ok := c.Request()
		if !ok {
			return
		}
		if first, _ := wire.SplitTFArg(q.Arg); q.Op == wire.OpTF && mcm.BlockNum(first) < fork[len(fork)-54].Num() {
			c.Wait()
			return
		}
		synctest.Truth(c, &q)
	})
	r.o.Scan.Book.AddConfigured(slow.Addr)
	r.start()
	r.follows(w.Chain, "start")
	r.until("the slow peer's branch is known", func(s status.Status) bool { return len(s.Sides) > 0 })
	c := w.Chain
	for range 3 {
		c = w.Grow(c, 1)
		r.at(&c[len(c)-1])
		for _, p := range l {
			p.SetChain(c)
		}
		began := time.Now()
		r.until("a new block beside a slow range", func(s status.Status) bool { return s.Tip.Hash == *c[len(c)-1].Hash() })
		if d := time.Since(began); d > 5*time.Second { // the range takes a minute
			t.Errorf("a new block took %v", d)
		}
	}
}

// Peers that were honest until now, and then aren't: the others are followed, and what
// they serve is found out.
func TestHonestTurnedHostile(t *testing.T) {
	w := synctest.NewWorld(53, 200)
	r := newRig(t, w, w.Chain)
	l := r.following(6)
	next := w.Grow(w.Chain, 2)
	r.at(&next[len(next)-1])
	bad := w.Spoil(next, next[len(next)-1].Num(), synctest.BadWork)
	l[0].SetChain(bad)
	l[1].SetChain(next)
	l[1].SetState(func(s *wire.State) { s.Weight[2] = 7 })
	for _, p := range l[2:] {
		p.SetChain(next)
	}
	r.follows(next, "four of six are honest")
	var verdicts []status.PeerVerdict
	r.until("the hostile two are charged, and the verdicts told", func(status.Status) bool {
		verdicts = nil
		events, _, _ := r.Events().After(0)
		for _, e := range events {
			if v, ok := e.Data.(status.PeerVerdict); ok {
				verdicts = append(verdicts, v)
			}
		}
		m := r.o.Scan.Memory.(*record)
		forged, _ := m.points(l[0].Addr, r.clock())
		lied, _ := m.points(l[1].Addr, r.clock())
		return forged >= 99 && lied >= 49 && len(verdicts) >= 2
	})
	for _, v := range verdicts {
		if v.Evidence == "" || v.Addr != l[0].Addr.String() && v.Addr != l[1].Addr.String() {
			t.Errorf("verdict %+v", v)
		}
	}
	records, err := r.o.Scan.Memory.(*record).Evidence()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range records {
		o, err := e.Verify(t.Context(), w.Work)
		if err != nil || !o.Confirmed {
			t.Errorf("evidence against %v for %v isn't confirmed: %v, %v", e.Peer, e.Kind, o, err)
		}
	}
	if len(records) < 2 {
		t.Errorf("%d records of evidence", len(records))
	}
	if charged := r.o.Scan.Memory.(*record).charged(r.clock()); len(charged) != 2 {
		t.Errorf("%v have points", charged)
	}
}

// When the network's rules have changed nobody is banned.
func TestNetworkChangedItsRules(t *testing.T) {
	w := synctest.NewWorld(54, 200)
	r := newRig(t, w, w.Chain)
	r.o.Times.Doubt = time.Second
	l := r.following(5)
	next := w.Grow(w.Chain, 5)
	r.at(&next[len(next)-1])
	other := w.Spoil(next, next[len(next)-5].Num(), w.BadRule)
	for _, p := range l {
		p.SetChain(other)
	}
	r.until("the alarm", func(s status.Status) bool {
		return slices.ContainsFunc(s.Alarms, func(a status.Alarm) bool { return a.Kind == string(rulesAlarm) })
	})
	if charged := r.o.Scan.Memory.(*record).charged(r.clock()); len(charged) > 0 {
		t.Errorf("%v have points", charged)
	}
	if tip := r.Status().Tip; tip.Hash != *w.Tip().Hash() {
		t.Errorf("own tip %v", tip.Height)
	}
}

// After a restart the own chain is followed from where it was, and no work is checked
// again.
func TestRestart(t *testing.T) {
	w := synctest.NewWorld(55, 200)
	r := newRig(t, w, w.Chain[:150])
	l := r.following(3)
	if err := r.end(); err != nil {
		t.Fatal(err)
	}
	checked := w.Work.Checked.Load()
	again := &rig{t: t, w: w, net: r.net, store: r.store, o: r.o, waits: r.waits}
	again.at(w.Tip())
	again.o.Now, again.o.Metrics = again.clock, nil
	again.o.Scan.Now = again.clock
	again.o.Scan.Book = scan.NewBook(scan.BookOptions{Private: true, Groups: synctest.Groups})
	for _, p := range l {
		again.o.Scan.Book.AddConfigured(p.Addr)
	}
	again.start()
	again.follows(w.Chain, "again")
	if n := w.Work.Checked.Load() - checked; n > 0 {
		t.Errorf("%d proofs of work checked again", n)
	}
}
