package chain

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"kigo/node/mcm"
)

// recover completes the switch that the journal tells of, if there is one.
func (s *Store) recover() error {
	b, err := os.ReadFile(s.disk.path(journalName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	j, err := decodeJournal(b)
	if err != nil {
		return s.refuseJournal(err.Error())
	}
	now, err := s.readSmall(stateName)
	if err != nil {
		return err
	}
	if sha256.Sum256(now) != j.newSum {
		next, err := s.readSmall(newStateName)
		if err != nil {
			return err
		}
		st, serr := decodeState(next)
		if serr != nil || sha256.Sum256(next) != j.newSum || st.count != j.count {
			return s.refuseJournal("the state that it leads to is missing or damaged")
		}
		if st.base != s.base {
			return &BaseError{s.dir, st.base, s.base}
		}
		if _, err := decodeState(now); err == nil && sha256.Sum256(now) != j.oldSum {
			return s.refuseJournal("it follows another state")
		}
		why, err := s.redo(j, st)
		if err != nil {
			return fmt.Errorf("a switch that is decided can't be completed: %w", err)
		}
		if why != "" {
			return s.refuseJournal(why)
		}
		if err := s.disk.rename(newStateName, stateName); err != nil {
			return err
		}
		if err := s.disk.syncDir(); err != nil {
			return err
		}
		s.log.Info("interrupted switch of the own chain completed", "folder", s.dir)
	}
	s.hook(stepSwitchStated)
	return s.discard(j.remains())
}

// readSmall returns a file's content, nothing if there is none.
func (s *Store) readSmall(name string) ([]byte, error) {
	b, err := os.ReadFile(s.disk.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// redo puts the trailers of an interrupted switch in place, once they are known to
// be those of the new state; else it says why they aren't.
func (s *Store) redo(j *journal, st *state) (why string, err error) {
	source, err := s.disk.open(j.name)
	if errors.Is(err, fs.ErrNotExist) && j.moves() {
		source, err = s.disk.open(mainName) // renamed already
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "the trailers that it leads to are missing", nil
	}
	if err != nil {
		return "", err
	}
	defer source.close() // read from, or synced
	main := source
	if !j.moves() {
		if main, err = s.disk.open(mainName); errors.Is(err, fs.ErrNotExist) {
			return "the trailers that it changes are missing", nil
		}
		if err != nil {
			return "", err
		}
		defer main.close()
	}
	next := &view{state: st, main: main, upper: source, cut: j.from, off: j.off}
	if good, _, bad := checkPieces(next); good < len(st.pieces) {
		return fmt.Sprintf("piece %d of the chain that it leads to %s", good, bad), nil
	}
	if j.moves() {
		if err := source.truncate(j.count * mcm.TrailerLen); err != nil {
			return "", err
		}
		return "", s.move(j)
	}
	if err := s.copyOver(main, source, j, j.count); err != nil {
		return "", err
	}
	s.hook(stepSwitchCopied)
	return "", nil
}

// refuseJournal sets a journal aside that can't be followed.  What it has left
// undone shows in the digests of the state that stands.
func (s *Store) refuseJournal(why string) error {
	s.metrics.repairs.WithLabelValues(repairJournal).Inc()
	to, err := s.setAside(journalName)
	if err != nil {
		return err
	}
	s.notice("%s is not followed (%s); it is %s now", journalName, why, to)
	return nil
}
