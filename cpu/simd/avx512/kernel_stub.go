//go:build !cgo || !amd64 || windows || purego

package avx512

import (
	"runtime"

	"kigo/node/mcm"
)

// Supported returns false and what was missing when this program was built.
func Supported() (ok bool, reason string) {
	if runtime.GOARCH != "amd64" {
		return false, "not built: this program is for " + runtime.GOARCH + ", the engine for amd64"
	}
	if runtime.GOOS == "windows" { // GCC bug 54412
		return false, "not built: on Windows the C compiler does not align the stack for vectors"
	}
	return false, "not built: without C code (CGO_ENABLED=0 or the tag purego)"
}

// A Kernel can't be had in this build.
type Kernel struct{}

// New panics: Supported is false.
func New() *Kernel {
	_, reason := Supported()
	panic("avx512: " + reason)
}

// Hash panics: there is no Kernel.
func (*Kernel) Hash([]mcm.Hash, []mcm.Trailer) { panic("avx512: not built") }
