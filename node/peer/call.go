package peer

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"

	"kigo/node/fault"
	"kigo/node/wire"
)

// A Client calls peers.  Safe for concurrent use.
type Client struct {
	o       Options
	buffers sync.Pool // of *[]byte
}

// NewClient returns a client with these options.
func NewClient(o Options) *Client {
	if o.Port == 0 {
		o.Port = wire.DefaultPort
	}
	if o.Dial == nil {
		o.Dial = dialTCP
	}
	if o.State == nil {
		o.State = func() wire.State { return wire.State{} }
	}
	o.Timeouts = o.Timeouts.filled()
	o.Metrics = metricsOr(o.Metrics)
	return &Client{o: o}
}

// ErrUsed is what a second request on one connection gets: no server reads it.
var ErrUsed = errors.New("peer: the call has been used")

// A Call is one conversation: a connection, a handshake, one request, whose
// method also closes it.  Not safe for concurrent use.
type Call struct {
	client   *Client
	peer     netip.Addr
	state    wire.State // ours, the same in both packets
	id1, id2 uint16
	claim    wire.State // the peer's, of the HELLO_ACK
	caps     wire.Caps  // likewise
	line     line
	used     bool
	closed   bool

	transcript [][]byte
	kept       int // bytes of transcript, or maxTranscript once something was left out
}

// maxTranscript bounds what a Call keeps for evidence: more than the longest
// reply that can be judged, 1,000 trailers.
const maxTranscript = 256 << 10

// Call connects to a peer and shakes hands.
//
// The error is a *fault.Fault, or the cause of ctx if that ended, or our own
// failure, such as no file descriptors left, for which nobody is charged.  Even
// with an error the Call isn't nil: it is closed then, and tells what was
// received and how many bytes it cost.
func (c *Client) Call(ctx context.Context, a netip.Addr) (*Call, error) {
	call := &Call{client: c, peer: a, state: c.o.State()}
	err := call.open(ctx)
	if err != nil {
		call.used = true
		call.Close()
		c.o.Metrics.call(ctx, wire.OpHello, err)
	}
	return call, err
}

// open connects and shakes hands.
func (c *Call) open(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	t := &c.client.o.Timeouts
	dial, cancel := context.WithTimeout(ctx, t.Connect)
	conn, err := c.client.o.Dial(dial, netip.AddrPortFrom(c.peer, c.client.o.Port))
	cancel()
	if err != nil {
		return c.blame(ctx, "connect", err)
	}
	c.line.conn = conn
	defer watch(ctx, conn)()

	var id [2]byte
	rand.Read(id[:])
	c.id1 = binary.LittleEndian.Uint16(id[:])
	c.line.begin(t.HelloAck)
	if err := c.send(ctx, &wire.Packet{Op: wire.OpHello, State: c.state}); err != nil {
		return err
	}
	c.line.moved = 0 // to tell a silent peer from a slow one
	p, release, err := c.read(ctx, wire.OpHelloAck, 0, fault.Refused)
	release()
	if err != nil {
		return err
	}
	c.claim, c.caps, c.id2 = p.State, p.Caps, p.ID2
	return nil
}

// Claim returns what the peer said of its chain in the handshake.
func (c *Call) Claim() wire.State { return c.claim }

// Caps returns the capability bits of the peer.
func (c *Call) Caps() wire.Caps { return c.caps }

// Peer returns who is called.
func (c *Call) Peer() netip.Addr { return c.peer }

// IDs returns the ids of the connection.
func (c *Call) IDs() (id1, id2 uint16) { return c.id1, c.id2 }

// Bytes returns what was received from the peer and sent to it so far, packet
// headers included.
func (c *Call) Bytes() (in, out int64) { return c.line.in, c.line.out }

// Transcript returns the packets that were received, in order, as evidence: the
// first 256 KiB of them, whole.  The last one ends early if the connection did,
// and after the header if that announced more data than was asked for.
func (c *Call) Transcript() [][]byte { return c.transcript }

