package chain

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"kigo/node/mcm"
)

// FuzzState decodes states: what decodes encodes to the same bytes, and says nothing
// that a Store could stumble over.
func FuzzState(f *testing.F) {
	a := fromGenesis(2100, 1)
	b := &builder{base: baseOf(zeroAnchor)}
	must(f, b.add(a))
	good := b.view(Span{5, 100}).encode()
	f.Add(good)
	f.Add((&state{base: baseOf(zeroAnchor)}).encode())
	f.Add(good[:len(good)-1])
	f.Add([]byte(stateMagic))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		// The checksum would keep a fuzzer out.
		for _, data := range [][]byte{data, seal(slices.Clone(data)), seal(append([]byte(stateMagic), data...))} {
			s, err := decodeState(data)
			if err != nil {
				continue
			}
			if !bytes.Equal(s.encode(), data) {
				t.Fatal("another state comes back")
			}
			if s.count < 0 || len(s.pieces) != piecesOf(s.count) || s.pending.Count < 0 || int64(s.pending.Count) > s.count {
				t.Fatalf("%d trailers, %d pieces, pending %+v", s.count, len(s.pieces), s.pending)
			}
			for i := range s.pieces {
				if n := s.pieceSize(i); n < 1 || n > pieceLen {
					t.Fatalf("piece %d has %d trailers", i, n)
				}
			}
		}
	})
}

// FuzzJournal decodes journals: what decodes encodes to the same bytes and names a
// file of ours.
func FuzzJournal(f *testing.F) {
	f.Add((&journal{from: 3, count: 9, name: sourceName, oldSum: mcm.Hash{1}}).encode())
	f.Add((&journal{count: 1, name: "staging-0a.dat"}).encode())
	f.Add((&journal{from: 3, count: 9, name: "../evil"}).encode())
	f.Add([]byte(journalMagic))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, data := range [][]byte{data, seal(slices.Clone(data)), seal(append([]byte(journalMagic), data...))} {
			j, err := decodeJournal(data)
			if err != nil {
				continue
			}
			if !bytes.Equal(j.encode(), data) {
				t.Fatal("another journal comes back")
			}
			if !isSource(j.name) || bytes.ContainsAny([]byte(j.name), "/\\\x00") || j.from < 0 || j.count <= j.from || j.off < 0 {
				t.Fatalf("%+v", j)
			}
		}
	})
}

// FuzzLog replays logs of stagings: what is good of one is made again by its own
// records, and by those of what it leads to; the rest is told.
func FuzzLog(f *testing.F) {
	chain := baseOf(zeroAnchor)
	from := netip.AddrFrom4([4]byte{1, 2, 3, 4})
	all := []record{
		{kind: recordOrigin, first: 10, count: logFormat, digest: chain.hash},
		{recordRange, 100, 50, mcm.Hash{1}, from},
		{recordRange, 60, 40, mcm.Hash{2}, netip.Addr{}},
		{recordRange, 150, 10, mcm.Hash{3}, from},
		{kind: recordWork, first: 70, count: 60},
		{kind: recordWork, first: 140, count: 20},
		{kind: recordAbove, first: 145, digest: mcm.Hash{4}},
		{kind: recordBelow, first: 80, digest: mcm.Hash{5}},
	}
	raw := func(records ...record) (b []byte) {
		for _, r := range records {
			e, _ := r.encode(nil, chainSum{})
			b = append(b, e[:recordBody]...)
		}
		return b
	}
	f.Add(raw(all...))
	f.Add(raw(all[0], all[4]))
	f.Add(raw(all[0], all[1], all[2], all[4], record{kind: recordDoubt}, all[5]))
	f.Add(raw(all[0], all[1], record{kind: recordAbove, first: 3}, all[2]))
	f.Add(raw(all[0], record{recordRange, 1<<64 - 3, 5, mcm.Hash{}, from}))
	f.Add(raw(all[0], all[1], record{kind: recordAbove, first: 1<<64 - 1}, record{kind: recordBelow, first: 1<<64 - 1}))
	f.Add(raw(record{kind: recordOrigin, first: 1<<64 - 9, count: logFormat, digest: chain.hash}, record{recordRange, 1<<64 - 3, 5, mcm.Hash{}, from}))
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, good, _, err := replay(data, "0a", chain); err == nil && good != len(data) || len(r.ranges) > 0 && good == 0 {
			t.Fatalf("%d of %d bytes are good, %v", good, len(data), err)
		}
		// The sums would keep a fuzzer out: they are put in here.
		var b []byte
		last := seedOf("0a")
		for rest := data; len(rest) >= recordBody; rest = rest[recordBody:] {
			b = append(b, rest[:recordBody]...)
			last = last.next(rest[:recordBody])
			b = append(b, last[:]...)
		}
		r, good, _, err := replay(b, "0a", chain)
		if err == nil && good != len(b) || good%recordLen != 0 {
			t.Fatalf("%d of %d bytes are good, %v", good, len(b), err)
		}
		checkRuns(t, &r)
		again, n, _, err := replay(b[:good], "0a", chain)
		if err != nil || n != good || !sameRuns(&r, &again) {
			t.Fatalf("the good part gives something else: %v", err)
		}
		short, _ := encodeLog(r.records(chain), "0a")
		again, n, _, err = replay(short, "0a", chain)
		if err != nil || n != len(short) || !sameRuns(&r, &again) {
			t.Fatalf("its own records give something else: %v", err)
		}
		if len(short) > 0 {
			short[len(short)/2] ^= 4
			if _, n, _, err := replay(short, "0a", chain); err == nil || n > len(short)/2 {
				t.Fatal("a changed record is believed")
			}
		}
	})
}

func sameRuns(a, b *runs) bool {
	return a.begun == b.begun && a.origin == b.origin && slices.Equal(a.ranges, b.ranges) && slices.Equal(a.worked, b.worked)
}

// checkRuns fails unless r is one run within its bounds.
func checkRuns(t *testing.T, r *runs) {
	t.Helper()
	low, high, some := r.bounds()
	for i, x := range r.ranges {
		if x.Count < 1 || x.Count > pieceLen || x.First < r.origin || i > 0 && x.First != r.ranges[i-1].end() {
			t.Fatalf("range %d of %+v", i, r.ranges)
		}
		for _, n := range []mcm.BlockNum{x.First, x.end() - 1} {
			if r.find(n) != i {
				t.Fatalf("block %v is found in range %d, expected %d", n, r.find(n), i)
			}
		}
	}
	if some && (high-r.origin >= maxPlaces || r.floor > low || r.size() > maxStaged) {
		t.Fatalf("origin %v, floor %v, %v to %v", r.origin, r.floor, low, high)
	}
	count := 0
	for i, x := range r.worked {
		if !some || x.Count < 1 || x.First < low || x.end()-1 > high || i > 0 && x.First <= r.worked[i-1].end() {
			t.Fatalf("worked %+v of %v to %v", r.worked, low, high)
		}
		count += x.Count
	}
	for _, x := range r.unworked() {
		if x.Count < 1 {
			t.Fatalf("unworked %+v", r.unworked())
		}
		count += x.Count
	}
	if some && count != int(high-low)+1 {
		t.Fatalf("%d worked and unworked, of %v to %v", count, low, high)
	}
}
