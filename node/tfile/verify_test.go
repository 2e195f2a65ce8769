package tfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/verify"
)

func TestGoodFile(t *testing.T) {
	ts := chain(5000, 3)
	var w, pw mcm.Weight
	for i := range ts {
		w = rules.AddWeight(w, &ts[i])
		if ts[i].Kind() == mcm.Standard {
			pw = rules.AddWeight(pw, &ts[i])
		}
	}
	work := worked(ts)
	want := Report{
		Trailers: 5000, Good: 5000, First: 0, Last: 4999, Tip: *ts[4999].Hash(), Weight: w, Proven: pw,
		Checked: work, Exempt: 5000 - work, PowChecked: true, Complete: true,
	}
	for _, batch := range []int{0, 1, 7, 999, 1000, 1001, 2500, 5000, 1 << 20} {
		f := &fake{}
		rep := mustVerify(t, bytesOf(ts), Options{Verifier: f, Now: clock, Batch: batch})
		rep.Elapsed = 0
		if !reflect.DeepEqual(*rep, want) {
			t.Errorf("batch %d: got %+v, want %+v", batch, *rep, want)
		}
		if !rep.Valid() {
			t.Errorf("batch %d: not valid", batch)
		}
		if f.total() != work {
			t.Errorf("batch %d: engine checked %d trailers, want %d", batch, f.total(), work)
		}
		if limit := max(batch, 1); batch != 0 && f.batch > limit {
			t.Errorf("batch %d: engine got %d trailers at once", batch, f.batch)
		}
	}

	want.Checked, want.Known, want.Skipped, want.PowChecked, want.Proven = 0, work, work, false, mcm.Weight{}
	rep := mustVerify(t, bytesOf(ts), Options{Now: clock})
	rep.Elapsed = 0
	if !reflect.DeepEqual(*rep, want) {
		t.Errorf("structure only: got %+v, want %+v", *rep, want)
	}
}

// A spoiling makes one trailer break one rule; what follows is linked to it anew
// so that nothing else is broken.
type spoiling struct {
	name string
	rule rules.Rule
	at   int
	do   func(t *mcm.Trailer)
}

// spoilings has every rule that a trailer of a chain before version 3 can break.
// Of the base chain's blocks 600 and 900 are pseudoblocks, 601 is worked, 768 is
// a neogenesis block.
var spoilings = []spoiling{
	{"genesis byte", rules.NonZeroGenesis, 0, func(t *mcm.Trailer) { t[100] = 1 }},
	{"genesis hash", rules.GenesisHash, 0, func(t *mcm.Trailer) { t.Hash()[0] ^= 1 }},
	{"link", rules.PrevHash, 601, func(t *mcm.Trailer) { t.PrevHash()[31] ^= 1 }},
	{"number", rules.Num, 601, func(t *mcm.Trailer) { t.SetNum(t.Num() + 1<<40) }},
	{"fee too low", rules.MinFee, 601, func(t *mcm.Trailer) { t.SetMinFee(499) }},
	{"fee of a pseudoblock", rules.MinFee, 600, func(t *mcm.Trailer) { t.SetMinFee(1) }},
	{"too many transactions", rules.TxCount, 601, func(t *mcm.Trailer) { t.SetTxCount(mcm.MaxTx + 1) }},
	{"neogenesis with transactions", rules.TxCount, 768, func(t *mcm.Trailer) { t.SetTxCount(1) }},
	{"nonce of a pseudoblock", rules.Nonce, 600, func(t *mcm.Trailer) { t.Nonce()[0] = 1 }},
	{"root of a pseudoblock", rules.MerkleRoot, 600, func(t *mcm.Trailer) { t.MerkleRoot()[0] = 1 }},
	{"solved when it began", rules.SolveTime, 601, func(t *mcm.Trailer) { t.SetSolveTime(t.StartTime()) }},
	{"pseudoblock too early", rules.SolveTime, 600, func(t *mcm.Trailer) { t.SetSolveTime(t.SolveTime() - 1) }},
	{"neogenesis start time", rules.StartTime, 768, func(t *mcm.Trailer) { t.SetStartTime(t.StartTime() + 1) }},
	{"difficulty", rules.Difficulty, 601, func(t *mcm.Trailer) { t.SetDifficulty(t.Difficulty() ^ 1<<20) }},
}

// spoil returns a chain with s in it.
func (s spoiling) spoil(n int) []mcm.Trailer {
	ts := chain(n, 3)
	s.do(&ts[s.at])
	if s.rule == rules.NonZeroGenesis || s.rule == rules.GenesisHash || s.rule == rules.Num {
		return ts // relinking would carry the fault on
	}
	relink(ts, s.at+1)
	return ts
}

