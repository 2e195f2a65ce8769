package chainsync

import (
	"crypto/sha256"
	"errors"
	"fmt"

	"kigo/node/chain"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/wire"
)

// A basis is what an exact weight rests on.
type basis int

const (
	onNothing basis = iota // history that nobody vouches for
	onBase
	onPin
	onFloor
	onOwn // the own chain, which was proven before
)

// String returns the basis as alarms name it.
func (b basis) String() string {
	return [...]string{"nothing", "the base", "the pin", "the floor", "the own chain"}[b]
}

// refresh looks at the own chain as it is now.  One that lacks a fixed block counts
// as none (docs/spec/sync.md section 8.3).
func (r *run) refresh() error {
	o := &r.s.o
	was := r.own
	r.own = nil
	tip, ok := o.Chain.Tip()
	if !ok || r.missing(func(n mcm.BlockNum, h mcm.Hash) bool { return o.Chain.Has(n, h) }) != "" {
		return nil
	}
	ts, err := o.Chain.Trailers(tip.Num, 1)
	if err != nil {
		return err
	}
	if len(ts) != 1 || *ts[0].Hash() != tip.Hash {
		r.own = was // it has just changed; the last look counts
		return nil
	}
	c := &contender{own: true, weight: tip.Weight, work: tip.Work}
	c.setTip(&ts[0])
	if was != nil && was.tip == c.tip {
		c.support = was.support
	} else {
		c.support = r.supportOf(c, nil)
	}
	r.own = c
	for _, p := range r.places {
		if p.state == exact {
			p.c.extends = r.has(p.c, c.num, c.tip)
		}
	}
	return nil
}

// supportOf returns who is on a contender's chain: those of its branch, and everybody
// else whose tip is on it.
func (r *run) supportOf(c *contender, b *Branch) support {
	s := newSupport()
	if b != nil {
		s.join(b)
	}
	for _, p := range r.places {
		for i := range p.head.Supporters {
			by := &p.head.Supporters[i]
			if s.addrs[by.Addr] {
				continue
			}
			if c.own || by.Claim.Num < c.fork {
				if p.onOwn[i] {
					s.add(by)
				}
			} else if r.has(c, by.Claim.Num, by.Claim.Hash) {
				s.add(by)
			}
		}
	}
	return s
}

// missing names the fixed block that a chain lacks, of which has says what is on it;
// "" for none.
func (r *run) missing(has func(n mcm.BlockNum, h mcm.Hash) bool) string {
	o := &r.s.o
	if o.Floor != nil && !has(o.Floor.Num, o.Floor.Hash) {
		return fmt.Sprintf("it lacks the floor, block %v", o.Floor.Num)
	}
	if o.Pin != nil && !has(o.Pin.Height, o.Pin.Hash) {
		return fmt.Sprintf("it lacks the pin, block %v", o.Pin.Height)
	}
	return ""
}

// lacks says which fixed block a place's branch can't have, by what is known of it,
// "" if it may have all.
func (r *run) lacks(p *place) string {
	ts := p.head.Trailers
	return r.missing(func(n mcm.BlockNum, h mcm.Hash) bool {
		first, last := ts[0].Num(), ts[len(ts)-1].Num()
		switch {
		case n > last:
			return false
		case n >= first:
			return *ts[n-first].Hash() == h
		case n+1 == first:
			return *ts[0].PrevHash() == h
		}
		return true // S2 will tell
	})
}

// nearby returns the contender of a place whose known trailers hang on the own chain,
// nil for one that has to be fetched first.
func (r *run) nearby(p *place) (*contender, error) {
	o := &r.s.o
	ts := p.head.Trailers
	i := len(ts) - 1 // the tip is not on the own chain
	for i > 0 && !o.Chain.Has(ts[i-1].Num(), *ts[i-1].Hash()) {
		i--
	}
	if ts[i].Num() == 0 {
		return nil, nil
	}
	below, ok := o.Chain.At(ts[i].Num() - 1)
	if !ok || below.Hash != *ts[i].PrevHash() {
		return nil, nil
	}
	c, err := r.above(p, below, ts[i:], nil)
	return r.anchored(p, c, err)
}

