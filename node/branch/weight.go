package branch

import (
	"net/netip"
	"slices"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
)

// A False is a peer's statement of a weight that its tip does not have.
type False struct {
	Peer   netip.Addr
	Num    mcm.BlockNum
	Tip    mcm.Hash
	Stated mcm.Weight
	Exact  mcm.Weight
	Anchor proof.Anchor // on which Exact rests
}

// A Disagreement is an anchor against which more groups state one and the same
// other weight than state the right one: it may be the anchor that is wrong.
type Disagreement struct {
	Anchor       proof.Anchor
	Groups       int        // whose peers state the weight that the anchor gives
	OthersGroups int        // whose peers are off by the same Difference
	Difference   mcm.Weight // stated minus exact, modulo 2^256
}

// A statement is a claim of a tip whose exact weight is known.
type statement struct {
	peer *supporter
	off  mcm.Weight // stated minus exact; zero when it is right
}

// FalseWeights returns the peers whose stated weight an anchor disproves, by
// address (docs/spec/sync.md section 8.5, S3).  For a tip whose number ends in ff
// its own 2^difficulty may be counted or not.  Nobody is at fault under an
// anchor that is in Disagreements.
//
// How far a statement is off is what makes statements of several tips one and the
// same: if the anchor's weight is wrong, all honest ones are off by as much.
func (s *Store) FalseWeights() (list []False) {
	all := s.statements()
	for i := range all {
		if s.disagreement(i, all[i]) != nil {
			continue
		}
		for _, st := range all[i] {
			if st.off != (mcm.Weight{}) {
				tip := st.peer.tip
				list = append(list, False{
					Peer: st.peer.addr, Num: tip.t.Num(), Tip: *tip.t.Hash(),
					Stated: st.peer.claim.Weight, Exact: tip.exact, Anchor: s.o.Anchors[i],
				})
			}
		}
	}
	slices.SortFunc(list, func(a, b False) int { return a.Peer.Compare(b.Peer) })
	return list
}

// Disagreements returns the anchors that more groups contradict with one voice than
// confirm.
func (s *Store) Disagreements() (list []Disagreement) {
	for i, all := range s.statements() {
		if d := s.disagreement(i, all); d != nil {
			list = append(list, *d)
		}
	}
	return list
}

// statements returns what is stated of tips with an exact weight, by anchor and
// peer.
func (s *Store) statements() [][]statement {
	s.look()
	all := make([][]statement, len(s.o.Anchors))
	for _, p := range s.view.supporters {
		tip := p.tip
		if tip.anchor < 0 {
			continue
		}
		off, _ := p.claim.Weight.Sub(tip.exact)
		if !rules.AddsWeight(&tip.t) && off == (mcm.Weight{}).AddDifficulty(tip.t.WorkDifficulty()) {
			off = mcm.Weight{}
		}
		all[tip.anchor] = append(all[tip.anchor], statement{p, off})
	}
	return all
}

// disagreement returns the one about the i-th anchor, nil if there is none.
func (s *Store) disagreement(i int, all []statement) *Disagreement {
	groups := make(map[mcm.Weight]map[netip.Prefix]bool)
	for _, st := range all {
		if groups[st.off] == nil {
			groups[st.off] = make(map[netip.Prefix]bool)
		}
		groups[st.off][st.peer.group] = true
	}
	d := Disagreement{Anchor: s.o.Anchors[i], Groups: len(groups[mcm.Weight{}])}
	for off, by := range groups {
		if off == (mcm.Weight{}) {
			continue
		}
		if n := len(by); n > d.OthersGroups || n == d.OthersGroups && off.Cmp(d.Difference) > 0 {
			d.OthersGroups, d.Difference = n, off
		}
	}
	if d.OthersGroups <= d.Groups {
		return nil
	}
	return &d
}
