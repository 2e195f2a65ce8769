package chaos

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/wire"
)

// A Chain is one branch of a world, as a node has it that is on it.  It doesn't
// change.
type Chain struct{ spot }

// Chain returns the honest chain.
func (w *World) Chain() *Chain { return &Chain{spot{w.main, w.tip}} }

// Tip returns the chain's last block.
func (c *Chain) Tip() proof.Anchor {
	t := &c.line.trailers[c.index]
	return proof.Anchor{Num: t.Num(), Hash: *t.Hash(), Weight: c.line.weights[c.index], Time: t.SolveTime()}
}

// Trailers returns a copy of all trailers, from the world's first block on.
func (c *Chain) Trailers() []mcm.Trailer { return slices.Clone(c.line.trailers[:c.index+1]) }

// longestLive is how many seconds a block takes at most that Grow makes: fewer than
// turn it into a pseudoblock.
const longestLive = 200

// Grow returns a chain with n blocks more, the last of which was found just now, or
// as late as blocks can be.  They have their work, which is found on the world's
// Solver; the same call makes the same blocks.  It is an error if there isn't a
// second for each.
func (w *World) Grow(ctx context.Context, c *Chain, n int, now time.Time) (*Chain, error) {
	return w.branch(ctx, c, 0, n, now)
}

// Fork returns a chain that parts from c so many blocks below its tip: others in
// their places, found at the same times and of the same weight, and n more as Grow
// makes them.
func (w *World) Fork(ctx context.Context, c *Chain, depth, n int, now time.Time) (*Chain, error) {
	if depth < 0 || depth >= c.index {
		return nil, fmt.Errorf("fork %d blocks below the tip: there are %d", depth, c.index)
	}
	return w.branch(ctx, c, depth, n, now)
}

func (w *World) branch(ctx context.Context, c *Chain, depth, n int, now time.Time) (*Chain, error) {
	tip := c.Tip()
	room := now.Unix() - int64(tip.Time)
	if int64(n) > room {
		return nil, fmt.Errorf("make %d blocks: the last one was found %d seconds ago", n, room)
	}
	steps := c.line.steps(c.index-depth+1, c.index)
	for left := n; left > 0; left-- {
		elapsed := min(room/int64(left), longestLive)
		steps = append(steps, step{elapsed: uint32(elapsed)})
		room -= elapsed
	}
	r := w.forge.rand(streamLive + binary.LittleEndian.Uint64(tip.Hash[:])>>33<<16 + uint64(depth))
	ts, err := w.forge.grow(ctx, r, slices.Clone(c.line.trailers[:c.index+1-depth]), steps, nil)
	if err != nil {
		return nil, err
	}
	l := w.fork(ts)
	return &Chain{end(l)}, nil
}

// Follow has peers be on another chain from now on: those named, or all when none
// is.  What hostile kinds forge is beside the chain that the world began with.
func (f *Fleet) Follow(c *Chain, peers ...netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.order {
		if len(peers) == 0 || slices.Contains(peers, p.addr) {
			p.follows.Store(c)
		}
	}
}

// Hold has peers keep callers waiting that ask for blocks below n, until it is called
// again; 0 lets all go.  Proofs of tips are not held back.
func (f *Fleet) Hold(n mcm.BlockNum) { f.hold.Store(uint64(n)) }

// Announce has a peer of the fleet tell a node of its tip and its proof, by a found
// message from its own address.
func (f *Fleet) Announce(ctx context.Context, from netip.Addr, to netip.AddrPort) error {
	f.mu.Lock()
	p := f.peers[from]
	f.mu.Unlock()
	if p == nil {
		return fmt.Errorf("announce: %v is no peer of the fleet", from)
	}
	c := p.follows.Load()
	if c == nil {
		c = f.world.Chain()
	}
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0)), Timeout: helloWait, KeepAlive: -1}
	conn, err := d.DialContext(ctx, "tcp4", to.String())
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(helloWait + requestWait)); err != nil {
		return err
	}
	say := func(m wire.Packet) error {
		b, err := m.AppendTo(nil)
		if err == nil {
			_, err = conn.Write(b)
		}
		return err
	}
	m := wire.Packet{Op: wire.OpHello, ID1: uint16(p.connections.Load()) ^ uint16(p.seed), State: c.state()}
	if err := say(m); err != nil {
		return err
	}
	ack, _, err := wire.Read(conn, nil, wire.RequestLimit)
	if err != nil {
		return err
	}
	if ack.Op != wire.OpHelloAck || ack.ID1 != m.ID1 {
		return fmt.Errorf("announce to %v: %v in answer to HELLO", to, ack.Op)
	}
	m.Op, m.ID2 = wire.OpFound, ack.ID2
	m.Data = mcm.Bytes(c.line.trailers[max(0, c.index+1-segment) : c.index+1])
	return say(m)
}
