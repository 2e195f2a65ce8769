package chainsync_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
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
)

// short is how long a test in which somebody is silent waits for him: little, but more
// than an honest peer takes when the machine has much else to do.
const short = 600 * time.Millisecond

// quick are timeouts of such a test.
var quick = peer.Timeouts{Connect: short, HelloAck: short, First: short, Range: 3 * short, Proof: 3 * short}

// brief are limits that go with them.
var brief = chainsync.Limits{
	Range: 100, FirstByte: short, Complete: short, End: 4 * short,
}

// patient has no peer doubted, however late it is, in tests that count requests.
func patient(o *chainsync.Options) {
	o.Limits.FirstByte, o.Limits.Complete, o.Limits.End = 10*short, 10*short, 40*short
}

// deadline bounds a test that is stuck.
func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// A book is accounts that say yes to all and remember.
type book struct {
	mu        sync.Mutex
	faults    map[netip.Addr][]fault.Kind
	evidence  []*evidence.Record
	worthless map[netip.Addr]int
	failed    map[netip.Addr]int
	delivered map[netip.Addr]int
	budget    int // worthless trailers of one peer before it may serve no more; 0: any
}

func newBook() *book {
	return &book{
		faults: map[netip.Addr][]fault.Kind{}, worthless: map[netip.Addr]int{},
		failed: map[netip.Addr]int{}, delivered: map[netip.Addr]int{},
	}
}

func (b *book) Observe(f *fault.Fault, ev *evidence.Record, _ time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.faults[f.Peer] = append(b.faults[f.Peer], f.Kind)
	if ev != nil {
		b.evidence = append(b.evidence, ev)
	}
	return false
}

func (b *book) Worthless(a netip.Addr, n int, _ time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.worthless[a] += n
}

func (b *book) FailedWork(a netip.Addr, n int, _ time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed[a] += n
}

func (b *book) Delivered(a netip.Addr, _ time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.delivered[a]++
}

func (b *book) MayServe(a netip.Addr, _ time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.budget == 0 || b.worthless[a] <= b.budget
}

func (b *book) Quota(_ netip.Addr, n int, _ time.Time) int { return n }

func (b *book) FalseStatement(netip.Addr, memory.Statement, time.Time) bool { return true }

func (b *book) of(a netip.Addr) []fault.Kind {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.faults[a])
}

// A bench is a Syncer with an own chain on disk, in a network.
type bench struct {
	w     *synctest.World
	net   *synctest.Network
	store *chain.Store
	dir   string
	book  *book
	known *proof.KnownSet
	o     chainsync.Options
	s     *chainsync.Syncer
}

func newBench(t testing.TB, w *synctest.World, change ...func(*chainsync.Options)) *bench {
	t.Helper()
	b := &bench{w: w, net: synctest.NewNetwork(t, w), dir: t.TempDir(), book: newBook(), known: proof.NewKnownSet(nil, nil)}
	b.o = chainsync.Options{
		Verifier: w.Work, Known: b.known, Accounts: b.book, Base: w.Base, Limits: brief, Now: w.Now,
	}
	for _, c := range change {
		c(&b.o)
	}
	b.open(t)
	t.Cleanup(func() { b.store.Close() })
	return b
}

// open opens the store, as a new process does.
func (b *bench) open(t testing.TB) {
	t.Helper()
	store, err := chain.Open(b.dir, chain.Options{Base: b.w.Base, Now: b.w.Now})
	if err != nil {
		t.Fatal(err)
	}
	b.store, b.o.Chain, b.s = store, store, nil
}

