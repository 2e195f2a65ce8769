package chainsync

import (
	"cmp"
	"context"
	"errors"
	"net/netip"
	"slices"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/rules"
	"kigo/node/scan"
)

// few is how many groups make a matter one of the network, not of single peers
// (docs/spec/sync.md sections 8.8 and 8.10).
const few = 3

// finish ends what is under way and settles accounts.  It leaves no download and no
// contender behind.
func (r *run) finish() error {
	if r.cancel != nil {
		r.cancel()
	}
	r.wg.Wait()
	errs := []error{r.drain(), r.close()}
	r.judge()
	r.weights()
	r.behind()
	out := r.out
	out.Quorum = r.quorum()
	out.Bytes, out.Trailers, out.Checked = r.s.counts()
	r.s.mu.Lock()
	out.Faults = r.s.faults
	r.s.mu.Unlock()
	for _, p := range r.places {
		for _, b := range p.branches {
			out.Resolved = append(out.Resolved, p.row(b))
			if p.end == Unresolved && !p.early {
				out.Behind = append(out.Behind, *b)
			}
		}
	}
	slices.SortStableFunc(out.Resolved, func(a, b Resolved) int { return cmp.Compare(a.Rank, b.Rank) })
	r.s.o.Metrics.ran(out, r.s.o.Now().Sub(r.began))
	for _, a := range out.Alarms {
		r.s.o.Log.Warn("sync alarm", "kind", a.Kind, "detail", a.Detail)
	}
	r.s.o.Log.Info("sync done", "switched", out.Switched, "branches", len(r.given), "behind", len(out.Behind),
		"bytes", out.Bytes, "trailers", out.Trailers, "checked", out.Checked)
	return errors.Join(errs...)
}

// drain takes over what ended while something else was done.
func (r *run) drain() (err error) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for {
		select {
		case res := <-r.results:
			err = errors.Join(err, r.settle(ended, res))
		default:
			return err
		}
	}
}

// close resolves all places.  Stagings of those that are unresolved stay.
func (r *run) close() (err error) {
	err = r.refresh()
	for _, p := range r.places {
		switch p.state {
		case running:
			r.s.o.Metrics.places.Dec()
			p.resolve(Unresolved, "another branch was chosen first")
			err = errors.Join(err, r.put(p))
		case pending:
			p.resolve(Unresolved, "not tried yet")
			if p.waits {
				p.resolve(Aside, "nobody served it lately")
			}
			err = errors.Join(err, r.put(p))
		case exact, shelved:
			if r.beatsOwn(p.c) { // the run was ended before its time
				p.resolve(Unresolved, "not chosen yet")
				err = errors.Join(err, r.put(p))
				continue
			}
			err = errors.Join(err, r.lose(p, nil, "the own chain goes before it"))
		}
	}
	return err
}

// row returns what came of one of the place's branches.
func (p *place) row(b *Branch) Resolved {
	row := Resolved{
		Tip: *b.Tip().Hash(), Height: b.Tip().Num(), Rank: b.Rank, Groups: b.Groups,
		End: p.end, Detail: p.detail, Finding: p.finding,
	}
	switch {
	case p.end == Chosen && p.c != nil && p.c.trimmed:
		row.End, row.Detail = Invalid, p.finding.Error()+"; what is below was chosen"
	case p.end == Chosen && b != p.best:
		row.End, row.Detail = Lighter, "a branch with the same beginning goes before it"
	}
	if c := p.c; c != nil && b == p.best && !c.trimmed {
		row.Exact, row.Fork, row.Weight, row.Work = true, c.fork, c.weight, c.work
	}
	return row
}

// quorum reports whether the own chain has the support that was asked for, of three
// groups at least where nothing vouches for old history.
func (r *run) quorum() bool {
	q := r.s.o.Quorum
	if r.s.o.Unpinned() {
		q.Groups = max(q.Groups, UnpinnedGroups)
	}
	return r.own != nil && len(r.own.support.addrs) >= q.Peers && len(r.own.support.groups) >= q.Groups
}

// judge charges those who served invalid trailers, unless so many fall by one that it
// is rather our own rules that are wrong: peers of three groups, and half of all
// (docs/spec/sync.md section 8.8).  Nobody is charged for that one then.
func (r *run) judge() {
	all := newSupport()
	for _, p := range r.places {
		all.join(&p.head)
	}
	fallen := map[mcm.Hash]support{}
	for _, c := range r.convict {
		if fallen[c.e.ID].groups == nil {
			fallen[c.e.ID] = newSupport()
		}
		fallen[c.e.ID].join(&c.p.head)
	}
	doubt := map[mcm.Hash]bool{}
	now := r.s.o.Now()
	for _, c := range r.convict {
		id := c.e.ID
		by := fallen[id]
		inDoubt := len(by.groups) >= few && 2*len(by.addrs) >= len(all.addrs)
		if inDoubt && !doubt[id] {
			doubt[id] = true
			r.out.Doubt = append(r.out.Doubt, id)
			r.alarm(scan.RulesAlarm, "%d of %d peers, of %d groups, fall by one trailer, block %v by %s: %s; nobody is charged, our own rules may be wrong",
				len(by.addrs), len(all.addrs), len(by.groups), c.e.at, c.e.Finding.Rule, c.e.Finding.Detail)
		}
		if inDoubt {
			continue
		}
		for i := range c.e.faults {
			r.charge(&c.e.faults[i], now)
		}
	}
}