func TestEveryStructureProblem(t *testing.T) {
	for _, s := range spoilings {
		ts := s.spoil(1500)
		for _, all := range []bool{false, true} {
			rep := mustVerify(t, bytesOf(ts), Options{Verifier: &fake{}, Now: clock, All: all})
			if rep.Valid() || len(rep.Problems) == 0 {
				t.Errorf("%s: found nothing", s.name)
				continue
			}
			p := rep.Problems[0]
			if p.Rule != s.rule || p.Index != int64(s.at) || p.Num != mcm.BlockNum(s.at) || p.Offset != int64(s.at)*160 || p.Detail == "" {
				t.Errorf("%s: got %+v", s.name, p)
			}
			if !errors.Is(p, s.rule) || !strings.Contains(p.Error(), string(s.rule)) {
				t.Errorf("%s: problem as an error: %v", s.name, p)
			}
			if !rep.Complete {
				t.Errorf("%s: not complete", s.name)
			}
			if all {
				if rep.Trailers != 1500 {
					t.Errorf("%s: all: judged %d trailers", s.name, rep.Trailers)
				}
				continue
			}
			if len(rep.Problems) != 1 || rep.Trailers != int64(s.at)+1 || rep.Good != int64(s.at) || s.at > 0 && (rep.Last != mcm.BlockNum(s.at-1) || rep.Tip != *ts[s.at-1].Hash()) {
				t.Errorf("%s: %d problems, %d trailers, last %v, tip %v", s.name, len(rep.Problems), rep.Trailers, rep.Last, rep.Tip)
			}
			if want := worked(ts[:s.at]); rep.Checked != want {
				t.Errorf("%s: checked %d proofs of work, want those before it, %d", s.name, rep.Checked, want)
			}
		}
	}
}

// TestLaterRules breaks what only later eras check.
func TestLaterRules(t *testing.T) {
	for _, c := range []struct {
		name  string
		rule  rules.Rule
		first mcm.BlockNum
		do    func(ts []mcm.Trailer)
	}{
		{"start time", rules.StartTime, mcm.V20Trigger + 1, func(ts []mcm.Trailer) {
			ts[5].SetStartTime(ts[5].StartTime() + 1)
		}},
		{"block hash", rules.BlockHash, mcm.V30Trigger, func(ts []mcm.Trailer) { ts[5].Hash()[3] ^= 1; ts[6].PrevHash()[3] ^= 1 }},
		{"overflow", rules.Overflow, 1<<64 - 5, func([]mcm.Trailer) {}},
	} {
		var first mcm.Trailer
		first.SetNum(c.first - 1)
		prev := after(&first, true)
		ts := []mcm.Trailer{prev}
		for len(ts) < 10 {
			ts = append(ts, after(&ts[len(ts)-1], true))
		}
		c.do(ts)
		rep := mustVerify(t, bytesOf(ts), Options{Now: clock, Segment: true})
		if len(rep.Problems) != 1 || rep.Problems[0].Rule != c.rule || rep.Problems[0].Index != 5 {
			t.Errorf("%s: got %v", c.name, rep.Problems)
		}
	}
}

func TestClock(t *testing.T) {
	ts := chain(100, 3)
	stime := int64(ts[50].SolveTime())
	for _, c := range []struct {
		now   int64
		valid bool
	}{{stime - 3, true}, {stime - 4, false}} {
		rep := mustVerify(t, bytesOf(ts[:51]), Options{Now: c.now})
		if rep.Valid() != c.valid {
			t.Errorf("now %d: valid is %t", c.now, rep.Valid())
		}
		if !c.valid && (rep.Problems[0].Rule != rules.SolveTime || rep.Problems[0].Index != 50) {
			t.Errorf("now %d: got %v", c.now, rep.Problems)
		}
	}
}