// download begins to follow a branch; the peers of the network must be there.
func (b *bench) download(t testing.TB, br chainsync.Branch) chainsync.Download {
	t.Helper()
	if b.s == nil {
		b.o.Client = b.net.Client(quick)
		s, err := chainsync.New(b.o)
		if err != nil {
			t.Fatal(err)
		}
		b.s = s
	}
	d, err := chainsync.NewDownload(b.s, &br)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// holds checks that the staging has the chain from block first on.
func holds(t testing.TB, d chainsync.Download, ts []mcm.Trailer, first mcm.BlockNum) {
	t.Helper()
	g := d.Staging()
	low, high, ok := g.Bounds()
	tip := ts[len(ts)-1].Num()
	if !ok || low != first || high != tip {
		t.Fatalf("staging has %v to %v, want %v to %v", low, high, first, tip)
	}
	for at := low; at <= high; at += 1000 {
		got, err := g.Trailers(at, min(1000, int(high-at)+1))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, synctest.Cut(ts, at, len(got))) || len(got) == 0 {
			t.Fatalf("staging differs from block %v on", at)
		}
	}
	if n := d.Flying(); n != 0 {
		t.Errorf("%d requests still count as under way", n)
	}
}

func TestDownload(t *testing.T) {
	w := synctest.NewWorld(1, 2345)
	for _, test := range []struct {
		name string
		own  int // blocks of the own chain above the base; -1: none
		fork int // of these, those that are not the branch's
		met  string
		asks int // at most, in all
	}{
		{"empty", -1, 0, "base", 30},
		{"base only", 0, 0, "own", 30},
		{"a few behind", 2340, 0, "own", 0},
		{"inside the segment", 2300, 0, "own", 0},
		{"below the segment", 2000, 0, "own", 5},
		{"fork within the segment", 2330, 10, "own", 0},
		{"fork of 300", 2345, 300, "own", 10},
		{"fork from the base on", 1200, 1200, "own", 40},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, w, patient)
			first, num := w.Base.Num, w.Base.Num
			if test.own >= 0 {
				num = w.Base.Num + mcm.BlockNum(test.own-test.fork)
				own := w.Fork(w.Chain, num, test.fork)
				if err := b.store.Extend(own); err != nil {
					t.Fatal(err)
				}
				first = num + 1
			}
			peers := b.net.Peers(t, w.Chain, 4)
			d := b.download(t, synctest.Branch(peers...))
			if err := d.Run(deadline(t)); err != nil {
				t.Fatal(err)
			}
			if met, at := d.Met(); met != test.met || at != num {
				t.Errorf("met %s at %v, want %s at %v", met, at, test.met, num)
			}
			holds(t, d, w.Chain, first)
			if left := d.Staging().Unworked(); len(left) > 0 {
				t.Errorf("%v not worked though the engines keep up", left)
			}
			asks := 0
			for _, p := range peers {
				asks += len(p.Counts().Ranges)
				if f := b.book.of(p.Addr); len(f) > 0 {
					t.Errorf("%v is charged with %v", p.Addr, f)
				}
			}
			if asks > test.asks {
				t.Errorf("%d ranges asked for, want at most %d", asks, test.asks)
			}
		})
	}
}

// TestTipOnOwnChain: there is nothing to fetch.
func TestTipOnOwnChain(t *testing.T) {
	w := synctest.NewWorld(1, 200)
	b := newBench(t, w)
	if err := b.store.Extend(w.Chain); err != nil {
		t.Fatal(err)
	}
	p := b.net.Peer(t, "127.10.1.1", w.Chain[:150])
	d := b.download(t, synctest.Branch(p))
	if err := d.Run(deadline(t)); err != nil || d.Staging() != nil {
		t.Errorf("%v, staging %v", err, d.Staging())
	}
}

