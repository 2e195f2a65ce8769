package chaos

import (
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
	f("difficulty", w.difficulty, tipIndex-brokenDepth+1, rules.Difficulty)
	f("neogenesis", w.neogenesis, tipIndex&^0xff, rules.SolveTime)
	for _, tip := range w.missed {
		f("missed", newLine(mcm.Weight{}, append(w.below(tipIndex-1), tip)), tipIndex, rules.PowPeach)
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
	recent, _ := density(tipIndex)
	for end := segment; end < oldEnd; end++ {
		if old, _ := density(end); old < 4*recent {
			t.Errorf("density %.1f of the window up to %d, want 4 times the recent %.1f", old, end, recent)
		}
	}
	if _, worked := density(mixedEnd); worked != segment/2 {
		t.Errorf("%d worked blocks in the mixed window, want %d", worked, segment/2)
	}
	if gap := w.Tip().Time - w.main.trailers[oldEnd].SolveTime(); gap < 2*3600 {
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
