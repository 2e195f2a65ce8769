package peer_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/wire"
)

// sends answers with these bytes, one after another, and closes.
func sends(replies func(s *peer.Session) [][]byte) func(net.Conn) {
	return accepted(func(s *peer.Session, conn net.Conn, _ wire.Packet) {
		for _, b := range replies(s) {
			if _, err := conn.Write(b); err != nil {
				return
			}
		}
	})
}

// one answers with a packet that spoil may change.
func one(op wire.Op, data []byte, spoil func(b []byte) []byte) func(net.Conn) {
	return sends(func(s *peer.Session) [][]byte {
		b := raw(s, op, data)
		if spoil != nil {
			b = spoil(b)
		}
		return [][]byte{b}
	})
}

// Ways to spoil a packet.
func badCRC(b []byte) []byte     { b[len(b)-4] ^= 1; return b }
func badNetwork(b []byte) []byte { b[2]++; return recrc(b) }
func badMark(b []byte) []byte    { b[len(b)-1]++; return b }
func badID1(b []byte) []byte     { b[4]++; return recrc(b) }
func badID2(b []byte) []byte     { b[6]++; return recrc(b) }
func cut(b []byte) []byte        { return b[:len(b)-1] }
func headerOnly(b []byte) []byte { return b[:wire.HeaderLen] }

// announces changes the length field alone.
func announces(n uint16) func([]byte) []byte {
	return func(b []byte) []byte { binary.LittleEndian.PutUint16(b[122:], n); return b }
}

// shortened damages the length field alone: it says one byte less than there is.
func shortened(b []byte) []byte {
	n := len(b) - wire.Overhead
	end := wire.HeaderLen + n - 1
	announces(uint16(n - 1))(b)
	b[end] = byte(wire.CRC16(b[:end])) + 1 // which chance could make the CRC of what is announced
	announces(uint16(n))(b)
	return announces(uint16(n - 1))(recrc(b))
}

func then(f, g func([]byte) []byte) func([]byte) []byte {
	return func(b []byte) []byte { return g(f(b)) }
}

// fileOf answers with a file of these bytes.
func fileOf(b []byte) func(net.Conn) {
	return accepted(func(s *peer.Session, _ net.Conn, _ wire.Packet) { s.SendFile(bytes.NewReader(b)) })
}

const ackLen = wire.Overhead

