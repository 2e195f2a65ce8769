package chainsync

import (
	"slices"
	"testing"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/proof/prooftest"
	"kigo/node/wire"
)

// line returns a chain of n blocks from 0xa0700 on.
func line(seed uint64, n int) (*prooftest.Miner, []mcm.Trailer) {
	m := prooftest.NewMiner(seed)
	return m, m.Grow([]mcm.Trailer{m.First(mcm.V30Trigger, 2, 1_700_000_000)}, n-1, 2)
}

// answer returns a reply with these trailers for a range of ts, by a peer that states
// the tip of tip.
func answer(ts []mcm.Trailer, first mcm.BlockNum, count int, tip *mcm.Trailer) *reply {
	return &reply{
		claim:    wire.State{Num: tip.Num(), Hash: *tip.Hash()},
		onBranch: true, steady: true, first: first, count: count, trailers: ts,
	}
}

// TestFit: what a range shows once the trailer behind it is known, and what of it is
// the sender's alone.
func TestFit(t *testing.T) {
	m, ts := line(1, 300)
	_, alien := line(2, 300)
	first := ts[100].Num()
	part := func() []mcm.Trailer { return slices.Clone(ts[100:150]) }
	for _, test := range []struct {
		name   string
		make   func() (got []mcm.Trailer, next mcm.Trailer)
		tip    *mcm.Trailer
		change func(*reply)
		how    fit
		kind   fault.Kind // of the finding
		link   fault.Kind
		bad    int // index in ts of the invalid trailer; 0: none
	}{
		{name: "right", make: func() ([]mcm.Trailer, mcm.Trailer) { return part(), ts[150] }, how: fits},
		{
			name: "other chain", make: func() ([]mcm.Trailer, mcm.Trailer) { return alien[100:150], ts[150] },
			how: foreign, kind: fault.ForeignRange, link: fault.ForeignRange,
		},
		{
			name: "other chain near the tip", make: func() ([]mcm.Trailer, mcm.Trailer) { return alien[100:150], ts[150] },
			tip: &ts[203], how: foreign, kind: fault.BrokenLink, link: fault.BrokenLink,
		},
		{
			name: "one block deeper", make: func() ([]mcm.Trailer, mcm.Trailer) { return alien[100:150], ts[150] },
			tip: &ts[204], how: foreign, kind: fault.ForeignRange, link: fault.ForeignRange,
		},
		{
			name: "other chain, state changed meanwhile", make: func() ([]mcm.Trailer, mcm.Trailer) { return alien[100:150], ts[150] },
			change: func(r *reply) { r.steady = false }, how: foreign, kind: fault.ForeignRange, link: fault.BrokenLink,
		},
		{
			name: "other chain, no tip of the branch stated", make: func() ([]mcm.Trailer, mcm.Trailer) { return alien[100:150], ts[150] },
			change: func(r *reply) { r.onBranch = false }, how: foreign, kind: fault.ForeignRange,
		},
		{
			name: "seam", make: func() ([]mcm.Trailer, mcm.Trailer) {
				return append(slices.Clone(alien[100:120]), ts[120:150]...), ts[150]
			},
			how: foreign, kind: fault.ForeignRange, link: fault.ForeignRange,
		},
		{
			name: "hash", make: func() ([]mcm.Trailer, mcm.Trailer) {
				p := part()
				p[20].MerkleRoot()[0] ^= 1
				return p, ts[150]
			},
			how: alone, kind: fault.InvalidTrailer,
		},
		{
			name: "rule, not of the branch", make: func() ([]mcm.Trailer, mcm.Trailer) {
				p := part()
				p[20].SetDifficulty(p[20].Difficulty() + 1)
				m.Seal(&p[20])
				return p, ts[150]
			},
			how: alone, kind: fault.InvalidTrailer,
		},
		{
			name: "rule, of the branch", make: func() ([]mcm.Trailer, mcm.Trailer) {
				p := append(part(), ts[150])
				p[20].SetStartTime(p[20].StartTime() + 1)
				m.Seal(&p[20])
				for i := 21; i < len(p); i++ {
					*p[i].PrevHash() = *p[i-1].Hash()
					m.Seal(&p[i])
				}
				return p[:50], p[50]
			},
			how: invalid, kind: fault.InvalidTrailer, bad: 120,
		},
		{
			name: "rule of the trailer behind it", make: func() ([]mcm.Trailer, mcm.Trailer) {
				next := ts[150]
				next.SetStartTime(next.StartTime() + 1)
				m.Seal(&next)
				return part(), next
			},
			how: invalid, kind: fault.InvalidTrailer, bad: 150,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, next := test.make()
			tip := &ts[299]
			if test.tip != nil {
				tip = test.tip
			}
			r := answer(got, first, 50, tip)
			if test.change != nil {
				test.change(r)
			}
			r.judge(proof.NewKnownSet(nil, nil))
			how, f, _, bad := r.fit(&next)
			if how != test.how {
				t.Fatalf("fit is %d, want %d: %v", how, test.how, f)
			}
			if f == nil {
				if test.kind != "" {
					t.Errorf("no finding, want %s", test.kind)
				}
				return
			}
			if f.Kind != test.kind {
				t.Errorf("found %v, want %s", f, test.kind)
			}
			if how == foreign && r.link(f) != test.link {
				t.Errorf("charged as %q, want %q", r.link(f), test.link)
			}
			if how == invalid && bad.Num() != ts[test.bad].Num() {
				t.Errorf("invalid is block %v, want %v", bad.Num(), ts[test.bad].Num())
			}
		})
	}
}

