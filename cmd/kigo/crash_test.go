//go:build linux

package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kigo/cpu"
	"kigo/node/chain"
	"kigo/node/chainsync"
	"kigo/node/chaos"
	"kigo/node/mcm"
	"kigo/node/tfile"
	"kigo/node/verify"
)

// crashEnv is how many times a run of kigo is killed at a random moment, and has
// every step met in everything that a node does, not only once.
const crashEnv = "KIGO_TEST_CRASH"

// Sizes of the crash tests.
const (
	crashBlocks = 6000
	crashRate   = 4000 // trailers a second, so that there is something to kill
	crashWait   = 2 * time.Minute
)

// A crashWorld is what the nodes of these tests live through.
type crashWorld struct {
	*chaos.World
	first, next, fork, deep *chaos.Chain // each heavier than the one before
}

var theCrashWorld = sync.OnceValues(func() (*crashWorld, error) {
	router, _ := openRouter()
	ctx := context.Background()
	w, err := chaos.NewWorld(ctx, chaos.WorldConfig{Seed: 3, Solver: router, Now: time.Now(), Blocks: crashBlocks})
	if err != nil {
		return nil, err
	}
	c := &crashWorld{World: w, first: w.Chain()}
	ago := func(s int) time.Time { return w.Now.Add(-time.Duration(s) * time.Second) }
	if c.next, err = w.Grow(ctx, c.first, 1, ago(15)); err != nil {
		return nil, err
	}
	if c.fork, err = w.Fork(ctx, c.next, 3, 1, ago(10)); err != nil {
		return nil, err
	}
	c.deep, err = w.Fork(ctx, c.fork, 700, 1, ago(5))
	return c, err
})

// openRouter opens the engines of this machine, and returns the name of the first of
// them.
func openRouter() (r *verify.Router, first string) {
	cores := cpu.NewCores(2)
	var backends []verify.Backend
	for _, e := range cpu.Engines() {
		if e.Available {
			if backends = append(backends, e.Open(cores)); first == "" {
				first = e.Name
			}
		}
	}
	return verify.NewRouter(nil, nil, backends...), first
}

// A crashTest is one node that is killed time and again.
type crashTest struct {
	*testing.T
	net    *testNet
	w      *crashWorld
	config string
	dir    string // its data folder
	log    string
	lives  int
	held   [][]byte // chains that its folder may have
	spent  []workLog
}

func newCrashTest(t *testing.T) *crashTest {
	t.Helper()
	w, err := theCrashWorld()
	if err != nil {
		t.Fatal(err)
	}
	kinds := slices.Repeat([]string{"honest"}, 6)
	c := &crashTest{T: t, w: w, net: newTestNet(t, w.World, crowd(kinds), chaos.FleetConfig{})}
	c.configure("")
	c.fresh()
	return c
}

// configure has the next lives run with these settings too.
func (c *crashTest) configure(more string) {
	router, engine := openRouter()
	_ = router.Close()
	c.net.more = more
	c.config = c.net.config(c, engine)
}

// fresh gives the node an empty folder.
func (c *crashTest) fresh() {
	c.dir = filepath.Join(c.TempDir(), "data")
	c.held, c.spent = [][]byte{nil}, nil
}

// live starts the node.
func (c *crashTest) live(spec childSpec) *life {
	c.lives++
	c.log = filepath.Join(c.TempDir(), "log")
	spec.Log = c.log
	if err := os.WriteFile(c.log, nil, 0o600); err != nil {
		c.Fatal(err)
	}
	return live(c, c.config, c.dir, spec)
}

// ended takes in what the last life has done.
func (c *crashTest) ended() workLog {
	w := readWorkLog(c, c.log)
	c.spent = append(c.spent, w)
	return w
}

// file returns the trailers of a chain as tfile.dat has them.
func file(c *chaos.Chain) []byte { return mcm.Bytes(c.Trailers()) }

