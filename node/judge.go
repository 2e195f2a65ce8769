package node

import (
	"context"
	"fmt"
	"time"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/wire"
)

// What came of a tip that was shown, the label of metrics.
const (
	gotKnown     = "known"     // nothing to check
	gotChosen    = "chosen"    // the own chain ends in it now
	gotAside     = "aside"     // proven, and not heavier
	gotUnmet     = "unmet"     // proven, but where it leaves the own chain isn't known yet
	gotThin      = "thin"      // proven, with too little work to be followed; left to a scan
	gotEarly     = "early"     // our clock doesn't allow it yet
	gotInvalid   = "invalid"   // holds a trailer that can never be valid
	gotMalformed = "malformed" // no proof of what is claimed
	gotOld       = "old"       // below version 3; left to a scan
	gotRefused   = "refused"   // lacks a block that every chain must contain
	gotDropped   = "dropped"   // too much waits already, or the sender may not be heard
	gotFailed    = "failed"    // we couldn't check it
)

// form tests all of a proof that needs no chain to hold it against, and returns what
// is wrong with it, nil for nothing (docs/spec/sync.md section 8.9).  ts may be
// longer than what is asked for, if it ends in the claim.
func form(claim wire.State, ts []mcm.Trailer, o proof.Options) *proof.Finding {
	bad := func(k fault.Kind, i int, format string, args ...any) *proof.Finding {
		return &proof.Finding{Kind: k, Num: claim.Num, Index: i, Detail: fmt.Sprintf(format, args...)}
	}
	if _, count := proof.Want(claim, o); len(ts) < count {
		return bad(fault.ClaimMismatch, -1, "%d trailers, a proof has %d", len(ts), count)
	}
	tip := &ts[len(ts)-1]
	if tip.Num() != claim.Num || *tip.Hash() != claim.Hash {
		return bad(fault.ClaimMismatch, len(ts)-1, "ends in block %v with hash %v, the claimed tip is block %v with hash %v", tip.Num(), tip.Hash(), claim.Num, claim.Hash)
	}
	for i := len(ts) - 1; i > 0; i-- {
		if ts[i].Num() != ts[i-1].Num()+1 {
			return bad(fault.ClaimMismatch, i, "block %v after block %v", ts[i].Num(), ts[i-1].Num())
		}
		if *ts[i].PrevHash() != *ts[i-1].Hash() {
			return bad(fault.BrokenLink, i, "block %v names %v as the block before it, the trailer before has hash %v", ts[i].Num(), ts[i].PrevHash(), ts[i-1].Hash())
		}
	}
	return nil
}

// knows reports whether the tip is proven already.  The caller holds n.mu.
func (n *Node) knows(t *mcm.Trailer) bool { return n.own.holds(t) || n.sides.holds(t) }

// A trial is a sighting being judged.
type trial struct {
	*sighting
	known   bool // all of it
	first   int  // index of the first trailer that isn't known
	proof   proof.Proof
	checked bool // the first one was held against a parent
}

// judge judges what comes in until ctx ends.
func (n *Node) judge(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		batch, due := n.inbox.take(n.o.Now())
		if len(batch) > 0 {
			n.judgeBatch(ctx, batch)
		}
		n.resettle()
		wait := n.o.Times.Review
		if !due.IsZero() {
			wait = min(wait, max(due.Sub(n.o.Now()), 10*time.Millisecond))
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-n.inbox.wake:
		case task := <-n.tasks:
			task()
		}
	}
}

// judgeBatch judges sightings: the rules of each, then the work of all together.
func (n *Node) judgeBatch(ctx context.Context, batch []*sighting) {
	n.refresh()
	var trials []*trial
	var proofs []*proof.Proof
	for _, s := range batch {
		t := n.inspect(s)
		if t == nil {
			continue
		}
		trials = append(trials, t)
		if !t.known {
			proofs = append(proofs, &t.proof)
		}
	}
	if len(proofs) > 0 {
		checked, err := proof.Work(ctx, n.o.Scan.Verifier, n.known, proofs, n.draw)
		n.o.Metrics.checks.WithLabelValues("work").Add(float64(checked))
		if err != nil {
			if ctx.Err() == nil {
				n.log.Error("proof of work can't be checked", "err", err)
			}
			for _, t := range trials {
				if !t.known {
					n.o.Metrics.got(t.sighting, gotFailed)
					n.inbox.later(t.sighting, n.o.Now().Add(time.Second))
				}
			}
			return
		}
	}
	for _, t := range trials {
		if result := n.admit(t); result != "" {
			n.o.Metrics.got(t.sighting, result)
		}
	}
}

