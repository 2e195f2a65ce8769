package scan

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"kigo/node/branch"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/verify"
	"kigo/node/wire"
)

// Chains.

// A block says how a test chain goes on: its time, and whether it is a
// pseudoblock.
type block struct {
	seconds uint32
	pseudo  bool
}

// worked and pseudo return n blocks; worked ones keep the difficulty.
func worked(n int) []block { return slices.Repeat([]block{{seconds: 100}}, n) }
func pseudo(n int) []block {
	return slices.Repeat([]block{{seconds: mcm.BridgeV3, pseudo: true}}, n)
}

// firstBlock is where test chains begin: version 3, some way below the next
// neogenesis block.
const firstBlock = mcm.V30Trigger + 0x110

// chain makes a chain by the rules whose tip is solved at tip.  Its nonces are
// what salt makes them: only a fakeVerifier takes them for work.
func chain(tip time.Time, difficulty uint32, salt byte, blocks ...[]block) []mcm.Trailer {
	all := slices.Concat(blocks...)
	at := uint32(tip.Unix())
	for _, b := range all {
		at -= b.seconds
	}
	var t mcm.Trailer
	t.SetNum(firstBlock - 1)
	t.SetDifficulty(difficulty)
	t.SetStartTime(at - 100)
	t.SetSolveTime(at)
	*t.Hash() = sha256.Sum256([]byte{salt})
	return grow([]mcm.Trailer{t}, salt, all)[1:]
}

// grow returns ts with more blocks on top.
func grow(ts []mcm.Trailer, salt byte, blocks []block) []mcm.Trailer {
	ts = slices.Clone(ts)
	for _, b := range blocks {
		prev := &ts[len(ts)-1]
		ts = append(ts, next(prev, salt, b))
		if t := &ts[len(ts)-1]; t.Num().Low() == 0xff {
			ts = append(ts, neogenesis(t, salt))
		}
	}
	return ts
}

func next(prev *mcm.Trailer, salt byte, b block) (t mcm.Trailer) {
	n := prev.Num() + 1
	*t.PrevHash() = *prev.Hash()
	t.SetNum(n)
	t.SetDifficulty(rules.NextDifficulty(prev))
	t.SetStartTime(prev.SolveTime())
	t.SetSolveTime(prev.SolveTime() + b.seconds)
	if b.pseudo {
		*t.MerkleRoot() = rules.PseudoRoot(n)
	} else {
		t.SetTxCount(1)
		t.SetMinFee(mcm.MinFee)
		*t.MerkleRoot() = sha256.Sum256(binary.LittleEndian.AppendUint64([]byte{salt}, uint64(n)))
		t.Nonce()[0] = salt
	}
	seal(&t)
	return t
}

func neogenesis(prev *mcm.Trailer, salt byte) (t mcm.Trailer) {
	*t.PrevHash() = *prev.Hash()
	t.SetNum(prev.Num() + 1)
	t.SetDifficulty(prev.Difficulty())
	t.SetStartTime(prev.StartTime())
	t.SetSolveTime(prev.SolveTime())
	t.MerkleRoot()[0] = salt
	seal(&t)
	return t
}

func seal(t *mcm.Trailer) { *t.Hash() = sha256.Sum256(t[:128]) }

// relink changes ts[i] and makes all that follows fit it again.
func relink(ts []mcm.Trailer, i int, change func(*mcm.Trailer)) []mcm.Trailer {
	ts = slices.Clone(ts)
	change(&ts[i])
	for seal(&ts[i]); i+1 < len(ts); i++ {
		*ts[i+1].PrevHash() = *ts[i].Hash()
		seal(&ts[i+1])
	}
	return ts
}

// stateOf returns what an honest node with this chain says, the chain below the
// first trailer weighing base.
func stateOf(ts []mcm.Trailer) wire.State {
	tip := &ts[len(ts)-1]
	st := wire.State{Num: tip.Num(), Hash: *tip.Hash(), Prev: *tip.PrevHash()}
	for i := range ts {
		st.Weight = rules.AddWeight(st.Weight, &ts[i])
	}
	return st
}

// A fakeVerifier holds work to be right unless the nonce says otherwise, and
// counts.
type fakeVerifier struct {
	mu      sync.Mutex
	calls   int
	checked map[mcm.Hash]int
	fail    error
	took    time.Duration // for each trailer
}

