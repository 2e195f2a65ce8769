package peer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/wire"
)

// Sessions that can't be replayed against a Client, and why.
var clientSkips = table[string]{
	"requests/hello_only":            "no request",
	"requests/get_ipl_with_blocknum": "no call sends data or a number with GET_IPL",
	"requests/balance_len0":          "no call has an empty key",
	"requests/balance_overlong":      "no call has a key of 60 bytes",
	"requests/resolve":               "no call asks for what nobody answers",
	"requests/tf_zero":               "no call asks for 0 trailers",
	"requests/tf_1001":               "no call asks for more than 1,000 trailers",
	"requests/tf_count_high":         "no call asks for more than 1,000 trailers",
	"requests/get_tfile":             "the recorded caller isn't a node and left the block number 0; bootstrap#4 is the same transfer",
	"malformed/*":                    "no call sends anything malformed; the good ones among them differ from those of requests in the HELLO only",
	"push/cblock_*":                  "Kigo mines nothing and has no such call",
	"push/mblock_*":                  "Kigo mines nothing and has no such call",
	"bootstrap#1":                    "the connection was refused: no byte was recorded",
}

// What a Client finds wrong where the reference accepts, or accepts nothing
// either, and the rule.  Elsewhere an answer is good, and a close without one is
// fault.Refused.
var clientFaults = table[struct {
	kind fault.Kind
	rule string
}]{
	"requests/tf_straddle":            {fault.ShortReply, "fewer trailers than asked for prove nothing (sync.md 8.8)"},
	"requests/tf_beyond":              {fault.ShortReply, "likewise"},
	"requests/tf_first_max":           {fault.ShortReply, "likewise"},
	"scan-answers/127.0.2.1":          {fault.Refused, "the reply must have opcode 8 (network.md 7.4); another is no answer (5)"},
	"scan-answers/127.0.2.2":          {fault.BadList, "at most 256 bytes, otherwise it counts against the peer (7.4); the reference drops it"},
	"scan-answers/127.0.2.4":          {fault.BadFrame, "wrong ids with a right CRC (11); the reference drops it"},
	"scan-answers/127.0.2.5":          {fault.Refused, "as 127.0.2.1; ids of what is no answer don't matter"},
	"scan-answers/127.0.2.7":          {fault.BadList, "a multiple of four, and nothing is read behind it (7.4)"},
	"scan-answers/127.0.2.9":          {fault.BadFrame, "HELLO_ACK with another id1 (4, 11); the reference drops it"},
	"found/found_next_block_silent#1": {fault.Timeout, "no byte within 5 s (10)"},
}

// silentServers didn't close after the last recorded byte.
var silentServers = map[string]bool{"found/found_next_block_silent#1": true}

// A result is what a call brought.
type result struct {
	addrs    []netip.Addr
	claim    wire.State
	hash     mcm.Hash
	entry    peer.Entry
	identity string
	trailers []mcm.Trailer
	file     string
}