// inspect finds out what of a sighting is new, and holds that against the rules.  It
// returns nil if there is nothing more to be done.
func (n *Node) inspect(s *sighting) *trial {
	t := &trial{sighting: s}
	ts := s.trailers
	n.mu.Lock()
	t.first = len(ts)
	for t.first > 0 && !n.knows(&ts[t.first-1]) {
		t.first--
	}
	var prev *mcm.Trailer
	switch {
	case t.first == len(ts):
		t.known = true
	case t.first > 0:
		prev = &ts[t.first-1]
	default:
		prev = n.parent(&ts[0])
	}
	n.mu.Unlock()
	if t.known {
		return t
	}
	fresh := ts[t.first:]
	if fresh[0].Num() < mcm.V30Trigger { // where a hash doesn't name one trailer
		n.o.Metrics.got(s, gotOld)
		return nil
	}
	t.checked = prev != nil
	t.proof = proof.Proof{Claim: s.claim, First: fresh[0].Num(), Trailers: fresh}
	for i := range fresh {
		n.o.Metrics.checks.WithLabelValues("rules").Inc()
		if f := proof.Against(prev, &fresh[i]); f != nil {
			f.Index = i
			t.proof.Finding = f
			return t
		}
		prev = &fresh[i]
	}
	return t
}

// parent returns the known trailer that t follows, nil for none.  The caller holds
// n.mu.
func (n *Node) parent(t *mcm.Trailer) *mcm.Trailer {
	if p := n.sides.by[*t.PrevHash()]; p != nil {
		return &p.t
	}
	if t.Num() == 0 {
		return nil
	}
	if p, ok := n.own.trailer(t.Num() - 1); ok && *p.Hash() == *t.PrevHash() {
		return &p
	}
	return nil
}

// How long a tip that our clock refuses is kept.
const maxEarly = 5 * time.Minute

// early has a sighting, all of it proven but for the clock, come again when that
// allows its tip.
func (n *Node) early(s *sighting, now time.Time) (result string) {
	tip := &s.trailers[len(s.trailers)-1]
	ahead := time.Unix(int64(tip.SolveTime()), 0).Sub(now)
	n.mu.Lock()
	n.leads.note(s.group, ahead, now)
	n.mu.Unlock()
	if ahead <= maxEarly {
		n.inbox.later(s, now.Add(ahead-mcm.ClockLead*time.Second))
	}
	return gotEarly
}

// admit takes in a trial whose work was checked, and returns what came of it.
func (n *Node) admit(t *trial) (result string) {
	now := n.o.Now()
	if t.known {
		if t.via != viaRange {
			n.hear(t.sighting, now)
		}
		return gotKnown
	}
	if f := t.proof.Finding; f != nil {
		n.convict(t, f, now)
		return gotInvalid
	}
	for i := range t.proof.Trailers {
		if rules.Early(&t.proof.Trailers[i], now.Unix()) {
			return n.early(t.sighting, now)
		}
	}
	n.mu.Lock()
	for i := range t.proof.Trailers {
		if !n.sides.add(&t.proof.Trailers[i], i > 0 || t.checked) {
			n.mu.Unlock()
			return gotDropped
		}
	}
	if len(n.sides.by) > maxSides {
		n.sides.prune(n.own)
	}
	n.mu.Unlock()
	if t.via == viaRange {
		n.o.Scan.Book.Delivered(t.from, now)
		n.weighAll()
		return gotAside
	}
	n.hear(t.sighting, now)
	result = n.weigh(*t.trailers[len(t.trailers)-1].Hash())
	if result == gotThin { // there is no end of what may come
		n.mu.Lock()
		n.sides.cut(t.proof.Trailers)
		n.mu.Unlock()
	}
	return result
}

