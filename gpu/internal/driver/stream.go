//go:build cuda

package driver

import (
	"fmt"
	"unsafe"

	"github.com/mumax/3/cuda/cu"
)

// A Memory is a stretch of device memory.
type Memory struct {
	p     cu.DevicePtr
	bytes int64
}

// Alloc takes device memory, whose contents are anything.
func (c *Context) Alloc(bytes int64) (m Memory, err error) {
	err = guard(fmt.Sprintf("allocate %d bytes", bytes), func() { m = Memory{cu.MemAlloc(bytes), bytes} })
	return m, err
}

// Free gives the memory back.  The zero Memory needs none.
func (m *Memory) Free() error {
	p := m.p
	*m = Memory{}
	return guard("free memory", func() { p.Free() })
}

// Bytes returns how large the memory is.
func (m Memory) Bytes() int64 { return m.bytes }

// Arg is the address of byte at of m, as an argument for a kernel.
func (m Memory) Arg(at int64) uint64 {
	within(m.bytes, at, 0)
	return uint64(m.p) + uint64(at)
}

// within panics unless there are n bytes from at on in a memory of size bytes.
func within(size, at, n int64) {
	if at < 0 || n < 0 || at > size || n > size-at {
		panic(fmt.Sprintf("driver: bytes %d to %d of a memory of %d", at, at+n, size))
	}
}

// Pinned is host memory that the device can copy from and to by itself.
type Pinned []byte

// AllocPinned takes host memory, whose contents are anything.
func (c *Context) AllocPinned(bytes int64) (p Pinned, err error) {
	err = guard(fmt.Sprintf("allocate %d pinned bytes", bytes), func() {
		p = unsafe.Slice((*byte)(cu.MemAllocHost(bytes)), bytes)
	})
	return p, err
}

// Free gives the memory back.  A nil Pinned needs none.
func (p *Pinned) Free() error {
	b := *p
	*p = nil
	if b == nil {
		return nil
	}
	return guard("free pinned memory", func() { cu.MemFreeHost(unsafe.Pointer(unsafe.SliceData(b))) })
}

// A Stream is a queue of work for the device.
type Stream struct{ stream cu.Stream }

// NewStream makes a stream.
func (c *Context) NewStream() (s Stream, err error) {
	err = guard("create stream", func() { s.stream = cu.StreamCreate() })
	return s, err
}

// Free waits for the stream's work and frees it.  The zero Stream needs none.
func (s *Stream) Free() error {
	if s.stream == 0 {
		return nil
	}
	return guard("destroy stream", func() {
		s.stream.Synchronize()
		s.stream.Destroy()
	})
}

// Synchronize waits until all is done, and returns what went wrong in any of it.
func (s Stream) Synchronize() error {
	return guard("wait for the device", s.stream.Synchronize)
}

// Upload copies the first n bytes of from to to.  They may not change until the
// stream has come that far.
func (s Stream) Upload(to Memory, from Pinned, n int64) error {
	within(to.bytes, 0, n)
	within(int64(len(from)), 0, n)
	return guard("copy to the device", func() {
		cu.MemcpyHtoDAsync(to.p, unsafe.Pointer(unsafe.SliceData(from)), n, s.stream)
	})
}

// Download copies the first n bytes of from to to, which has them when the stream
// has come that far.
func (s Stream) Download(to Pinned, from Memory, n int64) error {
	within(from.bytes, 0, n)
	within(int64(len(to)), 0, n)
	return guard("copy from the device", func() {
		cu.MemcpyDtoHAsync(unsafe.Pointer(unsafe.SliceData(to)), from.p, n, s.stream)
	})
}

// Fill sets all bytes of m to value.
func (s Stream) Fill(m Memory, value byte) error {
	return guard("fill memory", func() { cu.MemsetD8Async(m.p, value, m.bytes, s.stream) })
}

// Launch runs f with so many blocks of so many threads.  Arguments are in cells of
// 64 bits each, of which a kernel with smaller parameters reads the lower part.
func (s Stream) Launch(f Function, blocks, threads int, args ...uint64) error {
	params := make([]unsafe.Pointer, len(args))
	for i := range args {
		params[i] = unsafe.Pointer(&args[i])
	}
	return guard("launch "+f.name, func() {
		cu.LaunchKernel(f.function, blocks, 1, 1, threads, 1, 1, 0, s.stream, params)
	})
}
