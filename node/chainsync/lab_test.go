package chainsync_test

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"kigo/node/chain"
	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/scan"
)

// A ledger keeps accounts for tests: who was charged with what.
type ledger struct {
	mu        sync.Mutex
	faults    map[netip.Addr][]fault.Kind
	worthless map[netip.Addr]int
	stated    map[netip.Addr]map[memory.Statement]bool
	banned    map[netip.Addr]bool
}

func newLedger() *ledger {
	return &ledger{
		faults:    map[netip.Addr][]fault.Kind{},
		worthless: map[netip.Addr]int{},
		stated:    map[netip.Addr]map[memory.Statement]bool{},
		banned:    map[netip.Addr]bool{},
	}
}

func (l *ledger) Observe(f *fault.Fault, _ *evidence.Record, _ time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults[f.Peer] = append(l.faults[f.Peer], f.Kind)
	if f.Kind.Points() >= fault.BanPoints && f.Kind.Class() == fault.Objective {
		l.banned[f.Peer] = true
		return true
	}
	return false
}

func (l *ledger) Worthless(a netip.Addr, n int, _ time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.worthless[a] += n
}

func (l *ledger) FailedWork(netip.Addr, int, time.Time) {}
func (l *ledger) Delivered(netip.Addr, time.Time)       {}

func (l *ledger) MayServe(a netip.Addr, _ time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.banned[a]
}

func (l *ledger) Quota(_ netip.Addr, n int, _ time.Time) int { return n }

func (l *ledger) FalseStatement(a netip.Addr, st memory.Statement, _ time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	st.Expires = time.Time{}
	if l.stated[a][st] {
		return false
	}
	if l.stated[a] == nil {
		l.stated[a] = map[memory.Statement]bool{}
	}
	l.stated[a][st] = true
	return true
}

// objective returns the objective faults of a peer, joined.
func (l *ledger) objective(p *synctest.Peer) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kinds []string
	for _, k := range l.faults[p.Addr] {
		if k.Class() == fault.Objective {
			kinds = append(kinds, string(k))
		}
	}
	return strings.Join(kinds, " ")
}

// A watched ledger tells who is charged.
type watched struct {
	*ledger
	charged func(netip.Addr)
}

func (w watched) Observe(f *fault.Fault, ev *evidence.Record, now time.Time) bool {
	defer w.charged(f.Peer)
	return w.ledger.Observe(f, ev, now)
}

// A lab is a world with a network and a node's chain, and what a Syncer needs.
type lab struct {
	t      *testing.T
	w      *synctest.World
	net    *synctest.Network
	dir    string
	store  *chain.Store
	ledger *ledger
	o      chainsync.Options
}

// newLab has a world of n blocks, and a node that has none of them.
func newLab(t *testing.T, seed uint64, n int) *lab {
	t.Helper()
	l := &lab{t: t, w: synctest.NewWorld(seed, n), dir: t.TempDir(), ledger: newLedger()}
	l.net = synctest.NewNetwork(t, l.w)
	l.open()
	return l
}

// hurry gives up peers soon, for tests in which some don't answer.
func (l *lab) hurry() {
	l.o.Limits.FirstByte, l.o.Limits.Complete, l.o.Limits.End = short, short, 4*short
}

// open opens the node's chain, and makes options for what hasn't any.
func (l *lab) open() {
	l.t.Helper()
	store, err := chain.Open(l.dir, chain.Options{Base: l.w.Base, Now: l.w.Now})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { store.Close() })
	l.store = store
	known := l.o.Known
	if known == nil {
		known = proof.NewKnownSet(nil, nil)
	}
	l.o = chainsync.Options{
		Verifier: l.w.Work, Known: known, Chain: store, Accounts: l.ledger, Base: l.w.Base, Now: l.w.Now,
		Limits: l.o.Limits,
		Hook:   l.o.Hook, Floor: l.o.Floor, Memory: l.o.Memory, Waiting: l.o.Waiting,
	}
}

// own gives the node a chain, without peers.
func (l *lab) own(chain []mcm.Trailer) {
	l.t.Helper()
	g, err := l.store.Stage("aa")
	if err != nil {
		l.t.Fatal(err)
	}
	for ts := chain; len(ts) > 0; {
		n := min(len(ts), 1000)
		if err := g.Append(ts[:n], netip.Addr{}); err != nil {
			l.t.Fatal(err)
		}
		if err := g.Worked(ts[0].Num(), n); err != nil {
			l.t.Fatal(err)
		}
		ts = ts[n:]
	}
	if err := l.store.Adopt(g); err != nil {
		l.t.Fatal(err)
	}
	l.wantTip(chain)
}

