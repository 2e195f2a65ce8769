//go:build cuda

package driver

import (
	"errors"
	"fmt"
	"strings"

	"github.com/mumax/3/cuda/cu"
)

// Init loads the driver, which takes some tenths of a second the first time.  It
// must be called before anything else and may be called again.
func Init() error {
	err := guard("init", func() { cu.Init(0) })
	var e *Error
	if !errors.As(err, &e) || e.Code != noDevice {
		return err
	}
	// With a library its version is known even where there is no device.
	if _, verr := Version(); verr != nil {
		e.Text = "there is no libcuda.so.1: no NVIDIA driver is installed"
	} else {
		e.Text += ": the driver is installed but finds no device"
	}
	return e
}

// Version is the newest CUDA version that the driver knows, as 1000 times the
// major number and 10 times the minor one.
func Version() (v int, err error) {
	err = guard("version", func() { v = cu.Version() })
	return v, err
}

// A Device is a GPU.
type Device struct {
	Ordinal      int // its number, from 0
	Name         string
	Memory       int64 // in bytes
	Major, Minor int   // compute capability
	Processors   int   // multiprocessors
}

// String describes the device for people.
func (d Device) String() string {
	return fmt.Sprintf("%s, %.1f GiB, sm_%d%d, %d multiprocessors", d.Name, float64(d.Memory)/(1<<30), d.Major, d.Minor, d.Processors)
}

// Devices lists the GPUs that the driver gives this process.
func Devices() (devices []Device, err error) {
	err = guard("list devices", func() {
		for i := range cu.DeviceGetCount() {
			d := cu.DeviceGet(i)
			major, minor := d.ComputeCapability()
			devices = append(devices, Device{
				Ordinal: i, Name: strings.TrimSpace(d.Name()), Memory: d.TotalMem(),
				Major: major, Minor: minor, Processors: d.Attribute(cu.MULTIPROCESSOR_COUNT),
			})
		}
	})
	return devices, err
}

// blockingSync has a thread that waits for the device sleep rather than spin.
// The binding's constant of that name has another value by mistake.
const blockingSync = 4

// A Context is a device opened by this thread.
type Context struct{ ctx cu.Context }

// Open makes a context on d and gives it to the calling thread, to which the
// goroutine must be locked until Close.
func (d Device) Open() (*Context, error) {
	c := &Context{}
	return c, guard(fmt.Sprintf("open device %d", d.Ordinal), func() {
		c.ctx = cu.CtxCreate(blockingSync, cu.DeviceGet(d.Ordinal))
	})
}

// Close ends the context.  What was made from it must have been freed, unless the
// device has failed.
func (c *Context) Close() error {
	return guard("close device", func() { c.ctx.Destroy() })
}

// FreeMemory returns how many bytes of the device's memory nobody uses.
func (c *Context) FreeMemory() (free int64, err error) {
	err = guard("ask for free memory", func() { free, _ = cu.MemGetInfo() })
	return free, err
}

// A Module is device code loaded into a context.
type Module struct{ module cu.Module }

// Load loads an image: a fatbin, a cubin or PTX.  It compiles the PTX when the
// image has nothing else for the device, which takes seconds.  The binding keeps
// a copy of the image for the life of the process.
func (c *Context) Load(image string) (m Module, err error) {
	if image == "" { // the driver would read behind it
		return m, &Error{"load kernels", int(cu.ERROR_INVALID_IMAGE), "the image is empty"}
	}
	err = guard("load kernels", func() { m.module = cu.ModuleLoadData(image) })
	return m, err
}

// A Function is a kernel.
type Function struct {
	name     string
	function cu.Function
}

// Function finds the kernel of that name.
func (m Module) Function(name string) (f Function, err error) {
	f.name = name
	err = guard("find kernel "+name, func() { f.function = m.module.GetFunction(name) })
	return f, err
}
