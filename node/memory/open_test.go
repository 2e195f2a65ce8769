package memory

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.etcd.io/bbolt"

	"kigo/node/mcm"
)

// setAside returns the files beside path that were set aside.
func setAside(tb testing.TB, path string) (names []string) {
	tb.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		tb.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() != filepath.Base(path) {
			names = append(names, e.Name())
		}
	}
	return names
}

// saved makes a file with something of everything in it, and returns its bytes.
func saved(tb testing.TB, path string) []byte {
	tb.Helper()
	db := mustOpen(tb, path, Options{})
	mustSave(tb, db, noon, full(tb))
	mustClose(tb, db)
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func TestForeignFilesAreSetAside(t *testing.T) {
	for _, c := range []struct {
		name string
		id   Identity
		why  string
	}{
		{"network", Identity{7, ours.Rules, ours.Pin}, "network 1337, ours is 7"},
		{"pin", Identity{ours.Network, ours.Rules, [32]byte{9}}, "it goes with another history pin"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := tempFile(t)
			was := saved(t, path)
			for round, want := range []string{"memory.db.foreign-20260304T120000Z", "memory.db.foreign-20260304T120000Z-2"} {
				var log journal
				db, err := Open(path, c.id, Options{Log: log.logger(), Now: func() time.Time { return noon }})
				if err != nil {
					t.Fatal(err)
				}
				if s := mustLoad(t, db, noon); len(s.Peers)+len(s.Groups)+len(s.Invalid)+len(s.Verified) != 0 {
					t.Errorf("remembers %+v", s)
				}
				mustClose(t, db)
				if names := setAside(t, path); !slices.Contains(names, want) || len(names) != round+1 {
					t.Errorf("set aside: %v, expected %s too", names, want)
				}
				if round == 0 {
					kept, err := os.ReadFile(filepath.Join(filepath.Dir(path), want))
					if err != nil || !bytes.Equal(kept, was) {
						t.Errorf("what was set aside was altered: %v", err)
					}
				}
				if s := log.String(); !strings.Contains(s, want) || !strings.Contains(s, c.why) {
					t.Errorf("says %s", s)
				}
				// What was begun is ours, until the other comes back.
				if db, err = Open(path, c.id, Options{}); err != nil {
					t.Fatal(err)
				}
				mustClose(t, db)
				if names := setAside(t, path); len(names) != round+1 {
					t.Errorf("set aside again: %v", names)
				}
				if err := os.WriteFile(path, was, 0o600); err != nil {
					t.Fatal(err)
				}
			}
		})
	}

	path := tempFile(t)
	other, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte("theirs")); return err }); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	mustOpen(t, path, Options{})
	if names := setAside(t, path); len(names) != 1 || !strings.Contains(names[0], ".foreign-") {
		t.Errorf("a database of somebody else's: %v", names)
	}
}

func TestOtherRulesDropInvalidTrailersOnly(t *testing.T) {
	path := tempFile(t)
	saved(t, path)
	want := sorted(full(t))
	want.Invalid = []Invalid{}
	id := ours
	id.Rules++
	var log journal
	m := NewMetrics(nil)
	db, err := Open(path, id, Options{Log: log.logger(), Metrics: m})
	if err != nil {
		t.Fatal(err)
	}
	wantSnapshot(t, "under other rules", mustLoad(t, db, noon), want)
	if records, err := db.Evidence(); err != nil || len(records) != 2 {
		t.Errorf("%d records of evidence, %v", len(records), err)
	}
	if n := testutil.ToFloat64(m.dropped.WithLabelValues("invalid", "rules")); n != 3 || !strings.Contains(log.String(), "records=3") {
		t.Errorf("%v dropped, says %s", n, log.String())
	}
	mustSave(t, db, noon, &Changes{Invalid: []Invalid{invalidAt(8, noon)}})
	mustClose(t, db)
	if db, err = Open(path, id, Options{}); err != nil {
		t.Fatal(err)
	}
	if s := mustLoad(t, db, noon); len(s.Invalid) != 1 {
		t.Errorf("drops them again")
	}
	mustClose(t, db)
	if names := setAside(t, path); len(names) != 0 {
		t.Errorf("set aside: %v", names)
	}
}

