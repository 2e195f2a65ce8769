package scan

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"kigo/node/fault"
	"kigo/node/memory"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func TestBookLearn(t *testing.T) {
	many := func(n int, make func(i int) netip.Addr) (l []netip.Addr) {
		for i := range n {
			l = append(l, make(i))
		}
		return l
	}
	ip := netip.MustParseAddr
	for name, test := range map[string]struct {
		o     BookOptions
		lists [][]netip.Addr // each from a peer of the group with its index
		want  int            // candidates
	}{
		"public":            {lists: [][]netip.Addr{{ip("8.8.8.8"), ip("1.1.1.1")}}, want: 2},
		"mapped":            {lists: [][]netip.Addr{{ip("::ffff:8.8.8.8"), ip("8.8.8.8")}}, want: 1},
		"no IPv6":           {lists: [][]netip.Addr{{ip("2001:db8::1")}}},
		"twice":             {lists: [][]netip.Addr{{ip("8.8.8.8"), ip("8.8.8.8")}}, want: 1},
		"by two":            {lists: [][]netip.Addr{{ip("8.8.8.8")}, {ip("8.8.8.8")}}, want: 1},
		"zero":              {lists: [][]netip.Addr{{ip("0.0.0.0")}}},
		"multicast":         {lists: [][]netip.Addr{{ip("239.0.0.1")}}},
		"broadcast":         {lists: [][]netip.Addr{{ip("255.255.255.255")}}},
		"private":           {lists: [][]netip.Addr{{ip("10.1.1.1"), ip("192.168.0.1"), ip("172.20.0.1"), ip("169.254.1.1"), ip("127.0.0.1")}}},
		"private by option": {o: BookOptions{Private: true}, lists: [][]netip.Addr{{ip("10.1.1.1"), ip("127.0.0.1"), ip("0.1.1.1")}}, want: 2},
		"own":               {o: BookOptions{Own: []netip.Addr{ip("8.8.8.8")}}, lists: [][]netip.Addr{{ip("8.8.8.8")}}},
		"configured":        {lists: [][]netip.Addr{{addr(0, 0)}}},
		"64 of a reply":     {lists: [][]netip.Addr{many(100, func(i int) netip.Addr { return addr(100+i, 0) })}, want: 64},
		"16 of a group":     {lists: [][]netip.Addr{many(64, func(i int) netip.Addr { return addr(100, i) })}, want: 16},
		"most":              {o: BookOptions{Max: 10}, lists: [][]netip.Addr{many(64, func(i int) netip.Addr { return addr(100+i, 0) })}, want: 10},
		"finer groups":      {o: BookOptions{Groups: fault.Groups{Bits: 24}}, lists: [][]netip.Addr{many(64, func(i int) netip.Addr { return addr(100, 256*(i/8)+i%8) })}, want: 64},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBook(test.o)
			b.AddConfigured(addr(0, 0))
			for g, l := range test.lists {
				b.Learn(addr(g, 9), l, noon)
			}
			if c := b.Counts(noon); c.Candidates != test.want || c.Configured != 1 || c.Tried != 0 {
				t.Errorf("the book has %+v, want %d candidates and one configured", c, test.want)
			}
		})
	}
}

// A group may name 256 candidates, over however many replies and peers; half of
// them once four of its addresses were banned.
func TestBookSourceQuota(t *testing.T) {
	fill := func(b *Book) {
		for i := range 20 {
			var l []netip.Addr
			for j := range 64 {
				l = append(l, addr(100+64*i+j, 0))
			}
			b.Learn(addr(0, i), l, noon)
		}
	}
	b := NewBook(BookOptions{})
	fill(b)
	if c := b.Counts(noon); c.Candidates != 256 {
		t.Errorf("%d candidates of one source, want 256", c.Candidates)
	}
	// The others aren't kept from naming theirs.
	if n := b.Learn(addr(1, 0), []netip.Addr{addr(3000, 0)}, noon); n != 1 {
		t.Errorf("another group named %d, want 1", n)
	}

	b = NewBook(BookOptions{})
	g := fault.Groups{}.Of(addr(0, 0))
	for range fault.GroupBans {
		b.group(g).Record.Ban(noon)
	}
	fill(b)
	if c := b.Counts(noon); c.Candidates != 128 {
		t.Errorf("%d candidates of a source with halved quotas, want 128", c.Candidates)
	}
}

