package chain

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// A disk is the folder of a Store.  All that changes it goes through here, so that
// a test can see the order of things and have each of them fail.
type disk struct {
	dir string
	// tap, unless nil, is called before each change and each open; with an error it
	// isn't made.  It is for tests.
	tap func(c change) error
	// volatile leaves out what has things reach the disk, which takes long.  It is
	// for tests that stop no machine.
	volatile bool
}

// A change is one thing done to the folder.
type change struct {
	op   op
	name string // of the file, when it was opened
	to   string // for opRename
	file *file  // unless it is opRename, opRemove or opSyncDir
	off  int64  // for opWrite, and the new size for opTruncate
	data []byte // for opWrite
}

type op int

const (
	opOpen op = iota
	opCreate
	opWrite
	opTruncate
	opSync
	opRename
	opRemove
	opSyncDir
)

// A partial error of a tap has the first n bytes of a write done before it fails.
type partial struct {
	n   int
	err error
}

func (p *partial) Error() string { return p.err.Error() }
func (p *partial) Unwrap() error { return p.err }

func (d *disk) path(name string) string { return filepath.Join(d.dir, name) }

func (d *disk) touch(c change) error {
	if d.tap == nil {
		return nil
	}
	return d.tap(c)
}

// A file is an open file of the folder.
type file struct {
	d    *disk
	name string
	f    *os.File
}

// open opens a file that exists, for reading and writing.
func (d *disk) open(name string) (*file, error) {
	out := &file{d: d, name: name}
	if err := d.touch(change{op: opOpen, name: name, file: out}); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(d.path(name), os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	out.f = f
	return out, nil
}

// create makes an empty file.  One that is there loses its content.
func (d *disk) create(name string) (*file, error) {
	out := &file{d: d, name: name}
	if err := d.touch(change{op: opCreate, name: name, file: out}); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(d.path(name), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	out.f = f
	return out, nil
}

func (f *file) ReadAt(b []byte, off int64) (int, error) { return f.f.ReadAt(b, off) }

// writeAt writes all of b.
func (f *file) writeAt(b []byte, off int64) error {
	if err := f.d.touch(change{op: opWrite, name: f.name, file: f, off: off, data: b}); err != nil {
		var p *partial
		if errors.As(err, &p) {
			_, werr := f.f.WriteAt(b[:p.n], off)
			err = errors.Join(err, werr)
		}
		return err
	}
	_, err := f.f.WriteAt(b, off)
	return err
}

func (f *file) truncate(size int64) error {
	if err := f.d.touch(change{op: opTruncate, name: f.name, file: f, off: size}); err != nil {
		return err
	}
	return f.f.Truncate(size)
}

func (f *file) sync() error {
	err := f.d.touch(change{op: opSync, name: f.name, file: f})
	if err != nil || f.d.volatile {
		return err
	}
	return f.f.Sync()
}

func (f *file) size() (int64, error) {
	st, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// close closes the file; closing nil or twice does nothing.
func (f *file) close() error {
	if f == nil {
		return nil
	}
	if err := f.f.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}

func (d *disk) rename(from, to string) error {
	if err := d.touch(change{op: opRename, name: from, to: to}); err != nil {
		return err
	}
	return os.Rename(d.path(from), d.path(to))
}

// remove removes a file, which need not be there.
func (d *disk) remove(name string) error {
	if err := d.touch(change{op: opRemove, name: name}); err != nil {
		return err
	}
	err := os.Remove(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// syncDir has the names in the folder reach the disk.
func (d *disk) syncDir() error {
	err := d.touch(change{op: opSyncDir})
	if err != nil || d.volatile {
		return err
	}
	return syncFolder(d.dir)
}

func syncFolder(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a folder can't be opened for writing there
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = f.Sync()
	return errors.Join(err, f.Close())
}

// exists reports whether there is something of that name.
func (d *disk) exists(name string) bool {
	_, err := os.Lstat(d.path(name))
	return err == nil
}

// writeNew writes a file and has its content reach the disk, its name not.
func (d *disk) writeNew(name string, b []byte) error {
	f, err := d.create(name)
	if err != nil {
		return err
	}
	if err = f.writeAt(b, 0); err == nil {
		err = f.sync()
	}
	if cerr := f.close(); err == nil {
		err = cerr
	}
	if err != nil {
		_ = d.remove(name) // the first error says more
	}
	return err
}

// replace puts b in the place of a file's content, so that a crash leaves the old
// content or the new.  renamed says of an error that it came after the new content
// got the name, so that nobody knows which of them the disk has.
func (d *disk) replace(name string, b []byte) (renamed bool, err error) {
	tmp := name + tmpExt
	if err := d.writeNew(tmp, b); err != nil {
		return false, err
	}
	if err := d.rename(tmp, name); err != nil {
		_ = d.remove(tmp) // the first error says more
		return false, err
	}
	return true, d.syncDir()
}

// tmpExt ends the name of what isn't whole yet.
const tmpExt = ".tmp"
