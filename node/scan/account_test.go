package scan

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
)

var accountDay = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// newAccounts returns a book of five configured peers in five groups.
func newAccounts() (*Book, []netip.Addr) {
	b := NewBook(BookOptions{Groups: fault.Groups{Bits: 24}})
	var as []netip.Addr
	for i := range 5 {
		as = append(as, netip.AddrFrom4([4]byte{127, 1, byte(i), 1}))
	}
	b.AddConfigured(as...)
	return b, as
}

func TestMayServe(t *testing.T) {
	for _, c := range []struct {
		name   string
		charge func(b *Book, a netip.Addr)
		after  time.Duration
		may    bool
	}{
		{"nothing", func(*Book, netip.Addr) {}, 0, true},
		{"50 objective points", func(b *Book, a netip.Addr) {
			b.Observe(&fault.Fault{Kind: fault.ForeignRange, Peer: a}, nil, accountDay)
		}, 0, true},
		{"banned", func(b *Book, a netip.Addr) {
			b.Observe(&fault.Fault{Kind: fault.InvalidTrailer, Peer: a}, nil, accountDay)
		}, 23 * time.Hour, false},
		{"ban over", func(b *Book, a netip.Addr) {
			b.Observe(&fault.Fault{Kind: fault.InvalidTrailer, Peer: a}, nil, accountDay)
		}, 25 * time.Hour, true},
		{"resting", func(b *Book, a netip.Addr) {
			for range 10 {
				b.Observe(&fault.Fault{Kind: fault.Timeout, Peer: a}, nil, accountDay)
			}
		}, time.Minute, false},
		{"no fault", func(b *Book, a netip.Addr) {
			for range 1000 {
				b.Observe(&fault.Fault{Kind: fault.ShortReply, Peer: a}, nil, accountDay)
			}
		}, 0, true},
		{"group at its budget", func(b *Book, a netip.Addr) { b.Worthless(a, fault.WorthlessBudget, accountDay) }, 0, true},
		{"group over its budget", func(b *Book, a netip.Addr) { b.Worthless(a, fault.WorthlessBudget+1, accountDay) }, 0, false},
		{"by a neighbour", func(b *Book, a netip.Addr) { b.Worthless(a.Next(), fault.WorthlessBudget+1, accountDay) }, 0, false},
		{"hour over", func(b *Book, a netip.Addr) { b.Worthless(a, fault.WorthlessBudget+1, accountDay) }, time.Hour, true},
		{"failed work", func(b *Book, a netip.Addr) { b.FailedWork(a, fault.FailedWorkBudget+1, accountDay) }, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b, as := newAccounts()
			c.charge(b, as[0])
			if got := b.MayServe(as[0], accountDay.Add(c.after)); got != c.may {
				t.Errorf("may serve is %v", got)
			}
			if !b.MayServe(as[1], accountDay.Add(c.after)) {
				t.Error("another group may not")
			}
		})
	}
}

// TestFewGroups: quotas and budgets are doubled, and resting peers asked, while fewer
// than three groups are reachable (docs/spec/sync.md section 8.8).
func TestFewGroups(t *testing.T) {
	b := NewBook(BookOptions{Groups: fault.Groups{Bits: 24}})
	a, o := netip.MustParseAddr("127.1.1.1"), netip.MustParseAddr("127.1.2.1")
	b.AddConfigured(a, o)
	if q := b.Quota(a, 2, accountDay); q != 4 {
		t.Errorf("quota %d, want 4", q)
	}
	b.Worthless(a, 2*fault.WorthlessBudget, accountDay)
	for range 10 {
		b.Observe(&fault.Fault{Kind: fault.Timeout, Peer: a}, nil, accountDay)
	}
	if !b.MayServe(a, accountDay) {
		t.Error("one of two groups may not serve")
	}
	b.AddConfigured(netip.MustParseAddr("127.1.3.1"), netip.MustParseAddr("127.1.4.1"))
	later := accountDay.Add(2 * time.Second)
	if q := b.Quota(a, 2, later); q != 2 || b.MayServe(a, later) {
		t.Errorf("with three more groups: quota %d", q)
	}
}

// TestFourBans: they halve the group's quota.
func TestFourBans(t *testing.T) {
	b, as := newAccounts()
	a := as[0]
	for range fault.GroupBans {
		if !b.Observe(&fault.Fault{Kind: fault.InvalidTrailer, Peer: a}, nil, accountDay) {
			t.Fatal("not banned")
		}
		a = a.Next()
	}
	if q := b.Quota(a, 2, accountDay); q != 1 {
		t.Errorf("quota %d, want 1", q)
	}
	if q := b.Quota(as[1], 2, accountDay); q != 2 {
		t.Errorf("quota of another group %d, want 2", q)
	}
}

