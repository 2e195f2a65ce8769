package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"kigo/cpu"
	"kigo/node/chaos"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/scan"
	"kigo/node/tfile"
	"kigo/node/verify"
)

// testWorld is the chain of the fleets of these tests.
var testWorld = sync.OnceValues(func() (*chaos.World, error) {
	cores := cpu.NewCores(2)
	var backends []verify.Backend
	for _, e := range cpu.Engines() {
		if e.Available {
			backends = append(backends, e.Open(cores))
		}
	}
	router := verify.NewRouter(slog.New(slog.DiscardHandler), nil, backends...)
	defer router.Close()
	return chaos.NewWorld(context.Background(), chaos.WorldConfig{Seed: 1, Solver: router, Now: time.Now()})
})

// A testFleet is a fleet with one peer of each kind named, each in a group of its
// own: the first at 127.1.0.1.
type testFleet struct {
	*chaos.Fleet
	addrs []string
}

func newTestFleet(t testing.TB, kinds ...string) *testFleet {
	t.Helper()
	world, err := testWorld()
	if err != nil {
		t.Fatal(err)
	}
	var plan []chaos.Assignment
	f := &testFleet{}
	for i, kind := range kinds {
		a := netip.AddrFrom4([4]byte{127, byte(i + 1), 0, 1})
		plan = append(plan, chaos.Assignment{Addr: a, Kind: kind})
		f.addrs = append(f.addrs, a.String())
	}
	if f.Fleet, err = chaos.NewFleet(world, chaos.FleetConfig{Seed: 1, Peers: plan, Late: 10 * time.Millisecond, Bound: time.Minute}); err != nil {
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

// args are words that aim a command at the fleet, with a new data folder.
func (f *testFleet) args(t testing.TB, command string, more ...string) []string {
	return append([]string{command, "--port", fmt.Sprint(f.Port()), "--retry", "10ms", "--data-dir", t.TempDir()}, more...)
}

// peers are flags that name all peers of the fleet.
func (f *testFleet) peers() (flags []string) {
	for _, a := range f.addrs {
		flags = append(flags, "--peer", a)
	}
	return flags
}

// A scanned is what kigo scan --json and kigo check --json print, as far as the
// tests look at it.
type scanned struct {
	State    scan.State
	DataDir  *string `json:"data_dir"`
	Chosen   int
	Branches []struct {
		Chosen, Quorum bool
		Peers          []string
	}
	Peers []struct {
		Addr     string
		Verdict  scan.Verdict
		Reason   string
		Evidence []string
		Claim    *struct {
			Height      uint64
			Tip, Weight string
		}
	}
}

func scannedFrom(t testing.TB, s string) (r scanned) {
	t.Helper()
	fromJSONLoosely(t, s, &r)
	return r
}

func TestScanFindsTheQuorum(t *testing.T) {
	f := newTestFleet(t, "honest", "honest", "honest", "garbage-proof", "max-weight-stem", "max-weight-no-proof", "bad-ids")
	out := kigo(t, f.args(t, "scan", f.peers()...)...)
	table := out.want(t, exitOK)
	contains(t, "the table", table, "branch 1, chosen: 3 peers in 3 groups", "convicted: 2 peers", "127.4.0.1", "QUORUM: 3 proven peers in 3 groups", "not proven", "2 records of evidence: kigo evidence list --data-dir ")
	if strings.Contains(out.stderr, "level=INFO") { // the table says it all
		t.Errorf("a good scan says %q", out.stderr)
	}

	r := scannedFrom(t, kigo(t, f.args(t, "scan", append(f.peers(), "--json")...)...).want(t, exitOK))
	if r.State != scan.Quorum || r.Chosen != 0 || len(r.Branches) == 0 || len(r.Branches[0].Peers) != 3 || !r.Branches[0].Quorum || len(r.Peers) < 7 {
		t.Errorf("got %+v", r)
	}
	for _, p := range r.Peers {
		want := map[string]scan.Verdict{
			"127.1.0.1": scan.Proven, "127.2.0.1": scan.Proven, "127.3.0.1": scan.Proven, "127.4.0.1": scan.Convicted,
			"127.5.0.1": scan.Doubtful, "127.6.0.1": scan.Unavailable, "127.7.0.1": scan.Convicted,
		}[p.Addr]
		if want != "" && p.Verdict != want {
			t.Errorf("%s is %s, want %s", p.Addr, p.Verdict, want)
		}
		if (p.Verdict == scan.Convicted) != (len(p.Evidence) > 0) {
			t.Errorf("%s is %s with evidence %v", p.Addr, p.Verdict, p.Evidence)
		}
		if p.Verdict == scan.Proven && (p.Claim == nil || p.Claim.Height < 0xa0700 || len(p.Claim.Tip) != 64 || len(p.Claim.Weight) != 64) {
			t.Errorf("%s claims %+v", p.Addr, p.Claim)
		}
	}
}

// TestScanStates has a scan end in each of the ways to have nobody.
func TestScanStates(t *testing.T) {
	f := newTestFleet(t, "honest", "garbage-proof")
	for _, c := range []struct {
		name  string
		peer  string
		flags []string
		code  int
		says  string
		state scan.State
	}{
		{"quorum of one", f.addrs[0], []string{"--quorum-peers", "1", "--quorum-groups", "1"}, exitOK, "QUORUM", scan.Quorum},
		{"too few", f.addrs[0], nil, exitNobody, "TOO FEW", scan.TooFew},
		{"none valid", f.addrs[1], nil, exitNobody, "NONE VALID", scan.NoneValid},
		{"nobody reached", "127.99.0.1", nil, exitNobody, "NOBODY REACHED", scan.NobodyReached},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := f.args(t, "scan", append(c.flags, "--peer", c.peer)...)
			if r := scannedFrom(t, kigo(t, append(args, "--json")...).want(t, c.code)); r.State != c.state {
				t.Errorf("state %s, want %s", r.State, c.state)
			}
			contains(t, "the report", kigo(t, append(args, "--no-memory")...).want(t, c.code), c.says)
			if c.state == scan.NoneValid { // it is banned now
				contains(t, "the report", kigo(t, args...).want(t, exitNobody), "NOBODY REACHED: 1 peer known, banned or resting")
			}
		})
	}
}

