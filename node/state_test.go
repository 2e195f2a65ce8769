package node

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"kigo/node/chainsync"
	"kigo/node/chainsync/synctest"
	"kigo/node/mcm"
	"kigo/node/scan"
	"kigo/node/status"
)

// stateIs reviews and checks the state.
func (b *bench) stateIs(want status.State, when string) {
	b.t.Helper()
	b.reviewed()
	s := b.Status()
	if s.State != want {
		b.t.Errorf("%s: state %s (%s), want %s", when, s.State, s.Reason, want)
	}
	if s.Ready != (want == status.Follow && !b.raised(CheapAlarm)) {
		b.t.Errorf("%s: ready %v in %s", when, s.Ready, s.State)
	}
	if (s.Reason == "") != (want == status.Follow) {
		b.t.Errorf("%s: reason %q in %s", when, s.Reason, s.State)
	}
}

// scanEnded says that a scan has ended that brought nothing else.
func (b *bench) scanEnded() {
	b.Node.mu.Lock()
	defer b.Node.mu.Unlock()
	b.looked = true
}

// The table of docs/spec/sync.md section 8.9, line by line.
func TestStates(t *testing.T) {
	w := synctest.NewWorld(21, 100)
	b := newBench(t, w, w.Chain)
	b.stateIs(status.Bootstrap, "start")

	// bootstrap → follow: a quorum on the own tip or its last 6 blocks.
	back := func(n int) []mcm.Trailer { return w.Chain[:len(w.Chain)-n] }
	b.found(host(1), w.Chain)
	b.found(host(2), back(5))
	b.found(host(3), back(6))
	b.stateIs(status.Bootstrap, "two peers on the last six blocks, and one below")
	b.scanEnded()
	b.stateIs(status.Stalled, "no quorum after a scan")
	b.found(host(3), back(1))
	b.stateIs(status.Follow, "a quorum on the last six blocks")

	// follow → stalled: the tip is too old; back when a new one is there.
	for range 9 {
		b.pass(time.Minute)
		for i := range 3 {
			b.found(host(i), w.Chain)
		}
	}
	b.stateIs(status.Follow, "a tip of nine minutes")
	b.pass(time.Minute)
	b.stateIs(status.Stalled, "a tip of ten minutes and a second")
	next := w.Mix(w.Chain, w.Tip().Num(), 2, func(int) bool { return true }) // 238 s each
	for i := range 3 {
		b.found(host(i), next)
	}
	b.stateIs(status.Follow, "a new tip")

	// follow → stalled: no quorum any more, though two peers are heard.
	for range 11 {
		b.pass(time.Minute)
		next = b.grow(next)
		for i := range 2 {
			b.found(host(i), next)
		}
	}
	b.stateIs(status.Stalled, "no quorum for more than ten minutes")

	// stalled → isolated → bootstrap → follow.
	b.pass(10*time.Minute + time.Second)
	b.stateIs(status.Isolated, "nobody for ten minutes")
	b.found(host(1), next)
	b.reviewed()
	if s := b.Status().State; s == status.Isolated {
		t.Error("isolated though a peer shows a proof that holds")
	}
	var went []status.State
	events, _, _ := b.Events().After(0)
	for _, e := range events {
		if e.Kind == status.StateChanged {
			went = append(went, e.Data.(status.StateChange).To)
		}
	}
	if went[len(went)-1] != status.Bootstrap {
		t.Errorf("states %v, want bootstrap last", went)
	}
}

// grow adds a block that was solved by now.
func (b *bench) grow(c []mcm.Trailer) []mcm.Trailer {
	parent := c[len(c)-1]
	t := b.w.Miner.Next(&parent, 60)
	return append(c[:len(c):len(c)], t)
}

