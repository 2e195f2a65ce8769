package chaos

import (
	"context"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kigo/node/branch"
	"kigo/node/fault"
	"kigo/node/peer"
	"kigo/node/scan"
	"kigo/node/verify"
)

// patient waits long enough for honest peers of a crowded machine.
func patient(f *Fleet) *peer.Client {
	return peer.NewClient(peer.Options{Port: f.Port(), Dial: Dial, Timeouts: patience})
}

// aWhile is how long tests wait where those who answer must be heard, and others
// never do.  It is meant for a machine on which other tests run; KIGO_TEST_WAIT=800ms
// is enough for one that does nothing else.
var aWhile = func() time.Duration {
	if d, err := time.ParseDuration(os.Getenv("KIGO_TEST_WAIT")); err == nil {
		return d
	}
	return 1500 * time.Millisecond
}()

var patience = peer.Timeouts{
	Connect: aWhile, HelloAck: aWhile, First: aWhile, Packet: aWhile,
	List: aWhile, Proof: aWhile, Range: aWhile, Grace: aWhile,
}

// A thousand peers of all kinds with one to five honest ones among them, in any
// order: each is seen for what it is, and the honest branch is chosen with its
// quorum, every time.
func TestFleet(t *testing.T) {
	seeds, peers := 100, 1000
	if os.Getenv("CI") == "true" {
		seeds = 25 // its time is short
	}
	switch {
	case raceDetector:
		seeds, peers = 2, 200
	case testing.Short():
		seeds = 5
	}
	limit := honestBytes(t) * int64(peers) * 11 / 10

	// Silent peers make a scan wait, so several run at a time, each with a fleet
	// that takes one seed after another.
	next := make(chan uint64)
	var workers sync.WaitGroup
	for range min(5, seeds) {
		f := newFleet(t, nil)
		workers.Go(func() {
			for seed := range next {
				fleetRound(t, f, seed, peers, limit)
			}
		})
	}
	for seed := range uint64(seeds) {
		next <- seed
	}
	close(next)
	workers.Wait()
	peak := peakMemory(t)
	t.Logf("%d MiB at the peak", peak>>20)
	if peak > 256<<20 && !raceDetector {
		t.Errorf("the process took %d MiB at its peak, five fleets included", peak>>20)
	}
}

// cached is the engine behind a cache, as the node has it.
var cached = sync.OnceValue(func() verify.Verifier { return verify.Cached(engine(), 1<<14, nil, nil) })

// fleetRound is one seed of TestFleet.
func fleetRound(t *testing.T, f *Fleet, seed uint64, peers int, limit int64) {
	honestOnes := 1 + int(seed%5)
	as, err := Plan(seed, peers, honestOnes, nil)
	if err != nil {
		t.Error(err)
		return
	}
	var r *scan.Report
	var took time.Duration
	for range tries {
		if err := f.Assign(seed, as); err != nil {
			t.Error(err)
			return
		}
		o := options(f, as)
		o.Client = peer.NewClient(peer.Options{Port: f.Port(), Timeouts: patience, Dial: among(as)})
		o.Verifier = cached()
		o.Parallel = 96 // of five scans at a time
		o.Quorum = branch.Quorum{Peers: honestOnes, Groups: honestOnes}
		began := time.Now()
		if r, err = scan.Run(t.Context(), o); err != nil {
			t.Errorf("seed %d: %v", seed, err)
			return
		}
		took = time.Since(began)
		t.Logf("seed %d: %v", seed, took.Round(time.Millisecond))
		if !honestLate(r, as) {
			break
		}
	}
	if took > time.Minute {
		t.Errorf("seed %d: took %v, want at most a minute", seed, took)
	}
	if r.Chosen < 0 || r.State != scan.Quorum {
		t.Errorf("seed %d: branch %d is chosen, state %s", seed, r.Chosen, r.State)
		return
	}
	wantHonest(t, f.world, r, as)
	rows := map[netip.Addr]*scan.Peer{}
	for i := range r.Peers {
		rows[r.Peers[i].Addr] = &r.Peers[i]
	}
	for _, a := range as {
		p := rows[a.Addr]
		// This machine's fault, if nothing was proven or disproven.
		if wrong := lookUp(a.Kind).Expect.differs(p); wrong != "" && !late(p) {
			t.Errorf("seed %d: %v (%s): %s", seed, a.Addr, a.Kind, wrong)
		}
	}
	if r.Bytes.In > limit {
		t.Errorf("seed %d: %d bytes received, want at most %d", seed, r.Bytes.In, limit)
	}
}

// tries is how often at most something is done whose outcome shows nothing where the
// machine was only slow: it has other tests to run.
const tries = 3

// late reports whether a peer wasn't heard in time.
func late(p *scan.Peer) bool {
	return p != nil && p.Verdict == scan.Unavailable && (p.Reason == fault.Timeout || p.Reason == fault.TooSlow)
}

// honestLate reports whether an honest peer wasn't heard in time.
func honestLate(r *scan.Report, as []Assignment) bool {
	return slices.ContainsFunc(as, func(a Assignment) bool { return a.Kind == plain && late(find(r, a.Addr)) })
}

// among dials these peers and finds everybody else dead without asking.
func among(as []Assignment) func(context.Context, netip.AddrPort) (net.Conn, error) {
	alive := map[netip.Addr]bool{}
	for _, a := range as {
		alive[a.Addr] = true
	}
	return func(ctx context.Context, a netip.AddrPort) (net.Conn, error) {
		if !alive[a.Addr()] {
			return nil, syscall.ECONNREFUSED
		}
		return Dial(ctx, a)
	}
}

// honestBytes returns what an honest peer costs among many.
func honestBytes(t *testing.T) int64 {
	as, err := Plan(0, 50, 50, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, options(newFleet(t, as), as))
	return r.Bytes.In / 50
}

// peakMemory returns the most memory that the process has had.
func peakMemory(t *testing.T) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc here")
	}
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "VmHWM:" {
			kb, err := strconv.ParseInt(fields[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("no peak memory in /proc/self/status")
	return 0
}
