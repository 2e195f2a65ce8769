// Package freeport finds ports for networks of many peers, each at an address of its own
// in 127.0.0.0/8.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
)

// guard is the address whose ports stand for those of all others.
var guard = netip.AddrFrom4([4]byte{127, 255, 255, 254})

// Below the ports that systems give to those who call: some call from addresses that
// others listen at.
const first, last = 10_000, 32_767

// A Port is a TCP port that no other Port has, of this process or another, until it is
// closed.  A port that the system chooses is free at one address only, and may be in use
// at the others by the next network.
type Port struct {
	Number uint16
	ln     net.Listener
}

// Reserve returns a port between 10,000 and 32,767 that nobody has.
func Reserve() (*Port, error) {
	var err error
	for range 100 {
		n := uint16(first + rand.IntN(last-first+1))
		var ln net.Listener
		if ln, err = net.Listen("tcp4", netip.AddrPortFrom(guard, n).String()); err == nil {
			return &Port{n, ln}, nil
		}
	}
	return nil, fmt.Errorf("freeport: no port is free: %w", err)
}

// Close gives the port back.
func (p *Port) Close() error { return p.ln.Close() }
