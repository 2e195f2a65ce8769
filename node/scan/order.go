package scan

import (
	"cmp"
	crand "crypto/rand"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"
)

// longStanding is how many good peers are called right after the configured
// ones, longest-standing first, so that an attacker can't replace all views at
// once (docs/spec/sync.md section 8.8).
const longStanding = 8

// fewGroups is the number of groups below which quotas give way and resting
// peers are called all the same.
const fewGroups = 3

// An order is the order of one scan's calls: known addresses in a fixed
// sequence, then candidates in turn by the group that named them, a group of
// addresses among those uniformly, then one of its addresses.  Each address
// leaves it once.
//
// It belongs to the goroutine that runs the scan.
type order struct {
	book   *Book
	rng    *rand.Rand
	now    time.Time
	known  []*entry                  // configured, longest-standing, other tried ones
	turns  []*source                 // groups that named candidates
	turn   int                       // whose turn it is
	source map[netip.Prefix]*source  // the same by group
	called map[netip.Addr]bool       // left the order
	groups map[netip.Prefix]struct{} // of all addresses that may be called
	left   int                       // candidates still in it
	few    bool                      // fewer groups than fewGroups
	quotas map[netip.Prefix]int      // what quota has returned
	skip   []skipped                 // known addresses that aren't called
}

// A source is a group that named candidates.
type source struct {
	targets []*target
}

// A target is a group in which candidates of one source lie.
type target struct {
	group netip.Prefix
	peers []*entry
}

// A skipped address isn't called for the reason given.
type skipped struct {
	*entry
	why string
}

// start returns the order of a scan that begins now.
func (b *Book) start(now time.Time) *order {
	b.mu.Lock()
	defer b.mu.Unlock()
	seed := b.o.Seed
	if seed == 0 {
		var s [8]byte
		crand.Read(s[:])
		seed = binary.LittleEndian.Uint64(s[:])
	}
	o := &order{
		book:   b,
		rng:    rand.New(rand.NewPCG(seed, 0)),
		now:    now,
		source: map[netip.Prefix]*source{},
		called: map[netip.Addr]bool{},
		groups: map[netip.Prefix]struct{}{},
		quotas: map[netip.Prefix]int{},
	}
	all := b.sequence(o.rng, now)
	for _, e := range all {
		if !e.Standing.Banned(now) && !e.Standing.Resting(now) {
			o.groups[e.group] = struct{}{}
		}
	}
	o.few = len(o.groups) < fewGroups
	for _, e := range all {
		why := ""
		switch {
		case e.Standing.Banned(now):
			why = "banned until " + e.Standing.BannedUntil.UTC().Format(time.RFC3339)
		case e.Standing.Resting(now) && !o.few:
			why = "not called until " + e.Standing.RestUntil.UTC().Format(time.RFC3339)
		case b.overBudget(e.group, now, o.few):
			why = "its group is over its budget of this hour"
		}
		switch {
		case why != "":
			o.skip = append(o.skip, skipped{e, why})
		case e.table == candidate:
			for _, g := range e.namers {
				o.add(g, e)
			}
			o.left++
		default:
			o.known = append(o.known, e)
			o.groups[e.group] = struct{}{}
		}
	}
	return o
}

// only returns an order of just these addresses, whatever they have to their
// account.
func (b *Book) only(addrs []netip.Addr, now time.Time) *order {
	b.configure(sourceConfigured, addrs)
	b.mu.Lock()
	defer b.mu.Unlock()
	o := &order{book: b, now: now, called: map[netip.Addr]bool{}, quotas: map[netip.Prefix]int{}}
	for _, a := range addrs {
		if e := b.entries[a.Unmap()]; e != nil && !slices.Contains(o.known, e) {
			o.known = append(o.known, e)
		}
	}
	return o
}

// sequence returns all entries: configured ones as given, the longest-standing
// good ones that aren't banned, other tried ones in random order, candidates by
// address.
func (b *Book) sequence(rng *rand.Rand, now time.Time) []*entry {
	all := make([]*entry, 0, len(b.entries))
	for _, a := range b.configured {
		all = append(all, b.entries[a])
	}
	var other, heard []*entry
	for _, e := range b.entries {
		switch {
		case e.table == candidate:
			heard = append(heard, e)
		case e.table == tried && !e.isGood(now):
			other = append(other, e)
		}
	}
	good := b.good(now)
	first := min(len(good), longStanding)
	all = append(all, good[:first]...)
	other = append(other, good[first:]...)
	for _, l := range [][]*entry{other, heard} {
		slices.SortFunc(l, func(x, y *entry) int { return x.Addr.Compare(y.Addr) })
	}
	rng.Shuffle(len(other), func(i, j int) { other[i], other[j] = other[j], other[i] })
	return append(append(all, other...), heard...)
}

