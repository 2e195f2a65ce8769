package chainsync

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"slices"
	"time"

	"kigo/node/chain"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/wire"
)

// change makes a contender the own chain, all of which is proven, if it still goes
// before that (docs/spec/sync.md section 8.5, S6).  It returns false when there is
// another choice to be made.  S5, the state of the ledger, would come first.
func (r *run) change(ctx context.Context, c *contender) (done bool, err error) {
	o := &r.s.o
	p := r.placeOf(c)
	o.Switch.Lock()
	defer o.Switch.Unlock()
	if err := r.refresh(); err != nil {
		return false, err
	}
	hangs, err := r.hangs(c)
	switch {
	case err != nil:
		return false, err
	case !hangs:
		p.resolve(Unresolved, "the own chain has changed")
		return false, r.put(p)
	case c.fork > c.num:
		p.resolve(Chosen, "the own chain has come to it")
		return false, r.drop(p)
	case !r.proven(c):
		return false, errors.New("chainsync: a branch that isn't proven was to be switched to")
	case !r.beatsOwn(c):
		return false, r.lose(p, nil, "the own chain goes before it")
	}
	depth, from := 0, r.out.To
	if r.own != nil && r.own.num >= c.fork {
		depth = int(min(r.own.num-c.fork+1, math.MaxInt32))
	}
	first, err := c.read(c.fork, 1)
	if err != nil || len(first) != 1 {
		return false, errors.Join(err, errors.New("chainsync: a branch without its first trailer"))
	}
	id := proof.ID(&first[0])
	if depth > o.Limits.Rescan && !r.s.deep[id] {
		// What it takes is certainty, which there is, and another look at who is there.
		if len(r.s.deep) >= maxDeep {
			clear(r.s.deep)
		}
		r.s.deep[id] = true
		r.out.NeedsScan = true
		r.alarm(DeepAlarm, "a heavier branch replaces %d own blocks, from block %v on; it waits for another scan", depth, c.fork)
		p.resolve(WantsScan, "it replaces %d own blocks", depth)
		return false, r.put(p)
	}
	if tip, ok := o.Chain.Tip(); ok {
		from = tip
	}
	kept := chain.Tip{}
	if c.fork > 0 {
		kept, _ = o.Chain.At(c.fork - 1)
	}
	r.at("switching")
	r.reporter.tell(time.Now()) // before the own chain is another one
	o.Hook(stepSwitching)
	switch {
	case c.g != nil:
		err = o.Chain.Adopt(c.g)
	case c.fork == from.Num+1:
		err = o.Chain.Extend(c.ts)
	default:
		err = o.Chain.Replace(c.fork, c.ts)
	}
	if err != nil {
		return false, err
	}
	o.Hook(stepSwitched)
	delete(r.s.deep, id)
	to, _ := o.Chain.Tip()
	out := r.out
	if !out.Switched {
		out.From = from
	}
	out.Switched, out.To, out.Depth = true, to, depth
	out.Replaced, _ = from.Work.Sub(kept.Work)
	out.Gained, _ = to.Work.Sub(kept.Work)
	if depth == 0 {
		out.Replaced = mcm.Weight{}
	}
	if c.sampled > 0 {
		quick := Established(c.sampled)
		out.Quick = &quick
	}
	if depth > o.Limits.Deep {
		r.alarm(DeepAlarm, "%d own blocks were replaced, from block %v on", depth, c.fork)
	}
	o.Log.Info("sync: the own chain is another one", "bnum", to.Num, "bhash", to.Hash, "weight", to.Weight,
		"depth", depth, "new", c.num-c.fork+1, "groups", len(c.support.groups))
	o.Metrics.switched(depth)
	if c.g != nil {
		// Adopt has taken the staging's files.
		r.s.sched.drop(c.g)
		r.release(p)
	}
	p.resolve(Chosen, "")
	if err := r.refresh(); err != nil {
		return false, err
	}
	if r.own != nil {
		r.own.support = c.support
	}
	return true, nil
}

// maxDeep bounds how many branches are remembered that wait for another scan.
const maxDeep = 64

// hangs reports whether a contender still begins on the own chain, and moves its fork
// up to where they part now.
func (r *run) hangs(c *contender) (bool, error) {
	fork, err := r.leaves(c)
	if err != nil {
		return false, err
	}
	if c.g == nil {
		c.ts = c.ts[fork-c.fork:]
	}
	c.fork = fork
	if c.fork > c.num || c.fork == r.s.o.Base.Num {
		return true, nil
	}
	ts, err := c.read(c.fork, 1)
	if err != nil || len(ts) != 1 {
		return false, err
	}
	return r.s.o.Chain.Has(c.fork-1, *ts[0].PrevHash()), nil
}

// sift gives up contenders that can't be chosen any more: the own chain, or one of
// which all is proven, goes before them.
func (r *run) sift() error {
	for _, p := range r.places {
		if p.state != exact {
			continue
		}
		if !r.beatsOwn(p.c) {
			if err := r.lose(p, nil, "the own chain goes before it"); err != nil {
				return err
			}
			continue
		}
		for _, q := range r.places {
			if q == p || q.state != exact || q.c.old != p.c.old || !r.proven(q.c) || best([]*contender{q.c, p.c}) != q.c {
				continue
			}
			if err := r.lose(p, q.c, "another branch goes before it"); err != nil {
				return err
			}
			break
		}
	}
	return nil
}