func TestFalseStatement(t *testing.T) {
	b, as := newAccounts()
	st := memory.Statement{Weight: mcm.Weight{1}, Tip: mcm.Hash{2}, Expires: accountDay.Add(statementLife)}
	other := st
	other.Tip = mcm.Hash{3}
	for i, c := range []struct {
		a     netip.Addr
		st    memory.Statement
		after time.Duration
		fresh bool
	}{
		{as[0], st, 0, true}, {as[0], st, time.Hour, false}, {as[1], st, 0, true},
		{as[0], other, 0, true}, {as[0], st, 25 * time.Hour, true},
	} {
		c.st.Expires = accountDay.Add(c.after + statementLife)
		if got := b.FalseStatement(c.a, c.st, accountDay.Add(c.after)); got != c.fresh {
			t.Errorf("statement %d: fresh is %v", i, got)
		}
	}
	for i := range 100 {
		st.Tip[5] = byte(i)
		b.FalseStatement(as[2], st, accountDay)
	}
	if n := len(b.entries[as[2]].False); n > memory.MaxStatements {
		t.Errorf("%d statements are kept", n)
	}
}

// A saver keeps what it is given, or fails.
type saver struct {
	RAM  memory.RAM
	last *memory.Changes
	err  error
}

func (s *saver) Load(now time.Time) (*memory.Snapshot, error) { return s.RAM.Load(now) }

func (s *saver) Save(now time.Time, c *memory.Changes) error {
	if s.err != nil {
		return s.err
	}
	s.last = c
	return nil
}

func TestFlush(t *testing.T) {
	b, as := newAccounts()
	stranger := netip.MustParseAddr("127.9.9.9")
	m := &saver{err: errors.New("disk full")}
	b.Observe(&fault.Fault{Kind: fault.InvalidTrailer, Peer: stranger}, &evidence.Record{ID: "x"}, accountDay)
	b.Delivered(as[0], accountDay)
	b.Worthless(as[1], 7, accountDay)
	if err := b.Flush(accountDay, m); err == nil {
		t.Fatal("no error")
	}
	m.err = nil
	if err := b.Flush(accountDay, m); err != nil {
		t.Fatal(err)
	}
	var peers []netip.Addr
	for _, p := range m.last.Peers {
		peers = append(peers, p.Addr)
		if p.Addr == as[0] && !p.Delivered || p.Addr == stranger && p.Standing.Objective != 100 {
			t.Errorf("saved is %+v", p)
		}
	}
	if want := []netip.Addr{as[0], as[1], stranger}; !slices.Equal(peers, want) {
		t.Errorf("saved are %v, want %v", peers, want)
	}
	if len(m.last.Groups) != 3 || m.last.Groups[1].Record.WorthlessCount != 7 {
		t.Errorf("saved are %+v", m.last.Groups)
	}
	if len(m.last.Evidence) != 1 {
		t.Errorf("%d records of evidence", len(m.last.Evidence))
	}
	m.last = nil
	if err := b.Flush(accountDay, m); err != nil || m.last != nil {
		t.Errorf("nothing new, and %v was saved, %v", m.last, err)
	}
}

// TestUnsavedEvidence: what waits to be saved is bounded, and the newest stays.
func TestUnsavedEvidence(t *testing.T) {
	for _, c := range []struct{ size, want int }{{1000, memory.MaxEvidence}, {160_000, maxUnsaved / 160_000}} {
		b, as := newAccounts()
		packet := make([]byte, c.size)
		for i := range 1500 {
			r := &evidence.Record{Count: i, Packets: [][]byte{packet}}
			b.Observe(&fault.Fault{Kind: fault.ForeignRange, Peer: as[0]}, r, accountDay)
		}
		l := b.ledger.evidence
		if len(l) != c.want || l[len(l)-1].Count != 1499 {
			t.Errorf("%d records of %d bytes are kept, want %d", len(l), c.size, c.want)
		}
	}
}

func TestPreferred(t *testing.T) {
	b, as := newAccounts()
	stranger, banned := netip.MustParseAddr("127.9.9.9"), as[4]
	b.Delivered(stranger, accountDay)
	b.Worthless(netip.MustParseAddr("127.9.9.8"), 1, accountDay)
	b.Observe(&fault.Fault{Kind: fault.InvalidTrailer, Peer: banned}, nil, accountDay)
	want := map[netip.Addr]bool{stranger: true}
	for _, a := range as[:4] {
		want[a] = true
	}
	got := b.Preferred(accountDay)
	if len(got) != len(want) {
		t.Errorf("preferred are %v, want %v", got, want)
	}
	for a := range want {
		if !got[a] {
			t.Errorf("%v isn't preferred", a)
		}
	}
}

// TestAccountsTogether: all of it may be called from many goroutines.
func TestAccountsTogether(t *testing.T) {
	b, as := newAccounts()
	m := &saver{}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			a := as[i%len(as)]
			for range 200 {
				b.Observe(&fault.Fault{Kind: fault.InvalidTrailer, Peer: a}, nil, accountDay)
				b.FalseStatement(a, memory.Statement{Weight: mcm.Weight{uint64(i)}, Expires: accountDay.Add(time.Hour)}, accountDay)
				b.Worthless(a, 1, accountDay)
				b.Delivered(a, accountDay)
				b.MayServe(a, accountDay)
				b.Quota(a, 2, accountDay)
				b.Preferred(accountDay)
			}
		})
	}
	for range 20 {
		if err := b.Flush(accountDay, m); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if n := b.groups[b.o.Groups.Of(as[0])].Record.WorthlessCount; n != 400 {
		t.Errorf("%d worthless trailers, want 400", n)
	}
}
