package status_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kigo/node/status"
)

var noon = time.Unix(1_700_000_000, 0)

func publish(f *status.Feed, n int) {
	for range n {
		f.Publish(noon, status.AlarmRaised, status.Alarm{Kind: "starved"})
	}
}

func TestAfter(t *testing.T) {
	const kept = status.DefaultKept
	for _, c := range []struct {
		name      string
		published int
		after     uint64
		first     uint64 // of the events returned; 0 for none
		count     int
		missed    uint64
	}{
		{"nothing yet", 0, 0, 0, 0, 0},
		{"from the beginning", 3, 0, 1, 3, 0},
		{"resumed", 3, 2, 3, 1, 0},
		{"up to date", 3, 3, 0, 0, 0},
		{"of another run", 3, 4, 1, 3, 0},
		{"a full ring", kept, 0, 1, kept, 0},
		{"the first one gone", kept + 1, 0, 2, kept, 1},
		{"gone, but known", kept + 1, 1, 2, kept, 0},
		{"long away", 3*kept + 7, 10, 2*kept + 8, kept, 2*kept - 3},
		{"the last one", 3*kept + 7, 3*kept + 6, 3*kept + 7, 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var f status.Feed
			publish(&f, c.published)
			events, missed, _ := f.After(c.after)
			if len(events) != c.count || missed != c.missed {
				t.Fatalf("got %d events, %d missed; want %d, %d", len(events), missed, c.count, c.missed)
			}
			for i, e := range events {
				if want := c.first + uint64(i); e.Seq != want {
					t.Fatalf("event %d has number %d, want %d", i, e.Seq, want)
				}
			}
			if f.Last() != uint64(c.published) {
				t.Errorf("last is %d, want %d", f.Last(), c.published)
			}
		})
	}
}

// TestMore has readers that wait for what comes, and miss nothing.
func TestMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f status.Feed
		const total = 500
		var readers sync.WaitGroup
		for range 4 {
			readers.Go(func() {
				seen := uint64(0)
				for seen < total {
					events, missed, more := f.After(seen)
					if missed > 0 {
						t.Errorf("missed %d behind %d", missed, seen)
					}
					for _, e := range events {
						if e.Seq != seen+1 {
							t.Errorf("event %d came behind %d", e.Seq, seen)
						}
						seen = e.Seq
					}
					if len(events) == 0 {
						<-more
					}
				}
			})
		}
		for range total {
			publish(&f, 1)
			synctest.Wait()
		}
		readers.Wait()
	})
}

// TestBegin has a reader of an earlier run's events see all of this one's.
func TestBegin(t *testing.T) {
	const from = 1_700_000_000_000
	for _, after := range []uint64{0, from - 5, from, from + 4*status.DefaultKept} {
		var f status.Feed
		f.Begin(from)
		if f.Last() != from {
			t.Fatalf("last is %d before the first", f.Last())
		}
		publish(&f, 3)
		events, missed, _ := f.After(after)
		if len(events) != 3 || missed != 0 || events[0].Seq != from+1 {
			t.Errorf("after %d: %d events, %d missed", after, len(events), missed)
		}
		publish(&f, status.DefaultKept)
		events, missed, _ = f.After(after)
		if len(events) != status.DefaultKept || missed != 3 || events[0].Seq != from+4 || f.Last() != from+3+status.DefaultKept {
			t.Errorf("after %d: %d events from %d on, %d missed", after, len(events), events[0].Seq, missed)
		}
	}
}
