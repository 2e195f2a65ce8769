package peer_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/wire"
)

// caller is the nth address of the kth group.
func caller(k, n byte) netip.Addr { return netip.AddrFrom4([4]byte{198, k, 0, n}) }

// shake shakes hands as a caller and returns the ids.
func shake(conn net.Conn, hello []byte) (id1, id2 uint16, err error) {
	if _, err := conn.Write(hello); err != nil {
		return 0, 0, err
	}
	p, _, err := wire.Read(conn, nil, nil)
	return p.ID1, p.ID2, err
}

func hello() []byte { return packet(wire.OpHello, 0x1234, 0, 0, nil) }

func packet(op wire.Op, id1, id2 uint16, arg uint64, data []byte) []byte {
	b, err := (&wire.Packet{Op: op, ID1: id1, ID2: id2, Arg: arg, Data: data}).AppendTo(nil)
	if err != nil {
		panic(err)
	}
	return b
}

// TestServerEnds: a caller that stops anywhere is gone at its time.
func TestServerEnds(t *testing.T) {
	const second = time.Second
	const full = 65663 * second / (16 << 10)
	shaken := func(then func(conn net.Conn, id1, id2 uint16)) func(net.Conn) {
		return func(conn net.Conn) {
			id1, id2, err := shake(conn, hello())
			if err == nil {
				then(conn, id1, id2)
			}
		}
	}
	tfile := func(conn net.Conn, id1, id2 uint16) { conn.Write(packet(wire.OpGetTFile, id1, id2, 0, nil)) }
	for _, c := range []struct {
		name string
		call func(net.Conn)
		took time.Duration
	}{
		{"silent", func(net.Conn) {}, 2 * second},
		{"half a HELLO", func(conn net.Conn) { conn.Write(hello()[:64]) }, 2 * second},
		{"a byte of HELLO in 0.1 s", func(conn net.Conn) { drip(conn, hello(), 1, second/10) }, 2 * second},
		{"doesn't read HELLO_ACK", func(conn net.Conn) { conn.Write(hello()) }, 5 * second},
		{"no request", shaken(func(net.Conn, uint16, uint16) {}), 3 * second},
		{"a byte of request in 0.1 s", shaken(func(conn net.Conn, id1, id2 uint16) {
			drip(conn, packet(wire.OpGetIPL, id1, id2, 0, nil), 1, second/10)
		}), 3 * second},
		{"half an announcement", shaken(func(conn net.Conn, id1, id2 uint16) {
			conn.Write(packet(wire.OpFound, id1, id2, 0, make([]byte, 8640))[:5000])
		}), 3 * second},
		{"doesn't read the hash", shaken(func(conn net.Conn, id1, id2 uint16) {
			conn.Write(packet(wire.OpHash, id1, id2, 7, nil))
		}), 5 * second},
		{"doesn't read the file", shaken(tfile), 5 * second},
		{"reads a byte of the file a second", shaken(func(conn net.Conn, id1, id2 uint16) {
			tfile(conn, id1, id2)
			for b := make([]byte, 1); ; time.Sleep(second) {
				if _, err := conn.Read(b); err != nil {
					return
				}
			}
		}), 5 * second},
		{"reads a packet of the file in 4.9 s", shaken(func(conn net.Conn, id1, id2 uint16) {
			tfile(conn, id1, id2)
			for b := make([]byte, 65663); ; {
				time.Sleep(4900 * time.Millisecond)
				if _, err := io.ReadFull(conn, b); err != nil {
					return
				}
			}
		}), 5*second + full},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				defer time.Sleep(time.Hour) // until the caller has noticed
				h := &shelf{tfile: func() (io.ReadCloser, error) { return endless{}, nil }, hashes: map[mcm.BlockNum]mcm.Hash{7: {}}}
				ln, stop := serving(t, h, peer.ServerOptions{})
				defer stop()
				conn := ln.dial(caller(1, 1))
				defer conn.Close()
				began := time.Now()
				go c.call(conn)
				for {
					time.Sleep(time.Millisecond)
					// A closed pipe tells so when nothing is written, too.
					if _, err := conn.Write(nil); err != nil {
						break
					}
				}
				if took := time.Since(began); took < c.took || took > c.took+2*time.Millisecond {
					t.Errorf("took %v, want %v", took, c.took)
				}
			})
		})
	}
}

