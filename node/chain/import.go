package chain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/tfile"
)

// Import reads the trailer file at path, as a C node keeps it, and never writes to
// it.  It copies what the own chain doesn't have, judges the copy with o, proof of
// work only where the own chain doesn't prove it, and switches to the good beginning
// of the file if that is heavier than the own chain.  Where the two part before version
// 3 and o has no pin, heavier is by worked weight, and a chain without the floor never
// replaces one that has it (docs/spec/sync.md section 8.3).  The report counts trailers
// from the chain's base on.
//
// A file that ends within a trailer, or whose end is bad, gives its good part.  What
// is proven of it before an interruption is remembered beside the chain, unless
// o.Resume names another place.  An error is our own failure, or says that the file
// has nothing of this chain; ErrChanged, that the own chain was replaced meanwhile
// where the file parts from it.  The chain can be extended and switched while Import
// runs; another Import waits.
func (s *Store) Import(ctx context.Context, path string, o tfile.Options) (*tfile.Report, error) {
	if o.Verifier == nil {
		return nil, errors.New("chain: import without a verifier would prove nothing")
	}
	s.importing.Lock()
	defer s.importing.Unlock()
	began := time.Now()
	// Before it is opened, for which a pipe would wait.
	if st, err := os.Stat(path); err != nil {
		return nil, err
	} else if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: not a regular file", path)
	}
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close() // only read from
	count, err := s.importable(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	skip := int64(s.base.num)
	shared, own, err := s.share(ctx, io.NewSectionReader(in, skip*mcm.TrailerLen, count*mcm.TrailerLen), count)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer own.Close() // never fails
	if shared == count {
		tip, ok := s.At(s.base.num + mcm.BlockNum(count-1))
		if !ok {
			return nil, ErrChanged
		}
		return &tfile.Report{PowChecked: true, Complete: true, Trailers: count, Good: count, First: s.base.num, Last: tip.Num, Tip: tip.Hash, Weight: tip.Weight}, nil
	}
	copied, err := s.copyIn(ctx, in, (skip+shared)*mcm.TrailerLen, (count-shared)*mcm.TrailerLen)
	if err != nil {
		return nil, err
	}
	s.hook(stepImportCopied)
	w := &switching{journal: journal{from: shared, name: importName}, kind: kindImport, source: copied, began: began}
	if o.Resume == "" {
		o.Resume = s.disk.path(provenName)
	}
	report, err := s.judge(ctx, w, own, count, o)
	adopted := false
	if err == nil {
		s.hook(stepImportVerified)
		adopted, err = s.takeOver(w, own, report, o.Pin != nil)
	}
	if !adopted {
		err = errors.Join(err, copied.close(), s.disk.remove(importName))
	}
	if err == nil {
		err = s.disk.remove(provenName)
	}
	return report, err
}

// importable returns how many trailers a file has from the chain's base on.
func (s *Store) importable(in *os.File) (int64, error) {
	st, err := in.Stat()
	if err != nil {
		return 0, err
	}
	if main, err := os.Stat(s.disk.path(mainName)); err == nil && os.SameFile(st, main) {
		return 0, errors.New("the own chain can't be imported")
	}
	trailers := st.Size() / mcm.TrailerLen
	if uint64(trailers) <= uint64(s.base.num) {
		return 0, fmt.Errorf("%d bytes end before the chain's first block, %v", st.Size(), s.base.num)
	}
	return trailers - int64(s.base.num), nil
}

// share returns how many of count trailers at the beginning of r the own chain has,
// and a reader of these.
func (s *Store) share(ctx context.Context, r io.ReaderAt, count int64) (n int64, own *reader, err error) {
	s.mu.Lock()
	if s.view == nil {
		s.mu.Unlock()
		return 0, nil, ErrClosed
	}
	own = &reader{s: s, end: min(count, s.view.count)}
	s.readers[own] = struct{}{}
	s.mu.Unlock()
	theirs := make([]mcm.Trailer, pieceLen)
	for same := pieceLen; same == pieceLen && n < count; n += int64(same) {
		theirs = theirs[:min(pieceLen, count-n)]
		if _, err = r.ReadAt(mcm.Bytes(theirs), n*mcm.TrailerLen); err == nil {
			same, err = s.same(ctx, own, n, theirs)
		}
		if err != nil {
			return 0, nil, errors.Join(err, own.Close())
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	own.end = n
	return n, own, nil
}

// same returns how many of ts, a piece's, are those of the own chain from index at on.
func (s *Store) same(ctx context.Context, own *reader, at int64, ts []mcm.Trailer) (n int, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	v := s.view
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case v == nil:
		return 0, ErrClosed
	case own.changed:
		return 0, ErrChanged
	case at == 0 && *ts[0].Hash() != v.base.hash:
		return 0, fmt.Errorf("block %v has hash %v, expected %v: it is of another chain", v.base.num, ts[0].Hash(), v.base.hash)
	case at >= v.count:
		return 0, nil
	}
	have, err := s.piece(v, int(at/pieceLen))
	if err != nil {
		return 0, err
	}
	for n < len(have) && n < len(ts) && have[n] == ts[n] {
		n++
	}
	return n, nil
}

// copyIn copies a part of a file into the folder.
func (s *Store) copyIn(ctx context.Context, in io.ReaderAt, off, n int64) (*file, error) {
	out, err := s.disk.create(importName)
	if err != nil {
		return nil, err
	}
	const step = 1 << 22
	for at := int64(0); at < n && err == nil; at += step {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
			break
		}
		err = copyRange(out, at, in, off+at, min(step, n-at), false)
	}
	if err != nil {
		return nil, errors.Join(err, out.close(), s.disk.remove(importName))
	}
	return out, nil
}

