package verify_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/mcm"
	"kigo/node/verify"
	"kigo/node/verify/verifytest"
)

const wait = 2 * time.Millisecond

func TestCoalesceMerges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &verifytest.Fake{}
		c := verify.Coalesce(f, 100, wait)
		for round := range 3 {
			start := time.Now()
			var wg sync.WaitGroup
			for i := range 3 {
				wg.Go(func() { wantTruth(t, c, append(makeTrailers(20*i, 9), makeBad(20*i+10, i)...)) })
				time.Sleep(wait / 4)
			}
			wg.Wait()
			if took := time.Since(start); took != wait {
				t.Errorf("took %v, want %v from the first item on", took, wait)
			}
			if got := f.Calls(); len(got) != round+1 || got[round] != 30 {
				t.Errorf("calls of %v trailers, want one of 30 each round", got)
			}
			time.Sleep(time.Hour) // idle, so the next round's wait is whole
		}
		c.Close()
	})
}

func TestCoalesceFlushesAtSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &verifytest.Fake{}
		c := verify.Coalesce(f, 20, wait)
		start := time.Now()
		var wg sync.WaitGroup
		wg.Go(func() { wantTruth(t, c, makeTrailers(0, 12)) })
		synctest.Wait()
		wg.Go(func() { wantTruth(t, c, makeTrailers(20, 12)) })
		wg.Wait()
		if took := time.Since(start); took != 0 {
			t.Errorf("a full merge took %v, want no time", took)
		}
		if got := f.Calls(); !slices.Equal(got, []int{24}) {
			t.Errorf("calls of %v trailers, want [24]", got)
		}
		// The old merge's timer must not cut the next one short.
		time.Sleep(wait / 2)
		start = time.Now()
		wantTruth(t, c, makeTrailers(0, 1))
		if took := time.Since(start); took != wait {
			t.Errorf("the next merge took %v, want %v", took, wait)
		}
		c.Close()
	})
}

func TestCoalescePassesLargeBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &verifytest.Fake{}
		c := verify.Coalesce(f, 20, wait)
		var wg sync.WaitGroup
		wg.Go(func() { wantTruth(t, c, makeTrailers(0, 5)) })
		synctest.Wait()
		start := time.Now()
		wantTruth(t, c, makeTrailers(20, 20))
		if took := time.Since(start); took != 0 {
			t.Errorf("took %v, want no time", took)
		}
		wantTruth(t, c, nil)
		wg.Wait()
		if got := f.Calls(); !slices.Equal(got, []int{20, 5}) {
			t.Errorf("calls of %v trailers, want [20 5]", got)
		}
		c.Close()
	})
}

func TestCoalesceCallerLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &verifytest.Fake{}
		c := verify.Coalesce(f, 100, wait)
		ctx, cancel := context.WithCancelCause(t.Context())
		var leaver, stayer sync.WaitGroup
		leaver.Go(func() {
			batch, dst := makeTrailers(0, 5), make([]verify.Result, 5)
			if err := c.VerifyPoW(ctx, dst, batch); !errors.Is(err, errStop) || !allUnchecked(dst) {
				t.Errorf("got %v, %v, want its own cause and no results", err, dst)
			}
			clear(batch) // it is the caller's again
		})
		synctest.Wait()
		stayer.Go(func() { wantTruth(t, c, makeTrailers(10, 5)) })
		synctest.Wait()
		start := time.Now()
		cancel(errStop)
		leaver.Wait()
		if took := time.Since(start); took != 0 {
			t.Errorf("leaving took %v", took)
		}
		stayer.Wait()
		if got := f.Calls(); !slices.Equal(got, []int{10}) {
			t.Errorf("calls of %v trailers, want [10]", got)
		}
		if err := c.VerifyPoW(ctx, make([]verify.Result, 1), makeTrailers(0, 1)); !errors.Is(err, errStop) {
			t.Errorf("with a ctx that has ended: got %v, want its cause", err)
		}
		c.Close()
	})
}

func TestCoalesceAllLeave(t *testing.T) {
	for _, when := range []string{"while gathering", "while computing"} {
		t.Run(when, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ended := false
				f := &verifytest.Fake{Before: func(ctx context.Context, _ int, _ []mcm.Trailer) error {
					<-ctx.Done()
					ended = true
					return nil
				}}
				c := verify.Coalesce(f, 100, wait)
				ctx, cancel := context.WithCancelCause(t.Context())
				var wg sync.WaitGroup
				for range 2 {
					wg.Go(func() {
						if err := c.VerifyPoW(ctx, make([]verify.Result, 5), makeTrailers(0, 5)); !errors.Is(err, errStop) {
							t.Errorf("got %v, want the caller's cause", err)
						}
					})
				}
				if when == "while computing" {
					time.Sleep(2 * wait)
				}
				synctest.Wait()
				cancel(errStop)
				wg.Wait()
				c.Close()
				want := 0
				if when == "while computing" {
					want = 1
				}
				if got := len(f.Calls()); got != want || ended != (want == 1) {
					t.Errorf("%d calls, cancelled %v; want %d, %v", got, ended, want, want == 1)
				}
			})
		})
	}
}

func TestCoalesceSharesErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lost := errors.New("device lost")
		f := &verifytest.Fake{Before: func(context.Context, int, []mcm.Trailer) error { return lost }}
		c := verify.Coalesce(f, 100, wait)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				dst := make([]verify.Result, 5)
				if err := c.VerifyPoW(t.Context(), dst, makeTrailers(0, 5)); !errors.Is(err, lost) || !allUnchecked(dst) {
					t.Errorf("got %v, %v, want %v", err, dst, lost)
				}
			})
		}
		wg.Wait()
		c.Close()
	})
}

func TestCoalesceClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := make(chan struct{})
		f := &verifytest.Fake{Before: gate(ch, 0)}
		c := verify.Coalesce(f, 20, wait)
		var callers, closer sync.WaitGroup
		callers.Go(func() { wantTruth(t, c, makeTrailers(0, 30)) }) // passed on, and stuck
		synctest.Wait()
		callers.Go(func() { wantTruth(t, c, makeTrailers(50, 3)) }) // gathered
		synctest.Wait()
		start, closed := time.Now(), false
		closer.Go(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			closed = true
		})
		synctest.Wait()
		if got := f.Calls(); !slices.Equal(got, []int{30, 3}) || time.Since(start) != 0 {
			t.Errorf("calls of %v trailers after %v, want [30 3] at once", got, time.Since(start))
		}
		if closed {
			t.Error("Close came back while a call was under way")
		}
		for _, n := range []int{1, 30} {
			if err := c.VerifyPoW(t.Context(), make([]verify.Result, n), makeTrailers(0, n)); !errors.Is(err, verify.ErrClosed) {
				t.Errorf("batch of %d after Close: got %v, want ErrClosed", n, err)
			}
		}
		close(ch)
		callers.Wait()
		closer.Wait()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestCoalesceConcurrent(t *testing.T) {
	f := &verifytest.Fake{}
	c := verify.Coalesce(f, 16, 50*time.Microsecond)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 30 {
				wantTruth(t, c, makeTrailers(1000*g+i, 1+(7*g+i)%20))
			}
		})
	}
	wg.Wait()
	c.Close()
}
