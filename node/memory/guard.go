package memory

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"

	bolterrors "go.etcd.io/bbolt/errors"
)

// A damage is what is wrong with a file.  It never leaves the package for a file
// that can be set aside.
type damage struct {
	detail string
	fell   bool // bbolt panicked, so its locks may be held
}

func (d *damage) Error() string { return "damaged: " + d.detail }

func damagef(format string, args ...any) error { return &damage{detail: fmt.Sprintf(format, args...)} }

func isDamage(err error) bool {
	var d *damage
	return errors.As(err, &d)
}

func hasFallen(err error) bool {
	var d *damage
	return errors.As(err, &d) && d.fell
}

// guard calls fn and returns a panic of it as damage, also one that comes from
// reading memory that isn't mapped, as happens where a page points out of the
// file.  bbolt answers a damaged file that way, often with its locks held, so a
// DB that fell in a transaction isn't closed but left.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &damage{fmt.Sprint(p), true}
		}
	}()
	return fn()
}

// classify tells damage from what is our own failure to open a file.
func classify(err error) error {
	for _, is := range []error{bolterrors.ErrInvalid, bolterrors.ErrVersionMismatch, bolterrors.ErrChecksum} {
		if errors.Is(err, is) {
			return damagef("%v", err)
		}
	}
	// The one kind of damage for which bbolt has no error of its own.
	if strings.Contains(err.Error(), "file size too small") {
		return damagef("%v", err)
	}
	return err
}
