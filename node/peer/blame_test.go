package peer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"testing/synctest"

	"kigo/node/fault"
	"kigo/node/peer"
	"kigo/node/wire"
)

// TestDialErrors: what keeps a connection from being made is the peer's doing, in
// the softest way, or our own.
func TestDialErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want fault.Kind // "": our own
	}{
		{syscall.ECONNREFUSED, fault.Refused},
		{syscall.EHOSTUNREACH, fault.Refused},
		{syscall.ENETUNREACH, fault.Refused},
		{syscall.ECONNRESET, fault.Reset},
		{syscall.ETIMEDOUT, fault.Timeout},
		{os.ErrDeadlineExceeded, fault.Timeout},
		{syscall.EMFILE, ""},
		{syscall.EADDRNOTAVAIL, ""},
		{syscall.EACCES, ""},
		{errors.New("no such thing"), ""},
	} {
		err := &net.OpError{Op: "dial", Net: "tcp4", Err: os.NewSyscallError("connect", c.err)}
		client := peer.NewClient(peer.Options{Dial: func(context.Context, netip.AddrPort) (net.Conn, error) { return nil, err }})
		call, got := client.Call(t.Context(), target)
		var f *fault.Fault
		switch errors.As(got, &f); {
		case !errors.Is(got, c.err):
			t.Errorf("%v: %v doesn't rest on it", c.err, got)
		case c.want == "" && f != nil, c.want != "" && (f == nil || f.Kind != c.want || f.Peer != target):
			t.Errorf("%v: %v, want %q", c.err, got, c.want)
		}
		if in, out := call.Bytes(); in != 0 || out != 0 || len(call.Transcript()) > 0 {
			t.Errorf("%v: %d, %d bytes", c.err, in, out)
		}
		call.Close()
	}
}

// TestFailedHandshake: a call that didn't come to be still tells what was
// received, and can't be used.
func TestFailedHandshake(t *testing.T) {
	client := peer.NewClient(peer.Options{Dial: dialer(func(conn net.Conn) {
		s := newAnswer(conn)
		if _, err := s.Hello(); err == nil {
			conn.Write(badID1(raw(s, wire.OpHelloAck, nil)))
		}
	})})
	call, err := client.Call(t.Context(), target)
	if kindOf(err) != fault.BadFrame {
		t.Fatalf("%v, want bad_frame", err)
	}
	id1, _ := call.IDs()
	packets := call.Transcript()
	if len(packets) != 1 {
		t.Fatalf("%d packets are kept, want 1", len(packets))
	}
	if p, err := wire.Decode(packets[0]); err != nil || p.Op != wire.OpHelloAck || p.ID1&0xff != (id1+1)&0xff || p.ID1>>8 != id1>>8 {
		t.Errorf("%+v, %v is kept; id1 is %#x", p, err, id1)
	}
	if err := askHash(t.Context(), call); !errors.Is(err, peer.ErrUsed) {
		t.Errorf("a request: %v", err)
	}
}

// TestTranscriptIsBounded: what is kept of a long file is its beginning, whole
// packets without a gap.
func TestTranscriptIsBounded(t *testing.T) {
	file := make([]byte, 10<<16)
	for i := range file {
		file[i] = byte(i >> 8)
	}
	call, err := peer.NewClient(peer.Options{Dial: dialer(fileOf(file))}).Call(t.Context(), target)
	if err == nil {
		_, err = call.TFile(t.Context(), 1<<20, io.Discard)
	}
	if err != nil {
		t.Fatal(err)
	}
	packets := call.Transcript()
	if len(packets) != 1+3 {
		t.Fatalf("%d packets are kept, want HELLO_ACK and three", len(packets))
	}
	var got []byte
	for _, b := range packets[1:] {
		p, err := wire.Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p.Data...)
	}
	if !bytes.Equal(got, file[:3*wire.FileChunk]) {
		t.Error("other bytes than those received are kept")
	}
}

// brokenFile ends in an error after n bytes.
type brokenFile struct{ n int }

var errBroken = errors.New("bad sector")

func (f *brokenFile) Read(b []byte) (int, error) {
	n := min(len(b), f.n)
	if f.n -= n; n == 0 {
		return 0, errBroken
	}
	return n, nil
}

func (*brokenFile) Close() error { return nil }

// TestBrokenFile: a file that can't be read on isn't sent as if it ended there.
func TestBrokenFile(t *testing.T) {
	for _, n := range []int{0, 100, wire.FileChunk, wire.FileChunk + 100} {
		synctest.Test(t, func(t *testing.T) {
			h := &shelf{tfile: func() (io.ReadCloser, error) { return &brokenFile{n}, nil }}
			ln, stop := serving(t, h, peer.ServerOptions{})
			defer stop()
			call, err := peer.NewClient(peer.Options{Dial: ln.dialer(caller(1, 1))}).Call(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			got, err := call.TFile(t.Context(), 1<<20, io.Discard)
			if want := int64(n / wire.FileChunk * wire.FileChunk); kindOf(err) != fault.Refused || got != want {
				t.Errorf("%d of %d bytes came, %v; want %d and no end", got, n, err, want)
			}
		})
	}
	near, far := net.Pipe()
	defer near.Close()
	s := peer.NewSession(t.Context(), far, peer.SessionOptions{})
	defer s.Close()
	err := s.SendFile(&brokenFile{})
	var r *peer.ReadError
	if !errors.As(err, &r) || !errors.Is(err, errBroken) || fmt.Sprint(err) != "read what is to be sent: bad sector" {
		t.Errorf("%v, want a ReadError", err)
	}
}
