package chaos

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync/atomic"
	"time"

	"kigo/node/mcm"
	"kigo/node/wire"
)

// A call is one connection that somebody opened to a peer.
type call struct {
	*actor
	conn *countingConn
	n    int64      // which connection to the peer it is, from 0
	rand *rand.Rand // its own: what is drawn doesn't depend on other calls

	hooks    hooks // of the kind that the peer is in this call
	at       spot
	state    wire.State // as claimed
	id1, id2 uint16
	arg      uint64 // of the request, for replies to echo
	nth      int64  // which range this is that the peer is asked for, from 1
}

// Timers of a server, and the bound on what a script may take
// (docs/spec/network.md section 10).
const (
	helloWait   = 2 * time.Second
	requestWait = 3 * time.Second
	writeWait   = 5 * time.Second
)

// errDone ends a script without complaint.
var errDone = errors.New("done")

// greet shakes hands: it reads HELLO, decides where the peer stands, and
// acknowledges.
func (c *call) greet() error {
	if err := c.hear(); err != nil {
		return err
	}
	return c.acknowledge()
}

// hear reads HELLO and decides where the peer stands.
func (c *call) hear() error {
	p, err := c.read(helloWait)
	if err != nil {
		return err
	}
	if p.Op != wire.OpHello {
		return errDone
	}
	c.id1, c.id2 = p.ID1, uint16(c.rand.Uint32())
	c.at = c.stand()
	c.state = c.at.state()
	if c.hooks.claim != nil {
		c.hooks.claim(c, &c.state)
	}
	return nil
}

func (c *call) acknowledge() error {
	return c.send(wire.Packet{Op: wire.OpHelloAck})
}

// request reads what the caller wants.
func (c *call) request() (wire.Packet, error) {
	p, err := c.read(requestWait)
	if err != nil {
		return p, err
	}
	if p.CheckIDs(c.id1, c.id2) != nil {
		return p, errDone
	}
	c.arg = p.Arg
	c.requests.Add(1)
	if p.Caps&wire.CapOptIn != 0 {
		c.optIns.Add(1)
	}
	return p, nil
}

func (c *call) read(wait time.Duration) (wire.Packet, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return wire.Packet{}, err
	}
	p, _, err := wire.Read(c.conn, nil, wire.RequestLimit)
	return p, err
}

// packet returns the bytes of p, as part of the connection.
func (c *call) packet(p wire.Packet) []byte {
	p.Caps, p.ID1, p.ID2, p.Arg, p.State = wire.CapOptIn, c.id1, c.id2, c.arg, c.state
	b, err := p.AppendTo(nil)
	if err != nil {
		panic("chaos: " + err.Error()) // scripts send no packet that is too long
	}
	return b
}

// send sends a packet, spoiled where the kind says so.
func (c *call) send(p wire.Packet) error {
	b := c.packet(p)
	if c.hooks.packet != nil && p.Op != wire.OpHelloAck {
		b = c.hooks.packet(c, b)
	}
	return c.write(b)
}

func (c *call) write(b []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(writeWait)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

// file sends data as a file (docs/spec/network.md section 6), no faster than the
// fleet does.
func (c *call) file(data []byte) error {
	slow := len(data) > segment*mcm.TrailerLen
	for {
		n := min(len(data), wire.FileChunk)
		if rate := c.fleet.c.Rate; slow && rate > 0 {
			if err := c.pause(time.Duration(n) * time.Second / time.Duration(rate)); err != nil {
				return err
			}
		}
		if err := c.send(wire.Packet{Op: wire.OpSendFile, Data: data[:n]}); err != nil {
			return err
		}
		data = data[n:]
		if n < wire.FileChunk {
			return nil
		}
	}
}

// pause waits, unless the caller closes or the fleet does.
func (c *call) pause(d time.Duration) error {
	if err := c.conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, c.conn)
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return nil
	}
	if err == nil {
		err = io.EOF
	}
	return err
}

// serve answers the one request of a connection, as the hooks have it.
func (c *call) serve() error {
	if err := c.greet(); err != nil {
		return err
	}
	p, err := c.request()
	if err != nil {
		return err
	}
	return c.answer(p)
}

func (c *call) answer(p wire.Packet) error {
	switch p.Op {
	case wire.OpGetIPL:
		return c.send(wire.Packet{Op: wire.OpSendIPL, Data: c.list()})
	case wire.OpTF:
		c.nth = c.ranges.Add(1)
		first, count := wire.SplitTFArg(p.Arg)
		if count > wire.MaxTF {
			return nil
		}
		return c.trailers(first, count, uint64(first)+uint64(count) <= uint64(c.at.num()))
	case wire.OpGetTFile:
		return c.trailers(uint32(c.at.line.trailers[0].Num()), uint32(c.at.index+1), true)
	case wire.OpHash:
		i := int64(p.Arg) - int64(c.at.line.trailers[0].Num())
		if i < 0 || i > int64(c.at.index) {
			return nil
		}
		h := *c.at.line.trailers[i].Hash()
		return c.send(wire.Packet{Op: wire.OpHash, Data: h[:]})
	case wire.OpIdentify:
		return c.send(wire.Packet{Op: wire.OpIdentify, Data: []byte("Sanctuary=0,Lastday=0,Mfee=500")})
	}
	return nil // a close is the answer of a node that doesn't have it
}

// trailers sends a range; deep is one that shows more than the proof of the peer's
// tip does.
func (c *call) trailers(first, count uint32, deep bool) error {
	data := mcm.Bytes(c.at.line.cut(c.at.index, first, count))
	if deep {
		c.deeps.Add(1)
	}
	for deep && uint64(first) < c.fleet.hold.Load() {
		if err := c.pause(20 * time.Millisecond); err != nil {
			return err
		}
	}
	if c.hooks.deep != nil && deep {
		return c.hooks.deep(c, first, data)
	}
	if c.hooks.rangeOf != nil {
		data = c.hooks.rangeOf(c, first, count, data)
	}
	if data == nil {
		return nil
	}
	return c.file(data)
}

// honestRange is what an honest peer at this spot would send for a request, up to
// a proof's worth.
func (c *call) honestRange(p wire.Packet) []byte {
	first, count := wire.SplitTFArg(p.Arg)
	return mcm.Bytes(c.at.line.cut(c.at.index, first, min(count, segment)))
}

// A countingConn counts bytes.
type countingConn struct {
	net.Conn
	in, out *atomic.Int64
}

func (c *countingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.in.Add(int64(n))
	return n, err
}

func (c *countingConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.out.Add(int64(n))
	return n, err
}
