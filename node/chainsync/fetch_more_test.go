package chainsync_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/scan"
	"kigo/node/wire"
)

// TestHedge: a range that isn't complete in time is asked of a second source, too, and
// nobody waits for the first.
func TestHedge(t *testing.T) {
	w := synctest.NewWorld(11, 600)
	for _, test := range []struct {
		name   string
		script synctest.Script
	}{
		{"drips", synctest.Drip(5 * time.Millisecond)},
		{"silent", synctest.Silent},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, w)
			good := b.net.Peer(t, "127.10.1.1", w.Chain)
			// Honest for its first range, so that it is trusted with more.
			slow := b.net.Peer(t, "127.10.2.1", w.Chain, synctest.First(1, synctest.Honest, test.script))
			d := b.download(t, synctest.Branch(slow, good))
			began := time.Now()
			if err := d.Run(deadline(t)); err != nil {
				t.Fatal(err)
			}
			holds(t, d, w.Chain, w.Base.Num)
			if took := time.Since(began); took > 20*brief.End {
				t.Errorf("took %v", took)
			}
			if f := b.book.of(good.Addr); len(f) > 0 {
				t.Errorf("the honest peer is charged with %v", f)
			}
			for _, k := range b.book.of(slow.Addr) {
				if k.Class() == fault.Objective {
					t.Errorf("slowness is charged as %s", k)
				}
			}
		})
	}
}

// TestOneRequestAPeer: however much is wanted, a peer has one request at a time, and a
// group its quota.
func TestOneRequestAPeer(t *testing.T) {
	w := synctest.NewWorld(12, 3000)
	b := newBench(t, w, patient)
	var flying, most atomic.Int64
	perPeer := map[string]*atomic.Int64{}
	count := func(c *synctest.Conn) {
		mine := perPeer[c.Peer.Addr.String()]
		if n := mine.Add(1); n > 1 {
			t.Errorf("%d requests of %v at once", n, c.Peer.Addr)
		}
		n := flying.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if r, ok := c.Request(); ok {
			flying.Add(-1)
			mine.Add(-1)
			c.Answer(&r, c.Peer.Chain())
			return
		}
		flying.Add(-1)
		mine.Add(-1)
	}
	var peers []*synctest.Peer
	for i := range 9 { // one group
		a := fmt.Sprintf("127.10.1.%d", i+1)
		perPeer[a] = &atomic.Int64{}
		peers = append(peers, b.net.Peer(t, a, w.Chain, count))
	}
	d := b.download(t, synctest.Branch(peers...))
	if err := d.Run(deadline(t)); err != nil {
		t.Fatal(err)
	}
	holds(t, d, w.Chain, w.Base.Num)
	if n := most.Load(); n > 2 {
		t.Errorf("%d requests of one group at once, want 2", n)
	}
}

// TestSeam: an honest peer that changes branches while it sends (acceptance test 20)
// has no objective points, and the range is asked elsewhere.
func TestSeam(t *testing.T) {
	w := synctest.NewWorld(13, 600)
	tip := w.Tip().Num()
	for _, test := range []struct {
		name string
		at   mcm.BlockNum
	}{
		{"near the tip", tip - 54},
		{"in the first range", tip - 90},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, w)
			old := w.Fork(w.Chain, test.at-1-10, 64)
			// While it sends it goes from old to the branch: its state changes, too.
			p := b.net.Peer(t, "127.10.1.1", w.Chain, synctest.First(1, func(c *synctest.Conn) {
				r, ok := c.Request()
				if !ok {
					return
				}
				c.Peer.SetState(func(s *wire.State) { s.Num, s.Hash = old[len(old)-1].Num(), *old[len(old)-1].Hash() })
				first, n := wire.SplitTFArg(r.Arg)
				var ts []mcm.Trailer
				for i := mcm.BlockNum(first); i < mcm.BlockNum(first+n); i++ {
					from := old
					if i >= test.at {
						from = w.Chain
					}
					ts = append(ts, synctest.Cut(from, i, 1)...)
				}
				c.Send(ts)
				c.Peer.SetChain(w.Chain)
			}, synctest.Honest))
			d := b.download(t, synctest.Branch(append(b.net.Peers(t, w.Chain, 1), p)...))
			if err := d.Run(deadline(t)); err != nil {
				t.Fatal(err)
			}
			for _, k := range b.book.of(p.Addr) {
				if k.Class() == fault.Objective {
					t.Errorf("charged with %s", k)
				}
			}
		})
	}
}

