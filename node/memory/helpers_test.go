package memory

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/wire"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 987654321, time.UTC)

var ours = Identity{Network: wire.Network, Rules: rules.Version, Pin: [32]byte{1, 2, 3}}

// A journal is a log that a test can read.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

func (j *journal) logger() *slog.Logger { return slog.New(slog.NewTextHandler(j, nil)) }

func tempFile(tb testing.TB) string { return filepath.Join(tb.TempDir(), "memory.db") }

func mustOpen(tb testing.TB, path string, o Options) *DB {
	tb.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return noon }
	}
	db, err := Open(path, ours, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	return db
}

func mustClose(tb testing.TB, db *DB) {
	tb.Helper()
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
}

func mustSave(tb testing.TB, db *DB, now time.Time, c *Changes) {
	tb.Helper()
	if err := db.Save(now, c); err != nil {
		tb.Fatal(err)
	}
}

func mustLoad(tb testing.TB, db *DB, now time.Time) *Snapshot {
	tb.Helper()
	s, err := db.Load(now)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func addr(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 0x0b000000+uint32(i))
	return netip.AddrFrom4(b)
}

func prefix(i int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(11 + i>>8), byte(i)}), 16)
}

func hash(i int) (h mcm.Hash) {
	binary.BigEndian.PutUint64(h[:], uint64(i)*0x9e3779b97f4a7c15)
	h[31] = 1
	return h
}

// peerAt is a peer last contacted at a time.
func peerAt(i int, at time.Time) Peer {
	return Peer{
		Addr: addr(i), Source: "10.9.8.7", FirstSeen: at.Add(-time.Hour), LastContact: at,
		LastGood: at.Add(-time.Minute), Successes: i, Failures: 2, Delivered: i%2 == 0,
		Claim: wire.State{Num: mcm.BlockNum(i), Hash: hash(i), Prev: hash(i + 1), Weight: mcm.Weight{1, uint64(i), 3, 4}},
	}
}

// trailerNum is a trailer of block n that differs by i.
func trailerNum(n mcm.BlockNum, i int) (t mcm.Trailer) {
	t.SetNum(n)
	t.SetMinFee(uint64(i))
	t.PrevHash()[5] = byte(i)
	return t
}

// invalidAt is an invalid trailer met at a time.
func invalidAt(i int, at time.Time) Invalid {
	t := trailerNum(mcm.V30Trigger+mcm.BlockNum(i)+1, i)
	return Invalid{
		ID: proof.ID(&t), Parent: *t.PrevHash(), Trailer: t, Met: at,
		Finding: proof.Finding{Kind: fault.InvalidTrailer, Rule: rules.Difficulty, Num: t.Num(), Index: -1, Detail: "difficulty is 1, expected 2"},
	}
}

// evidenceOf is evidence with some bytes.
func evidenceOf(tb testing.TB, i int, at time.Time, size int) *evidence.Record {
	tb.Helper()
	r, err := evidence.New(evidence.Record{
		Time: at, Peer: addr(i), Kind: fault.BadFrame, Detail: "as seen", Op: wire.OpTF,
		Packets: [][]byte{make([]byte, size)}, RuleSet: rules.Version,
	})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// full is something of everything.
func full(tb testing.TB) *Changes {
	p := peerAt(3, noon)
	for range 3 {
		p.Standing.Observe(fault.InvalidTrailer, noon)
	}
	p.Standing.Observe(fault.TooSlow, noon)
	p.Standing.RestUntil = noon.Add(time.Hour)
	p.False = []Statement{
		{mcm.Weight{9}, hash(1), noon.Add(StatementTime)},
		{mcm.Weight{8}, hash(2), noon.Add(time.Minute)},
	}
	g := Group{Prefix: prefix(7), LastUsed: noon}
	for i := range 5 {
		g.Record.Ban(noon.Add(time.Duration(i-5) * time.Minute))
	}
	g.Record.Hour, g.Record.WorthlessCount, g.Record.FailedCount = noon.Add(-time.Minute), 77, 5
	old := invalidAt(0, noon)
	old.Trailer = trailerNum(5000, 1)
	old.ID, old.Finding.Num = hash(50), 5000
	return &Changes{
		Peers:    []Peer{peerAt(1, noon.Add(-time.Hour)), p, {Addr: addr(9), LastContact: noon}},
		Groups:   []Group{g, {Prefix: prefix(8), LastUsed: noon.Add(-time.Hour)}},
		Invalid:  []Invalid{invalidAt(1, noon.Add(-time.Hour)), invalidAt(2, noon), old},
		Verified: []mcm.Hash{hash(4), hash(6), hash(5)},
		Evidence: []*evidence.Record{evidenceOf(tb, 1, noon, 128), evidenceOf(tb, 2, noon.Add(-time.Hour), 500)},
		Waiting: []Waiting{
			{Root: hash(70), Until: noon.Add(10 * time.Minute), Failures: 1, Groups: []netip.Prefix{prefix(7), prefix(8)}, Reason: "refused"},
			{Root: hash(71), Until: noon.Add(WaitingTime), Failures: 9},
		},
	}
}
