package memory

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.etcd.io/bbolt"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
)

// sorted puts changes into the order of a snapshot.
func sorted(c *Changes) *Snapshot {
	s := &Snapshot{slices.Clone(c.Peers), slices.Clone(c.Groups), slices.Clone(c.Invalid), slices.Clone(c.Verified), slices.Clone(c.Waiting)}
	slices.SortFunc(s.Peers, func(a, b Peer) int { return a.Addr.Compare(b.Addr) })
	slices.SortFunc(s.Groups, func(a, b Group) int { return a.Prefix.Addr().Compare(b.Prefix.Addr()) })
	slices.SortFunc(s.Invalid, func(a, b Invalid) int {
		return cmp.Or(a.Met.Compare(b.Met), bytes.Compare(a.ID[:], b.ID[:]))
	})
	slices.SortFunc(s.Waiting, func(a, b Waiting) int { return bytes.Compare(a.Root[:], b.Root[:]) })
	slices.SortFunc(s.Verified, func(a, b mcm.Hash) int { return bytes.Compare(a[:], b[:]) })
	return s
}

func wantSnapshot(t *testing.T, what string, got, want *Snapshot) {
	t.Helper()
	g, w := reflect.ValueOf(got).Elem(), reflect.ValueOf(want).Elem()
	for i := range g.NumField() {
		if !reflect.DeepEqual(g.Field(i).Interface(), w.Field(i).Interface()) {
			t.Errorf("%s: %s:\n%+v\nexpected\n%+v", what, g.Type().Field(i).Name, g.Field(i), w.Field(i))
		}
	}
}