func (l *lab) syncer() *chainsync.Syncer {
	l.t.Helper()
	o := l.o
	if o.Client == nil {
		o.Client = l.net.Client(peer.Timeouts{First: o.Limits.FirstByte})
	}
	s, err := chainsync.New(o)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// run runs a new Syncer once.
func (l *lab) run(branches ...chainsync.Branch) *chainsync.Outcome {
	l.t.Helper()
	return l.runWith(l.syncer(), branches...)
}

func (l *lab) runWith(s *chainsync.Syncer, branches ...chainsync.Branch) *chainsync.Outcome {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 5*time.Minute)
	defer cancel()
	out, err := s.Run(ctx, branches)
	if err != nil {
		l.t.Fatalf("run: %v", err)
	}
	return out
}

// ranked numbers branches in the order given.
func ranked(branches ...chainsync.Branch) []chainsync.Branch {
	for i := range branches {
		branches[i].Rank = i
	}
	return branches
}

// wantTip fails the test unless the own chain is that one, all of it.
func (l *lab) wantTip(want []mcm.Trailer) {
	l.t.Helper()
	tip, ok := l.store.Tip()
	last := &want[len(want)-1]
	if !ok || tip.Num != last.Num() || tip.Hash != *last.Hash() {
		l.t.Fatalf("own tip is block %v with hash %v, expected %v with %v", tip.Num, tip.Hash, last.Num(), last.Hash())
	}
	if w := l.w.Weight(want); tip.Weight != w {
		l.t.Errorf("own weight is %v, expected %v", tip.Weight, w)
	}
	for at := 0; at < len(want); {
		ts, err := l.store.Trailers(want[at].Num(), 1000)
		if err != nil || len(ts) == 0 {
			l.t.Fatalf("own chain from %v on: %d trailers, %v", want[at].Num(), len(ts), err)
		}
		for i := range ts {
			if ts[i] != want[at+i] {
				l.t.Fatalf("own block %v is another one", ts[i].Num())
			}
		}
		at += len(ts)
	}
}

// wantEnds compares what came of the branches, in the order of rank.
func wantEnds(t *testing.T, out *chainsync.Outcome, want ...chainsync.End) {
	t.Helper()
	var got []string
	for _, r := range out.Resolved {
		got = append(got, string(r.End))
	}
	var w []string
	for _, e := range want {
		w = append(w, string(e))
	}
	if strings.Join(got, " ") != strings.Join(w, " ") {
		for _, r := range out.Resolved {
			t.Logf("%v %v: %s: %s", r.Rank, r.Height, r.End, r.Detail)
		}
		t.Fatalf("ends are %v, expected %v", got, w)
	}
}

func wantAlarms(t *testing.T, out *chainsync.Outcome, want ...scan.AlarmKind) {
	t.Helper()
	if len(out.Alarms) != len(want) {
		t.Fatalf("alarms: %v, expected %v", out.Alarms, want)
	}
	for i, a := range out.Alarms {
		if a.Kind != want[i] {
			t.Errorf("alarm %d: %v, expected %v", i, a, want[i])
		}
	}
}

// unconvicted fails the test if one of the peers was charged with what honest ones can't
// do.
func (l *lab) unconvicted(peers []*synctest.Peer) {
	l.t.Helper()
	for _, q := range peers {
		if got := l.ledger.objective(q); got != "" {
			l.t.Errorf("%v was charged with %s", q.Addr, got)
		}
	}
}

// noStagings fails the test if anything is left of what was fetched.
func (l *lab) noStagings() {
	l.t.Helper()
	left, err := filepath.Glob(filepath.Join(l.dir, "staging-*"))
	if err != nil || len(left) > 0 {
		l.t.Errorf("left behind: %v, %v", left, err)
	}
}

// bytes returns the files of the own chain.
func (l *lab) bytes() map[string]string {
	l.t.Helper()
	files := map[string]string{}
	for _, name := range []string{"tfile.dat", "chain.state"} {
		b, err := os.ReadFile(filepath.Join(l.dir, name))
		if err != nil {
			l.t.Fatal(err)
		}
		files[name] = string(b)
	}
	return files
}

// asked returns how many ranges were asked of peers.
func asked(peers ...*synctest.Peer) (n int) {
	for _, p := range peers {
		n += len(p.Counts().Ranges)
	}
	return n
}