// parts returns the first block of a that is not on b.
func (r *run) parts(a, b *contender) (mcm.BlockNum, error) {
	if b.fork > a.fork {
		return a.fork, nil
	}
	for at := a.fork; at <= a.num; {
		n := a.fork
		x, err := a.read(at, wire.MaxTF)
		if err != nil {
			return n, err
		}
		y, err := b.read(at, wire.MaxTF)
		if err != nil {
			return n, err
		}
		for i := range x {
			if i >= len(y) || x[i] != y[i] {
				return at + mcm.BlockNum(i), nil
			}
		}
		if len(x) == 0 {
			break
		}
		at += mcm.BlockNum(len(x))
	}
	return a.num + 1, nil
}

// leaves returns the first block of a contender that is not on the own chain.
func (r *run) leaves(c *contender) (mcm.BlockNum, error) {
	for at := c.fork; at <= c.num; {
		ts, err := c.read(at, wire.MaxTF)
		if err != nil || len(ts) == 0 {
			return at, err
		}
		for i := range ts {
			if !r.s.o.Chain.Has(ts[i].Num(), *ts[i].Hash()) {
				return ts[i].Num(), nil
			}
		}
		at += mcm.BlockNum(len(ts))
	}
	return c.num + 1, nil
}

// lose resolves a place whose contender is not to be chosen, for another one goes
// before it; nil is the own chain.  What its supporters sent of it that is not on the
// other was of no use.
func (r *run) lose(p *place, to *contender, why string) error {
	c := p.c
	if c.g != nil {
		from, err := r.leaves(c)
		if to != nil {
			from, err = r.parts(c, to)
		}
		if err != nil {
			return err
		}
		now := r.s.o.Now()
		for who, n := range senders(c.g, from, c.num) {
			r.s.o.Accounts.Worthless(who, n, now)
		}
	}
	p.resolve(Lighter, "%s", why)
	if c.trimmed {
		p.resolve(Invalid, "%v", p.finding)
	}
	return r.drop(p)
}

// senders counts who sent the trailers of a staging from one block to another.
func senders(g *chain.Staging, from, to mcm.BlockNum) map[netip.Addr]int {
	count := map[netip.Addr]int{}
	for n := from; n <= to; n++ {
		if who := g.Sender(n); who.IsValid() {
			count[who]++
		}
	}
	return count
}

// stagingOf returns the staging of a place, nil if it has none.
func (r *run) stagingOf(p *place) *chain.Staging {
	if p.d == nil {
		return nil
	}
	return p.d.staging
}

// release lets go of a place's download, whose staging is left as it is for the next
// time.
func (r *run) release(p *place) {
	r.mu.Lock()
	d := p.d
	p.d = nil
	if p.c != nil {
		p.c.g = nil
	}
	r.mu.Unlock()
	if d != nil {
		d.close()
	}
}

// put leaves what was fetched of a place for the next time, if it is anything.
func (r *run) put(p *place) error {
	if g := r.stagingOf(p); g != nil {
		if low, _, ok := g.Bounds(); !ok || low >= p.head.Trailers[0].Num() {
			return r.drop(p)
		}
		p.left = g
	}
	r.release(p)
	return nil
}

// drop removes what was fetched of a place.
func (r *run) drop(p *place) error {
	g := r.stagingOf(p)
	if g == nil {
		g = p.left
	}
	r.release(p)
	p.left = nil
	if g == nil {
		return nil
	}
	defer r.s.sched.drop(g) // not before: another download could go on with it
	return g.Remove()
}

// seize takes a staging that no branch of this run has, and reports whether it was
// one.
func (s *scheduler) seize(g *chain.Staging) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held[g.Name()] {
		return false
	}
	s.held[g.Name()] = true
	return true
}

// makeRoom removes what is worth the least of what was fetched, and reports whether
// there was anything: what an earlier run has left that no branch here goes on with;
// what is left of branches that are resolved; what the worst branch would go on with;
// the worst of three contenders.  All of it can be fetched again.
func (r *run) makeRoom() (bool, error) {
	all, err := r.s.o.Chain.Stagings()
	if err != nil {
		return false, err
	}
	remove := func(g *chain.Staging) (bool, error) {
		r.s.o.Log.Info("sync: what was fetched of a branch makes room", "tip", g.Tip())
		defer r.s.sched.drop(g)
		return true, g.Remove()
	}
	wanted := map[mcm.Hash]bool{}
	for _, p := range r.places {
		if p.state == pending {
			for i := range p.head.Trailers {
				wanted[*p.head.Trailers[i].Hash()] = true
			}
		}
	}
	for _, g := range all {
		if !wanted[g.Tip()] && r.s.sched.seize(g) {
			return remove(g)
		}
	}
	for _, p := range slices.Backward(r.places) {
		if g := p.left; g != nil {
			p.left = nil
			return remove(g)
		}
	}
	if len(all) > 0 && !r.busy() {
		for _, g := range all {
			if r.s.sched.seize(g) {
				return remove(g)
			}
		}
	}
	held := 0
	var worst *place
	top := best(r.contenders())
	for _, p := range r.places {
		if p.state != exact || p.c.g == nil {
			continue
		}
		held++
		if p.c != top && !r.proven(p.c) {
			worst = p // by rank
		}
	}
	if worst == nil || held < 3 && r.busy() {
		return false, nil
	}
	worst.state = shelved
	return true, r.drop(worst)
}
