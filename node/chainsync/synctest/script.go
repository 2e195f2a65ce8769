package synctest

import (
	"bytes"
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/wire"
)

// A Conn is one connection to a Peer.
type Conn struct {
	Peer    *Peer
	Net     net.Conn
	Session *peer.Session
	Ctx     context.Context // ends with the network

	sent int64 // past the session
}

// A Script is what a peer does with a connection.  Where it returns the connection
// is closed.
type Script func(c *Conn)

// Request shakes hands, reads the request and counts it; ok is false if there was
// none.
func (c *Conn) Request() (r wire.Packet, ok bool) {
	r, err := c.Session.Accept()
	if err != nil {
		return r, false
	}
	p := c.Peer
	p.mu.Lock()
	p.requests[r.Op]++
	var asked Range
	if r.Op == wire.OpTF {
		first, count := wire.SplitTFArg(r.Arg)
		asked = Range{mcm.BlockNum(first), int(count)}
		p.ranges = append(p.ranges, asked)
	}
	p.mu.Unlock()
	if r.Op == wire.OpTF {
		select {
		case p.asked <- asked:
		default:
		}
	}
	return r, true
}

// Cut returns those of count trailers from first on that a chain has.
func Cut(chain []mcm.Trailer, first mcm.BlockNum, count int) []mcm.Trailer {
	if len(chain) == 0 || first < chain[0].Num() {
		return nil
	}
	from := uint64(first - chain[0].Num())
	if from >= uint64(len(chain)) {
		return nil
	}
	return chain[from:min(from+uint64(count), uint64(len(chain)))]
}

// Answer answers a request as an honest peer with this chain would.
func (c *Conn) Answer(r *wire.Packet, chain []mcm.Trailer) {
	switch r.Op {
	case wire.OpGetIPL:
		c.Session.Reply(wire.OpSendIPL, nil)
	case wire.OpTF:
		first, count := wire.SplitTFArg(r.Arg)
		c.Send(Cut(chain, mcm.BlockNum(first), int(count)))
	case wire.OpGetTFile:
		c.Send(chain)
	case wire.OpHash:
		if ts := Cut(chain, mcm.BlockNum(r.Arg), 1); len(ts) == 1 {
			c.Session.Reply(wire.OpHash, ts[0].Hash()[:])
		}
	}
}

// Send sends trailers as a file.
func (c *Conn) Send(ts []mcm.Trailer) { c.Session.SendFile(bytes.NewReader(mcm.Bytes(ts))) }

// Wait waits until the caller has closed, or the network ends.
func (c *Conn) Wait() {
	buf := make([]byte, 512)
	c.Net.SetReadDeadline(time.Time{})
	for {
		if _, err := c.Net.Read(buf); err != nil {
			return
		}
	}
}

// Honest answers with what the peer has.
func Honest(c *Conn) {
	if r, ok := c.Request(); ok {
		c.Answer(&r, c.Peer.Chain())
	}
}

// Silent takes the request and says nothing.
func Silent(c *Conn) {
	if _, ok := c.Request(); ok {
		c.Wait()
	}
}

// Mute doesn't even shake hands.
func Mute(c *Conn) { c.Wait() }

// Closed closes at once.
func Closed(*Conn) {}

// Busy shakes hands and says that it is busy.
func Busy(c *Conn) {
	if _, ok := c.Request(); ok {
		c.Session.Reply(wire.OpBusy, nil)
	}
}

// Serves answers requests for trailers with what serve returns, those for a file with
// nothing, and others honestly.
func Serves(serve func(first mcm.BlockNum, count int) []mcm.Trailer) Script {
	return func(c *Conn) {
		r, ok := c.Request()
		switch {
		case !ok:
		case r.Op == wire.OpTF:
			first, count := wire.SplitTFArg(r.Arg)
			c.Send(serve(mcm.BlockNum(first), int(count)))
		case r.Op == wire.OpGetTFile:
			c.Send(nil)
		default:
			c.Answer(&r, c.Peer.Chain())
		}
	}
}

// Other answers from another chain than it claims to have.
func Other(chain []mcm.Trailer) Script {
	return func(c *Conn) {
		if r, ok := c.Request(); ok {
			c.Answer(&r, chain)
		}
	}
}

// Seam answers from chain a below block at, and from b from it on: what a peer does
// that changes branches meanwhile.
func Seam(a, b []mcm.Trailer, at mcm.BlockNum) Script {
	return Serves(func(first mcm.BlockNum, count int) (ts []mcm.Trailer) {
		for n := first; n < first+mcm.BlockNum(count); n++ {
			from := a
			if n >= at {
				from = b
			}
			ts = append(ts, Cut(from, n, 1)...)
		}
		return ts
	})
}

// Drip answers with one byte at a time.
func Drip(every time.Duration) Script {
	return func(c *Conn) {
		r, ok := c.Request()
		if !ok {
			return
		}
		first, count := wire.SplitTFArg(r.Arg)
		data := mcm.Bytes(Cut(c.Peer.Chain(), mcm.BlockNum(first), int(count)))
		p := wire.Packet{Op: wire.OpSendFile, Arg: r.Arg, State: c.Peer.State(), Data: data[:min(len(data), wire.FileChunk)]}
		p.ID1, p.ID2 = c.Session.IDs()
		raw, err := p.AppendTo(nil)
		if err != nil {
			panic(err)
		}
		tick := time.NewTicker(every)
		defer tick.Stop()
		for i := range raw {
			select {
			case <-tick.C:
			case <-c.Ctx.Done():
				return
			}
			c.sent++
			if _, err := c.Net.Write(raw[i : i+1]); err != nil {
				return
			}
		}
		c.Wait()
	}
}

// Held answers like s, but not before release is closed.
func Held(release <-chan struct{}, s func(c *Conn, r *wire.Packet)) Script {
	return func(c *Conn) {
		r, ok := c.Request()
		if !ok {
			return
		}
		select {
		case <-release:
			s(c, &r)
		case <-c.Ctx.Done():
		}
	}
}

// Truth is an answer for Held: the honest one.
func Truth(c *Conn, r *wire.Packet) { c.Answer(r, c.Peer.Chain()) }

// First follows a for the first n connections, b from then on.
func First(n int, a, b Script) Script {
	var count atomic.Int64
	return func(c *Conn) {
		if count.Add(1) <= int64(n) {
			a(c)
			return
		}
		b(c)
	}
}

// A Gate lets scripts wait until a test opens it.
type Gate struct {
	once sync.Once
	ch   chan struct{}
}

// NewGate returns a gate that is shut.
func NewGate() *Gate { return &Gate{ch: make(chan struct{})} }

// Open opens the gate.
func (g *Gate) Open() { g.once.Do(func() { close(g.ch) }) }

// Through is closed once the gate is open.
func (g *Gate) Through() <-chan struct{} { return g.ch }
