//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !openbsd && !windows

package chain

import "os"

// lock opens path.  There is no lock here that ends with the process, so nothing
// keeps two of them apart.
func lock(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
}
