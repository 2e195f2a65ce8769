package wire

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"

	"kigo/node/mcm"
)

// Offsets of the fields of a header (docs/spec/network.md section 2).
const (
	offVersion = 0
	offCaps    = 1
	offNetwork = 2
	offID1     = 4
	offID2     = 6
	offOp      = 8
	offNum     = 10
	offArg     = 18
	offHash    = 26
	offPrev    = 58
	offWeight  = 90
	offLen     = 122
)

// AppendTo appends the packet's bytes to b, with our version and network, the
// checksum and the end mark.  Every byte is set here: none is left from what b's
// memory held before.  Data above MaxData bytes are an *Error, TooLong.
func (p *Packet) AppendTo(b []byte) ([]byte, error) {
	if len(p.Data) > MaxData {
		return b, &Error{TooLong, fmt.Sprintf("%s with %d bytes, a packet holds %d", p.Op, len(p.Data), MaxData)}
	}
	weight := p.State.Weight.LE()
	b = slices.Grow(b, Overhead+len(p.Data))
	from := len(b)
	b = append(b, Version, byte(p.Caps))
	b = binary.LittleEndian.AppendUint16(b, Network)
	b = binary.LittleEndian.AppendUint16(b, p.ID1)
	b = binary.LittleEndian.AppendUint16(b, p.ID2)
	b = binary.LittleEndian.AppendUint16(b, uint16(p.Op))
	b = binary.LittleEndian.AppendUint64(b, uint64(p.State.Num))
	b = binary.LittleEndian.AppendUint64(b, p.Arg)
	b = append(b, p.State.Hash[:]...)
	b = append(b, p.State.Prev[:]...)
	b = append(b, weight[:]...)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(p.Data)))
	b = append(b, p.Data...)
	b = binary.LittleEndian.AppendUint16(b, CRC16(b[from:]))
	return binary.LittleEndian.AppendUint16(b, EndMark), nil
}

// Decode reads b, which must be exactly one packet; the packet's Data alias it.
// With an *Error, the packet holds what b's header says, or nothing if b is
// shorter than a packet.
func Decode(b []byte) (Packet, error) {
	if len(b) < Overhead {
		return Packet{}, &Error{BadLength, fmt.Sprintf("%d bytes, a packet has at least %d", len(b), Overhead)}
	}
	p, n := parseHeader(b)
	if len(b) != Overhead+n {
		return p, &Error{BadLength, fmt.Sprintf("%d bytes, the length field says %d", len(b), Overhead+n)}
	}
	p.Data = b[HeaderLen : HeaderLen+n : HeaderLen+n]
	return p, check(&p, b)
}

// Read reads one packet from r and not a byte more.  Its bytes go to buf, or to
// new memory if buf's capacity is too small, and come back as raw, which the
// packet's Data alias.  limit says how much data an operation may carry (nil:
// MaxData); a packet that announces more is TooLong, and its data are neither
// read nor given memory.
//
// The error is an *Error, r's own, io.EOF if r ended before the first byte, or
// io.ErrUnexpectedEOF if inside the packet.  In every case raw is what was read,
// and the packet holds what it says as far as a whole header came: with an error
// that is what somebody sent, not what anybody vouches for.
//
// The ids and the operation aren't judged; see CheckIDs.
func Read(r io.Reader, buf []byte, limit func(Op) int) (p Packet, raw []byte, err error) {
	raw, err = fill(r, buf[:0], HeaderLen)
	if err != nil {
		return p, raw, err
	}
	p, n := parseHeader(raw)
	if limit != nil {
		if most := limit(p.Op); n > most {
			return p, raw, &Error{TooLong, fmt.Sprintf("%s announces %d bytes, at most %d expected", p.Op, n, most)}
		}
	}
	raw, err = fill(r, raw, Overhead+n)
	if err != nil {
		return p, raw, err
	}
	p.Data = raw[HeaderLen : HeaderLen+n : HeaderLen+n]
	return p, raw, check(&p, raw)
}

// CheckIDs returns an *Error, BadIDs, unless the packet has a connection's ids.
// It is for packets after the handshake, whatever their operation.
func (p *Packet) CheckIDs(id1, id2 uint16) error {
	if p.ID1 != id1 || p.ID2 != id2 {
		return &Error{BadIDs, fmt.Sprintf("%s with %#04x, %#04x instead of %#04x, %#04x", p.Op, p.ID1, p.ID2, id1, id2)}
	}
	return nil
}

// fill reads until b holds n bytes.
func fill(r io.Reader, b []byte, n int) ([]byte, error) {
	have := len(b)
	b = slices.Grow(b, n-have)
	m, err := io.ReadFull(r, b[have:n])
	if err == io.EOF && have > 0 {
		err = io.ErrUnexpectedEOF
	}
	return b[:have+m], err
}

// parseHeader reads a header, without the data whose length it returns.
func parseHeader(b []byte) (p Packet, dataLen int) {
	_ = b[HeaderLen-1]
	p = Packet{
		Version: b[offVersion],
		Caps:    Caps(b[offCaps]),
		Network: binary.LittleEndian.Uint16(b[offNetwork:]),
		ID1:     binary.LittleEndian.Uint16(b[offID1:]),
		ID2:     binary.LittleEndian.Uint16(b[offID2:]),
		Op:      Op(binary.LittleEndian.Uint16(b[offOp:])),
		Arg:     binary.LittleEndian.Uint64(b[offArg:]),
		State: State{
			Num:    mcm.BlockNum(binary.LittleEndian.Uint64(b[offNum:])),
			Hash:   mcm.Hash(b[offHash:offPrev]),
			Prev:   mcm.Hash(b[offPrev:offWeight]),
			Weight: mcm.WeightFromLE((*[32]byte)(b[offWeight:])),
		},
	}
	return p, int(binary.LittleEndian.Uint16(b[offLen:]))
}

// check judges a whole packet, the CRC first: only under a right one does
// anything else say something about the sender.
func check(p *Packet, b []byte) error {
	end := len(b) - 4
	crc, mark := binary.LittleEndian.Uint16(b[end:]), binary.LittleEndian.Uint16(b[end+2:])
	switch want := CRC16(b[:end]); {
	case crc != want:
		return &Error{CRC, fmt.Sprintf("%s with %#04x instead of %#04x", p.Op, crc, want)}
	case p.Network != Network:
		return &Error{BadNetwork, fmt.Sprintf("%s with %d instead of %d", p.Op, p.Network, Network)}
	case mark != EndMark:
		return &Error{BadMark, fmt.Sprintf("%s with %#04x instead of %#04x", p.Op, mark, EndMark)}
	}
	return nil
}