// reopen opens a damaged file: it has to work as a memory, whether it was set
// aside or not.
func reopen(t *testing.T, what, path string) (replaced bool) {
	t.Helper()
	db, err := Open(path, ours, Options{Now: func() time.Time { return noon }})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if _, err := db.Load(noon); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if _, err := db.Evidence(); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	mustSave(t, db, noon, full(t))
	s := mustLoad(t, db, noon)
	for _, p := range full(t).Peers {
		if !slices.ContainsFunc(s.Peers, func(q Peer) bool { return q.Addr == p.Addr }) {
			t.Errorf("%s: lost what was saved after", what)
		}
	}
	mustClose(t, db)
	return len(setAside(t, path)) > 0
}

func TestDamagedFiles(t *testing.T) {
	whole := saved(t, tempFile(t))
	f := func(name string, b []byte, replaced bool) {
		t.Helper()
		path := tempFile(t)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := reopen(t, name, path); got != replaced {
			t.Errorf("%s: set aside %v, expected %v", name, got, replaced)
		}
		for _, n := range setAside(t, path) {
			if kept, err := os.ReadFile(filepath.Join(filepath.Dir(path), n)); err != nil || !strings.Contains(n, ".damaged-") || !bytes.Equal(kept, b) {
				t.Errorf("%s: %s was altered: %v", name, n, err)
			}
		}
	}
	f("empty", nil, false)
	f("whole", whole, false)
	f("text", []byte("hello"), true)
	f("zeros", make([]byte, 64<<10), true)
	f("ones", bytes.Repeat([]byte{0xff}, 64<<10), true)
	page := os.Getpagesize()
	for n := 1; n < len(whole)/page; n++ {
		if b := whole[:n*page]; slices.ContainsFunc(whole[n*page:], func(c byte) bool { return c != 0 }) {
			f(fmt.Sprintf("cut to %d pages", n), b, true)
		}
	}
	f("cut inside a page", whole[:page*5/2], true)
	f("one byte", whole[:1], true)

	// Both meta pages name a root that isn't there.
	wrecked := slices.Clone(whole)
	for p := 2; p < len(wrecked)/page; p++ {
		copy(wrecked[p*page:(p+1)*page], bytes.Repeat([]byte{0xa5}, page))
	}
	f("pages overwritten", wrecked, true)
}