// TestCheckedOnce: docs/spec/sync.md section 8.1, principle 3, also in ranges that
// arrive out of order.
func TestCheckedOnce(t *testing.T) {
	w := synctest.NewWorld(2, 4000)
	b := newBench(t, w)
	rnd := rand.New(rand.NewPCG(1, 1))
	var mu sync.Mutex
	peers := b.net.Peers(t, w.Chain, 8, func(c *synctest.Conn) {
		r, ok := c.Request()
		if !ok {
			return
		}
		mu.Lock()
		late := time.Duration(rnd.IntN(30)) * time.Millisecond
		mu.Unlock()
		select {
		case <-time.After(late):
		case <-c.Ctx.Done():
		}
		c.Answer(&r, c.Peer.Chain())
	})
	d := b.download(t, synctest.Branch(peers...))
	w.Work.Forget()
	if err := d.Run(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if err := chainsync.Full(deadline(t), b.s, d.Staging()); err != nil {
		t.Fatal(err)
	}
	holds(t, d, w.Chain, w.Base.Num)
	distinct, most := w.Work.Counts()
	if want := synctest.Worked(w.Chain[:len(w.Chain)-54]); distinct != want || most != 1 {
		t.Errorf("%d trailers checked, one of them %d times, want %d once each", distinct, most, want)
	}
	if got := chainsync.Checked(b.s); got != int64(distinct) {
		t.Errorf("%d checks counted, %d done", got, distinct)
	}
}

// TestConvictions: what convicts the sender of a range, and what doesn't
// (docs/spec/sync.md sections 8.5 and 8.8).  With an honest peer the download goes on
// where it had to stop.
func TestConvictions(t *testing.T) {
	w := synctest.NewWorld(3, 1000)
	tip := w.Tip().Num()
	deep := tip - 100 // in the first range that is asked for
	other := w.Fork(w.Chain, tip-700, 700)
	broken := slices.Clone(w.Chain)
	broken[deep-w.Base.Num].MerkleRoot()[0] ^= 1 // its hash is wrong now
	rule := w.Spoil(w.Chain, deep, w.BadRule)
	for _, test := range []struct {
		name      string
		script    synctest.Script
		setup     func(p *synctest.Peer)
		faults    []fault.Kind // of the bad peer, each once
		worthless bool
	}{
		{name: "honest", script: synctest.Honest},
		{name: "hash", script: synctest.Other(broken), faults: []fault.Kind{fault.InvalidTrailer}, worthless: true},
		{name: "rule", script: synctest.Other(rule), faults: []fault.Kind{fault.InvalidTrailer}, worthless: true},
		{name: "foreign range near the tip", script: synctest.Other(other), faults: []fault.Kind{fault.BrokenLink}, worthless: true},
		{name: "foreign range deep down", script: synctest.Serves(func(n mcm.BlockNum, c int) []mcm.Trailer {
			if n+mcm.BlockNum(c) > tip-60 {
				return synctest.Cut(w.Chain, n, c)
			}
			return synctest.Cut(other, n, c)
		}), faults: []fault.Kind{fault.ForeignRange}, worthless: true},
		{
			name: "foreign range, other tip stated", script: synctest.Other(other),
			setup: func(p *synctest.Peer) { p.SetChain(other) },
		},
		{
			name: "foreign range, another tip above", script: synctest.Other(other),
			setup: func(p *synctest.Peer) { p.SetChain(w.Grow(other, 1)) },
		},
		{name: "seam deep down", script: synctest.Seam(other, w.Chain, deep), faults: []fault.Kind{fault.ForeignRange}, worthless: true},
		{
			name:   "wrong numbers",
			script: synctest.Serves(func(n mcm.BlockNum, c int) []mcm.Trailer { return synctest.Cut(w.Chain, n-1, c) }),
			faults: []fault.Kind{fault.WrongNumbers},
		},
		{
			name:   "too long",
			script: synctest.Serves(func(n mcm.BlockNum, c int) []mcm.Trailer { return synctest.Cut(w.Chain, n, c+1) }),
			faults: []fault.Kind{fault.TooLong},
		},
		{
			name:   "short",
			script: synctest.Serves(func(n mcm.BlockNum, c int) []mcm.Trailer { return synctest.Cut(w.Chain, n, c-1) }),
		},
		{name: "nothing", script: synctest.Serves(func(mcm.BlockNum, int) []mcm.Trailer { return nil })},
		{name: "busy", script: synctest.Busy, faults: []fault.Kind{fault.Refused}},
		{name: "silent", script: synctest.Silent, faults: []fault.Kind{fault.Timeout}},
		{name: "mute", script: synctest.Mute, faults: []fault.Kind{fault.Timeout}},
		{name: "drips", script: synctest.Drip(20 * time.Millisecond), faults: []fault.Kind{fault.TooSlow}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, w)
			bad := b.net.Peer(t, "127.66.6.6", w.Chain, test.script)
			good := b.net.Peer(t, "127.10.1.1", w.Chain)
			alone, both := synctest.Branch(bad), synctest.Branch(bad, good)
			if test.setup != nil {
				test.setup(bad)
			}
			d := b.download(t, alone)
			if err := d.Run(deadline(t)); (err == nil) != (test.name == "honest") || err != nil && chainsync.ReasonsOf(err) == nil {
				t.Fatal(err)
			}
			got := b.book.of(bad.Addr)
			slices.Sort(got)
			if got = slices.Compact(got); !slices.Equal(got, test.faults) {
				t.Errorf("charged with %v, want %v", got, test.faults)
			}
			if n := b.book.worthless[bad.Addr]; (n > 0) != test.worthless {
				t.Errorf("%d worthless trailers", n)
			}
			objective := 0
			for _, k := range got {
				if k.Class() == fault.Objective {
					objective++
				}
			}
			if len(b.book.evidence) < objective {
				t.Errorf("%d records of evidence for %v", len(b.book.evidence), got)
			}
			for _, ev := range b.book.evidence {
				if out, err := ev.Verify(t.Context(), w.Work); err != nil || !out.Confirmed {
					t.Errorf("evidence of %s: %v, %+v", ev.Kind, err, out)
				}
			}
			d = b.download(t, both)
			if err := d.Run(deadline(t)); err != nil {
				t.Fatal(err)
			}
			holds(t, d, w.Chain, w.Base.Num)
			if f := b.book.of(good.Addr); len(f) > 0 {
				t.Errorf("the honest peer is charged with %v", f)
			}
		})
	}
}

