package peer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/wire"
)

var target = netip.MustParseAddr("192.0.2.1")

// tip is what scripted peers claim.
var tip = wire.State{Num: 0xa1069, Hash: mcm.Hash{1}, Prev: mcm.Hash{2}, Weight: mcm.Weight{3, 4}}

// slowly is the timeouts of a peer that waits for whatever a test does.
var slowly = peer.Timeouts{Hello: time.Hour, Request: time.Hour, Packet: time.Hour, Grace: 24 * time.Hour}

// dialer returns an Options.Dial whose connections end at serve, in a goroutine
// of its own.
func dialer(serve func(net.Conn)) func(context.Context, netip.AddrPort) (net.Conn, error) {
	return func(context.Context, netip.AddrPort) (net.Conn, error) {
		near, far := net.Pipe()
		go func() {
			defer far.Close()
			serve(far)
		}()
		return near, nil
	}
}

// accepted runs serve with a session that has shaken hands and read a request.
func accepted(serve func(s *peer.Session, conn net.Conn, request wire.Packet)) func(net.Conn) {
	return func(conn net.Conn) {
		s := newAnswer(conn)
		p, err := s.Accept()
		if err == nil {
			serve(s, conn, p)
		}
	}
}

func newAnswer(conn net.Conn) *peer.Session {
	return peer.NewSession(context.Background(), conn, peer.SessionOptions{
		Caps: wire.CapOptIn, State: func() wire.State { return tip }, Timeouts: slowly,
	})
}

// raw returns the bytes of a packet of the session.
func raw(s *peer.Session, op wire.Op, data []byte) []byte {
	p := wire.Packet{Op: op, State: tip, Data: data}
	p.ID1, p.ID2 = s.IDs()
	b, err := p.AppendTo(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// recrc gives changed bytes of a packet the CRC they need.
func recrc(b []byte) []byte {
	binary.LittleEndian.PutUint16(b[len(b)-4:], wire.CRC16(b[:len(b)-4]))
	return b
}

// chain returns count trailers from block first on, which nobody checks here.
func chain(first mcm.BlockNum, count int) []mcm.Trailer {
	ts := make([]mcm.Trailer, count)
	for i := range ts {
		binary.LittleEndian.PutUint64(ts[i][mcm.HashLen:], uint64(first)+uint64(i))
		ts[i][100] = byte(i)
		if got := ts[i].Num(); got != first+mcm.BlockNum(i) {
			panic(got)
		}
	}
	return ts
}

// kindOf returns the kind of a fault and what it unwraps to, "" for no error, or
// "!" and the text of another one.
func kindOf(err error) fault.Kind {
	var f *fault.Fault
	switch {
	case err == nil:
		return ""
	case errors.As(err, &f):
		return f.Kind
	default:
		return fault.Kind("! " + err.Error())
	}
}

// An ask is a request, whose result doesn't matter.
type ask func(ctx context.Context, c *peer.Call) error

func askTrailers(first mcm.BlockNum, count int) ask {
	return func(ctx context.Context, c *peer.Call) error {
		_, err := c.Trailers(ctx, first, count)
		return err
	}
}

func askIPL(ctx context.Context, c *peer.Call) error {
	_, _, err := c.IPL(ctx)
	return err
}

func askHash(ctx context.Context, c *peer.Call) error {
	_, err := c.Hash(ctx, 7)
	return err
}

func askBalance(ctx context.Context, c *peer.Call) error {
	_, err := c.Balance(ctx, make([]byte, 20))
	return err
}

func askIdentify(ctx context.Context, c *peer.Call) error {
	_, err := c.Identify(ctx)
	return err
}

func askTFile(limit int64) ask {
	return func(ctx context.Context, c *peer.Call) error {
		_, err := c.TFile(ctx, limit, io.Discard)
		return err
	}
}

func askFound(ctx context.Context, c *peer.Call) error {
	return c.Found(ctx, tip, chain(1, 54))
}

// A heap of trailers and files to answer from.
type shelf struct {
	peers    []netip.Addr
	trailers []mcm.Trailer // from block 0 on
	tfile    func() (io.ReadCloser, error)
	blocks   map[mcm.BlockNum][]byte
	hashes   map[mcm.BlockNum]mcm.Hash

	mu    sync.Mutex
	heard []netip.Addr
	found []*wire.Packet
	txs   []*wire.Packet
}

func (h *shelf) State() wire.State { return tip }

func (h *shelf) Peers() []netip.Addr {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append(h.peers, h.heard...)
}

func (h *shelf) Trailers(first, count uint32) []mcm.Trailer {
	if int(first) >= len(h.trailers) {
		return nil
	}
	ts := h.trailers[first:]
	return ts[:min(len(ts), int(count))]
}

func (h *shelf) TFile() (io.ReadCloser, error) {
	if h.tfile == nil {
		return nil, errors.New("no trailer file")
	}
	return h.tfile()
}

func (h *shelf) Block(n mcm.BlockNum) (io.ReadCloser, error) {
	b, ok := h.blocks[n]
	if !ok {
		return nil, errors.New("no such block")
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (h *shelf) Hash(n mcm.BlockNum) (mcm.Hash, bool) {
	hash, ok := h.hashes[n]
	return hash, ok
}

func (h *shelf) Heard(a netip.Addr, caps wire.Caps) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.heard = append(h.heard, a)
}

func (h *shelf) Found(a netip.Addr, m *wire.Packet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.found = append(h.found, m)
}

func (h *shelf) TX(a netip.Addr, m *wire.Packet) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.txs = append(h.txs, m)
}

// endless is a file without an end.
type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }
func (endless) Close() error               { return nil }

// A piped listener accepts net.Pipe connections.
type piped struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newPiped() *piped { return &piped{conns: make(chan net.Conn), done: make(chan struct{})} }

func (l *piped) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *piped) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *piped) Addr() net.Addr { return net.TCPAddrFromAddrPort(netip.AddrPort{}) }

// dial connects to the listener from an address.
func (l *piped) dial(from netip.Addr) net.Conn {
	near, far := net.Pipe()
	l.conns <- addressed{far, from}
	return near
}

// dialer is an Options.Dial for callers at an address.
func (l *piped) dialer(from netip.Addr) func(context.Context, netip.AddrPort) (net.Conn, error) {
	return func(context.Context, netip.AddrPort) (net.Conn, error) { return l.dial(from), nil }
}

// addressed is a connection from an address.
type addressed struct {
	net.Conn
	from netip.Addr
}

func (c addressed) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(c.from, 40000))
}

// serving runs a server on a piped listener until the test ends, which fails if
// Serve does.
func serving(t testing.TB, h peer.Handler, o peer.ServerOptions) (*piped, func()) {
	t.Helper()
	ln := newPiped()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- peer.NewServer(h, o).Serve(ctx, ln) }()
	return ln, func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	}
}
