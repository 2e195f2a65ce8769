package evidence

import (
	"bytes"
	"errors"
	"fmt"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/wire"
)

// A replayed is what the packets of a record show by themselves.
type replayed struct {
	finding  *proof.Finding // of a frame, a list, a length, a number
	states   []wire.State   // of the whole packets
	trailers []mcm.Trailer  // of a reply to TF, or of a found message
	steps    []string
	whole    bool   // all of the answer is there, and every packet as it should be
	broken   string // why the packets can't be what was received; empty when they can
}

func (p *replayed) step(format string, args ...any) {
	p.steps = append(p.steps, fmt.Sprintf(format, args...))
}

// replay takes the packets apart the way package peer does as they arrive.
func (r *Record) replay() *replayed {
	p := new(replayed)
	var data []byte
	for i, raw := range r.Packets {
		want, most := r.expected(i, len(data))
		in := bytes.NewReader(raw)
		pkt, _, err := wire.Read(in, nil, func(op wire.Op) int {
			if op == want {
				return most
			}
			return wire.MaxData
		})
		last := i == len(r.Packets)-1
		switch {
		case in.Len() > 0:
			p.broken = fmt.Sprintf("packet %d has %d bytes behind its end", i, in.Len())
		case err != nil:
			p.finding = r.frameFault(&pkt, want, most, len(raw), err)
			p.step("packet %d, %d bytes: %v", i, len(raw), err)
		case pkt.Op != want:
			p.step("packet %d: %v where %v was due, which proves nothing", i, pkt.Op, want)
		default:
			p.states = append(p.states, pkt.State)
			if err := r.checkIDs(&pkt); err != nil {
				p.finding = found(fault.BadFrame, 0, -1, "%v", err)
				p.step("packet %d: %v", i, err)
				break
			}
			p.step("packet %d: %v with %d bytes of data, frame, checksum and ids right", i, pkt.Op, len(pkt.Data))
			data = append(data, pkt.Data...)
			p.finding = r.dataFault(pkt.Op, data)
			if p.finding != nil {
				p.step("%v", p.finding)
			} else if r.goesOn(&pkt) {
				continue
			} else {
				p.whole = true
			}
		}
		// Nothing is read behind a packet that ends a call.
		if !last && p.broken == "" {
			p.broken = fmt.Sprintf("%d packets behind one that ends the call", len(r.Packets)-1-i)
		}
		break
	}
	if r.Op == wire.OpTF || r.Op == wire.OpFound {
		p.trailers = wholeTrailers(data)
	}
	return p
}

// expected returns the operation that packet i has to have, and how much data it
// may carry behind what came before.
func (r *Record) expected(i, have int) (op wire.Op, most int) {
	switch {
	case i == 0 && r.Op == wire.OpFound: // the peer called, and this is what it called for
		return wire.OpFound, r.Count * mcm.TrailerLen
	case i == 0:
		return wire.OpHelloAck, 0
	}
	switch r.Op {
	case wire.OpTF:
		return wire.OpSendFile, min(r.Count*mcm.TrailerLen-have, wire.FileChunk)
	case wire.OpGetIPL:
		return wire.OpSendIPL, 4 * wire.MaxAddrs
	case wire.OpGetTFile, wire.OpGetBlock, wire.OpGetCBlock:
		return wire.OpSendFile, wire.FileChunk
	case wire.OpBalance:
		return wire.OpSendBal, wire.MaxData
	}
	return r.Op, wire.MaxData // HASH and IDENTIFY answer in kind
}

// goesOn reports whether another packet is due behind p.
func (r *Record) goesOn(p *wire.Packet) bool {
	switch p.Op {
	case wire.OpHelloAck:
		return r.Op != wire.OpHello
	case wire.OpSendFile:
		return len(p.Data) == wire.FileChunk
	}
	return false
}

// checkIDs compares ids; the second one comes with the HELLO_ACK.
func (r *Record) checkIDs(p *wire.Packet) error {
	id2 := r.ID2
	if p.Op == wire.OpHelloAck {
		id2 = p.ID2
	}
	return p.CheckIDs(r.ID1, id2)
}

// frameFault says what an error of wire.Read proves; nil for nothing.
func (r *Record) frameFault(p *wire.Packet, want wire.Op, most, size int, err error) *proof.Finding {
	var bad *wire.Error
	if !errors.As(err, &bad) {
		return nil
	}
	switch bad.Kind {
	case wire.BadNetwork, wire.BadMark:
		return found(fault.BadFrame, 0, -1, "%v", err)
	case wire.TooLong:
		// The header alone is judged, so all else in it has to be right.
		if p.Op != want || p.Network != wire.Network || r.checkIDs(p) != nil {
			return nil
		}
		switch {
		case r.Op == wire.OpTF && want == wire.OpSendFile:
			return found(fault.TooLong, 0, -1, "%v", err)
		case r.Op == wire.OpGetIPL && want == wire.OpSendIPL:
			return found(fault.BadList, 0, -1, "%v", err)
		}
	}
	return nil
}

// dataFault judges the data of a reply so far.
func (r *Record) dataFault(op wire.Op, data []byte) *proof.Finding {
	switch {
	case op == wire.OpSendIPL && r.Op == wire.OpGetIPL:
		if _, err := wire.ParseAddrs(data); err != nil {
			return found(fault.BadList, 0, -1, "%v", err)
		}
	case op == wire.OpSendFile && r.Op == wire.OpTF:
		ts := wholeTrailers(data)
		for i := range ts {
			if got, want := ts[i].Num(), r.First+mcm.BlockNum(i); got != want {
				return found(fault.WrongNumbers, want, i, "trailer %d has number %v, asked for %v", i, got, want)
			}
		}
	}
	return nil
}

// wholeTrailers returns the trailers in b, without what is left over.
func wholeTrailers(b []byte) []mcm.Trailer {
	return mcm.Trailers(b[:len(b)/mcm.TrailerLen*mcm.TrailerLen])
}

func found(k fault.Kind, n mcm.BlockNum, index int, format string, args ...any) *proof.Finding {
	return &proof.Finding{Kind: k, Num: n, Index: index, Detail: fmt.Sprintf(format, args...)}
}
