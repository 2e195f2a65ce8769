package peer_test

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/wire"
)

// Sessions that can't be replayed against a Server, and why.
var serverSkips = table[string]{
	"malformed/head_of_line":          "no bytes were recorded; TestNobodyWaitsBehindSilentOnes is the same",
	"scan-answers/*":                  "the answers were scripted, to be odd; TestReplayAgainstClient has them",
	"found/found_next_block_silent#1": "the silence was scripted; no Server is silent to a request",
	"bootstrap#1":                     "the connection was refused: no byte was recorded",
}

// Where a Server answers otherwise than the recorded node: what it sends instead,
// and the rule.
var serverDiffers = table[struct {
	sends []string
	rule  string
}]{
	"requests/get_ipl_with_blocknum": {[]string{"HELLO_ACK 0"}, "GET_IPL has no data (network.md 12, len)"},
	"requests/balance_full_address":  {[]string{"HELLO_ACK 0"}, "there is no ledger yet; no answer is allowed (5)"},
	"requests/balance_tag":           {[]string{"HELLO_ACK 0"}, "likewise"},
	"requests/balance_prefix1":       {[]string{"HELLO_ACK 0"}, "likewise"},
	"requests/balance_overlong":      {[]string{"HELLO_ACK 0"}, "at most 40 bytes of key (12, len)"},
	"malformed/drip_hello_0.6s":      {[]string{"HELLO_ACK 0"}, "2 s for the HELLO (10), not 0 to 1"},
	"malformed/hello_with_data":      {nil, "HELLO has no data and nothing is sent back (2; 12, len)"},
	"malformed/hello_with_65535":     {nil, "likewise"},
	"push/cblock_ready":              {[]string{"HELLO_ACK 0"}, "no candidate blocks, and no capability that says so (7.8)"},
}

// What callers are charged with (docs/spec/network.md section 11): nothing unless
// it is here.
var serverFaults = table[fault.Kind]{
	"malformed/hello_bad_crc":         fault.BadCRC,
	"malformed/hello_bad_network":     fault.BadFrame,
	"malformed/hello_bad_trailer":     fault.BadFrame,
	"malformed/request_bad_crc":       fault.BadCRC,
	"malformed/request_bad_network":   fault.BadFrame,
	"malformed/request_bad_trailer":   fault.BadFrame,
	"malformed/request_bad_id1":       fault.BadFrame,
	"malformed/request_bad_id2":       fault.BadFrame,
	"malformed/request_bad_id_low_op": fault.BadFrame,
	"malformed/len_smaller_than_sent": fault.BadCRC,
	"malformed/pipelined_request":     fault.BadFrame,
}

// later are requests for what the recorded node didn't have yet.
var later = map[string]bool{"bootstrap#2151": true}

// A node holds what a recorded node had, as far as its answers show it.
type node struct {
	state    wire.State
	peers    []netip.Addr
	tfile    []byte // whole, or nil
	trailers map[uint32]mcm.Trailer
	end      uint32 // number after the last trailer
	blocks   map[uint64][]byte
	hashes   map[uint64]mcm.Hash

	mu       sync.Mutex
	heard    []netip.Addr
	received []wire.Packet
	faults   []*fault.Fault
}

func (n *node) State() wire.State { return n.state }

func (n *node) Peers() []netip.Addr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.peers)
}

func (n *node) Trailers(first, count uint32) (ts []mcm.Trailer) {
	for i := uint64(first); i < min(uint64(first)+uint64(count), uint64(n.end)); i++ {
		ts = append(ts, n.trailers[uint32(i)])
	}
	return ts
}

func (n *node) TFile() (io.ReadCloser, error) {
	if n.tfile == nil {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(n.tfile)), nil
}

