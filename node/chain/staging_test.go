package chain

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"sync"
	"testing"

	"kigo/node/mcm"
	"kigo/node/proof"
)

// shows fails unless g holds exactly ts.
func shows(t testing.TB, g *Staging, ts []mcm.Trailer) {
	t.Helper()
	low, high, ok := g.Bounds()
	if len(ts) == 0 {
		if ok || g.Tip() != (mcm.Hash{}) || g.Low() != (mcm.Trailer{}) {
			t.Fatalf("holds %v to %v, expected nothing", low, high)
		}
		return
	}
	first, last := &ts[0], &ts[len(ts)-1]
	if !ok || low != first.Num() || high != last.Num() {
		t.Fatalf("holds %v to %v, expected %v to %v", low, high, first.Num(), last.Num())
	}
	if g.Tip() != *last.Hash() || g.Low() != *first {
		t.Fatal("tip or lowest trailer is wrong")
	}
	if got, err := g.Trailers(low, 1<<30); err != nil || !slices.Equal(got, ts) {
		t.Fatalf("%d trailers (%v), expected %d", len(got), err, len(ts))
	}
	for _, span := range [][2]int{{0, 1}, {len(ts) / 3, 1}, {len(ts) / 2, len(ts)}, {len(ts) - 1, 2}} {
		got, err := g.Trailers(low+mcm.BlockNum(span[0]), span[1])
		if want := ts[span[0]:min(len(ts), span[0]+span[1])]; err != nil || !slices.Equal(got, want) {
			t.Fatalf("%v: %d trailers (%v), expected %d", span, len(got), err, len(want))
		}
	}
	for _, n := range []mcm.BlockNum{low - 1, high + 1} {
		if got, err := g.Trailers(n, 5); err != nil || len(got) > 0 {
			t.Fatalf("%d trailers from %v on, %v", len(got), n, err)
		}
	}
	w, work := g.Weight()
	if ww, wwork := weightOf(ts); w != ww || work != wwork {
		t.Fatalf("weight %v and work %v, expected %v and %v", w, work, ww, wwork)
	}
}

