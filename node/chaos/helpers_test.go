package chaos

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"kigo/cpu"
	"kigo/node/verify"
)

// engine is the fastest way to check work that this machine has, the way the
// node uses it.
var engine = sync.OnceValue(func() verify.Verifier {
	cores := cpu.NewCores(2)
	var backends []verify.Backend
	for _, e := range cpu.Engines() {
		if e.Available {
			backends = append(backends, e.Open(cores))
		}
	}
	return verify.NewRouter(slog.New(slog.DiscardHandler), nil, backends...)
})

// worldTime is when the tests' worlds are.
var worldTime = time.Unix(1_790_000_000, 0)

// world is the world that most tests share.
var world = sync.OnceValue(func() *World {
	w, err := NewWorld(context.Background(), WorldConfig{Seed: 1, Solver: engine(), Now: worldTime})
	if err != nil {
		panic(err)
	}
	return w
})

// oldWorld begins below version 3.
var oldWorld = sync.OnceValue(func() *World {
	w, err := NewWorld(context.Background(), WorldConfig{Seed: 1, Solver: engine(), Now: worldTime, History: 100})
	if err != nil {
		panic(err)
	}
	return w
})

func frozen() time.Time { return worldTime }

func newFleet(t testing.TB, as []Assignment) *Fleet { return newFleetOf(t, world(), as) }

func newFleetOf(t testing.TB, w *World, as []Assignment) *Fleet {
	t.Helper()
	f, err := NewFleet(w, FleetConfig{Seed: 1, Peers: as, Now: frozen, Late: 50 * time.Millisecond, Bound: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}
