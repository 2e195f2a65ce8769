package chain

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
)

// load reads the folder and mends it.
func (s *Store) load() error {
	if err := s.recover(); err != nil {
		return err
	}
	st, err := s.readState()
	if err != nil {
		return err
	}
	v := &view{state: st}
	if v.main, err = s.disk.open(mainName); errors.Is(err, fs.ErrNotExist) {
		v.main, err = nil, nil
	}
	if err != nil {
		return err
	}
	if v, err = s.settleLength(v); err == nil && v.count > 0 {
		v, err = s.prove(v)
	}
	if err != nil {
		return errors.Join(err, v.main.close())
	}
	s.publish(v, 0)
	return s.sweep()
}

// readState returns what the state says; an empty chain if there is none that can
// be believed.
func (s *Store) readState() (*state, error) {
	empty := &state{base: s.base}
	b, err := os.ReadFile(s.disk.path(stateName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if s.disk.exists(mainName) {
			to, err := s.setAside(mainName)
			if err != nil {
				return nil, err
			}
			s.metrics.repairs.WithLabelValues(repairTrailers).Inc()
			s.notice("%s is not known to be proven, since there is no %s; it is %s now", mainName, stateName, to)
		}
		_, err = s.disk.replace(stateName, empty.encode())
		return empty, err
	case err != nil:
		return nil, err
	}
	st, err := decodeState(b)
	if err != nil {
		s.metrics.repairs.WithLabelValues(repairState).Inc()
		to, aerr := s.setAside(stateName)
		if aerr != nil {
			return nil, aerr
		}
		s.notice("%s is damaged (%v); it is %s now, and the chain is not known to be proven any more", stateName, err, to)
		return s.readState()
	}
	if st.base == s.base {
		return st, nil
	}
	if st.count > 0 {
		return nil, &BaseError{s.dir, st.base, s.base}
	}
	_, err = s.disk.replace(stateName, empty.encode())
	return empty, err
}

// settleLength brings state and size of the file together where they differ.
func (s *Store) settleLength(v *view) (*view, error) {
	size := int64(0)
	if v.main != nil {
		var err error
		if size, err = v.main.size(); err != nil {
			return v, err
		}
	}
	want := v.count * mcm.TrailerLen
	switch {
	case size == want:
		return v, nil
	case size < want:
		return s.cut(v, size/mcm.TrailerLen/pieceLen*pieceLen, fmt.Sprintf("it has %d bytes, expected %d", size, want))
	case want > 0:
		// What Extend or a switch had written when it was interrupted.
		s.log.Info("bytes behind the own chain dropped", "folder", s.dir, "bytes", size-want)
		return v, v.main.truncate(want)
	}
	if err := v.main.close(); err != nil {
		return v, err
	}
	v.main = nil
	to, err := s.setAside(mainName)
	if err != nil {
		return v, err
	}
	s.metrics.repairs.WithLabelValues(repairTrailers).Inc()
	s.notice("%s has %d bytes that are not known to be proven; it is %s now", mainName, size, to)
	return v, nil
}

// prove holds the trailers of v against their digests and returns the view of those
// that pass, after the others were set aside.
func (s *Store) prove(v *view) (*view, error) {
	good, sum, why := checkPieces(v)
	v.sums = sum
	if good < len(v.pieces) {
		return s.cut(v, int64(good)*pieceLen, fmt.Sprintf("piece %d %s", good, why))
	}
	tip, err := s.at(v, v.count-1)
	if err != nil {
		return v, err
	}
	if tip != v.tip {
		return s.cut(v, 0, fmt.Sprintf("its tip is %+v, and %s says %+v", tip, stateName, v.tip))
	}
	return v, nil
}

// A checked piece.
type checked struct {
	sums sums // of its trailers alone
	prev mcm.Hash
	last mcm.Hash
	err  string
}

// checkPieces checks all pieces of a view: digest, numbers and links.  It returns
// how many are good in a row, the sums before each, and what is wrong with the next
// one.
func checkPieces(v *view) (good int, sum []sums, why string) {
	all := make([]checked, len(v.pieces))
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(all)) {
		workers.Go(func() {
			buf := make([]mcm.Trailer, pieceLen)
			for i := int(next.Add(1)) - 1; i < len(all); i = int(next.Add(1)) - 1 {
				all[i] = checkPiece(v, i, buf)
			}
		})
	}
	workers.Wait()
	var before sums
	last := v.base.hash
	for i, c := range all {
		if i > 0 && c.err == "" && c.prev != last {
			c.err = "does not link to the one before"
		}
		if c.err != "" {
			return i, sum, c.err
		}
		sum = append(sum, before)
		before = before.plus(c.sums)
		last = c.last
	}
	return len(all), sum, ""
}