func TestAllComesBack(t *testing.T) {
	path := tempFile(t)
	db := mustOpen(t, path, Options{})
	wantSnapshot(t, "new", mustLoad(t, db, noon), &Snapshot{[]Peer{}, []Group{}, []Invalid{}, []mcm.Hash{}, []Waiting{}})
	c := full(t)
	mustSave(t, db, noon, c)
	want := sorted(full(t))
	wantSnapshot(t, "saved", mustLoad(t, db, noon), want)

	// The memory has a copy of its own, and so has whoever loads it.
	c.Peers[1].False[0].Weight[0]++
	c.Groups[0].Record.Bans[0] = time.Time{}
	c.Evidence[0].Packets[0][0]++
	mustLoad(t, db, noon).Peers[1].False[0].Weight[0]++
	wantSnapshot(t, "after others changed theirs", mustLoad(t, db, noon), want)

	mustClose(t, db)
	mustClose(t, db)
	if _, err := db.Load(noon); !errors.Is(err, ErrClosed) {
		t.Errorf("Load after Close: %v", err)
	}
	if err := db.Save(noon, &Changes{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Save after Close: %v", err)
	}
	db = mustOpen(t, path, Options{})
	wantSnapshot(t, "opened again", mustLoad(t, db, noon), want)
	records, err := db.Evidence()
	if err != nil || len(records) != 2 || !reflect.DeepEqual(records, []*evidence.Record{full(t).Evidence[1], full(t).Evidence[0]}) {
		t.Errorf("evidence: %v, %v", records, err)
	}
}

func TestSaveReplaces(t *testing.T) {
	db := mustOpen(t, tempFile(t), Options{})
	mustSave(t, db, noon, full(t))
	p, g, v := peerAt(3, noon.Add(time.Minute)), Group{Prefix: prefix(7), LastUsed: noon.Add(time.Minute)}, invalidAt(2, noon.Add(time.Minute))
	v.Finding.Rule, v.Trailer = rules.StartTime, mcm.Trailer{}
	mustSave(t, db, noon.Add(time.Minute), &Changes{Peers: []Peer{p}, Groups: []Group{g}, Invalid: []Invalid{v}, Met: []mcm.Hash{invalidAt(1, noon).ID, hash(999)}})
	got := mustLoad(t, db, noon.Add(time.Minute))
	if len(got.Peers) != 3 || !reflect.DeepEqual(got.Peers[1], p) {
		t.Errorf("peers: %+v", got.Peers)
	}
	if len(got.Groups) != 2 || !reflect.DeepEqual(got.Groups[0], g) {
		t.Errorf("groups: %+v", got.Groups)
	}
	v.Trailer = invalidAt(2, noon).Trailer // which stays known
	again := invalidAt(1, noon.Add(time.Minute))
	if len(got.Invalid) != 3 || !slices.ContainsFunc(got.Invalid, func(i Invalid) bool { return i == v }) || !slices.ContainsFunc(got.Invalid, func(i Invalid) bool { return i == again }) {
		t.Errorf("invalid: %+v", got.Invalid)
	}
}

// TestAges loads one record of each class at many times.
func TestAges(t *testing.T) {
	statement := func(now time.Time) Peer {
		p := peerAt(5, now)
		p.False = []Statement{{mcm.Weight{9}, hash(1), noon.Add(StatementTime)}}
		return p
	}
	for _, c := range []struct {
		name    string
		changes func(now time.Time) Changes
		holds   func(s *Snapshot) bool
		life    time.Duration
	}{
		{"peer", func(time.Time) Changes { return Changes{Peers: []Peer{peerAt(1, noon)}} },
			func(s *Snapshot) bool { return len(s.Peers) == 1 }, PeerTime},
		{"group", func(time.Time) Changes { return Changes{Groups: []Group{{Prefix: prefix(1), LastUsed: noon}}} },
			func(s *Snapshot) bool { return len(s.Groups) == 1 }, GroupTime},
		{"verified", func(time.Time) Changes { return Changes{Verified: []mcm.Hash{hash(1)}} },
			func(s *Snapshot) bool { return len(s.Verified) == 1 }, VerifiedTime},
		{"statement", func(now time.Time) Changes { return Changes{Peers: []Peer{statement(now)}} },
			func(s *Snapshot) bool { return len(s.Peers) == 1 && len(s.Peers[0].False) == 1 }, StatementTime},
		{"ban", func(now time.Time) Changes {
			p := peerAt(6, now)
			p.Standing.BannedUntil = noon.Add(fault.LongestBan)
			return Changes{Peers: []Peer{p}}
		}, func(s *Snapshot) bool { return len(s.Peers) == 1 && !s.Peers[0].Standing.BannedUntil.IsZero() }, fault.LongestBan},
		{"rest", func(now time.Time) Changes {
			p := peerAt(6, now)
			p.Standing.RestUntil = noon.Add(fault.Rest)
			return Changes{Peers: []Peer{p}}
		}, func(s *Snapshot) bool { return len(s.Peers) == 1 && !s.Peers[0].Standing.RestUntil.IsZero() }, fault.Rest},
		{"halved group", func(now time.Time) Changes {
			g := Group{Prefix: prefix(6), LastUsed: now}
			g.Record.HalvedUntil = noon.Add(fault.GroupTime)
			return Changes{Groups: []Group{g}}
		}, func(s *Snapshot) bool { return len(s.Groups) == 1 && !s.Groups[0].Record.HalvedUntil.IsZero() }, fault.GroupTime},
		{"counts of an hour", func(now time.Time) Changes {
			g := Group{Prefix: prefix(6), LastUsed: now}
			g.Record.Hour, g.Record.FailedCount = noon, 5
			return Changes{Groups: []Group{g}}
		}, func(s *Snapshot) bool { return len(s.Groups) == 1 && s.Groups[0].Record.FailedCount == 5 }, time.Hour},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := func(after time.Duration, want bool) {
				t.Helper()
				now := noon.Add(after)
				db := mustOpen(t, tempFile(t), Options{})
				changes := c.changes(now)
				at := noon
				if len(changes.Verified) == 0 {
					at = now // the parts below are of a record that is new
				}
				mustSave(t, db, at, &changes)
				if got := c.holds(mustLoad(t, db, now)); got != want {
					t.Errorf("after %v: held %v, expected %v", after, got, want)
				}
				mustClose(t, db)
			}
			f(0, true)
			f(c.life-2*time.Second, true)
			f(c.life, false)
			f(c.life+time.Hour, false)
			// The clock is set back: by a little, by more than any service does.
			f(-30*time.Second, true)
			f(-2*time.Minute, false)
			f(-100*24*time.Hour, false)
		})
	}
}

