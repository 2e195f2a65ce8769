package memory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// formatVersion is the version of the tables.  A file of another one is set
// aside.
const formatVersion = 1

// lockWait is how long Open waits for another process to let go of the file:
// enough for one that is just ending.
const lockWait = time.Second

// ErrClosed says that the DB was closed.
var ErrClosed = errors.New("memory: closed")

// ErrReadOnly says that the DB was opened for reading only.
var ErrReadOnly = errors.New("memory: open for reading only")

// A LockedError says that another process has the file open.
type LockedError struct {
	Path     string
	ReadOnly bool // we only wanted to read
}

func (e *LockedError) Error() string {
	if e.ReadOnly {
		return fmt.Sprintf("memory file %s is in use: a running kigo writes to it and lets nobody read it; ask that one, or stop it", e.Path)
	}
	return fmt.Sprintf("memory file %s is in use by another kigo: stop that one, or give this one another data folder", e.Path)
}

// A DB is an open memory.  It is safe for concurrent use.
type DB struct {
	path     string
	id       Identity
	readOnly bool
	log      *slog.Logger
	now      func() time.Time
	metrics  *Metrics

	mu   sync.Mutex
	bolt *bbolt.DB // nil when closed
	file *os.File  // that bolt has open
	err  error     // why there is no bolt
	held counts    // records in each table
}

// Open opens the memory at path, or makes a new one.  A damaged file, or one
// about another network or pin, is renamed to path with .damaged- or .foreign-
// and the time behind it, and a new one begun; a file with another rule-set
// version loses its invalid trailers.  If another process has the file and keeps
// it for about a second, the error is a *LockedError.
func Open(path string, id Identity, o Options) (*DB, error) {
	db := newDB(path, o)
	db.id = id
	if err := db.openOrReplace(); err != nil {
		return nil, err
	}
	return db, nil
}

// OpenReadOnly opens the memory at path for Evidence, EvidenceByID and Peers, and
// changes nothing.  A file that doesn't exist is an fs.ErrNotExist; while a node
// has it open, which bbolt makes exclusive, the error is a *LockedError after
// about a second.
func OpenReadOnly(path string, o Options) (*DB, error) {
	db := newDB(path, o)
	db.readOnly = true
	if err := db.open(); err != nil {
		return nil, err
	}
	return db, nil
}

func newDB(path string, o Options) *DB {
	db := &DB{path: path, log: o.Log, now: o.Now, metrics: metricsOr(o.Metrics)}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	if db.now == nil {
		db.now = time.Now
	}
	return db
}

// Close closes the file.  A second Close does nothing.
func (db *DB) Close() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.bolt == nil {
		return nil
	}
	bolt := db.bolt
	db.bolt, db.file, db.err = nil, nil, ErrClosed
	return guard(bolt.Close)
}

// A foreign is why a sound file isn't ours.
type foreign struct{ detail string }

func (f *foreign) Error() string { return "foreign: " + f.detail }

// openOrReplace opens the file, or sets it aside and begins another.
func (db *DB) openOrReplace() error {
	err := db.open()
	var f *foreign
	var why string
	switch {
	case err == nil:
		return nil
	case isDamage(err):
		why = "damaged"
	case errors.As(err, &f):
		why = "foreign"
	default:
		return err
	}
	if err := db.setAside(why, err); err != nil {
		return err
	}
	return db.open()
}

// open opens the file, looks through it and sees to its header.  On an error
// nothing is left open.
func (db *DB) open() error {
	var file *os.File
	var bolt *bbolt.DB
	err := guard(func() (err error) {
		bolt, err = bbolt.Open(db.path, 0o600, &bbolt.Options{
			Timeout:         lockWait,
			ReadOnly:        db.readOnly,
			PreLoadFreelist: true,
			FreelistType:    bbolt.FreelistMapType,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				f, err := os.OpenFile(name, flag, mode)
				file = f
				return f, err
			},
		})
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return &LockedError{db.path, db.readOnly}
	case hasFallen(err):
		_ = file.Close() // which bbolt would have done
		return db.wrap(err)
	case err != nil:
		return db.wrap(classify(err))
	}
	db.bolt, db.file, db.err = bolt, file, nil
	if err := guard(db.admit); err != nil {
		db.drop(err)
		return db.wrap(err)
	}
	for t, n := range db.held {
		db.metrics.records.WithLabelValues(table(t).String()).Set(float64(n))
	}
	return nil
}

func (db *DB) wrap(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return fmt.Errorf("memory: %w", err)
	}
	return fmt.Errorf("memory file %s: %w", db.path, err)
}

// admit checks the file, compares the header and counts the records.
func (db *DB) admit() error {
	info, err := db.file.Stat()
	if err != nil {
		return err
	}
	if err := checkPages(db.file, info.Size(), db.bolt.Info().PageSize); err != nil {
		return err
	}
	if !db.readOnly {
		if err := db.settleHeader(); err != nil {
			return err
		}
	}
	err = db.bolt.View(func(tx *bbolt.Tx) error {
		for t := range tables {
			b := tx.Bucket(t.name())
			if b == nil {
				if db.readOnly {
					continue
				}
				return damagef("no bucket %q", t.name())
			}
			db.held[t] = b.Stats().KeyN
		}
		return nil
	})
	if err != nil || db.readOnly {
		return err
	}
	return syncFolder(filepath.Dir(db.path)) // the file may be a new one
}

// The keys of the header.
var (
	headerBucket = []byte("header")
	keyFormat    = []byte("format")
	keyRules     = []byte("rules")
	keyNetwork   = []byte("network")
	keyPin       = []byte("pin")
)