// TestReplies: what each answer means, and how much of it is read.
func TestReplies(t *testing.T) {
	proof := askTrailers(100, 54)
	good := mcm.Bytes(chain(100, 54))
	nack := append(make([]byte, 8), append(append([]byte("EMCM_TXSRCDUP"), make([]byte, 19)...), "twice\x00"...)...)
	closes := accepted(func(*peer.Session, net.Conn, wire.Packet) {})
	handshake := func(spoil func([]byte) []byte, op wire.Op, data []byte) func(net.Conn) {
		return func(conn net.Conn) {
			s := newAnswer(conn)
			if _, err := s.Hello(); err == nil {
				conn.Write(spoil(raw(s, op, data)))
			}
		}
	}
	same := func(b []byte) []byte { return b }

	for _, c := range []struct {
		name  string
		serve func(net.Conn)
		ask   ask
		want  fault.Kind
		in    int64 // bytes received
	}{
		{"HELLO_ACK: close", func(conn net.Conn) { conn.Read(make([]byte, 128)) }, nil, fault.Refused, 0},
		{"HELLO_ACK: half", handshake(cut, wire.OpHelloAck, nil), nil, fault.Refused, 127},
		{"HELLO_ACK: CRC", handshake(badCRC, wire.OpHelloAck, nil), nil, fault.BadCRC, 128},
		{"HELLO_ACK: network", handshake(badNetwork, wire.OpHelloAck, nil), nil, fault.BadFrame, 128},
		{"HELLO_ACK: mark", handshake(badMark, wire.OpHelloAck, nil), nil, fault.BadFrame, 128},
		{"HELLO_ACK: id1", handshake(badID1, wire.OpHelloAck, nil), nil, fault.BadFrame, 128},
		{"HELLO_ACK: network and CRC", handshake(then(badNetwork, badCRC), wire.OpHelloAck, nil), nil, fault.BadCRC, 128},
		{"HELLO_ACK: data", handshake(same, wire.OpHelloAck, []byte{1}), nil, fault.Refused, 124},
		{"HELLO_ACK: much data", handshake(same, wire.OpHelloAck, make([]byte, 65535)), nil, fault.Refused, 124},
		{"HELLO_ACK: BUSY", handshake(same, wire.OpBusy, nil), nil, fault.Refused, 128},
		{"HELLO_ACK: NACK", handshake(same, wire.OpNack, nack), nil, fault.Refused, 128 + int64(len(nack))},
		{"HELLO_ACK: HELLO", handshake(badID1, wire.OpHello, nil), nil, fault.Refused, 128},
		{"HELLO_ACK: an operation nobody knows", handshake(same, 999, nil), nil, fault.Refused, 128},
		{"HELLO_ACK: another protocol", func(conn net.Conn) {
			conn.Read(make([]byte, 128))
			conn.Write(bytes.Repeat([]byte("HTTP/1.1 400 Bad Request\r\n"), 10))
		}, nil, fault.Refused, 124},

		{"IPL: close", closes, askIPL, fault.Refused, ackLen},
		{"IPL: none", one(wire.OpSendIPL, nil, nil), askIPL, "", ackLen + 128},
		{"IPL: 64", one(wire.OpSendIPL, make([]byte, 256), nil), askIPL, "", ackLen + 384},
		{"IPL: 65", one(wire.OpSendIPL, make([]byte, 260), nil), askIPL, fault.BadList, ackLen + 124},
		{"IPL: 16,383", one(wire.OpSendIPL, make([]byte, 65532), nil), askIPL, fault.BadList, ackLen + 124},
		{"IPL: 65 of another conversation", one(wire.OpSendIPL, make([]byte, 260), badID1), askIPL, fault.BadCRC, ackLen + 124},
		{"IPL: 5 bytes", one(wire.OpSendIPL, make([]byte, 5), nil), askIPL, fault.BadList, ackLen + 133},
		{"IPL: 5 bytes, CRC", one(wire.OpSendIPL, make([]byte, 5), badCRC), askIPL, fault.BadCRC, ackLen + 133},
		{"IPL: ids", one(wire.OpSendIPL, nil, badID2), askIPL, fault.BadFrame, ackLen + 128},
		{"IPL: as a file", one(wire.OpSendFile, make([]byte, 4), nil), askIPL, fault.Refused, ackLen + 124},
		{"IPL: HELLO with other ids", one(wire.OpHello, nil, badID2), askIPL, fault.Refused, ackLen + 128},
		{"IPL: BUSY", one(wire.OpBusy, nil, nil), askIPL, fault.Refused, ackLen + 128},
		{"IPL: NACK", one(wire.OpNack, nack, nil), askIPL, fault.Refused, ackLen + 128 + int64(len(nack))},
		{"IPL: endless NACK", one(wire.OpNack, make([]byte, 65535), nil), askIPL, fault.Refused, ackLen + 124},
		{"IPL: header", one(wire.OpSendIPL, make([]byte, 4), headerOnly), askIPL, fault.Refused, ackLen + 124},

		{"TF: close", closes, proof, fault.Refused, ackLen},
		{"TF: exact", fileOf(good), proof, "", ackLen + 128 + 8640},
		{"TF: 53", fileOf(good[160:]), askTrailers(101, 54), fault.ShortReply, ackLen + 128 + 8480},
		{"TF: 0", fileOf(nil), proof, fault.ShortReply, ackLen + 128},
		{"TF: 55", fileOf(mcm.Bytes(chain(100, 55))), proof, fault.TooLong, ackLen + 124},
		{"TF: one byte more", fileOf(append(slices.Clone(good), 0)), proof, fault.TooLong, ackLen + 124},
		{"TF: 65,535 for 54", fileOf(make([]byte, 10<<20)), proof, fault.TooLong, ackLen + 124},
		{"TF: too long, other ids", one(wire.OpSendFile, make([]byte, 8641), badID2), proof, fault.BadCRC, ackLen + 124},
		{"TF: too long, other network", one(wire.OpSendFile, make([]byte, 8641), badNetwork), proof, fault.BadCRC, ackLen + 124},
		{"TF: 1,000", fileOf(mcm.Bytes(chain(100, 1000))), askTrailers(100, 1000), "", ackLen + 3*128 + 160_000},
		{"TF: 1,001", fileOf(mcm.Bytes(chain(100, 1001))), askTrailers(100, 1000), fault.TooLong, ackLen + 2*(128+65535) + 124},
		{"TF: endless for 1,000", accepted(func(s *peer.Session, _ net.Conn, _ wire.Packet) {
			for b := mcm.Bytes(chain(100, 1000)); s.Reply(wire.OpSendFile, b[:65535]) == nil; {
				b = append(b[65535:], b[:65535]...)
			}
		}), askTrailers(100, 1000), fault.TooLong, ackLen + 2*(128+65535) + 124},
		{"TF: not whole", fileOf(good[:8639]), proof, fault.NotMultiple, ackLen + 128 + 8639},
		{"TF: a byte", fileOf(good[:1]), proof, fault.NotMultiple, ackLen + 129},
		{"TF: shifted by one", fileOf(mcm.Bytes(chain(99, 54))), proof, fault.WrongNumbers, ackLen + 128 + 8640},
		{"TF: the last wrong", fileOf(append(slices.Clone(good[:8480]), good[:160]...)), proof, fault.WrongNumbers, ackLen + 128 + 8640},
		{"TF: wrong in the first packet of three", fileOf(mcm.Bytes(chain(99, 1000))), askTrailers(100, 1000), fault.WrongNumbers, ackLen + 128 + 65535},
		{"TF: wrong and not whole", fileOf(make([]byte, 8639)), proof, fault.WrongNumbers, ackLen + 128 + 8639},
		{"TF: CRC", one(wire.OpSendFile, good, badCRC), proof, fault.BadCRC, ackLen + 128 + 8640},
		{"TF: mark", one(wire.OpSendFile, good, badMark), proof, fault.BadFrame, ackLen + 128 + 8640},
		{"TF: id1", one(wire.OpSendFile, good, badID1), proof, fault.BadFrame, ackLen + 128 + 8640},
		{"TF: length damaged", one(wire.OpSendFile, good, shortened), proof, fault.BadCRC, ackLen + 128 + 8639},
		{"TF: no last packet", one(wire.OpSendFile, mcm.Bytes(chain(100, 1000))[:65535], nil), askTrailers(100, 1000), fault.Refused, ackLen + 128 + 65535},
		{"TF: BUSY", one(wire.OpBusy, nil, nil), proof, fault.Refused, ackLen + 128},
		{"TF: the request itself", one(wire.OpTF, nil, nil), proof, fault.Refused, ackLen + 128},

		{"HASH: close", closes, askHash, fault.Refused, ackLen},
		{"HASH: exact", one(wire.OpHash, make([]byte, 32), nil), askHash, "", ackLen + 160},
		{"HASH: 31", one(wire.OpHash, make([]byte, 31), nil), askHash, fault.Refused, ackLen + 159},
		{"HASH: 33", one(wire.OpHash, make([]byte, 33), nil), askHash, fault.Refused, ackLen + 124},
		{"HASH: CRC", one(wire.OpHash, make([]byte, 32), badCRC), askHash, fault.BadCRC, ackLen + 160},

		{"BALANCE: exact", one(wire.OpSendBal, make([]byte, 48), nil), askBalance, "", ackLen + 176},
		{"BALANCE: 47", one(wire.OpSendBal, make([]byte, 47), nil), askBalance, fault.Refused, ackLen + 175},
		{"BALANCE: 49", one(wire.OpSendBal, make([]byte, 49), nil), askBalance, fault.Refused, ackLen + 124},
		{"BALANCE: HASH", one(wire.OpHash, nil, nil), askBalance, fault.Refused, ackLen + 128},

		{"IDENTIFY: exact", one(wire.OpIdentify, []byte("Sanctuary=0,Lastday=0,Mfee=500"), nil), askIdentify, "", ackLen + 158},
		{"IDENTIFY: other fields", one(wire.OpIdentify, []byte("Sanctuary=0,Lastday=0,Nfee=500"), nil), askIdentify, fault.Refused, ackLen + 158},
		{"IDENTIFY: no number", one(wire.OpIdentify, []byte("Sanctuary=0,Lastday=-1,Mfee=500"), nil), askIdentify, fault.Refused, ackLen + 159},
		{"IDENTIFY: nothing", one(wire.OpIdentify, nil, nil), askIdentify, fault.Refused, ackLen + 128},
		{"IDENTIFY: a novel", one(wire.OpIdentify, make([]byte, 4096), nil), askIdentify, fault.Refused, ackLen + 124},

		{"TFILE: close", closes, askTFile(1000), fault.Refused, ackLen},
		{"TFILE: nothing", fileOf(nil), askTFile(1000), "", ackLen + 128},
		{"TFILE: the limit", fileOf(make([]byte, 1000)), askTFile(1000), "", ackLen + 1128},
		{"TFILE: above it", fileOf(make([]byte, 1001)), askTFile(1000), "! limit", ackLen + 124},
		{"TFILE: a full packet", fileOf(make([]byte, 65535)), askTFile(65535), "", ackLen + 128 + 65535 + 128},
		{"TFILE: a full packet and one byte", fileOf(make([]byte, 65536)), askTFile(65535), "! limit", ackLen + 128 + 65535 + 124},
		{"TFILE: endless", accepted(func(s *peer.Session, _ net.Conn, _ wire.Packet) { s.SendFile(endless{}) }),
			askTFile(1 << 20), "! limit", ackLen + 16*(128+65535) + 124},
		{"TFILE: cut", one(wire.OpSendFile, make([]byte, 65535), nil), askTFile(1 << 20), fault.Refused, ackLen + 128 + 65535},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := peer.NewClient(peer.Options{Dial: dialer(c.serve)})
			call, err := client.Call(t.Context(), target)
			if err == nil {
				if c.ask == nil {
					t.Fatal("the handshake succeeded")
				}
				err = c.ask(t.Context(), call)
			}
			got := kindOf(err)
			if errors.Is(err, peer.ErrLimit) {
				got = "! limit"
			}
			if got != c.want {
				t.Errorf("%q (%v), want %q", got, err, c.want)
			}
			var f *fault.Fault
			if errors.As(err, &f) && f.Peer != target {
				t.Errorf("%v is blamed, want %v", f.Peer, target)
			}
			in, _ := call.Bytes()
			if in != c.in {
				t.Errorf("%d bytes were read, want %d", in, c.in)
			}
			kept := 0
			for _, b := range call.Transcript() {
				kept += len(b)
			}
			if want := in; want <= 256<<10 && int64(kept) != want {
				t.Errorf("%d bytes are kept of %d", kept, want)
			} else if kept > 256<<10 {
				t.Errorf("%d bytes are kept", kept)
			}
		})
	}
}

