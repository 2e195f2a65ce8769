package scan

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/memory"
)

// The accounts of the book's peers and their groups (docs/spec/sync.md section 8.8),
// for all that deals with peers between scans.  What is charged here counts at once
// and is saved by Flush.  A peer that the book doesn't hold is entered as one that was
// spoken to; only when it has something to its account is a record made for it.

// A ledger is what Flush has to save.
type ledger struct {
	peers    map[netip.Addr]struct{}
	groups   map[netip.Prefix]struct{}
	evidence []*evidence.Record

	few   bool      // what Book.fewNow said
	fewAt time.Time // and when
}

// maxUnsaved bounds the packets in the evidence that waits to be saved, for one record
// may hold a whole range.
const maxUnsaved = 16 << 20

// bound lets the oldest evidence go where there is too much of it.
func (l *ledger) bound() {
	size, keep := 0, len(l.evidence)
	for keep > 0 && len(l.evidence)-keep < memory.MaxEvidence {
		if size += l.evidence[keep-1].Size(); size > maxUnsaved {
			break
		}
		keep--
	}
	l.evidence = slices.Delete(l.evidence, 0, keep)
}

// note marks the records of an entry and of its group.
func (b *Book) note(e *entry) {
	l := &b.ledger
	if l.peers == nil {
		l.peers, l.groups = map[netip.Addr]struct{}{}, map[netip.Prefix]struct{}{}
	}
	l.peers[e.Addr] = struct{}{}
	l.groups[e.group] = struct{}{}
}

// met returns the entry of a peer that was called or has called, a new one if need
// be; nil for what is no IPv4 address.
func (b *Book) met(a netip.Addr, now time.Time) *entry {
	if a = a.Unmap(); !a.Is4() {
		return nil
	}
	e := b.entries[a]
	switch {
	case e == nil:
		e = b.insert(a, "")
		e.table = tried
	case e.table == candidate:
		b.keep(e, true)
	}
	if e.FirstSeen.IsZero() {
		e.FirstSeen = now
	}
	if e.LastContact.IsZero() {
		e.LastContact = now // who only calls is remembered, too
	}
	b.note(e)
	return e
}

// observe charges an entry and its group's record with what was seen of it.
func (b *Book) observe(e *entry, k fault.Kind, now time.Time) (banned bool) {
	if banned = e.Standing.Observe(k, now); banned {
		b.group(e.group).Record.Ban(now)
		b.o.Log.Info("peer banned", "peer", e.Addr, "kind", k, "until", e.Standing.BannedUntil)
	}
	return banned
}

// Observe charges a peer with a fault and keeps the evidence of it, if there is any.
// It reports whether that has banned the peer.
func (b *Book) Observe(f *fault.Fault, ev *evidence.Record, now time.Time) (banned bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if ev != nil {
		b.ledger.evidence = append(b.ledger.evidence, ev)
		b.ledger.bound()
	}
	if f.Kind.Class() == fault.None {
		return false
	}
	e := b.met(f.Peer, now)
	return e != nil && b.observe(e, f.Kind, now)
}

// Worthless charges the peer's group with trailers that led nowhere.
func (b *Book) Worthless(a netip.Addr, trailers int, now time.Time) {
	b.chargeGroup(a, now, func(r *fault.GroupRecord) { r.Worthless(trailers, now) })
}

// FailedWork charges the peer's group with n checks of work that failed.
func (b *Book) FailedWork(a netip.Addr, n int, now time.Time) {
	b.chargeGroup(a, now, func(r *fault.GroupRecord) { r.FailedWork(n, now) })
}

func (b *Book) chargeGroup(a netip.Addr, now time.Time, charge func(*fault.GroupRecord)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.met(a, now); e != nil {
		g := b.group(e.group)
		g.LastUsed = now
		charge(&g.Record)
	}
}

// Delivered notes that the peer has served a range that linked.
func (b *Book) Delivered(a netip.Addr, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.met(a, now); e != nil {
		e.Delivered, e.LastContact = true, now
		b.group(e.group).LastUsed = now
	}
}

