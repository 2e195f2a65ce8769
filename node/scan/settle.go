package scan

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"kigo/node/branch"
	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/proof"
	"kigo/node/wire"
)

// store returns a store of all segments that hold.
func (s *scan) store() *branch.Store {
	st := branch.New(branch.Options{Anchors: s.o.Anchors, Base: s.o.Proof.Base})
	// By address, so that what the store has no room for doesn't depend on who
	// was quick.
	byAddr := slices.Clone(s.contacts)
	slices.SortFunc(byAddr, func(a, b *contact) int { return a.entry.Addr.Compare(b.entry.Addr) })
	for _, c := range byAddr {
		if c.proven() {
			st.Add(c.proof, c.entry.Addr, c.entry.group)
		}
	}
	return st
}

// settle chooses, charges, remembers and reports.  failed is what ended the scan
// before its time, if anything did.
func (s *scan) settle(failed error) (*Report, error) {
	now := s.o.Now()
	for _, c := range s.contacts {
		c.pending = false // the scan has ended
		if failed != nil && c.proof != nil && c.refuse == nil && !c.proof.Done {
			c.detail = "not judged: " + failed.Error()
		}
	}
	st := s.store()
	s.seams(st)
	branches := st.Branches(now.Unix())
	choice := st.Choose(now.Unix(), s.o.Quorum)
	alarms := s.weights(st, now)
	doubt, disagreement := s.disagreement()
	alarms = append(alarms, disagreement...)
	alarms = append(alarms, s.clock(branches, now)...)

	s.name(branches)
	changes := s.charge(doubt, now)
	r := s.report(branches, choice, now)
	r.Alarms = list(alarms)
	log := s.o.Log
	if r.Chosen >= 0 {
		log = log.With("bnum", r.Branches[r.Chosen].Height)
	}
	log.Info("scan done", "state", r.State, "asked", r.Asked, "reached", r.Reached,
		"proven", s.passed, "branches", len(r.Branches), "elapsed", time.Since(s.began))
	for _, a := range alarms {
		s.o.Log.Warn("scan alarm", "kind", a.Kind, "detail", a.Detail)
	}
	s.progress(true)
	s.o.Metrics.scanned(r, s.o.Book.Counts(now))
	if s.o.Memory != nil {
		if err := s.o.Memory.Save(now, changes); err != nil && failed == nil {
			failed = &SaveError{err}
		}
	}
	return r, failed
}

// A SaveError says that a scan went well and only its memory could not keep what
// was found.  The report beside it is whole.
type SaveError struct{ Err error }

func (e *SaveError) Error() string { return "scan: " + e.Err.Error() }

// Unwrap returns the memory's error.
func (e *SaveError) Unwrap() error { return e.Err }

// name gives each contact the branch that its tip is on, the best one where it is
// on several.
func (s *scan) name(branches []*branch.Branch) {
	for i, b := range slices.Backward(branches) {
		at := stem{branch: b}
		for _, c := range s.contacts {
			if c.proven() && at.has(c) {
				c.branch, c.enough = i+1, !b.Thin
			}
		}
	}
}

// seams refuses the segments whose first trailer breaks a rule against a parent
// that another segment brought.  Nobody is charged: no single reply shows it, so
// there is no evidence to keep.
func (s *scan) seams(st *branch.Store) {
	for _, inv := range st.Invalid() {
		for _, c := range s.contacts {
			if _, found := slices.BinarySearchFunc(inv.Peers, c.entry.Addr, netip.Addr.Compare); !found || !c.proven() {
				continue
			}
			c.refuse = fromFinding(&inv.Finding, nil)
			c.doubt = true
			s.mark(c)
		}
	}
}

// maxSuspects is how many trailers, those by which most peers fall, can be the one
// that raises the alarm.
const maxSuspects = 4

// A fall is an invalid trailer and the peers that fall by it.
type fall struct {
	id    mcm.Hash
	seen  *observed
	peers []*contact
}