func TestLength(t *testing.T) {
	ts := chain(1001, 3)
	for _, c := range []struct {
		length int
		rule   rules.Rule
		index  int64
	}{
		{0, rules.FileData, 0}, {1, rules.FileData, 0}, {159, rules.FileData, 0},
		{161, rules.FileLen, 1}, {319, rules.FileLen, 1}, {160*1000 + 80, rules.FileLen, 1000}, {160*1001 - 1, rules.FileLen, 1000},
	} {
		data := bytesOf(ts)[:c.length]
		file := mustVerify(t, data, Options{Verifier: &fake{}, Now: clock})
		all := mustVerify(t, data, Options{Verifier: &fake{}, Now: clock, All: true})
		stream, err := Verify(t.Context(), strings.NewReader(string(data)), -1, Options{Verifier: &fake{}, Now: clock})
		if err != nil {
			t.Fatal(err)
		}
		for kind, rep := range map[string]*Report{"file": file, "all": all, "stream": stream} {
			if len(rep.Problems) != 1 || rep.Valid() || !rep.Complete {
				t.Fatalf("%s of %d bytes: got %v", kind, c.length, rep.Problems)
			}
			if p := rep.Problems[0]; p.Rule != c.rule || p.Index != c.index || p.Offset != 160*c.index {
				t.Errorf("%s of %d bytes: got %+v", kind, c.length, p)
			}
		}
		if file.Trailers != 0 {
			t.Errorf("file of %d bytes: judged %d trailers before its length", c.length, file.Trailers)
		}
		if all.Trailers != c.index || stream.Trailers != c.index {
			t.Errorf("%d bytes: judged %d and %d whole trailers, want %d", c.length, all.Trailers, stream.Trailers, c.index)
		}
	}
}

