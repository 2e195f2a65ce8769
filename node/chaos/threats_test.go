package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	kigonode "kigo/node"
	"kigo/node/branch"
	"kigo/node/chain"
	"kigo/node/chainsync"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/status"
	"kigo/node/verify"
)

// A threat is one of docs/spec/sync.md section 9 that peers of a kind are.  Its
// bounds are what one such peer may cost a node that bootstraps.
type threat struct {
	name   string
	kind   string
	calls  int64 // connections to it
	bytes  int64 // that it has sent; 0: not looked at, because it sends more than anybody reads
	checks int64 // of work of trailers that aren't the honest chain's
}

// What a list, the handshakes and a proof take, and a range; and what a group may cost
// in an hour.
const (
	proofBytes = 10_500
	rangeBytes = 161_000
	groupBytes = 20_000 * mcm.TrailerLen
)

var threats = []threat{
	{"one liar, maximal weight, no proof", "max-weight-no-proof", 3, 2_000, 0},
	{"liar on the genuine tip, inflated weight", "max-weight-on-tip", 5, proofBytes + 3*rangeBytes, 0},
	{"forged tip proof, no work", "random-bytes", 3, proofBytes, 0},
	{"forged tip proof, no work", "unhashed", 3, proofBytes, 0},
	{"forged tip proof, no work", "no-work", 3, proofBytes, mcm.ProofTrailers},
	{"forged tip proof, work right at all but one", "last-forged", 3, proofBytes, mcm.ProofTrailers},
	{"forged proof, low difficulty, real work", "difficulty-zero", 4, proofBytes + 2*rangeBytes, 1000 + mcm.ProofTrailers},
	{"all-pseudo segment", "all-pseudo", 8, groupBytes, 0},
	{"old genuine segment of higher density as tip", "old-dense", 4, proofBytes + rangeBytes, 0},
	// Those on the honest tip serve genuine ranges, which are of use.
	{"honest tip, weight understated", "weight-one-on-tip", 5, proofBytes + 3*rangeBytes, 0},
	{"any number of pseudo tips on one stem", "pseudo-tip", 3, proofBytes, 0},
	{"supporters of the honest tip by replay", "replay", 5, proofBytes, 0},
	{"many Sybils, one file each", "file-forged-tail", 8, groupBytes, 2000},
	{"many Sybils, one file each", "file-bad-work", 8, groupBytes, 3000},
	{"foreign ranges below a genuine proof", "file-not-proof", 5, proofBytes + 2*rangeBytes, 0},
	{"slow sender in proof", "drip", 3, proofBytes, 0},
	{"slow sender in scan", "silent", 3, 1, 0},
	{"oversize proof", "trailers-65535", 3, 0, 0},
	{"oversize list", "huge-list", 5, 0, 0},
	{"reorganisation during sync", "seam-once", 8, 10 * rangeBytes, mcm.ProofTrailers},
}

// A foreignCounter counts what it is given that isn't on a chain.
type foreignCounter struct {
	verify.Verifier
	own map[mcm.Hash]bool
	n   atomic.Int64
}

func (c *foreignCounter) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	for i := range batch {
		if !c.own[*batch[i].Hash()] {
			c.n.Add(1)
		}
	}
	return c.Verifier.VerifyPoW(ctx, dst, batch)
}

