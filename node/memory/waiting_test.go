package memory

import (
	"net/netip"
	"reflect"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"kigo/node/mcm"
)

// TestWaitingAges loads a waiting branch at many times.
func TestWaitingAges(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  int
	}{
		{0, 1},
		{10 * time.Minute, 1}, // over, and remembered for the next failure
		{10*time.Minute + WaitingTime - time.Second, 1},
		{10*time.Minute + WaitingTime, 0},
		{-time.Hour, 1},                            // 70 minutes to go are possible
		{-WaitingTime + 9*time.Minute, 1},          // within the slack
		{-WaitingTime + 8*time.Minute, 0},          // the clock was set back
		{-100 * 24 * time.Hour, 0},                 // by a lot
		{1000 * 24 * time.Hour, 0},                 // and forth
		{10*time.Minute + 100*time.Minute, 1},      // on the way
		{10*time.Minute + 2*WaitingTime, 0},        // long over
		{10*time.Minute - WaitingTime + 1e9*60, 1}, // a minute before it could begin
	} {
		db := mustOpen(t, tempFile(t), Options{})
		mustSave(t, db, noon, &Changes{Waiting: []Waiting{{Root: hash(1), Until: noon.Add(10 * time.Minute), Failures: 1}}})
		if got := len(mustLoad(t, db, noon.Add(c.after)).Waiting); got != c.want {
			t.Errorf("after %v: %d, expected %d", c.after, got, c.want)
		}
	}
}

// TestServed takes a branch out again, and not the one beside it.
func TestServed(t *testing.T) {
	path := tempFile(t)
	db := mustOpen(t, path, Options{})
	c := full(t)
	mustSave(t, db, noon, c)
	mustSave(t, db, noon, &Changes{Served: []mcm.Hash{c.Waiting[0].Root, hash(99)}})
	mustClose(t, db)
	db = mustOpen(t, path, Options{})
	if got := mustLoad(t, db, noon).Waiting; !reflect.DeepEqual(got, c.Waiting[1:]) {
		t.Errorf("left: %+v", got)
	}
	if db.held[waiting] != 1 {
		t.Errorf("counted: %d", db.held[waiting])
	}
}

func TestWaitingMakesRoom(t *testing.T) {
	path := tempFile(t)
	db := mustOpen(t, path, Options{})
	var all Changes
	for i := range MaxWaiting + 10 {
		all.Waiting = append(all.Waiting, Waiting{Root: hash(i), Until: noon.Add(time.Hour - time.Duration(i)*time.Second), Failures: 1})
	}
	all.Waiting = append(all.Waiting, Waiting{Root: hash(5000), Until: noon.Add(time.Hour), Groups: []netip.Prefix{{}}})
	mustSave(t, db, noon, &all)
	got := mustLoad(t, db, noon).Waiting
	if len(got) != MaxWaiting {
		t.Fatalf("%d left", len(got))
	}
	for _, w := range got {
		if w.Until.Before(noon.Add(time.Hour - (MaxWaiting-1)*time.Second)) {
			t.Errorf("one stays whose wait ends first: %v", w.Until)
		}
	}
	wantSound(t, db, path)
}

// TestFilesWithoutWaiting opens a file as it was before there were waiting branches.
func TestFilesWithoutWaiting(t *testing.T) {
	path := tempFile(t)
	db := mustOpen(t, path, Options{})
	mustSave(t, db, noon, full(t))
	err := db.bolt.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket(waiting.name()) })
	if err != nil {
		t.Fatal(err)
	}
	mustClose(t, db)
	db = mustOpen(t, path, Options{})
	want := sorted(full(t))
	want.Waiting = []Waiting{}
	wantSnapshot(t, "opened", mustLoad(t, db, noon), want)
	mustSave(t, db, noon, full(t))
	wantSnapshot(t, "saved", mustLoad(t, db, noon), sorted(full(t)))
	if names := setAside(t, path); len(names) > 0 {
		t.Errorf("set aside: %v", names)
	}
}