// A branch of the first class that nobody serves stalls the node, until it is resolved.
func TestStalledByABranch(t *testing.T) {
	w := synctest.NewWorld(22, 100)
	b := newBench(t, w, w.Chain)
	for i := range 3 {
		b.found(host(i), w.Chain)
	}
	b.stateIs(status.Follow, "a quorum")
	other := w.Fork(w.Chain, w.Chain[20].Num(), 60)
	branch := chainsync.Branch{Trailers: last(other), FirstClass: true, Groups: 3}
	took := func(end chainsync.End) {
		p := plan{}
		b.tookSync(&p, synced{
			outcome:  &chainsync.Outcome{Resolved: []chainsync.Resolved{{Tip: *branch.Tip().Hash(), Height: branch.Tip().Num(), Groups: 3, End: end}}},
			branches: []chainsync.Branch{branch},
		})
	}
	took(chainsync.Unavailable)
	b.stateIs(status.Stalled, "a branch of the first class can't be obtained")
	if !b.raised(behindAlarm) {
		t.Error("three groups are on a branch that nobody serves, and no alarm")
	}
	took(chainsync.Lighter)
	b.stateIs(status.Follow, "it is lighter")
	if b.raised(behindAlarm) {
		t.Error("the alarm stays")
	}
	branch.FirstClass = false
	took(chainsync.Unavailable)
	b.stateIs(status.Follow, "a branch of no class can't be obtained")
}

// While a sync runs the state is sync, if it began from elsewhere than follow.
func TestSyncState(t *testing.T) {
	w := synctest.NewWorld(23, 100)
	b := newBench(t, w, w.Chain)
	run := func() *plan {
		p := &plan{queue: []chainsync.Branch{{Trailers: w.Chain}}, synced: make(chan synced, 1)}
		b.startSync(p, b.clock())
		return p
	}
	p := run()
	b.stateIs(status.Sync, "from bootstrap")
	b.tookSync(p, synced{outcome: &chainsync.Outcome{}})
	b.stateIs(status.Bootstrap, "given up")
	p = run()
	b.stateIs(status.Sync, "once more")
	for i := range 3 {
		b.found(host(i), w.Chain)
	}
	b.stateIs(status.Follow, "a quorum, while something is fetched that anybody may have made up")
	b.tookSync(p, synced{outcome: &chainsync.Outcome{}})
	for i := range 3 {
		b.found(host(i), w.Chain)
	}
	b.stateIs(status.Follow, "a quorum")
	p = run()
	b.moved(status.SyncProgress{Stage: "anchoring", Trailers: 1 << 20})
	b.stateIs(status.Follow, "what anybody can have fetched")
	b.moved(status.SyncProgress{Stage: stageSwitching, Trailers: 2000})
	b.stateIs(status.Sync, "a heavier branch of more than a range")
	b.tookSync(p, synced{outcome: &chainsync.Outcome{}})
	b.stateIs(status.Follow, "switched")
}

// Without a chain there is nothing to be ready with.
func TestEmpty(t *testing.T) {
	w := synctest.NewWorld(24, 60)
	b := newBench(t, w, nil)
	b.at(w.Tip())
	b.found(host(1), w.Chain) // is judged, and leads to nothing
	b.stateIs(status.Bootstrap, "empty")
	if s := b.Status(); s.Tip != nil {
		t.Errorf("tip %+v without a chain", s.Tip)
	}
	h := server{b.Node}
	if ts := h.Trailers(uint32(w.Base.Num), 10); len(ts) != 0 {
		t.Errorf("%d trailers served without a chain", len(ts))
	}
	if _, ok := h.Hash(w.Base.Num); ok {
		t.Error("a hash served without a chain")
	}
	b.pass(10*time.Minute + 2*time.Second)
	b.stateIs(status.Isolated, "nobody for ten minutes")
}

// Alarms of docs/spec/sync.md section 8.10 that rest on the own chain: raised and
// cleared at exactly their thresholds.
func TestPseudoRun(t *testing.T) {
	w := synctest.NewWorld(25, 100)
	c := w.Chain
	b := newBench(t, w, c)
	for i := 1; i <= 7; i++ {
		c = w.Mix(c, c[len(c)-1].Num(), 1, func(int) bool { return true })
		b.at(&c[len(c)-1])
		b.found(host(1), c)
		b.reviewed()
		if on := b.raised(PseudoAlarm); on != (i > 5) {
			t.Errorf("%d pseudoblocks in a row: alarm %v", i, on)
		}
	}
	c = w.Grow(c, 1)
	b.at(&c[len(c)-1])
	b.found(host(1), c)
	b.reviewed()
	if b.raised(PseudoAlarm) {
		t.Error("the alarm stays after a worked block")
	}
}

