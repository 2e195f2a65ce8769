//go:build cgo && amd64 && !windows && !purego

package avx2

// Newer flags come later, so -O3 wins over cgo's own.  Products and sums can't
// be contracted: the C code is compiled without FMA, and -std=c11, unlike GCC's
// default, forbids it.

/*
#cgo CFLAGS: -std=c11 -O3 -mavx2 -Wall -Wextra
#cgo noescape kigo_avx2_peach
#cgo nocallback kigo_avx2_peach
#include "peach.h"
*/
import "C"

import (
	"fmt"
	"unsafe"

	"github.com/klauspost/cpuid/v2"

	"kigo/node/mcm"
)

// The two sides agree on the chunk.
var _ [Chunk]struct{} = [C.KIGO_AVX2_CHUNK]struct{}{}

// Supported reports whether the processor has AVX2 and the system keeps its
// registers, and if not, what is missing.
func Supported() (ok bool, reason string) {
	if !cpuid.CPU.Supports(cpuid.AVX2) {
		return false, "processor or system without AVX2"
	}
	return true, ""
}

// A Kernel computes Peach hashes on one core.  It serves one goroutine at a time
// and holds 0.6 MB of scratch memory.
type Kernel struct {
	scratch []byte
}

// New returns a Kernel.  It panics where Supported is false.
func New() *Kernel {
	if ok, reason := Supported(); !ok {
		panic("avx2: " + reason)
	}
	return &Kernel{make([]byte, C.KIGO_AVX2_SCRATCH)}
}

// Hash stores the final Peach hash of batch[i] in dst[i]; the slices have the
// same length, at most Chunk.  It doesn't look at the nonces' syntax
// (docs/spec/pow.md section 9.7).
func (k *Kernel) Hash(dst []mcm.Hash, batch []mcm.Trailer) {
	n := len(batch)
	if len(dst) != n || n > Chunk {
		panic(fmt.Sprintf("avx2: %d hashes for %d trailers, want as many and at most %d", len(dst), n, Chunk))
	}
	if n == 0 {
		return
	}
	C.kigo_avx2_peach(
		(*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(dst))),
		(*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(batch))),
		C.uint32_t(n),
		(*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(k.scratch))))
}
