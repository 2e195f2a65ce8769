package scan

import (
	"net/netip"
	"testing"
	"time"

	"kigo/node/fault"
	"kigo/node/memory"
	"kigo/node/wire"
)

// Ranked lists who may be called, the best first; Met says what a call came to.
func TestRanked(t *testing.T) {
	now := time.Unix(1e9, 0)
	at := func(s string) netip.Addr { return netip.MustParseAddr(s) }
	b := NewBook(BookOptions{})
	b.AddConfigured(at("9.9.9.9"))
	old := memory.Peer{Addr: at("8.8.0.1"), FirstSeen: now.Add(-2 * time.Hour), LastGood: now, LastContact: now}
	young := memory.Peer{Addr: at("8.1.0.1"), FirstSeen: now.Add(-time.Hour), LastGood: now, LastContact: now}
	spoken := memory.Peer{Addr: at("8.0.0.1"), FirstSeen: now.Add(-9 * time.Hour), LastContact: now}
	b.Load(&memory.Snapshot{Peers: []memory.Peer{old, young, spoken}})
	b.Learn(at("8.8.0.1"), []netip.Addr{at("7.0.0.1"), at("7.1.0.1")}, now)
	list := func(most int) (l []string) {
		for _, v := range b.Ranked(now, most) {
			l = append(l, v.Addr.String())
		}
		return l
	}
	check := func(when string, want ...string) {
		t.Helper()
		got := list(0)
		if len(got) != len(want) {
			t.Fatalf("%s: %v, want %v", when, got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%s: %v, want %v", when, got, want)
			}
		}
	}
	check("start", "9.9.9.9", "8.8.0.1", "8.1.0.1", "8.0.0.1", "7.0.0.1", "7.1.0.1")
	if l := list(2); len(l) != 2 || l[1] != "8.8.0.1" {
		t.Errorf("the first two: %v", l)
	}
	if b.Met(at("7.0.0.1"), nil, false, now) {
		t.Error("a candidate that doesn't answer stays")
	}
	if !b.Met(at("7.1.0.1"), &wire.State{Num: 5}, true, now) || b.Met(at("6.6.6.6"), nil, true, now) {
		t.Error("one that does leaves, or a stranger comes in")
	}
	check("after two calls", "9.9.9.9", "8.8.0.1", "8.1.0.1", "7.1.0.1", "8.0.0.1")
	b.Observe(&fault.Fault{Kind: fault.InvalidTrailer, Peer: at("8.1.0.1")}, nil, now)
	check("after a ban", "9.9.9.9", "8.8.0.1", "7.1.0.1", "8.0.0.1")
	m := new(memory.RAM)
	if err := b.Flush(now, m); err != nil {
		t.Fatal(err)
	}
}