// TestFlippedBytes alters single bytes of pages that are in use.  Some go
// unnoticed by bbolt and some by everybody, since bbolt has no checksums on pages;
// what counts is that nothing falls and nothing false comes out.
func TestFlippedBytes(t *testing.T) {
	whole := saved(t, tempFile(t))
	want := sorted(full(t))
	rng := rand.New(rand.NewPCG(1, 2))
	rounds := 200
	if testing.Short() {
		rounds = 60
	}
	replaced := 0
	path := tempFile(t)
	for i := range rounds {
		b := slices.Clone(whole)
		at := rng.IntN(len(b))
		if i%2 == 0 { // the beginning of a page, where the structure is
			at = at/4096*4096 + rng.IntN(200)
		}
		b[at] ^= byte(1 + rng.IntN(255))
		what := fmt.Sprintf("round %d, byte %#x", i, at)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := Open(path, ours, Options{Now: func() time.Time { return noon }})
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		s, err := db.Load(noon)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for _, p := range s.Peers {
			if !slices.ContainsFunc(want.Peers, func(q Peer) bool { return fmt.Sprint(q) == fmt.Sprint(p) }) {
				t.Errorf("%s: a peer that never was: %+v", what, p)
			}
		}
		for _, v := range s.Invalid {
			if !slices.ContainsFunc(want.Invalid, func(w Invalid) bool {
				w.Trailer = v.Trailer // may have been lost
				return v == w
			}) {
				t.Errorf("%s: a trailer that was never invalid: %+v", what, v)
			}
		}
		mustSave(t, db, noon, full(t))
		mustClose(t, db)
		for _, n := range setAside(t, path) {
			replaced++
			if err := os.Remove(filepath.Join(filepath.Dir(path), n)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if replaced < rounds/50 {
		t.Errorf("%d of %d files were set aside: the check looks at little", replaced, rounds)
	}
}

// TestDamageWhileOpen cuts the file under the memory's feet.
func TestDamageWhileOpen(t *testing.T) {
	for name, use := range map[string]func(db *DB) error{
		"load":     func(db *DB) error { _, err := db.Load(noon); return err },
		"save":     func(db *DB) error { return db.Save(noon, &Changes{Peers: []Peer{peerAt(1, noon)}}) },
		"evidence": func(db *DB) error { _, err := db.Evidence(); return err },
	} {
		t.Run(name, func(t *testing.T) {
			path := tempFile(t)
			saved(t, path)
			var log journal
			db := mustOpen(t, path, Options{Log: log.logger()})
			if err := os.Truncate(path, int64(2*os.Getpagesize())); err != nil {
				t.Fatal(err)
			}
			if err := use(db); err != nil {
				t.Errorf("%v", err)
			}
			if names := setAside(t, path); len(names) != 1 || !strings.Contains(log.String(), "set aside") {
				t.Errorf("set aside: %v, says %s", names, log.String())
			}
			mustSave(t, db, noon, &Changes{Peers: []Peer{peerAt(1, noon)}})
			if s := mustLoad(t, db, noon); len(s.Peers) != 1 {
				t.Errorf("%d peers", len(s.Peers))
			}
			mustClose(t, db)
			db = mustOpen(t, path, Options{})
			if s := mustLoad(t, db, noon); len(s.Peers) != 1 {
				t.Errorf("%d peers when opened again", len(s.Peers))
			}
		})
	}
}

func TestOneProcessAtATime(t *testing.T) {
	path := tempFile(t)
	saved(t, path)
	db := mustOpen(t, path, Options{})
	f := func(readOnly bool, open func() (*DB, error)) {
		t.Helper()
		begin := time.Now()
		var locked *LockedError
		if _, err := open(); !errors.As(err, &locked) || locked.Path != path || locked.ReadOnly != readOnly || !strings.Contains(err.Error(), path) {
			t.Errorf("read-only %v: %v", readOnly, err)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("read-only %v: waited %v", readOnly, took)
		}
	}
	f(false, func() (*DB, error) { return Open(path, ours, Options{}) })
	f(true, func() (*DB, error) { return OpenReadOnly(path, Options{}) })
	mustClose(t, db)

	var readers []*DB
	for range 2 { // any number may read
		r, err := OpenReadOnly(path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, r)
	}
	f(false, func() (*DB, error) { return Open(path, ours, Options{}) })
	for _, r := range readers {
		mustClose(t, r)
	}
	if names := setAside(t, path); len(names) != 0 {
		t.Errorf("set aside: %v", names)
	}
}

func TestReadOnly(t *testing.T) {
	path := tempFile(t)
	if _, err := OpenReadOnly(path, Options{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	was := saved(t, path)
	db, err := OpenReadOnly(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	records, err := db.Evidence()
	if err != nil || len(records) != 2 {
		t.Errorf("%d records, %v", len(records), err)
	}
	if r, err := db.EvidenceByID(records[1].ID[:8]); err != nil || r.ID != records[1].ID {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := db.Load(noon); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Load: %v", err)
	}
	if err := db.Save(noon, &Changes{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("Save: %v", err)
	}
	mustClose(t, db)
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, was) {
		t.Errorf("the file was altered: %v", err)
	}

	// A damaged file is left for somebody who may write.
	if err := os.WriteFile(path, was[:2*os.Getpagesize()], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReadOnly(path, Options{}); err == nil || !strings.Contains(err.Error(), "damaged") || !strings.Contains(err.Error(), path) {
		t.Errorf("a damaged file: %v", err)
	}
	if names := setAside(t, path); len(names) != 0 {
		t.Errorf("set aside: %v", names)
	}
}

func TestOurOwnFailures(t *testing.T) {
	dir := t.TempDir()
	for name, path := range map[string]string{
		"a folder":  dir,
		"no folder": filepath.Join(dir, "missing", "memory.db"),
	} {
		if _, err := Open(path, ours, Options{}); err == nil || isDamage(err) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if names := setAside(t, filepath.Join(dir, "memory.db")); len(names) != 0 {
		t.Errorf("left behind: %v", names)
	}
}

// TestTornCommit puts files together as a loss of power can leave them: bbolt
// writes the pages of a transaction first and the meta page last.
func TestTornCommit(t *testing.T) {
	path := tempFile(t)
	before := saved(t, path)
	db := mustOpen(t, path, Options{})
	mustSave(t, db, noon, generation(1))
	mustClose(t, db)
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	meta := 2 * page
	old := slices.Clone(after)
	copy(old[:meta], before[:meta])
	for name, b := range map[string][]byte{
		"pages without meta": old,
		"half a meta page": func() []byte {
			b := slices.Clone(after)
			for p := range 2 { // of the one that differs, the second half of what it holds
				if !bytes.Equal(before[p*page:(p+1)*page], after[p*page:(p+1)*page]) {
					copy(b[p*page+48:(p+1)*page], before[p*page+48:(p+1)*page])
				}
			}
			return b
		}(),
	} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		db := mustOpen(t, path, Options{})
		got := mustLoad(t, db, noon)
		if g, err := whichGeneration(got); err == nil && g == 1 {
			t.Logf("%s: the new state", name)
		} else {
			wantSnapshot(t, name, got, sorted(full(t)))
		}
		mustClose(t, db)
		if names := setAside(t, path); len(names) != 0 {
			t.Errorf("%s: set aside: %v", name, names)
		}
	}
}

const generationPeers = 300

// generation is a state all of which says which one it is.
func generation(g int) *Changes {
	c := &Changes{}
	for i := range generationPeers {
		p := peerAt(i, noon)
		p.Successes = g
		c.Peers = append(c.Peers, p)
	}
	for i := range 50 {
		c.Groups = append(c.Groups, Group{Prefix: prefix(i), LastUsed: noon})
		c.Groups[i].Record.Hour, c.Groups[i].Record.FailedCount = noon, g
	}
	c.Verified = []mcm.Hash{hash(g)}
	return c
}

// whichGeneration returns the one generation that a snapshot is of.
func whichGeneration(s *Snapshot) (int, error) {
	if len(s.Peers) != generationPeers {
		return 0, fmt.Errorf("%d peers", len(s.Peers))
	}
	g := s.Peers[0].Successes
	for _, p := range s.Peers {
		if p.Successes != g {
			return 0, fmt.Errorf("peers of generations %d and %d", g, p.Successes)
		}
	}
	for _, r := range s.Groups {
		if r.Record.FailedCount != g {
			return 0, fmt.Errorf("groups of generation %d, peers of %d", r.Record.FailedCount, g)
		}
	}
	if len(s.Verified) != g {
		return 0, fmt.Errorf("%d ids in generation %d", len(s.Verified), g)
	}
	return g, nil
}

// childEnv names the file that a child process of this test saves to.
const childEnv = "KIGO_TEST_MEMORY_CHILD"

// TestKilled kills a process that saves one generation after the other, at a
// moment of chance, and looks what is left.
func TestKilled(t *testing.T) {
	if path := os.Getenv(childEnv); path != "" {
		saveForEver(t, path)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := tempFile(t)
	rounds := 12
	if testing.Short() {
		rounds = 3
	}
	last := 0
	for round := range rounds {
		cmd := exec.Command(self, "-test.run=^TestKilled$", "-test.timeout=60s")
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// Some generations are saved for sure; then any moment will do.
		said := 0
		lines := bufio.NewScanner(out)
		for n := 0; n < 3+round && lines.Scan(); n++ {
			if _, err := fmt.Sscanf(lines.Text(), "saved %d", &said); err != nil {
				t.Fatalf("the child says %q", lines.Text())
			}
		}
		time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, func() { cmd.Process.Kill() })
		for lines.Scan() {
			fmt.Sscanf(lines.Text(), "saved %d", &said)
		}
		cmd.Wait() // killed

		db := mustOpen(t, path, Options{})
		g, err := whichGeneration(mustLoad(t, db, noon))
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if g < said || g > said+1 || said <= last {
			t.Errorf("round %d: generation %d, the child had saved %d; before it %d", round, g, said, last)
		}
		last = g
		mustClose(t, db)
	}
	if names := setAside(t, path); len(names) != 0 {
		t.Errorf("set aside: %v", names)
	}
}

// saveForEver is what the child does.
func saveForEver(t *testing.T, path string) {
	db := mustOpen(t, path, Options{})
	s := mustLoad(t, db, noon)
	g := 0
	if len(s.Peers) > 0 {
		var err error
		if g, err = whichGeneration(s); err != nil {
			t.Fatal(err)
		}
	}
	for {
		g++
		mustSave(t, db, noon, generation(g))
		fmt.Printf("saved %d\n", g)
	}
}

// TestPeersReadOnly reads the peers of a file that is open for reading only.
func TestPeersReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "memory.db")
	db, err := Open(path, Identity{}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	want := []Peer{{Addr: netip.MustParseAddr("192.0.2.1"), FirstSeen: noon, LastContact: noon, LastGood: noon, Successes: 3}}
	if err := db.Save(noon, &Changes{Peers: want}); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if db, err = OpenReadOnly(path, Options{}); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got, err := db.Peers()
	if err != nil || len(got) != 1 || got[0].Addr != want[0].Addr || got[0].Successes != 3 || !got[0].FirstSeen.Equal(noon) {
		t.Errorf("%+v, %v", got, err)
	}
}
