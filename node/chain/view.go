package chain

import (
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"sync"

	"kigo/node/mcm"
)

// sums are the weight and work of what lies before a piece.
type sums struct{ weight, work mcm.Weight }

func (s sums) plus(t sums) sums {
	s.weight, _ = s.weight.Add(t.weight)
	s.work, _ = s.work.Add(t.work)
	return s
}

// A view is a chain as readers see it: a state, and where its trailers are.  Only
// who holds Store.change makes another one; the files of one that was replaced are
// closed when no reader has it any more.
type view struct {
	*state
	sums []sums // for each piece; the first one's are zero
	main *file  // tfile.dat, nil as long as there is none
	// Trailers from index cut on are in upper instead, from byte off on, unless it
	// is nil.
	upper *file
	cut   int64
	off   int64
}

// read fills ts with the trailers from index first on, all of which are there.
func (v *view) read(ts []mcm.Trailer, first int64) error {
	n := int64(len(ts))
	below := n
	if v.upper != nil {
		below = min(max(v.cut-first, 0), n)
	}
	if below > 0 {
		if _, err := v.main.ReadAt(mcm.Bytes(ts[:below]), first*mcm.TrailerLen); err != nil {
			return err
		}
	}
	if below < n {
		at := v.off + (first+below-v.cut)*mcm.TrailerLen
		if _, err := v.upper.ReadAt(mcm.Bytes(ts[below:]), at); err != nil {
			return err
		}
	}
	return nil
}

// A cache holds the pieces that were read last, by their digests.  What one says
// is what the digest stands for, so it never goes stale.
type cache struct {
	mu     sync.Mutex
	pieces [8]cached // the latest first; they take 1.3 MB
}

type cached struct {
	digest mcm.Hash
	ts     []mcm.Trailer
}

func (c *cache) get(digest mcm.Hash) []mcm.Trailer {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, p := range c.pieces {
		if p.ts != nil && p.digest == digest {
			copy(c.pieces[1:i+1], c.pieces[:i])
			c.pieces[0] = p
			return p.ts
		}
	}
	return nil
}

func (c *cache) put(digest mcm.Hash, ts []mcm.Trailer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	copy(c.pieces[1:], c.pieces[:])
	c.pieces[0] = cached{digest, ts}
}

// piece returns piece i of a view, held against its digest.  The caller doesn't
// change it, and keeps mu or change while it runs.
func (s *Store) piece(v *view, i int) ([]mcm.Trailer, error) {
	if ts := s.cache.get(v.pieces[i]); ts != nil {
		return ts, nil
	}
	first := int64(i) * pieceLen
	ts := make([]mcm.Trailer, v.pieceSize(i))
	err := v.read(ts, first)
	if err == nil && sha256.Sum256(mcm.Bytes(ts)) != v.pieces[i] {
		err = fmt.Errorf("the SHA-256 of %d trailers differs", len(ts))
	}
	if err != nil {
		err = &DamageError{s.disk.path(mainName), v.base.num + mcm.BlockNum(first), err.Error()}
		s.metrics.repairs.WithLabelValues(repairRead).Inc()
		s.log.Error("own chain can't be read; a restart mends it", "err", err)
		return nil, err
	}
	s.cache.put(v.pieces[i], ts)
	return ts, nil
}

// Trailers returns count trailers from block first on, fewer where the chain ends,
// none if it doesn't have the first.  They are of one chain, however often it is
// replaced meanwhile.
func (s *Store) Trailers(first mcm.BlockNum, count int) ([]mcm.Trailer, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v := s.view
	if v == nil {
		return nil, ErrClosed
	}
	if !v.has(first) || count <= 0 {
		return nil, nil
	}
	at := v.index(first)
	n := int(min(int64(count), v.count-at))
	out := make([]mcm.Trailer, 0, n)
	for len(out) < n {
		i := int(at / pieceLen)
		ts, err := s.piece(v, i)
		if err != nil {
			return nil, err
		}
		ts = ts[at%pieceLen:]
		ts = ts[:min(len(ts), n-len(out))]
		out = append(out, ts...)
		at += int64(len(ts))
	}
	return out, nil
}

// Has reports whether block n of the chain has hash h.
func (s *Store) Has(n mcm.BlockNum, h mcm.Hash) bool {
	ts, err := s.Trailers(n, 1)
	return err == nil && len(ts) == 1 && *ts[0].Hash() == h
}

// At returns what Tip would if block n were the tip; false if the chain doesn't
// have it.
func (s *Store) At(n mcm.BlockNum) (Tip, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.view == nil || !s.view.has(n) {
		return Tip{}, false
	}
	t, err := s.at(s.view, s.view.index(n))
	return t, err == nil
}

