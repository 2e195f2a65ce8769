package synctest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"

	"kigo/node/fault"
	"kigo/node/internal/freeport"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/proof/prooftest"
	"kigo/node/wire"
)

// Groups is what counts as one group in a Network: the first three bytes of an
// address.
var Groups = fault.Groups{Bits: 24}

// A Network is peers that listen on addresses of 127.0.0.0/8, all on one port.  They
// are gone when the test has ended.
type Network struct {
	World *World
	Port  uint16

	ctx   context.Context
	wg    sync.WaitGroup
	mu    sync.Mutex
	peers map[netip.Addr]*Peer
}

// NewNetwork returns a network without peers.
func NewNetwork(tb testing.TB, w *World) *Network {
	tb.Helper()
	port, err := freeport.Reserve()
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &Network{World: w, Port: port.Number, ctx: ctx, peers: map[netip.Addr]*Peer{}}
	tb.Cleanup(func() {
		cancel()
		n.wg.Wait()
		port.Close()
	})
	return n
}

// Client returns a client for the network that says nothing of a chain of its own.
// Times that are 0 are the usual ones.
func (n *Network) Client(t peer.Timeouts) *peer.Client {
	return peer.NewClient(peer.Options{Port: n.Port, Timeouts: t})
}

// Peer adds a peer that has a chain and follows a script, Honest if there is none.
func (n *Network) Peer(tb testing.TB, addr string, chain []mcm.Trailer, script ...Script) *Peer {
	tb.Helper()
	p := &Peer{Addr: netip.MustParseAddr(addr), net: n, requests: map[wire.Op]int{}, asked: make(chan Range, 1<<10), connected: make(chan struct{})}
	p.SetChain(chain)
	p.SetScript(Honest)
	if len(script) > 0 {
		p.SetScript(script[0])
	}
	ln, err := net.Listen("tcp4", netip.AddrPortFrom(p.Addr, n.Port).String())
	if err != nil {
		tb.Fatal(err)
	}
	n.mu.Lock()
	n.peers[p.Addr] = p
	n.mu.Unlock()
	n.wg.Add(1)
	go p.serve(ln)
	return p
}

// Peers adds count honest peers, each in a group of its own.
func (n *Network) Peers(tb testing.TB, chain []mcm.Trailer, count int, script ...Script) []*Peer {
	tb.Helper()
	peers := make([]*Peer, count)
	for i := range peers {
		n.mu.Lock()
		at := len(n.peers)
		n.mu.Unlock()
		peers[i] = n.Peer(tb, fmt.Sprintf("127.%d.%d.1", 10+at/250, 1+at%250), chain, script...)
	}
	return peers
}

// A Range is one request for trailers.
type Range struct {
	First mcm.BlockNum
	Count int
}

// Counts are what was asked of a peer.
type Counts struct {
	Connections int
	Requests    map[wire.Op]int
	Ranges      []Range // by TF, in order
	Bytes       int64   // sent by the peer
}

// A Peer is one of a Network.
type Peer struct {
	Addr netip.Addr
	net  *Network

	mu       sync.Mutex
	chain    []mcm.Trailer
	state    wire.State
	script   Script
	conns    int
	requests map[wire.Op]int
	ranges   []Range
	bytes    int64

	connected chan struct{} // closed by the first connection
	first     sync.Once
	asked     chan Range // TF requests as they come, for tests that wait for one
}

// SetChain gives the peer another chain, with the claim that is true of it.
func (p *Peer) SetChain(chain []mcm.Trailer) {
	below := p.net.World.Base.Weight
	state := prooftest.Claim(chain[1:], below)
	if len(chain) == 1 {
		t := &chain[0]
		state = wire.State{Num: t.Num(), Hash: *t.Hash(), Prev: *t.PrevHash(), Weight: below}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.chain, p.state = chain, state
}

// SetState has the peer claim something else than is true, until SetChain.
func (p *Peer) SetState(change func(*wire.State)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(&p.state)
}

// SetScript has the peer follow another script from the next connection on.
func (p *Peer) SetScript(s Script) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.script = s
}

// State returns what the peer claims.
func (p *Peer) State() wire.State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// Chain returns what the peer has.
func (p *Peer) Chain() []mcm.Trailer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.chain
}

// Asked is sent each request for trailers as it arrives, while there is room.
func (p *Peer) Asked() <-chan Range { return p.asked }

// Connected is closed once somebody has connected.
func (p *Peer) Connected() <-chan struct{} { return p.connected }

// Counts returns what was asked so far.
func (p *Peer) Counts() Counts {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := Counts{Connections: p.conns, Requests: map[wire.Op]int{}, Ranges: append([]Range(nil), p.ranges...), Bytes: p.bytes}
	for op, n := range p.requests {
		c.Requests[op] = n
	}
	return c
}

// serve answers connections until the network ends.
func (p *Peer) serve(ln net.Listener) {
	defer p.net.wg.Done()
	stop := context.AfterFunc(p.net.ctx, func() { ln.Close() })
	defer stop()
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		p.first.Do(func() { close(p.connected) })
		p.mu.Lock()
		p.conns++
		script := p.script
		p.mu.Unlock()
		p.net.wg.Add(1)
		go func() {
			defer p.net.wg.Done()
			c := &Conn{Peer: p, Net: conn, Ctx: p.net.ctx}
			c.Session = peer.NewSession(p.net.ctx, conn, peer.SessionOptions{State: p.State})
			defer func() {
				_, out := c.Session.Bytes()
				c.Session.Close()
				p.mu.Lock()
				p.bytes += out + c.sent
				p.mu.Unlock()
			}()
			script(c)
		}()
	}
}

// sum is what the hash of a trailer has to be.
func sum(t *mcm.Trailer) mcm.Hash { return sha256.Sum256(t[:128]) }
