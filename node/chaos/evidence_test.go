package chaos

import (
	"slices"
	"testing"

	"kigo/node/fault"
	"kigo/node/memory"
	"kigo/node/rules"
	"kigo/node/wire"
)

// Whatever a peer is convicted of leaves evidence that convicts it again, offline,
// after a restart, from the stored bytes alone.
func TestEvidence(t *testing.T) {
	as := crowd(plain, plain, plain)
	for _, k := range Kinds() {
		as = append(as, Assignment{address(len(as)), k.Name})
	}
	n := newNode(t, as)
	r := n.scan(t)
	db, err := memory.Open(n.path, memory.Identity{Network: wire.Network, Rules: rules.Version}, memory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	records := 0
	for _, a := range as {
		p := find(r, a.Addr)
		objective := slices.ContainsFunc(p.Faults, func(k fault.Kind) bool { return k.Class() == fault.Objective })
		if objective != (len(p.Evidence) > 0) {
			t.Errorf("%s: faults %v, %d records of evidence", a.Kind, p.Faults, len(p.Evidence))
		}
		for _, id := range p.Evidence {
			rec, err := db.EvidenceByID(id)
			if err != nil {
				t.Errorf("%s: %v", a.Kind, err)
				continue
			}
			out, err := rec.Verify(t.Context(), engine())
			if err != nil || !out.Confirmed {
				t.Errorf("%s: the evidence of %s confirms nothing (%v): %+v", a.Kind, rec.Kind, err, out)
			}
			if rec.Peer != a.Addr {
				t.Errorf("%s: evidence against %v, not %v", a.Kind, rec.Peer, a.Addr)
			}
			records++
		}
	}
	if records < 20 {
		t.Errorf("%d records of evidence, want one of each kind that is convicted", records)
	}
}