func TestInvalidTrailersNeverExpire(t *testing.T) {
	db := mustOpen(t, tempFile(t), Options{})
	mustSave(t, db, noon, &Changes{Invalid: []Invalid{invalidAt(1, noon)}})
	for _, after := range []time.Duration{0, 20 * 365 * 24 * time.Hour, -1000 * time.Hour} {
		if got := mustLoad(t, db, noon.Add(after)).Invalid; len(got) != 1 {
			t.Errorf("after %v: %d of 1", after, len(got))
		}
	}
}

// TestExpiredRecordsLeaveTheFile counts records with the metrics.
func TestExpiredRecordsLeaveTheFile(t *testing.T) {
	reg := prometheus.NewRegistry()
	m := NewMetrics(reg)
	path := tempFile(t)
	db := mustOpen(t, path, Options{Metrics: m})
	mustSave(t, db, noon, full(t))
	held := func(table string, want float64) {
		t.Helper()
		if got := testutil.ToFloat64(m.records.WithLabelValues(table)); got != want {
			t.Errorf("%s: %v records, expected %v", table, got, want)
		}
	}
	lost := func(table, reason string, want float64) {
		t.Helper()
		if got := testutil.ToFloat64(m.dropped.WithLabelValues(table, reason)); got != want {
			t.Errorf("%s: %v dropped as %s, expected %v", table, got, reason, want)
		}
	}
	held("peer", 3)
	held("group", 2)
	held("invalid", 3)
	held("trailer", 3)
	held("verified", 3)
	held("evidence", 2)
	held("waiting", 2)
	later := noon.Add(VerifiedTime)
	mustSave(t, db, later, &Changes{Verified: []mcm.Hash{hash(1)}})
	held("verified", 1)
	lost("verified", "expired", 3)
	lost("waiting", "expired", 2)
	held("waiting", 0)
	later = noon.Add(PeerTime)
	mustSave(t, db, later, &Changes{})
	held("peer", 0)
	held("group", 0)
	held("verified", 0)
	held("invalid", 3)
	lost("peer", "expired", 3)
	lost("group", "expired", 2)
	mustSave(t, db, noon.Add(time.Hour), &Changes{Peers: []Peer{peerAt(1, later)}, Verified: []mcm.Hash{hash(3)}})
	lost("peer", "ahead", 1)
	mustSave(t, db, noon, &Changes{})
	lost("verified", "ahead", 1)

	wrong := invalidAt(4, noon)
	wrong.ID[0]++ // not the trailer's
	soft, unruly := invalidAt(4, noon), invalidAt(5, noon)
	soft.Finding.Kind, unruly.Finding.Rule = fault.BrokenLink, "EMCM_X"
	mustSave(t, db, noon, &Changes{
		Peers:    []Peer{{Addr: netip.MustParseAddr("::1"), LastContact: noon}, {}},
		Groups:   []Group{{Prefix: netip.MustParsePrefix("1.2.3.4/16"), LastUsed: noon}, {}},
		Invalid:  []Invalid{wrong, soft, unruly},
		Evidence: []*evidence.Record{{ID: "00"}},
	})
	lost("peer", "malformed", 2)
	lost("group", "malformed", 2)
	lost("invalid", "malformed", 3)
	lost("evidence", "malformed", 1)
	held("peer", 0)
	held("invalid", 3)
	mustClose(t, db)

	m = NewMetrics(nil)
	mustOpen(t, path, Options{Metrics: m})
	held("invalid", 3)
	held("evidence", 2)
	if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
		t.Error(problems, err)
	}
	if n := testutil.CollectAndCount(reg, "kigo_memory_save_duration_seconds"); n != 1 {
		t.Errorf("%d histograms of saves", n)
	}
}

