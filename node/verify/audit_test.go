package verify_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/prometheus/client_golang/prometheus"

	"kigo/node/mcm"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

func TestAuditRepeatsAllButValid(t *testing.T) {
	reg := prometheus.NewRegistry()
	oracle, gpu := &verifytest.Fake{}, named("gpu")
	a := verify.Audited(gpu, oracle, verify.AuditOptions{Metrics: verify.NewMetrics(reg)})
	batch := append(makeTrailers(0, 20), makeBad(20, 5)...)
	batch[3].SetTxCount(0)          // exempt
	*batch[4].Nonce() = mcm.Nonce{} // no haiku
	wantTruth(t, a, batch)
	wantTruth(t, a, makeTrailers(50, 5))
	if got := oracle.Calls(); got[0] != 7 || sum(got) != 7 {
		t.Errorf("the oracle was asked for %v trailers, want the 5 bad ones, the exempt one and the broken nonce", got)
	}
	if n := value(t, reg, "kigo_verify_audits_total", "backend", "gpu", "outcome", "agree"); n != 7 {
		t.Errorf("%v audits agree, want 7", n)
	}
	if a.Retired() != nil || value(t, reg, "kigo_verify_retired") != 0 {
		t.Error("an honest backend was retired")
	}
	if a.Info().Name != "gpu" || a.Close() != nil || gpu.Closed() != 1 {
		t.Error("Info or Close don't reach the backend")
	}
}

func TestAuditSamples(t *testing.T) {
	for _, c := range []struct {
		sample      float64
		least, most int
	}{
		{0, 0, 0},
		{0.5, 1800, 2200}, // 2000, standard deviation 32
		{1, 4000, 4000},
	} {
		oracle := &verifytest.Fake{}
		a := verify.Audited(named("gpu"), oracle, verify.AuditOptions{Sample: c.sample})
		wantTruth(t, a, makeTrailers(0, 4000))
		if n := sum(oracle.Calls()); n < c.least || n > c.most {
			t.Errorf("sample %v: %d of 4000 repeated, want %d to %d", c.sample, n, c.least, c.most)
		}
	}
}

// TestAuditRetiresLiars spoils one result of a good trailer, a bad one, an exempt
// one, and one whose nonce is broken.
func TestAuditRetiresLiars(t *testing.T) {
	const good, bad, exempt, broken = 0, 1, 2, 3
	for _, c := range []struct {
		name    string
		sample  float64
		index   int
		lie     func(*verify.Result)
		through bool // the lie isn't found out
	}{
		{"good is bad", 0, good, func(r *verify.Result) { r.Verdict = verify.BadWork }, false},
		{"good is no haiku", 0, good, func(r *verify.Result) { *r = verify.Result{Verdict: verify.BadNonce} }, false},
		{"good is exempt", 0, good, func(r *verify.Result) { *r = verify.Result{Verdict: verify.Exempt} }, false},
		{"good is forgotten", 0, good, func(r *verify.Result) { *r = verify.Result{} }, false},
		{"good with another hash", 1, good, func(r *verify.Result) { r.Hash[31]++ }, false},
		{"good with another hash, not sampled", 0, good, func(r *verify.Result) { r.Hash[31]++ }, true},
		{"bad is good", 1, bad, func(r *verify.Result) { r.Verdict = verify.Valid }, false},
		{"bad is good, not sampled", 0, bad, func(r *verify.Result) { r.Verdict = verify.Valid }, true},
		{"bad with another hash", 0, bad, func(r *verify.Result) { r.Hash[0] ^= 1 }, false},
		{"bad is exempt", 0, bad, func(r *verify.Result) { *r = verify.Result{Verdict: verify.Exempt} }, false},
		{"exempt is bad", 0, exempt, func(r *verify.Result) { r.Verdict = verify.BadWork }, false},
		{"exempt is good", 1, exempt, func(r *verify.Result) { r.Verdict = verify.Valid }, false},
		{"broken is bad work", 0, broken, func(r *verify.Result) { r.Verdict = verify.BadWork }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			batch := append(makeTrailers(0, 1), append(makeBad(1, 1), makeTrailers(2, 2)...)...)
			batch[exempt].SetTxCount(0)
			*batch[broken].Nonce() = mcm.Nonce{}
			liar := named("liar")
			liar.Spoil = func(_ []mcm.Trailer, r []verify.Result) { c.lie(&r[c.index]) }
			reg := prometheus.NewRegistry()
			var log bytes.Buffer
			a := verify.Audited(liar, &verifytest.Fake{}, verify.AuditOptions{
				Sample: c.sample, Log: slog.New(slog.NewTextHandler(&log, nil)), Metrics: verify.NewMetrics(reg)})
			dst := make([]verify.Result, len(batch))
			err := a.VerifyPoW(t.Context(), dst, batch)
			if c.through {
				if err != nil || a.Retired() != nil {
					t.Errorf("got %v", err)
				}
				return
			}
			for round := range 2 {
				var retired *verify.RetiredError
				if !errors.As(err, &retired) || retired.Backend != "liar" || retired.Reason == "" || !allUnchecked(dst) {
					t.Fatalf("round %d: got %v, %v, want a *RetiredError and no results", round, err, dst)
				}
				err = a.VerifyPoW(t.Context(), dst, batch)
			}
			if n := len(liar.Calls()); n != 1 {
				t.Errorf("the liar was called %d times, want once", n)
			}
			if value(t, reg, "kigo_verify_retired", "backend", "liar") != 1 ||
				value(t, reg, "kigo_verify_audits_total", "outcome", "disagree") != 1 {
				t.Error("the metrics don't tell")
			}
			if got := log.String(); strings.Count(got, "level=ERROR") != 1 || !strings.Contains(got, "backend=liar") {
				t.Errorf("the log has no single error about it:\n%s", got)
			}
		})
	}
}

