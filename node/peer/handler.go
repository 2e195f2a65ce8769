package peer

import (
	"bytes"
	"io"
	"net/netip"

	"kigo/node/mcm"
	"kigo/node/wire"
)

// A Handler is what a Server answers from.  Its methods are called from many
// goroutines at once.  What it doesn't have it says with nil, false or an error;
// the caller then gets no answer.
type Handler interface {
	State() wire.State
	Peers() []netip.Addr // the first 64 are sent

	// Trailers returns those from block first on, count at most: fewer where the
	// chain ends, none beyond, which is an answer too.
	Trailers(first, count uint32) []mcm.Trailer
	TFile() (io.ReadCloser, error)
	Block(n mcm.BlockNum) (io.ReadCloser, error)
	Hash(n mcm.BlockNum) (mcm.Hash, bool)

	// Heard is told of a caller that wants to be in peer lists, at the point of
	// its call that docs/spec/network.md section 7 names.
	Heard(a netip.Addr, caps wire.Caps)

	// Found and TX take what a caller sends.  The packet and its data are the
	// handler's.  They should return soon: the connection is open until then.
	Found(a netip.Addr, m *wire.Packet)
	TX(a netip.Addr, m *wire.Packet)
}

// isRequest reports whether an operation asks for something, or tells something.
func isRequest(op wire.Op) bool {
	switch op {
	case wire.OpTX, wire.OpFound, wire.OpGetBlock, wire.OpGetIPL, wire.OpGetTFile, wire.OpBalance, wire.OpResolve,
		wire.OpGetCBlock, wire.OpMBlock, wire.OpHash, wire.OpTF, wire.OpIdentify:
		return true
	default:
		return false
	}
}

// isFile reports whether the answer is a file, for which the caller needs one of
// the few workers.
func isFile(op wire.Op) bool {
	return op == wire.OpGetBlock || op == wire.OpGetTFile || op == wire.OpTF
}

// answer answers a request.  It reports whether there was an answer to give; the
// error is the session's.
func answer(s *Session, h Handler, p *wire.Packet) (answered bool, err error) {
	heard := func() {
		if p.Caps&wire.CapOptIn != 0 {
			h.Heard(s.Peer(), p.Caps)
		}
	}
	switch p.Op {
	case wire.OpGetIPL:
		heard() // first: callers find themselves in the answer
		peers := h.Peers()
		peers = peers[:min(len(peers), wire.MaxAddrs)]
		return true, s.Reply(wire.OpSendIPL, wire.AppendAddrs(nil, peers))
	case wire.OpHash:
		hash, ok := h.Hash(mcm.BlockNum(p.Arg))
		if !ok {
			return false, nil
		}
		return true, s.Reply(wire.OpHash, hash[:])
	case wire.OpIdentify:
		// A node that mines nothing asks for no more than the least fee.
		return true, s.Reply(wire.OpIdentify, []byte(Identity{MinFee: mcm.MinFee}.String()))
	case wire.OpTF:
		first, count := wire.SplitTFArg(p.Arg)
		if count > wire.MaxTF {
			return false, nil
		}
		trailers := h.Trailers(first, count)
		return true, s.SendFile(bytes.NewReader(mcm.Bytes(trailers[:min(len(trailers), int(count))])))
	case wire.OpGetTFile, wire.OpGetBlock:
		open := h.TFile
		if p.Op == wire.OpGetBlock {
			open = func() (io.ReadCloser, error) { return h.Block(mcm.BlockNum(p.Arg)) }
		}
		f, err := open()
		if err != nil {
			return false, nil
		}
		defer f.Close()
		if err := s.SendFile(f); err != nil {
			return true, err
		}
		heard()
		return true, nil
	case wire.OpFound, wire.OpTX:
		m := *p
		m.Data = bytes.Clone(p.Data)
		if p.Op == wire.OpFound {
			h.Found(s.Peer(), &m)
		} else {
			h.TX(s.Peer(), &m)
		}
		return true, nil
	default:
		return false, nil
	}
}
