package peer

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"kigo/node/fault"
	"kigo/node/wire"
)

// ServerOptions are the settings of a Server.  A number that is 0 has its
// default.
type ServerOptions struct {
	Caps     wire.Caps
	Timeouts Timeouts

	Workers      int // files sent at once; 32.  Above it a caller gets BUSY
	PerGroup     int // of them to one group; 8
	Open         int // connections at once; 512.  Above it they are closed at once
	OpenPerGroup int // of them from one group; an eighth, for silent ones to leave room
	Groups       fault.Groups

	// Bytes of files sent in an hour; above that a caller gets BUSY.
	Upload         int64 // in all; 16 GiB
	UploadPerGroup int64 // to one group; 1 GiB

	// Faulted is told what a caller did wrong: frames that prove something or
	// came damaged.  It may be nil, and is called from many goroutines.
	Faulted func(*fault.Fault)

	Log     *slog.Logger
	Metrics *Metrics
}

// A Server answers peers.
type Server struct {
	h Handler
	o ServerOptions

	mu      sync.Mutex
	open    crowd
	workers crowd
	uploads uploads
}

// A crowd counts who is there, by group.
type crowd struct {
	all, most, mostOfGroup int
	groups                 map[netip.Prefix]int
}

func newCrowd(most, mostOfGroup int) crowd {
	return crowd{most: most, mostOfGroup: mostOfGroup, groups: make(map[netip.Prefix]int)}
}

// enter counts one more of the group, unless there are too many.
func (c *crowd) enter(g netip.Prefix) bool {
	if c.all >= c.most || c.groups[g] >= c.mostOfGroup {
		return false
	}
	c.all++
	c.groups[g]++
	return true
}

func (c *crowd) leave(g netip.Prefix) {
	c.all--
	if c.groups[g]--; c.groups[g] == 0 {
		delete(c.groups, g)
	}
}

// NewServer returns a server that answers from h.
func NewServer(h Handler, o ServerOptions) *Server {
	or := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	or(&o.Workers, 32)
	or(&o.PerGroup, 8)
	or(&o.Open, 512)
	or(&o.OpenPerGroup, max(1, o.Open/8))
	if o.Upload <= 0 {
		o.Upload = allUpload
	}
	if o.UploadPerGroup <= 0 {
		o.UploadPerGroup = groupUpload
	}
	o.Timeouts = o.Timeouts.filled()
	o.Metrics = metricsOr(o.Metrics)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Server{
		h: h, o: o, open: newCrowd(o.Open, o.OpenPerGroup), workers: newCrowd(o.Workers, o.PerGroup),
		uploads: uploads{most: o.Upload, mostOfGroup: o.UploadPerGroup},
	}
}

// Outcomes of connections, the label of kigo_server_connections_total.
const (
	connAnswered   = "answered"
	connUnanswered = "unanswered" // a request we have no answer to
	connBusy       = "busy"       // all workers at work, or enough sent for an hour
	connCrowded    = "crowded"    // too many connections
	connFault      = "fault"      // a bad frame, or none
	connTimeout    = "timeout"    // silence, or too slow
	connGone       = "gone"       // the caller closed
	connFailed     = "failed"     // our own failure, or the end of ctx
)

// acceptPause is how long Serve waits when a connection can't be accepted, which
// is mostly for lack of file descriptors: others must end first.
const acceptPause = 50 * time.Millisecond