// judge verifies the chain that own and the copy make.
func (s *Store) judge(ctx context.Context, w *switching, own io.Reader, count int64, o tfile.Options) (*tfile.Report, error) {
	o.Segment = s.base.num != 0
	o.All = false
	o.PowFrom = s.base.num + mcm.BlockNum(w.from)
	if o.Segment {
		o.Pin, o.DerivePin = nil, false
	}
	copied := io.NewSectionReader(w.source, 0, (count-w.from)*mcm.TrailerLen)
	return tfile.Verify(ctx, io.MultiReader(own, copied), count*mcm.TrailerLen, o)
}

// takeOver switches to the good beginning of what was judged if that is heavier than
// the own chain, and reports whether it has.
func (s *Store) takeOver(w *switching, own *reader, report *tfile.Report, pinned bool) (bool, error) {
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.settle(); err != nil {
		return false, err
	}
	v := s.view
	if own.changed { // which only who holds change sets
		return false, ErrChanged
	}
	b, err := s.builder(v, w.from)
	if err != nil {
		return false, err
	}
	buf := make([]mcm.Trailer, pieceLen)
	bad, floor := false, false
	for b.count < report.Good && !bad {
		ts := buf[:min(pieceLen, report.Good-b.count)]
		if _, err := w.source.ReadAt(mcm.Bytes(ts), (b.count-w.from)*mcm.TrailerLen); err != nil {
			return false, err
		}
		for i := range ts {
			// The one rule that a trailer file is not judged by (docs/spec/sync.md 8.4).
			err := rules.CheckPseudoRoot(&ts[i])
			if err == nil && ts[i].Num() < mcm.V30Trigger && ts[i].Difficulty() > 255 {
				err = errWrapped
			}
			if err == nil {
				err = b.add(ts[i : i+1])
			}
			if err != nil {
				report.Good = b.count
				report.Problems = append([]tfile.Problem{problem(err, s.base.num, b.count)}, report.Problems...)
				bad = true
				break
			}
			floor = floor || s.floor != nil && ts[i].Num() == s.floor.Num && *ts[i].Hash() == s.floor.Hash
		}
	}
	if b.count <= w.from || s.lacksFloor(v, w.from) && !floor {
		return false, nil
	}
	more := b.tip.Weight.Cmp(v.tip.Weight)
	if w.from < v.count && s.base.num+mcm.BlockNum(w.from) < mcm.V30Trigger && !pinned {
		more = b.tip.Work.Cmp(v.tip.Work)
	}
	if more <= 0 {
		return false, nil
	}
	if err := w.source.truncate((b.count - w.from) * mcm.TrailerLen); err != nil {
		return false, err
	}
	w.next = b.view(clip(v.pending, s.base.num+mcm.BlockNum(w.from)))
	err = s.begin(w)
	return err == nil, err
}

// errWrapped says that no block can have what a trailer states.
var errWrapped = errors.New("a difficulty above 255, which no block can have")

// lacksFloor reports whether a chain that has its trailers from index from on replaced
// would lose the floor.
func (s *Store) lacksFloor(v *view, from int64) bool {
	f := s.floor
	if f == nil || !v.has(f.Num) || v.index(f.Num) < from {
		return false
	}
	ts, err := s.piece(v, int(v.index(f.Num)/pieceLen))
	return err != nil || *ts[v.index(f.Num)%pieceLen].Hash() == f.Hash
}

// problem returns err as the problem of the trailer at an index.
func problem(err error, first mcm.BlockNum, index int64) tfile.Problem {
	p := tfile.Problem{Num: first + mcm.BlockNum(index), Index: index, Offset: index * mcm.TrailerLen, Rule: rules.Invalid, Detail: err.Error()}
	var r *rules.Error
	if errors.As(err, &r) {
		p.Rule, p.Detail = r.Rule, r.Detail
	}
	return p
}
