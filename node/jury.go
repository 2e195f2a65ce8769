package node

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
)

// When most seem wrong (docs/spec/sync.md section 8.8).
const (
	suspectGroups = 3   // groups that fall by one thing for it to be our fault
	maxCharges    = 256 // waiting to be settled; the oldest are settled early
	maxOfPeer     = 4
	maxJurors     = 4096
	// weightDoubts is how many times longer a right weight counts: it is the own
	// chain's, which others don't stop confirming from one minute to the next.  And it
	// is how many times longer charges wait that too many seem to fall by: by then most
	// peers have been heard, who may pass.
	weightDoubts = 10
)

// A charge is an objective fault that waits, in case others fall by the same thing.
type charge struct {
	fault     *fault.Fault
	evidence  *evidence.Record  // nil: none
	statement *memory.Statement // of a false weight
	group     netip.Prefix
	about     mcm.Hash // what they fall by: a trailer's id, or by how much a weight is off
	at        time.Time
}

// A jury holds charges back until it is clear who else falls by the same thing, and
// who doesn't.  It belongs to who holds the node's lock.
type jury struct {
	charges []charge
	right   map[netip.Addr]juror // peers that did well, and when last
}

type juror struct {
	group  netip.Prefix
	at     time.Time // a tip that is proven
	weight time.Time // a weight that is right
}

func newJury() jury { return jury{right: map[netip.Addr]juror{}} }

// passed notes that a peer showed a tip that holds; weighed that it stated the exact
// weight of it.
func (j *jury) passed(a netip.Addr, group netip.Prefix, weighed bool, now time.Time) {
	r, known := j.right[a]
	if !known && len(j.right) >= maxJurors {
		return
	}
	r.group, r.at = group, now
	if weighed {
		r.weight = now
	}
	j.right[a] = r
}

// charge takes a charge in.  A peer waits with a few, and with one for the same thing,
// so that nobody has those of others settled early.
func (j *jury) charge(c charge) {
	same := 0
	for i := range j.charges {
		o := &j.charges[i]
		if o.fault.Peer != c.fault.Peer {
			continue
		}
		if same++; same == maxOfPeer || o.fault.Kind == c.fault.Kind && o.about == c.about {
			return
		}
	}
	j.charges = append(j.charges, c)
}

// A verdict is what the jury says of charges that rest on the same thing.
type verdict struct {
	charges []charge
	doubt   string // why nobody is charged; empty when they are
	kind    fault.Kind
	about   mcm.Hash
}

// trying reports whether a charge rests on this.
func (j *jury) trying(about mcm.Hash) bool {
	return slices.ContainsFunc(j.charges, func(c charge) bool { return c.about == about })
}

// settle returns the verdicts that are due, at the end all: a charge waits for doubt,
// or longer where most fall by the same, and all that rest on the same thing are
// settled with the oldest.
func (j *jury) settle(now time.Time, doubt time.Duration, end bool) (verdicts []verdict) {
	due := func(c *charge, i int) bool {
		age := now.Sub(c.at)
		return end || age >= doubt || age < 0 || i < len(j.charges)-maxCharges
	}
	type key struct {
		kind  fault.Kind
		about mcm.Hash
	}
	index := map[key]int{}
	for i := range j.charges {
		c := &j.charges[i]
		k := key{c.fault.Kind, c.about}
		if _, known := index[k]; !known && due(c, i) {
			index[k] = len(verdicts)
			verdicts = append(verdicts, verdict{kind: k.kind, about: k.about})
		}
	}
	kept := j.charges[:0]
	for _, c := range j.charges {
		if i, ok := index[key{c.fault.Kind, c.about}]; ok {
			verdicts[i].charges = append(verdicts[i].charges, c)
		} else {
			kept = append(kept, c)
		}
	}
	clear(j.charges[len(kept):])
	j.charges = kept
	for i := range verdicts {
		verdicts[i].weigh(j, doubt)
	}
	verdicts = slices.DeleteFunc(verdicts, func(v verdict) bool {
		age := now.Sub(v.charges[0].at)
		open := v.doubt != "" && v.kind != fault.FalseWeight && !end && age >= 0 && age < weightDoubts*doubt && len(j.charges) < maxCharges
		if open {
			j.charges = append(v.charges, j.charges...)
		}
		return open
	})
	for a, r := range j.right {
		if now.Sub(r.at) > (weightDoubts+1)*doubt {
			delete(j.right, a)
		}
	}
	return verdicts
}

// weigh finds out whether too many fall.
func (v *verdict) weigh(j *jury, doubt time.Duration) {
	fell, groups := map[netip.Addr]bool{}, map[netip.Prefix]bool{}
	for _, c := range v.charges {
		fell[c.fault.Peer] = true
		groups[c.group] = true
	}
	since := v.charges[0].at
	passed, right := 0, map[netip.Prefix]bool{}
	for a, r := range j.right {
		if !fell[a] && !r.at.Before(since) {
			passed++
		}
		if !r.weight.Before(since.Add(-weightDoubts * doubt)) {
			right[r.group] = true
		}
	}
	switch {
	case v.kind == fault.FalseWeight:
		if len(groups) > len(right) {
			v.doubt = fmt.Sprintf("%d groups agree on a weight that contradicts our own chain and %d confirm ours; nobody is charged, ours may be wrong", len(groups), len(right))
		}
	case len(groups) >= suspectGroups && len(fell) >= passed:
		v.doubt = fmt.Sprintf("%d of %d peers heard, of %d groups, fall by one trailer (%s); nobody is charged, our own rules may be wrong",
			len(fell), len(fell)+passed, len(groups), v.charges[0].fault.Seen())
	}
}