// Whoever comes first to fill a group or the whole table doesn't keep others out,
// and can't be kept out by them either.
func TestBookCrowding(t *testing.T) {
	b := NewBook(BookOptions{Max: 300})
	dead := func(source, target, n int) {
		var l []netip.Addr
		for i := range n {
			l = append(l, addr(target, 256*source+i))
		}
		b.Learn(addr(source, 0), l, noon)
	}
	dead(0, 100, 64) // fills the group
	living := addr(100, 200)
	if n := b.Learn(addr(1, 0), []netip.Addr{living}, noon); n != 1 || b.entries[living] == nil {
		t.Error("a full group keeps the address out that another source names")
	}
	if n := len(b.byTarget[fault.Groups{}.Of(living)]); n != MaxPerTarget {
		t.Errorf("%d candidates in the group, want %d", n, MaxPerTarget)
	}
	dead(2, 100, 64) // takes its share
	if b.entries[living] == nil {
		t.Error("the single address of its source has made room for one of many")
	}

	for source := 10; source < 12; source++ { // fills the table
		for target := range 16 {
			dead(source, 200+100*source+target, 16)
		}
	}
	if c := b.Counts(noon); c.Candidates != 300 {
		t.Fatalf("%d candidates, want 300", c.Candidates)
	}
	living = addr(4000, 0)
	if n := b.Learn(addr(3, 0), []netip.Addr{living}, noon); n != 1 || b.entries[living] == nil {
		t.Error("a full table keeps the address out that another source names")
	}
	if c := b.Counts(noon); c.Candidates != 300 || len(b.entries) != 300 {
		t.Errorf("%d candidates, %d entries, want 300", c.Candidates, len(b.entries))
	}
	seen := 0
	for _, l := range b.bySource {
		seen += len(l)
	}
	if seen != 300 {
		t.Errorf("sources are credited with %d candidates, want 300", seen)
	}
	if got := calls(b.start(noon)); len(got) != 300 {
		t.Errorf("%d calls, want 300", len(got))
	}
}

// free is nobody being called.
func free(netip.Prefix) bool { return true }

// calls takes all addresses out of an order.
func calls(o *order) (l []netip.Addr) {
	for {
		e, ok := o.next(free)
		if !ok {
			return l
		}
		l = append(l, e.Addr)
	}
}

// Configured addresses go first, as given; then the eight longest-standing good
// ones; then other tried ones; then candidates.
func TestOrder(t *testing.T) {
	b := NewBook(BookOptions{Seed: 7})
	b.AddConfigured(addr(2, 0), addr(1, 0))
	var s memory.Snapshot
	for i := range 12 {
		s.Peers = append(s.Peers, memory.Peer{Addr: addr(50+i, 0), FirstSeen: noon.Add(time.Duration(-i) * time.Hour), LastGood: noon})
	}
	for i := range 5 { // older, never good
		s.Peers = append(s.Peers, memory.Peer{Addr: addr(70+i, 0), FirstSeen: noon.Add(-1000 * time.Hour)})
	}
	s.Peers = append(s.Peers, memory.Peer{Addr: addr(1, 0), FirstSeen: noon, Successes: 3})
	b.Load(&s)
	b.Learn(addr(1, 0), []netip.Addr{addr(90, 0), addr(91, 0)}, noon)
	o := b.start(noon)
	got := calls(o)
	want := []netip.Addr{addr(2, 0), addr(1, 0)}
	for i := range 8 {
		want = append(want, addr(61-i, 0))
	}
	if len(got) != 21 || !slices.Equal(got[:10], want) {
		t.Fatalf("%d calls, first %v, want 21, first %v", len(got), got[:10], want)
	}
	for i, a := range got[10:19] {
		if a.As4()[1] < 50 || a.As4()[1] > 74 {
			t.Errorf("call %d is %v, want a tried one", 10+i, a)
		}
	}
	if o.waiting() != 0 {
		t.Errorf("%d still waiting", o.waiting())
	}
	if b.entries[addr(1, 0)].Successes != 3 || b.entries[addr(1, 0)].Source != sourceConfigured {
		t.Errorf("the configured address has lost what was remembered of it")
	}

	again := calls(b.start(noon))
	if !slices.Equal(again, got) {
		t.Error("the same seed gave another order")
	}
}