// spoiled marks a trailer whose work is wrong.
const spoiled = 0xee

func (v *fakeVerifier) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	if v.took > 0 {
		select {
		case <-time.After(v.took * time.Duration(len(batch))):
		case <-ctx.Done():
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if v.fail != nil {
		return v.fail
	}
	v.calls++
	for i := range batch {
		if v.checked == nil {
			v.checked = map[mcm.Hash]int{}
		}
		v.checked[proof.ID(&batch[i])]++
		dst[i].Verdict = verify.Valid
		if batch[i].Nonce()[0] == spoiled {
			dst[i].Verdict = verify.BadWork
		}
	}
	return nil
}

// most returns how often the trailer checked most often was.
func (v *fakeVerifier) most() (most int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, n := range v.checked {
		most = max(most, n)
	}
	return most
}

// Networks.

// An actor is a scripted peer.  Its zero value has no chain and no list.
type actor struct {
	chain []mcm.Trailer
	claim func(wire.State) wire.State // what it says instead of the truth
	list  []netip.Addr

	dial  func(ctx context.Context) error            // instead of a connection
	raw   func(ctx context.Context, c net.Conn)      // instead of all conversation
	reply func(s *peer.Session, r *wire.Packet) bool // instead of a reply; false: the usual one

	mu    sync.Mutex
	calls int
}

func (a *actor) state() (st wire.State) {
	if len(a.chain) > 0 {
		st = stateOf(a.chain)
	}
	if a.claim != nil {
		st = a.claim(st)
	}
	return st
}

func (a *actor) called() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.calls
}

// serve is the peer's side of a connection.
func (a *actor) serve(ctx context.Context, c net.Conn) {
	defer c.Close()
	if a.raw != nil {
		a.raw(ctx, c)
		return
	}
	s := peer.NewSession(ctx, c, peer.SessionOptions{State: a.state})
	defer s.Close()
	r, err := s.Accept()
	if err != nil || a.reply != nil && a.reply(s, &r) {
		return
	}
	switch r.Op {
	case wire.OpGetIPL:
		s.Reply(wire.OpSendIPL, wire.AppendAddrs(nil, a.list))
	case wire.OpTF:
		s.SendFile(bytes.NewReader(mcm.Bytes(a.trailers(wire.SplitTFArg(r.Arg)))))
	}
}

// trailers returns the range of the actor's chain that TF asks for, nothing if the
// chain begins above it.
func (a *actor) trailers(first, count uint32) (ts []mcm.Trailer) {
	if len(a.chain) == 0 || uint64(first) < uint64(a.chain[0].Num()) {
		return nil
	}
	for i := range a.chain {
		if n := uint64(a.chain[i].Num()); n >= uint64(first) && n < uint64(first)+uint64(count) {
			ts = append(ts, a.chain[i])
		}
	}
	return ts
}

// A network connects a scan to actors.  An address without one is dead: nobody
// answers.
type network struct {
	actors map[netip.Addr]*actor
	wg     sync.WaitGroup

	mu      sync.Mutex
	dials   map[netip.Addr]int
	order   []netip.Addr
	open    int
	mostly  int // open at once
	byGroup map[netip.Prefix]int
	crowd   int // open at once in one /16
}

func newNetwork() *network {
	return &network{actors: map[netip.Addr]*actor{}, dials: map[netip.Addr]int{}, byGroup: map[netip.Prefix]int{}}
}

// add places actors in groups of their own, from 1.0.0.1 on, and returns their
// addresses.
func (n *network) add(actors ...*actor) (addrs []netip.Addr) {
	for _, a := range actors {
		addr := addr(len(n.actors), 0)
		n.actors[addr] = a
		addrs = append(addrs, addr)
	}
	return addrs
}

// addr returns the i-th address of the group-th group.
func addr(group, i int) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(20 + group/256), byte(group), byte(i / 256), byte(i%256 + 1)})
}

