package chain

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"kigo/node/mcm"
)

// A switching is a change of the chain that overwrites.
type switching struct {
	journal
	kind   string
	source *file
	was    int64 // trailers of the old chain
	next   *view // the new chain, while it is not in place
	former *file // tfile.dat before a renaming
	began  time.Time
}

// Extend puts trailers behind the tip; they are on the disk when it returns nil.
// The first ones of an empty chain begin with the base.  That the rules hold and
// the work is done is for the caller to know; wrong numbers and links are an error.
func (s *Store) Extend(ts []mcm.Trailer) error {
	if len(ts) == 0 {
		return nil
	}
	s.change.Lock()
	defer s.change.Unlock()
	began := time.Now()
	if err := s.settle(); err != nil {
		return err
	}
	v := s.view // only who holds change replaces it
	if v.count == 0 {
		return s.supplant(0, ts, kindExtend, began)
	}
	b, err := s.builder(v, v.count)
	if err != nil {
		return err
	}
	if err := b.add(ts); err != nil {
		return err
	}
	at := v.count * mcm.TrailerLen
	err = v.main.writeAt(mcm.Bytes(ts), at)
	if err == nil {
		s.hook(stepExtendWritten)
		err = v.main.sync()
	}
	if err != nil {
		return errors.Join(err, v.main.truncate(at))
	}
	s.hook(stepExtendSynced)
	next := b.view(v.pending)
	next.main = v.main
	if err := s.replaceState(next.state); err != nil {
		return err
	}
	s.hook(stepExtendDone)
	s.publish(next, v.count)
	s.count(kindExtend, began, 0)
	return nil
}

// Proven notes that the work of the pending span is checked up to and including
// block upto.
func (s *Store) Proven(upto mcm.BlockNum) error {
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.settle(); err != nil {
		return err
	}
	p := s.view.pending
	switch {
	case p.Count == 0 || upto < p.First:
		return nil
	case upto >= p.end()-1:
		p = Span{}
	default:
		p = Span{upto + 1, int(p.end() - upto - 1)}
	}
	if err := s.owe(p); err != nil {
		return err
	}
	s.hook(stepProvenDone)
	return nil
}

// Doubt takes back that any work is proven, of the own chain, all of which is pending
// then, and of the stagings: what checked it has turned out to compute wrongly.  A
// staging that can't be written is removed.  Nobody may use the store meanwhile.
func (s *Store) Doubt() error {
	if err := s.doubt(); err != nil {
		return err
	}
	stagings, err := s.Stagings()
	for _, g := range stagings {
		if g.doubt() != nil {
			err = errors.Join(err, g.Remove())
		}
	}
	return err
}

func (s *Store) doubt() error {
	s.change.Lock()
	defer s.change.Unlock()
	if err := s.settle(); err != nil {
		return err
	}
	if s.view == nil || s.view.count < 2 {
		return nil
	}
	return s.owe(Span{s.view.base.num + 1, int(s.view.count - 1)})
}

// owe makes p the pending span.
func (s *Store) owe(p Span) error {
	next, st := *s.view, *s.view.state
	st.pending = p
	next.state = &st
	if err := s.replaceState(&st); err != nil {
		return err
	}
	s.publish(&next, st.count)
	return nil
}

// Replace has the chain end before block from and continue with ts, in one step:
// whenever the process ends, the old chain or the new one is there.  It is for as
// many trailers as fit the memory.
func (s *Store) Replace(from mcm.BlockNum, ts []mcm.Trailer) error {
	s.change.Lock()
	defer s.change.Unlock()
	began := time.Now()
	if err := s.settle(); err != nil {
		return err
	}
	v := s.view
	if from < v.base.num || v.index(from) > v.count || len(ts) == 0 {
		return fmt.Errorf("chain: %d trailers to replace those from block %v on, in a chain of %d from %v on", len(ts), from, v.count, v.base.num)
	}
	return s.supplant(v.index(from), ts, kindReplace, began)
}

// supplant switches to a chain that is the own one below index from and ts above.
func (s *Store) supplant(from int64, ts []mcm.Trailer, kind string, began time.Time) error {
	v := s.view
	b, err := s.builder(v, from)
	if err != nil {
		return err
	}
	if err := b.add(ts); err != nil {
		return err
	}
	source, err := s.disk.create(sourceName)
	if err != nil {
		return err
	}
	w := &switching{journal: journal{from: from, name: sourceName}, kind: kind, source: source, began: began}
	w.next = b.view(clip(v.pending, v.base.num+mcm.BlockNum(from)))
	if err = source.writeAt(mcm.Bytes(ts), 0); err == nil {
		s.hook(stepReplaceSource)
		err = s.begin(w)
	}
	if err != nil {
		return errors.Join(err, source.close(), s.disk.remove(sourceName))
	}
	return nil
}

// clip returns the part of a span below block n.
func clip(p Span, n mcm.BlockNum) Span {
	if p.Count == 0 || n <= p.First {
		return Span{}
	}
	return Span{p.First, int(min(p.end(), n) - p.First)}
}

// replaceState makes st the state on the disk.
func (s *Store) replaceState(st *state) error {
	renamed, err := s.disk.replace(stateName, st.encode())
	if err != nil && renamed {
		s.uncertain = true
	}
	return err
}

// settle completes what an earlier change could not, before the next one.
func (s *Store) settle() error {
	if s.closed {
		return ErrClosed
	}
	if s.undone != nil {
		if err := s.apply(s.undone); err != nil {
			return fmt.Errorf("a switch that is decided can't be completed: %w", err)
		}
	}
	if s.uncertain {
		if err := s.replaceState(s.view.state); err != nil {
			return err
		}
		s.uncertain = false
	}
	return nil
}

