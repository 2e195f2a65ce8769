package chain

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"kigo/node/mcm"
)

// An act is one thing that a node does with its chain.  Done again after an error it
// goes on where it was.
type act struct {
	name  string
	do    func(s *Store) error
	after []mcm.Trailer // the chain then
}

// acts returns a life of a chain that takes it through every kind of change.
func acts() []act {
	a := fromGenesis(2300, 1)
	b := fork(a, 2100, 900, 2)
	c := fork(b, 2800, 50, 3)
	d := fork(c, 2500, 1200, 4)
	e := fromGenesis(1400, 5)
	f := fork(e, 1399, 700, 6)
	side := fork(a, 300, 1500, 7)
	all := func(g *Staging) error { // work of all but the first 100
		low, high, _ := g.Bounds()
		return g.Worked(low+100, int(high-low)+1-100)
	}
	return []act{
		{"extend nothing", extendTo(a[:1500]), a[:1500]},
		{"extend", extendTo(a), a},
		{"stage", staging("aa", b[2101:], 400, all), a},
		{"adopt", adopt("aa", b), b},
		{"prove some", func(s *Store) error { return s.Proven(2150) }, b},
		{"replace by a shorter one", replaceBy(c, 2801), c},
		{"replace by a longer one", replaceBy(d, 2501), d},
		{"stage all", staging("bb", e, 600, nil), d},
		{"stage another", staging("cc", side[301:], 500, func(g *Staging) error {
			return errors.Join(g.Worked(400, 300), g.CutAbove(1234), g.CutBelow(555))
		}), d},
		{"adopt all", adopt("bb", e), e},
		{"stage on top", staging("dd", f[1400:], 300, nil), e},
		{"adopt on top", adopt("dd", f), f},
		{"remove", func(s *Store) error {
			g, err := s.Stage("cc")
			if err != nil {
				return err
			}
			return g.Remove()
		}, f},
	}
}

func extendTo(ts []mcm.Trailer) func(s *Store) error {
	return func(s *Store) error {
		tip, ok := s.Tip()
		n := 0
		if ok {
			n = int(tip.Num) + 1
		}
		return s.Extend(ts[n:])
	}
}

func replaceBy(ts []mcm.Trailer, from mcm.BlockNum) func(s *Store) error {
	return func(s *Store) error { return s.Replace(from, ts[from:]) }
}

// staging has ts staged from the top down in ranges of n, and then calls end.
func staging(name string, ts []mcm.Trailer, n int, end func(*Staging) error) func(s *Store) error {
	return func(s *Store) error {
		g, err := s.Stage(name)
		if err != nil {
			return err
		}
		left := len(ts)
		if low, high, ok := g.Bounds(); ok {
			if high != ts[len(ts)-1].Num() { // cut by a machine that stopped, or done before
				return g.CutAbove(0)
			}
			left = int(low - ts[0].Num())
		}
		for left > 0 {
			at := max(0, left-n)
			if err := g.Prepend(ts[at:left], netip.AddrFrom4([4]byte{10, 0, 0, byte(at)})); err != nil {
				return err
			}
			left = at
		}
		if end == nil {
			return nil
		}
		return end(g)
	}
}

func adopt(name string, want []mcm.Trailer) func(s *Store) error {
	return func(s *Store) error {
		g, err := s.Stage(name)
		if err != nil {
			return err
		}
		if tip, _ := s.Tip(); tip.Hash == *want[len(want)-1].Hash() {
			return g.Remove()
		}
		return s.Adopt(g)
	}
}

// isOneOf fails unless the folder opens as one of these chains, without a word
// about damage, and takes the rest of a life afterwards.
func isOneOf(t *testing.T, what, dir string, quiet bool, chains ...[]mcm.Trailer) *Store {
	t.Helper()
	s, err := open(dir, Options{Now: clock}, quick)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	tip, _ := s.Tip()
	for _, ts := range chains {
		if len(ts) == int(s.view.count) && tip == tipOf(ts) {
			if got := content(t, s); !slices.Equal(got, ts) {
				t.Fatalf("%s: right tip above other trailers", what)
			}
			stagings(t, what, s)
			if n := s.Notices(); quiet && len(n) > 0 {
				t.Errorf("%s: notices %q", what, n)
			}
			return s
		}
	}
	t.Fatalf("%s: a chain of %d with tip %v, expected one of %d; notices %q", what, s.view.count, tip.Num, len(chains), s.Notices())
	return nil
}

