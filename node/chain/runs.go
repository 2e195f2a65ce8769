package chain

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"kigo/node/internal/pack"
	"kigo/node/mcm"
	"kigo/node/rules"
)

// Bounds of stagings.
const (
	// maxStagings is those of four branches, and one beside each, for another version of
	// its history or a whole file.
	maxStagings = 8
	// maxStaged is the size of all stagings together, in bytes.
	maxStaged = 1 << 30
	// maxPlaces is how many trailers a file has places for.
	maxPlaces = maxStaged / mcm.TrailerLen
	// roomAbove is how many of them are left for what is appended, where there aren't
	// places for all down to the chain's base.
	roomAbove = 1 << 16
	// maxRanges bounds the ranges of one staging, which are in memory, against peers
	// that serve a trailer at a time.
	maxRanges = 1 << 16
)

// A stretch is trailers that came from one peer, at most pieceLen of them.
type stretch struct {
	Span
	digest mcm.Hash
	from   netip.Addr
	sums   sums
}

// runs are what a staging holds: ranges that follow one another, and whose work is
// proven.  A log of records makes it, in memory as on the disk.
type runs struct {
	origin mcm.BlockNum // whose trailer is at the beginning of the data
	begun  bool         // origin is known
	ranges []stretch    // ascending
	worked []Span       // ascending, not touching
	floor  mcm.BlockNum // lowest block that was written since there was none
}

func (r *runs) bounds() (low, high mcm.BlockNum, ok bool) {
	if len(r.ranges) == 0 {
		return 0, 0, false
	}
	return r.ranges[0].First, r.ranges[len(r.ranges)-1].end() - 1, true
}

// size returns how much of the disk the trailers take.
func (r *runs) size() int64 {
	_, high, ok := r.bounds()
	if !ok {
		return 0
	}
	return int64(high-r.floor+1) * mcm.TrailerLen
}

// The kinds of records.
const (
	recordOrigin = 'O' // begins the log: origin, format, the chain's first hash
	recordRange  = 'R' // a range above or below: first, count, digest, sender
	recordWork   = 'W' // work is proven: first, count
	recordAbove  = 'A' // all above first is dropped; digest of the range that it leaves
	recordBelow  = 'B' // all below first is dropped; digest of the range that it leaves
	recordDoubt  = 'D' // no work counts as proven any more
)

// logFormat is the format of a log, and the version of the rules that its trailers were
// held against.
const logFormat = 1<<16 | rules.Version

// errOld says that a staging is of another format, or was judged by other rules.
var errOld = errors.New("it was judged by other rules, or is of another format")

// A record is one change of runs.  On disk each has the same size and ends in a sum
// over itself and the sum before, so that none is believed without those before it.
type record struct {
	kind   byte
	first  mcm.BlockNum
	count  uint32
	digest mcm.Hash
	from   netip.Addr
}

const (
	recordBody = 1 + 8 + 4 + mcm.HashLen + 1 + 4
	recordSum  = 16
	recordLen  = recordBody + recordSum
)

type chainSum [recordSum]byte

// seedOf returns the sum before the first record of a staging.
func seedOf(name string) (c chainSum) {
	h := sha256.Sum256([]byte("kigo staging log\n" + name))
	copy(c[:], h[:])
	return c
}

// encode appends the record to b and returns its sum.
func (r *record) encode(b []byte, before chainSum) ([]byte, chainSum) {
	at := len(b)
	b = append(b, r.kind)
	b = binary.LittleEndian.AppendUint64(b, uint64(r.first))
	b = binary.LittleEndian.AppendUint32(b, r.count)
	b = append(b, r.digest[:]...)
	b = pack.AppendBool(b, r.from.Is4())
	b = pack.AppendAddr(b, r.from)
	c := before.next(b[at:])
	return append(b, c[:]...), c
}

func (c chainSum) next(body []byte) chainSum {
	h := sha256.New()
	h.Write(c[:])
	h.Write(body)
	var sum [sha256.Size]byte
	copy(c[:], h.Sum(sum[:0]))
	return c
}

// decodeRecord reads what encode wrote and nothing else.
func decodeRecord(b []byte, before chainSum) (r record, c chainSum, err error) {
	if len(b) != recordLen {
		return r, c, errors.New("torn record")
	}
	if c = before.next(b[:recordBody]); string(c[:]) != string(b[recordBody:]) {
		return r, c, errors.New("a record's sum doesn't fit its content")
	}
	in := pack.NewReader(b[:recordBody])
	r.kind = in.Byte()
	r.first = mcm.BlockNum(in.Uint64())
	r.count = in.Uint32()
	in.Fill(r.digest[:])
	known := in.Bool()
	var addr [4]byte
	in.Fill(addr[:])
	if known {
		r.from = netip.AddrFrom4(addr)
	} else if addr != [4]byte{} {
		in.Fail()
	}
	return r, c, in.Done()
}

// replay applies the records of a log as far as they are good.  It returns how many
// bytes that is, the sum of the last one, and what is wrong with the next.
func replay(b []byte, name string, chain base) (r runs, good int, last chainSum, err error) {
	last = seedOf(name)
	for good < len(b) {
		rec, c, err := decodeRecord(b[good:min(good+recordLen, len(b))], last)
		if err == nil && rec.kind == recordOrigin && rec.digest != chain.hash {
			err = errors.New("it belongs to another chain")
		}
		if err == nil {
			err = r.apply(&rec, sums{})
		}
		if err != nil {
			return r, good, last, err
		}
		good += recordLen
		last = c
	}
	return r, good, last, nil
}