func TestAuditedLiarBehindRouter(t *testing.T) {
	liar, portable := named("liar"), named("portable")
	liar.Spoil = func(_ []mcm.Trailer, r []verify.Result) { r[7].Verdict = verify.BadWork }
	r := verify.NewRouter(nil, nil, verify.Audited(liar, portable, verify.AuditOptions{}), portable)
	for range 3 {
		wantTruth(t, r, makeTrailers(0, 10))
	}
	if got := liar.Calls(); !slices.Equal(got, []int{10}) {
		t.Errorf("the liar got %v, want [10]", got)
	}
	if got := portable.Calls(); !slices.Equal(got, []int{1, 10, 10, 10}) {
		t.Errorf("portable got %v, want the audit and each batch", got)
	}
	if n := r.Wrong(); n != 1 {
		t.Errorf("%d are said to compute wrongly, want 1", n)
	}
}

func TestAuditTellsNothingUnaudited(t *testing.T) {
	lost := errors.New("out of memory")
	broken := func(context.Context, int, []mcm.Trailer) error { return lost }
	for _, c := range []struct {
		name          string
		engine, judge *verifytest.Fake
	}{
		{"the oracle fails", named("gpu"), &verifytest.Fake{Before: broken}},
		{"the engine fails", &verifytest.Fake{Before: broken}, &verifytest.Fake{}},
	} {
		a := verify.Audited(c.engine, c.judge, verify.AuditOptions{Sample: 1})
		dst := make([]verify.Result, 3)
		if err := a.VerifyPoW(t.Context(), dst, makeTrailers(0, 3)); !errors.Is(err, lost) || !allUnchecked(dst) {
			t.Errorf("%s: got %v, %v, want %v and no results", c.name, err, dst, lost)
		}
		if a.Retired() != nil {
			t.Errorf("%s: the backend was retired", c.name)
		}
	}
}

// TestAuditStopsCallsUnderWay has a good-looking call that is still being
// audited when another one finds the backend out.
func TestAuditStopsCallsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := make(chan struct{})
		liar := named("liar")
		liar.Spoil = func(batch []mcm.Trailer, r []verify.Result) {
			if len(r) == 1 {
				r[0].Verdict = verify.BadWork
			}
		}
		a := verify.Audited(liar, &verifytest.Fake{Before: gate(ch, 0)}, verify.AuditOptions{})
		var wg sync.WaitGroup
		var retired *verify.RetiredError
		wg.Go(func() {
			dst := make([]verify.Result, 4)
			if err := a.VerifyPoW(t.Context(), dst, makeBad(0, 4)); !errors.As(err, &retired) || !allUnchecked(dst) {
				t.Errorf("got %v, %v, want a *RetiredError", err, dst)
			}
		})
		synctest.Wait()
		if err := a.VerifyPoW(t.Context(), make([]verify.Result, 1), makeTrailers(9, 1)); !errors.As(err, &retired) {
			t.Errorf("got %v, want a *RetiredError", err)
		}
		close(ch)
		wg.Wait()
	})
}
