package peer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/wire"
)

// A hostile is the other end of a connection, in memory, that says what a fuzzer
// wants it to.  It has seen what was sent to it, so it can use the right ids.
//
// Its script is a list of pieces, each a control byte and two bytes of length n:
//
//	bit 0 clear: the next n bytes as they are
//	bit 0 set:   a packet with them as data, its operation in the next byte, and
//	             bits 1 to 5: spoil CRC, network, end mark, ids, announce one more
//	bit 6 set:   the n bytes aren't in the script: they are the next of good
//	             trailers, so that a short script makes a long reply
type hostile struct {
	script []byte
	given  int    // trailer bytes given so far
	say    []byte // what is to be said before the script goes on
	id1    uint16
	id2    uint16
	hears  func(h *hostile, b []byte)
	heard  int
	said   int
	closed chan struct{}
}

var trailers = mcm.Bytes(chain(100, 1000))

func (h *hostile) Read(b []byte) (int, error) {
	for len(h.say) == 0 {
		if len(h.script) < 3 {
			return 0, io.EOF
		}
		h.say = h.piece()
	}
	n := copy(b, h.say)
	h.say = h.say[n:]
	h.said += n
	return n, nil
}

func (h *hostile) Write(b []byte) (int, error) {
	h.heard += len(b)
	h.hears(h, b)
	return len(b), nil
}

// piece takes one piece off the script.
func (h *hostile) piece() []byte {
	control, n := h.script[0], int(binary.LittleEndian.Uint16(h.script[1:]))
	h.script = h.script[3:]
	var op wire.Op
	if control&1 != 0 {
		if len(h.script) == 0 {
			return nil
		}
		op, h.script = wire.Op(h.script[0]), h.script[1:]
	}
	var data []byte
	if control&64 != 0 {
		for len(data) < n {
			data = append(data, trailers[h.given%len(trailers)])
			h.given++
		}
	} else {
		n = min(n, len(h.script))
		data, h.script = h.script[:n], h.script[n:]
	}
	if control&1 == 0 {
		return data
	}
	b := packet(op, h.id1, h.id2, 0, data)
	for i, spoil := range []func([]byte) []byte{badCRC, badNetwork, badMark, badID1, announces(uint16(n + 1))} {
		if control&(2<<i) != 0 {
			b = spoil(b)
		}
	}
	return b
}

// piece returns a piece of script that is a packet.
func piece(control byte, op wire.Op, data []byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{control | 1}, uint16(len(data)))
	return append(append(b, byte(op)), data...)
}

// given returns a piece of script that is a packet with n bytes of good trailers.
func given(op wire.Op, n uint16) []byte {
	return append(binary.LittleEndian.AppendUint16([]byte{1 | 64}, n), byte(op))
}

func (h *hostile) Close() error {
	if h.closed != nil {
		select {
		case <-h.closed:
		default:
			close(h.closed)
		}
	}
	return nil
}

func (h *hostile) LocalAddr() net.Addr              { return h.RemoteAddr() }
func (h *hostile) RemoteAddr() net.Addr             { return addressed{from: caller(1, 1)}.RemoteAddr() }
func (h *hostile) SetDeadline(time.Time) error      { return nil }
func (h *hostile) SetReadDeadline(time.Time) error  { return nil }
func (h *hostile) SetWriteDeadline(time.Time) error { return nil }

// callHostile calls a hostile peer and asks.  The result must be data or a fault,
// and no more than most bytes may have been read after the handshake.
func callHostile(t *testing.T, script []byte, shaken bool, most int, ask ask) (bool, fault.Kind) {
	h := &hostile{script: script, id2: 0x4321}
	h.hears = func(h *hostile, b []byte) {
		if h.heard == wire.Overhead {
			h.id1 = binary.LittleEndian.Uint16(b[4:])
			if shaken {
				h.say = packet(wire.OpHelloAck, h.id1, h.id2, 0, nil)
			}
		}
	}
	client := peer.NewClient(peer.Options{Dial: func(context.Context, netip.AddrPort) (net.Conn, error) { return h, nil }})
	ctx := context.Background()
	call, err := client.Call(ctx, target)
	if shaken && err != nil {
		t.Fatal(err)
	}
	ok := err == nil
	if ok {
		most += wire.Overhead
		err = ask(ctx, call)
	}
	kind := kindOf(err)
	if errors.Is(err, peer.ErrLimit) {
		kind = "limit"
	} else if kind != "" && kind.Points() == 0 && kind != fault.ShortReply {
		t.Errorf("%v is no fault", err)
	}
	in, out := call.Bytes()
	if in != int64(h.said) || out != int64(h.heard) {
		t.Errorf("%d, %d bytes are charged, want %d, %d", in, out, h.said, h.heard)
	}
	// Any packet may be a NACK instead.
	if most += wire.Overhead + 512; h.said > most {
		t.Errorf("%d bytes were read, at most %d expected", h.said, most)
	}
	return ok, kind
}

