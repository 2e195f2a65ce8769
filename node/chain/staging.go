package chain

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
)

// Names of a staging's files.
const (
	stagingPrefix = "staging-"
	dataExt       = ".dat"
	logExt        = ".log"
)

// validName reports whether a staging may have this name: hex digits, at most those
// of a hash.
func validName(name string) bool {
	return name != "" && len(name) <= 2*mcm.HashLen && strings.Trim(name, "0123456789abcdef") == ""
}

// logOf returns the name of the log that belongs to a staging's data, "" for another
// file.
func logOf(data string) string {
	if name, ok := strings.CutSuffix(data, dataExt); ok && strings.HasPrefix(name, stagingPrefix) {
		return name + logExt
	}
	return ""
}

// A Staging is one contiguous run of trailers of a branch while it is fetched.  When
// one of its methods has returned nil, what it did survives a kill of the process;
// a crash of the machine may take the last second or so, which shows, and then that
// part is gone.  It is safe for concurrent use.
type Staging struct {
	store *Store
	name  string

	mu     sync.Mutex
	closed bool
	data   *file
	log    *file
	end    int64    // of the log
	last   chainSum // of its last record
	runs   runs
	total  sums
	held   int64 // bytes of this staging in shelf.bytes
	dirty  bool  // not synced
}

// Name returns the name that Stage was given.
func (g *Staging) Name() string { return g.name }

// Bounds returns the numbers of the lowest and the highest trailer; false if there is
// none.
func (g *Staging) Bounds() (low, high mcm.BlockNum, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.runs.bounds()
}

// Tip returns the hash of the highest trailer, zero if there is none or it can't be
// read.
func (g *Staging) Tip() mcm.Hash {
	t := g.edge(true)
	return *t.Hash()
}

// Low returns the lowest trailer, zero if there is none or it can't be read.
func (g *Staging) Low() mcm.Trailer { return g.edge(false) }

func (g *Staging) edge(high bool) (t mcm.Trailer) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || len(g.runs.ranges) == 0 {
		return t
	}
	if ts, err := g.edgeRange(high); err == nil {
		t = ts[0]
		if high {
			t = ts[len(ts)-1]
		}
	}
	return t
}

// edgeRange returns the highest or the lowest range.
func (g *Staging) edgeRange(high bool) ([]mcm.Trailer, error) {
	i := 0
	if high {
		i = len(g.runs.ranges) - 1
	}
	return g.read(i)
}

// read returns range i, held against its digest.  The caller doesn't change it.
func (g *Staging) read(i int) ([]mcm.Trailer, error) {
	x := &g.runs.ranges[i]
	if ts := g.store.cache.get(x.digest); ts != nil {
		return ts, nil
	}
	ts := make([]mcm.Trailer, x.Count)
	_, err := g.data.ReadAt(mcm.Bytes(ts), g.place(x.First))
	if err == nil && sha256.Sum256(mcm.Bytes(ts)) != x.digest {
		err = fmt.Errorf("the SHA-256 of %d trailers differs", len(ts))
	}
	if err != nil {
		g.store.metrics.repairs.WithLabelValues(repairRead).Inc()
		return nil, &DamageError{g.store.disk.path(g.data.name), x.First, err.Error()}
	}
	g.store.cache.put(x.digest, ts)
	return ts, nil
}

// place returns the offset of block n in the data.
func (g *Staging) place(n mcm.BlockNum) int64 {
	return int64(n-g.runs.origin) * mcm.TrailerLen
}

// Trailers returns count trailers from block first on, fewer where they end, none if
// the first isn't there.
func (g *Staging) Trailers(first mcm.BlockNum, count int) ([]mcm.Trailer, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, ErrClosed
	}
	var out []mcm.Trailer
	for i := g.runs.find(first); i >= 0 && i < len(g.runs.ranges) && len(out) < count; i++ {
		ts, err := g.read(i)
		if err != nil {
			return nil, err
		}
		if len(out) == 0 {
			ts = ts[first-g.runs.ranges[i].First:]
		}
		out = append(out, ts[:min(len(ts), count-len(out))]...)
	}
	return out, nil
}

// Weight returns what the trailers add to the weight of what they follow, and Σ
// 2^difficulty of the worked ones.  From the chain's base on it is the weight of all.
func (g *Staging) Weight() (weight, work mcm.Weight) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total.weight, g.total.work
}

// Sender returns who served block n, the zero Addr if it isn't there.
func (g *Staging) Sender(n mcm.BlockNum) netip.Addr {
	g.mu.Lock()
	defer g.mu.Unlock()
	if i := g.runs.find(n); i >= 0 {
		return g.runs.ranges[i].from
	}
	return netip.Addr{}
}

