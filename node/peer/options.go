package peer

import (
	"context"
	"net"
	"net/netip"
	"time"

	"kigo/node/wire"
)

// Timeouts bound every wait of a conversation (docs/spec/network.md sections 4,
// 6 and 10).  A field that is 0 has its default.
type Timeouts struct {
	Connect  time.Duration // TCP connection of a call
	HelloAck time.Duration // from the connection to the whole HELLO_ACK
	First    time.Duration // from a request to the first byte of the reply
	Packet   time.Duration // one packet, in either direction, once the handshake is over
	List     time.Duration // a whole reply of one packet
	Proof    time.Duration // a whole reply of up to 54 trailers
	Range    time.Duration // a whole reply of more trailers

	Hello   time.Duration // as server, from the connection to the whole HELLO
	Request time.Duration // as server, from the HELLO_ACK to the whole request

	// A transfer of more than one packet that has gone on for Grace and then
	// for n seconds must have moved n times MinRate bytes, in either direction.
	// It is what ends a stream of one byte a second, and of one packet in 4.9.
	MinRate int64 // bytes per second
	Grace   time.Duration
}

// DefaultTimeouts returns those of docs/spec/network.md section 10.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Connect:  3 * time.Second,
		HelloAck: 3 * time.Second,
		First:    5 * time.Second,
		Packet:   5 * time.Second,
		List:     5 * time.Second,
		Proof:    8 * time.Second,
		Range:    20 * time.Second,
		Hello:    2 * time.Second,
		Request:  3 * time.Second,
		MinRate:  16 << 10,
		Grace:    5 * time.Second,
	}
}

// filled returns t with defaults in place of zeros.
func (t Timeouts) filled() Timeouts {
	d := DefaultTimeouts()
	for _, f := range []struct{ have, otherwise *time.Duration }{
		{&t.Connect, &d.Connect}, {&t.HelloAck, &d.HelloAck}, {&t.First, &d.First},
		{&t.Packet, &d.Packet}, {&t.List, &d.List}, {&t.Proof, &d.Proof}, {&t.Range, &d.Range},
		{&t.Hello, &d.Hello}, {&t.Request, &d.Request}, {&t.Grace, &d.Grace},
	} {
		if *f.have <= 0 {
			*f.have = *f.otherwise
		}
	}
	if t.MinRate <= 0 {
		t.MinRate = d.MinRate
	}
	return t
}

// transfer returns how long a transfer of n bytes may take.
func (t *Timeouts) transfer(n int64) time.Duration {
	return t.Grace + time.Duration(float64(n)/float64(t.MinRate)*float64(time.Second))
}

// Options are the settings of a Client.  The zero value calls real peers on the
// usual port, as somebody who has no chain.
type Options struct {
	Port uint16 // of every peer; 0 means wire.DefaultPort

	// Dial opens a connection; nil means TCP.  It must return when ctx ends.
	Dial func(ctx context.Context, a netip.AddrPort) (net.Conn, error)

	Caps     wire.Caps         // what we say we can; CapOptIn makes a peer call back
	State    func() wire.State // our chain, asked once a call; nil means none
	Timeouts Timeouts
	Metrics  *Metrics // nil counts nothing
}

// dialTCP is the default of Options.Dial.
func dialTCP(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
	// A conversation is too short for keep-alives to matter.
	d := net.Dialer{KeepAlive: -1}
	return d.DialContext(ctx, "tcp4", a.String())
}