func (n *node) Block(num mcm.BlockNum) (io.ReadCloser, error) {
	b, ok := n.blocks[uint64(num)]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (n *node) Hash(num mcm.BlockNum) (mcm.Hash, bool) {
	h, ok := n.hashes[uint64(num)]
	return h, ok
}

// Heard appends a new caller to the list, as the recorded node did.
func (n *node) Heard(a netip.Addr, _ wire.Caps) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heard = append(n.heard, a)
	if !slices.Contains(n.peers, a) {
		n.peers = append(n.peers, a)
	}
}

func (n *node) Found(_ netip.Addr, m *wire.Packet) { n.receive(m) }
func (n *node) TX(_ netip.Addr, m *wire.Packet)    { n.receive(m) }

func (n *node) receive(m *wire.Packet) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.received = append(n.received, *m)
}

func (n *node) faulted(f *fault.Fault) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.faults = append(n.faults, f)
}

// learn adds what one session shows of the node that answers in it.
func (n *node) learn(s *session) {
	req, ok := s.request()
	answers, data := s.answers(), s.answer()
	if !ok {
		return
	}
	if later[s.name] {
		delete(n.blocks, req.Arg)
	}
	if len(answers) == 0 {
		return
	}
	switch first, _ := wire.SplitTFArg(req.Arg); req.Op {
	case wire.OpHash:
		n.hashes[req.Arg] = mcm.Hash(data)
	case wire.OpGetBlock:
		n.blocks[req.Arg] = data
	case wire.OpGetTFile:
		n.tfile = data
	case wire.OpTF:
		for i, tr := range mcm.Trailers(data) {
			n.trailers[first+uint32(i)] = tr
			n.end = max(n.end, first+uint32(i)+1)
		}
	case wire.OpGetIPL:
		n.peers = nil
		for ; len(data) >= 4; data = data[4:] {
			n.peers = append(n.peers, netip.AddrFrom4([4]byte(data)))
		}
		// A caller who asked for it was added before the answer was made.
		if last := len(n.peers) - 1; last >= 0 && req.Caps&wire.CapOptIn != 0 && n.peers[last] == s.caller {
			n.peers = n.peers[:last]
		}
	}
}

// nodesOf returns what each answering node had, from all of its sessions.
func nodesOf(all []session) map[string]*node {
	nodes := map[string]*node{}
	for i := range all {
		s := &all[i]
		n := nodes[s.node]
		if n == nil {
			n = &node{trailers: map[uint32]mcm.Trailer{}, blocks: map[uint64][]byte{}, hashes: map[uint64]mcm.Hash{}}
			nodes[s.node] = n
		}
		if req, _ := s.request(); req.Op != wire.OpGetTFile { // 105 MB each, for its own session only
			n.learn(s)
		}
	}
	return nodes
}

// during returns the node as it was in a session.
func (n *node) during(s *session) *node {
	c := &node{
		peers: n.peers, trailers: maps.Clone(n.trailers), end: n.end,
		blocks: maps.Clone(n.blocks), hashes: n.hashes,
	}
	c.learn(s)
	if ack, ok := s.ack(); ok {
		c.state = ack.State
	}
	return c
}

// Every recorded caller, good or malformed, calls a Server with the recorded
// node's data.  Its answers must be the recorded ones, byte for byte but for id2
// and what follows from it.
func TestReplayAgainstServer(t *testing.T) {
	all := sessions(t)
	nodes := nodesOf(all)
	usedSkips, usedDiffers, usedFaults := map[string]bool{}, map[string]bool{}, map[string]bool{}
	replayed := 0
	for _, s := range all {
		if _, skip := serverSkips.find(usedSkips, s.name); skip {
			continue
		}
		differs, other := serverDiffers.find(usedDiffers, s.name)
		blame, _ := serverFaults.find(usedFaults, s.name)
		replayed++
		if testing.Short() && len(s.events) > 1000 {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			for replayServer(t, nodes[s.node].during(&s), &s, other, differs.sends, blame) {
				// the id2 that a caller guessed was right
			}
		})
	}
	serverSkips.unused(t, usedSkips)
	serverDiffers.unused(t, usedDiffers)
	serverFaults.unused(t, usedFaults)
	if replayed != 180 {
		t.Errorf("%d sessions replayed, want 180", replayed)
	}
}