// disagreement finds the trailers by which so many peers fall that our own rules
// are to be suspected rather than they: peers of three groups, and half of all that
// passed or failed S1 (docs/spec/sync.md section 8.8).  These peers are refused and
// not charged.
//
// A peer falls by every invalid trailer that it has served, not by the first alone:
// under rules that are wrong all trailers are, and peers with other tips begin with
// other ones.
func (s *scan) disagreement() (doubt map[mcm.Hash]bool, alarms []Alarm) {
	byID := map[mcm.Hash]*fall{}
	var convicts []*contact
	judged := 0 // of those that passed or failed
	for _, c := range s.contacts {
		switch {
		case c.proven():
			judged++
		case c.refuse != nil && failsS1(c.refuse.kind):
			judged++
			if c.refuse.kind != fault.InvalidTrailer || c.refuse.trailer == nil {
				continue
			}
			convicts = append(convicts, c)
			id := proof.ID(c.refuse.trailer)
			if byID[id] == nil {
				byID[id] = &fall{id: id, seen: c.refuse}
			}
			byID[id].peers = append(byID[id].peers, c)
		}
	}
	s.invalid = len(byID)
	falls := slices.SortedFunc(maps.Values(byID), func(a, b *fall) int {
		return cmp.Or(cmp.Compare(len(b.peers), len(a.peers)), cmp.Compare(*b.seen.num, *a.seen.num), bytes.Compare(a.id[:], b.id[:]))
	})
	doubt = map[mcm.Hash]bool{}
	for _, f := range falls[:min(len(falls), maxSuspects)] {
		groups := map[netip.Prefix]bool{}
		f.peers = slices.DeleteFunc(slices.Clone(convicts), func(c *contact) bool { return !c.refuse.shows(f.seen.trailer) })
		for _, c := range f.peers {
			groups[c.entry.group] = true
		}
		isNew := slices.ContainsFunc(f.peers, func(c *contact) bool { return !c.doubt })
		if len(groups) < fewGroups || 2*len(f.peers) < judged || !isNew {
			continue
		}
		for _, c := range f.peers {
			c.doubt = true
			doubt[proof.ID(c.refuse.trailer)] = true
			s.mark(c)
		}
		alarms = append(alarms, Alarm{RulesAlarm, fmt.Sprintf(
			"%d of %d peers judged, of %d groups, fall by one trailer, block %v by %s: %s; nobody is charged, our own rules may be wrong",
			len(f.peers), judged, len(groups), f.seen.trailer.Num(), f.seen.rule, f.seen.detail)})
	}
	return doubt, alarms
}

// failsS1 reports whether the kind is a way to fail the tip proof.
func failsS1(k fault.Kind) bool {
	switch k {
	case fault.InvalidTrailer, fault.WrongNumbers, fault.TooLong, fault.BrokenLink, fault.ClaimMismatch, fault.NotMultiple:
		return true
	}
	return false
}

// Limits of the clock alarm (docs/spec/sync.md section 8.10).
const (
	clockLead = 5 * time.Second
	clockAge  = 10 * time.Minute
)

// clock says how wrong our clock seems to be.
func (s *scan) clock(branches []*branch.Branch, now time.Time) (alarms []Alarm) {
	var ahead []time.Duration
	groups := map[netip.Prefix]bool{}
	for _, c := range s.contacts {
		if c.ahead > clockLead {
			ahead = append(ahead, c.ahead)
			groups[c.entry.group] = true
		}
	}
	if len(groups) >= fewGroups {
		slices.Sort(ahead)
		alarms = append(alarms, Alarm{ClockAlarm, fmt.Sprintf(
			"tips of %d peers in %d groups are ahead of our clock, half of them by %v or more",
			len(ahead), len(groups), ahead[len(ahead)/2].Round(time.Second))})
	}
	newest := int64(0)
	for _, b := range branches {
		newest = max(newest, int64(b.Time))
	}
	if age := now.Sub(time.Unix(newest, 0)); len(branches) > 0 && age > clockAge {
		alarms = append(alarms, Alarm{ClockAlarm, fmt.Sprintf(
			"the newest tip of all branches is %v old by our clock", age.Round(time.Second))})
	}
	lag := time.Duration(0)
	for _, a := range s.o.Anchors {
		lag = max(lag, time.Unix(int64(a.Time), 0).Sub(now))
	}
	if lag > clockLead {
		alarms = append(alarms, Alarm{ClockAlarm, fmt.Sprintf(
			"our clock is %v behind a block that we hold for proven", lag.Round(time.Second))})
	}
	return alarms
}

