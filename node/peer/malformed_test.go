package peer_test

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/wire"
)

// A field of a packet, by what it is for.
type field uint8

const (
	free field = iota // says something, proves nothing: version, capabilities, state, argument
	network
	ids
	operation
	length
	content
	checksum
	mark
)

// fieldAt returns the field that byte i of n is in.
func fieldAt(i, n int) field {
	switch {
	case i >= n-2:
		return mark
	case i >= n-4:
		return checksum
	case i >= wire.HeaderLen:
		return content
	case i >= 122:
		return length
	case i >= 10 || i < 2:
		return free
	case i >= 8:
		return operation
	case i >= 4:
		return ids
	default:
		return network
	}
}

// flip changes one bit that it draws, of the header and its length field more
// often than of the rest, and gives the packet a CRC for it or not.
func flip(r *rand.Rand, b []byte) (at int, right bool) {
	switch r.IntN(4) {
	case 0:
		at = r.IntN(len(b))
	case 1:
		at = 122 + r.IntN(2)
	default:
		at = r.IntN(wire.HeaderLen)
	}
	b[at] ^= 1 << r.IntN(8)
	if right = r.IntN(2) == 0; right {
		recrc(b)
	}
	return at, right
}

// TestMalformedReplies gives a client 15,000 answers with one bit changed, under a
// right CRC or the one from before.
func TestMalformedReplies(t *testing.T) {
	replies := []struct {
		op   wire.Op
		data []byte
		most int        // data that may be announced
		long fault.Kind // if more are
		ask  ask
	}{
		{wire.OpSendFile, mcm.Bytes(chain(100, 54)), 8640, fault.TooLong, askTrailers(100, 54)},
		{wire.OpHash, make([]byte, 32), 32, fault.Refused, askHash},
		{wire.OpSendIPL, make([]byte, 128), 256, fault.BadList, askIPL},
		{wire.OpSendBal, make([]byte, 48), 48, fault.Refused, askBalance},
	}
	const seed = 1
	r := rand.New(rand.NewPCG(seed, 0))
	seen := map[fault.Kind]int{}
	for i := range 15_000 {
		c := replies[r.IntN(len(replies))]
		var reply []byte
		var at int
		var right bool
		h := &hostile{}
		h.hears = func(h *hostile, b []byte) {
			h.id1 = binary.LittleEndian.Uint16(b[4:])
			if h.heard == wire.Overhead {
				h.say = packet(wire.OpHelloAck, h.id1, h.id2, 0, nil)
				return
			}
			reply = packet(c.op, h.id1, h.id2, 0, c.data)
			at, right = flip(r, reply)
			h.say = reply
		}
		client := peer.NewClient(peer.Options{Dial: func(context.Context, netip.AddrPort) (net.Conn, error) { return h, nil }})
		call, err := client.Call(t.Context(), target)
		if err == nil {
			err = c.ask(t.Context(), call)
		}

		var want fault.Kind
		op, n := wire.Op(binary.LittleEndian.Uint16(reply[8:])), int(binary.LittleEndian.Uint16(reply[122:]))
		switch f := fieldAt(at, len(reply)); {
		case f == length && n > c.most:
			want = c.long
		case f == length && n > len(c.data):
			want = fault.Refused // the end comes first
		case f == length && wire.CRC16(reply[:wire.HeaderLen+n]) == binary.LittleEndian.Uint16(reply[wire.HeaderLen+n:]):
			want = fault.BadFrame // one in 65,536: the data there look like a CRC, but not like an end mark
		case f == length:
			want = fault.BadCRC // which is looked for in the data
		case f == mark:
			want = fault.BadFrame
		case f == operation && (right || op != wire.OpNack):
			want = fault.Refused // data that no such packet may have aren't read
		case f == checksum && right:
		case !right:
			want = fault.BadCRC
		case f == network, f == ids:
			want = fault.BadFrame
		case f == content && c.op == wire.OpSendFile && (at-wire.HeaderLen)%160/8 == 4:
			want = fault.WrongNumbers
		}
		if got := kindOf(err); got != want {
			t.Errorf("seed %d, input %d: %s, byte %d of %d, right CRC %v: %q, want %q", seed, i, c.op, at, len(reply), right, got, want)
		}
		seen[want]++
	}
	for _, k := range []fault.Kind{"", fault.TooLong, fault.BadList, fault.BadFrame, fault.WrongNumbers, fault.BadCRC, fault.Refused} {
		if seen[k] < 20 {
			t.Errorf("%q was expected %d times only", k, seen[k])
		}
	}
}

// TestMalformedRequests does the same to a server, with HELLO and a request.
func TestMalformedRequests(t *testing.T) {
	const seed = 2
	r := rand.New(rand.NewPCG(seed, 0))
	var mu sync.Mutex
	var charged []fault.Kind
	ln, stop := serving(t, &shelf{hashes: map[mcm.BlockNum]mcm.Hash{7: {8}}}, peer.ServerOptions{Faulted: func(f *fault.Fault) {
		mu.Lock()
		defer mu.Unlock()
		charged = append(charged, f.Kind)
	}})
	answered := map[bool]int{}
	for i := range 10_000 {
		first, request := packet(wire.OpHello, 7, 0, 0, nil), packet(wire.OpHash, 7, 0, 7, nil)
		broken := first
		if i%2 == 1 {
			broken = request
		}
		// The answer's ids are known before: one of them is what is sent.
		h := &hostile{say: first, closed: make(chan struct{})}
		var at int
		var right bool
		if i%2 == 0 {
			at, right = flip(r, first)
		}
		h.hears = func(h *hostile, b []byte) {
			if h.heard > wire.Overhead {
				return
			}
			copy(request[4:8], b[4:8])
			recrc(request)
			if i%2 == 1 {
				at, right = flip(r, request)
			}
			h.say = request
		}
		ln.conns <- h
		<-h.closed

		op := wire.Op(binary.LittleEndian.Uint16(broken[8:]))
		var want []fault.Kind
		var answer bool
		switch f := fieldAt(at, len(broken)); {
		case f == length: // more than a HELLO or the request has: not read
		case f == mark, right && f == network, right && f == ids && i%2 == 1:
			want = []fault.Kind{fault.BadFrame}
		case !right:
			want = []fault.Kind{fault.BadCRC}
		case f == operation:
			answer = i%2 == 1 && op == wire.OpIdentify
		default:
			// Another block than the one there is has no hash.
			answer = i%2 == 0 || at < 18 || at >= 26
		}
		acks := wire.Overhead
		if i%2 == 0 && !answer {
			acks = 0
		}
		mu.Lock()
		if got := h.heard > acks; got != answer || h.heard < acks {
			t.Errorf("seed %d, input %d: byte %d, right CRC %v: %d bytes of answer, answered should be %v", seed, i, at, right, h.heard, answer)
		}
		if !slices.Equal(charged, want) {
			t.Errorf("seed %d, input %d: byte %d, right CRC %v: charged with %v, want %v", seed, i, at, right, charged, want)
		}
		charged = nil
		mu.Unlock()
		answered[answer]++
	}
	stop()
	if answered[true] < 1000 || answered[false] < 1000 {
		t.Errorf("%d were answered, %d not", answered[true], answered[false])
	}
}
