package verify_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"

	"kigo/node/mcm"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

var update = flag.Bool("update", false, "write answers.bin")

func TestAnswersFile(t *testing.T) {
	peach, other := verifytest.Answers(t)
	if len(peach) != 17 {
		t.Fatalf("%d answers need Peach, want 17", len(peach))
	}
	want := verifytest.EncodeAnswers(append(peach, other...))
	if *update {
		if err := os.WriteFile("answers.bin", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile("answers.bin")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatal("answers.bin differs from the vectors; run go generate")
	}
}

func TestAnswersAreGoodAndSpoiled(t *testing.T) {
	peach, other := verifytest.Answers(t)
	seen := map[verify.Verdict]int{}
	for _, v := range append(peach, other...) {
		seen[v.Want.Verdict]++
	}
	for verdict, least := range map[verify.Verdict]int{verify.Valid: 8, verify.BadWork: 5, verify.BadNonce: 3, verify.Exempt: 2} {
		if seen[verdict] < least {
			t.Errorf("%d answers are %v, want at least %d", seen[verdict], verdict, least)
		}
	}
}

func TestSelfTest(t *testing.T) {
	memory := verifytest.Memory(verifytest.Vectors(t))
	for _, lanes := range []int{0, 1, 2, 8, 16, 32, 64, 1 << 14} {
		f := &verifytest.Fake{About: verify.Info{Name: "fake", Lanes: lanes}, Hash: memory}
		if err := verify.SelfTest(t.Context(), f); err != nil {
			t.Errorf("%d lanes: %v", lanes, err)
		}
		if n := len(f.Calls()); n < 3 {
			t.Errorf("%d lanes: %d batches, want at least 3", lanes, n)
		}
	}
}

// TestSelfTestAsksAll shows that no known answer is left out, and that Peach
// costs a scalar engine no more than that.
func TestSelfTestAsksAll(t *testing.T) {
	peach, other := verifytest.Answers(t)
	for _, lanes := range []int{1, 16, 64} {
		asked := map[mcm.Trailer]int{}
		f := &verifytest.Fake{About: verify.Info{Lanes: lanes}, Hash: verifytest.Memory(verifytest.Vectors(t))}
		f.Before = func(_ context.Context, _ int, batch []mcm.Trailer) error {
			for _, tr := range batch {
				asked[tr]++
			}
			return nil
		}
		if err := verify.SelfTest(t.Context(), f); err != nil {
			t.Fatal(err)
		}
		for _, v := range peach {
			if n := asked[v.Trailer]; n == 0 || lanes == 1 && n > 1 {
				t.Errorf("%d lanes: %v was asked %d times", lanes, &v, n)
			}
		}
		for _, v := range other {
			if lanes > 1 && asked[v.Trailer] == 0 {
				t.Errorf("%d lanes: %v was not asked", lanes, &v)
			}
		}
	}
}

// TestSelfTestFindsFaults spoils one result at a time: whatever the lane, and
// whatever the batch, the test must notice.
func TestSelfTestFindsFaults(t *testing.T) {
	memory := verifytest.Memory(verifytest.Vectors(t))
	const lanes = 16
	for lane := range lanes {
		f := &verifytest.Fake{About: verify.Info{Name: "fake", Lanes: lanes}, Hash: memory}
		f.Spoil = func(batch []mcm.Trailer, results []verify.Result) {
			if lane < len(results) {
				results[lane].Hash[31] ^= 1
			}
		}
		var failed *verify.BackendError
		err := verify.SelfTest(t.Context(), f)
		if !errors.As(err, &failed) || failed.Backend != "fake" || failed.Op != "self-test" || !strings.Contains(err.Error(), "want") {
			t.Errorf("lane %d spoiled: got %v, want a *BackendError of the self-test", lane, err)
		}
	}
	for _, ok := range []verify.Verdict{verify.Valid, verify.Exempt} {
		yes := &verifytest.Fake{About: verify.Info{Name: "yes", Lanes: 1}, Hash: memory,
			Spoil: func(_ []mcm.Trailer, results []verify.Result) {
				for i := range results {
					results[i].Verdict = ok
				}
			}}
		if err := verify.SelfTest(t.Context(), yes); err == nil {
			t.Errorf("an engine that calls everything %v passes", ok)
		}
	}
}

func TestSelfTestTellsFailures(t *testing.T) {
	broken := errors.New("device lost")
	f := &verifytest.Fake{About: verify.Info{Name: "fake"},
		Before: func(context.Context, int, []mcm.Trailer) error { return broken }}
	if err := verify.SelfTest(t.Context(), f); !errors.Is(err, broken) {
		t.Errorf("got %v, want one that wraps %v", err, broken)
	}
}
