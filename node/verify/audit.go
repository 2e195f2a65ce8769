package verify

import (
	"context"
	crand "crypto/rand"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"kigo/node/mcm"
)

// DefaultSample is the share of good verdicts worth repeating.  At a million
// trailers a second from a GPU it asks the portable engine for 250 checks a
// second, about a fifth of a core; an engine that is wrong once in a hundred
// trailers is found out within some 400,000.
const DefaultSample = 0.00025

// AuditOptions says how an Auditor works.
type AuditOptions struct {
	// Sample is the share of Valid verdicts that the oracle repeats, from 0
	// (none) to 1 (all).
	Sample float64
	// Log gets one error when the backend is retired; nil for none.
	Log *slog.Logger
	// Metrics counts audits; nil counts unseen.
	Metrics *Metrics
}

// An Auditor is a Backend whose verdicts are checked by an oracle.
type Auditor struct {
	Backend
	oracle  Verifier
	options AuditOptions
	log     *slog.Logger
	metrics *Metrics
	retired atomic.Pointer[RetiredError]

	mu   sync.Mutex
	draw *rand.Rand // secret: nobody may know which good verdicts are repeated
}

// Audited returns b watched by oracle.  Every verdict other than Valid is
// repeated by the oracle before anyone hears of it: a peer must not pay for our
// silicon.  (Exempt and BadNonce cost the oracle nothing.)  Of the Valid ones a
// secret sample is repeated.
//
// When the two disagree once, in verdict or hash, b is retired for the life of
// the process: that call, those under way and all later ones return a
// *RetiredError and no verdict, and a Router does the batch elsewhere.
func Audited(b Backend, oracle Verifier, o AuditOptions) *Auditor {
	var seed [32]byte
	crand.Read(seed[:])
	a := &Auditor{
		Backend: b,
		oracle:  oracle,
		options: o,
		log:     o.Log,
		metrics: metricsOr(o.Metrics),
		draw:    rand.New(rand.NewChaCha8(seed)),
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	a.metrics.retired.WithLabelValues(a.name()).Set(0)
	return a
}

func (a *Auditor) name() string { return a.Info().Name }

// Retired returns why the backend was retired, nil while it serves.
func (a *Auditor) Retired() *RetiredError { return a.retired.Load() }

// VerifyPoW implements Verifier.
func (a *Auditor) VerifyPoW(ctx context.Context, dst []Result, batch []mcm.Trailer) error {
	if err := CheckLengths(dst, batch); err != nil {
		return err
	}
	clear(dst)
	err := a.verify(ctx, dst, batch)
	if err != nil {
		clear(dst) // what hasn't been audited isn't told
	}
	return err
}

func (a *Auditor) verify(ctx context.Context, dst []Result, batch []mcm.Trailer) error {
	if r := a.Retired(); r != nil {
		return r
	}
	if err := a.Backend.VerifyPoW(ctx, dst, batch); err != nil {
		return err
	}
	suspects := a.suspects(dst)
	again := make([]mcm.Trailer, len(suspects))
	for i, at := range suspects {
		again[i] = batch[at]
	}
	truth := make([]Result, len(again))
	if err := a.oracle.VerifyPoW(ctx, truth, again); err != nil {
		return &BackendError{a.name(), "audit", err}
	}
	wrong := 0
	for i, at := range suspects {
		if dst[at] != truth[i] {
			wrong++
			a.retire(&again[i], dst[at], truth[i])
		}
	}
	a.count(auditAgrees, len(suspects)-wrong)
	a.count(auditDisagrees, wrong)
	// Another call may have found the backend out meanwhile, and our sample may
	// have missed what it did here.
	if r := a.Retired(); r != nil {
		return r
	}
	return nil
}

// suspects returns the indexes of the results that the oracle has to repeat.
func (a *Auditor) suspects(results []Result) []int {
	var s []int
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range results {
		if results[i].Verdict != Valid || a.draw.Float64() < a.options.Sample {
			s = append(s, i)
		}
	}
	return s
}

// retire ends the backend's service; the first disagreement is the one that is
// told.
func (a *Auditor) retire(t *mcm.Trailer, got, want Result) {
	r := &RetiredError{a.name(), Disagreed, fmt.Sprintf("it judged block %v %v with hash %v, the oracle %v with hash %v",
		t.Num(), got.Verdict, got.Hash, want.Verdict, want.Hash)}
	if !a.retired.CompareAndSwap(nil, r) {
		return
	}
	a.metrics.retired.WithLabelValues(a.name()).Set(1)
	a.log.Error("backend gave a wrong verdict and is retired until the process ends; test the hardware",
		"backend", a.name(), "bnum", t.Num().String(), "trailer", fmt.Sprintf("%x", t[:]),
		"got", got.Verdict.String(), "got_hash", got.Hash.String(),
		"want", want.Verdict.String(), "want_hash", want.Hash.String())
}

func (a *Auditor) count(outcome string, n int) {
	if n > 0 {
		a.metrics.audits.WithLabelValues(a.name(), outcome).Add(float64(n))
	}
}