// wantSound opens a large file again, of which nothing may seem damaged.
func wantSound(t *testing.T, db *DB, path string) {
	t.Helper()
	held := db.held
	mustClose(t, db)
	db = mustOpen(t, path, Options{})
	if names := setAside(t, path); len(names) > 0 || db.held != held {
		t.Errorf("set aside: %v; holds %v, held %v", names, db.held, held)
	}
}

func TestPeersMakeRoom(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a table")
	}
	path := tempFile(t)
	db := mustOpen(t, path, Options{})
	now := noon
	charge := func(p Peer, k fault.Kind, n int) Peer {
		for range n {
			p.Standing.Observe(k, now)
		}
		return p
	}
	var c Changes
	// Twelve good ones, known for long, of which eight keep their place whatever
	// comes, and whose last contact is the oldest of all.
	for i := range 12 {
		p := peerAt(i, now.Add(-20*24*time.Hour))
		p.FirstSeen, p.Successes = now.Add(-time.Duration(100-i)*24*time.Hour), 5
		c.Peers = append(c.Peers, p)
	}
	banned := charge(peerAt(100, now.Add(-10*24*time.Hour)), fault.InvalidTrailer, 1)
	c.Peers = append(c.Peers, banned)
	mustSave(t, db, now, &c)

	// A flood of addresses that all time out once.
	c = Changes{}
	for i := range MaxPeers {
		p := peerAt(1000+i, now)
		p.Successes = 0
		c.Peers = append(c.Peers, charge(p, fault.Timeout, 1))
	}
	c.Peers[7].Standing = fault.Record{} // without points, and the one heard of last
	mustSave(t, db, now, &c)
	left := map[netip.Addr]bool{}
	for _, p := range mustLoad(t, db, now).Peers {
		left[p.Addr] = true
	}
	if len(left) != MaxPeers {
		t.Errorf("%d peers, expected %d", len(left), MaxPeers)
	}
	for i := range 12 {
		if left[addr(i)] != (i < longStanding) {
			t.Errorf("long-standing peer %d: held %v", i, left[addr(i)])
		}
	}
	if !left[banned.Addr] || left[c.Peers[7].Addr] {
		t.Errorf("banned held %v, one without points held %v", left[banned.Addr], left[c.Peers[7].Addr])
	}
	wantSound(t, db, path)
}

func TestCompareCandidates(t *testing.T) {
	at := func(h int) time.Time { return noon.Add(time.Duration(h) * time.Hour) }
	// In the order in which they leave.
	order := []candidate{
		{key: []byte{1}, lastContact: at(1)},
		{key: []byte{2}, lastContact: at(1)},
		{key: []byte{0}, lastContact: at(2)},
		{key: []byte{3}, lastContact: at(0), good: true},
		{key: []byte{4}, lastContact: at(0), points: 2},
		{key: []byte{5}, lastContact: at(0), points: 50},
		{key: []byte{6}, lastContact: at(0), stays: true},
		{key: []byte{7}, lastContact: at(9), banned: true, until: at(1)},
		{key: []byte{8}, lastContact: at(0), banned: true, until: at(2)},
	}
	for i := range order {
		for j := range order {
			if got, want := compareCandidates(&order[i], &order[j]), cmp.Compare(i, j); got != want {
				t.Errorf("%d against %d: %d, expected %d", i, j, got, want)
			}
		}
	}
}

func TestGroupsMakeRoom(t *testing.T) {
	path := tempFile(t)
	db := mustOpen(t, path, Options{})
	var c Changes
	for i := range MaxGroups + 3 {
		c.Groups = append(c.Groups, Group{Prefix: prefix(i), LastUsed: noon.Add(-time.Duration((i*7)%(MaxGroups+3)) * time.Minute)})
	}
	mustSave(t, db, noon, &c)
	got := mustLoad(t, db, noon).Groups
	if len(got) != MaxGroups {
		t.Fatalf("%d groups, expected %d", len(got), MaxGroups)
	}
	for _, g := range got {
		if noon.Sub(g.LastUsed) >= MaxGroups*time.Minute {
			t.Errorf("%v, last used %v ago, is still there", g.Prefix, noon.Sub(g.LastUsed))
		}
	}
	wantSound(t, db, path)
}

