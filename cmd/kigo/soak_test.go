//go:build linux

package main

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"kigo/node/chaos"
	"kigo/node/verify"
)

// soakEnv is for how long a node is left among peers that come and go, such as 1h.
const soakEnv = "KIGO_TEST_SOAK"

// Shape of the soak.
const (
	soakBlocks  = 3000
	soakHonest  = 8
	soakHostile = 32
	soakNew     = 6                // hostile peers in each turn that nobody has met
	soakPool    = 4000             // addresses that hostile peers have in turn
	soakTurn    = 10 * time.Second // between two changes of the network
	soakLook    = time.Second      // between two looks at the node
	soakMemory  = 300 << 10        // kB that the node may have, at any time
)

// heardAt is where the node listens, in the fleet's port.
var heardAt = netip.MustParseAddr("127.255.0.9")

// A soak is a node and a network that doesn't keep still.
type soak struct {
	*testing.T
	net     *testNet
	rng     *rand.Rand
	chain   *chaos.Chain    // that the honest are on
	known   map[string]bool // hashes of all blocks that they ever were on
	kinds   []string        // of hostile peers
	hostile []chaos.Assignment
	used    int // addresses of the pool
	turns   int
	forks   int
	looks   []look
}

// A look is at what a node takes.
type look struct{ memory, goroutines, files float64 }

// TestSoak has a node live among honest peers and hostile ones that come, go and
// change kind, while the chain grows and forks.
func TestSoak(t *testing.T) {
	text := os.Getenv(soakEnv)
	if text == "" {
		t.Skipf("takes as long as %s says", soakEnv)
	}
	long, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	router, engine := openRouter()
	defer router.Close()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	s := newSoak(t, router, seed)
	config := s.net.config(t, engine)
	text = string(readFile(t, config))
	text = replaceOnce(t, text, "  poll: 100ms\n  stale: 3h\n",
		fmt.Sprintf("  poll: 1s\n  rescan: 30s\n  listen: %q\n", netip.AddrPortFrom(heardAt, s.net.Port())))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l := live(t, config, filepath.Join(t.TempDir(), "data"), childSpec{})
	if !l.until(t, "the first chain", 2*time.Minute, on(s.chain)) {
		t.Fatalf("the node has ended: %v\n%s", l.err, l.lately())
	}

	turn, watch, end := time.NewTicker(soakTurn), time.NewTicker(soakLook), time.NewTimer(long)
	defer turn.Stop()
	defer watch.Stop()
	defer end.Stop()
	for going := true; going; {
		select {
		case <-turn.C:
			s.turn()
		case <-watch.C:
			s.look(l)
		case <-l.done:
			t.Fatalf("the node has ended: %v\n%s", l.err, l.lately())
		case <-end.C:
			going = false
		}
	}
	if !l.until(t, "the honest tip, followed", 3*time.Minute, func(n *nodeStatus) bool { return on(s.chain)(n) && n.State == "follow" }) {
		t.Fatalf("the node has ended: %v\n%s", l.err, l.lately())
	}
	l.stop(t)
	s.judge()
}

func newSoak(t *testing.T, v verify.Verifier, seed uint64) *soak {
	t.Helper()
	w, err := chaos.NewWorld(t.Context(), chaos.WorldConfig{Seed: seed, Solver: v, Now: time.Now(), Blocks: soakBlocks})
	if err != nil {
		t.Fatal(err)
	}
	s := &soak{T: t, rng: rand.New(rand.NewPCG(seed, 1)), chain: w.Chain(), known: map[string]bool{}, kinds: hostileKinds()}
	for range soakHostile {
		s.hostile = append(s.hostile, s.stranger())
	}
	s.net = newTestNet(t, w, s.plan(), chaos.FleetConfig{Bound: time.Minute})
	s.meet()
	return s
}

// hostileKinds are those that a node can be left among: they forge what is beside the
// chain, not what is ahead of it.
func hostileKinds() (kinds []string) {
	for _, name := range demoKinds() {
		for _, k := range chaos.Kinds() {
			if k.Name == name && k.Family != chaos.Honest {
				kinds = append(kinds, name)
			}
		}
	}
	return kinds
}

// stranger returns a hostile peer at an address that nobody has met, or hasn't for
// long.
func (s *soak) stranger() chaos.Assignment {
	n := s.used % soakPool
	s.used++
	return chaos.Assignment{
		Addr: netip.AddrFrom4([4]byte{127, byte(80 + n/250), byte(1 + n%250), 1}),
		Kind: s.kinds[s.rng.IntN(len(s.kinds))],
	}
}

// plan returns all peers there are now.
func (s *soak) plan() []chaos.Assignment {
	return append(crowd(slices.Repeat([]string{"honest"}, soakHonest)), s.hostile...)
}