// staged are the trailers that acts stages, by staging, and those whose work it ever
// says is proven.
var staged, stagedWork = func() (map[string][]mcm.Trailer, map[string]Span) {
	a := fromGenesis(2300, 1)
	b := fork(a, 2100, 900, 2)
	e := fromGenesis(1400, 5)
	return map[string][]mcm.Trailer{
		"aa": b, "bb": e, "cc": fork(a, 300, 1500, 7), "dd": fork(e, 1399, 700, 6),
	}, map[string]Span{"aa": {2201, 800}, "cc": {400, 300}}
}()

// stagings fails unless all stagings hold what was staged, or a part of it, and
// nothing is said to be proven that never was.
func stagings(t *testing.T, what string, s *Store) {
	t.Helper()
	all, err := s.Stagings()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	for _, g := range all {
		low, high, ok := g.Bounds()
		if !ok {
			continue
		}
		ts, err := g.Trailers(low, int(high-low)+1)
		if want := staged[g.Name()]; err != nil || !slices.Equal(ts, want[low:high+1]) {
			t.Fatalf("%s: staging %s, blocks %v to %v, %v", what, g.Name(), low, high, err)
		}
		proven := stagedWork[g.Name()]
		at := low
		for _, x := range append(g.Unworked(), Span{high + 1, 0}) {
			if at < x.First && (at < proven.First || x.First > proven.end()) {
				t.Fatalf("%s: staging %s says that %v to %v are proven", what, g.Name(), at, x.First)
			}
			at = x.end()
		}
	}
}

// quick is for tests that stop no machine.
func quick(d *disk) { d.volatile = true }

// live runs the acts until one fails, and returns how many are done.
func live(s *Store, acts []act) (int, error) {
	for i, a := range acts {
		if err := a.do(s); err != nil {
			return i, fmt.Errorf("%s: %w", a.name, err)
		}
	}
	return len(acts), nil
}

func before(acts []act, i int) []mcm.Trailer {
	if i == 0 {
		return nil
	}
	return acts[i-1].after
}

// TestKilledAtEachStep copies the folder at each step of a life and at each change on
// the disk, and halfway through each write: what a kill would leave.  Open has to
// find the chain before or after the act, and the acts that are left have to work.
func TestKilledAtEachStep(t *testing.T) {
	acts := acts()
	dir := filepath.Join(t.TempDir(), "chain")
	met := map[string]bool{}
	now := 0
	last := ""
	look := func(what string) {
		what = fmt.Sprintf("act %q, %s", acts[now].name, what)
		to := copyDir(t, dir)
		defer os.RemoveAll(to)
		chains := [][]mcm.Trailer{before(acts, now), acts[now].after}
		s := isOneOf(t, what, to, true, chains...)
		tip, _ := s.Tip()
		from := now
		if tip == tipOf(acts[now].after) && now+1 < len(acts) && len(acts[now].after) != len(before(acts, now)) {
			from++
		}
		if testing.Short() && len(met)%7 != 0 {
			must(t, s.Close())
			return
		}
		if n, err := live(s, acts[from:]); err != nil {
			t.Fatalf("%s: act %d after it: %v", what, from+n, err)
		}
		holds(t, s, acts[len(acts)-1].after)
		must(t, s.Close())
	}
	tap := func(c change) error {
		what := fmt.Sprintf("before %d of %s after %q", c.op, c.name, last)
		look(what)
		if c.op == opWrite && len(c.data) > 1 {
			if _, err := c.file.f.WriteAt(c.data[:len(c.data)/2], c.off); err != nil {
				t.Fatal(err)
			}
			look("half of a write, " + what)
		}
		return nil
	}
	s, err := open(dir, Options{Now: clock, Hook: func(step string) {
		met[step] = true
		last = step
		look("at " + step)
	}}, quick)
	must(t, err)
	s.disk.tap = tap
	for now = range acts {
		if err := acts[now].do(s); err != nil {
			t.Fatalf("%s: %v", acts[now].name, err)
		}
		holds(t, s, acts[now].after)
	}
	must(t, s.Close())
	onDisk(t, dir, acts[len(acts)-1].after)
	for _, step := range Steps() {
		switch step {
		case stepRepairKept, stepRepairState, stepImportCopied, stepImportVerified:
		default:
			if !met[step] {
				t.Errorf("no act has met step %q", step)
			}
		}
	}
}