func TestInvalidTrailersMakeRoom(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a table")
	}
	path := tempFile(t)
	db := mustOpen(t, path, Options{})
	var c Changes
	for i := range MaxInvalid {
		c.Invalid = append(c.Invalid, invalidAt(i, noon.Add(time.Duration(i)*time.Millisecond)))
	}
	mustSave(t, db, noon.Add(time.Hour), &c)
	// The two eldest are met again, so the next two make room for two new ones.
	later := noon.Add(time.Hour)
	mustSave(t, db, later, &Changes{
		Met:     []mcm.Hash{c.Invalid[0].ID, c.Invalid[1].ID},
		Invalid: []Invalid{invalidAt(MaxInvalid, later), invalidAt(MaxInvalid+1, later)},
	})
	got := mustLoad(t, db, later).Invalid
	if len(got) != MaxInvalid {
		t.Fatalf("%d records, expected %d", len(got), MaxInvalid)
	}
	index := map[mcm.Hash]int{}
	bytesKept := 0
	for i, v := range got {
		index[v.ID] = i
		if i > 0 && v.Met.Before(got[i-1].Met) {
			t.Fatal("not in the order of when they were met")
		}
		if v.Trailer == (mcm.Trailer{}) {
			continue
		}
		if bytesKept++; i < MaxInvalid-MaxTrailers-4 { // less than all could be new
			t.Errorf("the bytes of record %d of %d are kept", i, MaxInvalid)
		}
		if proof.ID(&v.Trailer) != v.ID {
			t.Error("has the bytes of another trailer")
		}
	}
	if bytesKept > MaxTrailers || bytesKept < MaxTrailers-2 {
		t.Errorf("%d trailers, expected %d or two less, met again without their bytes", bytesKept, MaxTrailers)
	}
	for i, want := range map[int]bool{0: true, 1: true, 2: false, 3: false, 4: true} {
		if _, ok := index[c.Invalid[i].ID]; ok != want {
			t.Errorf("record %d: held %v, expected %v", i, ok, want)
		}
	}
	wantSound(t, db, path)
}

// What was verified leaves when that is doubted, and its room with it.
func TestVerifiedDoubted(t *testing.T) {
	path := tempFile(t)
	db := mustOpen(t, path, Options{})
	c := full(t)
	for i := range 5000 {
		c.Verified = append(c.Verified, hash(10_000+i))
	}
	mustSave(t, db, noon, c)
	before := mustLoad(t, db, noon)
	later := noon.Add(time.Second)
	mustSave(t, db, later, &Changes{Doubted: true, Verified: []mcm.Hash{hash(3)}})
	want := *before
	want.Verified = []mcm.Hash{hash(3)}
	wantSnapshot(t, "doubted", mustLoad(t, db, later), &want)
	mustSave(t, db, later, &Changes{Doubted: true})
	mustClose(t, db)
	db = mustOpen(t, path, Options{})
	want.Verified = []mcm.Hash{}
	wantSnapshot(t, "doubted again, reopened", mustLoad(t, db, later), &want)
	if n := db.held[verified]; n != 0 {
		t.Errorf("%d counted", n)
	}
}