func TestPseudosOverNeogenesis(t *testing.T) {
	w := synctest.NewWorld(26, 10)
	c := upTo(w, 0xfd)
	c = w.Mix(c, c[len(c)-1].Num(), 6, func(int) bool { return true })
	if n := pseudos(c); n != 5 { // fe, ff, neogenesis, 01, 02, 03
		t.Errorf("%d pseudoblocks, want 5", n)
	}
}

func TestCheapWeight(t *testing.T) {
	w := synctest.NewWorld(27, 100)
	b := newBench(t, w, w.Chain)
	for i := range 3 {
		b.found(host(i), w.Chain)
	}
	heavy, light := mcm.Weight{100}, mcm.Weight{99}
	raise := func(depth int, gained mcm.Weight) bool {
		b.Node.mu.Lock()
		defer b.Node.mu.Unlock()
		tip, _ := b.own.Tip()
		b.judgeReorg(depth, heavy, gained, tip.Num, b.clock())
		return b.alarms.on(CheapAlarm)
	}
	if raise(6, light) {
		t.Error("six blocks replaced by less work raise the alarm")
	}
	if raise(7, heavy) {
		t.Error("seven blocks replaced by as much work raise the alarm")
	}
	if !raise(7, light) {
		t.Error("seven blocks replaced by less work raise no alarm")
	}
	b.stateIs(status.Follow, "cheap weight") // and not ready
	c := w.Chain
	for i := 1; i <= 6; i++ {
		c = w.Grow(c, 1)
		b.at(&c[len(c)-1])
		for h := range 3 {
			b.found(host(h), c)
		}
		b.reviewed()
		if on := b.raised(CheapAlarm); on != (i < 6) || b.Status().Ready == on {
			t.Errorf("%d blocks later: alarm %v, ready %v", i, on, b.Status().Ready)
		}
	}
}

func TestStarved(t *testing.T) {
	sum := func(perBlock uint64, blocks uint64) mcm.Weight { return mcm.Weight{perBlock * blocks} }
	for _, c := range []struct {
		recent, before, peak uint64 // per block
		want                 bool
	}{
		{25, 100, 100, false}, // a quarter of the mean
		{24, 100, 100, true},
		{100, 100, 1600, false}, // a sixteenth of the best
		{99, 100, 1600, true},
		{100, 100, 100, false},
	} {
		v := thickness{recent: sum(c.recent, shortWindow), before: sum(c.before, longWindow), peak: sum(c.peak, longWindow), full: true, peaked: true}
		if got := v.starved() != ""; got != c.want {
			t.Errorf("%d, %d before, %d at best: starved %v", c.recent, c.before, c.peak, got)
		}
		v.full = false
		if v.starved() != "" {
			t.Error("a short chain starves")
		}
	}
}

// The greatest work of a window is the same read from the chain and kept up.
func TestThickness(t *testing.T) {
	w := synctest.NewWorld(28, 100)
	c := w.Miner.Grow(w.Chain[:1], longWindow-40, 4)
	c = w.Miner.Grow(c, 900, 1)
	b := newBench(t, w, c)
	peak, ok, err := b.findPeak(t.Context())
	if err != nil || !ok {
		t.Fatalf("findPeak: %v, %v", ok, err)
	}
	var want mcm.Weight
	for i := longWindow; i <= len(c); i++ {
		if s := work(c[i-longWindow : i]); s.Cmp(want) > 0 {
			want = s
		}
	}
	if peak != want {
		t.Errorf("greatest work %v, want %v", peak, want)
	}
	b.Node.mu.Lock()
	b.thickness.peak, b.thickness.peaked, b.thickness.stale = peak, ok, false
	b.Node.mu.Unlock()
	more := w.Miner.Grow(c, 30, 7)
	b.at(&more[len(more)-1])
	b.found(host(1), more)
	b.tipIs(more, "thirty more")
	all := work(more[len(more)-longWindow:])
	if b.thickness.peak.Cmp(all) < 0 || b.thickness.recent != work(more[len(more)-shortWindow:]) {
		t.Errorf("peak %v, recent %v; want %v at least, and %v", b.thickness.peak, b.thickness.recent, all, work(more[len(more)-shortWindow:]))
	}
}