// TestRestart is acceptance test 11 of docs/spec/sync.md for S2 and S4: a process is
// ended at some point, and the next one goes on where it stopped, also for a tip that
// is higher by then.  No range is asked for twice, and no work checked twice, but for
// what was under way.
func TestRestart(t *testing.T) {
	w := synctest.NewWorld(14, 3000)
	for _, test := range []struct {
		name  string
		stop  int // ranges served before it ends
		grown int // blocks that come meanwhile
	}{
		{"in S2", 12, 0},
		{"in S2, tip grown a little", 12, 20},
		{"in S2, tip grown past the segment", 12, 500},
		{"after S2, in S4", 1000, 0},
		{"twice", 5, 130},
	} {
		t.Run(test.name, func(t *testing.T) {
			w.Work.Forget()
			full := w.Chain
			chain := full[:len(full)-test.grown]
			b := newBench(t, w, func(o *chainsync.Options) { o.Limits.Flight = 4 })
			ctx, cancel := context.WithCancelCause(deadline(t))
			var asked atomic.Int64
			ended := errors.New("ended")
			script := func(c *synctest.Conn) {
				if r, ok := c.Request(); ok {
					c.Answer(&r, c.Peer.Chain())
					if asked.Add(1) == int64(test.stop) {
						cancel(ended)
					}
				}
			}
			peers := b.net.Peers(t, chain, 4, script)
			d := b.download(t, synctest.Branch(peers...))
			err := d.Run(ctx)
			if test.stop < 1000 && !errors.Is(err, ended) || test.stop >= 1000 && err != nil {
				t.Fatal(err)
			}
			first := asked.Load()
			if err := b.store.Close(); err != nil {
				t.Fatal(err)
			}
			b.open(t)
			for _, p := range peers {
				p.SetChain(full)
			}
			d = b.download(t, synctest.Branch(peers...))
			if err := d.Run(deadline(t)); err != nil {
				t.Fatal(err)
			}
			if err := chainsync.Full(deadline(t), b.s, d.Staging()); err != nil {
				t.Fatal(err)
			}
			holds(t, d, full, w.Base.Num)
			total := (len(full)-54)/100 + 2
			if all := int(asked.Load()); all > total+2*4+(test.grown+99)/100 {
				t.Errorf("%d ranges asked for in the first process, %d in all, of %d", first, all, total)
			}
			distinct, _ := w.Work.Counts()
			if n := w.Work.Checked.Load(); n == 0 {
				t.Error("nothing checked")
			}
			// The ends that were shown are known; a range under way may be checked again.
			twice := w.Work.Twice()
			if twice > 2*4*100 {
				t.Errorf("%d of %d trailers checked twice", twice, distinct)
			}
			left, err := b.store.Stagings()
			if err != nil || len(left) != 1 {
				t.Errorf("%d stagings left, %v", len(left), err)
			}
		})
	}
}

// TestSlowEngines: where the engines don't keep up ranges are sampled, S2 doesn't
// wait, and the rest is proven afterwards, each trailer once.
func TestSlowEngines(t *testing.T) {
	w := synctest.NewWorld(15, 4000)
	w.Work.Hold = func(ctx context.Context, n int) {
		select {
		case <-time.After(time.Duration(n) * time.Millisecond):
		case <-ctx.Done():
		}
	}
	b := newBench(t, w)
	d := b.download(t, synctest.Branch(b.net.Peers(t, w.Chain, 8)...))
	if err := d.Run(deadline(t)); err != nil {
		t.Fatal(err)
	}
	left := 0
	for _, s := range d.Staging().Unworked() {
		left += s.Count
	}
	if left == 0 {
		t.Error("all of the work was waited for")
	}
	w.Work.Hold = nil
	if err := chainsync.Sampled(b.s)(d.Staging(), 100); err != nil {
		t.Fatal(err)
	}
	if err := chainsync.Full(deadline(t), b.s, d.Staging()); err != nil {
		t.Fatal(err)
	}
	distinct, most := w.Work.Counts()
	if want := synctest.Worked(w.Chain[:len(w.Chain)-54]); distinct != want || most != 1 {
		t.Errorf("%d trailers checked, one of them %d times, want %d once each", distinct, most, want)
	}
	if n := len(d.Staging().Unworked()); n > 0 {
		t.Errorf("%d spans not proven", n)
	}
}

// TestSampling: a range without work doesn't survive its samples, and a chain without
// work costs one range, even where the engines are slow.
func TestSampling(t *testing.T) {
	w := synctest.NewWorld(16, 1500)
	forged := w.SpoilAll(w.Chain, w.Base.Num+1, w.Tip().Num()-54)
	b := newBench(t, w)
	peers := b.net.Peers(t, forged, 8)
	d := b.download(t, synctest.Branch(peers...))
	inv, _ := chainsync.InvalidOf(d.Run(deadline(t)))
	if inv == nil {
		t.Fatal("not found")
	}
	ranges := 0
	for _, p := range peers {
		for _, r := range p.Counts().Ranges {
			if r.First < w.Tip().Num()-54-100 {
				ranges++
			}
		}
	}
	if ranges > 0 {
		t.Errorf("%d ranges below the first", ranges)
	}
}

