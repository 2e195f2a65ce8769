package node

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	"kigo/node/mcm"
	"kigo/node/wire"
)

// How a tip came to us.
type via string

const (
	viaPoll  via = "poll"
	viaFound via = "found"
	viaRange via = "range" // what is below a side branch: nobody's tip
)

// A sighting is a tip with the trailers that are to prove it, as a peer showed them.
type sighting struct {
	from     netip.Addr
	group    netip.Prefix
	via      via
	claim    wire.State
	trailers []mcm.Trailer // numbered without gaps up to the claim, each linking to the one before
	call     *exchange     // nil: there is nothing to keep as evidence
	again    int           // how often it was put off
}

// An exchange is what a peer sent in one call, ours or its own, as evidence needs it.
type exchange struct {
	claim    wire.State // what the peer stated in it
	op       wire.Op
	first    mcm.BlockNum
	count    int
	id1, id2 uint16
	packets  [][]byte
	next     *mcm.Trailer // behind an older range
}

// Bounds of what waits to be judged.
const (
	maxPerGroup = 8   // of one group; the oldest one makes room
	maxWaiting  = 512 // in all; the oldest of the group that has the most makes room
	maxPutOff   = 64  // for our clock; the one that would wait longest makes room
	maxBatch    = 64  // judged at a time
	maxAgain    = 3   // times that one is put off
)

// An inbox holds sightings until they are judged.  Groups get their turns whatever
// each of them sends.  Safe for concurrent use.
type inbox struct {
	mu     sync.Mutex
	groups map[netip.Prefix][]*sighting
	turns  []netip.Prefix // of groups, those that have something
	size   int
	putOff []delayed
	wake   chan struct{} // full when there is something to look at
}

// A delayed sighting is one that our clock didn't allow.
type delayed struct {
	*sighting
	due time.Time
}

func newInbox() *inbox {
	return &inbox{groups: map[netip.Prefix][]*sighting{}, wake: make(chan struct{}, 1)}
}

// add takes a sighting in, if there is room.
func (b *inbox) add(s *sighting) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.groups[s.group]) == maxPerGroup {
		b.groups[s.group] = slices.Delete(b.groups[s.group], 0, 1)
		b.size--
	}
	if b.size >= maxWaiting {
		most := s.group
		for g, l := range b.groups {
			if len(l) > len(b.groups[most]) {
				most = g
			}
		}
		if len(b.groups[most]) < 2 {
			return false
		}
		b.groups[most] = slices.Delete(b.groups[most], 0, 1)
		b.size--
	}
	if len(b.groups[s.group]) == 0 {
		b.turns = append(b.turns, s.group)
	}
	b.groups[s.group] = append(b.groups[s.group], s)
	b.size++
	poke(b.wake)
	return true
}

// later has a sighting come again at due.
func (b *inbox) later(s *sighting, due time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.again++; s.again > maxAgain {
		return
	}
	// One peer waits with one tip.
	b.putOff = slices.DeleteFunc(b.putOff, func(d delayed) bool { return d.from == s.from })
	b.putOff = append(b.putOff, delayed{s, due})
	slices.SortStableFunc(b.putOff, func(x, y delayed) int { return x.due.Compare(y.due) })
	b.putOff = b.putOff[:min(len(b.putOff), maxPutOff)]
	poke(b.wake)
}

// take returns what to judge next, one of each group first, and when something that
// was put off is due, zero for never.
func (b *inbox) take(now time.Time) (batch []*sighting, due time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.putOff) > 0 && !b.putOff[0].due.After(now) && len(batch) < maxBatch {
		batch = append(batch, b.putOff[0].sighting)
		b.putOff = b.putOff[1:]
	}
	for len(b.turns) > 0 && len(batch) < maxBatch {
		g := b.turns[0]
		b.turns = b.turns[1:]
		batch = append(batch, b.groups[g][0])
		b.size--
		if b.groups[g] = b.groups[g][1:]; len(b.groups[g]) == 0 {
			delete(b.groups, g)
		} else {
			b.turns = append(b.turns, g)
		}
	}
	if len(b.turns) > 0 {
		poke(b.wake)
	}
	if len(b.putOff) > 0 {
		due = b.putOff[0].due
	}
	return batch, due
}

// poke makes a channel of capacity one full.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