// TestKilledWhileOpening interrupts, once more and at each change, the Open that
// follows a kill after the journal was written, by another kill and by a loss of
// power.
func TestKilledWhileOpening(t *testing.T) {
	acts := acts()
	dir := filepath.Join(t.TempDir(), "chain")
	now := 0
	hook := func(step string) {
		switch step {
		case stepSwitchDecided, stepSwitchHalf, stepSwitchCopied, stepSwitchStated, stepSwitchCleared:
		default:
			return
		}
		what := fmt.Sprintf("act %q, killed at %q", acts[now].name, step)
		killed := copyDir(t, dir)
		defer os.RemoveAll(killed)
		n := 0
		p := newPlatter(killed, t)
		rng := rand.New(rand.NewPCG(6, 6))
		some := func() bool { return rng.IntN(2) > 0 }
		tap := func(c change) error {
			n++
			for _, to := range []string{copyDir(t, killed), p.crash(t, some, some)} {
				must(t, isOneOf(t, fmt.Sprintf("%s, and at change %d of Open", what, n), to, false, acts[now].after).Close())
				must(t, os.RemoveAll(to))
			}
			return p.tap(c)
		}
		s, err := open(killed, Options{Now: clock}, func(d *disk) { d.tap, d.volatile = tap, true })
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		s.disk.tap = nil
		holds(t, s, acts[now].after)
		must(t, s.Close())
		if n == 0 {
			t.Errorf("%s: Open changed nothing", what)
		}
	}
	s, err := open(dir, Options{Now: clock, Hook: hook}, quick)
	must(t, err)
	defer s.Close()
	for now = range acts {
		must(t, acts[now].do(s))
	}
}

// TestFailures has each change on the disk fail, alone or with all that follow, and
// writes also after a part of them was done.  An act that says it failed has changed
// nothing, one that says it didn't has; it can be done again, and the folder opens.
func TestFailures(t *testing.T) {
	acts := acts()
	for _, mode := range []string{"once", "from then on", "half written"} {
		t.Run(mode, func(t *testing.T) {
			step := 1
			if testing.Short() {
				step = 20
			}
			k := 0
			for failAt(t, acts, k, mode) {
				k += step
			}
			if k < 100 {
				t.Errorf("only %d changes", k)
			}
		})
	}
}

var errFull = errors.New("no space left on device")

// failAt lives the acts with change k failing, and reports whether there was one.
func failAt(t *testing.T, acts []act, k int, mode string) bool {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "chain")
	s, err := open(dir, Options{Now: clock}, quick)
	must(t, err)
	n, failing := 0, false
	what := ""
	s.disk.tap = func(c change) error {
		n++
		if n-1 == k {
			failing = true
			what = fmt.Sprintf("change %d, %d of %s", k, c.op, c.name)
			if mode == "half written" && c.op == opWrite {
				return &partial{len(c.data) / 2, errFull}
			}
			return errFull
		}
		if failing && mode == "from then on" {
			return errFull
		}
		return nil
	}
	for i, a := range acts {
		err := a.do(s)
		if failing {
			what = fmt.Sprintf("act %q, %s", a.name, what)
			chain := a.after
			if err != nil {
				chain = before(acts, i)
				if mode != "once" && !errors.Is(err, errFull) {
					t.Fatalf("%s: %v", what, err)
				}
			}
			tip, _ := s.Tip()
			if tip != tipOf(chain) || !slices.Equal(content(t, s), chain) {
				t.Fatalf("%s: %v, and the chain is neither", what, err)
			}
			// What is there now survives a kill.
			to := copyDir(t, dir)
			must(t, isOneOf(t, what+", then killed", to, true, before(acts, i), a.after).Close())
			must(t, os.RemoveAll(to))
			s.disk.tap, failing = nil, false
			if err != nil {
				if err := a.do(s); err != nil {
					t.Fatalf("%s: again: %v", what, err)
				}
			}
			for _, a := range acts[i+1:] {
				if err := a.do(s); err != nil {
					t.Fatalf("%s: then %s: %v", what, a.name, err)
				}
			}
			must(t, s.Close())
			onDisk(t, dir, acts[len(acts)-1].after)
			must(t, isOneOf(t, what, dir, true, acts[len(acts)-1].after).Close())
			must(t, os.RemoveAll(dir))
			return true
		}
		if err != nil {
			t.Fatalf("%s: %v", a.name, err)
		}
	}
	must(t, s.Close())
	return false
}