// TestTwoBranches: two downloads share what may be asked, neither starves, and the
// accounts are a book's.
func TestTwoBranches(t *testing.T) {
	w := synctest.NewWorld(17, 3000)
	other := w.Fork(w.Chain, w.Base.Num+100, 2900)
	b := newBench(t, w, func(o *chainsync.Options) {
		o.Limits.Flight = 4
		o.Accounts = scan.NewBook(scan.BookOptions{Groups: synctest.Groups})
	})
	one, two := b.net.Peers(t, w.Chain, 5), b.net.Peers(t, other, 2)
	x := b.download(t, synctest.Branch(one...))
	y := b.download(t, synctest.Branch(two...))
	errs := make(chan error, 2)
	ctx := deadline(t)
	go func() { errs <- x.Run(ctx) }()
	go func() { errs <- y.Run(ctx) }()
	for range 2 {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	holds(t, x, w.Chain, w.Base.Num)
	holds(t, y, other, w.Base.Num)
	if x.Staging() == y.Staging() {
		t.Error("both have one staging")
	}
	var asked []int
	for _, l := range [][]*synctest.Peer{one, two} {
		n := 0
		for _, p := range l {
			n += len(p.Counts().Ranges)
		}
		asked = append(asked, n)
	}
	slices.Sort(asked)
	if asked[1] > asked[0]+12 {
		t.Errorf("%v ranges for branches of the same length", asked)
	}
}

// TestSharedHistory: a branch that parts from another one deep down fetches what it
// shares with it once, and has it checked once, whether the other one is through or
// under way.
func TestSharedHistory(t *testing.T) {
	for _, together := range []bool{false, true} {
		t.Run(fmt.Sprint(together), func(t *testing.T) {
			w := synctest.NewWorld(18, 3000)
			other := w.Fork(w.Chain, w.Tip().Num()-200, 200)
			b := newBench(t, w)
			one, two := b.net.Peers(t, w.Chain, 3), b.net.Peers(t, other, 3)
			x := b.download(t, synctest.Branch(one...))
			y := b.download(t, synctest.Branch(two...))
			errs := make(chan error, 2)
			ctx := deadline(t)
			go func() { errs <- x.Run(ctx) }()
			if !together {
				errs <- <-errs
			}
			go func() { errs <- y.Run(ctx) }()
			for range 2 {
				if err := <-errs; err != nil {
					t.Fatal(err)
				}
			}
			holds(t, x, w.Chain, w.Base.Num)
			holds(t, y, other, w.Base.Num)
			for _, d := range []chainsync.Download{x, y} {
				if err := chainsync.Full(ctx, b.s, d.Staging()); err != nil {
					t.Fatal(err)
				}
			}
			twice, distinct := w.Work.Twice(), 0
			asked := 0
			for _, p := range two {
				asked += len(p.Counts().Ranges)
			}
			if distinct, _ = w.Work.Counts(); !together && (twice > 0 || asked > 22) {
				t.Errorf("%d of %d trailers checked twice, %d ranges asked of the second branch", twice, distinct, asked)
			}
			if twice > distinct/2 {
				t.Errorf("%d of %d trailers checked twice", twice, distinct)
			}
		})
	}
}

// TestReorganisedMeanwhile is acceptance test 7 of docs/spec/sync.md: between proof and
// download the honest peers change branches.  The history that was asked for is the
// same, so the download goes on, and nobody is charged.
func TestReorganisedMeanwhile(t *testing.T) {
	w := synctest.NewWorld(19, 800)
	tip := w.Tip().Num()
	for _, test := range []struct {
		name string
		to   []mcm.Trailer
	}{
		{"as high", w.Fork(w.Chain, tip-3, 3)},
		{"higher", w.Fork(w.Chain, tip-3, 5)},
		{"lower", w.Fork(w.Chain, tip-5, 3)},
		{"grown", w.Grow(w.Chain, 2)},
		{"as high, deep down", w.Fork(w.Chain, tip-50, 50)},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, w)
			peers := b.net.Peers(t, w.Chain, 3)
			br := synctest.Branch(peers...)
			for _, p := range peers {
				p.SetChain(test.to)
			}
			d := b.download(t, br)
			if err := d.Run(deadline(t)); err != nil {
				t.Fatal(err)
			}
			holds(t, d, w.Chain, w.Base.Num)
			for _, p := range peers {
				if f := b.book.of(p.Addr); len(f) > 0 || b.book.worthless[p.Addr] > 0 {
					t.Errorf("%v is charged with %v", p.Addr, f)
				}
			}
		})
	}
}

