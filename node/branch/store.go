package branch

import (
	"net/netip"
	"slices"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/wire"
)

// A Store holds the trailers of proven peers.  It is for one goroutine.
type Store struct {
	o       Options
	byID    map[mcm.Hash]*node
	byHash  map[mcm.Hash][]*node // by block hash; more than one only below version 3
	peers   map[netip.Addr]*supporter
	invalid []Invalid
	view    *view // nil when something has changed since it was made
}

// A node is a stored trailer.
type node struct {
	t  mcm.Trailer
	id mcm.Hash
	// checked is the parent against which the rules have been held.
	checked *node
	tips    []*supporter // peers whose tip it is
	place                // in the current view
}

// A supporter is what one peer has shown last.
type supporter struct {
	addr  netip.Addr
	group netip.Prefix
	claim wire.State
	tip   *node
	// In the current view.
	index, groupIndex int
}

// An Invalid is a trailer that came as the first of a segment and breaks a rule
// against its parent, which came with another.  It is no longer stored, nor is what
// follows it.
type Invalid struct {
	Trailer, Parent mcm.Trailer
	Finding         proof.Finding
	Peers           []netip.Addr // whose tips follow it, ascending
}

// New returns an empty Store.
func New(o Options) *Store {
	if o.Fresh == 0 {
		o.Fresh = defaultFresh
	}
	if o.MaxTrailers == 0 {
		o.MaxTrailers = defaultMaxTrailers
	}
	return &Store{
		o:      o,
		byID:   make(map[mcm.Hash]*node),
		byHash: make(map[mcm.Hash][]*node),
		peers:  make(map[netip.Addr]*supporter),
	}
}

// Add enters the trailers of a proof and the support of the peer that showed it, in
// place of what it has shown before.  A proof that is not Done, or has a Finding,
// is left alone.
func (s *Store) Add(p *proof.Proof, peer netip.Addr, group netip.Prefix) {
	if !p.Done || p.Finding != nil || len(p.Trailers) == 0 {
		return
	}
	var prev *node
	for i := range p.Trailers {
		n := s.node(&p.Trailers[i])
		if prev != nil && n.checked == nil {
			n.checked = prev // by proof.Structure
		}
		prev = n
	}
	s.withdraw(peer)
	support := &supporter{addr: peer, group: group, claim: p.Claim, tip: prev}
	s.peers[peer] = support
	prev.tips = append(prev.tips, support)
	s.view = nil
	if len(s.byID) > s.o.MaxTrailers {
		s.evict()
	}
}

// node returns the node of t, a new one if there is none.
func (s *Store) node(t *mcm.Trailer) *node {
	same := s.byHash[*t.Hash()]
	for _, n := range same {
		if n.t == *t {
			return n
		}
	}
	n := &node{t: *t, id: proof.ID(t)}
	s.byID[n.id] = n
	s.byHash[*t.Hash()] = append(same, n)
	return n
}

// withdraw takes back what peer has shown.
func (s *Store) withdraw(peer netip.Addr) {
	was := s.peers[peer]
	if was == nil {
		return
	}
	delete(s.peers, peer)
	for i, other := range was.tip.tips {
		if other == was {
			was.tip.tips = slices.Delete(was.tip.tips, i, i+1)
			break
		}
	}
	s.view = nil
}

// Remove drops the trailer with that id and all that follow it, with the support of
// the peers whose tips are among them.
func (s *Store) Remove(id mcm.Hash) {
	n := s.byID[id]
	if n == nil {
		return
	}
	s.look()
	s.drop(n)
}

// drop removes n and its descendants, which the view knows.
func (s *Store) drop(n *node) {
	for _, kid := range n.kids {
		s.drop(kid)
	}
	for len(n.tips) > 0 {
		s.withdraw(n.tips[0].addr)
	}
	s.forget(n)
}

// forget takes a node that nobody supports out of the maps.
func (s *Store) forget(n *node) {
	delete(s.byID, n.id)
	h := *n.t.Hash()
	if same := without(s.byHash[h], n); len(same) > 0 {
		s.byHash[h] = same
	} else {
		delete(s.byHash, h)
	}
	s.view = nil
}

// evict makes room: branches leave, the worst by rank first, until an eighth is
// free or one is left.  The clock isn't asked: no tip was early when it was added.
func (s *Store) evict() {
	branches := s.Branches(never)
	for i := len(branches) - 1; i > 0 && len(s.byID) > s.o.MaxTrailers/8*7; i-- {
		// All that leads to no other branch.
		n := branches[i].leaf
		for n.parent != nil && len(n.parent.kids) == 1 {
			n = n.parent
		}
		parent := n.parent
		s.drop(n)
		if parent != nil {
			parent.kids = without(parent.kids, n)
		}
	}
}

// without returns list, whose array it takes, without n.
func without(list []*node, n *node) []*node {
	return slices.DeleteFunc(list, func(other *node) bool { return other == n })
}

// Trailers returns how many trailers are stored.
func (s *Store) Trailers() int { return len(s.byID) }

// Invalid returns the trailers that were found invalid where segments met, since
// the last call.
func (s *Store) Invalid() []Invalid {
	s.look()
	found := s.invalid
	s.invalid = nil
	return found
}

// maxInvalid bounds what nobody asks for.
const maxInvalid = 1024

// refuse drops n, which is invalid for f as its parent's successor, and notes it.
func (s *Store) refuse(n, parent *node, f *proof.Finding) {
	inv := Invalid{Trailer: n.t, Parent: parent.t, Finding: *f}
	for _, p := range supporters(n, nil) {
		inv.Peers = append(inv.Peers, p.addr)
	}
	slices.SortFunc(inv.Peers, netip.Addr.Compare)
	if len(s.invalid) < maxInvalid {
		s.invalid = append(s.invalid, inv)
	}
	s.drop(n)
}

func supporters(n *node, all []*supporter) []*supporter {
	all = append(all, n.tips...)
	for _, kid := range n.kids {
		all = supporters(kid, all)
	}
	return all
}