// MayServe reports whether the peer may be asked for trailers: it is not banned, it
// rests for no soft points unless few groups are left, and its group is within its
// budget.
func (b *Book) MayServe(a netip.Addr, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	few := b.fewNow(now)
	if e := b.entries[a.Unmap()]; e != nil && (e.Standing.Banned(now) || e.Standing.Resting(now) && !few) {
		return false
	}
	return !b.overBudget(b.o.Groups.Of(a), now, few)
}

// Quota returns what the peer's group has of a quota n: half while it is halved for
// its bans, twice as much while few groups are reachable.
func (b *Book) Quota(a netip.Addr, n int, now time.Time) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	var clean fault.GroupRecord
	r := &clean
	if g := b.groups[b.o.Groups.Of(a)]; g != nil {
		r = &g.Record
	}
	return r.Quota(n, now, b.fewNow(now))
}

// FalseStatement notes a weight that a peer has stated of a tip and that was found
// false.  It returns false if that is known already, so that it is charged once.
func (b *Book) FalseStatement(a netip.Addr, st memory.Statement, now time.Time) (fresh bool) {
	if b.contradicted(a.Unmap(), st.Weight, st.Tip, now) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if e := b.met(a, now); e != nil {
		e.add(st, now)
	}
	return true
}

// add remembers a false statement, and forgets those that are too old or too many.
func (e *entry) add(st memory.Statement, now time.Time) {
	var kept []memory.Statement // who saves a copy of the entry may still read the old ones
	for _, f := range e.False {
		if now.Before(f.Expires) {
			kept = append(kept, f)
		}
	}
	kept = append(kept, st)
	e.False = kept[max(0, len(kept)-memory.MaxStatements):]
}

// Preferred returns the peers to ask before others: configured ones, those that have
// delivered, and the longest-standing good ones, banned ones excepted.
func (b *Book) Preferred(now time.Time) map[netip.Addr]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	preferred := map[netip.Addr]bool{}
	good := b.good(now)
	for _, e := range good[:min(longStanding, len(good))] {
		preferred[e.Addr] = true
	}
	for a, e := range b.entries {
		if !e.Standing.Banned(now) && (e.table == configured || e.Delivered) {
			preferred[a] = true
		}
	}
	return preferred
}

// fewNow reports whether fewer groups than fewGroups can be reached, looked up once a
// second.
func (b *Book) fewNow(now time.Time) bool {
	l := &b.ledger
	if age := now.Sub(l.fewAt); l.fewAt.IsZero() || age < 0 || age >= time.Second {
		groups := map[netip.Prefix]struct{}{}
		for _, e := range b.entries {
			if !e.Standing.Banned(now) && !e.Standing.Resting(now) {
				if groups[e.group] = struct{}{}; len(groups) == fewGroups {
					break
				}
			}
		}
		l.few, l.fewAt = len(groups) < fewGroups, now
	}
	return l.few
}

// Flush saves what was charged since it last did.  After an error all of that is
// still to be saved.
func (b *Book) Flush(now time.Time, m Memory) error {
	b.mu.Lock()
	b.prune(now)
	saving := b.ledger
	b.ledger = ledger{few: saving.few, fewAt: saving.fewAt}
	ch := &memory.Changes{Evidence: saving.evidence}
	for a := range saving.peers {
		if e := b.entries[a]; e != nil {
			ch.Peers = append(ch.Peers, e.Peer)
		}
	}
	for g := range saving.groups {
		ch.Groups = append(ch.Groups, b.copyOf(g))
	}
	b.mu.Unlock()
	if len(ch.Peers)+len(ch.Groups)+len(ch.Evidence) == 0 {
		return nil
	}
	slices.SortFunc(ch.Peers, func(x, y memory.Peer) int { return x.Addr.Compare(y.Addr) })
	slices.SortFunc(ch.Groups, func(x, y memory.Group) int { return x.Prefix.Compare(y.Prefix) })
	err := m.Save(now, ch)
	if err == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for a := range saving.peers {
		if e := b.entries[a]; e != nil {
			b.note(e)
		}
	}
	b.ledger.evidence = append(saving.evidence, b.ledger.evidence...)
	b.ledger.bound()
	return fmt.Errorf("accounts of peers: %w", err)
}

// copyOf returns the record of a group for somebody who saves it without the lock.
func (b *Book) copyOf(g netip.Prefix) memory.Group {
	c := *b.group(g)
	c.Record.Bans = slices.Clone(c.Record.Bans)
	return c
}
