package peer

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"

	"kigo/node/wire"
)

// SessionOptions are the settings of a Session.
type SessionOptions struct {
	Caps     wire.Caps
	State    func() wire.State // asked for each packet; nil means no chain
	Timeouts Timeouts
}

// ErrNotHello is a first packet that is well-formed and no HELLO.
var ErrNotHello = errors.New("peer: the first packet is no HELLO")

// A Session is the answering end of one conversation.  Its methods come in the
// order of a conversation: Accept (or Hello, Acknowledge and Request, the steps
// of it), then Reply or SendFile, then Close.  Errors are a *wire.Error, those of
// the connection, and those named here.  Not safe for concurrent use.
type Session struct {
	o        SessionOptions
	peer     netip.Addr
	id1, id2 uint16
	arg      uint64 // of the request; replies repeat it
	line     line
	buf      []byte
	stop     func() bool
}

// NewSession begins a conversation over a connection that was accepted, which
// is closed when ctx ends.  The time for the HELLO runs from now on.
func NewSession(ctx context.Context, conn net.Conn, o SessionOptions) *Session {
	if o.State == nil {
		o.State = func() wire.State { return wire.State{} }
	}
	o.Timeouts = o.Timeouts.filled()
	s := &Session{o: o, line: line{conn: conn}, buf: make([]byte, 0, bufferLen), stop: watch(ctx, conn)}
	if a, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		s.peer = a.Addr().Unmap()
	}
	s.line.begin(o.Timeouts.Hello)
	return s
}

// Peer returns the address of the caller, invalid if the connection has none.
func (s *Session) Peer() netip.Addr { return s.peer }

// IDs returns the ids of the conversation.
func (s *Session) IDs() (id1, id2 uint16) { return s.id1, s.id2 }

// Bytes returns what was received and sent so far.
func (s *Session) Bytes() (in, out int64) { return s.line.in, s.line.out }

// Close ends the conversation.
func (s *Session) Close() {
	s.stop()
	s.line.conn.Close()
}

// Accept shakes hands and reads the request.  The request's data are valid until
// the next call of a method.
func (s *Session) Accept() (wire.Packet, error) {
	if _, err := s.Hello(); err != nil {
		return wire.Packet{}, err
	}
	if err := s.Acknowledge(); err != nil {
		return wire.Packet{}, err
	}
	return s.Request()
}

// Hello reads the caller's HELLO.  Its data, if any, are refused unread and never
// sent back (docs/spec/network.md section 2).
func (s *Session) Hello() (wire.Packet, error) {
	p, err := s.read()
	if err != nil {
		return p, err
	}
	if p.Op != wire.OpHello {
		return p, fmt.Errorf("%w but %s", ErrNotHello, p.Op)
	}
	s.id1 = p.ID1
	return p, nil
}

// Acknowledge draws id2 and answers the HELLO.
func (s *Session) Acknowledge() error {
	var id [2]byte
	rand.Read(id[:])
	s.id2 = binary.LittleEndian.Uint16(id[:])
	s.line.begin(s.o.Timeouts.Packet)
	return s.Reply(wire.OpHelloAck, nil)
}

// Request reads the request.  More data than its operation has are refused
// unread.  The operation may be any, also one that is no request.
func (s *Session) Request() (wire.Packet, error) {
	s.line.begin(s.o.Timeouts.Request)
	p, err := s.read()
	if err != nil {
		return p, err
	}
	if err := p.CheckIDs(s.id1, s.id2); err != nil {
		return p, err
	}
	s.arg = p.Arg
	s.line.begin(s.o.Timeouts.Packet)
	return p, nil
}

func (s *Session) read() (wire.Packet, error) {
	p, raw, err := wire.Read(&s.line, s.buf, wire.RequestLimit)
	s.buf = raw
	return p, err
}

// Reply sends a packet with our state, the conversation's ids and the request's
// argument.
func (s *Session) Reply(op wire.Op, data []byte) error {
	return s.Send(&wire.Packet{
		Op: op, Caps: s.o.Caps, ID1: s.id1, ID2: s.id2, Arg: s.arg, State: s.o.State(), Data: data,
	})
}

// Send sends a packet as it is.
func (s *Session) Send(p *wire.Packet) error {
	b, err := p.AppendTo(s.buf[:0])
	if err != nil {
		return err
	}
	s.buf = b
	s.line.nextPacket(s.o.Timeouts.Packet)
	_, err = s.line.Write(b)
	return err
}

// A ReadError is one of the file that SendFile was to send.
type ReadError struct{ Err error }

// Error implements error.
func (e *ReadError) Error() string { return "read what is to be sent: " + e.Err.Error() }

// Unwrap returns the file's own error.
func (e *ReadError) Unwrap() error { return e.Err }

// SendFile sends what r has, MaxFile bytes at most, in packets of 65,535 bytes
// and a shorter one, which may be empty (docs/spec/network.md section 6).  A
// caller that takes less than the least rate isn't waited for.  An error of r is
// a *ReadError.
func (s *Session) SendFile(r io.Reader) error {
	t := &s.o.Timeouts
	s.line.begin(t.transfer(MaxFile))
	s.line.grace, s.line.rate = t.Grace, t.MinRate
	r = io.LimitReader(r, MaxFile)
	chunk := chunks.Get().(*[wire.FileChunk]byte)
	defer chunks.Put(chunk)
	for {
		before := time.Now()
		n, err := io.ReadFull(r, chunk[:])
		s.line.pause(time.Since(before))
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return &ReadError{err}
		}
		if err := s.Reply(wire.OpSendFile, chunk[:n]); err != nil {
			return err
		}
		if n < wire.FileChunk {
			return nil
		}
	}
}

// chunks are what files are read into.
var chunks = sync.Pool{New: func() any { return new([wire.FileChunk]byte) }}