func checkPiece(v *view, i int, buf []mcm.Trailer) (c checked) {
	ts := buf[:v.pieceSize(i)]
	first := int64(i) * pieceLen
	if err := v.read(ts, first); err != nil {
		c.err = "can't be read: " + err.Error()
		return c
	}
	if sha256.Sum256(mcm.Bytes(ts)) != v.pieces[i] {
		c.err = "differs from its SHA-256"
		return c
	}
	for k := range ts {
		t := &ts[k]
		if t.Num() != v.base.num+mcm.BlockNum(first)+mcm.BlockNum(k) || k > 0 && *t.PrevHash() != *ts[k-1].Hash() {
			c.err = fmt.Sprintf("has a wrong number or link at trailer %d", k)
			return c
		}
		if first == 0 && k == 0 {
			if *t.Hash() != v.base.hash {
				c.err = "does not begin with the chain's first block"
				return c
			}
			b := v.base.first(t)
			c.sums = sums{b.Weight, b.Work}
			continue
		}
		c.sums.weight = rules.AddWeight(c.sums.weight, t)
		if proof.IsWorked(t) {
			c.sums.work = c.sums.work.AddDifficulty(t.WorkDifficulty())
		}
	}
	c.prev, c.last = *ts[0].PrevHash(), *ts[len(ts)-1].Hash()
	return c
}

// cut ends the chain after count trailers, a multiple of pieceLen, because of
// damage behind them, and sets aside what follows.  What was vouched for must be a
// prefix that can be read.
func (s *Store) cut(v *view, count int64, why string) (*view, error) {
	s.metrics.repairs.WithLabelValues(repairTrailers).Inc()
	to, err := s.keepTail(v, count)
	if err != nil {
		return v, fmt.Errorf("damaged trailers can't be set aside: %w", err)
	}
	kept := &state{base: v.base, count: count, pieces: v.pieces[:count/pieceLen]}
	out := &view{state: kept, main: v.main}
	if count > 0 {
		good, sum, bad := checkPieces(out)
		if good < len(out.pieces) {
			return s.cut(v, int64(good)*pieceLen, fmt.Sprintf("piece %d %s", good, bad))
		}
		out.sums = sum
		if kept.tip, err = s.at(out, count-1); err != nil {
			return v, err
		}
		if p := v.pending; p.Count > 0 && p.First <= kept.tip.Num {
			kept.pending = Span{p.First, int(min(p.end(), kept.tip.Num+1) - p.First)}
		}
	}
	s.hook(stepRepairKept)
	if _, err := s.disk.replace(stateName, kept.encode()); err != nil {
		return v, err
	}
	s.hook(stepRepairState)
	if count > 0 {
		if err := out.main.truncate(count * mcm.TrailerLen); err != nil {
			return v, err
		}
		if err := out.main.sync(); err != nil {
			return v, err
		}
	}
	s.notice("%s is damaged behind its first %d trailers: %s; the chain ends there, and what follows is %s now", mainName, count, why, to)
	return out, nil
}

// keepTail puts the bytes behind count trailers into a file of their own, and
// returns its name.  All of the file is renamed instead of copied.
func (s *Store) keepTail(v *view, count int64) (string, error) {
	if v.main == nil {
		return "missing", nil
	}
	size, err := v.main.size()
	if err != nil {
		return "", err
	}
	if count == 0 {
		if err := v.main.close(); err != nil {
			return "", err
		}
		v.main = nil
		return s.setAside(mainName)
	}
	at := count * mcm.TrailerLen
	if at >= size {
		return "missing", nil
	}
	name := s.spare(mainName)
	out, err := s.disk.create(name)
	if err != nil {
		return "", err
	}
	err = copyRange(out, 0, v.main, at, size-at, true)
	if err == nil {
		err = out.sync()
	}
	if err = errors.Join(err, out.close()); err != nil {
		return "", errors.Join(err, s.disk.remove(name)) // a part of a copy
	}
	return name, s.disk.syncDir()
}

// copyRange copies n bytes.  lenient leaves zeros where the source can't be read,
// as on a failing disk.
func copyRange(to *file, toOff int64, from io.ReaderAt, fromOff, n int64, lenient bool) error {
	buf := make([]byte, min(n, 1<<20))
	for done := int64(0); done < n; {
		b := buf[:min(int64(len(buf)), n-done)]
		if m, err := from.ReadAt(b, fromOff+done); m < len(b) {
			if !lenient {
				return err
			}
			clear(b[m:])
		}
		if err := to.writeAt(b, toOff+done); err != nil {
			return err
		}
		done += int64(len(b))
	}
	return nil
}

// sweep removes what an interruption has left of our own unfinished work.
func (s *Store) sweep() error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		ours := name == newStateName || name == sourceName || name == importName ||
			strings.HasSuffix(name, tmpExt) && (strings.HasPrefix(name, "chain.") || strings.HasPrefix(name, stagingPrefix))
		if !ours {
			continue
		}
		if err := s.disk.remove(name); err != nil {
			return err
		}
	}
	return nil
}