// meet notes the blocks of the chain, but for those it has shared with the one before
// for long.
func (s *soak) meet() {
	ts := s.chain.Trailers()
	for i := max(0, len(ts)-500); i < len(ts); i++ {
		s.known[ts[i].Hash().String()] = true
	}
}

// turn changes the network: some peers leave, some come, some change their kind, and
// the chain may go on.
func (s *soak) turn() {
	s.turns++
	s.rng.Shuffle(len(s.hostile), func(i, j int) { s.hostile[i], s.hostile[j] = s.hostile[j], s.hostile[i] })
	for i := range soakNew {
		s.hostile[i] = s.stranger()
	}
	for i := range soakNew {
		s.hostile[soakNew+i].Kind = s.kinds[s.rng.IntN(len(s.kinds))]
	}
	s.grow()
	if err := s.net.Assign(s.rng.Uint64(), s.plan()); err != nil {
		s.Fatal(err)
	}
	s.net.Follow(s.chain)
	from := s.plan()[s.rng.IntN(soakHonest+soakHostile)].Addr
	ctx, cancel := context.WithTimeout(s.Context(), 5*time.Second)
	defer cancel()
	_ = s.net.Announce(ctx, from, netip.AddrPortFrom(heardAt, s.net.Port())) // who is banned is not listened to
}

// grow adds a block to the chain when it is time, or has another branch outgrow it.
// Blocks that come fast make the next one harder, so some come late.
func (s *soak) grow() {
	now := time.Now()
	tip := s.chain.Tip()
	ts := s.chain.Trailers()
	last := &ts[len(ts)-1]
	age := now.Sub(time.Unix(int64(tip.Time), 0))
	if age < 2*time.Second || age < 140*time.Second && last.Difficulty() > 7 {
		return
	}
	depth := 0
	switch draw := s.rng.IntN(10); {
	case draw < 3:
		depth = 1 + s.rng.IntN(6)
	case draw == 3:
		depth = 60 + s.rng.IntN(60)
	}
	if depth > 0 {
		s.forks++
	}
	c, err := s.net.world.Fork(s.Context(), s.chain, depth, 1, now)
	if err != nil {
		s.Fatal(err)
	}
	s.chain = c
	s.meet()
}

// look takes down what the node takes, and makes sure that it is on a chain that the
// honest were on.
func (s *soak) look(l *life) {
	n, ok := l.status()
	if !ok {
		return // a busy machine
	}
	if n.Tip == nil {
		s.Fatalf("it has lost its chain: state %s: %s", n.State, n.Reason)
	}
	if !s.known[n.Tip.Hash] {
		s.Errorf("it is on %s at %d, where nobody honest was", n.Tip.Hash, n.Tip.Height)
	}
	now := look{float64(l.inside(s, "VmRSS")), l.metric("go_goroutines"), l.metric("process_open_fds")}
	if now.goroutines < 0 || now.files < 0 {
		return
	}
	s.looks = append(s.looks, now)
	if len(s.looks)%60 == 1 {
		s.Logf("%d looks: %s at %d, %.0f kB, %.0f goroutines, %.0f files; %d turns, %d strangers, %d blocks, %d forks",
			len(s.looks), n.State, n.Tip.Height, now.memory, now.goroutines, now.files, s.turns, s.used, len(s.chain.Trailers()), s.forks)
	}
}

// judge fails if the node took too much, or more and more.
func (s *soak) judge() {
	q := len(s.looks) / 4
	if q < 10 {
		s.Fatalf("%d looks are too few to tell", len(s.looks))
	}
	for _, x := range []struct {
		what        string
		of          func(look) float64
		most, slack float64 // slack is what doesn't count as growth, beside a tenth
	}{
		{"kB of memory", func(l look) float64 { return l.memory }, soakMemory, 16 << 10},
		{"goroutines", func(l look) float64 { return l.goroutines }, 1000, 20},
		{"open files", func(l look) float64 { return l.files }, 1000, 20},
	} {
		// What no collection, and no load that delays one, has a say in.
		least := func(ls []look) float64 {
			return x.of(slices.MinFunc(ls, func(a, b look) int { return cmp.Compare(x.of(a), x.of(b)) }))
		}
		second, last, most := least(s.looks[q:2*q]), least(s.looks[len(s.looks)-q:]), 0.0
		for _, l := range s.looks {
			most = max(most, x.of(l))
		}
		s.Logf("%s: at least %.0f in the second quarter, %.0f in the last, %.0f at most", x.what, second, last, most)
		if last > second*1.1+x.slack {
			s.Errorf("%s: grown from %.0f to %.0f", x.what, second, last)
		}
		if most > x.most {
			s.Errorf("%s: %.0f, expected at most %.0f", x.what, most, x.most)
		}
	}
}