// recordedCall returns the call that sends a request, and what it should bring
// from the recorded answers.
func recordedCall(s *session, req *wire.Packet) (call func(context.Context, *peer.Call) (result, error), want result) {
	answers, data := s.answers(), s.answer()
	answered := len(answers) > 0
	switch req.Op {
	case wire.OpGetIPL:
		if answered {
			want.claim = answers[0].State
			want.addrs = []netip.Addr{}
			for ; len(data) >= 4; data = data[4:] {
				want.addrs = append(want.addrs, netip.AddrFrom4([4]byte(data)))
			}
		}
		call = func(ctx context.Context, c *peer.Call) (r result, err error) {
			r.addrs, r.claim, err = c.IPL(ctx)
			return r, err
		}
	case wire.OpHash:
		copy(want.hash[:], data)
		call = func(ctx context.Context, c *peer.Call) (r result, err error) {
			r.hash, err = c.Hash(ctx, mcm.BlockNum(req.Arg))
			return r, err
		}
	case wire.OpBalance:
		if answered {
			want.entry.Address = [40]byte(data)
			for i, v := range data[40:48] {
				want.entry.Amount |= uint64(v) << (8 * i)
			}
		}
		call = func(ctx context.Context, c *peer.Call) (r result, err error) {
			r.entry, err = c.Balance(ctx, req.Data)
			return r, err
		}
	case wire.OpIdentify:
		want.identity = string(data)
		call = func(ctx context.Context, c *peer.Call) (r result, err error) {
			id, err := c.Identify(ctx)
			r.identity = id.String()
			return r, err
		}
	case wire.OpTF:
		want.trailers = mcm.Trailers(data)
		call = func(ctx context.Context, c *peer.Call) (r result, err error) {
			first, count := wire.SplitTFArg(req.Arg)
			r.trailers, err = c.Trailers(ctx, mcm.BlockNum(first), int(count))
			return r, err
		}
	case wire.OpGetBlock, wire.OpGetTFile:
		want.file = digest(bytes.NewReader(data))
		call = func(ctx context.Context, c *peer.Call) (r result, err error) {
			rd, wr := io.Pipe()
			sum := make(chan string)
			go func() { sum <- digest(rd) }()
			if req.Op == wire.OpGetBlock {
				_, err = c.Block(ctx, mcm.BlockNum(req.Arg), 1<<20, wr)
			} else {
				_, err = c.TFile(ctx, 160*(int64(c.Claim().Num)+1001), wr)
			}
			wr.Close()
			r.file = <-sum
			return r, err
		}
	case wire.OpTX:
		call = func(ctx context.Context, c *peer.Call) (r result, err error) {
			return r, c.SendTX(ctx, req.Data, wire.AddressMap(req.State.Weight))
		}
	case wire.OpFound:
		call = func(ctx context.Context, c *peer.Call) (r result, err error) {
			return r, c.Found(ctx, req.State, mcm.Trailers(req.Data))
		}
	}
	return call, want
}

// Every recorded answer of a reference node, or of a peer that was scripted to
// confuse one, is given to a Client, whose own bytes must be the recorded ones.
func TestReplayAgainstClient(t *testing.T) {
	usedSkips, usedFaults := map[string]bool{}, map[string]bool{}
	replayed := 0
	for _, s := range sessions(t) {
		if _, skip := clientSkips.find(usedSkips, s.name); skip {
			continue
		}
		wrong, _ := clientFaults.find(usedFaults, s.name)
		replayed++
		if testing.Short() && len(s.events) > 1000 {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { replayClient(t, &s, wrong.kind) })
		})
	}
	clientSkips.unused(t, usedSkips)
	clientFaults.unused(t, usedFaults)
	if replayed != 119 {
		t.Errorf("%d sessions replayed, want 119", replayed)
	}
}

func replayClient(t *testing.T, s *session, wrong fault.Kind) {
	hello := header(s.events[0].raw)
	req, hasRequest := s.request()
	if !hasRequest {
		req = wire.Packet{Op: wire.OpGetIPL} // to be made if the handshake is accepted
	}
	call, want := recordedCall(s, &req)
	if call == nil {
		t.Fatalf("no call makes the request %s", req.Op)
	}
	replies := len(s.answers())

	script := make(chan error, 1)
	client := peer.NewClient(peer.Options{
		Caps:  req.Caps,
		State: func() wire.State { return hello.State },
		Dial: func(_ context.Context, a netip.AddrPort) (net.Conn, error) {
			if a != netip.MustParseAddrPort("127.9.9.9:2095") {
				return nil, fmt.Errorf("calls %s", a)
			}
			ours, theirs := net.Pipe()
			go func() { script <- playServer(theirs, s, req.Caps) }()
			return ours, nil
		},
	})
	ctx := t.Context()
	c, err := client.Call(ctx, netip.MustParseAddr("127.9.9.9"))
	var got result
	if err == nil {
		if ack, _ := s.ack(); c.Claim() != ack.State || c.Caps() != ack.Caps {
			t.Errorf("claim %+v, want %+v", c.Claim(), ack.State)
		}
		got, err = call(ctx, c)
	}
	if err := <-script; err != nil {
		t.Error(err)
	}

	if wrong == "" && replies == 0 && req.Op != wire.OpTX && req.Op != wire.OpFound {
		wrong = fault.Refused
	}
	var f *fault.Fault
	switch {
	case wrong == "" && err != nil:
		t.Fatalf("%v, want no error", err)
	case wrong != "" && (!errors.As(err, &f) || f.Kind != wrong || f.Peer != c.Peer()):
		t.Fatalf("%v, want the fault %s of %s", err, wrong, c.Peer())
	case wrong != "" && wrong != fault.ShortReply:
		return
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+.300v\nwant %+.300v", got, want)
	}
}