// A platter is a disk that may lose what wasn't synced.  It sees the changes that a
// Store makes.
type platter struct {
	names   map[string]*inode // as the process sees them
	durable map[string]*inode
	dirOps  []naming // since the folder was synced
	files   map[*file]*inode
}

// A naming gives a file a name and takes another one away; either may be empty.
type naming struct {
	name, gone string
	ino        *inode
}

func (n naming) apply(names map[string]*inode) {
	delete(names, n.gone)
	if n.name != "" {
		names[n.name] = n.ino
	}
}

type inode struct {
	now, synced []byte
	writes      []change // since it was synced
}

func newPlatter(dir string, t *testing.T) *platter {
	p := &platter{names: map[string]*inode{}, files: map[*file]*inode{}}
	for _, name := range names(t, dir) {
		b, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		p.names[name] = &inode{now: b, synced: slices.Clone(b)}
	}
	p.durable = maps.Clone(p.names)
	return p
}

func write(b []byte, c change) []byte {
	if c.op == opTruncate {
		if int64(len(b)) > c.off {
			return slices.Clone(b[:c.off])
		}
		return append(slices.Clone(b), make([]byte, c.off-int64(len(b)))...)
	}
	if end := c.off + int64(len(c.data)); int64(len(b)) < end {
		b = append(b, make([]byte, end-int64(len(b)))...)
	}
	copy(b[c.off:], c.data)
	return b
}

func (p *platter) tap(c change) error {
	switch c.op {
	case opOpen:
		p.files[c.file] = p.names[c.name]
	case opCreate:
		n := p.names[c.name]
		if n == nil {
			n = &inode{}
			p.names[c.name] = n
			p.dirOps = append(p.dirOps, naming{c.name, "", n})
		} else {
			cut := change{op: opTruncate}
			n.now, n.writes = write(n.now, cut), append(n.writes, cut)
		}
		p.files[c.file] = n
	case opWrite, opTruncate:
		n := p.files[c.file]
		c.data = slices.Clone(c.data)
		n.now, n.writes = write(n.now, c), append(n.writes, c)
	case opSync:
		n := p.files[c.file]
		n.synced, n.writes = slices.Clone(n.now), nil
	case opRename, opRemove:
		if n := p.names[c.name]; n != nil {
			op := naming{c.to, c.name, n}
			op.apply(p.names)
			p.dirOps = append(p.dirOps, op)
		}
	case opSyncDir:
		p.durable, p.dirOps = maps.Clone(p.names), nil
	}
	return nil
}

// crash writes what may be left into a new folder: of the names what named says of
// each change since the last sync, of the files what keep says of each write.
func (p *platter) crash(t *testing.T, named, keep func() bool) string {
	t.Helper()
	names := maps.Clone(p.durable)
	for _, op := range p.dirOps {
		if named() {
			op.apply(names)
		}
	}
	dir := t.TempDir()
	for name, ino := range names {
		b := slices.Clone(ino.synced)
		for _, c := range ino.writes {
			if keep() {
				b = write(b, c)
			}
		}
		must(t, os.WriteFile(filepath.Join(dir, name), b, 0o644))
	}
	return dir
}

