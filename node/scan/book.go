package scan

import (
	"cmp"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/wire"
)

// Limits of the book (docs/spec/network.md section 8).
const (
	MaxCandidates = 4096  // not yet spoken to
	MaxTried      = 16384 // spoken to at least once, as many as the memory holds
	MaxPerReply   = wire.MaxAddrs
	MaxPerSource  = 256 // candidates named by one group
	MaxPerTarget  = 16  // candidates that lie in one group
)

// maxNamers bounds the groups credited with one candidate.
const maxNamers = 8

// BookOptions say what a book accepts.
type BookOptions struct {
	Private bool         // accept private addresses from lists, for test networks
	Groups  fault.Groups // what counts as one group
	Own     []netip.Addr // our own addresses, never called
	Max     int          // candidates held; zero: MaxCandidates
	Seed    uint64       // of the order of calls; zero: a secret one for each scan
	Log     *slog.Logger // nil: silent
}

// Sources of addresses that no peer named.
const (
	sourceConfigured = "configured"
	sourceCore       = "core"
)

// A table is where the book keeps an address.
type table uint8

const (
	candidate  table = iota // heard of
	tried                   // shook hands once
	configured              // given by the operator
)

// An entry is one address of the book.
type entry struct {
	memory.Peer
	group  netip.Prefix
	table  table
	namers []netip.Prefix // of a candidate: groups that named it
	gone   bool           // no longer in the book
}

// A Book holds the addresses of peers and what is known of each, in four tables:
// configured, tried, candidate and, across the first two, banned.  It is safe
// for concurrent use; one scan at a time uses it.
type Book struct {
	o BookOptions

	mu         sync.Mutex
	entries    map[netip.Addr]*entry
	configured []netip.Addr // in the order given
	groups     map[netip.Prefix]*memory.Group
	bySource   map[netip.Prefix][]*entry // candidates credited to a group
	byTarget   map[netip.Prefix][]*entry // candidates that lie in a group
	candidates int
	ledger     ledger
}

// NewBook returns an empty book.
func NewBook(o BookOptions) *Book {
	o.Max = cmp.Or(o.Max, MaxCandidates)
	o.Log = logOr(o.Log)
	return &Book{
		o:        o,
		entries:  map[netip.Addr]*entry{},
		groups:   map[netip.Prefix]*memory.Group{},
		bySource: map[netip.Prefix][]*entry{},
		byTarget: map[netip.Prefix][]*entry{},
	}
}

// AddConfigured adds addresses that are always called first, in this order.
// Private ones are welcome, those that no host can have are passed over.
func (b *Book) AddConfigured(addrs ...netip.Addr) { b.configure(sourceConfigured, addrs) }

func (b *Book) configure(source string, addrs []netip.Addr) (added int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range addrs {
		a = a.Unmap()
		if !wire.Callable(a) || slices.Contains(b.o.Own, a) {
			continue
		}
		e := b.entries[a]
		switch {
		case e == nil:
			e = b.insert(a, source)
		case e.table == configured:
			continue
		case e.table == candidate:
			b.forget(e)
			e = b.insert(a, source)
		}
		e.table, e.Source = configured, source
		b.configured = append(b.configured, a)
		added++
	}
	return added
}

// insert adds an entry to no table's count yet.
func (b *Book) insert(a netip.Addr, source string) *entry {
	e := &entry{Peer: memory.Peer{Addr: a, Source: source}, group: b.o.Groups.Of(a)}
	b.entries[a] = e
	return e
}

// forget removes a candidate.
func (b *Book) forget(e *entry) {
	for _, g := range e.namers {
		remove(b.bySource, g, e)
	}
	remove(b.byTarget, e.group, e)
	b.candidates--
	delete(b.entries, e.Addr)
	e.gone = true
}

func remove(lists map[netip.Prefix][]*entry, g netip.Prefix, e *entry) {
	l := slices.DeleteFunc(lists[g], func(x *entry) bool { return x == e })
	if lists[g] = l; len(l) == 0 {
		delete(lists, g)
	}
}

// Load adds what an earlier process remembered.  What the book knows already
// stays as it is, unless it is an address that was never called.
func (b *Book) Load(s *memory.Snapshot) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, p := range s.Peers {
		if !wire.Callable(p.Addr) || slices.Contains(b.o.Own, p.Addr) {
			continue
		}
		e := b.entries[p.Addr]
		switch {
		case e == nil:
			e = b.insert(p.Addr, p.Source)
			e.Peer, e.table = p, tried
		case e.table == configured && e.FirstSeen.IsZero():
			source := e.Source
			e.Peer = p
			e.Source = source
		}
	}
	for _, g := range s.Groups {
		if b.groups[g.Prefix] == nil {
			b.groups[g.Prefix] = &g
		}
	}
}

// Learn adds the addresses that a peer named, and returns how many of them may
// be called that could not be before.  An address that another group named
// already is credited to this one too, so that naming honest peers early does
// not put them into the namer's own queue only.
func (b *Book) Learn(from netip.Addr, addrs []netip.Addr, now time.Time) (added int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	named, _ := b.learn(from, addrs, now)
	return len(named)
}

