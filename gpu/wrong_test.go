//go:build cuda

package gpu

import (
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"kigo/node/mcm"
	"kigo/node/verify"
)

// peach returns trailers that go to a device, all with this verdict, and what the
// oracle says of them.  Those that are good whatever their hash are not among them.
func peach(t testing.TB, n int, verdict verify.Verdict) (batch []mcm.Trailer, want []verify.Result) {
	t.Helper()
	all, results := random(t, 600)
	for i := range all {
		if len(prepare(make([]verify.Result, 1), all[i:i+1])) == 1 && results[i].Verdict == verdict &&
			verify.JudgePeach(&all[i], &unwritten).Verdict == verify.BadWork {
			batch, want = append(batch, all[i]), append(want, results[i])
		}
	}
	if len(batch) == 0 {
		t.Fatalf("no trailer is %v", verdict)
	}
	for len(batch) < n {
		batch, want = append(batch, batch...), append(want, want...)
	}
	return batch[:n], want[:n]
}

// TestWrongOften has one of two devices wrong at a rate that a test of some
// thousand trailers meets.  With all good verdicts repeated no verdict is wrong,
// whatever the device makes of a trailer; and it is out.
func TestWrongOften(t *testing.T) {
	fake(t)
	batch, want := random(t, 300)
	for _, kind := range []string{"bit", "hash", "bad", "good", "lost"} {
		for _, rate := range []int{10, 100, 1000} {
			t.Run(fmt.Sprintf("%s, one in %d", kind, rate), func(t *testing.T) {
				if testing.Short() && rate != 100 {
					t.Skip("one rate for each kind")
				}
				noGoroutines(t)
				t.Setenv("KIGO_FAKE_FAULTY", "0")
				t.Setenv("KIGO_FAKE_KIND", kind)
				t.Setenv("KIGO_FAKE_WRONG", strconv.Itoa(rate))
				s := newService(t, 64, 1)
				s.until(t, batch, want)
				s.foundOut(t)
			})
		}
	}
}

// TestWrongSeldom has one of two devices call good work bad at rates down to one in
// a million, over as many trailers as that takes.
func TestWrongSeldom(t *testing.T) {
	fake(t)
	some, results := peach(t, 64, verify.Valid)
	var batch []mcm.Trailer
	var want []verify.Result
	for len(batch) < 1<<14 {
		batch, want = append(batch, some...), append(want, results...)
	}
	for rate := 1000; rate <= 1e6; rate *= 10 {
		t.Run(fmt.Sprintf("one in %d", rate), func(t *testing.T) {
			noGoroutines(t)
			t.Setenv("KIGO_FAKE_FAULTY", "0")
			t.Setenv("KIGO_FAKE_REMEMBER", "1")
			t.Setenv("KIGO_FAKE_KIND", "bad")
			t.Setenv("KIGO_FAKE_WRONG", strconv.Itoa(rate))
			t.Setenv("KIGO_FAKE_SOUND", "200") // until all has been hashed once
			s := newService(t, 1<<12, 0)
			for _, d := range s.devices {
				if err := verify.SelfTest(t.Context(), d); err != nil { // with all that is planted
					t.Fatal(err)
				}
				compare(t, d, some, results)
			}
			for range 20e6 / len(batch) {
				if compare(t, s, batch, want); s.Status()[0].Retired || t.Failed() {
					break
				}
			}
			s.foundOut(t)
			t.Logf("after %v trailers", testutil.ToFloat64(s.hashed.WithLabelValues("cuda:0")))
		})
	}
}

// foundOut fails the test unless the first device is retired for wrong results,
// whoever noticed first.
func (s *service) foundOut(t *testing.T) {
	t.Helper()
	class := verify.Disagreed
	if testutil.ToFloat64(s.planted.WithLabelValues("cuda:0", "wrong")) > 0 {
		class = verify.KnownAnswer
	}
	s.retired(t, class, "it judged block")
}

// TestWrongOnce has a device wrong about a single trailer, which is what a rate of
// one in 10^6 comes to on a whole chain.  What must be found is found, and what
// only the sample can find gets through without one: the table is the promise
// that doc.go makes.
func TestWrongOnce(t *testing.T) {
	fake(t)
	cases := []struct {
		kind    string
		of      verify.Verdict // of all trailers in the batch
		sample  float64
		retired bool // the device is found out
		right   bool // all verdicts are right
	}{
		{"bad", verify.Valid, 0, true, true},
		{"bad", verify.BadWork, 0, true, true}, // with another hash
		{"hash", verify.BadWork, 0, true, true},
		{"lost", verify.Valid, 0, true, true},
		{"hash", verify.Valid, 1, true, true},
		{"hash", verify.Valid, 0, false, true}, // the hash is wrong, the verdict isn't
		{"good", verify.BadWork, 1, true, true},
		{"good", verify.BadWork, 0, false, false},
	}
	const n = 60 // with 4 planted ones a piece
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s of %v, sample %v", c.kind, c.of, c.sample), func(t *testing.T) {
			noGoroutines(t)
			batch, want := peach(t, n, c.of)
			t.Setenv("KIGO_FAKE_FAULTY", "0")
			t.Setenv("KIGO_FAKE_KIND", c.kind)
			// A known answer in that place finds it in any case: try again.
			for at := 10; ; at++ {
				if at == 20 {
					t.Fatal("a known answer in each of ten places")
				}
				t.Setenv("KIGO_FAKE_ERROR", strconv.Itoa(at))
				s := newService(t, 128, c.sample)
				got := make([]verify.Result, n)
				if err := s.VerifyPoW(t.Context(), got, batch); err != nil {
					t.Fatal(err)
				}
				if testutil.ToFloat64(s.planted.WithLabelValues("cuda:0", "wrong")) > 0 {
					continue
				}
				if c.retired {
					s.retired(t, verify.Disagreed, "it judged block")
				} else if s.Status()[0].Retired {
					t.Error("the device is retired; who noticed?")
				}
				verdict := func(a, b verify.Result) bool { return a.Verdict == b.Verdict }
				if right := slices.EqualFunc(got, want, verdict); right != c.right {
					t.Errorf("all verdicts are right: %v, want %v", right, c.right)
				}
				if c.retired && !slices.Equal(got, want) {
					t.Error("results of a device that was found out are told")
				}
				return
			}
		})
	}
}

// TestWrongVerdictsAreRepeated has a device whose good verdicts nobody repeats: no
// good trailer is called bad.
func TestWrongVerdictsAreRepeated(t *testing.T) {
	fake(t)
	t.Setenv("KIGO_FAKE_FAULTY", "0")
	t.Setenv("KIGO_FAKE_WRONG", "5")
	s := newService(t, 64, 0)
	batch, want := random(t, 300)
	got := make([]verify.Result, len(batch))
	if err := s.VerifyPoW(t.Context(), got, batch); err != nil {
		t.Fatal(err)
	}
	for i := range got {
		if got[i].Verdict.Bad() && got[i] != want[i] {
			t.Errorf("trailer %d: got %v, want %v", i, got[i], want[i])
		}
	}
	s.foundOut(t)
}