// TestNobodyWaits: silent callers hold up nobody else.  Behind five of them a
// client of the reference node waits 5.6 s (docs/spec/network.md section 4).
func TestNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, stop := serving(t, &shelf{hashes: map[mcm.BlockNum]mcm.Hash{7: {8}}}, peer.ServerOptions{})
		defer stop()
		for i := range 5 {
			conn := ln.dial(caller(1, byte(i)))
			defer conn.Close()
			if i > 2 { // silent after the handshake
				shake(conn, hello())
			}
		}
		began := time.Now()
		call, err := peer.NewClient(peer.Options{Dial: ln.dialer(caller(1, 6))}).Call(t.Context(), target)
		if err == nil {
			_, err = call.Hash(t.Context(), 7)
		}
		if err != nil || time.Since(began) != 0 {
			t.Errorf("the sixth was answered after %v: %v", time.Since(began), err)
		}
	})
}

// asks shakes hands, sends a request and returns the operation of the answer,
// with the rest of it unread.
func asks(t *testing.T, conn net.Conn, op wire.Op) wire.Op {
	t.Helper()
	id1, id2, err := shake(conn, hello())
	if err == nil {
		_, err = conn.Write(packet(op, id1, id2, wire.TFArg(0, 1), nil))
	}
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := wire.Read(conn, nil, func(wire.Op) int { return 0 })
	var e *wire.Error
	if err != nil && !errors.As(err, &e) {
		t.Fatal(err)
	}
	return p.Op
}

// TestGroupCrowding: one group can't take all the workers, and 32 are all there
// are.
func TestGroupCrowding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, stop := serving(t, &shelf{tfile: func() (io.ReadCloser, error) { return endless{}, nil }}, peer.ServerOptions{})
		defer stop()
		for k := range byte(5) {
			for n := range byte(9) {
				conn := ln.dial(caller(k, n))
				defer conn.Close()
				want := wire.OpSendFile
				if n >= 8 || k >= 4 {
					want = wire.OpBusy
				}
				if got := asks(t, conn, wire.OpGetTFile); got != want {
					t.Errorf("client %d of group %d gets %s, want %s", n, k, got, want)
				}
			}
		}
	})
}

// TestOpenConnections: silent callers are bounded, as a whole and by group.
func TestOpenConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, stop := serving(t, &shelf{hashes: map[mcm.BlockNum]mcm.Hash{mcm.BlockNum(wire.TFArg(0, 1)): {8}}}, peer.ServerOptions{Open: 8, OpenPerGroup: 2})
		defer stop()
		closed := func(conn net.Conn) bool {
			synctest.Wait()
			_, err := conn.Write(nil)
			return err != nil
		}
		for k := range byte(5) {
			for n := range byte(3) {
				conn := ln.dial(caller(k, n))
				defer conn.Close()
				if got, want := closed(conn), n >= 2 || k >= 4; got != want {
					t.Errorf("client %d of group %d: closed is %v, want %v", n, k, got, want)
				}
			}
		}
		time.Sleep(2 * time.Second) // the silent ones are gone
		synctest.Wait()
		conn := ln.dial(caller(4, 0))
		defer conn.Close()
		if got := asks(t, conn, wire.OpHash); got != wire.OpHash {
			t.Errorf("an honest client gets %s", got)
		}
	})
}

// TestServeStops: Serve leaves nothing behind when ctx ends, whatever callers
// are doing; the bubble sees to it that no goroutine is.
func TestServeStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ln, stop := serving(t, &shelf{tfile: func() (io.ReadCloser, error) { return endless{}, nil }}, peer.ServerOptions{})
		silent, shaken, busy := ln.dial(caller(1, 1)), ln.dial(caller(2, 1)), ln.dial(caller(3, 1))
		shake(shaken, hello())
		asks(t, busy, wire.OpGetTFile)
		began := time.Now()
		stop()
		if time.Since(began) != 0 {
			t.Errorf("took %v", time.Since(began))
		}
		for _, conn := range []net.Conn{silent, shaken, busy} {
			if _, err := conn.Write(nil); err == nil {
				t.Error("a connection is open")
			}
		}
	})
}

