package node

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/wire"
)

// A server answers peers from the own chain.  It is a peer.Handler.
type server struct{ n *Node }

var _ peer.Handler = server{}

// State returns what the node says of its chain in every packet.  A tip ending in ff
// is counted, as nodes have it in memory (docs/spec/sync.md section 1.1).
func (n *Node) State() wire.State {
	tip, have := n.own.Tip()
	if !have {
		return wire.State{}
	}
	t, ok := n.own.trailer(tip.Num)
	if !ok || *t.Hash() != tip.Hash {
		return wire.State{} // it has just been replaced
	}
	return wire.State{Num: tip.Num, Hash: tip.Hash, Prev: *t.PrevHash(), Weight: reckoned(tip.Weight, &t)}
}

// State implements peer.Handler.
func (s server) State() wire.State { return s.n.State() }

// listTime is how long a list of peers is served before another one is made: that
// means to look at thousands.
const listTime = 10 * time.Second

// Peers implements peer.Handler: those that have shown proofs that held.
func (s server) Peers() (l []netip.Addr) {
	n, now := s.n, s.n.o.Now()
	n.list.mu.Lock()
	defer n.list.mu.Unlock()
	if age := now.Sub(n.list.at); age >= 0 && age < listTime && n.list.peers != nil {
		return n.list.peers
	}
	l = []netip.Addr{}
	for _, v := range n.o.Scan.Book.Ranked(now, 2*wire.MaxAddrs) {
		if v.Good && len(l) < wire.MaxAddrs {
			l = append(l, v.Addr)
		}
	}
	n.list.at, n.list.peers = now, l
	return l
}

// Trailers implements peer.Handler.
func (s server) Trailers(first, count uint32) []mcm.Trailer {
	if mcm.BlockNum(first) < s.n.o.base() || count == 0 {
		return nil
	}
	ts, err := s.n.o.Chain.Trailers(mcm.BlockNum(first), int(min(count, wire.MaxTF)))
	if err != nil {
		s.n.log.Warn("own chain can't be read", "err", err)
		return nil
	}
	return ts
}

// errNotKept says that a peer asks for what this node doesn't have.
var errNotKept = errors.New("node: not kept")

// TFile implements peer.Handler.  A chain that doesn't begin with block 0 is no
// trailer file.
func (s server) TFile() (io.ReadCloser, error) {
	if s.n.o.base() != 0 {
		return nil, errNotKept
	}
	r, _, err := s.n.o.Chain.Reader()
	return r, err
}

// Block implements peer.Handler.
func (s server) Block(mcm.BlockNum) (io.ReadCloser, error) { return nil, errNotKept }

// Hash implements peer.Handler.
func (s server) Hash(num mcm.BlockNum) (h mcm.Hash, ok bool) {
	t, ok := s.n.own.trailer(num)
	return *t.Hash(), ok
}

// Heard implements peer.Handler: who wants to be in lists becomes a candidate.
func (s server) Heard(a netip.Addr, _ wire.Caps) {
	s.n.o.Scan.Book.Learn(a, []netip.Addr{a}, s.n.o.Now())
}

// TX implements peer.Handler.  Without a ledger nothing can be said of transactions.
func (s server) TX(netip.Addr, *wire.Packet) {}

// Found implements peer.Handler (docs/spec/sync.md section 8.9).  It does what costs
// next to nothing, and leaves the rest to the judge.
func (s server) Found(a netip.Addr, m *wire.Packet) {
	n := s.n
	now := n.o.Now()
	t := &sighting{from: a, group: n.groups.Of(a), via: viaFound, claim: m.State}
	if !wire.Callable(a) || !n.o.Scan.Book.MayServe(a, now) {
		n.o.Metrics.got(t, gotDropped)
		return
	}
	f := n.read(t, m.Data)
	t.call = foundCall(t, m)
	if f != nil {
		n.o.Metrics.got(t, gotMalformed)
		n.observe(&fault.Fault{Kind: f.Kind, Peer: a, Detail: "found message: " + f.Detail}, t, now)
		return
	}
	if f := proof.Free(t.claim, n.o.Scan.Proof, now.Unix()); f != nil {
		n.o.Metrics.got(t, gotOld)
		return
	}
	n.mu.Lock()
	known := n.knows(&t.trailers[len(t.trailers)-1])
	n.mu.Unlock()
	switch {
	case known:
		n.hear(t, now)
		n.o.Metrics.got(t, gotKnown)
	case !n.inbox.add(t):
		n.o.Metrics.got(t, gotDropped)
	}
}

// foundCall returns a found message as evidence needs it, nil for one that isn't of the
// usual form.
func foundCall(t *sighting, m *wire.Packet) *exchange {
	if m.Version != wire.Version || m.Network != wire.Network || t.claim != m.State || len(t.trailers) != wire.ProofTrailers {
		return nil
	}
	raw, err := m.AppendTo(nil) // as it was received
	if err != nil {
		return nil
	}
	return &exchange{
		claim: m.State, op: wire.OpFound, first: t.trailers[0].Num(), count: len(t.trailers),
		id1: m.ID1, id2: m.ID2, packets: [][]byte{raw},
	}
}

// read takes the trailers of a found message into a sighting.  A message for a
// neogenesis block whose proof ends in the one before is one for that (R10).
func (n *Node) read(t *sighting, data []byte) *proof.Finding {
	bad := func(k fault.Kind, detail string) *proof.Finding {
		return &proof.Finding{Kind: k, Num: t.claim.Num, Index: -1, Detail: detail}
	}
	if len(data)%mcm.TrailerLen != 0 {
		return bad(fault.NotMultiple, "no whole trailers")
	}
	if len(data) == 0 {
		return bad(fault.ClaimMismatch, "no trailers")
	}
	t.trailers = mcm.Trailers(data)
	last := &t.trailers[len(t.trailers)-1]
	c := &t.claim
	if c.Num.IsNeogenesis() && c.Num > 0 && last.Num() == c.Num-1 && *last.Hash() == c.Prev {
		c.Num, c.Hash, c.Prev = last.Num(), *last.Hash(), *last.PrevHash()
	}
	if *last.PrevHash() != c.Prev {
		return bad(fault.ClaimMismatch, "the proof's tip follows another block than the claim's")
	}
	return form(*c, t.trailers, n.o.Scan.Proof)
}

// announced returns what a new tip is announced as, and its proof.  In place of a
// neogenesis block that is the block before it, with the weight of the whole chain
// (docs/spec/network.md section 7.2).
func (n *Node) announced() (claim wire.State, ts []mcm.Trailer, ok bool) {
	claim = n.State()
	ts = n.own.last(wire.ProofTrailers + 1)
	if len(ts) < 2 || *ts[len(ts)-1].Hash() != claim.Hash {
		return claim, nil, false
	}
	if claim.Num.IsNeogenesis() {
		ts = ts[:len(ts)-1]
		last := &ts[len(ts)-1]
		claim.Num, claim.Hash, claim.Prev = last.Num(), *last.Hash(), *last.PrevHash()
	}
	ts = ts[max(0, len(ts)-wire.ProofTrailers):]
	return claim, ts, true
}