// apply makes the change of a record, or none and an error.  sum is that of the range
// that the record adds or leaves.
func (r *runs) apply(rec *record, sum sums) error {
	low, high, some := r.bounds()
	if !r.begun && rec.kind != recordOrigin {
		return errors.New("a record before the first")
	}
	switch rec.kind {
	case recordOrigin:
		switch {
		case r.begun:
			return errors.New("a log that begins twice")
		case rec.count != logFormat:
			return errOld
		}
		r.begun, r.origin = true, rec.first
	case recordRange:
		x := stretch{Span{rec.first, int(rec.count)}, rec.digest, rec.from, sum}
		switch {
		case !r.takes(x.Span):
			return fmt.Errorf("%d trailers from block %v on don't fit a file that begins at %v and has %d ranges", x.Count, x.First, r.origin, len(r.ranges))
		case !some:
			r.ranges, r.floor = append(r.ranges, x), x.First
		case x.First == high+1:
			r.ranges = append(r.ranges, x)
		case x.end() == low:
			r.ranges = slices.Insert(r.ranges, 0, x)
			r.floor = min(r.floor, x.First)
		default:
			return fmt.Errorf("%d trailers from block %v on don't continue those from %v to %v", x.Count, x.First, low, high)
		}
	case recordWork:
		x := Span{rec.first, int(rec.count)}
		if !some || x.Count == 0 || x.First < low || x.First > high || x.Count > int(high-x.First)+1 {
			return fmt.Errorf("work of %d trailers from block %v on, which are not there", x.Count, x.First)
		}
		r.worked = addSpan(r.worked, x)
	case recordDoubt:
		r.worked = nil
	case recordAbove:
		r.cutAbove(rec, sum)
	case recordBelow:
		r.cutBelow(rec, sum)
	default:
		return fmt.Errorf("a record of kind %q", rec.kind)
	}
	return nil
}

// takes reports whether the file and the memory have a place for a range.
func (r *runs) takes(x Span) bool {
	return x.Count > 0 && x.Count <= pieceLen && x.end() > x.First && len(r.ranges) < maxRanges &&
		x.First >= r.origin && uint64(x.First-r.origin) <= maxPlaces-uint64(x.Count)
}

func (r *runs) cutAbove(rec *record, sum sums) {
	for n := len(r.ranges); n > 0; n-- {
		x := &r.ranges[n-1]
		if x.end()-1 <= rec.first {
			break
		}
		if x.First > rec.first {
			r.ranges = r.ranges[:n-1]
			continue
		}
		x.Count, x.digest, x.sums = int(rec.first-x.First)+1, rec.digest, sum
	}
	r.trimWork()
}

func (r *runs) cutBelow(rec *record, sum sums) {
	for len(r.ranges) > 0 {
		x := &r.ranges[0]
		if x.First >= rec.first {
			break
		}
		if x.end() <= rec.first {
			r.ranges = slices.Delete(r.ranges, 0, 1)
			continue
		}
		x.Count, x.First, x.digest, x.sums = int(x.end()-rec.first), rec.first, rec.digest, sum
	}
	r.trimWork()
}

// trimWork forgets the work of trailers that are no longer there.
func (r *runs) trimWork() {
	low, high, some := r.bounds()
	var kept []Span
	for _, x := range r.worked {
		if !some || x.end() <= low || x.First > high {
			continue
		}
		first, end := max(x.First, low), min(x.end(), high+1)
		kept = append(kept, Span{first, int(end - first)})
	}
	r.worked = kept
}

// addSpan returns spans with one more, those that touch joined.
func addSpan(spans []Span, x Span) []Span {
	i, _ := slices.BinarySearchFunc(spans, x.First, func(s Span, n mcm.BlockNum) int { return cmp.Compare(s.end(), n) })
	k := i
	for ; k < len(spans) && spans[k].First <= x.end(); k++ {
		first, end := min(spans[k].First, x.First), max(spans[k].end(), x.end())
		x = Span{first, int(end - first)}
	}
	return slices.Replace(spans, i, k, x)
}

// unworked returns what of low to high is not in spans.
func (r *runs) unworked() (out []Span) {
	low, high, some := r.bounds()
	if !some {
		return nil
	}
	for _, x := range r.worked {
		if low < x.First {
			out = append(out, Span{low, int(x.First - low)})
		}
		low = x.end()
	}
	if low <= high {
		out = append(out, Span{low, int(high-low) + 1})
	}
	return out
}

// find returns the place of the range that holds block n, -1 if none does.
func (r *runs) find(n mcm.BlockNum) int {
	i, _ := slices.BinarySearchFunc(r.ranges, n, func(x stretch, n mcm.BlockNum) int {
		if x.end() <= n {
			return -1
		}
		return 1
	})
	if i == len(r.ranges) || r.ranges[i].First > n {
		return -1
	}
	return i
}

// sums returns the weight and work of all ranges.
func (r *runs) sums() (total sums) {
	for i := range r.ranges {
		total = total.plus(r.ranges[i].sums)
	}
	return total
}

// records returns a log that makes these runs, the lowest range first.
func (r *runs) records(chain base) (out []record) {
	if !r.begun {
		return nil
	}
	out = append(out, record{kind: recordOrigin, first: r.origin, count: logFormat, digest: chain.hash})
	for _, x := range r.ranges {
		out = append(out, record{recordRange, x.First, uint32(x.Count), x.digest, x.from})
	}
	for _, x := range r.worked {
		out = append(out, record{kind: recordWork, first: x.First, count: uint32(x.Count)})
	}
	return out
}

// encodeLog returns the log of records, and its last sum.
func encodeLog(records []record, name string) (b []byte, last chainSum) {
	last = seedOf(name)
	for i := range records {
		b, last = records[i].encode(b, last)
	}
	return b, last
}