// TestAskedByMistake is acceptance test 19 of docs/spec/sync.md: honest peers that are
// asked for ranges of a branch that they never stated are charged nothing.
func TestAskedByMistake(t *testing.T) {
	w := synctest.NewWorld(20, 900)
	tip := w.Tip().Num()
	for _, depth := range []int{60, 300, 800} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			b := newBench(t, w)
			forged := w.Fork(w.Chain, tip-mcm.BlockNum(depth), depth)
			honest := b.net.Peers(t, w.Chain, 3)
			bad := b.net.Peers(t, forged, 3)
			br := synctest.Branch(append(slices.Clone(bad), honest...)...)
			d := b.download(t, br)
			if err := d.Run(deadline(t)); err != nil {
				t.Fatal(err)
			}
			holds(t, d, forged, w.Base.Num)
			for _, p := range honest {
				if f := b.book.of(p.Addr); len(f) > 0 || b.book.worthless[p.Addr] > 0 {
					t.Errorf("%v is charged with %v", p.Addr, f)
				}
			}
		})
	}
}

// TestDrippingMajority: a crowd of slow supporters doesn't take up all that may be
// under way.
func TestDrippingMajority(t *testing.T) {
	w := synctest.NewWorld(21, 2000)
	b := newBench(t, w, func(o *chainsync.Options) { o.Limits.Flight = 8 })
	var all []*synctest.Peer
	for i := range 100 {
		all = append(all, b.net.Peer(t, fmt.Sprintf("127.50.%d.1", i+1), w.Chain, synctest.Drip(50*time.Millisecond)))
	}
	good := b.net.Peers(t, w.Chain, 3)
	d := b.download(t, synctest.Branch(append(all, good...)...))
	began := time.Now()
	if err := d.Run(deadline(t)); err != nil {
		t.Fatal(err)
	}
	holds(t, d, w.Chain, w.Base.Num)
	t.Logf("took %v", time.Since(began))
	for _, p := range good {
		if f := b.book.of(p.Addr); len(f) > 0 {
			t.Errorf("%v is charged with %v", p.Addr, f)
		}
	}
}

// TestRestartInS4 is acceptance test 11 for S4: the process ends while the work that
// sampling has left is checked, and the next one goes on behind what is proven.
func TestRestartInS4(t *testing.T) {
	w := synctest.NewWorld(22, 4000)
	slow := func(ctx context.Context, n int) {
		select {
		case <-time.After(time.Duration(n) * 2 * time.Millisecond):
		case <-ctx.Done():
		}
	}
	w.Work.Hold = slow
	b := newBench(t, w)
	peers := b.net.Peers(t, w.Chain, 8)
	d := b.download(t, synctest.Branch(peers...))
	if err := d.Run(deadline(t)); err != nil {
		t.Fatal(err)
	}
	open := func() (n int) {
		for _, s := range d.Staging().Unworked() {
			n += s.Count
		}
		return n
	}
	before := open()
	ctx, cancel := context.WithCancelCause(deadline(t))
	ended := errors.New("ended")
	calls := 0
	w.Work.Hold = func(ctx context.Context, n int) {
		if calls++; calls == 3 {
			cancel(ended)
		}
		slow(ctx, n)
	}
	if err := chainsync.Full(ctx, b.s, d.Staging()); !errors.Is(err, ended) {
		t.Fatalf("%v with %d of %d left", err, open(), before)
	}
	left := open()
	if left == 0 || left >= before {
		t.Fatalf("%d of %d left", left, before)
	}
	w.Work.Hold = nil
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	b.known = proof.NewKnownSet(nil, nil) // what it samples is saved with the memory, if there is one
	b.o.Known = b.known
	asked := 0
	for _, p := range peers {
		asked += len(p.Counts().Ranges)
	}
	d = b.download(t, synctest.Branch(peers...))
	if err := d.Run(deadline(t)); err != nil {
		t.Fatal(err)
	}
	if n := open(); n != left {
		t.Errorf("%d left after the restart, %d before it", n, left)
	}
	if err := chainsync.Full(deadline(t), b.s, d.Staging()); err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		asked -= len(p.Counts().Ranges)
	}
	if asked != 0 {
		t.Errorf("%d more ranges asked for", -asked)
	}
	holds(t, d, w.Chain, w.Base.Num)
	if n := len(d.Staging().Unworked()); n > 0 {
		t.Errorf("%d spans not proven", n)
	}
	// The samples, and the batch that was under way.
	if twice := w.Work.Twice(); twice > 8*41+2*1000 {
		t.Errorf("%d trailers checked twice", twice)
	}
}