// TestPowerLoss stops the machine before each change of a life: of what wasn't synced
// by then nothing is left, or all, or names without content or the other way round,
// or parts by chance.
func TestPowerLoss(t *testing.T) {
	if testing.Short() {
		t.Skip("opens a store some hundred times")
	}
	acts := acts()
	dir := filepath.Join(t.TempDir(), "chain")
	s, err := open(dir, Options{Now: clock}, quick)
	must(t, err)
	p := newPlatter(dir, t)
	rng := rand.New(rand.NewPCG(1, 2))
	all, none := func() bool { return true }, func() bool { return false }
	some := func(n int) func() bool { return func() bool { return rng.IntN(n) > 0 } }
	now, n := 0, 0
	s.disk.tap = func(c change) error {
		if n++; testing.Short() && n%4 != 0 {
			return p.tap(c)
		}
		what := fmt.Sprintf("act %q, change %d (%d of %s)", acts[now].name, n, c.op, c.name)
		for mode, d := range map[string]string{
			"nothing":   p.crash(t, none, none),
			"names":     p.crash(t, all, none),
			"content":   p.crash(t, none, all),
			"by chance": p.crash(t, some(2), some(2)),
			"most":      p.crash(t, some(4), all),
			"few":       p.crash(t, all, some(4)),
		} {
			// A staging may have lost its last second, which is told.
			must(t, isOneOf(t, what+", "+mode, d, false, before(acts, now), acts[now].after).Close())
			must(t, os.RemoveAll(d))
		}
		return p.tap(c)
	}
	for now = range acts {
		must(t, acts[now].do(s))
	}
	s.disk.tap = nil
	must(t, s.Close())
	for name, ino := range p.names {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !slices.Equal(b, ino.now) {
			t.Errorf("the platter has %s otherwise than the folder, so the test proves nothing: %v", name, err)
		}
	}
}

// TestUncertainState has the folder's sync fail after a new state got its name, and
// another block come then: the state on the disk must not be left with other trailers
// than it names.
func TestUncertainState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "chain")
	a := fromGenesis(1500, 1)
	b := fork(a, 1199, 300, 2)
	looked := false
	hook := func(string) {}
	s, err := open(dir, Options{Now: clock, Hook: func(step string) { hook(step) }}, quick)
	must(t, err)
	defer s.Close()
	must(t, s.Extend(a[:1200]))
	s.disk.tap = func(c change) error {
		if c.op == opSyncDir {
			return errFull
		}
		return nil
	}
	if err := s.Extend(a[1200:]); !errors.Is(err, errFull) {
		t.Fatalf("the folder isn't synced, and Extend says %v", err)
	}
	holds(t, s, a[:1200])
	if err := s.Extend(b[1200:]); !errors.Is(err, errFull) {
		t.Fatalf("the folder still isn't synced, and Extend says %v", err)
	}
	s.disk.tap = nil
	hook = func(step string) {
		if step == stepExtendWritten {
			looked = true
			must(t, isOneOf(t, "killed after that", copyDir(t, dir), true, a[:1200]).Close())
		}
	}
	must(t, s.Extend(b[1200:]))
	holds(t, s, b)
	if !looked {
		t.Error("the hook was not called")
	}
}

// TestStaleJournal leaves the journal of a switch that was taken back beside a chain
// that has gone on since: it is not followed.
func TestStaleJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "chain")
	a := fromGenesis(1500, 1)
	b := fork(a, 1100, 200, 2)
	var stale string
	s, err := open(dir, Options{Now: clock, Hook: func(step string) {
		if step == stepSwitchDecided && stale == "" {
			stale = copyDir(t, dir)
		}
	}}, quick)
	must(t, err)
	must(t, s.Extend(a[:1200]))
	stale = ""
	must(t, s.Replace(1101, b[1101:]))
	must(t, s.Replace(0, a))
	must(t, s.Close())
	for _, name := range []string{mainName, stateName} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(stale, name), data, 0o644))
	}
	s = isOneOf(t, "with a stale journal", stale, false, a)
	if len(s.Notices()) != 1 || len(asides(t, stale)) != 1 {
		t.Errorf("notices %q, set aside %q", s.Notices(), asides(t, stale))
	}
	must(t, s.Close())
}