// Unworked returns what isn't proven, ascending.
func (g *Staging) Unworked() []Span {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.runs.unworked()
}

// Append puts trailers above the highest, which they follow.  The first ones of an
// empty staging may be any from the chain's base on.
func (g *Staging) Append(ts []mcm.Trailer, from netip.Addr) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := 0; i < len(ts); i += pieceLen {
		if err := g.add(ts[i:min(i+pieceLen, len(ts))], from); err != nil {
			return err
		}
	}
	return nil
}

// Prepend puts trailers below the lowest, which follows them.
func (g *Staging) Prepend(ts []mcm.Trailer, from netip.Addr) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for n := len(ts); n > 0; n -= min(n, pieceLen) {
		if err := g.add(ts[max(0, n-pieceLen):n], from); err != nil {
			return err
		}
	}
	return nil
}

// add puts at most pieceLen trailers above or below.
func (g *Staging) add(ts []mcm.Trailer, from netip.Addr) error {
	if g.closed {
		return ErrClosed
	}
	if err := g.fits(ts); err != nil {
		return err
	}
	if !g.runs.begun {
		origin := g.store.base.num
		if end := ts[0].Num() + mcm.BlockNum(len(ts)); end-origin > maxPlaces-roomAbove {
			origin = end - (maxPlaces - roomAbove)
		}
		if err := g.record(record{kind: recordOrigin, first: origin, count: logFormat, digest: g.store.base.hash}, sums{}); err != nil {
			return err
		}
	}
	rec := record{recordRange, ts[0].Num(), uint32(len(ts)), sha256.Sum256(mcm.Bytes(ts)), from.Unmap()}
	if !g.runs.takes(Span{rec.first, len(ts)}) || !g.store.shelf.room(int64(len(ts))*mcm.TrailerLen+recordLen) {
		return ErrRoom
	}
	defer g.account()
	if err := g.data.writeAt(mcm.Bytes(ts), g.place(rec.first)); err != nil {
		return err
	}
	g.store.hook(stepStageWritten)
	if err := g.record(rec, g.sumsOf(ts)); err != nil {
		return err
	}
	g.store.hook(stepStageDone)
	return nil
}

// fits reports trailers whose numbers or links don't continue the run.
func (g *Staging) fits(ts []mcm.Trailer) error {
	first := ts[0].Num()
	for i := range ts {
		if ts[i].Num() != first+mcm.BlockNum(i) || i > 0 && *ts[i].PrevHash() != *ts[i-1].Hash() {
			return fmt.Errorf("chain: trailers from block %v on: wrong number or link at %d", first, i)
		}
	}
	low, high, ok := g.runs.bounds()
	end := first + mcm.BlockNum(len(ts))
	switch {
	case first < g.store.base.num || end < first:
		return fmt.Errorf("chain: block %v lies below the chain's first, %v", first, g.store.base.num)
	case first == g.store.base.num && *ts[0].Hash() != g.store.base.hash:
		return fmt.Errorf("chain: block %v has hash %v, expected %v, the chain's first", first, ts[0].Hash(), g.store.base.hash)
	case !ok:
		return nil
	case first == high+1:
		above, err := g.edgeRange(true)
		if err == nil && *ts[0].PrevHash() != *above[len(above)-1].Hash() {
			err = fmt.Errorf("chain: block %v doesn't follow the one below", first)
		}
		return err
	case end == low:
		below, err := g.edgeRange(false)
		if err == nil && *below[0].PrevHash() != *ts[len(ts)-1].Hash() {
			err = fmt.Errorf("chain: block %v isn't followed by the one above", end-1)
		}
		return err
	}
	return fmt.Errorf("chain: blocks from %v to %v don't touch those from %v to %v", first, end-1, low, high)
}

// sumsOf returns the weight and work of trailers.  That of the base is the base's.
func (g *Staging) sumsOf(ts []mcm.Trailer) (s sums) {
	if ts[0].Num() == g.store.base.num {
		b := g.store.base.first(&ts[0])
		s, ts = sums{b.Weight, b.Work}, ts[1:]
	}
	for i := range ts {
		s.weight = rules.AddWeight(s.weight, &ts[i])
		if proof.IsWorked(&ts[i]) {
			s.work = s.work.AddDifficulty(ts[i].WorkDifficulty())
		}
	}
	return s
}