// A failing listener fails a few times in a way that passes, then for good.
type failing struct {
	net.Listener
	passing int
	passes  error // temporary{} if nil
}

var errGone = errors.New("gone")

type temporary struct{}

func (temporary) Error() string   { return "too many open files" }
func (temporary) Temporary() bool { return true }

func (l *failing) Accept() (net.Conn, error) {
	if l.passing--; l.passing >= 0 {
		return nil, cmp.Or(l.passes, error(temporary{}))
	}
	return nil, errGone
}

func TestServeFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := peer.NewServer(&shelf{}, peer.ServerOptions{}).Serve(t.Context(), &failing{newPiped(), 3, nil})
		if err != errGone || time.Since(began) == 0 {
			t.Errorf("%v after %v", err, time.Since(began))
		}
	})
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := peer.NewServer(&shelf{}, peer.ServerOptions{}).Serve(ctx, &failing{newPiped(), 1e9, nil}); err != nil {
			t.Errorf("%v, want nil for a context that ended", err)
		}
	})
}

// TestServeGoesOn: what one connection, a firewall or a shortage does to Accept ends
// nobody else's service; a socket that is gone does.
func TestServeGoesOn(t *testing.T) {
	for _, c := range []struct {
		errno syscall.Errno
		want  error
	}{
		{syscall.EMFILE, errGone},
		{syscall.ENFILE, errGone},
		{syscall.ENOBUFS, errGone},
		{syscall.ENOMEM, errGone},
		{syscall.ECONNABORTED, errGone},
		{syscall.EPERM, errGone},
		{syscall.EPROTO, errGone},
		{syscall.ENETDOWN, errGone},
		{syscall.EHOSTUNREACH, errGone},
		{syscall.EBADF, syscall.EBADF},
		{syscall.EINVAL, syscall.EINVAL},
	} {
		synctest.Test(t, func(t *testing.T) {
			err := &net.OpError{Op: "accept", Net: "tcp4", Err: os.NewSyscallError("accept4", c.errno)}
			got := peer.NewServer(&shelf{}, peer.ServerOptions{}).Serve(t.Context(), &failing{newPiped(), 3, err})
			if !errors.Is(got, c.want) {
				t.Errorf("%v: %v, want %v", c.errno, got, c.want)
			}
		})
	}
}

