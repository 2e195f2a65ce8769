package chaos

import (
	"slices"
	"testing"

	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/verify"
)

// judge checks a line by the rules and its work, and returns the index and the
// rule of the first failure.
func judge(t *testing.T, l *line, now int64) (int, rules.Rule) {
	t.Helper()
	results := make([]verify.Result, len(l.trailers))
	if err := engine().VerifyPoW(t.Context(), results, l.trailers); err != nil {
		t.Fatal(err)
	}
	for i := range l.trailers {
		err := rules.CheckFirst(&l.trailers[i], now)
		if i > 0 {
			err = rules.Check(&l.trailers[i-1], &l.trailers[i], now)
		}
		if err == nil {
			err = rules.CheckPseudoRoot(&l.trailers[i])
		}
		if err != nil {
			return i, ruleOf(t, err)
		}
		if results[i].Verdict.Bad() {
			return i, rules.PowPeach
		}
	}
	return -1, ""
}

func ruleOf(t *testing.T, err error) rules.Rule {
	t.Helper()
	e, ok := err.(*rules.Error)
	if !ok {
		t.Fatalf("error %v is no *rules.Error", err)
	}
	return e.Rule
}

func TestWorldIsSound(t *testing.T) {
	w := world()
	now := worldTime.Unix()
	for name, l := range map[string]*line{"main": w.main, "side": w.side, "cheap": w.cheap[0], "pseudo": w.pseudo[0]} {
		if i, rule := judge(t, l, now); i >= 0 {
			t.Errorf("%s breaks %s at index %d", name, rule, i)
		}
	}
	if w.Base.Num != mcm.V30Trigger || w.Tip().Num != 0xa0802 {
		t.Errorf("from %v to %v, want 0xa0700 to 0xa0802", w.Base.Num, w.Tip().Num)
	}
	if age := now - int64(w.Tip().Time); age != tipAge {
		t.Errorf("the tip is %d s old, want %d", age, tipAge)
	}
}

func TestWorldForgeries(t *testing.T) {
	w := world()
	now := worldTime.Unix()
	f := func(name string, l *line, index int, rule rules.Rule) {
		t.Helper()
		if i, got := judge(t, l, now); i != index || got != rule {
			t.Errorf("%s: %s at index %d, want %s at %d", name, got, i, rule, index)
		}
	}
	f("difficulty", w.difficulty, w.tip-brokenDepth+1, rules.Difficulty)
	f("neogenesis", w.neogenesis, w.tip&^0xff, rules.SolveTime)
	f("tail", w.tails[0], w.tip-tailDepth+1, rules.PowPeach)
	for _, l := range w.short {
		i, rule := judge(t, l, now)
		if rule != rules.PowPeach || i > w.tip-segment || i < w.tip-segment-newBlocks/2-1 {
			t.Errorf("short: %s at index %d", rule, i)
		}
		if l.weights[l.last()].Cmp(w.Tip().Weight) <= 0 {
			t.Errorf("short: weight %v doesn't outweigh %v", l.weights[l.last()], w.Tip().Weight)
		}
	}
	if heaviest := w.tails[0].weights[w.tails[0].last()]; heaviest.Cmp(w.main.weights[w.tip+1]) <= 0 {
		t.Errorf("a tail of weight %v doesn't outweigh the honest chain", heaviest)
	}
	for _, tip := range w.missed {
		f("missed", newLine(mcm.Weight{}, append(w.below(w.tip-1), tip)), w.tip, rules.PowPeach)
	}
}

// Of the windows that kinds show, the old ones must be clearly denser than the
// recent one, and the mixed one half pseudoblocks.
func TestWorldDensity(t *testing.T) {
	w := world()
	density := func(end int) (sum float64, worked int) {
		for i := end - segment + 1; i <= end; i++ {
			if tr := &w.main.trailers[i]; tr.Kind() == mcm.Standard {
				sum += float64(uint64(1) << tr.WorkDifficulty())
				worked++
			}
		}
		return sum / segment, worked
	}
	recent, _ := density(w.tip)
	for end := segment; end < oldBlocks; end++ {
		if old, _ := density(end); old < 4*recent {
			t.Errorf("density %.1f of the window up to %d, want 4 times the recent %.1f", old, end, recent)
		}
	}
	if _, worked := density(w.tip - mixedDepth); worked != segment/2 {
		t.Errorf("%d worked blocks in the mixed window, want %d", worked, segment/2)
	}
	if gap := w.Tip().Time - w.main.trailers[oldBlocks].SolveTime(); gap < 2*3600 {
		t.Errorf("old blocks are only %d s older than the tip", gap)
	}
}

