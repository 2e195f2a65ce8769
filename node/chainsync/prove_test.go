package chainsync_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/status"
)

// lag has slow engines: the first two calls take half a second, and the second goes on
// until that many trailers have linked, so that most of what links is sampled only.
func (l *lab) lag(trailers int64) {
	gate := synctest.NewGate()
	var calls atomic.Int64
	l.w.Work.Hold = func(ctx context.Context, n int) {
		call := calls.Add(1)
		if call > 2 {
			return
		}
		slow := time.NewTimer(500 * time.Millisecond)
		defer slow.Stop()
		if call == 2 {
			select {
			case <-gate.Through():
			case <-ctx.Done():
			}
		}
		select {
		case <-slow.C:
		case <-ctx.Done():
		}
	}
	l.o.Progress = func(p status.SyncProgress) {
		if p.Trailers >= trailers {
			gate.Open()
		}
	}
}

// TestSampledThenProven syncs where the engines don't keep up: what was sampled only is
// sampled as a whole, and then proven in full, before it is the own chain.
func TestSampledThenProven(t *testing.T) {
	t.Parallel()
	l := newLab(t, 40, 9000)
	l.lag(7000)
	l.o.Limits.Sampled = 256
	var steps []string
	l.o.Hook = func(step string) { steps = append(steps, step) }
	out := l.run(synctest.Branches(l.net.Peers(t, l.w.Chain, 8)...)...)
	l.wantTip(l.w.Chain)
	if strings.Join(steps, " ") != strings.Join(chainsync.Steps(), " ") {
		t.Errorf("steps: %v", steps)
	}
	if q := out.Quick; q == nil || q.Samples != 256 || *q != chainsync.Established(256) {
		t.Errorf("quick: %+v", out.Quick)
	}
	distinct, most := l.w.Work.Counts()
	if want := synctest.Worked(l.w.Chain); most > 1 || distinct < want-synctest.Worked(l.w.Chain[len(l.w.Chain)-54:])-1 {
		t.Errorf("%d of %d trailers checked, one %d times", distinct, want, most)
	}
	l.noStagings()
}

// TestInvalidInFullProof has a heavier branch with one trailer without work that all
// samples miss: the proof of everything finds it, who sent it is charged, and what is
// below it counts if it is the best there is.
func TestInvalidInFullProof(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		own        bool // the honest chain is the node's own
		fork, bad  mcm.BlockNum
		linked     int64
		ends       []chainsync.End
		wantForged bool
	}{
		{"honest goes before the rest", false, 100, 3000, 4500, []chainsync.End{chainsync.Invalid, chainsync.Chosen}, false},
		{"the rest goes before the own chain", true, 4990, 7000, 3500, []chainsync.End{chainsync.Invalid}, true},
		{"the own chain goes before the rest", true, 3500, 4800, 5000, []chainsync.End{chainsync.Invalid}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 41, 5000)
			base := l.w.Base.Num
			l.o.Draw = func(n int) int { return 0 } // the first of each range, which is good
			l.o.Limits.Sampled = 64
			long := l.w.Fork(l.w.Chain, base+c.fork, int(9100-c.fork))
			forged := l.w.Spoil(long, base+c.bad, synctest.BadWork)
			l.w.SetNow(&forged[len(forged)-1])
			liars := l.net.Peers(t, forged, 2)
			b := synctest.Branches(liars...)
			var honest []*synctest.Peer
			if c.own {
				l.own(l.w.Chain)
			} else {
				honest = l.net.Peers(t, l.w.Chain, 3)
				b = append(b, synctest.Branch(honest...))
			}
			l.lag(c.linked)
			out := l.run(ranked(b...)...)
			if c.wantForged {
				l.wantTip(synctest.Upto(forged, base+c.bad-1))
			} else {
				l.wantTip(l.w.Chain)
			}
			wantEnds(t, out, c.ends...)
			if out.Faults[fault.InvalidTrailer] != 1 || len(out.Alarms) > 0 {
				t.Errorf("faults %v, alarms %v", out.Faults, out.Alarms)
			}
			l.unconvicted(honest)
			// Those of the range with the bad one may be checked again.
			if _, most := l.w.Work.Counts(); most > 2 {
				t.Errorf("a trailer was checked %d times", most)
			}
			l.noStagings()
		})
	}
}

// TestInterrupted ends a sync at each of its steps: the own chain is the old one or the
// new one, and the next sync goes on where this one was.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	for _, at := range chainsync.Steps() {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 42, 9000)
			old := synctest.Upto(l.w.Chain, l.w.Base.Num+2000)
			l.own(old)
			l.w.Work.Forget()
			l.lag(6000)
			l.o.Limits.Sampled = 256
			ctx, cancel := context.WithCancelCause(t.Context())
			stop := errors.New("stop")
			l.o.Hook = func(step string) {
				if step == at {
					cancel(stop)
				}
			}
			peers := l.net.Peers(t, l.w.Chain, 8)
			out, err := l.syncer().Run(ctx, synctest.Branches(peers...))
			if !errors.Is(err, stop) {
				t.Fatalf("run: %v", err)
			}
			tip, _ := l.store.Tip()
			switch {
			case tip.Num == l.w.Tip().Num() && out.Switched:
			case tip.Num == old[len(old)-1].Num() && !out.Switched && len(out.Behind) == 1:
			default:
				t.Fatalf("own tip is %v, outcome %+v", tip.Num, out)
			}
			if err := l.store.Close(); err != nil {
				t.Fatal(err)
			}
			l.w.Work.Hold = nil
			l.o.Hook = nil
			l.open()
			had := asked(peers...)
			l.run(synctest.Branches(peers...)...)
			l.wantTip(l.w.Chain)
			if n := asked(peers...) - had; n > 0 && at != "" {
				t.Errorf("%d ranges were fetched again", n)
			}
			if distinct, most := l.w.Work.Counts(); most > 1 {
				t.Errorf("%d trailers checked, one %d times", distinct, most)
			}
			l.noStagings()
		})
	}
}

// TestProgress looks at what is told while a sync is under way.
func TestProgress(t *testing.T) {
	t.Parallel()
	l := newLab(t, 43, 9000)
	l.lag(6000)
	l.o.Limits.Sampled = 256
	watch := l.o.Progress
	var all []status.SyncProgress
	l.o.Progress = func(p status.SyncProgress) {
		watch(p)
		all = append(all, p)
	}
	l.run(synctest.Branches(l.net.Peers(t, l.w.Chain, 8)...)...)
	last := all[len(all)-1]
	if last.Trailers < 8900 || last.Checked < 8500 || last.Received < 160*8900 || last.Sampled == nil || last.Started.IsZero() {
		t.Errorf("at the end: %+v", last)
	}
	if !slices.ContainsFunc(all, func(p status.SyncProgress) bool {
		return len(p.Branches) == 1 && p.Branches[0].Height == l.w.Tip().Num() && p.Stage == "anchoring"
	}) {
		t.Error("nothing was told of the branch")
	}
}