// TestScanGivesUp scans a peer that never speaks.
func TestScanGivesUp(t *testing.T) {
	f := newTestFleet(t, "silent-after-hello", "silent")
	args := f.args(t, "scan", append(f.peers(), "--timeout", "1s")...)
	start := time.Now()
	out := kigo(t, args...).want(t, exitNobody)
	contains(t, "the report", out, "127.1.0.1", "127.2.0.1")
	// After 5 s it would give up on both without being told to.
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("--timeout 1s took %v", took)
	}
}

func TestScanRemembers(t *testing.T) {
	f := newTestFleet(t, "honest", "honest", "honest")
	args := f.args(t, "scan")
	o := kigo(t, args...)
	o.want(t, exitUsage)
	contains(t, "the error without a peer", o.stderr, "no peer is known", "--peer", "--core-file", "network.peers")

	core := writeTemp(t, "core.lst", []byte(strings.Join(f.addrs, "\n")+"\n"))
	kigo(t, append(args, "--core-file", core)...).want(t, exitOK)
	contains(t, "the second scan", kigo(t, args...).want(t, exitOK), "3 peers in 3 groups") // of whom nobody told it
	kigo(t, append(args, "--no-memory")...).want(t, exitUsage)
	o = kigo(t, append(args, "--no-memory", "--core-file", writeTemp(t, "empty.lst", []byte("# none\n")))...)
	o.want(t, exitNobody)
	contains(t, "the error", o.stderr, "empty.lst names no peer")
	if _, err := os.Stat(filepath.Join(args[6], memoryName)); err != nil {
		t.Error(err)
	}
}

func TestScanUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"scan", "--peer", "1.2.3.4:2095"}, []string{"network.peers", "1.2.3.4:2095", "--port 2095"}},
		{[]string{"scan", "--core-file", "/nonexistent/list"}, []string{"network.core-file", "/nonexistent/list"}},
		{[]string{"scan", "--peer", "127.0.0.1", "--listen", "127.0.0.1:0"}, []string{"--listen", "--every"}},
		{[]string{"scan", "--peer", "127.0.0.1", "--every", "1ms"}, []string{"--every 1ms", "1s"}},
		{[]string{"scan", "--every", "1m", "--listen", "0.0.0.0:80"}, []string{"api.listen", "0.0.0.0:80", "loopback"}},
		{[]string{"scan", "127.0.0.1"}, []string{`"127.0.0.1": peers are named with --peer`, "kigo check"}},
		{[]string{"scan", "--per", "127.0.0.1"}, []string{"--per", "kigo scan --help", "did you mean --peer?"}},
		{[]string{"scan", "--peer", "127.0.0.1", "--pprof-listen", "127.0.0.1:0"}, []string{"--pprof-listen", "--every"}},
		{[]string{"scan", "--every", "1m", "--listen", "127.0.0.1:5", "--pprof-listen", "127.0.0.1:5"}, []string{"api.pprof-listen", "127.0.0.1:5"}},
		{[]string{"check", "240.0.0.1"}, []string{`"240.0.0.1"`, "a host can have"}},
		{[]string{"evidence", "lst"}, []string{`"lst"`, "did you mean list?"}},
		{[]string{"evidence", "list", "abcd"}, []string{"kigo evidence list takes no arguments", `"abcd"`}},
		{[]string{"scan", "--timeout", "1ms"}, []string{"scan.timeout: 1ms"}},
		{[]string{"scan", "--quorum-peers", "1"}, []string{"scan.quorum-groups: 3"}},
		{[]string{"check"}, []string{"requires at least 1 arg(s)", "kigo check PEER..."}},
		{[]string{"check", "1.2.3"}, []string{`"1.2.3"`, "IPv4 address or a host name"}},
		{[]string{"check", "127.0.0.1", "::1"}, []string{`"::1"`, "no IPv6"}},
		{[]string{"check", "127.0.0.1:2095"}, []string{`"127.0.0.1:2095"`, "--port 2095"}},
		{[]string{"check", "no-such-host.invalid"}, []string{`"no-such-host.invalid"`, "has no address"}},
		{[]string{"chaos", "--kinds", "garbage"}, []string{`"garbage"`, "kigo chaos --list"}},
		{[]string{"chaos", "--kinds", "garbage-prof"}, []string{"did you mean garbage-proof?"}},
		{[]string{"chaos", "--peers", "0"}, []string{"--peers 0", "between 1 and 4096"}},
		{[]string{"chaos", "--peers", "3", "--honest", "4"}, []string{"--honest 4", "which is 3"}},
		{[]string{"chaos", "--honest", "-1"}, []string{"--honest -1"}},
		{[]string{"chaos", "--port", "65536"}, []string{"network.port: 65536"}},
		{[]string{"chaos", "--serve", "--quick"}, []string{"--serve", "--quick"}},
		{[]string{"evidence", "show"}, []string{"accepts 1 arg(s)"}},
		{[]string{"evidence", "show", "abcd"}, []string{"abcd"}},
		{[]string{"evidence", "show", "/nonexistent/record"}, []string{"/nonexistent/record"}},
		{[]string{"evidence", "show", "--json", "--out", "-", genesis}, []string{"--json and --out"}},
		{[]string{"evidence", "verify"}, []string{"--all"}},
		{[]string{"evidence", "verify", "--all", "abcd"}, []string{"--all"}},
	} {
		args := c.args
		if args[0] != "chaos" {
			args = append(args, "--data-dir", t.TempDir())
		}
		o := kigo(t, args...)
		if o.code != exitUsage || o.stdout != "" {
			t.Errorf("%q: exit code %d, want %d; stdout: %.200s", c.args, o.code, exitUsage, o.stdout)
		}
		contains(t, fmt.Sprintf("%q: the error", c.args), o.stderr, c.says...)
	}
}