// Branches that part below a block that every chain must contain are refused, and say
// so.
func TestFloor(t *testing.T) {
	w := synctest.NewWorld(29, 100)
	at := w.Chain[70]
	floor := anchorAt(at.Num(), *at.Hash(), w.Weight(w.Chain[:71]), at.SolveTime())
	floor.Fixed = true
	b := newBench(t, w, w.Chain, func(o *Options) { o.Sync.Floor = floor })
	heavier := w.Fork(w.Chain, w.Chain[65].Num(), 45)
	b.at(&heavier[len(heavier)-1])
	b.found(host(1), heavier)
	b.tipIs(w.Chain, "a heavier fork below the floor")
	if !b.raised(floorAlarm) {
		t.Error("no alarm")
	}
	above := w.Fork(w.Chain, w.Chain[70].Num(), 40)
	b.at(&above[len(above)-1])
	b.found(host(2), above)
	b.tipIs(above, "a heavier fork on the floor")
	b.pass(b.o.Times.Stale + time.Second)
	b.reviewed()
	if b.raised(floorAlarm) {
		t.Error("the alarm stays")
	}
}

// Of five polls one goes to a group that wasn't called for an hour, and one to those
// good for the longest, whatever number of others there is.
func TestPollOrder(t *testing.T) {
	var all []scan.Listed
	for i := range 300 {
		all = append(all, scan.Listed{Addr: host(i), Group: netip.PrefixFrom(host(i), 24).Masked(), Good: i < 250, Tried: true})
	}
	// A few of those that were good once are still there: they are heard every few
	// minutes for all that.
	some := slices.Clone(all)
	for i := range 10 {
		some[100+20*(i%7)+i].Contact = time.Unix(1e9, 0)
	}
	there := 0
	s := pollOrder{used: map[netip.Prefix]time.Time{}, called: map[netip.Addr]uint64{}}
	for range 100 {
		if l, _ := s.next(some, time.Unix(1e9, 0), time.Hour); !l.Contact.IsZero() {
			there++
		}
	}
	if there < 75 {
		t.Errorf("%d of 100 polls went to peers that are there", there)
	}
	o := pollOrder{used: map[netip.Prefix]time.Time{}, called: map[netip.Addr]uint64{}}
	now := time.Unix(1e9, 0)
	last := netip.Prefix{}
	trusty, groups := 0, map[netip.Prefix]bool{}
	for i := range 500 {
		l, ok := o.next(all, now, time.Hour)
		if !ok || l.Group == last {
			t.Fatalf("poll %d: %v %v, the last was of %v", i, ok, l, last)
		}
		last = l.Group
		groups[l.Group] = true
		for _, a := range all[:pollTrusty] {
			if a.Addr == l.Addr {
				trusty++
			}
		}
		now = now.Add(10 * time.Second)
	}
	if trusty < 90 {
		t.Errorf("%d of 500 polls went to those good for the longest, want a fifth", trusty)
	}
	if len(groups) < 280 {
		t.Errorf("%d groups of 300 were polled", len(groups))
	}
	if _, ok := o.next(nil, now, time.Hour); ok {
		t.Error("somebody to call in an empty book")
	}
	for range 10 {
		if l, ok := o.next(all[:1], now, time.Hour); !ok || l.Addr != all[0].Addr {
			t.Error("the only peer isn't called")
		}
	}
	if len(o.called) > 2*300+64 || len(o.used) > 300 {
		t.Error("the order grows without end")
	}
}