// wantOneOf fails unless the folder, as it was left, opens as one of these chains.
// Nothing in it is touched.
func (c *crashTest) wantOneOf(what string, chains ...[]byte) {
	c.Helper()
	copied := filepath.Join(c.TempDir(), "copy")
	copyFolder(c, c.dir, copied)
	defer os.RemoveAll(copied)
	s, err := chain.Open(copied, chain.Options{Base: c.w.Base})
	if err != nil {
		c.Fatalf("%s: %v", what, err)
	}
	defer s.Close()
	var got []byte
	if _, have := s.Tip(); have {
		ts, err := s.Trailers(c.w.Base.Num, 1<<20)
		if err != nil {
			c.Fatalf("%s: %v", what, err)
		}
		got = mcm.Bytes(ts)
	}
	if n := s.Notices(); len(n) > 0 {
		c.Errorf("%s: notices %q", what, n)
	}
	for _, want := range chains {
		if bytes.Equal(got, want) {
			return
		}
	}
	c.Fatalf("%s: a chain of %d trailers, which is neither the old one nor the new one", what, len(got)/mcm.TrailerLen)
}

// wantFile fails unless tfile.dat is this chain, byte for byte.
func (c *crashTest) wantFile(what string, want *chaos.Chain) {
	c.Helper()
	if got := readFile(c, filepath.Join(c.dir, "tfile.dat")); !bytes.Equal(got, file(want)) {
		c.Fatalf("%s: tfile.dat has %d bytes, expected %d, or others", what, len(got), len(file(want)))
	}
}

// wantLittleTwice fails if trailers were checked again after kills, but for one batch
// each: the one that was under way, or done and not yet written down.  Proofs of tips
// are checked by every life anew, and a sample of a branch whose life ended before it
// was remembered.
func (c *crashTest) wantLittleTwice(what string) (again int) {
	c.Helper()
	const proof = mcm.ProofTrailers
	allowed, largest := 0, 0
	seen := map[string]bool{}
	for _, w := range c.spent {
		mine := map[string]bool{}
		for i, batch := range w.batches {
			for _, id := range batch {
				if mine[id] {
					c.Errorf("%s: trailer %s was checked twice in one life", what, id)
				}
				if mine[id] = true; seen[id] {
					again++
				}
			}
			if i == len(w.batches)-1 {
				allowed += len(batch) + w.drawn
			}
			largest = max(largest, len(batch))
		}
		maps.Copy(seen, mine)
		allowed += 2 * proof // the tip, and the one before a new block
	}
	if again > allowed {
		for i, w := range c.spent {
			var batches []string
			for _, batch := range w.batches {
				later := 0
				for _, id := range batch {
					for _, next := range c.spent[i+1:] {
						if next.has(id) {
							later++
							break
						}
					}
				}
				batches = append(batches, fmt.Sprintf("%d (%d)", len(batch), later))
			}
			c.Logf("life %d, batches and how many of each were checked again: %s; steps %q", i, strings.Join(batches, ", "), w.steps[max(0, len(w.steps)-4):])
		}
		c.Errorf("%s: %d trailers were checked again in %d lives, expected at most %d", what, again, len(c.spent), allowed)
	}
	c.Logf("%s: %d trailers checked in %d lives, %d of them again, at most %d allowed; the largest batch had %d", what, len(seen), len(c.spent), again, allowed, largest)
	return again
}

// An act is something that befalls a node.
type crashAct struct {
	name   string
	to     func(w *crashWorld) *chaos.Chain // where the peers are, and the node ends
	before func(c *crashTest)               // nil: nothing
	heals  bool                             // it begins with a damaged store
	rate   int                              // of its engines; 0: crashRate

	only string // it is there for this step, which the others may have met; empty: always
}