// Candidates are called in turn by who named them: ten groups with sixty-four each
// keep the one that the eleventh names waiting for one turn.
func TestOrderTurns(t *testing.T) {
	b := NewBook(BookOptions{Seed: 7})
	for g := range 10 {
		var l []netip.Addr
		for i := range 64 {
			l = append(l, addr(100+64*g+i, 0))
		}
		b.Learn(addr(g, 0), l, noon)
	}
	hidden := addr(5000, 0)
	b.Learn(addr(10, 0), []netip.Addr{hidden}, noon)
	if i := slices.Index(calls(b.start(noon)), hidden); i < 0 || i > 11 {
		t.Errorf("the address named by the eleventh group was call %d, want one of the first 11", i)
	}

	// Named by a crowd first, and by an honest group too: it has its turn with both.
	b = NewBook(BookOptions{Seed: 7})
	var l []netip.Addr
	for i := range 63 {
		l = append(l, addr(100+i, 0))
	}
	b.Learn(addr(0, 0), append(l, hidden), noon)
	b.Learn(addr(1, 0), []netip.Addr{hidden}, noon)
	got := calls(b.start(noon))
	if i := slices.Index(got, hidden); i > 1 {
		t.Errorf("the address that two groups named was call %d, want one of the first 2", i)
	}
	if len(got) != 64 {
		t.Errorf("%d calls, want 64: each address once", len(got))
	}
}

// Among what one source names a group counts once, however many addresses it has.
func TestOrderTargets(t *testing.T) {
	early := 0
	for seed := range uint64(200) {
		b := NewBook(BookOptions{Seed: seed + 1})
		l := []netip.Addr{addr(200, 0)}
		for i := range 16 {
			l = append(l, addr(100, i))
		}
		b.Learn(addr(0, 0), l, noon)
		if calls(b.start(noon))[0] == addr(200, 0) {
			early++
		}
	}
	if early < 70 || early > 130 {
		t.Errorf("the single address was first in %d of 200 orders, want about half", early)
	}
}

// Banned peers aren't called, resting ones not unless fewer than three groups are
// left, those of a group over its budget neither.
func TestOrderStanding(t *testing.T) {
	load := func(groups int) *Book {
		b := NewBook(BookOptions{Seed: 1})
		var s memory.Snapshot
		for i := range groups {
			s.Peers = append(s.Peers, memory.Peer{Addr: addr(i, 0)})
		}
		banned, resting := memory.Peer{Addr: addr(50, 0)}, memory.Peer{Addr: addr(51, 0)}
		banned.Standing.Observe(fault.InvalidTrailer, noon)
		for range 10 {
			resting.Standing.Observe(fault.Timeout, noon)
		}
		s.Peers = append(s.Peers, banned, resting, memory.Peer{Addr: addr(52, 0)})
		costly := memory.Group{Prefix: fault.Groups{}.Of(addr(52, 0))}
		costly.Record.FailedWork(2*fault.FailedWorkBudget+1, noon)
		s.Groups = append(s.Groups, costly)
		b.Load(&s)
		return b
	}
	o := load(3).start(noon)
	if got := calls(o); len(got) != 3 || len(o.skip) != 3 {
		t.Errorf("%d called, %d skipped, want 3 and 3", len(got), len(o.skip))
	}
	o = load(1).start(noon)
	got := calls(o)
	if !slices.Contains(got, addr(51, 0)) || slices.Contains(got, addr(50, 0)) {
		t.Errorf("with few groups left %v are called, want the resting one and not the banned one among them", got)
	}
	if got := calls(load(3).start(noon.Add(25 * time.Hour))); len(got) != 6 {
		t.Errorf("a day later %d are called, want all 6", len(got))
	}
}

// A scan keeps what it was told after it began, and what was called is called once.
func TestOrderLearn(t *testing.T) {
	b := NewBook(BookOptions{Seed: 1})
	b.AddConfigured(addr(0, 0))
	o := b.start(noon)
	o.next(free)
	o.learn(addr(0, 0), []netip.Addr{addr(1, 0), addr(0, 0)}, noon)
	if got := calls(o); !slices.Equal(got, []netip.Addr{addr(1, 0)}) {
		t.Fatalf("called %v, want the new one", got)
	}
	var l []netip.Addr
	for i := range 64 {
		l = append(l, addr(5, i))
	}
	o.learn(addr(3, 0), l, noon)
	o.learn(addr(4, 0), []netip.Addr{addr(5, 99)}, noon) // one of the sixteen has to go
	if o.waiting() != MaxPerTarget {
		t.Errorf("%d waiting, want %d", o.waiting(), MaxPerTarget)
	}
	if got := calls(o); len(got) != MaxPerTarget || !slices.Contains(got, addr(5, 99)) {
		t.Errorf("%d called, want %d with the one named last", len(got), MaxPerTarget)
	}
	o.learn(addr(2, 0), []netip.Addr{addr(1, 0)}, noon)
	if got := calls(o); len(got) != 0 || o.waiting() != 0 {
		t.Errorf("called %v again, %d waiting", got, o.waiting())
	}
}