// TestInvalidBranch: a trailer that the tip stands on convicts who served it, but only
// together with the branch, and ends the download after one range.
func TestInvalidBranch(t *testing.T) {
	w := synctest.NewWorld(4, 1000)
	tip := w.Tip().Num()
	for _, test := range []struct {
		name     string
		at       mcm.BlockNum
		change   func(*mcm.Trailer)
		convicts bool
	}{
		{"work in the first range", tip - 60, synctest.BadWork, true},
		{"work deep down", tip - 777, synctest.BadWork, true},
		{"rule inside a range", tip - 70, w.BadRule, true},
		{"rule of the lowest trailer that was shown", tip - 53, w.BadRule, false},
		{"rule at a seam of ranges", tip - 53 - 100, w.BadRule, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, w)
			forged := w.Spoil(w.Chain, test.at, test.change)
			peers := b.net.Peers(t, forged, 3)
			d := b.download(t, synctest.Branch(peers...))
			err := d.Run(deadline(t))
			inv, charges := chainsync.InvalidOf(err)
			if inv == nil {
				t.Fatalf("%v, want an invalid branch", err)
			}
			bad := &forged[test.at-w.Base.Num]
			if test.name != "work deep down" && inv.Trailer != *bad || inv.Trailer.Num() != test.at {
				t.Errorf("invalid is block %v, want %v", inv.Trailer.Num(), test.at)
			}
			if _, ok := b.known.Invalid(inv.ID); !ok {
				t.Error("not remembered")
			}
			var convicted int
			for _, c := range charges {
				if c.Fault == nil {
					continue
				}
				convicted++
				if c.Fault.Kind != fault.InvalidTrailer {
					t.Errorf("charged is %s", c.Fault.Kind)
				}
				if c.Evidence != nil {
					if out, err := c.Evidence.Verify(t.Context(), w.Work); err != nil || !out.Confirmed {
						t.Errorf("evidence: %v, %+v", err, out)
					}
				}
			}
			if convicted > 1 || (convicted == 1) != test.convicts {
				t.Errorf("%d peers convicted, want it to be %v", convicted, test.convicts)
			}
			for _, p := range peers {
				if f := b.book.of(p.Addr); len(f) > 0 {
					t.Errorf("%v is charged with %v by itself", p.Addr, f)
				}
			}
			// Known now, it is refused before its work is looked at again.
			before := chainsync.Checked(b.s)
			if err := d.Staging().Remove(); err != nil {
				t.Fatal(err)
			}
			d.Reset()
			d = b.download(t, synctest.Branch(peers...))
			if inv, _ := chainsync.InvalidOf(d.Run(deadline(t))); inv == nil {
				t.Error("not refused the second time")
			}
			if n := chainsync.Checked(b.s) - before; n > 1000 {
				t.Errorf("%d more checks", n)
			}
		})
	}
}

