package memory

import (
	"reflect"
	"testing"
	"time"

	"kigo/node/mcm"
)

func TestRAM(t *testing.T) {
	var m RAM
	load := func() *Snapshot {
		t.Helper()
		s, err := m.Load(noon)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	save := func(at time.Time, c *Changes) {
		t.Helper()
		if err := m.Save(at, c); err != nil {
			t.Fatal(err)
		}
	}
	wantSnapshot(t, "empty", load(), &Snapshot{})
	c := full(t)
	save(noon, c)
	// In the order of Met; peers and groups stay with the book.
	wantSnapshot(t, "saved", load(), &Snapshot{Invalid: c.Invalid, Verified: c.Verified})
	load().Verified[0][0]++
	wantSnapshot(t, "after others changed theirs", load(), &Snapshot{Invalid: c.Invalid, Verified: c.Verified})

	save(noon.Add(time.Minute), &Changes{Met: []mcm.Hash{c.Invalid[0].ID, hash(999)}, Verified: []mcm.Hash{hash(7)}})
	again := c.Invalid[0]
	again.Met = noon.Add(time.Minute)
	wantSnapshot(t, "met again", load(), &Snapshot{
		Invalid: []Invalid{c.Invalid[1], c.Invalid[2], again}, Verified: []mcm.Hash{hash(4), hash(6), hash(5), hash(7)},
	})
	save(noon.Add(time.Minute), &Changes{Doubted: true, Verified: []mcm.Hash{hash(8)}})
	wantSnapshot(t, "doubted", load(), &Snapshot{Invalid: []Invalid{c.Invalid[1], c.Invalid[2], again}, Verified: []mcm.Hash{hash(8)}})
	if all, err := m.Evidence(); err != nil || !reflect.DeepEqual(all, c.Evidence) {
		t.Errorf("evidence: %v, %v", all, err)
	}
}

// TestRAMCapacities fills each table beyond its capacity.
func TestRAMCapacities(t *testing.T) {
	var m RAM
	var c Changes
	for i := range MaxInvalid + 10 {
		c.Invalid = append(c.Invalid, Invalid{ID: hash(i), Met: noon.Add(-time.Duration(i) * time.Second)})
	}
	for i := range MaxVerified + 10 {
		c.Verified = append(c.Verified, hash(i))
	}
	for i := range MaxEvidence + 10 {
		c.Evidence = append(c.Evidence, evidenceOf(t, i, noon, 200))
	}
	if err := m.Save(noon, &c); err != nil {
		t.Fatal(err)
	}
	s, err := m.Load(noon)
	if err != nil || len(s.Invalid) != MaxInvalid || s.Invalid[0].ID != hash(MaxInvalid-1) || s.Invalid[MaxInvalid-1].ID != hash(0) {
		t.Errorf("%d invalid trailers, the first %v: not those met last (%v)", len(s.Invalid), s.Invalid[0].ID, err)
	}
	if len(s.Verified) != MaxVerified || s.Verified[0] != hash(10) {
		t.Errorf("%d verified ids, the first %v: not the latest", len(s.Verified), s.Verified[0])
	}
	all, err := m.Evidence()
	if err != nil || len(all) != MaxEvidence || all[0] != c.Evidence[10] {
		t.Errorf("%d records: not the latest (%v)", len(all), err)
	}

	const large = 200<<10 + 100*mcm.TrailerLen
	for i := range 2 * MaxEvidenceBytes / large {
		r := evidenceOf(t, i, noon, 200<<10)
		r.Chain = make([]mcm.Trailer, 100)
		if err := m.Save(noon, &Changes{Evidence: append(c.Evidence[:0:0], r)}); err != nil {
			t.Fatal(err)
		}
		all, _ := m.Evidence()
		size := 0
		for _, r := range all {
			size += weigh(r)
		}
		if size > MaxEvidenceBytes || size != m.size || all[len(all)-1] != r {
			t.Fatalf("after %d large records: %d bytes in %d, counted as %d, want at most %d", i+1, size, len(all), m.size, MaxEvidenceBytes)
		}
	}
	if all, _ := m.Evidence(); len(all) < MaxEvidenceBytes/large*9/10 {
		t.Errorf("only %d large records are kept", len(all))
	}
}