// bootstrap has an empty node find its chain among the peers, and returns how long
// that took, what the peers have counted, and how many checks of work went to other
// trailers than the honest ones.
func bootstrap(t *testing.T, w *World, as []Assignment) (took time.Duration, stats []Stats, foreign int64) {
	t.Helper()
	f, err := NewFleet(w, FleetConfig{Seed: 1, Peers: as, Late: 50 * time.Millisecond, Bound: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	store, err := chain.Open(t.TempDir(), chain.Options{Base: w.Base})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	count := &foreignCounter{Verifier: engine(), own: map[mcm.Hash]bool{}}
	for i := range w.main.trailers {
		count.own[*w.main.trailers[i].Hash()] = true
	}
	o := options(f, as)
	o.Now = nil
	o.Client = patient(f)
	o.Verifier = verify.Cached(count, 1<<16, nil, nil)
	o.Anchors = []proof.Anchor{w.Base}
	o.Quorum = branch.Quorum{Peers: 3, Groups: 3}
	n, err := kigonode.New(kigonode.Options{
		Chain: store, Scan: o,
		Sync:  chainsync.Options{Base: w.Base, Limits: chainsync.Limits{FirstByte: aWhile, Complete: aWhile, End: 4 * aWhile}},
		Times: kigonode.Times{Poll: time.Hour, Retry: 100 * time.Millisecond, Pause: 100 * time.Millisecond, Stale: 3 * time.Hour},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ended := make(chan error, 1)
	begun := time.Now()
	go func() { ended <- n.Run(ctx) }()
	seq := uint64(0)
	for {
		events, _, more := n.Events().After(seq)
		for _, e := range events {
			seq = e.Seq
		}
		if s := n.Status(); s.State == status.Follow && s.Tip != nil && w.OnChain(s.Tip.Hash) {
			break
		}
		select {
		case <-more:
		case <-time.After(50 * time.Millisecond): // not all is an event
		case <-ctx.Done():
			t.Fatalf("the node isn't content: %+v", n.Status())
		}
	}
	took = time.Since(begun)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return took, f.Stats(), count.n.Load()
}

// TestThreats measures what each threat costs a node that bootstraps among as many
// such peers as honest ones: docs/threats.md has the figures beside those of the
// specification.
func TestThreats(t *testing.T) {
	if raceDetector {
		t.Skip("takes a while")
	}
	const each = 4
	w := liveWorld(t, WorldConfig{Blocks: 2500})
	usual, _, foreign := bootstrap(t, w, crowd(times(each, plain)...))
	if foreign > 0 {
		t.Errorf("honest peers alone: %d checks of other trailers than theirs", foreign)
	}
	t.Logf("honest peers alone: %v", usual.Round(time.Millisecond))
	t.Log("| threat | kind | calls | bytes | checks of work | later by |")
	seen := map[string]bool{}
	for _, x := range threats {
		if testing.Short() && seen[x.name] {
			continue
		}
		seen[x.name] = true
		var took time.Duration
		var calls, bytes, foreign int64 // the most of any of them
		exceeded := true
		for n := 0; n < tries && exceeded; n++ { // a machine that is busy makes a node scan again
			var stats []Stats
			took, stats, foreign = bootstrap(t, w, crowd(slices.Concat(times(each, plain), times(each, x.kind))...))
			calls, bytes = 0, 0
			for _, s := range stats {
				if s.Kind == x.kind {
					calls, bytes = max(calls, s.Connections), max(bytes, s.BytesOut)
				}
			}
			foreign = (foreign + each - 1) / each
			exceeded = calls > x.calls || x.bytes > 0 && bytes > x.bytes || foreign > x.checks
		}
		shown := fmt.Sprint(bytes)
		if x.bytes == 0 {
			shown = "-"
		}
		t.Logf("| %s | %s | %d | %s | %d | %v |", x.name, x.kind, calls, shown, foreign, max(0, took-usual).Round(10*time.Millisecond))
		if exceeded {
			t.Errorf("%s: %d calls, %d bytes, %d checks a peer, expected at most %d, %d and %d", x.kind, calls, bytes, foreign, x.calls, x.bytes, x.checks)
		}
	}
}

// Each test that docs/threats.md names is there.
func TestThreatsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]bool{}
	for _, pattern := range []string{"../*_test.go", "../*/*_test.go", "../../cmd/*/*_test.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(b, -1) {
				tests[string(m[1])] = true
			}
		}
	}
	names := regexp.MustCompile("`(Test\\w+)`").FindAllSubmatch(text, -1)
	if len(names) < 30 {
		t.Errorf("only %d tests are named", len(names))
	}
	for _, m := range names {
		if !tests[string(m[1])] {
			t.Errorf("docs/threats.md names %s, which isn't there", m[1])
		}
	}
}