func FuzzHandshake(f *testing.F) {
	f.Add(piece(0, wire.OpHelloAck, nil))
	f.Add(append(piece(0, wire.OpHelloAck, nil), piece(0, wire.OpHash, make([]byte, 32))...))
	f.Add(piece(0, wire.OpHelloAck, make([]byte, 40)))
	f.Add(piece(0, wire.OpBusy, nil))
	for bit := byte(2); bit <= 32; bit *= 2 {
		f.Add(piece(bit, wire.OpHelloAck, nil))
	}
	f.Add([]byte("\x00\x64\x00SSH-2.0-OpenSSH_9.6\r\n"))
	f.Fuzz(func(t *testing.T, script []byte) {
		ok, kind := callHostile(t, script, false, 32+wire.Overhead, askHash)
		if !ok && kind == "" {
			t.Error("no handshake and no fault")
		}
	})
}

func FuzzIPLReply(f *testing.F) {
	for _, n := range []uint16{0, 4, 5, 256, 257, 260, 65535} {
		f.Add(given(wire.OpSendIPL, n))
	}
	f.Add(piece(8, wire.OpSendIPL, make([]byte, 8)))
	f.Add(piece(0, wire.OpNack, make([]byte, 41)))
	f.Fuzz(func(t *testing.T, script []byte) {
		callHostile(t, script, true, 256, func(ctx context.Context, c *peer.Call) error {
			addrs, _, err := c.IPL(ctx)
			if len(addrs) > wire.MaxAddrs || err != nil && len(addrs) > 0 {
				t.Errorf("%d addresses, %v", len(addrs), err)
			}
			return err
		})
	})
}

func FuzzTFReply(f *testing.F) {
	for _, n := range []uint16{0, 160, 8639, 8640, 8641, 8800} {
		f.Add(given(wire.OpSendFile, n), uint16(53))
	}
	full := given(wire.OpSendFile, 65535)
	f.Add(bytes.Join([][]byte{full, full, given(wire.OpSendFile, 28930)}, nil), uint16(999))
	f.Add(bytes.Join([][]byte{full, full, full, full}, nil), uint16(999))
	f.Add(bytes.Join([][]byte{full, piece(0, wire.OpBusy, nil)}, nil), uint16(999))
	f.Add(piece(0, wire.OpSendFile, make([]byte, 320)), uint16(1))
	f.Fuzz(func(t *testing.T, script []byte, n uint16) {
		count := 1 + int(n)%wire.MaxTF
		most := 160*count + 3*wire.Overhead
		callHostile(t, script, true, most, func(ctx context.Context, c *peer.Call) error {
			trailers, err := c.Trailers(ctx, 100, count)
			switch kind := kindOf(err); {
			case err == nil && len(trailers) != count,
				kind == fault.ShortReply && len(trailers) >= count,
				err != nil && kind != fault.ShortReply && trailers != nil:
				t.Errorf("%d trailers of %d, %v", len(trailers), count, err)
			}
			for i := range trailers {
				if trailers[i].Num() != mcm.BlockNum(100+i) {
					t.Errorf("trailer %d has number %s", i, trailers[i].Num())
				}
			}
			return err
		})
	})
}

func FuzzHashReply(f *testing.F) {
	for _, n := range []int{0, 31, 32, 33} {
		f.Add(piece(0, wire.OpHash, make([]byte, n)))
	}
	f.Add(piece(2, wire.OpHash, make([]byte, 32)))
	f.Fuzz(func(t *testing.T, script []byte) { callHostile(t, script, true, 32, askHash) })
}

// FuzzBalanceReply: an entry comes from a whole one and from nothing else.
func FuzzBalanceReply(f *testing.F) {
	for _, n := range []int{0, 47, 48, 49} {
		f.Add(piece(0, wire.OpSendBal, bytes.Repeat([]byte{7}, n)))
	}
	f.Add(piece(2, wire.OpSendBal, make([]byte, 48)))
	f.Add(piece(0, wire.OpHash, make([]byte, 32)))
	f.Fuzz(func(t *testing.T, script []byte) {
		callHostile(t, script, true, 48, func(ctx context.Context, c *peer.Call) error {
			e, err := c.Balance(ctx, make([]byte, 20))
			if err != nil && e != (peer.Entry{}) {
				t.Errorf("entry %v, %v", e, err)
			}
			return err
		})
	})
}

