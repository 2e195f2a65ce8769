//go:build cgo && amd64 && !windows && !purego

package avx512

// Newer flags come later, so -O3 wins over cgo's own.  -std=c11, unlike GCC's
// default, forbids the contraction of products and sums.

/*
#cgo CFLAGS: -std=c11 -O3 -Wall -Wextra -mtune=icelake-server
#cgo CFLAGS: -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vbmi -mavx512vbmi2 -mavx512vnni
#cgo noescape kigo_avx512_hash
#cgo nocallback kigo_avx512_hash
#include "avx512.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"strings"
	"unsafe"

	"github.com/klauspost/cpuid/v2"

	"kigo/node/mcm"
)

// The two sides agree on the shape.
var (
	_ [Lanes]struct{} = [C.KIGO_AVX512_LANES]struct{}{}
	_ [Chunk]struct{} = [C.KIGO_AVX512_CHUNK]struct{}{}
)

// required is what the C code is compiled for.
var required = []cpuid.FeatureID{
	cpuid.AVX512F, cpuid.AVX512BW, cpuid.AVX512DQ, cpuid.AVX512VL,
	cpuid.AVX512VBMI, cpuid.AVX512VBMI2, cpuid.AVX512VNNI, cpuid.POPCNT,
}

// Supported reports whether the processor has all that the C code needs and the
// system keeps the registers, and if not, what is missing.
func Supported() (ok bool, reason string) {
	var missing []string
	for _, f := range required {
		if !cpuid.CPU.Supports(f) {
			missing = append(missing, f.String())
		}
	}
	if len(missing) > 0 {
		return false, "processor or system without " + strings.Join(missing, ", ")
	}
	return true, ""
}

// A Kernel computes Peach hashes on one core.  It serves one goroutine at a time
// and holds 2 MB of scratch memory.
type Kernel struct {
	memory  []byte // what scratch points into
	scratch *C.struct_kigo_avx512_scratch
}

// New returns a Kernel.  It panics where Supported is false.
func New() *Kernel {
	if ok, reason := Supported(); !ok {
		panic("avx512: " + reason)
	}
	k := &Kernel{memory: make([]byte, C.sizeof_struct_kigo_avx512_scratch+C.KIGO_AVX512_ALIGN)}
	base := unsafe.Pointer(unsafe.SliceData(k.memory))
	skip := -uintptr(base) % C.KIGO_AVX512_ALIGN
	k.scratch = (*C.struct_kigo_avx512_scratch)(unsafe.Add(base, skip))
	return k
}

// Hash stores the final Peach hash of batch[i] in dst[i]; the slices have the
// same length, at most Chunk.  It doesn't look at the nonces' syntax
// (docs/spec/pow.md section 9.7).
func (k *Kernel) Hash(dst []mcm.Hash, batch []mcm.Trailer) {
	n := len(batch)
	if len(dst) != n || n > Chunk {
		panic(fmt.Sprintf("avx512: %d hashes for %d trailers, want as many and at most %d", len(dst), n, Chunk))
	}
	if n == 0 {
		return
	}
	C.kigo_avx512_hash(
		(*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(dst))),
		(*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(batch))),
		C.uint32_t(n), k.scratch)
	runtime.KeepAlive(k)
}
