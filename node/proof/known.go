package proof

import (
	"sync"

	"kigo/node/mcm"
)

// Capacities of a KnownSet (docs/spec/sync.md section 8.7).
const (
	MaxInvalid  = 65536
	MaxVerified = 262144
)

// An Invalid is a trailer that is invalid for ever, and why.
type Invalid struct {
	ID      mcm.Hash // what Key returns
	Parent  mcm.Hash // its previous hash, which names its parent
	Trailer mcm.Trailer
	Finding Finding
}

// A KnownSet is a Known in memory, of bounded size: where it is full, what was met
// least recently leaves first.  The zero value is not usable.  Safe for concurrent
// use.
type KnownSet struct {
	mu       sync.Mutex
	invalid  *recent[Invalid]
	verified *recent[struct{}]
	changes  Changes
	isMet    map[mcm.Hash]bool
}

// Changes are what a KnownSet has come by since it was made or last asked.
type Changes struct {
	Invalid  []Invalid
	Met      []mcm.Hash // keys of invalid trailers that came again, each once
	Verified []mcm.Hash // ids of trailers with valid work
}

// NewKnownSet returns a set that knows invalid and verified, each with what was met
// least recently first.
func NewKnownSet(invalid []Invalid, verified []mcm.Hash) *KnownSet {
	return newKnownSet(MaxInvalid, MaxVerified, invalid, verified)
}

func newKnownSet(maxInvalid, maxVerified int, invalid []Invalid, verified []mcm.Hash) *KnownSet {
	k := &KnownSet{
		invalid:  newRecent[Invalid](maxInvalid),
		verified: newRecent[struct{}](maxVerified),
		isMet:    make(map[mcm.Hash]bool),
	}
	for _, inv := range invalid {
		k.invalid.put(inv.ID, inv)
	}
	for _, id := range verified {
		k.verified.put(id, struct{}{})
	}
	return k
}

// Valid implements Known.
func (k *KnownSet) Valid(id mcm.Hash) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.verified.get(id) != nil
}

// Invalid implements Known.
func (k *KnownSet) Invalid(id mcm.Hash) (*Finding, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	inv := k.invalid.get(id)
	if inv == nil {
		return nil, false
	}
	k.meet(id)
	f := inv.Finding
	return &f, true
}

// Learn implements Known.
func (k *KnownSet) Learn(t *mcm.Trailer, id mcm.Hash, f *Finding) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case f == nil:
		if k.verified.get(id) == nil {
			k.verified.put(id, struct{}{})
			k.changes.Verified = appendBounded(k.changes.Verified, id, k.verified.most)
		}
	case k.invalid.get(id) != nil:
		k.meet(id)
	default:
		inv := Invalid{ID: id, Parent: *t.PrevHash(), Trailer: *t, Finding: *f}
		inv.Finding.Index = -1 // it was the place in one proof
		k.invalid.put(id, inv)
		k.changes.Invalid = appendBounded(k.changes.Invalid, inv, k.invalid.most)
	}
}

// Doubt forgets what was verified: what has checked it turned out to compute wrongly.
func (k *KnownSet) Doubt() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.verified = newRecent[struct{}](k.verified.most)
	k.changes.Verified = nil
}

func (k *KnownSet) meet(id mcm.Hash) {
	if !k.isMet[id] && len(k.isMet) < k.invalid.most {
		k.isMet[id] = true
		k.changes.Met = append(k.changes.Met, id)
	}
}

// Changes returns what is new since the last call, for a memory on disk.
func (k *KnownSet) Changes() Changes {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.changes
	k.changes = Changes{}
	clear(k.isMet)
	return c
}

// appendBounded appends v to s and, beyond most entries, forgets the oldest half.
func appendBounded[T any](s []T, v T, most int) []T {
	if len(s) >= most {
		s = append([]T(nil), s[len(s)/2+1:]...)
	}
	return append(s, v)
}

// recent is a map of at most so many entries, of which the one that was put or got
// longest ago makes room for a new one.
type recent[V any] struct {
	most  int
	index map[mcm.Hash]int32
	// slots are linked in a ring through slot 0, which holds nothing: its next is
	// the most recent one, its prev the least.
	slots []slot[V]
}

type slot[V any] struct {
	id         mcm.Hash
	prev, next int32
	value      V
}

func newRecent[V any](most int) *recent[V] {
	return &recent[V]{most: most, index: make(map[mcm.Hash]int32), slots: make([]slot[V], 1)}
}

// get returns the value of id as the most recent one, nil if there is none.  It
// may be written to until the next put.
func (r *recent[V]) get(id mcm.Hash) *V {
	i, ok := r.index[id]
	if !ok {
		return nil
	}
	r.unlink(i)
	r.linkFirst(i)
	return &r.slots[i].value
}

// put enters or replaces the value of id.
func (r *recent[V]) put(id mcm.Hash, v V) {
	if old := r.get(id); old != nil {
		*old = v
		return
	}
	i := int32(len(r.slots))
	if len(r.index) < r.most {
		r.slots = append(r.slots, slot[V]{})
	} else {
		i = r.slots[0].prev
		r.unlink(i)
		delete(r.index, r.slots[i].id)
	}
	r.index[id] = i
	r.slots[i].id, r.slots[i].value = id, v
	r.linkFirst(i)
}

func (r *recent[V]) unlink(i int32) {
	s := &r.slots[i]
	r.slots[s.prev].next, r.slots[s.next].prev = s.next, s.prev
}

func (r *recent[V]) linkFirst(i int32) {
	s := &r.slots[i]
	s.prev, s.next = 0, r.slots[0].next
	r.slots[s.next].prev = i
	r.slots[0].next = i
}