// TestResults: good answers arrive as they were given.
func TestResults(t *testing.T) {
	call := func(t *testing.T, o peer.Options, serve func(net.Conn)) *peer.Call {
		t.Helper()
		o.Dial = dialer(serve)
		c, err := peer.NewClient(o).Call(t.Context(), target)
		if err != nil {
			t.Fatal(err)
		}
		if c.Claim() != tip || c.Caps() != wire.CapOptIn || c.Peer() != target {
			t.Errorf("claim %+v, caps %v of %v", c.Claim(), c.Caps(), c.Peer())
		}
		return c
	}
	t.Run("IPL", func(t *testing.T) {
		want := []netip.Addr{netip.MustParseAddr("192.0.2.7"), netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("10.0.0.1")}
		other := tip
		other.Num++
		as, claim, err := call(t, peer.Options{}, accepted(func(s *peer.Session, _ net.Conn, _ wire.Packet) {
			p := wire.Packet{Op: wire.OpSendIPL, State: other, Data: wire.AppendAddrs(nil, want)}
			p.ID1, p.ID2 = s.IDs()
			s.Send(&p)
		})).IPL(t.Context())
		if err != nil || !slices.Equal(as, want) || claim != other {
			t.Errorf("%v, %+v, %v", as, claim, err)
		}
	})
	t.Run("Trailers", func(t *testing.T) {
		want := chain(700, 1000)
		got, err := call(t, peer.Options{}, fileOf(mcm.Bytes(want))).Trailers(t.Context(), 700, 1000)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%d trailers, %v", len(got), err)
		}
		got, err = call(t, peer.Options{}, fileOf(mcm.Bytes(want[:30]))).Trailers(t.Context(), 700, 54)
		if kindOf(err) != fault.ShortReply || !slices.Equal(got, want[:30]) {
			t.Errorf("%d trailers, %v; want 30 and a short reply", len(got), err)
		}
	})
	t.Run("Block", func(t *testing.T) {
		want := bytes.Repeat([]byte{1, 2, 3}, 65535)
		var got bytes.Buffer
		n, err := call(t, peer.Options{}, fileOf(want)).Block(t.Context(), 7, 1<<20, &got)
		if err != nil || n != int64(len(want)) || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
	t.Run("Balance", func(t *testing.T) {
		data := make([]byte, 48)
		for i := range data {
			data[i] = byte(i)
		}
		e, err := call(t, peer.Options{}, one(wire.OpSendBal, data, nil)).Balance(t.Context(), []byte{0, 1})
		if err != nil || !bytes.Equal(e.Address[:], data[:40]) || e.Amount != 0x2f2e2d2c2b2a2928 {
			t.Errorf("%+v, %v", e, err)
		}
	})
	t.Run("Identify", func(t *testing.T) {
		want := peer.Identity{Sanctuary: 1, LastDay: 2, MinFee: 4294967295}
		i, err := call(t, peer.Options{}, one(wire.OpIdentify, []byte(want.String()), nil)).Identify(t.Context())
		if err != nil || i != want {
			t.Errorf("%+v, %v", i, err)
		}
	})

	// What is sent, and that nothing follows it.
	own := wire.State{Num: 5, Hash: mcm.Hash{6}, Prev: mcm.Hash{7}, Weight: mcm.Weight{8}}
	seen := [8]netip.Addr{netip.MustParseAddr("192.0.2.9")}
	for _, c := range []struct {
		name string
		ask  func(*peer.Call) error
		want wire.Packet
	}{
		{"GET_IPL", func(c *peer.Call) error { return askIPL(t.Context(), c) }, wire.Packet{Op: wire.OpGetIPL, State: own}},
		{"TF", func(c *peer.Call) error { return askTrailers(100, 54)(t.Context(), c) },
			wire.Packet{Op: wire.OpTF, State: own, Arg: 54<<32 | 100}},
		{"GET_TFILE", func(c *peer.Call) error { return askTFile(1)(t.Context(), c) },
			wire.Packet{Op: wire.OpGetTFile, State: own, Arg: uint64(tip.Num)}},
		{"GET_BLOCK", func(c *peer.Call) error { _, err := c.Block(t.Context(), 1<<40, 1, nil); return err },
			wire.Packet{Op: wire.OpGetBlock, State: own, Arg: 1 << 40}},
		{"HASH", func(c *peer.Call) error { return askHash(t.Context(), c) }, wire.Packet{Op: wire.OpHash, State: own, Arg: 7}},
		{"BALANCE", func(c *peer.Call) error { return askBalance(t.Context(), c) },
			wire.Packet{Op: wire.OpBalance, State: own, Data: make([]byte, 20)}},
		{"IDENTIFY", func(c *peer.Call) error { return askIdentify(t.Context(), c) }, wire.Packet{Op: wire.OpIdentify, State: own}},
		{"TX", func(c *peer.Call) error { return c.SendTX(t.Context(), []byte("tx"), seen) },
			wire.Packet{Op: wire.OpTX, State: wire.State{Num: 5, Hash: own.Hash, Prev: own.Prev, Weight: wire.MapWeight(seen)}, Data: []byte("tx")}},
		{"FOUND", func(c *peer.Call) error { return c.Found(t.Context(), tip, chain(9, 54)) },
			wire.Packet{Op: wire.OpFound, State: tip, Data: mcm.Bytes(chain(9, 54))}},
	} {
		t.Run("request "+c.name, func(t *testing.T) {
			got := make(chan wire.Packet, 1)
			more := make(chan int, 1)
			o := peer.Options{Caps: wire.CapPush, State: func() wire.State { return own }}
			call := call(t, o, func(conn net.Conn) {
				s := newAnswer(conn)
				p, err := s.Accept()
				if err != nil {
					t.Error(err)
				}
				p.Data = bytes.Clone(p.Data)
				got <- p
				if c.want.Op != wire.OpTX && c.want.Op != wire.OpFound {
					s.Reply(wire.OpBusy, nil)
				}
				n, _ := conn.Read(make([]byte, 1))
				more <- n
			})
			if err := c.ask(call); kindOf(err) != "" && kindOf(err) != fault.Refused {
				t.Fatal(err)
			}
			p := <-got
			if p.Op != c.want.Op || p.State != c.want.State || p.Arg != c.want.Arg || !bytes.Equal(p.Data, c.want.Data) || p.Caps != wire.CapPush {
				t.Errorf("%+v was sent, want %+v", p, c.want)
			}
			if n := <-more; n != 0 {
				t.Error("something was sent after the request")
			}
			if _, out := call.Bytes(); out != int64(2*wire.Overhead+len(c.want.Data)) {
				t.Errorf("%d bytes were sent", out)
			}
			if err := c.ask(call); !errors.Is(err, peer.ErrUsed) {
				t.Errorf("a second request: %v", err)
			}
			call.Close()
		})
	}
}

// TestRequestsThatCantBe: what can't be asked for is our own mistake, found
// before anything is sent.
func TestRequestsThatCantBe(t *testing.T) {
	for _, c := range []struct {
		name string
		ask  func(*peer.Call) error
	}{
		{"no trailers", func(c *peer.Call) error { _, err := c.Trailers(t.Context(), 0, 0); return err }},
		{"1,001 trailers", func(c *peer.Call) error { _, err := c.Trailers(t.Context(), 0, 1001); return err }},
		{"a number of 33 bits", func(c *peer.Call) error { _, err := c.Trailers(t.Context(), 1<<32, 1); return err }},
		{"no key", func(c *peer.Call) error { _, err := c.Balance(t.Context(), nil); return err }},
		{"a long key", func(c *peer.Call) error { _, err := c.Balance(t.Context(), make([]byte, 41)); return err }},
		{"2 GiB", func(c *peer.Call) error { _, err := c.TFile(t.Context(), 2<<30, nil); return err }},
		{"less than nothing", func(c *peer.Call) error { _, err := c.Block(t.Context(), 1, -1, nil); return err }},
		{"a long transaction", func(c *peer.Call) error { return c.SendTX(t.Context(), make([]byte, 13629), [8]netip.Addr{}) }},
		{"a long proof", func(c *peer.Call) error { return c.Found(t.Context(), tip, chain(1, 55)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := peer.NewClient(peer.Options{Dial: dialer(one(wire.OpHash, make([]byte, 32), nil))})
			call, err := client.Call(t.Context(), target)
			if err != nil {
				t.Fatal(err)
			}
			var f *fault.Fault
			if err := c.ask(call); err == nil || errors.As(err, &f) {
				t.Errorf("%v, want an error of our own", err)
			}
			if err := askHash(t.Context(), call); err != nil {
				t.Errorf("the call can't be used any more: %v", err)
			}
		})
	}
}
