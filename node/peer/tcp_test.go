package peer_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/wire"
)

// listen listens on a loopback address of its own until the test ends.
func listen(t testing.TB) (net.Listener, netip.AddrPort) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln, ln.Addr().(*net.TCPAddr).AddrPort()
}

// TestSockets: the ways in which a real connection ends.
func TestSockets(t *testing.T) {
	reset := func(conn net.Conn) { conn.(*net.TCPConn).SetLinger(0) }
	for _, c := range []struct {
		name  string
		serve func(net.Conn)
		ask   ask
		want  fault.Kind
	}{
		{"FIN at once", func(conn net.Conn) { io.ReadFull(conn, make([]byte, 128)) }, nil, fault.Refused},
		{"RST instead of HELLO_ACK", func(conn net.Conn) { io.ReadFull(conn, make([]byte, 128)); reset(conn) }, nil, fault.Reset},
		{"RST for unread bytes", func(conn net.Conn) { io.ReadFull(conn, make([]byte, 127)) }, nil, fault.Reset},
		{"RST inside HELLO_ACK", func(conn net.Conn) {
			s := newAnswer(conn)
			s.Hello()
			conn.Write(raw(s, wire.OpHelloAck, nil)[:100])
			reset(conn)
		}, nil, fault.Reset},
		{"FIN instead of the reply", accepted(func(*peer.Session, net.Conn, wire.Packet) {}), askHash, fault.Refused},
		{"RST instead of the reply", accepted(func(_ *peer.Session, conn net.Conn, _ wire.Packet) { reset(conn) }), askHash, fault.Reset},
		{"half of the reply", one(wire.OpHash, make([]byte, 32), cut), askHash, fault.Refused},
		{"the reply", one(wire.OpHash, make([]byte, 32), nil), askHash, ""},
		{"a request and a close", accepted(func(*peer.Session, net.Conn, wire.Packet) {}), askFound, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			ln, at := listen(t)
			var wg sync.WaitGroup
			wg.Go(func() {
				conn, err := ln.Accept()
				if err != nil {
					t.Error(err)
					return
				}
				c.serve(conn)
				conn.Close()
			})
			client := peer.NewClient(peer.Options{Port: at.Port()})
			call, err := client.Call(t.Context(), at.Addr())
			if err == nil {
				if c.ask == nil {
					t.Fatal("the handshake succeeded")
				}
				err = c.ask(t.Context(), call)
			}
			// Whether a reset overtakes what was sent before it is up to the kernel.
			if got := kindOf(err); got != c.want {
				t.Errorf("%q (%v), want %q", got, err, c.want)
			}
			call.Close()
			wg.Wait()
		})
	}
	t.Run("nobody listens", func(t *testing.T) {
		ln, at := listen(t)
		ln.Close()
		if _, err := peer.NewClient(peer.Options{Port: at.Port()}).Call(t.Context(), at.Addr()); kindOf(err) != fault.Refused {
			t.Errorf("%v, want refused", err)
		}
	})
}