func crashActs() []crashAct {
	first := func(w *crashWorld) *chaos.Chain { return w.first }
	deep := func(w *crashWorld) *chaos.Chain { return w.deep }
	return []crashAct{
		{name: "liars", to: first, before: func(c *crashTest) {
			kinds := slices.Repeat([]string{"honest"}, 3)
			for _, k := range chaos.Kinds() {
				if k.Family == chaos.Files && strings.HasPrefix(k.Name, "file-") {
					kinds = append(kinds, k.Name)
				}
			}
			if err := c.net.Assign(1, crowd(kinds)); err != nil {
				c.Fatal(err)
			}
			c.configure("")
			c.fresh()
		}},
		{name: "an empty node", to: first, before: func(c *crashTest) {
			if err := c.net.Assign(1, crowd(slices.Repeat([]string{"honest"}, 6))); err != nil {
				c.Fatal(err)
			}
			c.configure("")
			c.fresh()
		}},
		{name: "slow engines", to: first, rate: 1500, only: "sync.sampled", before: (*crashTest).fresh},
		{name: "peers that have changed branches", to: func(w *crashWorld) *chaos.Chain { return w.fork }, before: func(c *crashTest) {
			c.fresh()
			c.net.Follow(c.w.first)
			const step = "staging: work recorded"
			past := slices.DeleteFunc(append(chain.Steps(), chainsync.Steps()...), func(s string) bool { return s == step })
			l := c.live(childSpec{Die: true, Past: past, Rate: crashRate})
			l.until(c, "its death", crashWait, func(*nodeStatus) bool { return false })
			if w := c.ended(); w.died != step {
				c.Fatalf("it died at %q", w.died)
			}
			c.net.Follow(c.w.next)
		}},
		{name: "an empty node again", to: first, before: (*crashTest).fresh},
		{name: "a new block", to: func(w *crashWorld) *chaos.Chain { return w.next }},
		{name: "a fork", to: func(w *crashWorld) *chaos.Chain { return w.fork }},
		{name: "a deep fork", to: deep},
		{name: "a damaged chain", to: deep, heals: true, before: func(c *crashTest) {
			name := filepath.Join(c.dir, "tfile.dat")
			b := readFile(c, name)
			b[len(b)/2] ^= 1
			if err := os.WriteFile(name, b, 0o600); err != nil {
				c.Fatal(err)
			}
		}},
		{name: "a torn chain", to: deep, heals: true, before: func(c *crashTest) {
			if err := os.Truncate(filepath.Join(c.dir, "tfile.dat"), 333_333); err != nil {
				c.Fatal(err)
			}
		}},
		{name: "another node's file", to: deep, before: func(c *crashTest) {
			c.fresh()
			other := c.TempDir()
			f, err := os.Create(filepath.Join(other, "tfile.dat"))
			if err != nil {
				c.Fatal(err)
			}
			// It begins at the genesis; nobody looks at what is below the base.
			_, err = f.WriteAt(file(c.w.fork), int64(c.w.Base.Num)*mcm.TrailerLen)
			if err = errors.Join(err, f.Close()); err != nil {
				c.Fatal(err)
			}
			c.held = append(c.held, file(c.w.fork))
			c.configure(fmt.Sprintf("data:\n  import: %q\n", other))
		}},
		{name: "a floor", to: deep, before: func(c *crashTest) {
			c.fresh()
			at := c.w.Anchor(1500)
			pin := tfile.Pin{Height: at.Num, Hash: at.Hash, Weight: at.Weight, Pieces: make([]mcm.Hash, (int(at.Num)+tfile.PieceTrailers)/tfile.PieceTrailers)}
			text, err := json.Marshal(&pin)
			if err != nil {
				c.Fatal(err)
			}
			floor := filepath.Join(c.net.dir, "floor.json")
			if err := os.WriteFile(floor, text, 0o600); err != nil {
				c.Fatal(err)
			}
			c.configure("")
			text = readFile(c, c.config)
			text = bytes.Replace(text, []byte("chain:\n"), fmt.Appendf(nil, "chain:\n  floor: %q\n", floor), 1)
			if err := os.WriteFile(c.config, text, 0o600); err != nil {
				c.Fatal(err)
			}
		}},
	}
}

// TestKilledAtEachStep kills a node at each named step of its store and its syncs,
// with everything that can befall it, and has the next one go on from there.
func TestKilledAtEachStep(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute")
	}
	t.Parallel()
	c := newCrashTest(t)
	met := map[string]bool{}
	for _, act := range crashActs() {
		if !met[act.only] {
			c.perform(&act, met)
		}
	}
	for _, step := range append(chain.Steps(), chainsync.Steps()...) {
		if !met[step] {
			t.Errorf("nobody was killed at %q", step)
		}
	}
	t.Logf("%d steps, %d lives", len(met), c.lives)
	if os.Getenv(crashEnv) == "" {
		return
	}
	for _, act := range crashActs() {
		c.perform(&act, map[string]bool{})
	}
	t.Logf("each step with each act: %d lives", c.lives)
}