// playServer sends what the answering end sent, and compares what it gets with
// what that got.
func playServer(conn net.Conn, s *session, caps wire.Caps) error {
	defer conn.Close()
	var id1 uint16 // difference to the recorded one
	var buf []byte
	for i, e := range s.events {
		switch {
		case e.raw == nil:
			return nil
		case e.caller:
			p, raw, err := wire.Read(conn, buf, nil)
			if err != nil {
				return fmt.Errorf("packet %d of the client: %w", i, err)
			}
			if i == 0 {
				id1 = p.ID1 ^ header(e.raw).ID1
			}
			want := bytes.Clone(e.raw)
			want[1] = byte(caps) // a Client sends the same with each packet
			recrc(want)
			if want = readdress(want, id1, 0); !bytes.Equal(raw, want) {
				return fmt.Errorf("the client sends\n%.300x instead of\n%.300x", raw, want)
			}
			buf = raw
		default:
			if _, err := conn.Write(readdress(e.raw, id1, 0)); err != nil {
				if errors.Is(err, io.ErrClosedPipe) {
					return nil // had enough; the call says why
				}
				return err
			}
		}
	}
	if silentServers[s.name] {
		_, _ = conn.Read(make([]byte, 1)) // until the client has had enough
	}
	return nil
}

// One full packet every 4.9 s is within the reference's rules for 22 hours
// (docs/spec/network.md section 6).  A Client's least rate ends it.
func TestSlowFetchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		packet := func(op wire.Op, id1 uint16, data []byte) []byte {
			b, err := (&wire.Packet{Op: op, ID1: id1, ID2: 7, Data: data}).AppendTo(nil)
			if err != nil {
				t.Error(err)
			}
			return b
		}
		done := make(chan int, 1)
		client := peer.NewClient(peer.Options{Dial: func(context.Context, netip.AddrPort) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				defer theirs.Close()
				hello, _, _ := wire.Read(theirs, nil, nil)
				_, _ = theirs.Write(packet(wire.OpHelloAck, hello.ID1, nil))
				_, _, _ = wire.Read(theirs, nil, nil)
				sent := 0
				for full := packet(wire.OpSendFile, hello.ID1, make([]byte, wire.FileChunk)); ; sent++ {
					time.Sleep(4900 * time.Millisecond)
					if _, err := theirs.Write(full); err != nil {
						done <- sent
						return
					}
				}
			}()
			return ours, nil
		}})
		c, err := client.Call(t.Context(), netip.MustParseAddr("127.9.9.9"))
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		_, err = c.Block(t.Context(), 1, 1<<30, io.Discard)
		var f *fault.Fault
		if !errors.As(err, &f) || f.Kind != fault.TooSlow {
			t.Errorf("%v, want %s", err, fault.TooSlow)
		}
		if sent, took := <-done, time.Since(begin); sent > 8 || took > 40*time.Second {
			t.Errorf("ended after %d packets and %s", sent, took)
		}
	})
}