// isGood reports whether an entry has proven something and isn't banned.
func (e *entry) isGood(now time.Time) bool { return !e.LastGood.IsZero() && !e.Standing.Banned(now) }

// good returns the tried peers that have proven something and aren't banned, the
// longest-standing ones first.
func (b *Book) good(now time.Time) (good []*entry) {
	for _, e := range b.entries {
		if e.table == tried && e.isGood(now) {
			good = append(good, e)
		}
	}
	slices.SortFunc(good, func(x, y *entry) int {
		return cmp.Or(x.FirstSeen.Compare(y.FirstSeen), x.Addr.Compare(y.Addr))
	})
	return good
}

// overBudget reports whether a group has used up what it may cost in an hour.
func (b *Book) overBudget(g netip.Prefix, now time.Time, few bool) bool {
	r := b.groups[g]
	return r != nil && r.Record.OverBudget(now, few)
}

// quota returns what the group has of n calls at once.
func (o *order) quota(g netip.Prefix, n int) int {
	q, known := o.quotas[g]
	if !known {
		o.book.mu.Lock()
		defer o.book.mu.Unlock()
		q = o.book.group(g).Record.Quota(n, o.now, o.few)
		o.quotas[g] = q
	}
	return q
}

// learn adds what a peer named to the book and to the order.
func (o *order) learn(from netip.Addr, addrs []netip.Addr, now time.Time) {
	o.book.mu.Lock()
	defer o.book.mu.Unlock()
	g := o.book.o.Groups.Of(from)
	named, gone := o.book.learn(from, addrs, now)
	for _, e := range gone {
		if !o.called[e.Addr] && !o.book.overBudget(e.group, now, o.few) {
			o.left--
		}
	}
	for _, e := range named {
		if o.called[e.Addr] || o.book.overBudget(e.group, now, o.few) {
			continue
		}
		if len(e.namers) == 1 {
			o.left++
		}
		o.add(g, e)
	}
}

// add puts a candidate into the turn of a group that named it.
func (o *order) add(g netip.Prefix, e *entry) {
	s := o.source[g]
	if s == nil {
		s = &source{}
		o.source[g] = s
		o.turns = append(o.turns, s)
	}
	i := slices.IndexFunc(s.targets, func(t *target) bool { return t.group == e.group })
	if i < 0 {
		i = len(s.targets)
		s.targets = append(s.targets, &target{group: e.group})
	}
	s.targets[i].peers = append(s.targets[i].peers, e)
	o.groups[e.group] = struct{}{}
	if few := len(o.groups) < fewGroups; few != o.few {
		o.few = few
		clear(o.quotas)
	}
}

// next takes the next address out whose group is free, if there is one.
func (o *order) next(free func(netip.Prefix) bool) (*entry, bool) {
	for i, e := range o.known {
		if free(e.group) {
			o.known = slices.Delete(o.known, i, i+1)
			o.called[e.Addr] = true
			return e, true
		}
	}
	for range len(o.turns) {
		s := o.turns[o.turn%len(o.turns)]
		o.turn++
		if e := s.draw(o, free); e != nil {
			o.called[e.Addr] = true
			o.left--
			return e, true
		}
	}
	return nil, false
}

// draw takes one of the source's candidates, or returns nil if none may be
// called now.
func (s *source) draw(o *order, free func(netip.Prefix) bool) *entry {
	var open []*target
	s.targets = slices.DeleteFunc(s.targets, func(t *target) bool {
		t.peers = slices.DeleteFunc(t.peers, func(e *entry) bool { return e.gone || o.called[e.Addr] })
		if len(t.peers) > 0 && free(t.group) {
			open = append(open, t)
		}
		return len(t.peers) == 0
	})
	if len(open) == 0 {
		return nil
	}
	t := open[o.rng.IntN(len(open))]
	i := o.rng.IntN(len(t.peers))
	e := t.peers[i]
	t.peers = slices.Delete(t.peers, i, i+1)
	return e
}

// waiting returns how many addresses are still to be called.
func (o *order) waiting() int { return len(o.known) + o.left }