func TestVerifiedMakeRoom(t *testing.T) {
	if testing.Short() {
		t.Skip("fills a table")
	}
	path := tempFile(t)
	db := mustOpen(t, path, Options{})
	const more = 1000
	var ids []mcm.Hash
	for i := range MaxVerified + more {
		ids = append(ids, hash(i))
	}
	mustSave(t, db, noon, &Changes{Verified: ids[:more]})
	mustSave(t, db, noon.Add(time.Second), &Changes{Verified: ids[more : len(ids)-1]})
	mustSave(t, db, noon.Add(2*time.Second), &Changes{Verified: ids[len(ids)-1:]})
	got := mustLoad(t, db, noon.Add(2*time.Second)).Verified
	if len(got) != MaxVerified || got[len(got)-1] != ids[len(ids)-1] {
		t.Fatalf("%d ids, expected %d", len(got), MaxVerified)
	}
	oldest := map[mcm.Hash]bool{}
	for _, id := range ids[:more] {
		oldest[id] = true
	}
	for _, id := range got {
		if oldest[id] {
			t.Fatal("one of the oldest is still there")
		}
	}
	wantSound(t, db, path)
}

func TestEvidenceMakesRoom(t *testing.T) {
	path := tempFile(t)
	db := mustOpen(t, path, Options{})
	var c Changes
	for i := range MaxEvidence + 5 {
		c.Evidence = append(c.Evidence, evidenceOf(t, i, noon.Add(time.Duration(i)*time.Second), 128))
	}
	mustSave(t, db, noon.Add(MaxEvidence*time.Second), &c)
	got, err := db.Evidence()
	if err != nil || len(got) != MaxEvidence || got[0].ID != c.Evidence[5].ID {
		t.Fatalf("%d records, %v", len(got), err)
	}
	// Fewer, but large.
	const large = 256 << 10
	c = Changes{}
	later := noon.Add(48 * time.Hour)
	for i := range MaxEvidenceBytes/large + 10 {
		c.Evidence = append(c.Evidence, evidenceOf(t, i, later.Add(time.Duration(i)*time.Second), large))
	}
	mustSave(t, db, later.Add(time.Hour), &c)
	if got, err = db.Evidence(); err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, r := range got {
		size += r.Size()
	}
	if size > MaxEvidenceBytes || size < MaxEvidenceBytes-2*large || got[len(got)-1].ID != c.Evidence[len(c.Evidence)-1].ID {
		t.Errorf("%d records of %d bytes", len(got), size)
	}
	// Records of a clock that was ahead must not keep new ones out.
	mustSave(t, db, noon, &Changes{Evidence: []*evidence.Record{evidenceOf(t, 9999, noon, large)}})
	if got, err = db.Evidence(); err != nil || got[0].Peer != addr(9999) {
		t.Errorf("a new record was evicted by those of the future: %v", err)
	}
	wantSound(t, db, path)
}

func TestEvidenceByID(t *testing.T) {
	db := mustOpen(t, tempFile(t), Options{})
	var c Changes
	for i := range 20 { // two of them begin with the same digit
		c.Evidence = append(c.Evidence, evidenceOf(t, i, noon, 128))
	}
	mustSave(t, db, noon, &c)
	for _, r := range c.Evidence {
		for _, prefix := range []string{r.ID, r.ID[:20], strings.ToUpper(r.ID[:20])} {
			if got, err := db.EvidenceByID(prefix); err != nil || got.ID != r.ID {
				t.Errorf("%s: %v, %v", prefix, got, err)
			}
		}
	}
	var many *AmbiguousError
	if _, err := db.EvidenceByID(""); !errors.As(err, &many) || len(many.IDs) < 2 {
		t.Errorf("every record: %v", err)
	}
	if _, err := db.EvidenceByID("zz"); !errors.Is(err, ErrNoEvidence) {
		t.Errorf("no record: %v", err)
	}
}

