package node

import (
	"maps"
	"net/netip"
	"slices"
	"time"

	"kigo/node/branch"
	"kigo/node/mcm"
	"kigo/node/wire"
)

// maxVoices bounds the peers whose tips are remembered.
const maxVoices = 4096

// A voice is a peer that is on a proven tip.
type voice struct {
	addr  netip.Addr
	group netip.Prefix
	claim wire.State // what it stated there
	at    time.Time  // when
}

// voices are the peers by what they showed last.  They belong to who holds the
// node's lock.
type voices map[netip.Addr]*voice

// note takes in that a peer is on a tip.  What it was on before counts no more.
func (v voices) note(a netip.Addr, group netip.Prefix, claim wire.State, now time.Time) {
	if v[a] == nil && len(v) >= maxVoices {
		v.drop()
	}
	v[a] = &voice{a, group, claim, now}
}

// drop makes room for an eighth.  The newest voice of each group stays, then the second
// newest of each, and so on, so that nobody pushes other groups out.
func (v voices) drop() {
	all := slices.SortedFunc(maps.Values(v), func(a, b *voice) int { return b.at.Compare(a.at) })
	place := map[*voice]int{} // within its group
	count := map[netip.Prefix]int{}
	for _, o := range all {
		place[o] = count[o.group]
		count[o.group]++
	}
	slices.SortStableFunc(all, func(a, b *voice) int { return place[a] - place[b] })
	for _, o := range all[maxVoices/8*7:] {
		delete(v, o.addr)
	}
}

// expire forgets the voices heard before since.
func (v voices) expire(since time.Time) {
	for a, o := range v {
		if o.at.Before(since) {
			delete(v, a)
		}
	}
}

// A backing is who is on a branch.
type backing struct {
	peers  []netip.Addr
	groups map[netip.Prefix]bool
}

// on returns the voices heard since then whose tip is, as one of which is true.
func (v voices) on(since time.Time, is func(mcm.BlockNum, mcm.Hash) bool) backing {
	b := backing{groups: map[netip.Prefix]bool{}}
	for a, o := range v {
		if !o.at.Before(since) && is(o.claim.Num, o.claim.Hash) {
			b.peers = append(b.peers, a)
			b.groups[o.group] = true
		}
	}
	return b
}

// meets reports whether a backing is a quorum.
func (b *backing) meets(q branch.Quorum) bool {
	return len(b.peers) >= q.Peers && len(b.groups) >= q.Groups
}
