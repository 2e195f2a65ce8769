package scan

import (
	"bytes"
	"context"
	"errors"
	"math"
	"net/netip"
	"slices"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/wire"
)

// An exchange is one call, as evidence needs it.
type exchange struct {
	claim    wire.State
	op       wire.Op
	first    mcm.BlockNum
	count    int
	id1, id2 uint16
	packets  [][]byte
	next     *mcm.Trailer  // behind an older range
	anchor   *proof.Anchor // of a false weight, with the chain above it
	chain    []mcm.Trailer
}

// An observed fault is one of a contact.
type observed struct {
	kind    fault.Kind
	rule    rules.Rule
	num     *mcm.BlockNum
	trailer *mcm.Trailer // the one that can never be valid
	detail  string
	again   bool      // a peer that is changing branches, or crowded, does better a little later
	call    *exchange // of an objective one
	paid    bool      // charged by an earlier scan
}

// shows reports whether the trailer is the one that the fault is about, or in the
// same reply.
func (f *observed) shows(t *mcm.Trailer) bool {
	return *f.trailer == *t ||
		f.call != nil && slices.ContainsFunc(f.call.packets, func(p []byte) bool { return bytes.Contains(p, t[:]) })
}

// A visit is what one visit to a peer brought: two calls at most, one for its
// list and one in which claim and proof meet.
type visit struct {
	reached bool
	calls   int
	in, out int64
	named   int
	took    time.Duration
	cut     bool // the scan ended first

	claim  *wire.State
	proof  *proof.Proof // kept with a refusal, too: how much came, and how early it was
	asked  *exchange    // the call that brought the proof
	refuse *observed    // why the claim isn't proven
	faults []observed   // all that was seen, refuse included
}

// visit calls a peer for its list and for its proof, or for the proof only.
// named gets the list.
func (o *Options) visit(ctx context.Context, a netip.Addr, list bool, named func([]netip.Addr)) *visit {
	v := &visit{}
	began := time.Now()
	if !list || v.list(ctx, o, a, named) {
		v.prove(ctx, o, a)
	}
	v.took = time.Since(began)
	return v
}

// call makes one call on behalf of a visit and charges its bytes to it.  ask
// makes the request; its error becomes the fault that is returned.
func (v *visit) call(ctx context.Context, o *Options, a netip.Addr, op wire.Op, ask func(*peer.Call, *exchange) error) (seen *observed, reached bool) {
	v.calls++
	c, err := o.Client.Call(ctx, a)
	x := &exchange{op: wire.OpHello}
	if reached = err == nil; reached {
		claim := c.Claim()
		v.reached, v.claim = true, &claim
		x.claim, x.op = claim, op
		err = ask(c, x)
		c.Close()
	}
	in, out := c.Bytes()
	v.in, v.out = v.in+in, v.out+out
	x.id1, x.id2 = c.IDs()
	x.packets = c.Transcript()
	return v.blame(ctx, o, a, err, x), reached
}

// blame turns an error into a fault of the peer, unless it is nobody's.
func (v *visit) blame(ctx context.Context, o *Options, a netip.Addr, err error, x *exchange) *observed {
	var f *fault.Fault
	var finding *proof.Finding
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		v.cut = true
		return nil
	case errors.As(err, &finding):
		return fromFinding(finding, x)
	case errors.As(err, &f):
		seen := &observed{kind: f.Kind, detail: f.Seen()}
		if f.Kind.Class() == fault.Objective {
			seen.call = x
		}
		return seen
	default:
		// Ours, such as no file descriptors left: the peer is merely not reached.
		o.Log.Warn("peer not called", "peer", a, "err", err)
		return &observed{detail: err.Error()}
	}
}

// fromFinding returns a finding as a fault that rests on x.
func fromFinding(f *proof.Finding, x *exchange) *observed {
	num := f.Num
	seen := &observed{kind: f.Kind, rule: f.Rule, num: &num, detail: f.Detail}
	seen.again = f.Kind == fault.BrokenLink || f.Kind == fault.ClaimMismatch
	if f.Kind.Class() == fault.Objective {
		seen.call = x
	}
	return seen
}

// list asks for the peer's list, and reports whether the peer is worth a second
// call: not if it couldn't be reached, nor if it was too slow for this one.  One
// that refuses its list, or breaks it, may serve its proof all the same.
func (v *visit) list(ctx context.Context, o *Options, a netip.Addr, named func([]netip.Addr)) (worth bool) {
	seen, reached := v.call(ctx, o, a, wire.OpGetIPL, func(c *peer.Call, _ *exchange) error {
		addrs, _, err := c.IPL(ctx)
		if v.named = len(addrs); err == nil && v.named > 0 {
			named(addrs)
		}
		return err
	})
	if seen == nil {
		return !v.cut
	}
	v.faults = append(v.faults, *seen)
	if worth = reached && seen.kind != fault.Timeout && seen.kind != fault.TooSlow; !worth {
		v.refuse = seen
	}
	return worth
}

// prove makes the call in which claim and proof meet (docs/spec/sync.md section
// 8.5, S0) and tests all of the proof but its work.
func (v *visit) prove(ctx context.Context, o *Options, a netip.Addr) {
	seen, reached := v.call(ctx, o, a, wire.OpTF, func(c *peer.Call, x *exchange) error {
		if f := proof.Free(x.claim, o.Proof, o.Now().Unix()); f != nil {
			return f
		}
		x.first, x.count = proof.Want(x.claim, o.Proof)
		if x.count < 1 || x.first > math.MaxUint32 {
			// No anchor or clock of ours says so, but TF can't ask for it.
			return &proof.Finding{Kind: fault.TooHigh, Num: x.claim.Num, Index: -1, Detail: "no proof of this height can be asked for"}
		}
		ts, err := c.Trailers(ctx, x.first, x.count)
		if err != nil {
			return err
		}
		v.proof = &proof.Proof{Claim: x.claim, Trailers: ts}
		v.asked = x
		if f := v.proof.Structure(o.Proof, o.Now().Unix()); f != nil {
			return f
		}
		return nil
	})
	if seen == nil {
		return
	}
	if seen.kind == fault.Refused || seen.kind == fault.Reset {
		seen.again = reached
	}
	if v.proof != nil {
		seen.trailer = invalid(v.proof)
	}
	v.refuse = seen
	v.faults = append(v.faults, *seen)
}

// invalid returns a copy of the trailer that the proof's finding is about, if it is
// about one.
func invalid(p *proof.Proof) *mcm.Trailer { return trailerOf(p.Finding, p.Trailers) }

func trailerOf(f *proof.Finding, ts []mcm.Trailer) *mcm.Trailer {
	if f == nil || f.Kind != fault.InvalidTrailer || f.Index < 0 || f.Index >= len(ts) {
		return nil
	}
	t := ts[f.Index]
	return &t
}
