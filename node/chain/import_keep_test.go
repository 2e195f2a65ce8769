package chain

import (
	"bytes"
	"testing"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/proof/prooftest"
	"kigo/node/synth"
	"kigo/node/tfile"
)

// TestImportKeeps has files that weigh more than the own chain and don't replace it: by
// less work where the two part before version 3, and without the floor.
func TestImportKeeps(t *testing.T) {
	own := mined(t, 1500, 1)
	var b bytes.Buffer
	_, err := synth.Generate(t.Context(), &b, synth.Config{Blocks: 2500, Worked: 0.3, Seed: 2, StartTime: 1_530_000_000})
	must(t, err)
	lazy, other := mcm.Trailers(b.Bytes()), mined(t, 2500, 3)
	if !(tipOf(lazy).Weight.Cmp(tipOf(own).Weight) > 0 && tipOf(lazy).Work.Cmp(tipOf(own).Work) < 0) {
		t.Fatalf("weights %v and %v, work %v and %v", tipOf(lazy).Weight, tipOf(own).Weight, tipOf(lazy).Work, tipOf(own).Work)
	}
	at := func(ts []mcm.Trailer, n int) *proof.Anchor {
		return &proof.Anchor{Num: ts[n].Num(), Hash: *ts[n].Hash()}
	}
	for _, c := range []struct {
		name  string
		file  []mcm.Trailer
		floor *proof.Anchor
		want  []mcm.Trailer
	}{
		{"less work", lazy, nil, own},
		{"more work", other, nil, other},
		{"without the floor", other, at(own, 1000), own},
		{"with a floor that the own chain lacks", other, at(other, 2000), other},
		{"a floor that nobody has", other, at(lazy, 1000), other},
		{"with the floor below", mined(t, 2500, 1), at(own, 1000), mined(t, 2500, 1)},
	} {
		s := mustOpen(t, t.TempDir(), Options{Floor: c.floor})
		must(t, s.Extend(own))
		if _, err := s.Import(t.Context(), trailerFile(t, mcm.Bytes(c.file)), tfile.Options{Verifier: &prooftest.StandIn{}, Now: importNow}); err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		t.Log(c.name)
		holds(t, s, c.want)
	}
}