// above returns the contender of trailers right above a block of the own chain, of
// which they are the branch's: in memory, or in a staging with ts its first one.  It is
// nil if they can't be, which resolves the place.
func (r *run) above(p *place, below chain.Tip, ts []mcm.Trailer, g *chain.Staging) (*contender, error) {
	parent, err := r.s.o.Chain.Trailers(below.Num, 1)
	if err != nil {
		return nil, err
	}
	if len(parent) != 1 || *parent[0].Hash() != below.Hash {
		p.resolve(Unresolved, "the own chain has changed")
		return nil, r.put(p)
	}
	// No single reply need have shown the two together, so nobody has looked yet.
	if f := proof.Against(&parent[0], &ts[0]); f != nil {
		return nil, r.fell(p, newInvalid(&parent[0], &ts[0], f), true)
	}
	c := &contender{fork: ts[0].Num(), ts: ts, g: g, rests: onOwn}
	if g == nil {
		c.setTip(&ts[len(ts)-1])
		c.weight, c.work = sums(ts)
	} else {
		c.ts = nil
		if err := c.load(); err != nil {
			return nil, err
		}
	}
	c.weight, _ = c.weight.Add(below.Weight)
	c.work, _ = c.work.Add(below.Work)
	if r.own == nil {
		c.rests = r.foot() // an own chain that counts as none vouches for nothing
	}
	return c, nil
}

// load takes tip and sums from the staging.
func (c *contender) load() error {
	_, high, _ := c.g.Bounds()
	ts, err := c.g.Trailers(high, 1)
	if err != nil {
		return err
	}
	if len(ts) != 1 {
		return fmt.Errorf("chainsync: staging %s has no block %v", c.g.Name(), high)
	}
	c.setTip(&ts[0])
	c.weight, c.work = c.g.Weight()
	return nil
}

// foot is what a chain down to the base rests on.
func (r *run) foot() basis {
	switch o := &r.s.o; {
	case o.Floor != nil:
		return onFloor
	case o.Pin != nil:
		return onPin
	case o.Base.Num >= mcm.V30Trigger:
		return onBase
	}
	return onNothing
}

// staged returns the contender of a place that was followed to a known block, nil if
// the place is resolved.
func (r *run) staged(p *place) (*contender, error) {
	o := &r.s.o
	g := p.d.staging
	if g == nil {
		p.resolve(Lighter, "it is part of the own chain")
		r.release(p)
		return nil, nil
	}
	low, _, ok := g.Bounds()
	if !ok {
		return nil, errors.New("chainsync: a download has met and left nothing")
	}
	first := g.Low()
	if low > 0 {
		if below, ok := o.Chain.At(low - 1); ok && below.Hash == *first.PrevHash() {
			c, err := r.above(p, below, []mcm.Trailer{first}, g)
			return r.anchored(p, c, err)
		}
	}
	if low != o.Base.Num || *first.Hash() != r.baseHash() {
		p.resolve(Unresolved, "the own chain has changed below block %v", low)
		return nil, r.put(p)
	}
	c := &contender{fork: low, g: g, rests: r.foot()}
	if err := c.load(); err != nil {
		return nil, err
	}
	return r.anchored(p, c, nil)
}