// TestSilentMajority is acceptance test 17 of docs/spec/sync.md: 1,000 supporters by
// replay that are silent or serve foreign ranges, and 5 honest ones.
func TestSilentMajority(t *testing.T) {
	t.Parallel()
	liars := 1000
	if testing.Short() {
		liars = 120
	}
	w := synctest.NewWorld(5, 1000)
	b := newBench(t, w)
	other := w.Fork(w.Chain, w.Base.Num+10, 990)
	var all, bad []*synctest.Peer
	for i := range liars {
		script := synctest.Silent
		if i%2 == 1 {
			script = synctest.Other(other)
		}
		bad = append(bad, b.net.Peer(t, fmt.Sprintf("127.%d.%d.1", 50+i/200, 1+i%200), w.Chain, script))
	}
	all = append(bad, b.net.Peers(t, w.Chain, 5)...)
	d := b.download(t, synctest.Branch(all...))
	if err := d.Run(deadline(t)); err != nil {
		t.Fatal(err)
	}
	holds(t, d, w.Chain, w.Base.Num)
	for _, p := range bad {
		if n := len(p.Counts().Ranges); n > 1 {
			t.Errorf("%v was asked for %d ranges", p.Addr, n)
		}
	}
	for _, p := range all[liars:] {
		if f := b.book.of(p.Addr); len(f) > 0 {
			t.Errorf("%v is charged with %v", p.Addr, f)
		}
	}
}

// TestUnavailable: nobody serves the branch, and the reasons are named.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	w := synctest.NewWorld(6, 500)
	for _, test := range []struct {
		name   string
		script synctest.Script
		reason fault.Kind
	}{
		{"silent", synctest.Silent, fault.Timeout},
		{"busy", synctest.Busy, fault.Refused},
		{"closed", synctest.Closed, fault.Refused},
		{"nothing", synctest.Serves(func(mcm.BlockNum, int) []mcm.Trailer { return nil }), fault.ShortReply},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, w)
			d := b.download(t, synctest.Branch(b.net.Peers(t, w.Chain, 3, test.script)...))
			err := d.Run(deadline(t))
			r := chainsync.ReasonsOf(err)
			if r[string(fault.Reset)] > 0 { // how a close is seen is a matter of time
				r[string(fault.Refused)] += r[string(fault.Reset)]
			}
			if r[string(test.reason)] < 3 {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("no supporters", func(t *testing.T) {
		b := newBench(t, w)
		p := b.net.Peer(t, "127.10.1.1", w.Chain)
		br := synctest.Branch(p)
		br.Supporters = nil
		if err := b.download(t, br).Run(deadline(t)); chainsync.ReasonsOf(err) == nil {
			t.Errorf("%v", err)
		}
	})
	t.Run("over budget", func(t *testing.T) {
		b := newBench(t, w)
		b.book.budget = 50
		other := w.Fork(w.Chain, w.Base.Num+10, 490)
		bad := b.net.Peer(t, "127.10.1.1", w.Chain, synctest.Other(other))
		err := b.download(t, synctest.Branch(bad)).Run(deadline(t))
		if chainsync.ReasonsOf(err) == nil || len(bad.Counts().Ranges) != 1 {
			t.Errorf("%v after %d ranges", err, len(bad.Counts().Ranges))
		}
	})
}