// record writes a record and makes its change.
func (g *Staging) record(rec record, sum sums) error {
	b, c := rec.encode(nil, g.last)
	// A part of a record that could not be written whole is overwritten by the next.
	if err := g.log.writeAt(b, g.end); err != nil {
		return err
	}
	if err := g.runs.apply(&rec, sum); err != nil {
		panic("chain: a record was written that doesn't apply: " + err.Error())
	}
	g.end += recordLen
	g.last = c
	if rec.kind == recordRange {
		g.total = g.total.plus(sum)
	} else {
		g.total = g.runs.sums()
	}
	g.dirty = true
	return nil
}

// Worked notes that the work of count trailers from block first on is proven, or that
// they agree with the pin.
func (g *Staging) Worked(first mcm.BlockNum, count int) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	low, high, ok := g.runs.bounds()
	if !ok || count <= 0 || first < low || first > high || count > int(high-first)+1 {
		return fmt.Errorf("chain: %d trailers from block %v on are not in the staging", count, first)
	}
	if !g.store.shelf.room(recordLen) {
		return ErrRoom
	}
	defer g.account()
	if err := g.record(record{kind: recordWork, first: first, count: uint32(count)}, sums{}); err != nil {
		return err
	}
	g.store.hook(stepStageWorked)
	return nil
}

// doubt takes back what Worked has noted.
func (g *Staging) doubt() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed || len(g.runs.worked) == 0 {
		return nil
	}
	defer g.account()
	return g.record(record{kind: recordDoubt}, sums{})
}

// CutAbove drops all trailers above block n.
func (g *Staging) CutAbove(n mcm.BlockNum) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	_, high, ok := g.runs.bounds()
	if !ok || high <= n {
		return nil
	}
	rec, sum := record{kind: recordAbove, first: n}, sums{}
	if i := g.runs.find(n); i >= 0 {
		ts, err := g.read(i)
		if err != nil {
			return err
		}
		ts = ts[:n-g.runs.ranges[i].First+1]
		rec.digest, sum = sha256.Sum256(mcm.Bytes(ts)), g.sumsOf(ts)
	}
	if err := g.cut(rec, sum); err != nil {
		return err
	}
	size := int64(0)
	if _, high, ok := g.runs.bounds(); ok {
		size = g.place(high + 1)
	}
	return g.data.truncate(size)
}

// CutBelow drops all trailers below block n.
func (g *Staging) CutBelow(n mcm.BlockNum) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return ErrClosed
	}
	low, _, ok := g.runs.bounds()
	if !ok || n <= low {
		return nil
	}
	rec, sum := record{kind: recordBelow, first: n}, sums{}
	if i := g.runs.find(n); i >= 0 {
		ts, err := g.read(i)
		if err != nil {
			return err
		}
		ts = ts[n-g.runs.ranges[i].First:]
		rec.digest, sum = sha256.Sum256(mcm.Bytes(ts)), g.sumsOf(ts)
	}
	if err := g.cut(rec, sum); err != nil {
		return err
	}
	if len(g.runs.ranges) == 0 {
		return g.data.truncate(0)
	}
	return nil
}

func (g *Staging) cut(rec record, sum sums) error {
	defer g.account() // no question of room: it makes room
	if err := g.record(rec, sum); err != nil {
		return err
	}
	g.store.hook(stepStageCut)
	return nil
}

// account brings up to date what the shelf counts for this staging.
func (g *Staging) account() {
	now := g.runs.size() + g.end
	if g.closed {
		now = 0
	}
	g.store.shelf.add(now - g.held)
	g.held = now
}

// sync has what was recorded reach the disk.
func (g *Staging) sync() error {
	g.mu.Lock()
	if g.closed || !g.dirty {
		g.mu.Unlock()
		return nil
	}
	g.dirty = false
	g.mu.Unlock()
	// Data before log: a record whose data is missing shows by its digest, but costs.
	err := g.data.sync()
	if err == nil {
		err = g.log.sync()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil // its files were, or have become the chain
	}
	if err != nil {
		g.dirty = true
	}
	return err
}

// Close syncs and closes the files, which stay.
func (g *Staging) Close() error {
	err := g.sync()
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	err = errors.Join(err, g.data.close(), g.log.close())
	g.retire()
	return err
}

// Remove closes the staging and deletes its files.  After an error the store has it
// still, to be opened again.
func (g *Staging) Remove() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	defer g.retire()
	err := errors.Join(g.data.close(), g.log.close())
	// The log first: data without one is of no use to anybody.
	if rerr := g.store.disk.remove(g.log.name); rerr != nil {
		return errors.Join(err, rerr)
	}
	g.store.hook(stepStageRemoved)
	return errors.Join(err, g.store.disk.remove(g.data.name))
}

// retire takes the staging off the shelf.
func (g *Staging) retire() {
	g.closed = true
	g.account()
	g.store.shelf.drop(g)
}
