package peer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/wire"
)

// IPL asks for the peer list.  The addresses are as received: zero, private and
// repeated ones among them.  The claim is that of the reply, not of the handshake
// (docs/spec/network.md section 7.4).  A list that is no multiple of four bytes,
// or longer than 64 addresses, is a fault.BadList.
func (c *Call) IPL(ctx context.Context) (addrs []netip.Addr, claim wire.State, err error) {
	err = c.request(ctx, &wire.Packet{Op: wire.OpGetIPL, State: c.state}, func() error {
		return c.single(ctx, wire.OpSendIPL, 4*wire.MaxAddrs, fault.BadList, func(p *wire.Packet) (err error) {
			if addrs, err = wire.ParseAddrs(p.Data); err != nil {
				return c.fault(fault.BadList, "", err)
			}
			claim = p.State
			return nil
		})
	})
	return addrs, claim, err
}

// Hash asks for the hash of a block, which a peer has only as far back as it
// keeps blocks.
func (c *Call) Hash(ctx context.Context, n mcm.BlockNum) (h mcm.Hash, err error) {
	err = c.request(ctx, &wire.Packet{Op: wire.OpHash, Arg: uint64(n), State: c.state}, func() error {
		return c.exactly(ctx, wire.OpHash, mcm.HashLen, func(data []byte) { h = mcm.Hash(data) })
	})
	return h, err
}

// An Entry is one of the ledger.
type Entry struct {
	Address [40]byte // tag, then hash
	Amount  uint64
}

// Balance asks for the ledger entry whose address begins with key: 20 bytes are
// a tag, 40 the whole address (docs/spec/network.md section 7.6).  The answer is
// what the peer says, and may be another entry.
func (c *Call) Balance(ctx context.Context, key []byte) (e Entry, err error) {
	if len(key) < 1 || len(key) > len(e.Address) {
		return e, fmt.Errorf("peer: a key of %d bytes, expected 1 to %d", len(key), len(e.Address))
	}
	err = c.request(ctx, &wire.Packet{Op: wire.OpBalance, Data: key, State: c.state}, func() error {
		return c.exactly(ctx, wire.OpSendBal, len(e.Address)+8, func(data []byte) {
			e.Address = [40]byte(data)
			e.Amount = binary.LittleEndian.Uint64(data[40:])
		})
	})
	return e, err
}

// An Identity is what a node says about its settings.
type Identity struct {
	Sanctuary, LastDay, MinFee uint64
}

// String returns the identity as IDENTIFY carries it.
func (i Identity) String() string {
	return fmt.Sprintf("Sanctuary=%d,Lastday=%d,Mfee=%d", i.Sanctuary, i.LastDay, i.MinFee)
}

// parseIdentity is the inverse of Identity.String.
func parseIdentity(s string) (i Identity, err error) {
	fields := strings.Split(s, ",")
	into := []struct {
		name  string
		value *uint64
	}{{"Sanctuary", &i.Sanctuary}, {"Lastday", &i.LastDay}, {"Mfee", &i.MinFee}}
	if len(fields) != len(into) {
		return Identity{}, fmt.Errorf("%d fields, expected %d", len(fields), len(into))
	}
	for k, f := range fields {
		v, ok := strings.CutPrefix(f, into[k].name+"=")
		if !ok {
			return Identity{}, fmt.Errorf("%q, expected %s", f, into[k].name)
		}
		if *into[k].value, err = strconv.ParseUint(v, 10, 64); err != nil {
			return Identity{}, err
		}
	}
	return i, nil
}

// maxIdentity is the longest text that Identity.String can make, and some more.
const maxIdentity = 128

// Identify asks for the node's settings.
func (c *Call) Identify(ctx context.Context) (i Identity, err error) {
	err = c.request(ctx, &wire.Packet{Op: wire.OpIdentify, State: c.state}, func() error {
		return c.single(ctx, wire.OpIdentify, maxIdentity, fault.Refused, func(p *wire.Packet) (err error) {
			if i, err = parseIdentity(string(p.Data)); err != nil {
				return c.fault(fault.Refused, "no identity", err)
			}
			return nil
		})
	})
	return i, err
}