// TestKnownInvalid: what is known to be invalid is refused without another look.
func TestKnownInvalid(t *testing.T) {
	_, ts := line(3, 200)
	known := proof.NewKnownSet(nil, nil)
	known.Learn(&ts[120], proof.Key(&ts[119], &ts[120]), &proof.Finding{Kind: fault.InvalidTrailer, Num: ts[120].Num(), Detail: "before"})
	r := answer(ts[100:150], ts[100].Num(), 50, &ts[199])
	r.judge(known)
	how, f, _, bad := r.fit(&ts[150])
	if how != invalid || f.Detail != "before" || bad == nil || *bad != ts[120] {
		t.Errorf("fit is %d: %v", how, f)
	}
}

// FuzzRange: whatever a peer answers, only the branch's own trailers fit; a branch that
// is valid is never found invalid by it; and nobody who states no tip of the branch is
// charged for a link.
func FuzzRange(f *testing.F) {
	_, ts := line(4, 120)
	_, alien := line(5, 120)
	f.Add([]byte{}, uint8(0), uint8(50), true)
	f.Add([]byte{0, 10, 32, 1}, uint8(0), uint8(50), true)
	f.Add([]byte{0, 0, 130, 7, 0, 49, 3, 3}, uint8(0), uint8(50), false)
	f.Add([]byte{1, 20, 0, 0}, uint8(5), uint8(45), true)
	f.Add([]byte{2, 0, 0, 0}, uint8(0), uint8(51), true)
	f.Fuzz(func(t *testing.T, edits []byte, from, to uint8, onBranch bool) {
		const first, count = 40, 50
		got := slices.Clone(ts[first : first+count])
		for ; len(edits) >= 4; edits = edits[4:] {
			i := int(edits[1]) % count
			switch edits[0] % 4 {
			case 0:
				got[i][int(edits[2])%mcm.TrailerLen] ^= edits[3]
			case 1:
				got[i] = alien[first+i]
			case 2:
				got[i] = ts[edits[2]%120]
			case 3:
				copy(got[i:], alien[first+i:first+count])
			}
		}
		lo, hi := min(int(from), count), min(int(to), count)
		got = got[min(lo, hi):max(lo, hi)]
		r := answer(got, ts[first].Num(), count, &ts[119])
		r.onBranch = onBranch
		r.judge(proof.NewKnownSet(nil, nil))
		if len(got) != count && r.finding == nil {
			t.Fatalf("%d trailers pass for %d", len(got), count)
		}
		how, finding, _, bad := r.fit(&ts[first+count])
		switch {
		case how == fits && !slices.Equal(got, ts[first:first+count]):
			t.Error("other trailers fit")
		case how != fits && slices.Equal(got, ts[first:first+count]):
			t.Errorf("the right trailers don't fit: %v", finding)
		case how == invalid:
			t.Errorf("block %v of a valid branch is found invalid: %v", bad.Num(), finding)
		case how == foreign && !onBranch && r.link(finding) != "":
			t.Errorf("charged as %s", r.link(finding))
		}
	})
}