// charge enters a charge into the accounts.
func (r *run) charge(c *charge, now time.Time) {
	if c.Fault != nil {
		r.s.faulted(c.Fault)
	}
	if c.settle(r.s.o.Accounts, now) {
		r.s.o.Log.Info("peer banned", "peer", c.Peer, "kind", c.Fault.Kind)
	}
}

// join adds those who are on a branch.
func (s support) join(b *Branch) {
	for i := range b.Supporters {
		s.add(&b.Supporters[i])
	}
}

// A statement is a peer's claim of a tip whose exact weight is known.
type statement struct {
	by    *Supporter
	exact mcm.Weight
	off   mcm.Weight // stated minus exact; zero when it is right
}

// weights charges those who state a weight that their tip does not have, unless more
// groups are off by one and the same than are right, for then what our weights rest on
// may be wrong (docs/spec/sync.md section 8.5, S3).
func (r *run) weights() {
	stated := map[basis][]statement{}
	for _, p := range r.places {
		rests, weightOf := r.known(p)
		// An own chain without a pin has a past like others.
		if rests == onNothing || rests == onOwn && r.s.o.Unpinned() && r.s.o.Floor == nil {
			continue
		}
		for i := range p.head.Supporters {
			by := &p.head.Supporters[i]
			t, exact, ok := weightOf(by.Claim.Hash)
			if !ok || t.Num() != by.Claim.Num {
				continue
			}
			off, _ := by.Claim.Weight.Sub(exact)
			if !rules.AddsWeight(t) && off == (mcm.Weight{}).AddDifficulty(t.WorkDifficulty()) {
				off = mcm.Weight{}
			}
			stated[rests] = append(stated[rests], statement{by, exact, off})
		}
	}
	for rests, all := range stated {
		right, wrong := voices(all)
		if wrong > right {
			r.alarm(scan.WeightAlarm, "%d groups agree on weights that contradict %s, and %d confirm it; nobody is charged, it may be wrong", wrong, rests, right)
			continue
		}
		r.falsehoods(all)
	}
}

// voices counts the groups that state what is right, and those of the most that are off
// by the same.
func voices(all []statement) (right, wrong int) {
	groups := map[mcm.Weight]map[netip.Prefix]bool{}
	for _, s := range all {
		if groups[s.off] == nil {
			groups[s.off] = map[netip.Prefix]bool{}
		}
		groups[s.off][s.by.Group] = true
	}
	for off, by := range groups {
		if off == (mcm.Weight{}) {
			right = len(by)
		} else {
			wrong = max(wrong, len(by))
		}
	}
	return right, wrong
}

// statementLife is how long a weight found false is remembered (docs/spec/sync.md
// section 8.7).
const statementLife = memory.StatementTime

// falsehoods charges false statements, each once for a tip.
func (r *run) falsehoods(all []statement) {
	now := r.s.o.Now()
	for _, s := range all {
		if s.off == (mcm.Weight{}) {
			continue
		}
		st := memory.Statement{Weight: s.by.Claim.Weight, Tip: s.by.Claim.Hash, Expires: now.Add(statementLife)}
		if !r.s.o.Accounts.FalseStatement(s.by.Addr, st, now) {
			continue
		}
		f := &fault.Fault{Kind: fault.FalseWeight, Peer: s.by.Addr,
			Detail: "stated weight " + s.by.Claim.Weight.String() + ", the tip's is " + s.exact.String()}
		r.charge(&charge{Peer: s.by.Addr, Fault: f}, now)
	}
}

// known returns what weights of a place's trailers rest on, and a function that tells
// them.  It is onNothing when they aren't known, or are worth nothing.
func (r *run) known(p *place) (basis, func(h mcm.Hash) (*mcm.Trailer, mcm.Weight, bool)) {
	ts := p.head.Trailers
	var top mcm.Weight
	var rests basis
	chain := r.s.o.Chain
	switch {
	case p.c != nil && !p.c.trimmed && p.end != Invalid:
		top, rests = p.c.weight, p.c.rests
	case p.c == nil && p.end == Lighter || p.c == nil && p.end == Chosen: // on the own chain as it was
		at, ok := chain.At(p.tip().Num())
		if !ok || at.Hash != *p.tip().Hash() {
			return onNothing, nil
		}
		top, rests = at.Weight, onOwn
	default:
		return onNothing, nil
	}
	whole, _ := sums(ts)
	below, _ := top.Sub(whole)
	type entry struct {
		t *mcm.Trailer
		w mcm.Weight
	}
	at := map[mcm.Hash]entry{}
	enter := func(ts []mcm.Trailer, w mcm.Weight) {
		for i := range ts {
			w = rules.AddWeight(w, &ts[i])
			at[*ts[i].Hash()] = entry{&ts[i], w}
		}
	}
	enter(ts, below)
	// The others of the place leave the best one somewhere within what is known.
	for _, b := range p.branches {
		for i := range b.Trailers {
			if e, ok := at[*b.Trailers[i].PrevHash()]; ok && at[*b.Trailers[i].Hash()].t == nil && e.t.Num() >= mcm.V30Trigger {
				enter(b.Trailers[i:], e.w)
				break
			}
		}
	}
	return rests, func(h mcm.Hash) (*mcm.Trailer, mcm.Weight, bool) {
		e, ok := at[h]
		return e.t, e.w, ok
	}
}

// behind raises the alarm about branches that three groups support and nobody serves.
func (r *run) behind() {
	for _, p := range r.places {
		if (p.end == Unavailable || p.end == Aside) && p.groups >= few {
			r.alarm(BehindAlarm, "%d groups support a branch that we can't obtain, tip block %v: %s", p.groups, p.tip().Num(), p.detail)
		}
	}
}
