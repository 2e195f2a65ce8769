package memory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"net/netip"
	"time"

	"kigo/node/fault"
	"kigo/node/internal/pack"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
)

// Versions of the single records.  A record of another version doesn't decode
// and is dropped; formatVersion is for the file as a whole.
const (
	peerVersion    = 1
	groupVersion   = 1
	invalidVersion = 1
	trailerVersion = 1
	waitingVersion = 1
)

// Bounds of texts in records, in bytes.
const (
	maxSource = 64
	maxRule   = 32
	maxDetail = 256
)

// errMisfit says of a value that it has no place in its table.
var errMisfit = errors.New("not of this table")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal appends a checksum over the key and the record.
func seal(key, rec []byte) []byte {
	sum := crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, rec)
	return binary.LittleEndian.AppendUint32(rec, sum)
}

// open returns a reader of a sealed record behind its version, or one that has
// failed.
func open(key, value []byte, version byte) *pack.Reader {
	n := len(value) - 4
	if n < 1 || value[0] != version ||
		binary.LittleEndian.Uint32(value[n:]) != crc32.Update(crc32.Checksum(key, castagnoli), castagnoli, value[:n]) {
		r := pack.NewReader(nil)
		r.Fail()
		return r
	}
	return pack.NewReader(value[1:n])
}

// appendCount appends a number that can't be negative in 4 bytes.
func appendCount(b []byte, n int) []byte {
	return binary.LittleEndian.AppendUint32(b, uint32(min(max(n, 0), math.MaxInt32)))
}

func encodePeer(p *Peer) (key, value []byte, err error) {
	if !p.Addr.Is4() {
		return nil, nil, errMisfit
	}
	key = pack.AppendAddr(nil, p.Addr)
	b := make([]byte, 0, 320+len(p.False)*76)
	b = append(b, peerVersion)
	b = pack.AppendString(b, pack.Clip(p.Source, maxSource))
	b = pack.AppendTime(b, p.FirstSeen)
	b = pack.AppendTime(b, p.LastContact)
	b = pack.AppendTime(b, p.LastGood)
	b = appendCount(b, p.Successes)
	b = appendCount(b, p.Failures)
	b = pack.AppendBool(b, p.Delivered)
	b = binary.LittleEndian.AppendUint64(b, uint64(p.Claim.Num))
	b = append(b, p.Claim.Hash[:]...)
	b = append(b, p.Claim.Prev[:]...)
	b = appendWeight(b, p.Claim.Weight)
	b = pack.AppendFloat(b, p.Standing.Objective)
	b = pack.AppendFloat(b, p.Standing.Soft)
	b = pack.AppendTime(b, p.Standing.At)
	b = pack.AppendTime(b, p.Standing.BannedUntil)
	b = pack.AppendTime(b, p.Standing.RestUntil)
	b = appendCount(b, p.Standing.Bans)
	stated := p.False[max(0, len(p.False)-MaxStatements):]
	b = appendCount(b, len(stated))
	for i := range stated {
		b = appendWeight(b, stated[i].Weight)
		b = append(b, stated[i].Tip[:]...)
		b = pack.AppendTime(b, stated[i].Expires)
	}
	return key, seal(key, b), nil
}

func decodePeer(key, value []byte) (p Peer, err error) {
	r := open(key, value, peerVersion)
	p.Addr = addrKey(r, key)
	p.Source = r.String(maxSource)
	p.FirstSeen = r.Time()
	p.LastContact = r.Time()
	p.LastGood = r.Time()
	p.Successes = r.Count(math.MaxInt32)
	p.Failures = r.Count(math.MaxInt32)
	p.Delivered = r.Bool()
	p.Claim.Num = mcm.BlockNum(r.Uint64())
	r.Fill(p.Claim.Hash[:])
	r.Fill(p.Claim.Prev[:])
	p.Claim.Weight = weight(r)
	p.Standing.Objective = r.Float()
	p.Standing.Soft = r.Float()
	p.Standing.At = r.Time()
	p.Standing.BannedUntil = r.Time()
	p.Standing.RestUntil = r.Time()
	p.Standing.Bans = r.Count(math.MaxInt32)
	for range r.Count(MaxStatements) {
		s := Statement{Weight: weight(r)}
		r.Fill(s.Tip[:])
		s.Expires = r.Time()
		p.False = append(p.False, s)
	}
	return p, r.Done()
}

func encodeGroup(g *Group) (key, value []byte, err error) {
	if !g.Prefix.IsValid() || !g.Prefix.Addr().Is4() || g.Prefix != g.Prefix.Masked() {
		return nil, nil, errMisfit
	}
	key = append(pack.AppendAddr(nil, g.Prefix.Addr()), byte(g.Prefix.Bits()))
	bans := g.Record.Bans[max(0, len(g.Record.Bans)-fault.GroupBans):]
	b := append(make([]byte, 0, 128), groupVersion)
	b = appendCount(b, len(bans))
	for _, at := range bans {
		b = pack.AppendTime(b, at)
	}
	b = pack.AppendTime(b, g.Record.HalvedUntil)
	b = pack.AppendTime(b, g.Record.Hour)
	b = appendCount(b, g.Record.WorthlessCount)
	b = appendCount(b, g.Record.FailedCount)
	b = pack.AppendTime(b, g.LastUsed)
	return key, seal(key, b), nil
}