// What doesn't answer makes room, what does is tried from then on, and there is an
// end to those.
func TestBookKeep(t *testing.T) {
	b := NewBook(BookOptions{})
	b.Learn(addr(0, 0), []netip.Addr{addr(1, 0), addr(2, 0)}, noon)
	if b.keep(b.entries[addr(1, 0)], false) || !b.keep(b.entries[addr(2, 0)], true) {
		t.Error("the dead candidate is remembered, or the living one isn't")
	}
	if c := b.Counts(noon); c != (Counts{Tried: 1}) || len(b.bySource)+len(b.byTarget) != 0 {
		t.Errorf("the book has %+v, quotas in use %v %v", c, b.bySource, b.byTarget)
	}
	// One that had to make room while it was called is kept if it answers.
	b = NewBook(BookOptions{})
	b.Learn(addr(0, 0), []netip.Addr{addr(1, 0), addr(1, 1)}, noon)
	old := b.entries[addr(1, 0)]
	b.forget(old)
	if !b.keep(old, true) || b.entries[addr(1, 0)] != old {
		t.Error("a candidate that answered isn't in the book")
	}
	if c := b.Counts(noon); c != (Counts{Tried: 1, Candidates: 1}) || b.candidates != 1 {
		t.Errorf("the book has %+v, and counts %d candidates", c, b.candidates)
	}

	var s memory.Snapshot
	for i := range MaxTried + 10 {
		p := memory.Peer{Addr: addr(i/200, i%200), LastContact: noon.Add(time.Duration(i) * time.Second)}
		if i == 0 {
			p.Standing.Observe(fault.InvalidTrailer, noon)
		}
		s.Peers = append(s.Peers, p)
	}
	b = NewBook(BookOptions{})
	b.Load(&s)
	b.prune(noon)
	if c := b.Counts(noon); c.Tried+c.Banned != MaxTried || c.Banned != 1 {
		t.Errorf("the book has %+v, want %d in all, the banned one among them", c, MaxTried)
	}
}

func TestReadCore(t *testing.T) {
	resolve := func(_ context.Context, network, host string) ([]netip.Addr, error) {
		switch {
		case network != "ip4":
			return nil, errors.New("wrong network")
		case host == "seed.example":
			return []netip.Addr{netip.MustParseAddr("8.8.4.4"), netip.MustParseAddr("8.8.8.8")}, nil
		}
		return nil, errors.New("no such host")
	}
	for name, test := range map[string]struct {
		file string
		want []string
		err  bool
	}{
		"addresses":        {"8.8.8.8\n1.1.1.1\n", []string{"8.8.8.8", "1.1.1.1"}, false},
		"no last newline":  {"8.8.8.8", []string{"8.8.8.8"}, false},
		"carriage returns": {"8.8.8.8\r\n1.1.1.1\r\n", []string{"8.8.8.8", "1.1.1.1"}, false},
		"names":            {"1.1.1.1\nseed.example\n9.9.9.9\n", []string{"1.1.1.1", "8.8.4.4", "8.8.8.8", "9.9.9.9"}, false},
		"comments":         {"# seeds\n8.8.8.8\n", []string{"8.8.8.8"}, false},
		"an empty line":    {"8.8.8.8\n\n1.1.1.1\n", []string{"8.8.8.8"}, false},
		"unresolved":       {"nowhere.example\n8.8.8.8\n", []string{"8.8.8.8"}, false},
		"no host":          {"0.0.0.0\n::1\n255.255.255.255\n8.8.8.8\n", []string{"8.8.8.8"}, false},
		"private":          {"127.0.0.1\n", []string{"127.0.0.1"}, false},
		"twice":            {"8.8.8.8\n8.8.8.8\n", []string{"8.8.8.8"}, false},
		"nothing":          {"", nil, false},
		"no text":          {strings.Repeat("x", 5000), nil, true},
		"a long line":      {strings.Repeat("x", 300), nil, true},
		"too many":         {strings.Repeat("8.8.8.8\n", 2000), nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			b := NewBook(BookOptions{})
			n, err := b.ReadCore(t.Context(), strings.NewReader(test.file), resolve)
			if (err != nil) != test.err {
				t.Fatalf("ReadCore: %v, want an error: %v", err, test.err)
			}
			var got []string
			for _, a := range b.configured {
				got = append(got, a.String())
				if b.entries[a].Source != sourceCore {
					t.Errorf("source of %v is %q", a, b.entries[a].Source)
				}
			}
			if !slices.Equal(got, test.want) || n != len(got) {
				t.Errorf("read %v, %d new, want %v", got, n, test.want)
			}
		})
	}
}