// anchored holds a contender against the fixed blocks, and says which old history it
// has.
func (r *run) anchored(p *place, c *contender, err error) (*contender, error) {
	if c == nil || err != nil {
		return nil, err
	}
	if name := r.missing(func(n mcm.BlockNum, h mcm.Hash) bool { return r.has(c, n, h) }); name != "" {
		r.refuse(p, name)
		return nil, r.drop(p)
	}
	if r.own == nil {
		if err := r.weigh(c); err != nil {
			return nil, err
		}
	}
	if c.fork < mcm.V30Trigger && !r.s.o.pinned() {
		if c.old, err = c.history(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// has reports whether a block is on the contender's chain.
func (r *run) has(c *contender, n mcm.BlockNum, h mcm.Hash) bool {
	switch {
	case n > c.num:
		return false
	case n < c.fork || c.own:
		return r.s.o.Chain.Has(n, h)
	}
	ts, err := c.read(n, 1)
	return err == nil && len(ts) == 1 && *ts[0].Hash() == h
}

// weigh holds the weight of a chain down to the base against that of the fixed block
// it rests on.  If they differ the settings are wrong, and no peer is.
func (r *run) weigh(c *contender) error {
	o := &r.s.o
	var num mcm.BlockNum
	var want mcm.Weight
	switch c.rests {
	case onFloor:
		num, want = o.Floor.Num, o.Floor.Weight
	case onPin:
		num, want = o.Pin.Height, o.Pin.Weight
	default:
		return nil
	}
	got := c.weight
	for at := num + 1; at <= c.num && at >= c.fork; {
		ts, err := c.read(at, wire.MaxTF)
		if err != nil {
			return err
		}
		if len(ts) == 0 {
			break
		}
		above, _ := sums(ts)
		got, _ = got.Sub(above)
		at += mcm.BlockNum(len(ts))
	}
	if got != want {
		kind := FloorAlarm
		if c.rests == onPin {
			kind = PinAlarm
		}
		r.alarm(kind, "block %v weighs %v by its chain, and %s says %v: the settings contradict themselves", num, got, c.rests, want)
		c.rests = onNothing
	}
	return nil
}

// read returns trailers of the contender from its fork on, fewer where it ends.
func (c *contender) read(first mcm.BlockNum, count int) ([]mcm.Trailer, error) {
	if c.g != nil {
		return c.g.Trailers(first, min(count, int(c.num-first)+1))
	}
	if len(c.ts) == 0 || first < c.ts[0].Num() || first > c.num {
		return nil, nil
	}
	ts := c.ts[first-c.ts[0].Num():]
	return ts[:min(count, len(ts))], nil
}

// history names what the contender has below version 3: the digest of it.
func (c *contender) history() (mcm.Hash, error) {
	sum := sha256.New()
	for at := c.fork; at < mcm.V30Trigger && at <= c.num; {
		ts, err := c.read(at, min(wire.MaxTF, int(mcm.V30Trigger-at)))
		if err != nil {
			return mcm.Hash{}, err
		}
		if len(ts) == 0 {
			return mcm.Hash{}, fmt.Errorf("chainsync: a chain ends below block %v", at)
		}
		sum.Write(mcm.Bytes(ts))
		at += mcm.BlockNum(len(ts))
	}
	return mcm.Hash(sum.Sum(nil)), nil
}

// baseHash returns the hash of the lowest block.
func (r *run) baseHash() mcm.Hash {
	if base := &r.s.o.Base; base.Num > 0 || !base.Hash.IsZero() {
		return base.Hash
	}
	return mcm.GenesisHash
}

// met enters the contender of a place: from now on it is one to choose from.
func (r *run) met(p *place, c *contender) error {
	b := p.best
	if c.trimmed {
		b = nil
	}
	c.support = r.supportOf(c, b)
	c.extends = r.own != nil && r.has(c, r.own.num, r.own.tip)
	r.mu.Lock()
	p.state, p.c = exact, c
	r.mu.Unlock()
	r.s.o.Log.Info("sync: weight of a branch is known", "bnum", c.num, "bhash", c.tip, "weight", c.weight, "fork", c.fork, "groups", len(c.support.groups))
	r.s.o.Hook(stepExact)
	return r.sift()
}

// refuse resolves a place whose branch lacks a block that every chain must have.  That
// is an alarm only when it has a quorum: a single peer could raise it at will.
func (r *run) refuse(p *place, why string) {
	p.resolve(Refused, "%s", why)
	o := &r.s.o
	if p.groups < o.Quorum.Groups || len(p.head.Supporters) < o.Quorum.Peers {
		return
	}
	kind := FloorAlarm
	if o.Floor == nil {
		kind = PinAlarm
	}
	r.alarm(kind, "%d groups support a branch that is refused, tip block %v: %s", p.groups, p.tip().Num(), why)
}