// perform has an act befall the node, and kills it at each step that isn't in met yet.
func (c *crashTest) perform(act *crashAct, met map[string]bool) {
	c.Helper()
	c.spent = nil
	if act.before != nil {
		act.before(c)
	}
	to := act.to(c.w)
	c.net.Follow(to)
	c.held = append(c.held, file(to))
	past := slices.Collect(maps.Keys(met))
	for {
		l := c.live(childSpec{Die: true, Past: past, Rate: cmp.Or(act.rate, crashRate)})
		l.until(c, act.name, crashWait, func(s *nodeStatus) bool { return on(to)(s) && l.metric("kigo_chain_pending_trailers") == 0 })
		_ = l.cmd.Process.Signal(os.Interrupt) // it may have died
		<-l.done
		w := c.ended()
		if w.died == "" {
			if l.err != nil {
				c.Fatalf("%s: %v\n%s", act.name, l.err, l.lately())
			}
			break
		}
		past, met[w.died] = append(past, w.died), true
		if !act.heals {
			c.wantOneOf(fmt.Sprintf("%s, killed at %q", act.name, w.died), c.held...)
		}
	}
	c.held = [][]byte{file(to)}
	c.wantFile(act.name, to)
	c.wantLittleTwice(act.name)
}

// TestKilledAtRandom kills a node at random moments.
func TestKilledAtRandom(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	kills := 6
	if text := os.Getenv(crashEnv); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	t.Parallel()
	c := newCrashTest(t)
	usual := 2 * time.Second // that an uninterrupted life takes
	for killed, round := 0, 0; killed < kills; round++ {
		c.fresh()
		for _, to := range []*chaos.Chain{c.w.first, c.w.deep} {
			c.net.Follow(to)
			c.spent = nil
			c.held = append(c.held, file(to))
			for dead := 0; ; dead++ {
				l := c.live(childSpec{Rate: crashRate})
				if killed < kills && dead < 10 {
					moment := time.Duration(rng.Int64N(int64(usual)))
					select {
					case <-l.done:
						t.Fatalf("%v\n%s", l.err, l.lately())
					case <-time.After(moment):
					}
					if s, ok := l.status(); ok && on(to)(&s) {
						usual = max(usual*7/8, time.Second/2) // all was done by then
					} else {
						usual = min(usual*9/8, 20*time.Second)
					}
					l.kill()
					killed++
					c.ended()
					c.wantOneOf(fmt.Sprintf("killed after %v", moment), c.held...)
					continue
				}
				if !l.until(t, "the chain", crashWait, on(to)) {
					t.Fatalf("%v\n%s", l.err, l.lately())
				}
				l.stop(t)
				c.ended()
				break
			}
			c.held = [][]byte{file(to)}
			c.wantFile("in the end", to)
			c.wantLittleTwice("killed at random")
		}
	}
	t.Logf("%d lives", c.lives)
}

// TestFullDisk fills the disk that a node writes to, and then makes room.
func TestFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	t.Parallel()
	c := newCrashTest(t)
	c.net.Follow(c.w.first)
	disk := t.TempDir()
	if err := syscall.Mount("none", disk, "tmpfs", 0, "size=3m"); err != nil {
		t.Skipf("no disk of our own to fill: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	filler := filepath.Join(disk, "filler")
	if err := os.WriteFile(filler, make([]byte, 5<<19), 0o600); err != nil {
		t.Fatal(err)
	}
	c.dir = filepath.Join(disk, "data")
	l := c.live(childSpec{})
	l.wantNotice(t, syscall.ENOSPC)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	l.until(t, "the chain", crashWait, on(c.w.first))
	l.stop(t)
	c.wantFile("after a full disk", c.w.first)
}

// wantNotice waits until it has logged what the system said, and fails if it ends, or
// has a tip by then.
func (l *life) wantNotice(t *testing.T, errno syscall.Errno) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(crashWait); l.alive() && !strings.Contains(l.said(), errno.Error()); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%v: nobody noticed\n%s", errno, l.lately())
		}
	}
	if s, ok := l.status(); ok && s.Tip != nil {
		t.Errorf("%v: it has a tip", errno)
	}
	if !l.alive() {
		t.Fatalf("%v: it has ended: %v\n%s", errno, l.err, l.lately())
	}
}

// TestFileTooLong has the system refuse writes in the middle of a sync, as a full disk
// does, and then allow them again.
func TestFileTooLong(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a while")
	}
	t.Parallel()
	c := newCrashTest(t)
	c.net.Follow(c.w.first)
	for _, size := range []uint64{200_000, 600_000} { // less than the chain has
		c.fresh()
		l := c.live(childSpec{FileSize: size})
		l.wantNotice(t, syscall.EFBIG)
		l.setFileSize(t, ^uint64(0))
		l.until(t, "the chain", crashWait, on(c.w.first))
		l.stop(t)
		c.ended()
		c.wantFile("after a full disk", c.w.first)
	}
}