// hear notes that a peer is on a tip that is proven.  If the weight of that is known,
// what the peer stated is held against it.
func (n *Node) hear(s *sighting, now time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	tip := &s.trailers[len(s.trailers)-1]
	n.voices.note(s.from, s.group, s.claim, now)
	if s.via == viaPoll {
		n.o.Scan.Book.Met(s.from, &s.claim, true, now)
	}
	if s.again == 0 { // else it was ahead when it was shown
		n.leads.clear(s.group)
	}
	n.passed = now
	if !n.own.holds(tip) {
		n.unsettled[*tip.Hash()] = true
	}
	exact, anchor, chain, ok := n.exact(tip)
	if !ok {
		n.jury.passed(s.from, s.group, false, now)
		return
	}
	off, _ := s.claim.Weight.Sub(exact)
	if !rules.AddsWeight(tip) && off == (mcm.Weight{}).AddDifficulty(tip.WorkDifficulty()) {
		off = mcm.Weight{}
	}
	n.jury.passed(s.from, s.group, off == mcm.Weight{}, now)
	if off == (mcm.Weight{}) {
		return
	}
	f := &fault.Fault{Kind: fault.FalseWeight, Peer: s.from, Detail: fmt.Sprintf("stated weight %v for block %v, the tip's is %v", s.claim.Weight, s.claim.Num, exact)}
	c := charge{fault: f, group: s.group, about: off.LE(), at: now}
	c.statement = &memory.Statement{Weight: s.claim.Weight, Tip: s.claim.Hash, Expires: now.Add(memory.StatementTime)}
	if s.call != nil {
		call := *s.call
		if call.op != wire.OpFound { // it is stated in the HELLO_ACK
			call.op, call.first, call.count, call.packets = wire.OpHello, 0, 0, call.packets[:min(1, len(call.packets))]
		}
		c.evidence = n.record(&call, f, nil, anchor, chain, now)
	}
	n.jury.charge(c)
}

// exact returns the exact weight of a proven tip, and what it rests on: a block of
// the own chain and the trailers above that.  It is false where the tip doesn't meet
// the own chain, and for one so old that it supports nothing: to weigh that takes
// reading the disk.  The caller holds n.mu.
func (n *Node) exact(tip *mcm.Trailer) (w mcm.Weight, anchor *proof.Anchor, above []mcm.Trailer, ok bool) {
	if n.own.holds(tip) {
		if own, _ := n.own.Tip(); own.Num-tip.Num() >= tailLen-1 {
			return w, nil, nil, false
		}
		// One block below, so that evidence has a trailer to count.
		if at, ok := n.own.at(tip.Num() - 1); ok && tip.Num() > n.o.base() {
			return weigh(at.Weight, []mcm.Trailer{*tip}), anchorAt(at.Num, at.Hash, at.Weight, at.Time), []mcm.Trailer{*tip}, true
		}
		at, ok := n.own.at(tip.Num())
		return at.Weight, anchorAt(at.Num, at.Hash, at.Weight, at.Time), nil, ok
	}
	p := n.sides.path(*tip.Hash(), n.own)
	if len(p.trailers) == 0 || !p.met {
		return w, nil, nil, false
	}
	at, ok := n.own.at(p.fork)
	return weigh(at.Weight, p.trailers), anchorAt(at.Num, at.Hash, at.Weight, at.Time), p.trailers, ok
}

func anchorAt(num mcm.BlockNum, h mcm.Hash, w mcm.Weight, t uint32) *proof.Anchor {
	return &proof.Anchor{Num: num, Hash: h, Weight: w, Time: t}
}

// convict has a peer charged with a trailer that can never be valid, unless most fall
// by it.
func (n *Node) convict(t *trial, f *proof.Finding, now time.Time) {
	bad := &t.proof.Trailers[f.Index]
	seen := &fault.Fault{Kind: f.Kind, Peer: t.from, Detail: f.Error()}
	c := charge{fault: seen, group: t.group, about: proof.ID(bad), at: now}
	if t.call != nil {
		c.evidence = n.record(t.call, seen, f, nil, nil, now)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.jury.charge(c)
	n.o.Scan.Book.Worthless(t.from, len(t.proof.Trailers), now)
	if f.Rule.IsWork() {
		n.o.Scan.Book.FailedWork(t.from, 1, now)
	}
}

// record returns what proves a fault, nil if that can't be kept.
func (n *Node) record(x *exchange, seen *fault.Fault, f *proof.Finding, anchor *proof.Anchor, chain []mcm.Trailer, now time.Time) *evidence.Record {
	r := evidence.Record{
		Time: now, Peer: seen.Peer, Kind: seen.Kind, Num: x.claim.Num, Detail: seen.Detail,
		Claim: x.claim, Op: x.op, First: x.first, Count: x.count, ID1: x.id1, ID2: x.id2,
		Packets: x.packets, Next: x.next, Anchor: anchor, Chain: chain,
		Options: n.o.Scan.Proof, RuleSet: rules.Version,
	}
	if f != nil {
		r.Rule, r.Num, r.Detail = f.Rule, f.Num, f.Detail
	}
	kept, err := evidence.New(r)
	if err != nil {
		n.log.Warn("no evidence kept", "peer", seen.Peer, "kind", seen.Kind, "err", err)
		return nil
	}
	return kept
}