func TestWorldIsAFunctionOfItsSeed(t *testing.T) {
	again, err := NewWorld(t.Context(), WorldConfig{Seed: 1, Solver: engine(), Now: worldTime})
	if err != nil {
		t.Fatal(err)
	}
	if again.Tip() != world().Tip() || again.difficulty.state(again.difficulty.last()) != world().difficulty.state(world().difficulty.last()) {
		t.Error("two worlds of one seed differ")
	}
	other, err := NewWorld(t.Context(), WorldConfig{Seed: 2, Solver: engine(), Now: worldTime})
	if err != nil {
		t.Fatal(err)
	}
	if other.Tip().Hash == world().Tip().Hash {
		t.Error("worlds of two seeds are one")
	}
	if i, rule := judge(t, other.main, worldTime.Unix()); i >= 0 {
		t.Errorf("the other world breaks %s at index %d", rule, i)
	}
}

// A longer world is one with more in the middle.
func TestLongWorld(t *testing.T) {
	w, err := NewWorld(t.Context(), WorldConfig{Seed: 1, Solver: engine(), Now: worldTime, Blocks: 3000})
	if err != nil {
		t.Fatal(err)
	}
	if i, rule := judge(t, w.main, worldTime.Unix()); i >= 0 {
		t.Errorf("breaks %s at index %d", rule, i)
	}
	if n := w.Tip().Num - w.Base.Num; n < 3000 || n > 3256 || w.Tip().Num.Low() != 2 {
		t.Errorf("%d blocks up to %v", n, w.Tip().Num)
	}
	if age := worldTime.Unix() - int64(w.Tip().Time); age != tipAge {
		t.Errorf("the tip is %d s old, want %d", age, tipAge)
	}
	if i, rule := judge(t, w.tails[0], worldTime.Unix()); i != w.tip-tailDepth+1 || rule != rules.PowPeach {
		t.Errorf("the forged tail: %s at index %d", rule, i)
	}
}

// Below version 3 there is more than one past that links to the honest blocks.
func TestHistory(t *testing.T) {
	w := oldWorld()
	if w.Base.Num != mcm.V30Trigger-256 || w.Tip().Num != 0xa0802 {
		t.Errorf("from %v to %v, want 0xa0600 to 0xa0802", w.Base.Num, w.Tip().Num)
	}
	if i, rule := judge(t, w.main, worldTime.Unix()); i >= 0 {
		t.Errorf("breaks %s at index %d", rule, i)
	}
	work := func(ts []mcm.Trailer) (sum mcm.Weight) {
		for i := range ts {
			if ts[i].Kind() == mcm.Standard {
				sum = sum.AddDifficulty(ts[i].WorkDifficulty())
			}
		}
		return sum
	}
	p := w.pasts[0]
	for _, past := range []struct {
		name string
		ts   []mcm.Trailer
		rule rules.Rule
		at   int // -1: above 0
	}{
		{"altered", p.altered, rules.PowPeach, -1},
		{"other", p.other, "", -1},
		{"wrapped", p.wrapped, rules.Difficulty, w.v3},
	} {
		l := newLine(mcm.Weight{}, slices.Concat(past.ts, w.main.trailers[w.v3:]))
		i, rule := judge(t, l, worldTime.Unix())
		if rule != past.rule || past.at >= 0 && i != past.at {
			t.Errorf("%s: %s at index %d", past.name, rule, i)
		}
		if *past.ts[0].Hash() != w.Base.Hash || *past.ts[w.v3-1].Hash() != *w.main.trailers[w.v3].PrevHash() {
			t.Errorf("%s doesn't stand between the world's first block and version 3", past.name)
		}
	}
	if work(p.other).Cmp(work(w.main.trailers[:w.v3])) >= 0 {
		t.Error("the other past has no less work than the honest one")
	}
}