// TestMalformedRecordsAreDropped puts bytes under the tables' keys.
func TestMalformedRecordsAreDropped(t *testing.T) {
	m := NewMetrics(nil)
	db := mustOpen(t, tempFile(t), Options{Metrics: m})
	mustSave(t, db, noon, full(t))
	want := mustLoad(t, db, noon)
	pkey, pvalue, _ := encodePeer(&want.Peers[0])
	otherKey, _, _ := encodePeer(&Peer{Addr: addr(77)})
	flipped := bytes.Clone(pvalue)
	flipped[20] ^= 1
	tkey, tvalue := encodeTrailer(hash(88), &want.Invalid[0].Trailer)
	bad := []struct {
		t          table
		key, value []byte
	}{
		{peers, otherKey, pvalue}, // another peer's record
		{peers, addr(78).AsSlice(), nil},
		{peers, addr(79).AsSlice(), flipped},
		{peers, pkey[:3], pvalue},
		{groups, []byte{1, 2, 3, 4, 33}, []byte{1, 2, 3, 4, 5}},
		{groups, []byte{1, 2, 0, 0, 16}, make([]byte, 60)},
		{invalid, bytes.Repeat([]byte{9}, 31), []byte{1, 2, 3, 4, 5}},
		{trailers, tkey, tvalue}, // of a trailer that is nowhere invalid
		{trailers, want.Invalid[0].ID[:16], want.Invalid[0].Trailer[:]},
		{verified, []byte{1}, nil},
		{verified, bytes.Repeat([]byte{0xff}, 40), nil},
		{verified, timeKey(noon, bytes.Repeat([]byte{7}, 32)), []byte{1}},
		{evidences, []byte("short"), []byte("x")},
	}
	put := func() {
		err := db.bolt.Update(func(tx *bbolt.Tx) error {
			for _, b := range bad {
				if err := tx.Bucket(b.t.name()).Put(b.key, b.value); err != nil {
					return err
				}
				db.held[b.t]++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	put()
	wantSnapshot(t, "loaded", mustLoad(t, db, noon), want)
	dropped := 0.0
	for tab := range tables {
		dropped += testutil.ToFloat64(m.dropped.WithLabelValues(tab.String(), "malformed"))
		n := 0
		if err := db.bolt.View(func(tx *bbolt.Tx) error {
			n = tx.Bucket(tab.name()).Stats().KeyN
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if db.held[tab] != n {
			t.Errorf("%v: counts %d records, the table has %d", tab, db.held[tab], n)
		}
	}
	if dropped != float64(len(bad)) {
		t.Errorf("%v records dropped, expected %d", dropped, len(bad))
	}
	put()
	mustSave(t, db, noon, &Changes{})
	wantSnapshot(t, "saved", mustLoad(t, db, noon), want)

	// Evidence is decoded when it is read.
	key := timeKey(noon, bytes.Repeat([]byte{7}, 32))
	if err := db.bolt.Update(func(tx *bbolt.Tx) error { return tx.Bucket(evidences.name()).Put(key, []byte("x")) }); err != nil {
		t.Fatal(err)
	}
	if records, err := db.Evidence(); err != nil || len(records) != 2 {
		t.Errorf("%d records, %v", len(records), err)
	}
}

// TestExtremes saves what no record should hold.
func TestExtremes(t *testing.T) {
	db := mustOpen(t, tempFile(t), Options{})
	p := peerAt(1, noon)
	p.Source = strings.Repeat("ü", 100) + "\xff"
	p.Successes, p.Failures = -5, math.MaxInt
	for i := range 40 {
		p.False = append(p.False, Statement{mcm.Weight{uint64(i)}, hash(i), noon.Add(time.Hour)})
	}
	v := invalidAt(1, noon)
	v.Finding.Detail = "\xff" + strings.Repeat("x", 1000)
	mustSave(t, db, noon, &Changes{Peers: []Peer{p}, Invalid: []Invalid{v}})
	s := mustLoad(t, db, noon)
	if len(s.Peers) != 1 || len(s.Invalid) != 1 {
		t.Fatalf("%+v", s)
	}
	got := s.Peers[0]
	if got.Source != strings.Repeat("ü", maxSource/2) || got.Successes != 0 || got.Failures != math.MaxInt32 ||
		len(got.False) != MaxStatements || got.False[MaxStatements-1] != p.False[39] {
		t.Errorf("%+v", got)
	}
	if d := s.Invalid[0].Finding.Detail; len(d) > maxDetail || !strings.HasPrefix(d, "\ufffdxx") {
		t.Errorf("%q", d)
	}
}