// TestAskedAgain: what honest peers do when they are crowded is forgiven.
func TestAskedAgain(t *testing.T) {
	w := synctest.NewWorld(7, 500)
	b := newBench(t, w)
	peers := b.net.Peers(t, w.Chain, 2)
	for _, p := range peers {
		p.SetScript(synctest.First(2, synctest.Busy, synctest.Honest))
	}
	d := b.download(t, synctest.Branch(peers...))
	if err := d.Run(deadline(t)); err != nil {
		t.Fatal(err)
	}
	holds(t, d, w.Chain, w.Base.Num)
}

// TestCancel: a download ends at once, nobody is charged, and no request is left.
func TestCancel(t *testing.T) {
	w := synctest.NewWorld(8, 500)
	b := newBench(t, w, func(o *chainsync.Options) { o.Limits.FirstByte = time.Hour })
	peers := b.net.Peers(t, w.Chain, 3, synctest.Silent)
	d := b.download(t, synctest.Branch(peers...))
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("stop")
	go func() {
		<-peers[0].Connected()
		cancel(why)
	}()
	if err := d.Run(ctx); !errors.Is(err, why) {
		t.Errorf("%v", err)
	}
	if n := d.Flying(); n != 0 {
		t.Errorf("%d requests still count as under way", n)
	}
}

// TestAnchors: a branch that lacks a block that every chain must have is refused as
// soon as that shows.
func TestAnchors(t *testing.T) {
	w := synctest.NewWorld(9, 1000)
	other := w.Fork(w.Chain, w.Base.Num+400, 600)
	floor := w.Chain[500]
	at := func(o *chainsync.Options) {
		o.Floor = &proof.Anchor{Num: floor.Num(), Hash: *floor.Hash(), Time: floor.SolveTime(), Fixed: true}
	}
	t.Run("other block", func(t *testing.T) {
		b := newBench(t, w, at)
		d := b.download(t, synctest.Branch(b.net.Peers(t, other, 3)...))
		if err := d.Run(deadline(t)); chainsync.AnchorOf(err) != "floor" {
			t.Errorf("%v", err)
		}
	})
	t.Run("below it", func(t *testing.T) {
		b := newBench(t, w, at)
		b.o.Client = b.net.Client(quick)
		br := synctest.Branch(b.net.Peers(t, w.Chain[:300], 1)...)
		s, err := chainsync.New(b.o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := chainsync.NewDownload(s, &br); chainsync.AnchorOf(err) != "floor" {
			t.Errorf("%v", err)
		}
	})
	t.Run("good", func(t *testing.T) {
		b := newBench(t, w, at)
		d := b.download(t, synctest.Branch(b.net.Peers(t, w.Chain, 3)...))
		if err := d.Run(deadline(t)); err != nil {
			t.Fatal(err)
		}
		holds(t, d, w.Chain, w.Base.Num)
		// What is below the floor holds nothing up.
		for _, s := range d.Staging().Unworked() {
			if s.First+mcm.BlockNum(s.Count) > floor.Num()+1 {
				t.Errorf("%v not worked", s)
			}
		}
		if len(d.Staging().Unworked()) == 0 {
			t.Error("work below the floor was waited for")
		}
	})
	t.Run("base", func(t *testing.T) {
		b := newBench(t, w)
		alien := synctest.NewWorld(99, 600)
		d := b.download(t, synctest.Branch(b.net.Peers(t, alien.Chain, 3)...))
		if err := d.Run(deadline(t)); chainsync.AnchorOf(err) != "base" {
			t.Errorf("%v", err)
		}
	})
}