// TestClientAndServer: everything a server answers, over TCP, many calls at once,
// and nothing left behind.
func TestClientAndServer(t *testing.T) {
	before := runtime.NumGoroutine()
	block := bytes.Repeat([]byte{1, 2, 3, 4, 5}, 65535)
	tfile := mcm.Bytes(chain(0, 2000))
	h := &shelf{
		peers:    []netip.Addr{netip.MustParseAddr("192.0.2.3")},
		trailers: chain(0, 2000),
		tfile:    func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tfile)), nil },
		blocks:   map[mcm.BlockNum][]byte{7: block},
		hashes:   map[mcm.BlockNum]mcm.Hash{7: {8}},
	}
	ln, at := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() {
		served <- peer.NewServer(h, peer.ServerOptions{PerGroup: 32, OpenPerGroup: 512}).Serve(ctx, ln)
	}()

	client := peer.NewClient(peer.Options{Port: at.Port(), Caps: wire.CapOptIn})
	call := func() *peer.Call {
		c, err := client.Call(ctx, at.Addr())
		if err != nil {
			t.Error(err)
		}
		return c
	}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			if as, claim, err := call().IPL(ctx); err != nil || claim != tip || !slices.Contains(as, at.Addr()) {
				t.Errorf("IPL: %v, %+v, %v; want ourselves in it", as, claim, err)
			}
			if ts, err := call().Trailers(ctx, 1000, 1000); err != nil || !slices.Equal(ts, h.trailers[1000:]) {
				t.Errorf("TF: %d trailers, %v", len(ts), err)
			}
			if ts, err := call().Trailers(ctx, 1990, 54); kindOf(err) != fault.ShortReply || len(ts) != 10 {
				t.Errorf("TF: %d trailers, %v", len(ts), err)
			}
			var got bytes.Buffer
			if _, err := call().TFile(ctx, 1<<20, &got); err != nil || !bytes.Equal(got.Bytes(), tfile) {
				t.Errorf("TFILE: %d bytes, %v", got.Len(), err)
			}
			got.Reset()
			if _, err := call().Block(ctx, 7, 1<<20, &got); err != nil || !bytes.Equal(got.Bytes(), block) {
				t.Errorf("BLOCK: %d bytes, %v", got.Len(), err)
			}
			if _, err := call().Block(ctx, 8, 1<<20, &got); kindOf(err) != fault.Refused {
				t.Errorf("BLOCK 8: %v", err)
			}
			if hash, err := call().Hash(ctx, 7); err != nil || hash != h.hashes[7] {
				t.Errorf("HASH: %v, %v", hash, err)
			}
			if _, err := call().Hash(ctx, 8); kindOf(err) != fault.Refused {
				t.Errorf("HASH 8: %v", err)
			}
			if _, err := call().Balance(ctx, []byte{1}); kindOf(err) != fault.Refused {
				t.Errorf("BALANCE: %v", err)
			}
			if i, err := call().Identify(ctx); err != nil || i != (peer.Identity{MinFee: 500}) {
				t.Errorf("IDENTIFY: %v, %v", i, err)
			}
			if err := call().Found(ctx, tip, chain(1, 54)); err != nil {
				t.Errorf("FOUND: %v", err)
			}
			if err := call().SendTX(ctx, make([]byte, 2368), [8]netip.Addr{}); err != nil {
				t.Errorf("TX: %v", err)
			}
		})
	}
	wg.Wait()
	came := func() int {
		h.mu.Lock()
		defer h.mu.Unlock()
		return len(h.found) + len(h.txs)
	}
	for late := time.Now().Add(5 * time.Second); came() < 20 && time.Now().Before(late); {
		runtime.Gosched() // they have no answer to wait for
	}
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
	if len(h.found) != 10 || len(h.txs) != 10 {
		t.Errorf("%d announcements and %d transactions came, want 10 each", len(h.found), len(h.txs))
	} else if m := h.found[0]; m.State != tip || !bytes.Equal(m.Data, mcm.Bytes(chain(1, 54))) {
		t.Errorf("%+v was announced", m)
	}
	// Those that are just ending still count.
	for late := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; runtime.Gosched() {
		if time.Now().After(late) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// BenchmarkCall is what a scan does with each peer: connect, shake hands, ask for
// a proof, over loopback and against our own server.
func BenchmarkCall(b *testing.B) {
	h := &shelf{trailers: chain(0, 54)}
	ln, at := listen(b)
	ctx, cancel := context.WithCancel(b.Context())
	served := make(chan error, 1)
	go func() {
		served <- peer.NewServer(h, peer.ServerOptions{Workers: 1 << 10, PerGroup: 1 << 10, Open: 1 << 12, OpenPerGroup: 1 << 12}).Serve(ctx, ln)
	}()
	client := peer.NewClient(peer.Options{Port: at.Port()})
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			call, err := client.Call(ctx, at.Addr())
			if err == nil {
				_, err = call.Trailers(ctx, 0, 54)
			}
			if err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "calls/s")
	cancel()
	if err := <-served; err != nil {
		b.Error(err)
	}
}
