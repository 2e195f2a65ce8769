package chainsync

import (
	"cmp"
	"context"
	"slices"

	"kigo/node/chain"
	"kigo/node/mcm"
	"kigo/node/proof"
)

// A state is how far a place has come.
type state int

const (
	pending state = iota // not tried yet, or to be tried again
	running              // its download is under way
	exact                // its contender is known
	shelved              // so it was, but its trailers had to make room
	done                 // end says how
)

// A place is the branches that share their lowest known trailer.  What is below
// it is the same for all, so the best of them is followed in the name of all, with
// the help of everybody who is on one.
type place struct {
	branches []*Branch // by rank
	head     Branch    // the trailers of the best one, the supporters of all
	best     *Branch   // which of branches that is
	support  support   // of the best one
	onOwn    []bool    // of the head's supporters: whether its tip is on the own chain

	rank   int
	first  bool // of the first class
	groups int  // that support any of the branches

	state   state
	slot    int // while it runs
	d       *download
	waits   bool // nobody served it lately
	tall    bool // higher than is likely, so that it comes last
	early   bool // the clock doesn't allow its tip yet
	wanted  bool // it would be chosen, and has to be fetched again for that
	c       *contender
	left    *chain.Staging // what was fetched of it, when it is resolved and that is kept
	finding *proof.Finding
	end     End
	detail  string
}

// places sorts branches by the place they share, in the order of rank.
func places(branches []*Branch) []*place {
	var list []*place
	at := map[mcm.Hash]*place{} // by trailer id
	for _, b := range slices.SortedStableFunc(slices.Values(branches), func(a, b *Branch) int { return cmp.Compare(a.Rank, b.Rank) }) {
		ids := make([]mcm.Hash, 0, len(b.Trailers))
		var p *place
		for i := range b.Trailers {
			t := &b.Trailers[i]
			id := proof.ID(t)
			// Up to 0xa0700 a link doesn't fix what is below it, so that only the
			// same beginning is the same place.
			if i == 0 || t.Num() > mcm.V30Trigger {
				ids = append(ids, id)
				if p == nil {
					p = at[id]
				}
			}
		}
		if p == nil {
			p = &place{rank: b.Rank}
			list = append(list, p)
		}
		p.branches = append(p.branches, b)
		for _, id := range ids {
			at[id] = p
		}
	}
	for _, p := range list {
		p.settle()
	}
	return list
}

// settle finds the best of the place's branches, and who is on any.
func (p *place) settle() {
	known := map[mcm.Hash]*mcm.Trailer{}
	for _, b := range p.branches {
		for i := range b.Trailers {
			known[*b.Trailers[i].Hash()] = &b.Trailers[i]
		}
	}
	all := newSupport()
	for _, b := range p.branches {
		p.first = p.first || b.FirstClass
		own := newSupport()
		for i := range b.Supporters {
			by := &b.Supporters[i]
			own.add(by)
			if !all.addrs[by.Addr] {
				p.head.Supporters = append(p.head.Supporters, *by)
			}
			all.add(by)
		}
		ts := b.whole(known)
		if p.best == nil || before(ts, own, p.head.Trailers, p.support) {
			p.best, p.support = b, own
			p.head.Trailers = ts
		}
	}
	slices.SortFunc(p.head.Supporters, func(a, b Supporter) int { return a.Addr.Compare(b.Addr) })
	p.groups = len(all.groups)
	p.head.Rank, p.head.FirstClass, p.head.Groups = p.rank, p.first, p.groups
}

// maxBelow bounds how many trailers of others are put in front of a branch's own.
const maxBelow = 2 * proof.MaxExtension

// whole returns the branch's trailers with those in front of them that are known from
// others of the same place.
func (b *Branch) whole(known map[mcm.Hash]*mcm.Trailer) []mcm.Trailer {
	var below []mcm.Trailer
	for low := &b.Trailers[0]; low.Num() > mcm.V30Trigger+1 && len(below) < maxBelow; {
		t := known[*low.PrevHash()]
		if t == nil || t.Num()+1 != low.Num() {
			break
		}
		below = append(below, *t)
		low = t
	}
	slices.Reverse(below)
	return append(below, b.Trailers...)
}