// learn is Learn for a scan: it returns the candidates that this list names, new or
// credited to another group so far, and those that made room for them.
func (b *Book) learn(from netip.Addr, addrs []netip.Addr, now time.Time) (named, gone []*entry) {
	source := b.o.Groups.Of(from)
	quota := b.group(source).Record.Quota(MaxPerSource, now, false)
	var largest netip.Prefix // looked up once a list, for there may be thousands
	for _, a := range addrs[:min(len(addrs), MaxPerReply)] {
		a = a.Unmap()
		if !wire.Callable(a) || !b.o.Private && wire.Private(a) != 0 || slices.Contains(b.o.Own, a) {
			continue
		}
		e := b.entries[a]
		if e != nil && (e.table != candidate || slices.Contains(e.namers, source)) {
			continue
		}
		if len(b.bySource[source]) >= quota {
			break
		}
		if e != nil && len(e.namers) == maxNamers && !b.discredit(e, source) {
			continue
		}
		if e == nil {
			group := b.o.Groups.Of(a)
			if len(b.byTarget[group]) >= MaxPerTarget {
				here := map[netip.Prefix]int{}
				for _, x := range b.byTarget[group] {
					for _, g := range x.namers {
						here[g]++
					}
				}
				old := crowding(b.byTarget[group], source, func(g netip.Prefix) int { return here[g] })
				if old == nil {
					continue
				}
				b.forget(old)
				gone = append(gone, old)
			}
			if b.candidates >= b.o.Max {
				if !largest.IsValid() {
					largest = b.largest()
				}
				old := crowding(b.bySource[largest], source, func(g netip.Prefix) int { return len(b.bySource[g]) })
				if old == nil {
					continue
				}
				b.forget(old)
				gone = append(gone, old)
			}
			e = b.insert(a, from.String())
			e.FirstSeen = now
			b.candidates++
			b.byTarget[group] = append(b.byTarget[group], e)
		}
		e.namers = append(e.namers, source)
		b.bySource[source] = append(b.bySource[source], e)
		named = append(named, e)
	}
	return named, gone
}

// crowding returns the one of these candidates that has to make room for another
// one that source names, nil for none.  Without this who is first to fill a group,
// or the whole table, with addresses where nobody is keeps all others' out.
//
// Each group has one vote, in equal parts for all the candidates that it has named.
// The one with the least of votes goes, if that is less than the new one would
// have.  So it helps nobody to name the same addresses from two of his groups.
func crowding(l []*entry, source netip.Prefix, named func(netip.Prefix) int) (old *entry) {
	least := 1 / float64(named(source)+1)
	for _, e := range l {
		votes := 0.0
		for _, g := range e.namers {
			votes += 1 / float64(named(g))
		}
		if votes < least {
			old, least = e, votes
		}
	}
	return old
}

// discredit takes a candidate from the one of its namers that has named the most, if
// that is more than source would have.  Its turn comes later with that one than with
// source.
func (b *Book) discredit(e *entry, source netip.Prefix) bool {
	most := 0
	for i, g := range e.namers {
		if len(b.bySource[g]) > len(b.bySource[e.namers[most]]) {
			most = i
		}
	}
	g := e.namers[most]
	if len(b.bySource[g]) <= len(b.bySource[source])+1 {
		return false
	}
	remove(b.bySource, g, e)
	e.namers = slices.Delete(e.namers, most, most+1)
	return true
}

// largest returns the group that has named the most candidates.
func (b *Book) largest() (largest netip.Prefix) {
	for g, l := range b.bySource {
		if len(l) > len(b.bySource[largest]) {
			largest = g
		}
	}
	return largest
}

// contradicted reports whether it is known already that the peer states a false
// weight of a tip: that is charged once.
func (b *Book) contradicted(a netip.Addr, w mcm.Weight, tip mcm.Hash, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.entries[a]
	return e != nil && slices.ContainsFunc(e.False, func(f memory.Statement) bool {
		return f.Weight == w && f.Tip == tip && now.Before(f.Expires)
	})
}

// keep moves an entry that was called to the table where it belongs now, and
// reports whether it is to be remembered.  A candidate that doesn't answer makes
// room for others.
func (b *Book) keep(e *entry, reached bool) bool {
	if e.table != candidate {
		return true
	}
	if !e.gone {
		b.forget(e)
	}
	if !reached || b.entries[e.Addr] != nil { // configured or named again meanwhile
		return false
	}
	e.table, e.namers, e.gone = tried, nil, false
	b.entries[e.Addr] = e
	return true
}

// prune lets tried addresses go while there are too many, those first that have never
// proved anything, of these those without contact for the longest.  A ban isn't forgotten before its time.
func (b *Book) prune(now time.Time) {
	var free []*entry
	held := 0
	for _, e := range b.entries {
		if e.table == tried {
			held++
			if !e.Standing.Banned(now) {
				free = append(free, e)
			}
		}
	}
	if held <= MaxTried {
		return
	}
	good := func(e *entry) int {
		if e.LastGood.IsZero() {
			return 0
		}
		return 1
	}
	slices.SortFunc(free, func(x, y *entry) int {
		return cmp.Or(good(x)-good(y), x.LastContact.Compare(y.LastContact), x.Addr.Compare(y.Addr))
	})
	for _, e := range free[:min(len(free), held-MaxTried)] {
		delete(b.entries, e.Addr)
	}
}

// group returns the record of a group, a new one if need be.
func (b *Book) group(g netip.Prefix) *memory.Group {
	r := b.groups[g]
	if r == nil {
		r = &memory.Group{Prefix: g}
		b.groups[g] = r
	}
	return r
}

// Counts says how many addresses the book holds.  Banned ones are counted in
// their own table only.
type Counts struct{ Configured, Tried, Candidates, Banned int }

// Counts returns what the book holds.
func (b *Book) Counts(now time.Time) (c Counts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		switch {
		case e.Standing.Banned(now):
			c.Banned++
		case e.table == configured:
			c.Configured++
		case e.table == tried:
			c.Tried++
		default:
			c.Candidates++
		}
	}
	return c
}