// TestStaging takes a staging through its changes, and reopens the store after each.
func TestStaging(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	a := fromGenesis(9000, 1)
	g, err := s.Stage("abc123")
	must(t, err)
	var spans []Span
	step := func(name string, err error, want []mcm.Trailer, unworked ...Span) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		spans = unworked
		shows(t, g, want)
		if got := g.Unworked(); !slices.Equal(got, spans) {
			t.Fatalf("%s: unworked %v, expected %v", name, got, spans)
		}
		must(t, s.Close())
		s = mustOpen(t, dir, Options{})
		all, err := s.Stagings()
		must(t, err)
		if len(all) != 1 || all[0].Name() != "abc123" {
			t.Fatalf("%s: %d stagings", name, len(all))
		}
		g = all[0]
		if same, err := s.Stage("abc123"); err != nil || same != g {
			t.Fatalf("%s: Stage gives another one, %v", name, err)
		}
		shows(t, g, want)
		if got := g.Unworked(); !slices.Equal(got, spans) {
			t.Fatalf("%s, reopened: unworked %v, expected %v", name, got, spans)
		}
		if n := s.Notices(); len(n) > 0 {
			t.Fatalf("%s: notices %q", name, n)
		}
	}
	x, y := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("198.51.100.2")
	step("empty", nil, nil)
	step("begun", g.Append(a[8000:8054], x), a[8000:8054], Span{8000, 54})
	step("below", g.Prepend(a[7000:8000], y), a[7000:8054], Span{7000, 1054})
	step("much below", g.Prepend(a[3456:7000], x), a[3456:8054], Span{3456, 4598})
	step("above", g.Append(a[8054:8500], y), a[3456:8500], Span{3456, 5044})
	for n, want := range map[mcm.BlockNum]netip.Addr{8000: x, 8053: x, 7999: y, 7000: y, 6999: x, 3456: x, 8499: y, 8500: {}, 3455: {}} {
		if got := g.Sender(n); got != want {
			t.Errorf("sender of %d is %v, expected %v", n, got, want)
		}
	}
	step("worked", g.Worked(8000, 54), a[3456:8500], Span{3456, 4544}, Span{8054, 446})
	step("worked again", g.Worked(8010, 10), a[3456:8500], Span{3456, 4544}, Span{8054, 446})
	step("worked beside", g.Worked(7900, 100), a[3456:8500], Span{3456, 4444}, Span{8054, 446})
	step("worked apart", g.Worked(4000, 1000), a[3456:8500], Span{3456, 544}, Span{5000, 2900}, Span{8054, 446})
	step("doubted", s.Doubt(), a[3456:8500], Span{3456, 5044})
	step("doubted again", s.Doubt(), a[3456:8500], Span{3456, 5044})
	step("worked anew", errors.Join(g.Worked(7900, 154), g.Worked(4000, 1000)), a[3456:8500], Span{3456, 544}, Span{5000, 2900}, Span{8054, 446})
	step("cut inside", g.CutAbove(8020), a[3456:8021], Span{3456, 544}, Span{5000, 2900})
	b := fork(a, 8020, 100, 2)
	step("another end", g.Append(b[8021:], x), b[3456:], Span{3456, 544}, Span{5000, 2900}, Span{8021, 100})
	step("cut below", g.CutBelow(4500), b[4500:], Span{5000, 2900}, Span{8021, 100})
	step("below again", g.Prepend(b[4400:4500], x), b[4400:], Span{4400, 100}, Span{5000, 2900}, Span{8021, 100})
	step("nothing to cut", errors.Join(g.CutAbove(9000), g.CutBelow(10)), b[4400:], Span{4400, 100}, Span{5000, 2900}, Span{8021, 100})
	step("all cut", g.CutAbove(100), nil)
	step("begun again", g.Append(a[200:300], x), a[200:300], Span{200, 100})
	step("all cut from below", g.CutBelow(5000), nil)
	step("begun from below", g.Prepend(a[1000:4000], x), a[1000:4000], Span{1000, 3000})
	must(t, g.Remove())
	if all, err := s.Stagings(); err != nil || len(all) != 0 {
		t.Fatalf("%d stagings after Remove, %v", len(all), err)
	}
	onDisk(t, dir, nil)
	for name, err := range map[string]error{"Append": g.Append(a[:1], x), "Worked": g.Worked(0, 1), "CutAbove": g.CutAbove(0), "Adopt": s.Adopt(g)} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Remove: %v", name, err)
		}
	}
	if g2, err := s.Stage("abc123"); err != nil || g2 == g {
		t.Errorf("a removed name can't be used again: %v", err)
	} else {
		shows(t, g2, nil)
	}
}