func TestCheck(t *testing.T) {
	f := newTestFleet(t, "honest", "honest", "garbage-proof")
	args := f.args(t, "check")
	out := kigo(t, append(args, f.addrs[0], f.addrs[1], f.addrs[0])...).want(t, exitOK)
	contains(t, "the judgement", out, "127.1.0.1  PROVEN\n", "127.2.0.1  PROVEN\n", "54 trailers", "PROVEN: 2 of 2 named peers are proven")
	if strings.Count(out, "127.1.0.1  PROVEN") != 1 {
		t.Error("a peer that is named twice is judged twice")
	}
	out = kigo(t, append(args, f.addrs[0], f.addrs[2])...).want(t, exitInvalid)
	contains(t, "the judgement", out, "127.1.0.1  PROVEN\n", "127.3.0.1  CONVICTED: ", "found ", "kigo evidence show ", "NOT PROVEN: 1 of 2 named peers is proven")
	r := scannedFrom(t, kigo(t, append(args, "--json", f.addrs[2])...).want(t, exitInvalid))
	if len(r.Peers) != 1 || r.Peers[0].Verdict != scan.Convicted || len(r.Peers[0].Evidence) == 0 {
		t.Errorf("got %+v", r)
	}
	contains(t, "the judgement", kigo(t, append(args, "127.99.0.1")...).want(t, exitNobody), "127.99.0.1  UNAVAILABLE: refused", "NOBODY REACHED")
	kigo(t, append(args, "127.99.0.1", f.addrs[0])...).want(t, exitInvalid)
	if r.DataDir == nil || *r.DataDir != args[6] {
		t.Errorf("the evidence is in %v, want %s", r.DataDir, args[6])
	}
	contains(t, "the judgement", kigo(t, append(args, "--no-memory", f.addrs[2])...).want(t, exitInvalid), "evidence  ", ", not kept (--no-memory)")
	// It names what it knows, and nothing else is asked.
	if r := scannedFrom(t, kigo(t, append(args, "--json", "--no-memory", f.addrs[1])...).want(t, exitOK)); len(r.Peers) != 1 || r.DataDir != nil {
		t.Errorf("%d peers were judged, one was named; data_dir is %v", len(r.Peers), r.DataDir)
	}
}