// Serve answers whoever connects to ln, each in a goroutine of its own, so that
// nobody waits for another.  When ctx ends it closes ln and every connection,
// waits for the goroutines and returns nil; otherwise it returns why ln can't go
// on.
func (s *Server) Serve(ctx context.Context, ln net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	var conns sync.WaitGroup
	defer conns.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, func() { ln.Close() })()
	for {
		conn, err := ln.Accept()
		if err != nil {
			switch {
			case ctx.Err() != nil:
				return nil
			case passes(err):
				s.o.Log.Warn("can't accept a connection", "err", err)
				select {
				case <-ctx.Done():
				case <-time.After(acceptPause):
				}
				continue
			default:
				return err
			}
		}
		session := NewSession(ctx, conn, SessionOptions{Caps: s.o.Caps, State: s.h.State, Timeouts: s.o.Timeouts})
		group := s.o.Groups.Of(session.Peer())
		if !s.enter(&s.open, group) {
			session.Close()
			s.o.Metrics.connections.WithLabelValues(connCrowded).Inc()
			continue
		}
		s.o.Metrics.active.Inc()
		conns.Go(func() {
			outcome, err := s.serve(session, group)
			if ctx.Err() != nil {
				outcome = connFailed
			}
			session.Close()
			s.leave(&s.open, group)
			s.o.Metrics.active.Dec()
			s.o.Metrics.moved(session.Bytes())
			s.o.Metrics.connections.WithLabelValues(outcome).Inc()
			s.o.Log.Debug("connection ended", "peer", session.Peer(), "outcome", outcome, "err", err)
		})
	}
}

// passes reports whether Accept may succeed when it is called again: unless the
// socket itself is no good any more, what failed was one connection, or something
// we are short of.
func passes(err error) bool {
	var temporary interface{ Temporary() bool }
	var errno syscall.Errno
	switch {
	case errors.As(err, &temporary) && temporary.Temporary():
		return true
	case errors.As(err, &errno):
		return errno != syscall.EBADF && errno != syscall.EINVAL && errno != syscall.ENOTSOCK
	default:
		return false
	}
}

// serve leads one conversation.
func (s *Server) serve(c *Session, group netip.Prefix) (outcome string, err error) {
	p, err := c.Accept()
	if err != nil {
		return s.failed(c, err)
	}
	s.o.Metrics.request(p.Op)
	if isFile(p.Op) {
		if !s.admit(group) {
			return connBusy, c.Reply(wire.OpBusy, nil)
		}
		defer func() {
			_, out := c.Bytes()
			s.release(group, out)
		}()
	}
	answered, err := answer(c, s.h, &p)
	switch {
	case err != nil:
		return s.failed(c, err)
	case !answered:
		return connUnanswered, nil
	default:
		return connAnswered, nil
	}
}

// failed says how a conversation ended that has no good end, and charges the
// caller where that is due.
func (s *Server) failed(c *Session, err error) (outcome string, _ error) {
	var bad *wire.Error
	var file *ReadError
	switch {
	case errors.As(err, &file):
		s.o.Log.Warn("can't read what a peer asked for", "peer", c.Peer(), "err", err)
		return connFailed, err
	case errors.As(err, &bad):
		switch bad.Kind {
		case wire.CRC:
			s.fault(c, fault.BadCRC, err)
		case wire.BadNetwork, wire.BadMark, wire.BadIDs:
			s.fault(c, fault.BadFrame, err)
		}
		return connFault, err
	case errors.Is(err, ErrNotHello):
		return connFault, err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return connGone, err
	}
	switch k, ok := lineKind(err, false); {
	case !ok:
		return connFailed, err
	case k == fault.Timeout:
		return connTimeout, err
	default:
		return connGone, err
	}
}

func (s *Server) fault(c *Session, k fault.Kind, err error) {
	f := &fault.Fault{Kind: k, Peer: c.Peer(), Err: err}
	s.o.Metrics.fault(f)
	if s.o.Faulted != nil {
		s.o.Faulted(f)
	}
}

func (s *Server) enter(c *crowd, g netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return c.enter(g)
}

func (s *Server) leave(c *crowd, g netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.leave(g)
}

// admit counts a worker for a file to the group, unless there are too many or the
// group has been sent enough.
func (s *Server) admit(g netip.Prefix) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.uploads.may(g, time.Now()) && s.workers.enter(g)
}

// release lets a worker go that has sent so many bytes.
func (s *Server) release(g netip.Prefix, sent int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.uploads.sent(g, sent)
	s.workers.leave(g)
}