// TestStagingRefuses makes sure that what doesn't continue the run changes nothing.
func TestStagingRefuses(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	a := fromGenesis(2000, 1)
	b := fork(a, 10, 1990, 2)
	g, err := s.Stage("0f")
	must(t, err)
	must(t, g.Append(a[1000:1100], sender))
	for name, err := range map[string]error{
		"gap below":      g.Prepend(a[900:999], sender),
		"overlap below":  g.Prepend(a[900:1001], sender),
		"other below":    g.Prepend(b[900:1000], sender),
		"hole":           g.Prepend(slices.Concat(a[900:950], a[951:1000]), sender),
		"broken link":    g.Prepend(slices.Concat(b[900:950], a[950:1000]), sender),
		"gap above":      g.Append(a[1101:1200], sender),
		"other above":    g.Append(b[1100:1200], sender),
		"overlap above":  g.Append(a[1099:1200], sender),
		"work elsewhere": g.Worked(1100, 1),
		"work below":     g.Worked(999, 5),
		"too much work":  g.Worked(1000, 101),
		"no work":        g.Worked(1000, 0),
		"negative work":  g.Worked(1000, -1),
		"another genesis": func() error {
			h, _ := s.Stage("0e")
			c := a[0]
			c[0]++
			c.Hash()[0]++
			return h.Append([]mcm.Trailer{c}, sender)
		}(),
	} {
		if err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	shows(t, g, a[1000:1100])
	for _, name := range []string{"", "xyz", "../aa", "AB", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0"} {
		if _, err := s.Stage(name); err == nil {
			t.Errorf("a staging is named %q", name)
		}
	}
}

// TestStagingRoom makes sure that neither the number nor the height of what a peer
// serves takes more of disk or memory than there is for it.
func TestStagingRoom(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	for i := range maxStagings {
		_, err := s.Stage(fmt.Sprintf("%02x", i))
		must(t, err)
	}
	if _, err := s.Stage("ff"); !errors.Is(err, ErrRoom) {
		t.Errorf("one staging too many: %v", err)
	}
	g, err := s.Stage("00")
	must(t, err)
	// A block as high as can be: the file must not be longer than the budget.
	high := mcm.GenesisTrailer()
	high.SetNum(1<<63 - 2000)
	ts := grow(&high, 1500, 3)
	must(t, g.Append(ts[1000:1500], sender))
	must(t, g.Prepend(ts[:1000], sender))
	shows(t, g, ts)
	st, err := os.Stat(filepath.Join(dir, stagingPrefix+"00"+dataExt))
	must(t, err)
	if st.Size() > maxStaged {
		t.Errorf("the file has %d bytes", st.Size())
	}
	if sum := s.shelf.bytes.Load(); sum != int64(len(ts))*mcm.TrailerLen+3*recordLen {
		t.Errorf("%d bytes are counted", sum)
	}
	must(t, g.CutBelow(ts[700].Num()))
	if sum := s.shelf.bytes.Load(); sum != int64(len(ts))*mcm.TrailerLen+4*recordLen {
		t.Errorf("%d bytes are counted after a cut from below, which frees nothing", sum)
	}
	must(t, g.CutAbove(ts[800].Num()))
	if sum := s.shelf.bytes.Load(); sum != 801*mcm.TrailerLen+5*recordLen {
		t.Errorf("%d bytes are counted after a cut from above", sum)
	}
	must(t, s.Close())
	s = mustOpen(t, dir, Options{})
	all, err := s.Stagings()
	must(t, err)
	shows(t, all[0], ts[700:801])
	if sum := s.shelf.bytes.Load(); sum != 801*mcm.TrailerLen+5*recordLen {
		t.Errorf("%d bytes are counted after reopening", sum)
	}
	// The budget for all.
	s.shelf.bytes.Store(maxStaged - 100*mcm.TrailerLen)
	if err := all[0].Append(ts[801:902], sender); !errors.Is(err, ErrRoom) {
		t.Errorf("beyond the budget: %v", err)
	}
	if err := all[1].Append(ts[801:899], sender); err != nil {
		t.Errorf("within the budget: %v", err)
	}
	must(t, all[0].CutAbove(ts[750].Num())) // makes room, so it is let through
	// Beyond the places of the file.
	o := g.runs.origin
	for span, want := range map[Span]bool{{o, 1000}: true, {o - 1, 10}: false, {o + maxPlaces - 10, 10}: true, {o + maxPlaces - 9, 10}: false} {
		if g.runs.takes(span) != want {
			t.Errorf("a place for %+v: %v", span, !want)
		}
	}
	// The number of ranges.
	g = all[1]
	g.mu.Lock()
	g.runs.ranges = slices.Repeat(g.runs.ranges, maxRanges)
	g.mu.Unlock()
	if err := g.Append(ts[899:900], sender); !errors.Is(err, ErrRoom) {
		t.Errorf("too many ranges: %v", err)
	}
	g.mu.Lock()
	g.runs.ranges = g.runs.ranges[:1]
	g.mu.Unlock()
}

// TestStagingConcurrent uses a staging from several goroutines.
func TestStagingConcurrent(t *testing.T) {
	s := mustOpen(t, t.TempDir(), Options{})
	a := fromGenesis(6000, 1)
	g, err := s.Stage("0a")
	must(t, err)
	must(t, g.Append(a[5900:], sender))
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := 5900; n > 0; n -= 100 {
			if err := g.Prepend(a[n-100:n], sender); err != nil {
				t.Error(err)
			}
		}
	})
	for range 3 {
		wg.Go(func() {
			for {
				low, high, _ := g.Bounds()
				ts, err := g.Trailers(low, 150)
				if err != nil || !slices.Equal(ts, a[low:min(int(low)+150, 6000)]) {
					t.Errorf("%d trailers from %v on, %v", len(ts), low, err)
					return
				}
				if err := g.Worked(low, int(high-low)+1); err != nil {
					t.Error(err)
				}
				g.Unworked()
				g.Weight()
				if g.Low() == a[0] {
					return
				}
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			if err := g.sync(); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	shows(t, g, a)
	must(t, s.Adopt(g))
	holds(t, s, a)
}

// TestStagingOfOtherBase makes sure that a staging isn't taken for one of another
// chain.
func TestStagingOfOtherBase(t *testing.T) {
	dir := t.TempDir()
	a := fromGenesis(300, 1)
	s := mustOpen(t, dir, Options{})
	stage(t, s, "0a", a[100:], 100)
	must(t, s.Close())
	s = mustOpen(t, dir, Options{Base: proof.Anchor{Num: 50, Hash: *a[50].Hash()}})
	all, err := s.Stagings()
	must(t, err)
	if len(all) != 0 || len(s.Notices()) != 1 {
		t.Errorf("%d stagings, notices %q", len(all), s.Notices())
	}
}

// TestWordyLog makes sure that a log that says much about little is replaced.
func TestWordyLog(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	a := fromGenesis(40, 1)
	g := stage(t, s, "0a", a[10:30], 10)
	for range 500 {
		must(t, g.Append(a[30:], sender))
		must(t, g.CutAbove(29))
	}
	must(t, g.Worked(12, 5))
	before := g.end
	must(t, s.Close())
	s = mustOpen(t, dir, Options{})
	all, err := s.Stagings()
	must(t, err)
	shows(t, all[0], a[10:30])
	if got := all[0].Unworked(); !reflect.DeepEqual(got, []Span{{10, 2}, {17, 13}}) {
		t.Errorf("unworked %v", got)
	}
	if all[0].end >= before || all[0].end != 4*recordLen {
		t.Errorf("the log has %d bytes, %d before", all[0].end, before)
	}
	must(t, all[0].Append(a[30:], sender))
	must(t, s.Close())
	s = mustOpen(t, dir, Options{})
	all, err = s.Stagings()
	must(t, err)
	shows(t, all[0], a[10:])
}

// TestStagingOfOtherRules: what other rules have judged isn't gone on with.
func TestStagingOfOtherRules(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, dir, Options{})
	ts := fromGenesis(700, 5)
	g := stage(t, s, "ab", ts, 300)
	must(t, g.Worked(0, 700))
	records := g.runs.records(s.base)
	records[0].count++
	must(t, s.Close())
	b, _ := encodeLog(records, "ab")
	must(t, os.WriteFile(filepath.Join(dir, stagingPrefix+"ab"+logExt), b, 0o600))
	s = mustOpen(t, dir, Options{})
	all, err := s.Stagings()
	if must(t, err); len(all) != 0 {
		t.Errorf("there are %d stagings", len(all))
	}
	if len(s.Notices()) != 1 {
		t.Errorf("notices: %v", s.Notices())
	}
	if left, _ := filepath.Glob(filepath.Join(dir, stagingPrefix+"*")); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