// Scans that look for somebody to follow come after 5, 10, 20 … 300 s; while the node
// follows they come after half an hour, or at once when it doesn't any more.
func TestPauses(t *testing.T) {
	w := synctest.NewWorld(30, 100)
	b := newBench(t, w, w.Chain)
	p := &plan{scanAt: b.clock(), pause: b.o.Times.Pause}
	started := func() bool {
		was := len(b.spawned)
		b.startScan(p, b.clock())
		return len(b.spawned) > was
	}
	fail := func() { b.tookScan(t.Context(), p, scanned{}) }
	if !started() {
		t.Fatal("no scan at the start")
	}
	for _, pause := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300} {
		fail()
		b.pass(pause*time.Second - time.Millisecond)
		if started() {
			t.Errorf("a scan before %v s have passed", int64(pause))
		}
		b.pass(time.Millisecond)
		if !started() {
			t.Errorf("no scan after %v s", int64(pause))
		}
	}
	fail()
	b.at(w.Tip())
	for i := range 3 {
		b.found(host(i), w.Chain)
	}
	b.stateIs(status.Follow, "a quorum")
	p.scanAt = b.clock().Add(b.o.Times.Rescan)
	if started() {
		t.Error("a scan right after the last while following")
	}
	b.pass(b.o.Times.Stale + time.Second)
	b.reviewed()
	if s := b.Status().State; s == status.Follow {
		t.Fatal("still following")
	}
	if !started() {
		t.Error("no scan when the node follows no more")
	}
	if o := b.scanOptions(true); o.Deadlines.Soft < time.Hour || len(o.Anchors) < 4 {
		t.Errorf("a wide scan has deadlines %+v and %d anchors", o.Deadlines, len(o.Anchors))
	}
}

// Work below the floor is checked behind, and what has none raises the alarm.
func TestProvePending(t *testing.T) {
	w := synctest.NewWorld(31, 1500)
	for _, spoiled := range [][]int{nil, {1200}, {1200, 1450}} {
		c, bad, end := w.Chain, len(spoiled) > 0, len(w.Chain)
		for _, at := range spoiled {
			for c[at].Kind() != mcm.Standard {
				at++
			}
			c = w.Spoil(c, c[at].Num(), synctest.BadWork)
			if at > 1400 {
				end = at // what is above the floor isn't fixed
			}
		}
		floor := anchorAt(c[1400].Num(), *c[1400].Hash(), w.Weight(c[:1401]), c[1400].SolveTime())
		b := newBench(t, w, c[:1], func(o *Options) { o.Sync.Floor = floor })
		g, err := b.store.Stage(c[len(c)-1].Hash().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Append(c[1:], host(1)); err != nil {
			t.Fatal(err)
		}
		if err := b.store.Adopt(g); err != nil {
			t.Fatal(err)
		}
		if _, _, ok := b.store.Pending(); !ok {
			t.Fatal("nothing is pending")
		}
		b.refresh()
		if err := b.provePending(t.Context()); err != nil {
			t.Fatal(err)
		}
		from, _, left := b.store.Pending()
		if left != bad || b.raised(floorAlarm) != bad {
			t.Errorf("bad %v: pending %v from %v on, alarm %v", bad, left, from, b.raised(floorAlarm))
		}
		b.tipIs(c[:end], "checked")
		n := w.Work.Checked.Load()
		if err := b.provePending(t.Context()); err != nil {
			t.Fatal(err)
		}
		if again := w.Work.Checked.Load() - n; again > 0 {
			t.Errorf("%d proofs of work checked again", again)
		}
	}
}

// An own chain that lacks the floor counts for nothing: it isn't followed, however much
// it weighs, and gives way to one that has it.
func TestOwnChainWithoutTheFloor(t *testing.T) {
	w := synctest.NewWorld(32, 100)
	own := w.Fork(w.Chain, w.Chain[60].Num(), 60)
	at := w.Chain[70]
	floor := anchorAt(at.Num(), *at.Hash(), w.Weight(w.Chain[:71]), at.SolveTime())
	floor.Fixed = true
	b := newBench(t, w, own, func(o *Options) { o.Sync.Floor = floor })
	for i := range 3 {
		b.found(host(i), own)
	}
	b.scanEnded()
	b.stateIs(status.Stalled, "a quorum on a chain without the floor")
	b.found(host(5), w.Chain)
	b.tipIs(w.Chain, "a lighter one that has it")
	b.found(host(6), own)
	b.weighAll()
	b.tipIs(w.Chain, "and stays")
}