func decodeGroup(key, value []byte) (g Group, err error) {
	r := open(key, value, groupVersion)
	if len(key) != 5 {
		r.Fail()
		return g, r.Done()
	}
	g.Prefix = netip.PrefixFrom(addrKey(r, key[:4]), int(key[4]))
	if !g.Prefix.IsValid() || g.Prefix != g.Prefix.Masked() {
		r.Fail()
	}
	for range r.Count(fault.GroupBans) {
		g.Record.Bans = append(g.Record.Bans, r.Time())
	}
	g.Record.HalvedUntil = r.Time()
	g.Record.Hour = r.Time()
	g.Record.WorthlessCount = r.Count(math.MaxInt32)
	g.Record.FailedCount = r.Count(math.MaxInt32)
	g.LastUsed = r.Time()
	return g, r.Done()
}

// encodeInvalid leaves the trailer out, which has a table of its own.
func encodeInvalid(v *Invalid) (key, value []byte, err error) {
	if v.Finding.Kind != fault.InvalidTrailer || v.Finding.Rule.Meaning() == "" {
		return nil, nil, errMisfit
	}
	if v.Trailer != (mcm.Trailer{}) && !names(v.ID, &v.Trailer) {
		return nil, nil, errMisfit
	}
	key = bytes.Clone(v.ID[:])
	b := append(make([]byte, 0, 96+len(v.Finding.Detail)), invalidVersion)
	b = pack.AppendTime(b, v.Met)
	b = append(b, v.Parent[:]...)
	b = binary.LittleEndian.AppendUint64(b, uint64(v.Finding.Num))
	b = pack.AppendString(b, string(v.Finding.Rule))
	b = pack.AppendString(b, pack.Clip(v.Finding.Detail, maxDetail))
	return key, seal(key, b), nil
}

func decodeInvalid(key, value []byte) (v Invalid, err error) {
	r := open(key, value, invalidVersion)
	if len(key) == len(v.ID) {
		v.ID = mcm.Hash(key)
	} else {
		r.Fail()
	}
	v.Met = r.Time()
	r.Fill(v.Parent[:])
	v.Finding.Kind = fault.InvalidTrailer
	v.Finding.Num = mcm.BlockNum(r.Uint64())
	v.Finding.Index = -1
	v.Finding.Rule = rules.Rule(r.String(maxRule))
	v.Finding.Detail = r.String(maxDetail)
	if v.Finding.Rule.Meaning() == "" {
		r.Fail()
	}
	return v, r.Done()
}

// names reports whether a trailer may be the one that is known by an id.  Up to
// mcm.V30Trigger the id may cover the trailer before it too, which nobody has any
// more (proof.Key); above, it is the trailer's alone.
func names(id mcm.Hash, t *mcm.Trailer) bool {
	return t.Num() <= mcm.V30Trigger || proof.ID(t) == id
}

func encodeTrailer(id mcm.Hash, t *mcm.Trailer) (key, value []byte) {
	key = bytes.Clone(id[:])
	return key, seal(key, append([]byte{trailerVersion}, t[:]...))
}

func decodeTrailer(key, value []byte) (t mcm.Trailer, err error) {
	r := open(key, value, trailerVersion)
	r.Fill(t[:])
	if err := r.Done(); err != nil {
		return t, err
	}
	if len(key) != mcm.HashLen || !names(mcm.Hash(key), &t) {
		return t, pack.ErrMalformed
	}
	return t, nil
}

func encodeWaiting(w *Waiting) (key, value []byte, err error) {
	key = bytes.Clone(w.Root[:])
	b := append(make([]byte, 0, 64+5*len(w.Groups)), waitingVersion)
	b = pack.AppendTime(b, w.Until)
	b = appendCount(b, w.Failures)
	groups := w.Groups[:min(len(w.Groups), MaxWaitingGroups)]
	b = appendCount(b, len(groups))
	for _, g := range groups {
		if !g.IsValid() || !g.Addr().Is4() || g != g.Masked() {
			return nil, nil, errMisfit
		}
		b = append(pack.AppendAddr(b, g.Addr()), byte(g.Bits()))
	}
	b = pack.AppendString(b, pack.Clip(w.Reason, maxDetail))
	return key, seal(key, b), nil
}

func decodeWaiting(key, value []byte) (w Waiting, err error) {
	r := open(key, value, waitingVersion)
	if len(key) == len(w.Root) {
		w.Root = mcm.Hash(key)
	} else {
		r.Fail()
	}
	w.Until = r.Time()
	w.Failures = r.Count(math.MaxInt32)
	for range r.Count(MaxWaitingGroups) {
		g := netip.PrefixFrom(r.Addr(), int(r.Byte()))
		if !g.IsValid() || g != g.Masked() {
			r.Fail()
		}
		w.Groups = append(w.Groups, g)
	}
	w.Reason = r.String(maxDetail)
	return w, r.Done()
}

// timeKey is a key that sorts by time, to the second, then by id.
func timeKey(t time.Time, id []byte) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(max(0, t.Unix()))), id...)
}

// splitTimeKey undoes timeKey for ids of 32 bytes.
func splitTimeKey(key []byte) (at time.Time, id mcm.Hash, ok bool) {
	if len(key) != 40 || key[0]&0x80 != 0 {
		return at, id, false
	}
	return time.Unix(int64(binary.BigEndian.Uint64(key)), 0), mcm.Hash(key[8:]), true
}

func addrKey(r *pack.Reader, key []byte) netip.Addr {
	a, ok := netip.AddrFromSlice(key)
	if !ok || !a.Is4() {
		r.Fail()
	}
	return a
}

func appendWeight(b []byte, w mcm.Weight) []byte {
	le := w.LE()
	return append(b, le[:]...)
}

func weight(r *pack.Reader) mcm.Weight {
	var le [32]byte
	r.Fill(le[:])
	return mcm.WeightFromLE(&le)
}