// before reports whether the branch with trailers a goes before the one with b, with
// which it shares the lower part: by what is above the last common trailer.
func before(a []mcm.Trailer, on support, b []mcm.Trailer, onB support) bool {
	at := map[mcm.Hash]int{}
	for i := range b {
		at[*b[i].Hash()] = i + 1
	}
	i, j := len(a), 0
	for ; i > 0 && j == 0; i-- {
		j = at[*a[i-1].Hash()]
	}
	if j > 0 {
		i++
	}
	x, y := segment(a, i, on), segment(b, j, onB)
	x.extends, y.own = j == len(b), j == len(b)
	y.extends, x.own = i == len(a), i == len(a)
	if len(a) > i && a[i].Num() < mcm.V30Trigger || len(b) > j && b[j].Num() < mcm.V30Trigger {
		return cmp.Or(x.work.Cmp(y.work), compareTie(x, y)) > 0
	}
	return compareWeight(x, y) > 0
}

// segment returns the chain to the last of ts as a contender that weighs what those
// from the i-th on do.
func segment(ts []mcm.Trailer, i int, on support) *contender {
	c := &contender{support: on}
	c.setTip(&ts[len(ts)-1])
	c.weight, c.work = sums(ts[i:])
	return c
}

// tip returns the last trailer of the branch that is followed.
func (p *place) tip() *mcm.Trailer { return p.head.Tip() }

// must reports whether the choice waits for the place.
func (r *run) must(p *place) bool {
	return p.wanted || !p.tall && (p.first || p == r.crowd())
}

// crowd returns the place with the most groups, nil if there is none.  What is invalid
// hasn't any.
func (r *run) crowd() (most *place) {
	for _, p := range r.places {
		if p.state == done && (p.end == Invalid || p.end == Refused) {
			continue
		}
		if most == nil || p.groups > most.groups {
			most = p
		}
	}
	return most
}

// Slots of the places under way: two by rank, one for the most groups, one drawn.
const (
	byRank = iota
	byGroups
	byLot
)

// slotKind returns what the i-th slot is for.
func slotKind(i int) int { return [...]int{byRank, byGroups, byLot, byRank}[i%4] }

// fill starts downloads in free slots.
func (r *run) fill(ctx context.Context) error {
	taken := make([]bool, r.s.o.Limits.Places)
	for _, p := range r.places {
		if p.state == running {
			taken[p.slot] = true
		}
	}
	for i, is := range taken {
		if is {
			continue
		}
		for {
			p := r.next(slotKind(i))
			if p == nil {
				return nil
			}
			started, err := r.start(ctx, p, i)
			if err != nil {
				return err
			}
			if started {
				break
			}
			if p.state == pending {
				return nil // there is no room for it yet
			}
		}
	}
	return nil
}

// next returns the place that a slot of that kind is for, nil when there is none.
func (r *run) next(kind int) *place {
	var ready, tall, waiting []*place
	busy, found := false, false
	for _, p := range r.places {
		switch {
		case p.state == running:
			busy = true
		case p.state == exact:
			found = true
		case p.state != pending:
		case p.waits:
			waiting = append(waiting, p)
		case p.tall:
			tall = append(tall, p)
		default:
			ready = append(ready, p)
		}
	}
	// What is unlikely waits until nothing else is left, and so does what nobody
	// served lately, unless somebody else is of use.
	if len(ready) == 0 && !busy {
		ready = tall
	}
	if len(ready) == 0 && !busy && !found && !r.onOwn {
		ready = waiting
	}
	if len(ready) == 0 {
		return nil
	}
	switch kind {
	case byGroups:
		return slices.MaxFunc(ready, func(a, b *place) int { return cmp.Or(cmp.Compare(a.groups, b.groups), cmp.Compare(b.rank, a.rank)) })
	case byLot:
		return ready[r.s.workshop.draw(len(ready))]
	}
	return ready[0]
}
