package chain

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"kigo/node/mcm"
	"kigo/node/proof"
)

// Names in the folder.
const (
	mainName     = "tfile.dat"
	stateName    = "chain.state"
	newStateName = "chain.state.new"
	journalName  = "chain.switch"
	sourceName   = "switch.dat" // of Replace
	importName   = "import.dat" // of Import
	provenName   = "import.proven"
	lockName     = "chain.lock"
)

// Options tell Open what to keep and where to tell of it.
type Options struct {
	// Base is the block at which the chain begins, from its number, hash and
	// weight; zero means the genesis block.
	Base proof.Anchor
	// Floor is a block that Import never gives up; nil: none.
	Floor *proof.Anchor
	// Now is the clock for the names of what is set aside; nil means time.Now.
	Now     func() time.Time
	Log     *slog.Logger // nil: silent
	Metrics *Metrics     // nil: counts unseen
	// Hook, unless nil, is called at each of Steps, between one change on the disk
	// and the next.  It is for tests that stop there.
	Hook func(step string)
}

var (
	// ErrChanged says that the own chain was replaced below what was still to be
	// read.
	ErrChanged = errors.New("chain: the chain has changed meanwhile")
	// ErrRoom says that stagings have reached their number or size.
	ErrRoom = errors.New("chain: no room for more trailers of other branches")
	// ErrClosed says that a Store or a Staging was closed, or adopted.
	ErrClosed = errors.New("chain: closed")

	errLocked = errors.New("locked")
)

// A LockedError says that another process has the folder.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("the chain in %s is in use by another kigo: stop that one, or give this one another data folder", e.Dir)
}

// A BaseError says that the folder holds a chain that begins elsewhere.
type BaseError struct {
	Dir        string
	have, want base
}

func (e *BaseError) Error() string {
	return fmt.Sprintf("the chain in %s begins at %v, and the configured one at %v: give it another data folder, or move %s and %s away", e.Dir, e.have, e.want, mainName, stateName)
}

// A DamageError says that trailers of the own chain aren't what they were.  The
// next Open repairs it.
type DamageError struct {
	Path   string
	First  mcm.BlockNum
	Detail string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s is damaged from block %v on or right after: %s", e.Path, e.First, e.Detail)
}

// A Store is the own chain.  It is safe for concurrent use.
type Store struct {
	dir     string
	disk    *disk
	base    base
	floor   *proof.Anchor // or nil
	now     func() time.Time
	log     *slog.Logger
	metrics *Metrics
	hook    func(string)
	lock    *os.File

	noticed sync.Mutex
	notices []string

	// change is held by whoever changes the chain.  It comes before mu and before
	// that of a Staging.
	change    sync.Mutex
	undone    *switching // decided but not all done
	uncertain bool       // nobody knows whether the disk has the state of the view
	closed    bool

	mu      sync.RWMutex
	view    *view // nil once closed
	readers map[*reader]struct{}

	cache cache
	shelf shelf // the stagings

	importing sync.Mutex // held by Import; before change

	stop    chan struct{} // closed to end the goroutine that syncs stagings
	syncing sync.WaitGroup
}

// Open opens the chain in a folder, which is made if there is none, for this
// process alone: the error is a *LockedError while another one has it, and a
// *BaseError if the chain begins elsewhere.  It completes a switch that was
// decided and drops one that wasn't, holds every trailer against its digest, and
// mends what is damaged; Notices says what it did.
func Open(dir string, o Options) (*Store, error) {
	return open(dir, o, nil)
}

// open is Open with something done to the disk first, for tests.
func open(dir string, o Options, with func(*disk)) (*Store, error) {
	if err := makeFolder(dir); err != nil {
		return nil, err
	}
	l, err := lock(filepath.Join(dir, lockName))
	if errors.Is(err, errLocked) {
		return nil, &LockedError{dir}
	}
	if err != nil {
		return nil, err
	}
	s := newStore(dir, o)
	if with != nil {
		with(s.disk)
	}
	s.lock = l
	if err := s.load(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if with == nil { // what a test counts comes from one goroutine
		s.start()
	}
	return s, nil
}

// makeFolder makes a folder, whose name reaches the disk, if there is none.
func makeFolder(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

func newStore(dir string, o Options) *Store {
	s := &Store{
		dir: dir, disk: &disk{dir: dir}, base: baseOf(o.Base), floor: o.Floor,
		now: o.Now, log: o.Log, metrics: o.Metrics, hook: o.Hook,
		readers: map[*reader]struct{}{}, stop: make(chan struct{}),
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if s.metrics == nil {
		s.metrics = NewMetrics(nil)
	}
	if s.hook == nil {
		s.hook = func(string) {}
	}
	s.shelf.store = s
	return s
}

// Notices returns what was found damaged when the folder or its stagings were
// opened, and what became of it.
func (s *Store) Notices() []string {
	s.noticed.Lock()
	defer s.noticed.Unlock()
	return slices.Clone(s.notices)
}

func (s *Store) notice(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.noticed.Lock()
	s.notices = append(s.notices, text)
	s.noticed.Unlock()
	s.log.Warn("own chain mended", "folder", s.dir, "what", text)
}

// Close syncs and closes all files, those of stagings too.  A second Close does
// nothing.
func (s *Store) Close() error {
	s.change.Lock()
	defer s.change.Unlock()
	if s.closed {
		return nil
	}
	var err error
	if s.view != nil {
		err = s.settle()
	}
	s.closed = true
	close(s.stop)
	s.syncing.Wait()
	err = errors.Join(err, s.shelf.closeAll())
	s.mu.Lock()
	if s.view != nil {
		err = errors.Join(err, s.view.main.close(), s.view.upper.close())
		s.view = nil
	}
	if s.undone != nil {
		err = errors.Join(err, s.undone.source.close(), s.undone.former.close())
	}
	s.mu.Unlock()
	return errors.Join(err, s.lock.Close())
}

// Tip returns the own tip; false while the chain is empty.
func (s *Store) Tip() (Tip, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.view == nil {
		return Tip{}, false
	}
	return s.view.tip, s.view.count > 0
}

// Pending returns the first and the last block of the span whose work is still to
// be checked; false if there is none.
func (s *Store) Pending() (from, to mcm.BlockNum, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.view == nil || s.view.pending.Count == 0 {
		return 0, 0, false
	}
	return s.view.pending.First, s.view.pending.end() - 1, true
}

// publish makes v what readers see.  What was at from and above is no longer.
// The caller holds change.
func (s *Store) publish(v *view, from int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.view = v
	for r := range s.readers {
		if from < r.end {
			r.changed = true
		}
	}
	s.metrics.show(v.state)
}

// setAside renames a file so that it is in nobody's way, and returns its new name.
func (s *Store) setAside(name string) (string, error) {
	to := s.spare(name)
	if err := s.disk.rename(name, to); err != nil {
		return "", err
	}
	return to, s.disk.syncDir()
}

// spare returns a free name for what was damaged in a file.
func (s *Store) spare(name string) string {
	plain := name + ".damaged-" + s.now().UTC().Format("20060102T150405Z")
	for to, i := plain, 2; ; i++ {
		if !s.disk.exists(to) {
			return to
		}
		to = fmt.Sprintf("%s-%d", plain, i)
	}
}
