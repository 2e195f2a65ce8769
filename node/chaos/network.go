package chaos

import (
	"encoding/binary"
	"math/rand/v2"
	"net"
	"time"

	"kigo/node/fault"
	"kigo/node/wire"
)

// floodPackets bounds a flood, at some hundred megabytes for full packets: whoever
// takes that many takes any number.
const floodPackets = 4096

// network are kinds of peers that don't keep to the protocol, or only just.
var network = []Kind{
	{
		Name: "drip", Family: Network, Expect: unavailable(fault.TooSlow, fault.Timeout),
		Summary: "serves ranges at one byte a second",
		script: func(c *call) error {
			return c.replacing(wire.OpTF, func(p wire.Packet) error {
				return c.drip(c.packet(wire.Packet{Op: wire.OpSendFile, Data: c.honestRange(p)}))
			})
		},
	}, {
		Name: "drip-hello", Family: Network, Expect: unavailable(fault.TooSlow, fault.Timeout),
		Summary: "answers HELLO at one byte a second",
		script: func(c *call) error {
			if err := c.hear(); err != nil {
				return err
			}
			return c.drip(c.packet(wire.Packet{Op: wire.OpHelloAck}))
		},
	}, {
		Name: "silent", Family: Network, Expect: unavailable(fault.Timeout),
		Summary: "accepts and never speaks",
		script:  func(c *call) error { return c.pause(c.fleet.c.Bound) },
	}, {
		Name: "silent-after-hello", Family: Network, Expect: unavailable(fault.Timeout),
		Summary: "shakes hands and never speaks again",
		script: func(c *call) error {
			if err := c.greet(); err != nil {
				return err
			}
			return c.pause(c.fleet.c.Bound)
		},
	}, {
		Name: "hang-up", Family: Network, Expect: unavailable(fault.Refused, fault.Reset),
		Summary: "accepts and closes",
		script:  func(*call) error { return nil },
	}, {
		Name: "reset", Family: Network, Expect: unavailable(fault.Reset, fault.Refused),
		Summary: "resets the connection at some point",
		script: func(c *call) error {
			defer c.reset()
			stage := c.rand.IntN(3)
			if stage == 0 {
				return nil
			}
			if err := c.greet(); err != nil || stage == 1 {
				return err
			}
			p, err := c.request()
			if err != nil {
				return err
			}
			b := c.packet(wire.Packet{Op: wire.OpSendFile, Data: c.honestRange(p)})
			return c.write(b[:1+c.rand.IntN(len(b)-1)])
		},
	}, {
		Name: "bad-crc", Family: Network, Expect: doubtful(fault.BadCRC),
		Summary: "sends wrong checksums",
		hooks: hooks{packet: func(_ *call, b []byte) []byte {
			b[len(b)-4] ^= 0x5a
			return b
		}},
	}, {
		Name: "bad-ids", Family: Network, Expect: convicted("", fault.BadFrame),
		Summary: "sends wrong ids under right checksums",
		hooks:   hooks{packet: reframe(func(b []byte) { b[6] ^= 0x5a })},
	}, {
		Name: "bad-network", Family: Network, Expect: convicted("", fault.BadFrame),
		Summary: "sends another network's number under right checksums",
		hooks:   hooks{packet: reframe(func(b []byte) { b[2] ^= 0x5a })},
	}, {
		Name: "bad-mark", Family: Network, Expect: convicted("", fault.BadFrame),
		Summary: "sends a wrong end mark behind right checksums",
		hooks:   hooks{packet: reframe(func(b []byte) { b[len(b)-1] ^= 0x5a })},
	}, {
		Name: "bad-opcode", Family: Network, Expect: unavailable(fault.Refused),
		Summary: "answers with another operation than the right one",
		hooks:   hooks{packet: reframe(func(b []byte) { binary.LittleEndian.PutUint16(b[8:], uint16(wire.OpSendBal)) })},
	}, {
		Name: "bad-length", Family: Network, Expect: unavailable(fault.Reset, fault.Refused),
		Summary: "announces more data than it sends before it closes",
		hooks: hooks{packet: func(_ *call, b []byte) []byte {
			return b[:wire.HeaderLen+(len(b)-wire.Overhead)/2]
		}},
	}, {
		Name: "flood", Family: Network, Expect: convicted("", fault.TooLong),
		Summary: "serves ranges without end",
		script: func(c *call) error {
			return c.replacing(wire.OpTF, func(wire.Packet) error {
				return c.flood(c.packet(wire.Packet{Op: wire.OpSendFile, Data: make([]byte, wire.FileChunk)}))
			})
		},
	}, {
		Name: "flood-hello", Family: Network, Expect: unavailable(fault.Refused),
		Summary: "sends garbage without end instead of an answer to HELLO",
		script: func(c *call) error {
			b := make([]byte, 1<<16)
			randomBytes(b, c.rand)
			return c.flood(b)
		},
	}, {
		Name: "busy", Family: Network, Expect: unavailable(fault.Refused),
		Summary: "is busy, for ever",
		script: func(c *call) error {
			return c.refusing(wire.Packet{Op: wire.OpBusy})
		},
	}, {
		Name: "nack", Family: Network, Expect: unavailable(fault.Refused),
		Summary: "refuses with a reason",
		script: func(c *call) error {
			reason := make([]byte, 40, 64)
			copy(reason[8:], "EMCM_OPCODE")
			return c.refusing(wire.Packet{Op: wire.OpNack, Data: append(reason, "not today\x00"...)})
		},
	},
}

// replacing serves as ever but for one operation.
func (c *call) replacing(op wire.Op, instead func(wire.Packet) error) error {
	if err := c.greet(); err != nil {
		return err
	}
	p, err := c.request()
	switch {
	case err != nil:
		return err
	case p.Op == op:
		return instead(p)
	}
	return c.answer(p)
}

// refusing answers every request with the same packet.
func (c *call) refusing(p wire.Packet) error {
	if err := c.greet(); err != nil {
		return err
	}
	if _, err := c.request(); err != nil {
		return err
	}
	return c.send(p)
}

// drip sends one byte a second.
func (c *call) drip(b []byte) error {
	for i := range b {
		if err := c.write(b[i : i+1]); err != nil {
			return err
		}
		if err := c.pause(time.Second); err != nil {
			return err
		}
	}
	return nil
}

// flood sends b over and over.
func (c *call) flood(b []byte) error {
	for range floodPackets {
		if err := c.write(b); err != nil {
			return err
		}
	}
	return nil
}

// reset makes the close that follows a reset.
func (c *call) reset() {
	if tcp, ok := c.conn.Conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
}

// reframe changes a packet under a right checksum.
func reframe(change func([]byte)) func(*call, []byte) []byte {
	return func(_ *call, b []byte) []byte {
		change(b)
		crc := len(b) - 4
		binary.LittleEndian.PutUint16(b[crc:], wire.CRC16(b[:crc]))
		return b
	}
}

// drawHostile draws what a peer that turns coat becomes.
func drawHostile(r *rand.Rand) *Kind {
	for {
		if k := &kinds[r.IntN(len(kinds))]; k.Family != Honest {
			return k
		}
	}
}