// weights notes the weights found false, and raises the alarm where more groups
// agree on another weight than ours.
func (s *scan) weights(st *branch.Store, now time.Time) (alarms []Alarm) {
	for _, d := range st.Disagreements() {
		alarms = append(alarms, Alarm{WeightAlarm, fmt.Sprintf(
			"%d groups agree on a weight that contradicts our anchor, block %v, and %d confirm it; nobody is charged, the anchor may be wrong",
			d.OthersGroups, d.Anchor.Num, d.Groups)})
	}
	lies := st.FalseWeights()
	if len(lies) == 0 {
		return alarms
	}
	at := map[netip.Addr]*contact{}
	stored := map[mcm.Hash]*mcm.Trailer{}
	for _, c := range s.contacts {
		at[c.entry.Addr] = c
		if c.proven() {
			for i := range c.proof.Trailers {
				t := &c.proof.Trailers[i]
				stored[*t.Hash()] = t
			}
		}
	}
	for _, l := range lies {
		c := at[l.Peer]
		chain, ok := above(&l.Anchor, stored, l.Tip)
		if c == nil || !ok {
			continue
		}
		call := *c.asked // of which the HELLO_ACK is left, where the weight is stated
		call.op, call.first, call.count = wire.OpHello, 0, 0
		call.anchor, call.chain = &l.Anchor, chain
		num := l.Num
		c.lie = &observed{
			kind:   fault.FalseWeight,
			num:    &num,
			detail: fmt.Sprintf("stated weight %v, the tip's is %v", l.Stated, l.Exact),
			call:   &call,
			paid:   s.o.Book.contradicted(l.Peer, l.Stated, l.Tip, now),
		}
		if !c.lie.paid {
			c.statement = &memory.Statement{Weight: l.Stated, Tip: l.Tip, Expires: now.Add(statementLife)}
		}
		c.faults = append(c.faults, *c.lie)
		s.mark(c)
	}
	return alarms
}

// above returns the trailers that lead from an anchor to a tip.  It is false for a
// tip that lies below the anchor.
func above(a *proof.Anchor, stored map[mcm.Hash]*mcm.Trailer, tip mcm.Hash) (chain []mcm.Trailer, ok bool) {
	for at := tip; at != a.Hash; at = *chain[len(chain)-1].PrevHash() {
		t := stored[at]
		if t == nil || t.Num() <= a.Num || len(chain) == evidence.MaxChain {
			return nil, false
		}
		chain = append(chain, *t)
	}
	slices.Reverse(chain)
	return chain, true
}

// report makes the report, all but the alarms.
func (s *scan) report(branches []*branch.Branch, choice *branch.Choice, now time.Time) *Report {
	r := &Report{
		Started:  s.started.UTC(),
		Ended:    now.UTC(),
		Quorum:   s.o.Quorum,
		Chosen:   -1,
		Branches: []Branch{},
		Peers:    []Peer{},
		Trailers: Trailers{
			Received: s.received.total,
			Distinct: len(s.received.distinct),
			Checked:  s.judge.checked,
			Invalid:  s.invalid,
		},
		Reached:    s.reached,
		Seconds:    time.Since(s.began).Seconds(),
		PowSeconds: s.judge.took.Seconds(),
	}
	for i, b := range branches {
		row := Branch{Branch: *b, Index: i, Quorum: b.Meets(s.o.Quorum)}
		if choice != nil && choice.Branch.Tip == b.Tip && choice.Branch.Root == b.Root && !b.Thin {
			row.Chosen = true
			r.Chosen, r.Reason = i, choice.Reason
		}
		r.Branches = append(r.Branches, row)
	}
	valid := false
	for _, c := range s.contacts {
		p := c.row()
		valid = valid || c.proven() && c.enough && !branches[c.branch-1].Refused
		if c.calls > 0 {
			r.Asked++
		}
		r.Bytes.In += c.in
		r.Bytes.Out += c.out
		r.Peers = append(r.Peers, p)
	}
	slices.SortFunc(r.Peers, func(a, b Peer) int {
		return cmp.Or(cmp.Compare(uint(a.Branch), uint(b.Branch)), a.Addr.Compare(b.Addr))
	})
	switch {
	case r.Reached == 0:
		r.State = NobodyReached
	case !valid:
		r.State = NoneValid
	case choice == nil || !choice.Quorum:
		r.State = TooFew
	default:
		r.State = Quorum
	}
	return r
}
