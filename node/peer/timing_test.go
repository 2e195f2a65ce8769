package peer_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/fault"
	"kigo/node/peer"
	"kigo/node/wire"
)

// drip writes b in pieces of n bytes, the first after a pause too, until the
// other end closes.
func drip(conn net.Conn, b []byte, n int, pause time.Duration) {
	for len(b) > 0 {
		time.Sleep(pause)
		n = min(n, len(b))
		if _, err := conn.Write(b[:n]); err != nil {
			return
		}
		b = b[n:]
	}
}

// silence reads until the other end closes.
func silence(conn net.Conn) { io.Copy(io.Discard, conn) }

// everyPause sends the packets of a file of n bytes, one after each pause.
func everyPause(n int, pause time.Duration) func(net.Conn) {
	return accepted(func(s *peer.Session, conn net.Conn, _ wire.Packet) {
		for ; n >= wire.FileChunk; n -= wire.FileChunk {
			time.Sleep(pause)
			if s.Reply(wire.OpSendFile, make([]byte, wire.FileChunk)) != nil {
				return
			}
		}
		time.Sleep(pause)
		s.Reply(wire.OpSendFile, make([]byte, n))
	})
}

// TestTiming: whatever a peer does, and wherever it stops, the call ends at its
// time, and says how.
func TestTiming(t *testing.T) {
	const second = time.Second
	proof := askTrailers(100, 54)
	long := askTrailers(100, 1000)
	rangeBytes := func() []byte {
		var b []byte
		for _, t := range chain(100, 1000) {
			b = append(b, t[:]...)
		}
		return b
	}()
	ranged := func(pause time.Duration) func(net.Conn) {
		return accepted(func(s *peer.Session, conn net.Conn, _ wire.Packet) {
			for b := rangeBytes; ; b = b[wire.FileChunk:] {
				time.Sleep(pause)
				if s.Reply(wire.OpSendFile, b[:min(len(b), wire.FileChunk)]) != nil || len(b) < wire.FileChunk {
					return
				}
			}
		})
	}
	replyDrip := func(op wire.Op, data []byte, n int, pause time.Duration) func(net.Conn) {
		return accepted(func(s *peer.Session, conn net.Conn, _ wire.Packet) { drip(conn, raw(s, op, data), n, pause) })
	}
	afterRequest := accepted(func(_ *peer.Session, conn net.Conn, _ wire.Packet) { silence(conn) })
	// What 65,663 bytes, a full packet, give at the least rate.
	const full = 65663 * second / (16 << 10)

	for _, c := range []struct {
		name  string
		serve func(net.Conn)
		ask   ask
		want  fault.Kind
		took  time.Duration
	}{
		{"doesn't even read HELLO", func(net.Conn) { time.Sleep(time.Minute) }, nil, fault.Timeout, 3 * second},
		{"silent after HELLO", silence, nil, fault.Timeout, 3 * second},
		{"half a HELLO_ACK", func(conn net.Conn) {
			s := newAnswer(conn)
			s.Hello()
			conn.Write(raw(s, wire.OpHelloAck, nil)[:64])
			silence(conn)
		}, nil, fault.TooSlow, 3 * second},
		{"a byte of HELLO_ACK a second", func(conn net.Conn) {
			s := newAnswer(conn)
			s.Hello()
			drip(conn, raw(s, wire.OpHelloAck, nil), 1, second)
		}, nil, fault.TooSlow, 3 * second},
		{"HELLO_ACK just in time", func(conn net.Conn) {
			s := newAnswer(conn)
			s.Hello()
			time.Sleep(3*second - 1)
			if s.Acknowledge() == nil {
				s.Request()
				s.Reply(wire.OpHash, make([]byte, 32))
			}
		}, askHash, "", 3*second - 1},
		{"doesn't read the request", func(conn net.Conn) {
			s := newAnswer(conn)
			s.Hello()
			s.Acknowledge()
			time.Sleep(time.Minute)
		}, askHash, fault.Timeout, 5 * second},
		{"reads half of an announcement", func(conn net.Conn) {
			s := newAnswer(conn)
			s.Hello()
			s.Acknowledge()
			io.ReadFull(conn, make([]byte, 5000))
			time.Sleep(time.Minute)
		}, askFound, fault.TooSlow, 5 * second},

		{"no list", afterRequest, askIPL, fault.Timeout, 5 * second},
		{"no proof", afterRequest, proof, fault.Timeout, 5 * second},
		{"no range", afterRequest, long, fault.Timeout, 5 * second},
		{"no hash", afterRequest, askHash, fault.Timeout, 5 * second},
		{"no balance", afterRequest, askBalance, fault.Timeout, 5 * second},
		{"no identity", afterRequest, askIdentify, fault.Timeout, 5 * second},
		{"no file", afterRequest, askTFile(1 << 20), fault.Timeout, 5 * second},

		{"a byte of list a second", replyDrip(wire.OpSendIPL, make([]byte, 4), 1, second), askIPL, fault.TooSlow, 5 * second},
		{"a byte of hash a second", replyDrip(wire.OpHash, make([]byte, 32), 1, second), askHash, fault.TooSlow, 5 * second},
		{"a byte of proof a second", replyDrip(wire.OpSendFile, rangeBytes[:8640], 1, second), proof, fault.TooSlow, 5 * second},
		{"a byte of range a second", replyDrip(wire.OpSendFile, rangeBytes[:65535], 1, second), long, fault.TooSlow, 5 * second},
		{"a byte of file a second", replyDrip(wire.OpSendFile, rangeBytes[:65535], 1, second), askTFile(1 << 30), fault.TooSlow, 5 * second},
		{"a proof in two-second pieces", replyDrip(wire.OpSendFile, rangeBytes[:8640], 4400, 2*second), proof, "", 4 * second},
		{"a range at twice the least rate", ranged(2 * second), long, "", 6 * second},
		{"a range just above the least rate", ranged(4 * second), long, "", 12 * second},
		{"a packet of range in 4.9 s", ranged(4900 * time.Millisecond), long, fault.TooSlow, 5*second + full},
		{"a packet of file in 4.9 s", everyPause(1<<24, 4900*time.Millisecond), askTFile(1 << 30), fault.TooSlow, 5*second + full},
		{"a file just above the least rate", everyPause(1<<24, 4*second), askTFile(1 << 30), "", 4 * second * (1<<24/wire.FileChunk + 1)},
		{"one packet of a file", accepted(func(s *peer.Session, conn net.Conn, _ wire.Packet) {
			s.Reply(wire.OpSendFile, make([]byte, wire.FileChunk))
			silence(conn)
		}), askTFile(1 << 30), fault.TooSlow, 5 * second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer time.Sleep(time.Hour) // until the peer has noticed
				began := time.Now()
				client := peer.NewClient(peer.Options{Dial: dialer(c.serve)})
				call, err := client.Call(t.Context(), target)
				if err == nil {
					if c.ask == nil {
						t.Fatal("the handshake succeeded")
					}
					err = c.ask(t.Context(), call)
				}
				if got := kindOf(err); got != c.want {
					t.Errorf("%q (%v), want %q", got, err, c.want)
				}
				if took := time.Since(began).Round(time.Millisecond); took != c.took.Round(time.Millisecond) {
					t.Errorf("took %v, want %v", took, c.took)
				}
			})
		})
	}
}

func TestDialTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		client := peer.NewClient(peer.Options{Dial: func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}})
		_, err := client.Call(t.Context(), target)
		if kindOf(err) != fault.Timeout || time.Since(began) != 3*time.Second {
			t.Errorf("%v after %v, want a timeout after 3 s", err, time.Since(began))
		}
	})
}

// TestCancel: a context that ends is nobody's fault, whatever was waited for.
func TestCancel(t *testing.T) {
	cause := errors.New("superseded")
	handshake := func(conn net.Conn) {
		s := newAnswer(conn)
		s.Hello()
		s.Acknowledge()
		time.Sleep(time.Minute)
	}
	for _, c := range []struct {
		name string
		dial func(context.Context, netip.AddrPort) (net.Conn, error)
	}{
		{"connecting", func(ctx context.Context, _ netip.AddrPort) (net.Conn, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}},
		{"sending HELLO", dialer(func(net.Conn) { time.Sleep(time.Minute) })},
		{"waiting for HELLO_ACK", dialer(silence)},
		{"sending the request", dialer(handshake)},
		{"waiting for the reply", dialer(accepted(func(_ *peer.Session, conn net.Conn, _ wire.Packet) { silence(conn) }))},
		{"inside the reply", dialer(accepted(func(s *peer.Session, conn net.Conn, _ wire.Packet) {
			drip(conn, raw(s, wire.OpSendFile, make([]byte, 160)), 50, 400*time.Millisecond)
		}))},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer time.Sleep(time.Hour) // until the peer has noticed
				began := time.Now()
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Second, func() { cancel(cause) })
				call, err := peer.NewClient(peer.Options{Dial: c.dial}).Call(ctx, target)
				if err == nil {
					_, err = call.Trailers(ctx, 0, 54)
				}
				if err != cause || time.Since(began) != time.Second {
					t.Errorf("%v after %v, want the cause after 1 s", err, time.Since(began))
				}
			})
		})
	}
	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if _, err := peer.NewClient(peer.Options{}).Call(ctx, target); err != cause {
			t.Errorf("%v, want the cause", err)
		}
	})
	t.Run("between", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		call, err := peer.NewClient(peer.Options{Dial: dialer(accepted(
			func(*peer.Session, net.Conn, wire.Packet) { t.Error("a request was sent") }))}).Call(ctx, target)
		if err != nil {
			t.Fatal(err)
		}
		cancel(cause)
		if _, err := call.Hash(ctx, 1); err != cause {
			t.Errorf("%v, want the cause", err)
		}
	})
}

// slowWriter takes its time, as a disk may.
type slowWriter struct {
	pause time.Duration
	err   error
}

func (w slowWriter) Write(b []byte) (int, error) {
	time.Sleep(w.pause)
	return len(b), w.err
}

// TestOurOwnDisk: the peer isn't charged for the time and the errors of what we
// do with its bytes.
func TestOurOwnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := peer.NewClient(peer.Options{Dial: dialer(everyPause(1<<20, 0))})
		call, err := client.Call(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := call.TFile(t.Context(), 1<<20, slowWriter{pause: time.Minute}); err != nil || n != 1<<20 {
			t.Errorf("%d bytes, %v; want all", n, err)
		}
		call, err = client.Call(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		full := errors.New("disk full")
		var f *fault.Fault
		if _, err := call.TFile(t.Context(), 1<<20, slowWriter{err: full}); !errors.Is(err, full) || errors.As(err, &f) {
			t.Errorf("%v, want our own error", err)
		}
	})
}
