package chainsync

import (
	"net/netip"
	"testing"
	"time"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/memory"
)

// open is accounts that let everybody serve.
type open struct{}

func (open) Observe(*fault.Fault, *evidence.Record, time.Time) bool      { return false }
func (open) Worthless(netip.Addr, int, time.Time)                        {}
func (open) FailedWork(netip.Addr, int, time.Time)                       {}
func (open) Delivered(netip.Addr, time.Time)                             {}
func (open) MayServe(netip.Addr, time.Time) bool                         { return true }
func (open) Quota(_ netip.Addr, n int, _ time.Time) int                  { return n }
func (open) FalseStatement(netip.Addr, memory.Statement, time.Time) bool { return true }

// sourcesOf returns n sources of as many groups.
func sourcesOf(net byte, n int) *sources {
	var all []Supporter
	for i := range n {
		a := netip.AddrFrom4([4]byte{net, byte(i), 1, 1})
		g, _ := a.Prefix(16)
		all = append(all, Supporter{Addr: a, Group: g})
	}
	return newSources(all)
}

// TestTurns: downloads share what may be under way at once, not how often they ask.  One
// whose sources take as long as they may would otherwise have nearly all of it.
func TestTurns(t *testing.T) {
	s := &Syncer{o: Options{Accounts: open{}}.defaults(), workshop: &workshop{}}
	s.o.Limits.Flight = 8
	sched := newScheduler(s)
	slow, quick := &download{sources: sourcesOf(1, 200)}, &download{sources: sourcesOf(2, 8)}
	sched.join(slow)
	sched.join(quick)
	var held, brief []*source
	served := 0
	for range 100 {
		for {
			// Each takes what it gets.
			a, _ := sched.take(slow, nil)
			b, _ := sched.take(quick, nil)
			if a != nil {
				held = append(held, a)
			}
			if b != nil {
				brief = append(brief, b)
			}
			if a == nil && b == nil {
				break
			}
		}
		// The quick ones are done by now, of the slow ones one.
		served += len(brief)
		for _, src := range append(brief, held[0]) {
			sched.release(src)
		}
		brief, held = nil, held[1:]
	}
	if want := 100 * s.o.Limits.Flight / 2; served < want*3/4 {
		t.Errorf("the quick one had %d ranges while the slow one kept its own, expected about %d", served, want)
	}
	if sched.flying != len(held) || sched.turns[slow].flying != len(held) || sched.turns[quick].flying != 0 {
		t.Errorf("%d under way, %d and %d by turns, expected %d", sched.flying, sched.turns[slow].flying, sched.turns[quick].flying, len(held))
	}
}

// TestSlowDeliverers: of those that serve the quick come first, however much they have
// done.
func TestSlowDeliverers(t *testing.T) {
	l := sourcesOf(1, 40)
	any := func(*source) bool { return true }
	for i, src := range l.all {
		l.ask(src)
		l.delivered(src, i > 0)
		src.busy = false
	}
	for range 50 {
		src := l.next(time.Now(), any)
		if src != l.all[0] {
			t.Fatalf("%v comes next, expected the quick one", src.Addr)
		}
		l.ask(src)
		l.delivered(src, false)
		src.busy = false
	}
	l.all[0].busy = true
	if src := l.next(time.Now(), any); src == nil {
		t.Error("slow ones are not used while the quick one is")
	}
}