// FuzzIdentifyReply: what is understood survives being said again.
func FuzzIdentifyReply(f *testing.F) {
	for _, text := range []string{
		"", "Sanctuary=0,Lastday=0,Mfee=500", "Sanctuary=0,Lastday=0,Mfee=500,", "Sanctuary=-1,Lastday=0,Mfee=500",
		"Lastday=0,Sanctuary=0,Mfee=500", "Sanctuary=18446744073709551616,Lastday=0,Mfee=0", strings.Repeat("9", 129),
	} {
		f.Add(piece(0, wire.OpIdentify, []byte(text)))
	}
	f.Add(piece(8, wire.OpIdentify, []byte("Sanctuary=0,Lastday=0,Mfee=500")))
	f.Fuzz(func(t *testing.T, script []byte) {
		var said peer.Identity
		ok := false
		callHostile(t, script, true, 128, func(ctx context.Context, c *peer.Call) (err error) {
			said, err = c.Identify(ctx)
			ok = err == nil
			if !ok && said != (peer.Identity{}) {
				t.Errorf("identity %v, %v", said, err)
			}
			return err
		})
		if !ok {
			return
		}
		again := piece(0, wire.OpIdentify, []byte(said.String()))
		callHostile(t, again, true, 128, func(ctx context.Context, c *peer.Call) error {
			i, err := c.Identify(ctx)
			if i != said {
				t.Errorf("identity %v, said again %v", said, i)
			}
			return err
		})
	})
}

func FuzzFileReply(f *testing.F) {
	full := given(wire.OpSendFile, 65535)
	f.Add(given(wire.OpSendFile, 0), uint32(0))
	f.Add(given(wire.OpSendFile, 300), uint32(300))
	f.Add(given(wire.OpSendFile, 301), uint32(300))
	f.Add(slices.Concat(full, given(wire.OpSendFile, 0)), uint32(1<<20))
	f.Add(slices.Concat(full, piece(0, wire.OpBusy, nil)), uint32(65535))
	f.Fuzz(func(t *testing.T, script []byte, limit uint32) {
		limit %= 1 << 20
		most := int(limit) + (int(limit)/wire.FileChunk+1)*wire.Overhead
		callHostile(t, script, true, most, func(ctx context.Context, c *peer.Call) error {
			var got bytes.Buffer
			n, err := c.TFile(ctx, int64(limit), &got)
			if n != int64(got.Len()) || n > int64(limit) {
				t.Errorf("%d bytes written, %d told, at most %d expected", got.Len(), n, limit)
			}
			return err
		})
	})
}

// FuzzServer lets a hostile caller talk to a server: it ends, whatever is said,
// and reads no more than a handshake and the longest request.
func FuzzServer(f *testing.F) {
	for _, op := range []wire.Op{wire.OpGetIPL, wire.OpTF, wire.OpGetTFile, wire.OpHash, wire.OpGetBlock, wire.OpIdentify, wire.OpBalance, wire.OpNull, 99} {
		f.Add(append(piece(0, wire.OpHello, nil), piece(0, op, nil)...))
	}
	f.Add(append(piece(0, wire.OpHello, nil), given(wire.OpFound, 8640)...))
	f.Add(append(piece(0, wire.OpHello, nil), given(wire.OpTX, 2368)...))
	f.Add(append(piece(0, wire.OpHello, nil), given(wire.OpTX, 13629)...))
	f.Add(piece(0, wire.OpHello, make([]byte, 40)))
	f.Add(append(piece(0, wire.OpHello, nil), piece(8, wire.OpHash, nil)...))
	f.Add([]byte("\x00\x64\x00GET / HTTP/1.1\r\n\r\n"))
	server := &shelf{
		trailers: chain(0, 100),
		tfile:    func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(make([]byte, 70_000))), nil },
		blocks:   map[mcm.BlockNum][]byte{0: make([]byte, 100)},
		hashes:   map[mcm.BlockNum]mcm.Hash{0: {1}},
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		h := &hostile{script: script, id1: 7, closed: make(chan struct{})}
		h.hears = func(h *hostile, b []byte) {
			if h.heard == wire.Overhead {
				h.id2 = binary.LittleEndian.Uint16(b[6:])
			}
		}
		ln, stop := serving(t, server, peer.ServerOptions{})
		ln.conns <- h
		<-h.closed
		stop()
		if most := 2*wire.Overhead + wire.RequestLimit(wire.OpTX); h.said > most {
			t.Errorf("%d bytes were read, at most %d expected", h.said, most)
		}
		if h.said < wire.Overhead && h.heard > 0 {
			t.Errorf("%d bytes were answered to %d", h.heard, h.said)
		}
	})
}