func TestEvidence(t *testing.T) {
	f := newTestFleet(t, "garbage-proof", "nonce-byte", "bad-network", "trailers-55", "list-odd")
	dir := t.TempDir()
	contains(t, "the list of nothing", kigo(t, "evidence", "list", "--data-dir", dir).want(t, exitOK), "no evidence in "+dir)
	scanned := kigo(t, append(f.args(t, "scan", f.peers()...), "--data-dir", dir)...).want(t, exitNobody)
	contains(t, "the table", scanned, "proven, bad_list", "convicted invalid_trailer")

	var list []recordLine
	fromJSON(t, kigo(t, "evidence", "list", "--json", "--data-dir", dir).want(t, exitOK), &list)
	if len(list) < 5 {
		t.Fatalf("%d records of five liars: %+v", len(list), list)
	}
	table := kigo(t, "evidence", "list", "--data-dir", dir).want(t, exitOK)
	for _, r := range list {
		contains(t, "the table", table, r.ID[:12], r.Peer, r.Kind)
		words := kigo(t, "evidence", "show", "--data-dir", dir, r.ID[:16]).want(t, exitOK)
		ofPackets := slices.Contains([]string{"too_long", "bad_list", "bad_frame"}, r.Kind)
		if (r.Block == nil) != ofPackets || strings.Contains(words, "\n  block ") == ofPackets {
			t.Errorf("%s at block %v: %s", r.Kind, r.Block, words)
		}
		contains(t, "the record", words, "evidence "+r.ID, r.Peer, "kigo evidence verify "+r.ID[:12], "objective")
		contains(t, "the verdict", kigo(t, "evidence", "verify", "--data-dir", dir, r.ID[:16]).want(t, exitOK), "CONFIRMED: "+r.ID[:12], " 1  ")

		file := filepath.Join(t.TempDir(), "liar.kigo")
		kigo(t, "evidence", "show", "--data-dir", dir, "--out", file, r.ID).want(t, exitOK)
		elsewhere := []string{"evidence", "verify", "--json", "--data-dir", t.TempDir()}
		contains(t, "the verdict elsewhere", kigo(t, append(elsewhere, file)...).want(t, exitOK), `"confirmed": true`, r.ID)

		data := readFile(t, file)
		for _, at := range []int{0, len(data) / 2, len(data) - 1} {
			spoiled := append([]byte{}, data...)
			spoiled[at] ^= 0x10
			o := kigo(t, append(elsewhere, writeTemp(t, "spoiled.kigo", spoiled))...)
			if o.code != exitInvalid {
				t.Errorf("record %.12s with byte %d changed: exit code %d, want %d", r.ID, at, o.code, exitInvalid)
			}
		}
	}
	contains(t, "all", kigo(t, "evidence", "verify", "--all", "--data-dir", dir).want(t, exitOK), fmt.Sprintf("%d of %d records confirmed", len(list), len(list)))
	contains(t, "an ID in capitals", kigo(t, "evidence", "show", "--data-dir", dir, strings.ToUpper(list[0].ID)).want(t, exitOK), list[0].ID)
	contains(t, "the error", kigo(t, "evidence", "show", "--data-dir", dir, "abc").stderr, `"abc" is no file, nor`, "kigo evidence list")
	o := kigo(t, "evidence", "list", "--data-dir", genesis)
	o.want(t, exitUsage)
	contains(t, "the error", o.stderr, "data.dir: ", genesis, "not a directory")
	o = kigo(t, "evidence", "show", "--data-dir", dir, strings.Repeat("0", 64))
	o.want(t, exitUsage)
	contains(t, "the error", o.stderr, "kigo evidence list")
	kigo(t, "evidence", "verify", "--data-dir", dir, genesis).want(t, exitInvalid)
}

func TestChaosList(t *testing.T) {
	out := kigo(t, "chaos", "--list").want(t, exitOK)
	var list []struct{ Name, Family, Summary, Expected, Sync string }
	fromJSON(t, kigo(t, "chaos", "--list", "--json").want(t, exitOK), &list)
	if len(list) < 40 {
		t.Errorf("only %d kinds", len(list))
	}
	for _, k := range list {
		contains(t, "the list", out, k.Name, k.Summary)
		if k.Expected == "" || k.Family == "" {
			t.Errorf("kind %+v", k)
		}
	}
}

func TestChaos(t *testing.T) {
	core := filepath.Join(t.TempDir(), "core.lst")
	args := []string{"chaos", "--kinds", "garbage-proof,weight-one-on-tip,bad-ids", "--peers", "9", "--honest", "3", "--core-out", core}
	out := kigo(t, args...).want(t, exitOK)
	contains(t, "the table", out, "garbage-proof", "convicted", " ms", "the honest chain is chosen", "AS EXPECTED: 4 of 4 kinds", "9 peers, 3 of them honest, seed 1")
	if lines := strings.Fields(string(readFile(t, core))); len(lines) != 9 || !strings.HasPrefix(lines[0], "127.") {
		t.Errorf("the core list is %q", lines)
	}
	var r chaosReport
	fromJSON(t, kigo(t, append(args, "--json", "--quick")...).want(t, exitOK), &r)
	if !r.OK || !r.Chosen || r.State != scan.Quorum || len(r.Kinds) != 4 || r.Kinds[0].Alone != nil || r.Peers != 9 {
		t.Errorf("got %+v", r)
	}
}

