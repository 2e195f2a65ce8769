package scan

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"kigo/node/wire"
)

// Whatever a core list holds, it ends, and only addresses that a host can have come
// of it.
func FuzzReadCore(f *testing.F) {
	for _, s := range []string{"", "8.8.8.8\n", "# x\nseed.example\n\n1.1.1.1\n", "::1\n0.0.0.0\n255.255.255.255\n", "\xff\x00\n", "1.2.3.4\r\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, file string) {
		b := NewBook(BookOptions{})
		n, _ := b.ReadCore(t.Context(), strings.NewReader(file), func(context.Context, string, string) ([]netip.Addr, error) {
			return nil, errors.New("no such host")
		})
		if n != len(b.configured) || n > maxCoreLines || len(b.entries) != n {
			t.Errorf("%d new, %d configured, %d entries", n, len(b.configured), len(b.entries))
		}
		for a := range b.entries {
			if !wire.Callable(a) {
				t.Errorf("%v is in the book", a)
			}
		}
	})
}

// Whatever peers name, the book stays within its bounds, its counts are right, and
// each candidate is called once.
func FuzzLearn(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 8, 8, 8, 8, 1, 1, 1, 1})
	f.Add(make([]byte, 400))
	f.Fuzz(func(t *testing.T, data []byte) {
		b := NewBook(BookOptions{Max: 20, Seed: 1})
		o := b.start(noon)
		for len(data) >= 4 {
			from := netip.AddrFrom4([4]byte(data))
			n := min(int(data[0])*4, len(data)/4*4-4)
			l, err := wire.ParseAddrs(data[4 : 4+n])
			if err != nil {
				l = nil
			}
			data = data[4+n:]
			o.learn(from, l, noon)
			if e, ok := o.next(free); ok && from.As4()[3]%2 == 0 {
				b.keep(e, from.As4()[2]%2 == 0)
			}
		}
		listed := map[netip.Addr]int{}
		for _, l := range b.byTarget {
			if len(l) > MaxPerTarget {
				t.Errorf("%d candidates in one group", len(l))
			}
			for _, e := range l {
				listed[e.Addr]++
			}
		}
		if b.candidates > 20 || len(listed) != b.candidates {
			t.Errorf("%d candidates, %d listed", b.candidates, len(listed))
		}
		called := map[netip.Addr]int{}
		waiting := o.waiting()
		for _, a := range calls(o) {
			if called[a]++; called[a] > 1 {
				t.Errorf("%v is called twice", a)
			}
		}
		if len(called) != waiting || o.waiting() != 0 {
			t.Errorf("%d called, %d were waiting, %d are left", len(called), waiting, o.waiting())
		}
	})
}