// settleHeader compares the header with ours, begins a new file, and drops what
// other rules have found.  A file that is as it should be isn't written to.
func (db *DB) settleHeader() error {
	var was int64
	var isNew bool
	err := db.bolt.View(func(tx *bbolt.Tx) (err error) {
		if k, _ := tx.Cursor().First(); k == nil {
			isNew = true
			return nil
		}
		was, err = db.compareHeader(tx)
		return err
	})
	switch {
	case err != nil:
		return err
	case isNew:
		return db.bolt.Update(db.begin)
	case was != int64(db.id.Rules):
		if err := db.bolt.Update(func(tx *bbolt.Tx) error { return db.dropInvalid(tx, was) }); err != nil {
			return err
		}
	}
	return db.addWaiting()
}

// addWaiting makes the one table that came later than the others, in a file that
// was begun without it.
func (db *DB) addWaiting() error {
	missing := false
	err := db.bolt.View(func(tx *bbolt.Tx) error {
		missing = tx.Bucket(waiting.name()) == nil
		return nil
	})
	if err != nil || !missing {
		return err
	}
	return db.bolt.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(waiting.name())
		return err
	})
}

// compareHeader returns the rule-set version of a file that is ours, -1 if it has
// none.
func (db *DB) compareHeader(tx *bbolt.Tx) (rules int64, err error) {
	h := tx.Bucket(headerBucket)
	if h == nil {
		return 0, &foreign{"it has no header"}
	}
	number := func(key []byte) int64 {
		if v := h.Get(key); len(v) == 4 {
			return int64(binary.LittleEndian.Uint32(v))
		}
		return -1
	}
	switch format, network := number(keyFormat), number(keyNetwork); {
	case format != formatVersion:
		return 0, &foreign{fmt.Sprintf("format version %d, ours is %d", format, formatVersion)}
	case network != int64(db.id.Network):
		return 0, &foreign{fmt.Sprintf("network %d, ours is %d", network, db.id.Network)}
	case !bytes.Equal(h.Get(keyPin), db.id.Pin[:]):
		return 0, &foreign{"it goes with another history pin"}
	}
	return number(keyRules), nil
}

// dropInvalid empties the tables of invalid trailers, which other rules have
// judged.
func (db *DB) dropInvalid(tx *bbolt.Tx, was int64) error {
	n := 0
	if b := tx.Bucket(invalid.name()); b != nil {
		n = b.Stats().KeyN
	}
	for _, t := range []table{invalid, trailers} {
		if err := tx.DeleteBucket(t.name()); err != nil && !errors.Is(err, bolterrors.ErrBucketNotFound) {
			return err
		}
		if _, err := tx.CreateBucket(t.name()); err != nil {
			return err
		}
	}
	db.log.Warn("invalid trailers forgotten, since the rules have changed",
		"file", db.path, "records", n, "was", was, "is", db.id.Rules)
	db.metrics.dropped.WithLabelValues(invalid.String(), "rules").Add(float64(n))
	return tx.Bucket(headerBucket).Put(keyRules, binary.LittleEndian.AppendUint32(nil, uint32(db.id.Rules)))
}

// begin makes the header and the tables.
func (db *DB) begin(tx *bbolt.Tx) error {
	h, err := tx.CreateBucket(headerBucket)
	if err != nil {
		return err
	}
	u32 := func(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }
	for _, f := range []struct{ key, value []byte }{
		{keyFormat, u32(formatVersion)},
		{keyRules, u32(uint32(db.id.Rules))},
		{keyNetwork, u32(uint32(db.id.Network))},
		{keyPin, db.id.Pin[:]},
	} {
		if err := h.Put(f.key, f.value); err != nil {
			return err
		}
	}
	for t := range tables {
		if _, err := tx.CreateBucket(t.name()); err != nil {
			return err
		}
	}
	return nil
}

// drop lets go of the file after err.  A bbolt that panicked in a transaction
// might wait for ever in its Close; its file is closed under it, which frees the
// lock on the file and leaves no more than a mapping behind.
func (db *DB) drop(err error) {
	if hasFallen(err) {
		_ = db.file.Close()
	} else {
		_ = guard(db.bolt.Close)
	}
	db.bolt, db.file, db.err = nil, nil, err
}

// setAside renames the file and says so.
func (db *DB) setAside(why string, cause error) error {
	base := db.path + "." + why + "-" + db.now().UTC().Format("20060102T150405Z")
	to := base
	for i := 2; ; i++ {
		if _, err := os.Lstat(to); errors.Is(err, fs.ErrNotExist) {
			break
		} else if err != nil {
			return fmt.Errorf("memory: %w", err)
		}
		to = fmt.Sprintf("%s-%d", base, i)
	}
	if err := os.Rename(db.path, to); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	if err := syncFolder(filepath.Dir(db.path)); err != nil {
		return fmt.Errorf("memory: %w", err)
	}
	db.log.Warn("memory file set aside, a new one begun", "file", db.path, "kept_as", to, "err", cause)
	return nil
}

// syncFolder has the names in a folder reach the disk.
func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder can't be opened for writing there
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// update runs fn in a transaction.  Damage that shows itself only now has the
// file set aside, and fn runs on a new one.
func (db *DB) update(fn func(tx *bbolt.Tx) error) error {
	if db.readOnly {
		return ErrReadOnly
	}
	for try := 0; ; try++ {
		if db.bolt == nil {
			return db.err
		}
		err := guard(func() error { return db.bolt.Update(fn) })
		if !isDamage(err) || try > 0 {
			return err
		}
		if err := db.replace(err); err != nil {
			return err
		}
	}
}

// replace begins a new file after damage.
func (db *DB) replace(cause error) error {
	db.drop(cause)
	if err := db.setAside("damaged", cause); err != nil {
		return err
	}
	return db.open()
}
