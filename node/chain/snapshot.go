package chain

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"kigo/node/mcm"
)

// A Snapshot is the chain of a folder at one moment, read beside the process that
// has it or without one.  It takes no lock and changes nothing.
type Snapshot struct {
	dir   string
	raw   mcm.Hash // SHA-256 of the state as it was read
	state *state
	main  *os.File // nil if empty
}

// ErrEmpty says that a folder has no chain.
var ErrEmpty = errors.New("chain: there is no chain")

// ReadSnapshot reads what the chain in a folder is now.  It fails with ErrEmpty where
// there is none.
func ReadSnapshot(dir string) (*Snapshot, error) {
	b, err := os.ReadFile(filepath.Join(dir, stateName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrEmpty
	}
	if err != nil {
		return nil, err
	}
	st, err := decodeState(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, stateName), err)
	}
	if st.count == 0 {
		return nil, ErrEmpty
	}
	main, err := os.Open(filepath.Join(dir, mainName))
	if err != nil {
		return nil, err
	}
	return &Snapshot{dir, sha256.Sum256(b), st, main}, nil
}

// Tip returns the tip.
func (s *Snapshot) Tip() Tip { return s.state.tip }

// First returns the number of the first block: 0, or that of the chain's base.
func (s *Snapshot) First() mcm.BlockNum { return s.state.base.num }

// Pending is Store.Pending.
func (s *Snapshot) Pending() (from, to mcm.BlockNum, ok bool) {
	if p := s.state.pending; p.Count > 0 {
		return p.First, p.end() - 1, true
	}
	return 0, 0, false
}

// Copy writes all trailers to w, each piece held against its digest.  It fails with
// ErrChanged if the chain was replaced meanwhile, and with a *DamageError if it is
// damaged.
func (s *Snapshot) Copy(ctx context.Context, w io.Writer) error {
	v := &view{state: s.state, main: &file{f: s.main}}
	buf := make([]mcm.Trailer, pieceLen)
	for i := range s.state.pieces {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if c := checkPiece(v, i, buf); c.err != "" {
			return s.blame(ctx, i, c.err)
		}
		if _, err := w.Write(mcm.Bytes(buf[:s.state.pieceSize(i)])); err != nil {
			return err
		}
	}
	return nil
}

// blame tells a chain that is being replaced from a damaged one.  While a switch is
// under way, which its journal tells, the trailers change a moment before the state
// does.
func (s *Snapshot) blame(ctx context.Context, piece int, why string) error {
	const wait, tries = 50 * time.Millisecond, 100
	tick := time.NewTicker(wait)
	defer tick.Stop()
	for range tries {
		_, err := os.Stat(filepath.Join(s.dir, journalName))
		if s.changed() {
			return ErrChanged
		}
		if err != nil {
			return s.damage(piece, why)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return s.damage(piece, why+"; a switch to another chain was interrupted, which the next start of a node completes")
}

// changed reports whether the state is another one by now.
func (s *Snapshot) changed() bool {
	b, err := os.ReadFile(filepath.Join(s.dir, stateName))
	return err == nil && sha256.Sum256(b) != s.raw
}

func (s *Snapshot) damage(piece int, why string) error {
	return &DamageError{filepath.Join(s.dir, mainName), s.state.base.num + mcm.BlockNum(piece*pieceLen), why}
}

// Close ends the reading.
func (s *Snapshot) Close() error { return s.main.Close() }