func (n *network) dial(ctx context.Context, ap netip.AddrPort) (net.Conn, error) {
	a := ap.Addr()
	g := netip.PrefixFrom(a, 16).Masked()
	n.mu.Lock()
	n.dials[a]++
	n.order = append(n.order, a)
	n.open++
	n.byGroup[g]++
	n.mostly, n.crowd = max(n.mostly, n.open), max(n.crowd, n.byGroup[g])
	n.mu.Unlock()
	closed := func() {
		n.mu.Lock()
		n.open--
		n.byGroup[g]--
		n.mu.Unlock()
	}
	act := n.actors[a]
	if act == nil {
		<-ctx.Done()
		closed()
		return nil, ctx.Err()
	}
	act.mu.Lock()
	act.calls++
	act.mu.Unlock()
	if act.dial != nil {
		defer closed()
		return nil, act.dial(ctx)
	}
	here, there := net.Pipe()
	n.wg.Go(func() { act.serve(context.Background(), there) })
	return &trackedConn{Conn: here, closed: sync.OnceFunc(closed)}, nil
}

type trackedConn struct {
	net.Conn
	closed func()
}

func (c *trackedConn) Close() error {
	c.closed()
	return c.Conn.Close()
}

// options returns the options of a scan of the network by the clock of the bubble.
func (n *network) options(v verify.Verifier, configured ...netip.Addr) Options {
	b := NewBook(BookOptions{Seed: 1})
	b.AddConfigured(configured...)
	return Options{
		Client:   peer.NewClient(peer.Options{Dial: n.dial}),
		Verifier: v,
		Book:     b,
		Proof:    proof.Options{Height: &proof.Anchor{Num: firstBlock, Time: uint32(time.Now().Add(-365 * 24 * time.Hour).Unix())}},
		Quorum:   branch.Quorum{Peers: 3, Groups: 3},
		Draw:     func(int) int { return 0 },
	}
}

// scan runs a scan and waits for all that it has started.
func (n *network) scan(t *testing.T, o Options) *Report {
	t.Helper()
	r, err := Run(t.Context(), o)
	n.wg.Wait()
	if err != nil {
		t.Fatalf("Run: %v", err)
	}
	return r
}

// row returns the row of an address.
func row(t *testing.T, r *Report, a netip.Addr) *Peer {
	t.Helper()
	for i := range r.Peers {
		if r.Peers[i].Addr == a {
			return &r.Peers[i]
		}
	}
	t.Fatalf("no row of %v in the report", a)
	return nil
}

// wantVerdict checks verdict and reason of an address.
func wantVerdict(t *testing.T, r *Report, a netip.Addr, want Verdict, reason string) {
	t.Helper()
	if p := row(t, r, a); p.Verdict != want || string(p.Reason) != reason {
		t.Errorf("peer %v is %s %q (%s), want %s %q", a, p.Verdict, p.Reason, p.Detail, want, reason)
	}
}

// wantChosen checks that the branch with this tip is chosen.
func wantChosen(t *testing.T, r *Report, state State, tip *mcm.Trailer) {
	t.Helper()
	if r.State != state {
		t.Errorf("state is %s, want %s", r.State, state)
	}
	if r.Chosen < 0 || r.Branches[r.Chosen].Tip != *tip.Hash() {
		t.Errorf("chosen is %d of %d branches, want the one with tip %v", r.Chosen, len(r.Branches), tip.Num())
	}
}

// A fakeMemory keeps what is saved, and merges it the way the real one does.
type fakeMemory struct {
	snapshot memory.Snapshot
	saved    []*memory.Changes
	failLoad error
	failSave error
}

func (m *fakeMemory) Load(time.Time) (*memory.Snapshot, error) {
	s := m.snapshot
	return &s, m.failLoad
}

func (m *fakeMemory) Save(_ time.Time, c *memory.Changes) error {
	if m.failSave != nil {
		return m.failSave
	}
	m.saved = append(m.saved, c)
	for _, p := range c.Peers {
		m.snapshot.Peers = slices.DeleteFunc(m.snapshot.Peers, func(q memory.Peer) bool { return q.Addr == p.Addr })
		m.snapshot.Peers = append(m.snapshot.Peers, p)
	}
	for _, g := range c.Groups {
		m.snapshot.Groups = slices.DeleteFunc(m.snapshot.Groups, func(q memory.Group) bool { return q.Prefix == g.Prefix })
		m.snapshot.Groups = append(m.snapshot.Groups, g)
	}
	m.snapshot.Invalid = append(m.snapshot.Invalid, c.Invalid...)
	m.snapshot.Verified = append(m.snapshot.Verified, c.Verified...)
	return nil
}

var errFake = errors.New("made to fail")
