package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/proof"
)

// maxDoubted bounds the trailers that are refused but not remembered as invalid.
const maxDoubted = 1024

// recall takes over what an earlier process remembered.
func (n *Node) recall() error {
	var invalid []proof.Invalid
	var verified []mcm.Hash
	if m := n.o.Scan.Memory; m != nil {
		s, err := m.Load(n.o.Now())
		if err != nil {
			return fmt.Errorf("node: %w", err)
		}
		n.o.Scan.Book.Load(s)
		n.o.Sync.Waiting = s.Waiting
		for _, v := range s.Invalid {
			invalid = append(invalid, proof.Invalid{ID: v.ID, Parent: v.Parent, Trailer: v.Trailer, Finding: v.Finding})
		}
		verified = s.Verified
	}
	n.known = proof.NewKnownSet(invalid, verified)
	return nil
}

// keepMemory writes down what has to survive a restart, now and then until ctx ends.
func (n *Node) keepMemory(ctx context.Context) {
	tick := time.NewTicker(n.o.Times.Save)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			n.save() // nobody knows how much time there is
			return
		case <-tick.C:
			n.save()
		}
	}
}

// save writes down what is new.
func (n *Node) save() {
	m := n.o.Scan.Memory
	if m == nil {
		return
	}
	now := n.o.Now()
	flushed := n.o.Scan.Book.Flush(now, m)
	c := n.known.Changes()
	changes := &memory.Changes{Met: c.Met, Verified: c.Verified}
	n.mu.Lock()
	n.held = append(n.held, c.Invalid...)
	var held []proof.Invalid
	for _, i := range n.held[max(0, len(n.held)-maxHeld):] {
		switch id := proof.ID(&i.Trailer); {
		case n.doubted[id]:
		case n.jury.trying(id) || n.syncing: // it may be doubted yet
			held = append(held, i)
		default:
			changes.Invalid = append(changes.Invalid, memory.Invalid{ID: i.ID, Parent: i.Parent, Trailer: i.Trailer, Finding: i.Finding, Met: now})
		}
	}
	n.held = held
	n.mu.Unlock()
	n.fails("memory", errors.Join(flushed, m.Save(now, changes)))
}

// maxHeld bounds the invalid trailers that wait to be remembered.
const maxHeld = 4096

// judgeCharges settles the charges that have waited long enough, at the end all.  The
// caller holds n.mu.
func (n *Node) judgeCharges(now time.Time, end bool) {
	for _, v := range n.jury.settle(now, n.o.Times.Doubt, end) {
		if v.doubt == "" {
			for _, c := range v.charges {
				if n.pay(c, now) {
					delete(n.voices, c.fault.Peer) // who is banned supports nothing
				}
			}
			continue
		}
		if v.kind == fault.FalseWeight {
			n.alarms.raise(weightAlarm, v.doubt, now)
			continue
		}
		n.doubt(v.about)
		n.alarms.raise(rulesAlarm, v.doubt, now)
	}
}

// doubt has a trailer not be remembered as invalid.  The caller holds n.mu.
func (n *Node) doubt(id mcm.Hash) {
	if len(n.doubted) >= maxDoubted {
		clear(n.doubted)
	}
	n.doubted[id] = true
}

// pay charges a peer, and reports whether that has banned it.
func (n *Node) pay(c charge, now time.Time) (banned bool) {
	book := n.o.Scan.Book
	if c.statement != nil && !book.FalseStatement(c.fault.Peer, *c.statement, now) {
		return false // it has paid for that
	}
	return accounts{book, n}.Observe(c.fault, c.evidence, now)
}