// TestRequests: each request, the answer, and what the caller is charged with
// (docs/spec/network.md sections 7, 11 and 12).
func TestRequests(t *testing.T) {
	tfile := mcm.Bytes(chain(0, 3))
	h := &shelf{
		peers:    slices.Repeat([]netip.Addr{caller(9, 9), netip.MustParseAddr("2001:db8::1")}, 40),
		trailers: chain(0, 2000),
		tfile:    func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tfile)), nil },
		blocks:   map[mcm.BlockNum][]byte{7: make([]byte, 65535)},
		hashes:   map[mcm.BlockNum]mcm.Hash{7: {8}},
	}
	type reply struct {
		op  wire.Op
		len int
	}
	ack := reply{wire.OpHelloAck, 0}
	ok := func(b []byte) []byte { return b }
	for _, c := range []struct {
		name  string
		hello func([]byte) []byte
		op    wire.Op
		arg   uint64
		data  []byte
		spoil func([]byte) []byte
		want  []reply
		fault fault.Kind
	}{
		{"HELLO: CRC", badCRC, 0, 0, nil, nil, nil, fault.BadCRC},
		{"HELLO: network", badNetwork, 0, 0, nil, nil, nil, fault.BadFrame},
		{"HELLO: mark", badMark, 0, 0, nil, nil, nil, fault.BadFrame},
		{"HELLO: another operation", func([]byte) []byte { return packet(wire.OpGetIPL, 0, 0, 0, nil) }, 0, 0, nil, nil, nil, ""},
		{"HELLO: data", func([]byte) []byte { return packet(wire.OpHello, 0, 0, 0, make([]byte, 1)) }, 0, 0, nil, nil, nil, ""},
		{"HELLO: much data", func([]byte) []byte { return packet(wire.OpHello, 0, 0, 0, make([]byte, 65535)) }, 0, 0, nil, nil, nil, ""},
		{"HELLO: another version", func(b []byte) []byte { b[0] = 4; return recrc(b) }, wire.OpHash, 7, nil, ok, []reply{ack, {wire.OpHash, 32}}, ""},
		{"HELLO: id2", badID2, wire.OpHash, 7, nil, ok, []reply{ack, {wire.OpHash, 32}}, ""},

		{"request: CRC", ok, wire.OpHash, 7, nil, badCRC, []reply{ack}, fault.BadCRC},
		{"request: network", ok, wire.OpHash, 7, nil, badNetwork, []reply{ack}, fault.BadFrame},
		{"request: mark", ok, wire.OpHash, 7, nil, badMark, []reply{ack}, fault.BadFrame},
		{"request: id1", ok, wire.OpHash, 7, nil, badID1, []reply{ack}, fault.BadFrame},
		{"request: id2", ok, wire.OpHash, 7, nil, badID2, []reply{ack}, fault.BadFrame},
		{"request: data", ok, wire.OpHash, 7, make([]byte, 1), ok, []reply{ack}, ""},

		{"GET_IPL", ok, wire.OpGetIPL, 0, nil, ok, []reply{ack, {wire.OpSendIPL, 4 * 32}}, ""},
		{"HASH", ok, wire.OpHash, 7, nil, ok, []reply{ack, {wire.OpHash, 32}}, ""},
		{"HASH: missing", ok, wire.OpHash, 8, nil, ok, []reply{ack}, ""},
		{"IDENTIFY", ok, wire.OpIdentify, 0, nil, ok, []reply{ack, {wire.OpIdentify, 30}}, ""},
		{"TF", ok, wire.OpTF, wire.TFArg(0, 54), nil, ok, []reply{ack, {wire.OpSendFile, 8640}}, ""},
		{"TF: 1,000", ok, wire.OpTF, wire.TFArg(0, 1000), nil, ok, []reply{ack, {wire.OpSendFile, 65535}, {wire.OpSendFile, 65535}, {wire.OpSendFile, 28930}}, ""},
		{"TF: 1,001", ok, wire.OpTF, wire.TFArg(0, 1001), nil, ok, []reply{ack}, ""},
		{"TF: 2³²−1", ok, wire.OpTF, wire.TFArg(0, 1<<32-1), nil, ok, []reply{ack}, ""},
		{"TF: none", ok, wire.OpTF, wire.TFArg(5, 0), nil, ok, []reply{ack, {wire.OpSendFile, 0}}, ""},
		{"TF: beyond the end", ok, wire.OpTF, wire.TFArg(2000, 5), nil, ok, []reply{ack, {wire.OpSendFile, 0}}, ""},
		{"TF: over the end", ok, wire.OpTF, wire.TFArg(1999, 5), nil, ok, []reply{ack, {wire.OpSendFile, 160}}, ""},
		{"TF: far beyond", ok, wire.OpTF, wire.TFArg(1<<32-1, 1000), nil, ok, []reply{ack, {wire.OpSendFile, 0}}, ""},
		{"GET_TFILE", ok, wire.OpGetTFile, 0, nil, ok, []reply{ack, {wire.OpSendFile, 480}}, ""},
		{"GET_BLOCK: an empty last packet", ok, wire.OpGetBlock, 7, nil, ok, []reply{ack, {wire.OpSendFile, 65535}, {wire.OpSendFile, 0}}, ""},
		{"GET_BLOCK: missing", ok, wire.OpGetBlock, 8, nil, ok, []reply{ack}, ""},
		{"TX", ok, wire.OpTX, 0, make([]byte, 13628), ok, []reply{ack}, ""},
		{"TX: too long", ok, wire.OpTX, 0, make([]byte, 13629), ok, []reply{ack}, ""},
		{"FOUND", ok, wire.OpFound, 0, make([]byte, 8640), ok, []reply{ack}, ""},
		{"FOUND: too long", ok, wire.OpFound, 0, make([]byte, 8641), ok, []reply{ack}, ""},
		{"BALANCE", ok, wire.OpBalance, 0, make([]byte, 40), ok, []reply{ack}, ""},
		{"BALANCE: too long", ok, wire.OpBalance, 0, make([]byte, 41), ok, []reply{ack}, ""},
		{"RESOLVE", ok, wire.OpResolve, 0, nil, ok, []reply{ack}, ""},
		{"GET_CBLOCK", ok, wire.OpGetCBlock, 0, nil, ok, []reply{ack}, ""},
		{"MBLOCK", ok, wire.OpMBlock, 0, nil, ok, []reply{ack}, ""},
		{"NULL", ok, wire.OpNull, 0, nil, ok, []reply{ack}, ""},
		{"HELLO again", ok, wire.OpHello, 0, nil, ok, []reply{ack}, ""},
		{"HELLO_ACK", ok, wire.OpHelloAck, 0, nil, ok, []reply{ack}, ""},
		{"SEND_FILE", ok, wire.OpSendFile, 0, nil, ok, []reply{ack}, ""},
		{"BUSY", ok, wire.OpBusy, 0, nil, ok, []reply{ack}, ""},
		{"65,535", ok, 65535, 0, nil, ok, []reply{ack}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var faults []fault.Kind
				ln, stop := serving(t, h, peer.ServerOptions{Faulted: func(f *fault.Fault) {
					mu.Lock()
					defer mu.Unlock()
					if f.Peer != caller(1, 1) {
						t.Errorf("%v is blamed", f.Peer)
					}
					faults = append(faults, f.Kind)
				}})
				conn := ln.dial(caller(1, 1))
				var got []reply
				began := time.Now()
				id1, id2, err := shake(conn, c.hello(hello()))
				if err == nil {
					got = append(got, ack)
					conn.Write(c.spoil(packet(c.op, id1, id2, c.arg, c.data)))
					for {
						p, _, err := wire.Read(conn, nil, nil)
						if err != nil {
							break
						}
						if p.Arg != c.arg || p.State != tip || p.CheckIDs(id1, id2) != nil {
							t.Errorf("%s with argument %d, ids %d, %d, state %+v", p.Op, p.Arg, p.ID1, p.ID2, p.State)
						}
						got = append(got, reply{p.Op, len(p.Data)})
					}
				}
				if !slices.Equal(got, c.want) {
					t.Errorf("answered %v, want %v", got, c.want)
				}
				if time.Since(began) != 0 {
					t.Errorf("ended after %v", time.Since(began))
				}
				stop()
				var want []fault.Kind
				if c.fault != "" {
					want = append(want, c.fault)
				}
				if !slices.Equal(faults, want) {
					t.Errorf("charged with %v, want %v", faults, want)
				}
			})
		})
	}
	if len(h.found) != 1 || len(h.txs) != 1 {
		t.Errorf("%d announcements and %d transactions came through, want 1 each", len(h.found), len(h.txs))
	}
}