// begin decides a switch and completes it if it can.  Once it is decided begin
// returns nil: the new chain stands and readers see it, whatever is left to do on
// the disk.  On an error nothing has changed, and the source is the caller's again.
func (s *Store) begin(w *switching) error {
	v := s.view
	w.count, w.was = w.next.count, v.count
	w.next.upper, w.next.cut, w.next.off = w.source, w.from, w.off
	if w.moves() {
		w.former = v.main
	} else {
		w.next.main = v.main
	}
	if err := w.source.sync(); err != nil {
		return err
	}
	s.hook(stepSwitchBegun)
	if err := s.prepare(w); err != nil {
		if v.main != nil {
			err = errors.Join(err, v.main.truncate(v.count*mcm.TrailerLen))
		}
		return errors.Join(err, s.disk.remove(newStateName))
	}
	s.hook(stepSwitchDecided)
	s.undone = w
	s.publish(w.next, w.from)
	s.count(w.kind, w.began, v.count-w.from)
	if err := s.apply(w); err != nil {
		s.log.Error("switch decided but not completed on the disk; it is tried again", "folder", s.dir, "err", err)
	}
	return nil
}

// prepare does all that may need room on the disk, and then decides.
func (s *Store) prepare(w *switching) error {
	v := s.view
	if !w.moves() && w.count > v.count {
		off := w.off + (v.count-w.from)*mcm.TrailerLen
		if err := copyRange(v.main, v.count*mcm.TrailerLen, w.source, off, (w.count-v.count)*mcm.TrailerLen, false); err != nil {
			return err
		}
		// A file system may find only now that there is no room.
		if err := v.main.sync(); err != nil {
			return err
		}
	}
	s.hook(stepSwitchGrown)
	next := w.next.encode()
	w.oldSum, w.newSum = sha256.Sum256(v.encode()), sha256.Sum256(next)
	if err := s.disk.writeNew(newStateName, next); err != nil {
		return err
	}
	// Its name and the source's, so that the journal never comes before them.
	if err := s.disk.syncDir(); err != nil {
		return err
	}
	s.hook(stepSwitchState)
	renamed, err := s.disk.replace(journalName, w.encode())
	if err == nil || !renamed {
		return err
	}
	// The disk may have it or not.  Taken back it decides nothing, and if that can't
	// be done it has to stand.
	if rerr := s.disk.remove(journalName); rerr != nil {
		s.log.Error("journal of a switch written, but the folder not synced", "folder", s.dir, "err", errors.Join(err, rerr))
		return nil
	}
	return errors.Join(err, s.disk.syncDir())
}

// apply does on the disk what the journal says.  It can be repeated.
func (s *Store) apply(w *switching) error {
	if s.view.upper != nil {
		if err := s.place(w); err != nil {
			return err
		}
	}
	if s.disk.exists(newStateName) {
		if err := s.disk.rename(newStateName, stateName); err != nil {
			return err
		}
	}
	if err := s.disk.syncDir(); err != nil {
		return err
	}
	s.uncertain = false
	s.hook(stepSwitchStated)
	if err := s.view.main.truncate(w.count * mcm.TrailerLen); err != nil {
		return err
	}
	s.hook(stepSwitchCut)
	if !w.moves() {
		_ = w.source.close() // read from and on the disk
	}
	if err := s.discard(w.remains()); err != nil {
		return err
	}
	s.undone = nil
	return nil
}

// place puts the trailers of a switch where they belong, and readers to that place.
func (s *Store) place(w *switching) error {
	plain := &view{state: w.next.state, sums: w.next.sums, main: w.next.main}
	if w.moves() {
		if err := s.move(&w.journal); err != nil {
			return err
		}
		plain.main = w.source
	} else if err := s.copyOver(plain.main, w.source, &w.journal, min(w.count, w.was)); err != nil {
		return err
	}
	s.hook(stepSwitchCopied)
	s.publish(plain, w.count)
	return w.former.close()
}

// move makes the source tfile.dat, unless it is.
func (s *Store) move(j *journal) error {
	if s.disk.exists(j.name) {
		if err := s.disk.rename(j.name, mainName); err != nil {
			return err
		}
	}
	return s.disk.syncDir()
}

// copyOver copies the source's trailers below index end to their place in tfile.dat.
func (s *Store) copyOver(main, source *file, j *journal, end int64) error {
	at, n := j.from*mcm.TrailerLen, max(end-j.from, 0)*mcm.TrailerLen
	half := n / 2
	if err := copyRange(main, at, source, j.off, half, false); err != nil {
		return err
	}
	s.hook(stepSwitchHalf)
	if err := copyRange(main, at+half, source, j.off+half, n-half, false); err != nil {
		return err
	}
	return main.sync()
}

// remains returns the names of the files that a completed switch needs no more.
func (j *journal) remains() (names []string) {
	if !j.moves() {
		names = append(names, j.name)
	}
	if log := logOf(j.name); log != "" {
		names = append(names, log)
	}
	return names
}

// discard removes files of a completed switch and then its journal.
func (s *Store) discard(names []string) error {
	for _, name := range names {
		if err := s.disk.remove(name); err != nil {
			return err
		}
	}
	s.hook(stepSwitchCleared)
	if err := s.disk.remove(journalName); err != nil {
		return err
	}
	if err := s.disk.syncDir(); err != nil {
		return err
	}
	s.hook(stepSwitchDone)
	return nil
}

// count counts a change of the chain.
func (s *Store) count(kind string, began time.Time, replaced int64) {
	s.metrics.switches.WithLabelValues(kind).Inc()
	s.metrics.replaced.Add(float64(max(replaced, 0)))
	s.metrics.durations.WithLabelValues(kind).Observe(time.Since(began).Seconds())
}