func replayServer(t *testing.T, n *node, s *session, other bool, sends []string, blame fault.Kind) (again bool) {
	synctest.Test(t, func(t *testing.T) {
		ack, acked := s.ack()
		ln, stop := serving(t, n, peer.ServerOptions{Caps: ack.Caps, Faulted: n.faulted})
		conn := ln.dial(s.caller)
		replies := make(chan []byte)
		go func() {
			defer close(replies)
			for {
				_, raw, err := wire.Read(conn, nil, nil)
				if len(raw) > 0 {
					replies <- raw
				}
				if err != nil {
					return
				}
			}
		}()

		var id2 uint16 // difference to the recorded one
		var got, want []string
		begin, closed := time.Now(), false
		name := func(raw []byte) string { p := header(raw); return fmt.Sprintf("%s %d", p.Op, len(p.Data)) }
		next := func() []byte {
			raw, open := <-replies
			if closed = closed || !open; open {
				got = append(got, name(raw))
				if p := header(raw); p.Op == wire.OpHelloAck && acked {
					id2 = p.ID2 ^ ack.ID2
					again = s.name == "malformed/pipelined_request" && p.ID2 == 0
				}
			}
			return raw
		}
		for i, e := range s.events {
			switch {
			case e.caller:
				time.Sleep(e.at - time.Since(begin))
				// An error is a close by the server, which the replies show.
				_, _ = conn.Write(readdress(e.raw, 0, id2))
			case e.raw != nil:
				want = append(want, name(e.raw))
				raw := next()
				if expected := readdress(e.raw, 0, id2); !other && !bytes.Equal(raw, expected) {
					t.Errorf("event %d: %d bytes\n%.300x\ninstead of %d bytes\n%.300x", i, len(raw), raw, len(expected), expected)
				}
			default:
				for !closed {
					next()
				}
			}
		}
		if _, hasRequest := s.request(); hasRequest {
			for !closed { // where the recording ends before the node closed
				next()
			}
		}
		if took := time.Since(begin); took > 10*time.Second {
			t.Errorf("took %s", took)
		}
		conn.Close()
		for !closed {
			next()
		}
		stop()
		if again {
			return
		}

		if other {
			if slices.Equal(want, sends) {
				t.Errorf("the table says it differs, but %q is what was recorded", sends)
			}
			want = sends
		}
		if !slices.Equal(got, want) {
			t.Errorf("sent %q, want %q", got, want)
		}
		n.checkTold(t, s, other)
		switch {
		case blame == "" && len(n.faults) > 0:
			t.Errorf("the caller is charged with %v", n.faults)
		case blame != "" && (len(n.faults) != 1 || n.faults[0].Kind != blame || n.faults[0].Peer != s.caller):
			t.Errorf("the caller is charged with %v, want %s", n.faults, blame)
		}
	})
	return again
}

// checkTold compares what the node was told with what the caller said.
func (n *node) checkTold(t *testing.T, s *session, other bool) {
	req, _ := s.request()
	var received []wire.Packet
	if req.Op == wire.OpTX || req.Op == wire.OpFound {
		received = []wire.Packet{req}
	}
	if len(n.received) != len(received) {
		t.Fatalf("%d messages, want %d", len(n.received), len(received))
	}
	for i, m := range n.received {
		if want := received[i]; m.Op != want.Op || m.State != want.State || m.Caps != want.Caps || !bytes.Equal(m.Data, want.Data) {
			t.Errorf("received %+.200v, want %+.200v", m, want)
		}
	}
	var heard []netip.Addr
	switch req.Op {
	case wire.OpGetIPL, wire.OpGetBlock, wire.OpGetTFile:
		if req.Caps&wire.CapOptIn != 0 && len(s.answers()) > 0 && !other {
			heard = []netip.Addr{s.caller}
		}
	}
	if !slices.Equal(n.heard, heard) {
		t.Errorf("heard of %v, want %v", n.heard, heard)
	}
}