// TestLengthOfSegment has the block that is cut named by its number, whether the
// length is known before or not.
func TestLengthOfSegment(t *testing.T) {
	ts := v3(10)
	data := bytesOf(ts)[:6*160+40]
	o := Options{Now: clock, Segment: true}
	file := mustVerify(t, data, o)
	streamed, err := Verify(t.Context(), stream{bytes.NewReader(data)}, -1, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(file.Problems) != 1 || file.Problems[0].Num != mcm.V30Trigger+6 || file.Trailers != 0 || file.First != mcm.V30Trigger || !file.Complete {
		t.Errorf("file: got %+v", file)
	}
	if !reflect.DeepEqual(file.Problems, streamed.Problems) {
		t.Errorf("got %v from a file, %v from a stream", file.Problems, streamed.Problems)
	}
	if rep, err := Verify(t.Context(), bytes.NewReader(data[:100]), 1000, o); !errors.Is(err, io.ErrUnexpectedEOF) || rep.Complete {
		t.Errorf("less than promised: got %+v, %v", rep, err)
	}
	broken := errors.New("cable cut")
	if rep, err := Verify(t.Context(), iotest.ErrReader(broken), 1000, o); !errors.Is(err, broken) || rep.Complete {
		t.Errorf("read error: got %+v, %v", rep, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if rep, err := Verify(ctx, bytes.NewReader(data), 1000, o); !errors.Is(err, context.Canceled) || rep.Complete {
		t.Errorf("cancelled: got %+v, %v", rep, err)
	}
}

func TestBadWork(t *testing.T) {
	ts := chain(3000, 3)
	bad := map[mcm.BlockNum]verify.Verdict{1001: verify.BadWork, 1003: verify.BadNonce, 2999: verify.BadWork}
	for _, batch := range []int{1, 1000, 2000, 0} {
		rep := mustVerify(t, bytesOf(ts), Options{Verifier: &fake{bad: bad}, Now: clock, Batch: batch})
		want := Problem{1001, 1001, 160160, rules.PowTrigg, fmt.Sprintf("trigg hash 08%s has 4 leading zero bits, expected at least %d", strings.Repeat("0", 62), ts[1001].WorkDifficulty())}
		if len(rep.Problems) != 1 || rep.Problems[0] != want {
			t.Errorf("batch %d: got %v, want %v", batch, rep.Problems, want)
		}
		if rep.Trailers != 1002 || rep.Last != 1000 || rep.Bad != 1 || rep.Checked != worked(ts[:1002]) || rep.Exempt+rep.Checked != 1002 {
			t.Errorf("batch %d: got %+v", batch, rep)
		}
		rep = mustVerify(t, bytesOf(ts), Options{Verifier: &fake{bad: bad}, Now: clock, Batch: batch, All: true})
		var at []int64
		for _, p := range rep.Problems {
			at = append(at, p.Index)
		}
		if !reflect.DeepEqual(at, []int64{1001, 1003, 2999}) || rep.Bad != 3 || rep.Checked != worked(ts) || rep.Last != 2998 || rep.Good != 2997 {
			t.Errorf("all, batch %d: got %+v", batch, rep)
		}
		if d := rep.Problems[1].Detail; d != verify.Explain(&ts[1003], &verify.Result{Verdict: verify.BadNonce}) {
			t.Errorf("detail of a bad nonce: %s", d)
		}
	}
}

// TestLowestFirst has a broken link with bad work before it, behind it and in the
// same trailer.
func TestLowestFirst(t *testing.T) {
	ts := chain(4000, 3)
	ts[2501].SetMinFee(1)
	relink(ts, 2502)
	for _, c := range []struct {
		bad  mcm.BlockNum
		want rules.Rule
		at   int64
	}{
		{2500, rules.PowTrigg, 2500}, {1, rules.PowTrigg, 1}, {2501, rules.MinFee, 2501}, {2503, rules.MinFee, 2501},
	} {
		o := Options{Verifier: &fake{bad: map[mcm.BlockNum]verify.Verdict{c.bad: verify.BadWork}}, Now: clock}
		for _, o.Batch = range []int{10, 1000, 0} {
			rep := mustVerify(t, bytesOf(ts), o)
			if len(rep.Problems) != 1 || rep.Problems[0].Rule != c.want || rep.Problems[0].Index != c.at {
				t.Errorf("bad work at %v, batch %d: got %v, want %v at %d", c.bad, o.Batch, rep.Problems, c.want, c.at)
			}
		}
	}
	o := Options{Verifier: &fake{bad: map[mcm.BlockNum]verify.Verdict{2501: verify.BadWork}}, Now: clock, All: true}
	rep := mustVerify(t, bytesOf(ts), o)
	if len(rep.Problems) != 2 || rep.Problems[0].Rule != rules.MinFee || rep.Problems[1].Rule != rules.PowTrigg {
		t.Errorf("all: got %v, want both problems of 2501, structure first", rep.Problems)
	}
}

// TestAll changes one byte in the middle of each of some trailers: a bad link
// after each of them and nothing else.
func TestAll(t *testing.T) {
	ts := chain(2000, 3)
	var want []int64
	for i := 100; i < 2000; i += 150 {
		ts[i].Hash()[5] ^= 1
		want = append(want, int64(i)+1)
	}
	var at []int64
	rep := mustVerify(t, bytesOf(ts), Options{Now: clock, All: true})
	for _, p := range rep.Problems {
		if p.Rule != rules.PrevHash {
			t.Errorf("got %v", p)
		}
		at = append(at, p.Index)
	}
	if !reflect.DeepEqual(at, want) {
		t.Errorf("broken links at %v, want %v", at, want)
	}
}

func TestMaxProblems(t *testing.T) {
	const extra = 777
	junk := bytes.Repeat([]byte{0xa5}, (MaxProblems+extra)*160)
	rep := mustVerify(t, junk, Options{Now: clock, All: true, Batch: 2000})
	if len(rep.Problems) != MaxProblems || rep.Omitted != extra || rep.Trailers != MaxProblems+extra {
		t.Errorf("%d problems, %d omitted of %d trailers", len(rep.Problems), rep.Omitted, rep.Trailers)
	}
	// Each trailer breaks two rules.
	every := map[mcm.BlockNum]verify.Verdict{0xa5a5a5a5a5a5a5a5: verify.BadNonce}
	rep = mustVerify(t, junk, Options{Now: clock, All: true, Verifier: &fake{bad: every}})
	if int64(len(rep.Problems))+rep.Omitted != 2*rep.Trailers || rep.Bad != rep.Trailers {
		t.Errorf("%d problems, %d omitted, %d bad of %d trailers", len(rep.Problems), rep.Omitted, rep.Bad, rep.Trailers)
	}
}

func TestSegment(t *testing.T) {
	ts := v3(600)
	whole := mustVerify(t, bytesOf(ts), Options{Now: clock, Segment: true, Verifier: &fake{}})
	if !whole.Valid() || whole.First != mcm.V30Trigger || whole.Last != mcm.V30Trigger+599 {
		t.Errorf("got %+v", whole)
	}
	if rep := mustVerify(t, bytesOf(ts), Options{Now: clock}); rep.Valid() || rep.Problems[0].Rule != rules.NonZeroGenesis {
		t.Errorf("not as a segment: got %v", rep.Problems)
	}
	piece := bytesOf(ts[5:60])
	o := Options{Now: clock, Segment: true, Verifier: &fake{bad: map[mcm.BlockNum]verify.Verdict{ts[5].Num(): verify.BadWork}}}
	if rep := mustVerify(t, piece, o); len(rep.Problems) != 1 || rep.Problems[0].Index != 0 || rep.Problems[0].Rule != rules.PowPeach {
		t.Errorf("bad work in the first trailer: got %v", rep.Problems)
	}
	piece[3] ^= 1
	if rep := mustVerify(t, piece, Options{Now: clock, Segment: true}); len(rep.Problems) != 1 || rep.Problems[0].Rule != rules.BlockHash || rep.Problems[0].Num != ts[5].Num() {
		t.Errorf("first trailer spoiled: got %v", rep.Problems)
	}
	if rep := mustVerify(t, make([]byte, 160), Options{Now: clock, Segment: true}); rep.Valid() || rep.Problems[0].Rule != rules.GenesisHash {
		t.Errorf("a block 0 that isn't the genesis: got %v", rep.Problems)
	}
	old := chain(300, 3)
	if rep := mustVerify(t, bytesOf(old[77:]), Options{Now: clock, Segment: true}); !rep.Valid() {
		t.Errorf("segment before version 3: got %v", rep.Problems)
	}
	// What a first trailer shows by itself; the rest is rules.CheckFirst's test.
	for _, c := range []struct {
		rule rules.Rule
		do   func(t *mcm.Trailer)
	}{
		{rules.MinFee, func(t *mcm.Trailer) { t.SetMinFee(mcm.MinFee - 1) }},
		{rules.TxCount, func(t *mcm.Trailer) { t.SetTxCount(mcm.MaxTx + 1) }},
		{rules.SolveTime, func(t *mcm.Trailer) { t.SetSolveTime(t.StartTime()) }},
		{rules.SolveTime, func(t *mcm.Trailer) { t.SetStartTime(math.MaxUint32 - 9); t.SetSolveTime(math.MaxUint32) }},
	} {
		first := old[77]
		c.do(&first)
		rep := mustVerify(t, bytesOf([]mcm.Trailer{first}), Options{Now: vectorClock, Segment: true})
		if len(rep.Problems) != 1 || rep.Problems[0].Rule != c.rule || rep.Problems[0].Num != 77 || rep.Good != 0 {
			t.Errorf("first trailer of a segment: got %v, want %v", rep.Problems, c.rule)
		}
	}
}

func TestMainnet(t *testing.T) {
	b, err := os.ReadFile("../../testdata/mainnet/trailers-0x94701-0x947ff.bin")
	if err != nil {
		t.Fatal(err)
	}
	rep := mustVerify(t, b, Options{Now: vectorClock, Segment: true, Verifier: &fake{}})
	if !rep.Valid() || rep.Checked != 226 || rep.Exempt != 29 {
		t.Errorf("got %+v", rep)
	}
}

func TestPowFrom(t *testing.T) {
	ts := chain(2500, 3)
	for _, from := range []mcm.BlockNum{0, 1, 1700, 2499, 2500, 1 << 50} {
		f := &fake{bad: map[mcm.BlockNum]verify.Verdict{1699: verify.BadWork}}
		rep := mustVerify(t, bytesOf(ts), Options{Now: clock, Verifier: f, PowFrom: from, All: true})
		cut := min(int(from), len(ts))
		if rep.Skipped != worked(ts[:cut]) || rep.Checked != worked(ts[cut:]) || rep.Known != rep.Skipped || rep.Valid() != (from > 1699) {
			t.Errorf("from %v: got %+v", from, rep)
		}
		if f.total() != rep.Checked {
			t.Errorf("from %v: engine checked %d, report says %d", from, f.total(), rep.Checked)
		}
	}
}

// lazy is an engine that forgets a trailer; lenient calls worked ones exempt.
type lazy struct{}

func (lazy) VerifyPoW(context.Context, []verify.Result, []mcm.Trailer) error { return nil }

type lenient struct{}

func (lenient) VerifyPoW(_ context.Context, dst []verify.Result, _ []mcm.Trailer) error {
	for i := range dst {
		dst[i].Verdict = verify.Exempt
	}
	return nil
}

func TestEngineFailures(t *testing.T) {
	ts := chain(3000, 3)
	broken := errors.New("device lost")
	for _, c := range []struct {
		name   string
		engine verify.Verifier
		want   error
		at     int64 // trailers judged
	}{
		{"lazy", lazy{}, nil, 1},
		{"lenient", lenient{}, nil, 1},
		{"failing", &fake{before: func(_ context.Context, t *mcm.Trailer) error {
			if t.Num() == 1501 {
				return broken
			}
			return nil
		}}, broken, 1000}, // the failed batch is worth nothing
	} {
		rep, err := VerifyFile(t.Context(), writeFile(t, bytesOf(ts)), Options{Verifier: c.engine, Now: clock, Batch: 1000})
		if err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got error %v, want %v", c.name, err, c.want)
		}
		if rep.Valid() || rep.Complete || rep.Trailers != c.at || len(rep.Problems) != 0 {
			t.Errorf("%s: got %+v", c.name, rep)
		}
	}
}

func TestVerifyFileMissing(t *testing.T) {
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		rep, err := VerifyFile(t.Context(), path, Options{})
		if err == nil || rep == nil || rep.Valid() {
			t.Errorf("%s: got %+v, %v", path, rep, err)
		}
	}
}
