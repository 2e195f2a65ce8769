package verify_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"kigo/node/mcm"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

func TestErrorTexts(t *testing.T) {
	lost := errors.New("device lost")
	failed := &verify.BackendError{Backend: "cuda:0", Op: "verify", Err: lost}
	if !errors.Is(failed, lost) {
		t.Error("a BackendError doesn't unwrap")
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{failed, "verify: backend cuda:0: verify: device lost"},
		{&verify.RetiredError{Backend: "cuda:0", Reason: "it lies"}, "verify: backend cuda:0 is retired: it lies"},
		{verify.CheckLengths(make([]verify.Result, 3), make([]mcm.Trailer, 4)), "verify: 3 results for 4 trailers, want as many"},
	} {
		if got := c.err.Error(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
	if err := verify.CheckLengths(make([]verify.Result, 4), make([]mcm.Trailer, 4)); err != nil {
		t.Errorf("equal lengths: %v", err)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	if err := verify.Interrupted(ctx); err != nil {
		t.Errorf("a living ctx: %v", err)
	}
	cancel(errStop)
	if err := verify.Interrupted(ctx); !errors.Is(err, errStop) {
		t.Errorf("got %v, want the cause", err)
	}
	late, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
	defer stop()
	if err := verify.Interrupted(late); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want that the deadline has passed", err)
	}
}

// TestWrappersRefuseUnequalSlices also shows that no backend is blamed.
func TestWrappersRefuseUnequalSlices(t *testing.T) {
	f := named("fake")
	router := verify.NewRouter(nil, nil, f)
	coalesced := verify.Coalesce(f, 10, time.Hour)
	defer coalesced.Close()
	for name, v := range map[string]verify.Verifier{
		"cache": verify.Cached(f, 10, nil, nil), "coalescer": coalesced, "router": router,
		"auditor": verify.Audited(f, &verifytest.Fake{}, verify.AuditOptions{}),
	} {
		var length *verify.LengthError
		if err := v.VerifyPoW(t.Context(), make([]verify.Result, 2), makeTrailers(0, 3)); !errors.As(err, &length) {
			t.Errorf("%s: got %v, want a *LengthError", name, err)
		}
	}
	if len(f.Calls()) != 0 || router.Status()[0].Err != nil {
		t.Error("the backend was asked, or is blamed")
	}
}
