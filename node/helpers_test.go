package node

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"kigo/node/branch"
	"kigo/node/chain"
	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/proof/prooftest"
	"kigo/node/scan"
	"kigo/node/wire"
)

// A bench is a node that doesn't run: tests do what its loops would, one step at a
// time, under a clock of their own.
type bench struct {
	*Node
	t     *testing.T
	w     *synctest.World
	store *chain.Store

	mu      sync.Mutex
	now     time.Time
	spawned []func(context.Context)
}

// clock returns the bench's time.
func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

// pass lets time pass.
func (b *bench) pass(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// at sets the clock to right after a trailer was solved.
func (b *bench) at(t *mcm.Trailer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = time.Unix(int64(t.SolveTime())+1, 0)
}

// A record is a memory that shows what was saved of peers.
type record struct {
	memory.RAM
	mu    sync.Mutex
	peers map[netip.Addr]memory.Peer
}

// Save implements scan.Memory.
func (r *record) Save(now time.Time, c *memory.Changes) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.peers == nil {
		r.peers = map[netip.Addr]memory.Peer{}
	}
	for _, p := range c.Peers {
		r.peers[p.Addr] = p
	}
	return r.RAM.Save(now, c)
}

// points returns a peer's points as they were saved.
func (r *record) points(a netip.Addr, now time.Time) (objective, soft float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[a]
	return p.Standing.Points(now)
}

// convicted returns who has objective points.
func (r *record) convicted(now time.Time) (l []netip.Addr) {
	for _, a := range r.charged(now) {
		if o, _ := r.points(a, now); o > 0 {
			l = append(l, a)
		}
	}
	return l
}

// charged returns who has points.
func (r *record) charged(now time.Time) (l []netip.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for a, p := range r.peers {
		if o, soft := p.Standing.Points(now); o+soft > 0 {
			l = append(l, a)
		}
	}
	return l
}

// options returns those of a node whose own chain is this one; an empty one for nil.
func options(t testing.TB, w *synctest.World, own []mcm.Trailer, client *peer.Client) (Options, *chain.Store) {
	t.Helper()
	store, err := chain.Open(t.TempDir(), chain.Options{Base: w.Base})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	if len(own) > 0 {
		if err := store.Extend(own); err != nil {
			t.Fatal(err)
		}
	}
	groups := fault.Groups{Bits: 24}
	base := w.Base
	return Options{
		Chain: store,
		Scan: scan.Options{
			Client: client, Verifier: w.Work, Memory: new(record),
			Book:    scan.NewBook(scan.BookOptions{Private: true, Groups: groups}),
			Proof:   proof.Options{Base: w.Base.Num, Height: &base},
			Anchors: []proof.Anchor{w.Base},
			Quorum:  branch.Quorum{Peers: 3, Groups: 3},
		},
		Sync:   chainsync.Options{Base: w.Base},
		Server: peer.ServerOptions{Groups: groups},
	}, store
}

// newBench returns a bench whose own chain is this one.
func newBench(t *testing.T, w *synctest.World, own []mcm.Trailer, change ...func(*Options)) *bench {
	t.Helper()
	b := &bench{t: t, w: w, now: w.Now()}
	if len(own) > 0 {
		b.at(&own[len(own)-1])
	}
	o, store := options(t, w, own, peer.NewClient(peer.Options{}))
	b.store = store
	o.Now = b.clock
	for _, c := range change {
		c(&o)
	}
	n, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.Node = n
	n.spawn = func(f func(context.Context)) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.spawned = append(b.spawned, f)
	}
	return b
}

// host returns the i-th address, of a group of its own.
func host(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(20 + i/250), byte(1 + i%250), 1})
}

// claimOf returns what an honest peer with the chain states.
func (b *bench) claimOf(c []mcm.Trailer) wire.State {
	if len(c) == 1 {
		return wire.State{Num: c[0].Num(), Hash: *c[0].Hash(), Prev: *c[0].PrevHash(), Weight: b.w.Base.Weight}
	}
	return prooftest.Claim(c[1:], b.w.Base.Weight)
}

// last returns the proof of a chain's tip.
func last(c []mcm.Trailer) []mcm.Trailer { return slices.Clone(c[max(0, len(c)-proof.Segment):]) }

// found has a peer send a found message for the tip of c, with the claim changed.
func (b *bench) found(from netip.Addr, c []mcm.Trailer, change ...func(*wire.State)) {
	claim := b.claimOf(c)
	for _, f := range change {
		f(&claim)
	}
	b.send(from, claim, last(c))
}

// send has a peer send a found message and the judge look at it.
func (b *bench) send(from netip.Addr, claim wire.State, ts []mcm.Trailer) {
	server{b.Node}.Found(from, &wire.Packet{Version: wire.Version, Network: wire.Network, Op: wire.OpFound, State: claim, Data: slices.Clone(mcm.Bytes(ts))})
	b.judgeAll()
}

// judgeAll does what the judge would until nothing waits.
func (b *bench) judgeAll() {
	for {
		batch, _ := b.inbox.take(b.clock())
		if len(batch) == 0 {
			return
		}
		b.judgeBatch(context.Background(), batch)
	}
}

// reviewed does what the director would.
func (b *bench) reviewed() {
	b.refresh()
	b.Node.mu.Lock()
	defer b.Node.mu.Unlock()
	b.review(b.clock())
	b.judgeCharges(b.clock(), false)
}

// tipIs checks that the own chain ends in that of c.
func (b *bench) tipIs(c []mcm.Trailer, when string) {
	b.t.Helper()
	tip, _ := b.store.Tip()
	if want := &c[len(c)-1]; tip.Hash != *want.Hash() {
		b.t.Fatalf("%s: own tip is block %v (%v), want block %v (%v)", when, tip.Num, tip.Hash, want.Num(), want.Hash())
	}
	if w := b.w.Weight(c); tip.Weight != w {
		b.t.Errorf("%s: own weight %v, want %v", when, tip.Weight, w)
	}
}

// points returns a peer's points.
func (b *bench) points(a netip.Addr) (objective, soft float64) {
	b.t.Helper()
	if err := b.o.Scan.Book.Flush(b.clock(), b.o.Scan.Memory); err != nil {
		b.t.Fatal(err)
	}
	return b.o.Scan.Memory.(*record).points(a, b.clock())
}

// blameless checks that no peer has any points.
func (b *bench) blameless(when string) {
	b.t.Helper()
	b.pass(2 * b.o.Times.Doubt)
	b.reviewed()
	b.o.Scan.Book.Flush(b.clock(), b.o.Scan.Memory)
	if l := b.o.Scan.Memory.(*record).charged(b.clock()); len(l) > 0 {
		b.t.Errorf("%s: %v have points", when, l)
	}
}

// raised reports whether an alarm is.
func (b *bench) raised(kind scan.AlarmKind) bool {
	b.Node.mu.Lock()
	defer b.Node.mu.Unlock()
	return b.alarms.on(kind)
}

// timeouts let tests with silent peers end soon.
var timeouts = peer.Timeouts{Connect: time.Second, HelloAck: time.Second, First: time.Second, Grace: 2 * time.Second}

func addr(a [4]byte) netip.Addr { return netip.AddrFrom4(a) }

// runSpawned does what was started in the background.
func (b *bench) runSpawned(ctx context.Context) {
	b.mu.Lock()
	l := b.spawned
	b.spawned = nil
	b.mu.Unlock()
	for _, f := range l {
		f(ctx)
	}
}
