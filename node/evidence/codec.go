package evidence

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"kigo/node/fault"
	"kigo/node/internal/pack"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/wire"
)

// magic begins a record; its last byte is the version of the form.
const magic = "KIGOEV\x00\x01"

// maxRecord is more than any record takes.
const maxRecord = MaxPacketBytes + 4*MaxPackets + MaxChain*mcm.TrailerLen + 4096

// MarshalBinary implements encoding.BinaryMarshaler.  Equal records have equal
// bytes; the last 32 are the ID.  The error wraps ErrUnfit for what New would
// refuse.
func (r *Record) MarshalBinary() ([]byte, error) {
	if err := r.fits(); err != nil {
		return nil, err
	}
	b := r.appendBody(nil)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...), nil
}

// id returns what the ID has to be.
func (r *Record) id() mcm.Hash { return sha256.Sum256(r.appendBody(nil)) }

func (r *Record) appendBody(b []byte) []byte {
	b = append(b, magic...)
	b = pack.AppendTime(b, r.Time)
	b = pack.AppendAddr(b, r.Peer)
	b = pack.AppendString(b, string(r.Kind))
	b = pack.AppendString(b, string(r.Rule))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Num))
	b = pack.AppendString(b, r.Detail)

	b = binary.LittleEndian.AppendUint64(b, uint64(r.Claim.Num))
	b = append(b, r.Claim.Hash[:]...)
	b = append(b, r.Claim.Prev[:]...)
	b = appendWeight(b, r.Claim.Weight)
	b = binary.LittleEndian.AppendUint16(b, uint16(r.Op))
	b = binary.LittleEndian.AppendUint64(b, uint64(r.First))
	b = binary.LittleEndian.AppendUint32(b, uint32(r.Count))
	b = binary.LittleEndian.AppendUint16(b, r.ID1)
	b = binary.LittleEndian.AppendUint16(b, r.ID2)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Packets)))
	for _, p := range r.Packets {
		b = pack.AppendBytes(b, p)
	}

	b = pack.AppendBool(b, r.Next != nil)
	if r.Next != nil {
		b = append(b, r.Next[:]...)
	}
	b = appendAnchor(b, r.Anchor)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Chain)))
	b = append(b, mcm.Bytes(r.Chain)...)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.Options.Base))
	b = appendAnchor(b, r.Options.Height)
	b = pack.AppendBool(b, r.Options.AllowOld)
	return binary.LittleEndian.AppendUint32(b, uint32(r.RuleSet))
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler.  It takes the one form
// that MarshalBinary gives, ID included, and keeps nothing of b.
func (r *Record) UnmarshalBinary(b []byte) error {
	n := len(b) - sha256.Size
	if n < len(magic) || len(b) > maxRecord {
		return fmt.Errorf("evidence of %d bytes: %w", len(b), pack.ErrMalformed)
	}
	if string(b[:len(magic)]) != magic {
		return fmt.Errorf("evidence of another kind or version: %w", pack.ErrMalformed)
	}
	sum := mcm.Hash(sha256.Sum256(b[:n]))
	if sum != mcm.Hash(b[n:]) {
		return fmt.Errorf("evidence whose bytes do not match its id %v: %w", mcm.Hash(b[n:]), pack.ErrMalformed)
	}
	in := pack.NewReader(b[len(magic):n])
	d := Record{ID: sum.String()}
	d.read(in)
	err := in.Done()
	if err == nil {
		err = d.fits()
	}
	if err != nil {
		return fmt.Errorf("evidence %v: %w", sum, err)
	}
	*r = d
	return nil
}

func (r *Record) read(in *pack.Reader) {
	r.Time = in.Time()
	r.Peer = in.Addr()
	r.Kind = fault.Kind(in.String(maxRule))
	r.Rule = rules.Rule(in.String(maxRule))
	r.Num = mcm.BlockNum(in.Uint64())
	r.Detail = in.String(maxDetail)

	r.Claim.Num = mcm.BlockNum(in.Uint64())
	in.Fill(r.Claim.Hash[:])
	in.Fill(r.Claim.Prev[:])
	r.Claim.Weight = readWeight(in)
	r.Op = wire.Op(in.Uint16())
	r.First = mcm.BlockNum(in.Uint64())
	r.Count = in.Count(wire.MaxTF)
	r.ID1 = in.Uint16()
	r.ID2 = in.Uint16()
	for range in.Count(MaxPackets) {
		if !in.OK() {
			return
		}
		r.Packets = append(r.Packets, in.Bytes(MaxPacketBytes))
	}

	if in.Bool() {
		r.Next = new(mcm.Trailer)
		in.Fill(r.Next[:])
	}
	r.Anchor = readAnchor(in)
	for range in.Count(MaxChain) {
		if !in.OK() {
			return
		}
		var t mcm.Trailer
		in.Fill(t[:])
		r.Chain = append(r.Chain, t)
	}
	r.Options.Base = mcm.BlockNum(in.Uint64())
	r.Options.Height = readAnchor(in)
	r.Options.AllowOld = in.Bool()
	r.RuleSet = in.Count(math.MaxInt32)
}

func appendWeight(b []byte, w mcm.Weight) []byte {
	le := w.LE()
	return append(b, le[:]...)
}

func readWeight(in *pack.Reader) mcm.Weight {
	var le [32]byte
	in.Fill(le[:])
	return mcm.WeightFromLE(&le)
}

func appendAnchor(b []byte, a *proof.Anchor) []byte {
	b = pack.AppendBool(b, a != nil)
	if a == nil {
		return b
	}
	b = binary.LittleEndian.AppendUint64(b, uint64(a.Num))
	b = append(b, a.Hash[:]...)
	b = appendWeight(b, a.Weight)
	b = binary.LittleEndian.AppendUint32(b, a.Time)
	return pack.AppendBool(b, a.Fixed)
}

func readAnchor(in *pack.Reader) *proof.Anchor {
	if !in.Bool() {
		return nil
	}
	a := new(proof.Anchor)
	a.Num = mcm.BlockNum(in.Uint64())
	in.Fill(a.Hash[:])
	a.Weight = readWeight(in)
	a.Time = in.Uint32()
	a.Fixed = in.Bool()
	return a
}
