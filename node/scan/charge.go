package scan

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/proof"
	"kigo/node/rules"
)

// statementLife is how long a weight found false is remembered (docs/spec/sync.md
// section 8.7).
const statementLife = 24 * time.Hour

// charge settles accounts: each contact's faults, each kind once, what its group
// has cost, and what is to be remembered of all.  Trailers in doubt cost nobody
// anything and aren't remembered as invalid.
func (s *scan) charge(doubt map[mcm.Hash]bool, now time.Time) *memory.Changes {
	ch := &memory.Changes{}
	learned := s.known.Changes()
	ch.Met, ch.Verified = learned.Met, learned.Verified
	if s.o.Wrong() > s.wrong {
		ch.Verified, ch.Doubted = nil, true
	}
	for _, i := range learned.Invalid {
		if id := proof.ID(&i.Trailer); !doubt[id] {
			ch.Invalid = append(ch.Invalid, memory.Invalid{ID: i.ID, Parent: i.Parent, Trailer: i.Trailer, Finding: i.Finding, Met: now})
		}
	}

	b := s.o.Book
	b.mu.Lock()
	defer b.mu.Unlock()
	groups := map[netip.Prefix]bool{}
	for _, c := range s.contacts {
		if c.calls > 0 && (c.proven() || c.refuse != nil) {
			groups[c.entry.group] = true
			ch.Evidence = append(ch.Evidence, s.account(c, b.group(c.entry.group), memory.MaxEvidence-len(ch.Evidence), now)...)
			if b.keep(c.entry, c.heard()) {
				ch.Peers = append(ch.Peers, c.entry.Peer)
			}
		}
		c.points.Objective, c.points.Soft = c.entry.Standing.Points(now)
	}
	for _, g := range slices.SortedFunc(maps.Keys(groups), netip.Prefix.Compare) {
		ch.Groups = append(ch.Groups, b.copyOf(g))
	}
	b.prune(now)
	return ch
}

// account enters into a peer's and its group's record what the peer did in this
// scan, and returns the evidence of it, at most room records: more than a memory
// keeps would take a multiple of the bytes received only to be dropped.
func (s *scan) account(c *contact, g *memory.Group, room int, now time.Time) (kept []*evidence.Record) {
	e := c.entry
	g.LastUsed = now
	if e.FirstSeen.IsZero() {
		e.FirstSeen = now
	}
	if c.heard() {
		e.LastContact = now
	}
	if c.claim != nil {
		e.Claim = *c.claim
	}
	if c.statement != nil {
		e.add(*c.statement, now)
	}
	if c.proven() {
		e.Successes++
		e.LastGood, e.Delivered = now, true
	} else {
		e.Failures++
		if c.refuse.kind != fault.Early {
			g.Record.Worthless(c.served, now)
		}
	}
	if c.wasted > 0 {
		g.Record.Worthless(c.wasted, now)
	}
	charged := map[fault.Kind]bool{}
	for i := range c.faults {
		f := &c.faults[i]
		if f.kind == "" || charged[f.kind] || f.paid || c.doubt && f.kind == fault.InvalidTrailer {
			continue
		}
		charged[f.kind] = true
		s.o.Book.observe(e, f.kind, now)
		s.o.Metrics.faults.WithLabelValues(string(f.kind)).Inc()
		if f.rule.IsWork() {
			g.Record.FailedWork(1, now)
		}
		if f.call == nil || len(kept) == room {
			continue
		}
		r, err := evidence.New(s.record(e.Addr, f, now))
		if err != nil {
			s.o.Log.Warn("no evidence kept", "peer", e.Addr, "kind", f.kind, "err", err)
			continue
		}
		c.evidence = append(c.evidence, r.ID)
		kept = append(kept, r)
	}
	return kept
}

// record returns what proves a fault.
func (s *scan) record(peer netip.Addr, f *observed, now time.Time) evidence.Record {
	x := f.call
	r := evidence.Record{
		Time:    now,
		Peer:    peer,
		Kind:    f.kind,
		Rule:    f.rule,
		Detail:  f.detail,
		Claim:   x.claim,
		Op:      x.op,
		First:   x.first,
		Count:   x.count,
		ID1:     x.id1,
		ID2:     x.id2,
		Packets: x.packets,
		Next:    x.next,
		Anchor:  x.anchor,
		Chain:   x.chain,
		Options: s.o.Proof,
		RuleSet: rules.Version,
	}
	if f.num != nil {
		r.Num = *f.num
	}
	return r
}