// Close ends a call that isn't used, and does nothing once it was.
func (c *Call) Close() {
	if c.line.conn == nil || c.closed {
		return
	}
	c.used, c.closed = true, true
	c.line.conn.Close()
	c.client.o.Metrics.moved(c.Bytes())
}

// watch closes the connection when ctx ends, until the function it returns is
// called.
func watch(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { conn.Close() })
}

// request sends the one request, lets reply read the answer, and ends the call.
// What reply returns is passed on.
func (c *Call) request(ctx context.Context, p *wire.Packet, reply func() error) error {
	if c.used {
		return ErrUsed
	}
	c.used = true
	stop := watch(ctx, c.line.conn)
	err := func() error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		c.line.begin(c.client.o.Timeouts.Packet)
		if err := c.send(ctx, p); err != nil || reply == nil {
			return err
		}
		return reply()
	}()
	stop()
	c.Close()
	c.client.o.Metrics.call(ctx, p.Op, err)
	return err
}

// send writes a packet; ids and capabilities are set here.
func (c *Call) send(ctx context.Context, p *wire.Packet) error {
	p.Caps, p.ID1, p.ID2 = c.client.o.Caps, c.id1, c.id2
	buf := c.client.buffer()
	defer c.client.release(buf)
	b, err := p.AppendTo((*buf)[:0])
	*buf = b
	if err != nil {
		return err
	}
	if _, err := c.line.Write(b); err != nil {
		return c.blame(ctx, p.Op.String(), err)
	}
	return nil
}

// read reads a packet that should be of operation want with at most most bytes
// of data; long is what it proves if more are announced.  The packet's data are
// valid until release is called.
func (c *Call) read(ctx context.Context, want wire.Op, most int, long fault.Kind) (_ wire.Packet, release func(), _ error) {
	buf := c.client.buffer()
	release = func() { c.client.release(buf) }
	p, raw, err := wire.Read(&c.line, *buf, func(op wire.Op) int {
		switch op {
		case want:
			return most
		case wire.OpNack:
			return maxNack
		default:
			return 0
		}
	})
	*buf = raw
	c.keep(raw)
	if err != nil {
		return p, release, c.blamePacket(ctx, err, &p, want, long)
	}
	if p.Op != want {
		return p, release, c.fault(fault.Refused, refusal(&p), nil)
	}
	if err := c.checkIDs(&p); err != nil {
		return p, release, c.fault(fault.BadFrame, "", err)
	}
	return p, release, nil
}

// checkIDs compares a packet's ids with the connection's; id2 is unknown until
// the HELLO_ACK brings it.
func (c *Call) checkIDs(p *wire.Packet) error {
	id2 := c.id2
	if p.Op == wire.OpHelloAck {
		id2 = p.ID2
	}
	return p.CheckIDs(c.id1, id2)
}

// keep adds what was received to the transcript, until that is full.
func (c *Call) keep(raw []byte) {
	if len(raw) == 0 {
		return
	}
	if c.kept += len(raw); c.kept > maxTranscript {
		c.kept = maxTranscript // nothing fits any more: no gaps
		return
	}
	c.transcript = append(c.transcript, append([]byte(nil), raw...))
}

// fault makes a fault of the called peer.
func (c *Call) fault(k fault.Kind, detail string, err error) *fault.Fault {
	return &fault.Fault{Kind: k, Peer: c.peer, Detail: detail, Err: err}
}

// What buffers begin with, and what is too large to be kept for other calls.
const (
	bufferLen = 512
	maxBuffer = 16 << 10
)

func (c *Client) buffer() *[]byte {
	if b, ok := c.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, 0, bufferLen)
	return &b
}

func (c *Client) release(b *[]byte) {
	if cap(*b) <= maxBuffer {
		c.buffers.Put(b)
	}
}

// refusal describes a packet that is no answer.
func refusal(p *wire.Packet) string {
	if p.Op == wire.OpNack {
		if n, err := wire.ParseNack(p.Data); err == nil {
			return fmt.Sprintf("NACK %q", n.Name)
		}
	}
	return p.Op.String()
}
