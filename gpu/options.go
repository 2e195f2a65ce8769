package gpu

import (
	"errors"
	"fmt"
)

// ErrNotBuilt says that the program has no CUDA engine.
var ErrNotBuilt = errors.New("gpu: not built: this program was built without the tag cuda")

// DefaultInFlight is how many trailers a device works on at a time when there is
// memory for them: 1.5 GB of the device and 200 MB of the host.  With less the
// slow hash functions of a step have fewer others to hide behind.
const DefaultInFlight = 1 << 20

// Options says how devices are opened.
type Options struct {
	// InFlight bounds the trailers that a device works on at a time; 0 means
	// DefaultInFlight.  A device short of memory takes fewer.
	InFlight int

	// Image is the device code to load, "" for that of package kernels.
	Image string

	// Metrics counts what the devices do; nil counts unseen.
	Metrics *Metrics

	// Use says which devices to open, by name (cuda:0); nil opens all.
	Use func(name string) bool
}

// An OpenError says why a device of the machine can't be used.
type OpenError struct {
	Device   string // cuda:0
	Detail   string // what it is, for people
	Hardware Hardware
	Err      error
}

func (e *OpenError) Error() string { return fmt.Sprintf("gpu: %s (%s): %v", e.Device, e.Detail, e.Err) }

func (e *OpenError) Unwrap() error { return e.Err }
