package chainsync

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/netip"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/wire"
)

// A reply is what a peer answered when it was asked for a range.
type reply struct {
	peer     netip.Addr
	source   *source
	claim    wire.State // of this very call
	onBranch bool       // the claim is a tip of the branch
	steady   bool       // the peer stated the same with each packet
	first    mcm.BlockNum
	count    int
	pinned   bool // judged by the pin's digest
	id1, id2 uint16
	packets  [][]byte
	trailers []mcm.Trailer
	ids      []mcm.Hash     // of the trailers, once judged
	finding  *proof.Finding // what is wrong with them by themselves
	bytes    int64
	err      error // why there is no answer to judge
	declined bool  // not asked: the peer states a tip of another branch
	slow     bool  // it took so long that another source was asked, too
}

// last returns the number of the last trailer that was asked for.
func (r *reply) last() mcm.BlockNum { return r.first + mcm.BlockNum(r.count) - 1 }

// heard takes in what a call brought.
func (r *reply) heard(c *peer.Call) {
	in, _ := c.Bytes()
	r.bytes = in
	r.id1, r.id2 = c.IDs()
	r.packets = c.Transcript()
	r.steady = true
	for _, raw := range r.packets {
		p, _, err := wire.Read(bytes.NewReader(raw), nil, func(wire.Op) int { return wire.MaxData })
		if err == nil && (p.State.Num != r.claim.Num || p.State.Hash != r.claim.Hash) {
			r.steady = false
		}
	}
}

// judge notes what the trailers show by themselves, and refuses those that are known
// to be invalid, unseen.
func (r *reply) judge(known proof.Known) {
	r.ids = make([]mcm.Hash, len(r.trailers))
	for i := range r.trailers {
		r.ids[i] = proof.ID(&r.trailers[i])
		key := r.ids[i]
		if i > 0 && r.trailers[i].Num() <= mcm.V30Trigger {
			key = proof.Key(&r.trailers[i-1], &r.trailers[i])
		}
		if f, ok := known.Invalid(key); ok {
			f.Index, f.Num = i, r.trailers[i].Num()
			r.finding = f
			return
		}
	}
	r.finding = proof.Range(r.claim, r.trailers, nil, r.first, r.count)
	if r.finding == nil {
		r.finding = wrapped(r.trailers)
	}
}

// A fit says how a range goes with the trailer behind it.
type fit int

// The fits.
const (
	fits    fit = iota // it links, and nothing is wrong with it
	foreign            // it does not link
	alone              // it holds an invalid trailer that is not on the branch
	invalid            // it shows that a trailer on the branch is invalid
)

// fit holds a range that was judged against next, the branch's trailer behind it.
// From 0xa0700 on a hash fixes its trailer, so a trailer is on the branch if hashes
// lead to it from next, and invalid for ever with all that follows it if it breaks a
// rule (docs/spec/sync.md section 8.2).  t is the invalid trailer, parent the one that
// it names if that is where it breaks the rule.
func (r *reply) fit(next *mcm.Trailer) (how fit, f *proof.Finding, parent, t *mcm.Trailer) {
	ts := r.trailers
	if f := r.finding; f != nil {
		switch {
		case f.Kind != fault.InvalidTrailer:
			return foreign, f, nil, nil
		case f.Index < 0 || f.Index >= len(ts) || !leadsTo(ts[f.Index:], next):
			return alone, f, nil, nil
		}
		t := &ts[f.Index]
		if f.Index > 0 && *ts[f.Index-1].Hash() == *t.PrevHash() {
			parent = &ts[f.Index-1]
		}
		return invalid, f, parent, t
	}
	last := &ts[len(ts)-1]
	links := *last.Hash() == *next.PrevHash()
	switch {
	case r.pinned && (!links || next.Num() < mcm.V30Trigger):
		return fits, nil, nil, nil // the pin vouches for both, or contradicts itself
	case !links:
		return foreign, proof.Range(r.claim, ts, next, r.first, r.count), nil, nil
	}
	if f := proof.Against(last, next); f != nil {
		f.Index = len(ts)
		return invalid, f, last, next
	}
	return fits, nil, nil, nil
}

// leadsTo reports whether hashes that are recomputed lead from next down to the first
// of ts.
func leadsTo(ts []mcm.Trailer, next *mcm.Trailer) bool {
	want := *next.PrevHash()
	for i := len(ts) - 1; i >= 0; i-- {
		if *ts[i].Hash() != want || sha256.Sum256(ts[i][:mcm.TrailerLen-mcm.HashLen]) != want {
			return false
		}
		want = *ts[i].PrevHash()
	}
	return true
}

// link returns the kind of fault that it is to answer with a range that does not link,
// empty if it is none.  Only who states, in this very call, a tip of the branch has
// contradicted itself, and deep down only if it stated it all the while: an honest
// peer may change branches between two packets.  One that has moved to another tip
// since it showed its proof is charged nothing.
func (r *reply) link(f *proof.Finding) fault.Kind {
	switch {
	case !r.onBranch:
		return ""
	case f.Kind == fault.ForeignRange && !r.steady:
		return fault.BrokenLink
	case f.Kind == fault.ForeignRange || f.Kind == fault.BrokenLink:
		return f.Kind
	}
	return ""
}

// charge returns what the sender has to answer for, with evidence if the fault is an
// objective one.  next is the trailer behind the range, nil if it isn't known.
func (r *reply) charge(kind fault.Kind, f *proof.Finding, next *mcm.Trailer, o *Options) charge {
	c := charge{Peer: r.peer, Worthless: len(r.trailers)}
	if kind == "" {
		return c
	}
	c.Fault = &fault.Fault{Kind: kind, Peer: r.peer, Detail: fmt.Sprintf("trailers %v to %v: %s", r.first, r.last(), f.Detail)}
	if f.Rule.IsWork() {
		c.Failed = 1
	}
	c.Evidence = r.evidence(kind, f, next, o)
	return c
}

// evidence returns the record of a fault, nil for one that needs none.
func (r *reply) evidence(kind fault.Kind, f *proof.Finding, next *mcm.Trailer, o *Options) *evidence.Record {
	if kind.Class() != fault.Objective {
		return nil
	}
	rec := evidence.Record{
		Time: o.Now(), Peer: r.peer, Kind: kind, Claim: r.claim,
		Op: wire.OpTF, First: r.first, Count: r.count, ID1: r.id1, ID2: r.id2, Packets: r.packets,
		Next: next, Options: proof.Options{Base: o.Base.Num}, RuleSet: rules.Version,
	}
	if f != nil {
		rec.Rule, rec.Num, rec.Detail = f.Rule, f.Num, f.Detail
	}
	ev, err := evidence.New(rec)
	if err != nil {
		o.Log.Warn("no evidence kept", "peer", r.peer, "kind", kind, "err", err)
		return nil
	}
	return ev
}
