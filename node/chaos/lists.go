package chaos

import (
	"bytes"
	"net/netip"
	"slices"

	"kigo/node/fault"
	"kigo/node/wire"
)

// lists are kinds of peers that are on the honest chain and name nobody of use.
var lists = []Kind{
	{
		Name: "huge-list", Family: Lists, Expect: proven(fault.BadList),
		Summary: "names 16,383 addresses",
		hooks:   hooks{list: func(c *call) []byte { return wire.AppendAddrs(nil, c.dead(wire.MaxData/4)) }},
	}, {
		Name: "list-65", Family: Lists, Expect: proven(fault.BadList),
		Summary: "names one address more than may be",
		hooks:   hooks{list: func(c *call) []byte { return wire.AppendAddrs(nil, c.dead(wire.MaxAddrs+1)) }},
	}, {
		Name: "list-odd", Family: Lists, Expect: proven(fault.BadList),
		Summary: "names half an address more than ten",
		hooks:   hooks{list: func(c *call) []byte { return append(wire.AppendAddrs(nil, c.dead(10)), 127, 1) }},
	}, {
		Name: "dead-list", Family: Lists, Expect: proven(),
		Summary: "names 64 addresses of as many groups where nobody is",
		hooks:   hooks{list: func(c *call) []byte { return wire.AppendAddrs(nil, c.dead(wire.MaxAddrs)) }},
	}, {
		Name: "accomplice-list", Family: Lists, Expect: proven(),
		Summary: "names hostile peers only",
		hooks: hooks{list: func(c *call) []byte {
			return wire.AppendAddrs(nil, some(c.own(), c.accomplices, wire.MaxAddrs))
		}},
	}, {
		Name: "self-list", Family: Lists, Expect: proven(),
		Summary: "names itself 64 times",
		hooks: hooks{list: func(c *call) []byte {
			return wire.AppendAddrs(nil, slices.Repeat([]netip.Addr{c.addr}, wire.MaxAddrs))
		}},
	}, {
		Name: "private-list", Family: Lists, Expect: proven(),
		Summary: "names addresses that no public network has, and some that are none",
		hooks:   hooks{list: func(c *call) []byte { return wire.AppendAddrs(nil, c.private()) }},
	}, {
		Name: "list-flood", Family: Lists, Expect: proven(),
		Summary: "sends one list after another",
		script: func(c *call) error {
			return c.replacing(wire.OpGetIPL, func(wire.Packet) error {
				return c.flood(bytes.Repeat(c.packet(wire.Packet{Op: wire.OpSendIPL, Data: c.list()}), 200))
			})
		},
	},
}

// dead returns addresses where no peer of a fleet is that Plan made.  They are on
// loopback, so that nobody else is called who has nothing to do with a test.
func (c *call) dead(n int) (as []netip.Addr) {
	r := c.rand
	for range n {
		as = append(as, netip.AddrFrom4([4]byte{127, byte(1 + r.IntN(250)), byte(r.IntN(256)), byte(251 + r.IntN(4))}))
	}
	return as
}

// private draws from a range of docs/spec/network.md section 8 where no peer of a
// fleet is, on loopback for the same reason, and from those where no host can be.
func (c *call) private() (as []netip.Addr) {
	for range wire.MaxAddrs {
		r := func(n int) byte { return byte(c.rand.IntN(n)) }
		as = append(as, netip.AddrFrom4([...][4]byte{
			{127, 251 + r(4), r(256), r(256)},
			{0, r(256), r(256), r(256)},
			{224 + r(32), r(256), r(256), r(256)},
			{255, 255, 255, 255},
			{},
		}[c.rand.IntN(5)]))
	}
	return as
}