// SendTX sends a transaction as it stands on disk, with the addresses that need
// not get it from the peer any more.  There is no answer.
func (c *Call) SendTX(ctx context.Context, tx []byte, seen [8]netip.Addr) error {
	if most := wire.RequestLimit(wire.OpTX); len(tx) > most {
		return fmt.Errorf("peer: a transaction of %d bytes, at most %d", len(tx), most)
	}
	state := c.state
	state.Weight = wire.MapWeight(seen)
	return c.request(ctx, &wire.Packet{Op: wire.OpTX, Data: tx, State: state}, nil)
}

// Found announces a tip with its proof, the last 54 trailers up to it, oldest
// first, or all of a shorter chain.  There is no answer.
func (c *Call) Found(ctx context.Context, tip wire.State, proof []mcm.Trailer) error {
	if len(proof) > wire.ProofTrailers {
		return fmt.Errorf("peer: a proof of %d trailers, at most %d", len(proof), wire.ProofTrailers)
	}
	return c.request(ctx, &wire.Packet{Op: wire.OpFound, Data: mcm.Bytes(proof), State: tip}, nil)
}

// single reads a reply of one packet.
func (c *Call) single(ctx context.Context, op wire.Op, most int, long fault.Kind, use func(*wire.Packet) error) error {
	t := &c.client.o.Timeouts
	c.line.begin(t.List)
	c.line.nextPacket(t.Packet)
	c.line.first = t.First
	p, release, err := c.read(ctx, op, most, long)
	defer release()
	if err != nil {
		return err
	}
	return use(&p)
}

// exactly reads a reply of one packet with n bytes of data.  Another number of
// them is no answer; it contradicts nothing.
func (c *Call) exactly(ctx context.Context, op wire.Op, n int, use func(data []byte)) error {
	return c.single(ctx, op, n, fault.Refused, func(p *wire.Packet) error {
		if len(p.Data) != n {
			return c.fault(fault.Refused, fmt.Sprintf("%s of %d bytes, expected %d", op, len(p.Data), n), nil)
		}
		use(p.Data)
		return nil
	})
}

// Trailers asks for count trailers, at most 1,000, from block first on.  Fewer
// come with a fault.ShortReply, which proves nothing.  The reply is judged as it
// arrives: one that announces more than count trailers is a fault.TooLong and not
// read on, another number than first + index a fault.WrongNumbers, bytes that
// make no whole trailer a fault.NotMultiple.
func (c *Call) Trailers(ctx context.Context, first mcm.BlockNum, count int) ([]mcm.Trailer, error) {
	if count < 1 || count > wire.MaxTF || first > 1<<32-1 {
		return nil, fmt.Errorf("peer: %d trailers from block %s on can't be asked for", count, first)
	}
	t := &c.client.o.Timeouts
	within := t.Range
	if count <= wire.ProofTrailers {
		within = t.Proof
	}
	var data []byte
	take := func(piece []byte) error {
		from := len(data) / mcm.TrailerLen
		data = append(data, piece...)
		for i := range wholeTrailers(data)[from:] {
			got, want := wholeTrailers(data)[from+i].Num(), first+mcm.BlockNum(from+i)
			if got != want {
				return c.fault(fault.WrongNumbers, fmt.Sprintf("block %s instead of %s", got, want), nil)
			}
		}
		return nil
	}
	arg := wire.TFArg(uint32(first), uint32(count))
	err := c.request(ctx, &wire.Packet{Op: wire.OpTF, Arg: arg, State: c.state}, func() error {
		if err := c.stream(ctx, int64(count)*mcm.TrailerLen, within, fault.TooLong, take); err != nil {
			return err
		}
		switch {
		case len(data)%mcm.TrailerLen != 0:
			return c.fault(fault.NotMultiple, fmt.Sprintf("%d bytes", len(data)), nil)
		case len(data) < count*mcm.TrailerLen:
			return c.fault(fault.ShortReply, fmt.Sprintf("%d trailers instead of %d", len(data)/mcm.TrailerLen, count), nil)
		}
		return nil
	})
	var f *fault.Fault
	if err != nil && !(errors.As(err, &f) && f.Kind == fault.ShortReply) {
		return nil, err
	}
	return wholeTrailers(data), err
}

// wholeTrailers returns b as trailers, without what is left over.
func wholeTrailers(b []byte) []mcm.Trailer {
	return mcm.Trailers(b[:len(b)/mcm.TrailerLen*mcm.TrailerLen])
}