func (s *Store) at(v *view, index int64) (Tip, error) {
	i := int(index / pieceLen)
	ts, err := s.piece(v, i)
	if err != nil {
		return Tip{}, err
	}
	ts = ts[:index%pieceLen+1]
	var t Tip
	if i == 0 {
		t, ts = v.base.first(&ts[0]), ts[1:]
	} else {
		t = Tip{Weight: v.sums[i].weight, Work: v.sums[i].work}
	}
	for k := range ts {
		t = t.grow(&ts[k])
	}
	return t, nil
}

// Reader returns a reader of all trailers as of now, for TFILE, and their length in
// bytes.  When one of them is replaced before all was read, Read fails with
// ErrChanged.
func (s *Store) Reader() (io.ReadCloser, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.view == nil {
		return nil, 0, ErrClosed
	}
	r := &reader{s: s, end: s.view.count}
	s.readers[r] = struct{}{}
	return r, r.end * mcm.TrailerLen, nil
}

// A reader reads the chain up to a place.
type reader struct {
	s       *Store
	end     int64 // index
	changed bool  // under Store.mu

	at   int64         // index behind rest
	rest []mcm.Trailer // read, not yet delivered
	skip int           // bytes of rest that are
}

func (r *reader) Read(b []byte) (int, error) {
	if len(r.rest) == 0 {
		if r.at == r.end {
			return 0, io.EOF
		}
		if err := r.fill(); err != nil {
			return 0, err
		}
	}
	n := copy(b, mcm.Bytes(r.rest)[r.skip:])
	r.skip += n
	if r.skip == len(r.rest)*mcm.TrailerLen {
		r.rest, r.skip = nil, 0
	}
	return n, nil
}

func (r *reader) fill() error {
	r.s.mu.RLock()
	defer r.s.mu.RUnlock()
	switch {
	case r.s.view == nil:
		return ErrClosed
	case r.changed:
		return ErrChanged
	}
	ts, err := r.s.piece(r.s.view, int(r.at/pieceLen))
	if err != nil {
		return err
	}
	r.rest = ts[:min(int64(len(ts)), r.end-r.at)]
	r.at += int64(len(r.rest))
	return nil
}

// Close ends the reading.
func (r *reader) Close() error {
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	delete(r.s.readers, r)
	return nil
}

// A builder makes a view by taking trailers one after another.
type builder struct {
	base   base
	count  int64
	tip    Tip
	pieces []mcm.Hash    // whole ones
	part   []mcm.Trailer // the rest
	sums   []sums
}

// builder returns one that holds the first count trailers of v.
func (s *Store) builder(v *view, count int64) (*builder, error) {
	whole := count / pieceLen
	b := &builder{
		base: v.base, count: whole * pieceLen,
		pieces: slices.Clone(v.pieces[:whole]),
		sums:   slices.Clone(v.sums[:whole]),
		part:   make([]mcm.Trailer, 0, pieceLen),
	}
	if b.count > 0 {
		var err error
		if b.tip, err = s.at(v, b.count-1); err != nil {
			return nil, err
		}
	}
	if b.count == count {
		return b, nil
	}
	ts, err := s.piece(v, int(whole))
	if err != nil {
		return nil, err
	}
	return b, b.add(ts[:count-b.count])
}

// add takes trailers that follow.  One of a wrong number or link is an error.
func (b *builder) add(ts []mcm.Trailer) error {
	for i := range ts {
		t := &ts[i]
		switch want := b.base.num + mcm.BlockNum(b.count); {
		case t.Num() != want:
			return fmt.Errorf("chain: trailer of block %v, expected %v", t.Num(), want)
		case b.count == 0 && *t.Hash() != b.base.hash:
			return fmt.Errorf("chain: block %v has hash %v, expected %v, the chain's first", want, t.Hash(), b.base.hash)
		case b.count > 0 && *t.PrevHash() != b.tip.Hash:
			return fmt.Errorf("chain: block %v follows %v, expected %v", want, t.PrevHash(), b.tip.Hash)
		}
		if len(b.part) == 0 {
			b.sums = append(b.sums, sums{b.tip.Weight, b.tip.Work})
		}
		if b.count == 0 {
			b.tip = b.base.first(t)
		} else {
			b.tip = b.tip.grow(t)
		}
		b.count++
		if b.part = append(b.part, *t); len(b.part) == pieceLen {
			b.pieces = append(b.pieces, sha256.Sum256(mcm.Bytes(b.part)))
			b.part = b.part[:0]
		}
	}
	return nil
}

// view returns the view of what was taken, without files.
func (b *builder) view(pending Span) *view {
	s := &state{base: b.base, count: b.count, tip: b.tip, pending: pending, pieces: slices.Clone(b.pieces)}
	if len(b.part) > 0 {
		s.pieces = append(s.pieces, sha256.Sum256(mcm.Bytes(b.part)))
	}
	return &view{state: s, sums: slices.Clone(b.sums)}
}