// pinOf writes a pin file of a block of the fleets' chain.
func pinOf(t *testing.T, name string, a proof.Anchor) string {
	t.Helper()
	pin := &tfile.Pin{Height: a.Num, Hash: a.Hash, Weight: a.Weight, Pieces: make([]mcm.Hash, a.Num/tfile.PieceTrailers+1)}
	b, err := json.Marshal(pin)
	if err != nil {
		t.Fatal(err)
	}
	return writeTemp(t, name, b)
}

// TestPinnedBlocks pins a block that the proofs reach, which makes weights facts.
func TestPinnedBlocks(t *testing.T) {
	f := newTestFleet(t, "honest", "honest", "honest", "max-weight-on-tip")
	world, err := testWorld()
	if err != nil {
		t.Fatal(err)
	}
	low, high := pinOf(t, "pin.json", world.Base), pinOf(t, "floor.json", world.Anchors()[1])
	t.Setenv("KIGO_CHAIN_PIN", low)
	t.Setenv("KIGO_CHAIN_FLOOR", high)
	args := f.args(t, "scan", f.peers()...)
	out := kigo(t, args...).want(t, exitOK)
	contains(t, "the report", out, "counted from a pinned block", "exact weight", "convicted false_weight")
	contains(t, "the evidence", kigo(t, "evidence", "verify", "--all", "--data-dir", args[6]).want(t, exitOK), "CONFIRMED", "1 of 1 record confirmed")

	// No chain without the floor is chosen, whoever supports it.
	other := world.Anchors()[1]
	other.Hash[0] ^= 1
	t.Setenv("KIGO_CHAIN_FLOOR", pinOf(t, "other.json", other))
	o := kigo(t, f.args(t, "scan", f.peers()...)...)
	o.want(t, exitNobody)
	contains(t, "the report", o.stdout, "refused: lacks the pinned block", "NONE VALID", "chain.floor")

	t.Setenv("KIGO_CHAIN_PIN", high)
	t.Setenv("KIGO_CHAIN_FLOOR", low)
	o = kigo(t, args...)
	o.want(t, exitUsage)
	contains(t, "the error", o.stderr, "chain.floor", low, "comes before")
	t.Setenv("KIGO_CHAIN_PIN", genesis)
	o = kigo(t, args...)
	o.want(t, exitUsage)
	contains(t, "the error", o.stderr, "chain.pin", genesis)
}

// TestScanIsNoPeer: what only looks must not get into the peer lists that others
// begin with (docs/spec/network.md section 2).
func TestScanIsNoPeer(t *testing.T) {
	f := newTestFleet(t, "honest", "honest", "honest")
	kigo(t, f.args(t, "scan", f.peers()...)...).want(t, exitOK)
	kigo(t, f.args(t, "check", f.addrs[0])...).want(t, exitOK)
	requests := int64(0)
	for _, s := range f.Stats() {
		requests += s.Requests
		if s.OptIns != 0 {
			t.Errorf("%d of %d requests to %v set OPTIN", s.OptIns, s.Requests, s.Addr)
		}
	}
	if requests != 8 {
		t.Errorf("%d requests, want a list and a range of 3 peers, and once more of one", requests)
	}
}

func TestNetworkCommandsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, args := range [][]string{
		{"scan", "--peer", "127.99.0.1", "--data-dir", t.TempDir()},
		{"scan", "--peer", "127.99.0.1", "--every", "1m", "--listen", "127.0.0.1:0", "--data-dir", t.TempDir()},
		{"check", "127.99.0.1", "--data-dir", t.TempDir()},
		{"chaos"},
	} {
		var stdout, stderr strings.Builder
		if code := run(ctx, args, nil, &stdout, &stderr); code != exitInterrupted || stdout.String() != "" {
			t.Errorf("%q: exit code %d, want %d; stdout: %.200s; stderr: %.500s", args, code, exitInterrupted, &stdout, &stderr)
		}
	}
}
