//go:build cuda

package driver

import (
	"fmt"

	"github.com/mumax/3/cuda/cu"
)

// Codes of the driver that callers act on.
const (
	outOfMemory = 2
	noDevice    = 100
)

// An Error is a call of the CUDA driver that failed.
type Error struct {
	Op   string // what was tried, for people
	Code int    // the driver's CUresult
	Text string // what the driver calls that, and where known what it means
}

func (e *Error) Error() string { return fmt.Sprintf("cuda: %s: %s (%d)", e.Op, e.Text, e.Code) }

// OutOfMemory reports whether the call may succeed with less memory.
func (e *Error) OutOfMemory() bool { return e.Code == outOfMemory }

// meanings explains codes that come from an unsuited machine rather than from a
// mistake of ours, and names those that the binding doesn't know.
var meanings = map[cu.Result]string{
	34:  "CUDA_ERROR_STUB_LIBRARY: the library found is the toolkit's stub, not a driver",
	46:  "CUDA_ERROR_DEVICE_UNAVAILABLE: another program has the device for itself",
	209: "CUDA_ERROR_NO_BINARY_FOR_GPU: the kernels were not built for this device",
	214: "CUDA_ERROR_ECC_UNCORRECTABLE: the device's memory is damaged",
	218: "CUDA_ERROR_INVALID_PTX: the driver can't compile the kernels for this device",
	221: "CUDA_ERROR_JIT_COMPILER_NOT_FOUND: the driver's compiler is not installed, and the kernels were not built for this device",
	222: "CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the driver is older than the kernels",
	500: "CUDA_ERROR_NOT_FOUND: the driver or the kernel image lacks a function",
	700: "CUDA_ERROR_ILLEGAL_ADDRESS",
	802: "CUDA_ERROR_SYSTEM_NOT_READY: the machine's GPU services are not started",
	803: "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH: library and kernel driver are of different versions",
	804: "CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE: the driver library doesn't support this device",
}

// guard calls f and returns what the binding panics with as an *Error.
func guard(op string, f func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case cu.Result:
			err = newError(op, r)
		default:
			panic(r)
		}
	}()
	f()
	return nil
}

func newError(op string, r cu.Result) *Error {
	text, ok := meanings[r]
	if !ok {
		text = r.String()
	}
	return &Error{op, int(r), text}
}