// TestHeard: a caller is heard of through OPTIN of its request, before the list
// is made and once a file was taken whole (docs/spec/network.md section 7).
func TestHeard(t *testing.T) {
	for _, c := range []struct {
		op    wire.Op
		caps  wire.Caps
		read  bool
		heard bool
	}{
		{wire.OpGetIPL, wire.CapOptIn, true, true},
		{wire.OpGetIPL, wire.CapPush, true, false},
		{wire.OpGetTFile, wire.CapOptIn, true, true},
		{wire.OpGetTFile, wire.CapOptIn, false, false},
		{wire.OpGetTFile, 0, true, false},
		{wire.OpHash, wire.CapOptIn, true, false},
		{wire.OpTF, wire.CapOptIn, true, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := &shelf{tfile: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(make([]byte, 200_000))), nil }}
			ln, stop := serving(t, h, peer.ServerOptions{})
			conn := ln.dial(caller(1, 1))
			h1 := packet(wire.OpHello, 1, 0, 0, nil)
			h1[1] = byte(wire.CapOptIn) // that of HELLO doesn't count
			id1, id2, err := shake(conn, recrc(h1))
			if err != nil {
				t.Fatal(err)
			}
			b := packet(c.op, id1, id2, 0, nil)
			b[1] = byte(c.caps)
			conn.Write(recrc(b))
			if c.read {
				io.Copy(io.Discard, conn)
			} else {
				wire.Read(conn, nil, nil)
			}
			conn.Close()
			stop()
			if got := slices.Equal(h.heard, []netip.Addr{caller(1, 1)}); got != c.heard {
				t.Errorf("%s with capabilities %#x: heard is %v, want %v", c.op, c.caps, got, c.heard)
			}
		})
	}
}
