package tfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
)

// WriteFile has fill write the file at path so that a crash, a full disk or an
// error leaves the old content or the new, never a part: a new file in the same
// folder, fsync, rename, fsync of the folder.  On an error, fill's comes back as
// it is, the new file is removed.  An old file keeps its permissions, a new one
// gets 0644 less the umask.  A symbolic link stays and what it points to is
// written.  What is no regular file, such as a pipe or a terminal, can't be
// replaced and is written to directly.  w is buffered.
func WriteFile(path string, fill func(w io.Writer) error) error {
	perm, old := fs.FileMode(0o644), false
	switch st, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case st.IsDir():
		return fmt.Errorf("%s is a folder, expected a file", path)
	case !st.Mode().IsRegular():
		return writeDirectly(path, fill)
	default:
		perm, old = st.Mode().Perm(), true
	}
	path, err := target(path)
	if err != nil {
		return err
	}
	// Not os.CreateTemp: that knows no umask.
	f, err := os.OpenFile(fmt.Sprintf("%s.tmp%016x", path, rand.Uint64()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	if err = fillFile(f, fill); err == nil && old {
		err = f.Chmod(perm) // the umask may have taken some away
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name()) // the first error says more
		return err
	}
	return syncDir(folder(path))
}

func fillFile(f *os.File, fill func(w io.Writer) error) error {
	w := bufio.NewWriterSize(f, 64<<10)
	if err := fill(w); err != nil {
		return err
	}
	return w.Flush()
}

func writeDirectly(path string, fill func(w io.Writer) error) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	err = fillFile(f, fill)
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// target returns what path is a symbolic link to, or path.  The last one of a
// row of links need not exist.
func target(path string) (string, error) {
	const maxLinks = 40 // as in Linux
	for range maxLinks {
		to, err := os.Readlink(path)
		if err != nil {
			return path, nil // no link
		}
		if !filepath.IsAbs(to) {
			to = folder(path) + to
		}
		path = to
	}
	return "", fmt.Errorf("%s: too many symbolic links", path)
}

// folder returns path up to its last separator.  Unlike filepath.Dir it leaves ".."
// in place, which behind a linked folder isn't what it seems by name.
func folder(path string) string {
	dir, _ := filepath.Split(path)
	return dir
}

// syncDir has the names in a folder reach the disk.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // there a folder can only be opened for reading, and Sync needs writing
	}
	d, err := os.Open(dir + ".") // of no path too
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}
