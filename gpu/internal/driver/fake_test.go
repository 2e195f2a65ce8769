//go:build cuda

package driver

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/mumax/3/cuda/cu"
)

// fake skips the test unless the driver is the one of folder fake, and returns
// its device.
func fake(t *testing.T) Device {
	t.Helper()
	if err := Init(); err != nil {
		skip(t, err.Error())
	}
	devices, err := Devices()
	if err != nil {
		t.Fatal(err)
	}
	if len(devices) == 0 || !strings.Contains(devices[0].Name, "fake") {
		skip(t, "the driver is not the fake one")
	}
	return devices[0]
}

func skip(t *testing.T, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("KIGO_TEST_REQUIRE"), ","), "cuda-fake") {
		t.Fatal(why)
	}
	t.Skip(why)
}

// locked runs f with a context on d.  What f leaves in it is an error.
func locked(t *testing.T, d Device, f func(c *Context)) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c, err := d.Open()
	if err != nil {
		t.Fatal(err)
	}
	f(c)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// must fails the test when err isn't nil.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// code returns the driver's code of err, 0 for another error.
func code(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

func TestDevices(t *testing.T) {
	fake(t)
	t.Setenv("KIGO_FAKE_DEVICES", "3")
	t.Setenv("KIGO_FAKE_MEMORY", "1073741824")
	devices, err := Devices()
	must(t, err)
	if len(devices) != 3 {
		t.Fatalf("got %d devices, want 3", len(devices))
	}
	for i, d := range devices {
		want := Device{Ordinal: i, Name: "Kigo fake GPU", Memory: 1 << 30, Major: 9, Processors: 1}
		if d != want || d.String() != "Kigo fake GPU, 1.0 GiB, sm_90, 1 multiprocessors" {
			t.Errorf("got %+v (%v), want %+v", d, d, want)
		}
	}
	t.Setenv("KIGO_FAKE_DEVICES", "0")
	if err := Init(); code(err) != noDevice || !strings.Contains(err.Error(), "finds no device") {
		t.Errorf("got error %v, want that there is no device", err)
	}
	t.Setenv("KIGO_FAKE_DEVICES", "1")
	must(t, Init())
}

func TestCopies(t *testing.T) {
	locked(t, fake(t), func(c *Context) {
		const n = 1000
		free, err := c.FreeMemory()
		must(t, err)
		s, err := c.NewStream()
		must(t, err)
		m, err := c.Alloc(n)
		must(t, err)
		left, err := c.FreeMemory()
		must(t, err)
		if left != free-n {
			t.Errorf("%d bytes are free, want %d", left, free-n)
		}
		in, err := c.AllocPinned(n)
		must(t, err)
		out, err := c.AllocPinned(n)
		must(t, err)
		for i := range in {
			in[i] = byte(i * 7)
		}
		must(t, s.Fill(m, 0))
		must(t, s.Upload(m, in, n/2))
		must(t, s.Download(out, m, n))
		must(t, s.Synchronize())
		if !bytes.Equal(out[:n/2], in[:n/2]) || !bytes.Equal(out[n/2:], make([]byte, n/2)) {
			t.Errorf("got %x, want half a copy and half zeros", out)
		}
		for _, f := range []func(){
			func() { s.Upload(m, append(in, 0), n+1) },
			func() { s.Upload(m, in[:5], n) },
			func() { m.Arg(n + 1) },
			func() { s.Download(out, m, -1) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Error("no panic beside the memory")
					}
				}()
				f()
			}()
		}
		// Memory that isn't pinned, or not in one piece, is the driver's to refuse.
		if err := s.Upload(m, make([]byte, n), n); code(err) != 1 {
			t.Errorf("unpinned: got error %v, want code 1", err)
		}
		must(t, in.Free())
		must(t, out.Free())
		must(t, m.Free())
		must(t, s.Free())
		must(t, in.Free()) // again
		must(t, s.Free())
	})
}

func TestContextBelongsToThread(t *testing.T) {
	locked(t, fake(t), func(c *Context) {
		other := make(chan error)
		go func() {
			runtime.LockOSThread() // and ends with its thread
			_, err := c.Alloc(1)
			other <- err
		}()
		if err := <-other; code(err) != 201 {
			t.Errorf("from another thread: got error %v, want code 201", err)
		}
	})
}

func TestLeakIsSeen(t *testing.T) {
	d := fake(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	c, err := d.Open()
	must(t, err)
	_, err = c.Alloc(1)
	must(t, err)
	if err := c.Close(); err == nil {
		t.Error("the fake driver lets memory be left behind")
	}
}

func TestLaunchesAreChecked(t *testing.T) {
	locked(t, fake(t), func(c *Context) {
		if _, err := c.Load(""); code(err) != 200 {
			t.Errorf("empty image: got error %v, want code 200", err)
		}
		module, err := c.Load("an image\x00with a zero")
		must(t, err)
		if _, err := module.Function("nonesuch"); code(err) != 500 || !strings.Contains(err.Error(), "nonesuch") {
			t.Errorf("unknown kernel: got error %v, want code 500 and the name", err)
		}
		f, err := module.Function("kigo_final")
		must(t, err)
		s, err := c.NewStream()
		must(t, err)
		m, err := c.Alloc(4 * 288)
		must(t, err)
		out, err := c.Alloc(32)
		must(t, err)
		must(t, s.Fill(m, 0))
		must(t, s.Launch(f, 1, 256, m.Arg(0), out.Arg(0), 1))
		must(t, s.Synchronize())
		for name, launch := range map[string]func() error{
			"two trailers in memory for one": func() error { return s.Launch(f, 1, 256, m.Arg(0), out.Arg(0), 2) },
			"behind the memory":              func() error { return s.Launch(f, 1, 256, m.Arg(4), out.Arg(0), 1) },
			"not aligned":                    func() error { return s.Launch(f, 1, 256, m.Arg(0), out.Arg(1), 0) },
			"no blocks":                      func() error { return s.Launch(f, 0, 256, m.Arg(0), out.Arg(0), 1) },
			"other threads":                  func() error { return s.Launch(f, 1, 128, m.Arg(0), out.Arg(0), 1) },
		} {
			if err := launch(); code(err) != 1 {
				t.Errorf("%s: got error %v, want code 1", name, err)
			}
		}
		must(t, m.Free())
		must(t, out.Free())
		must(t, s.Free())
	})
}

// TestMissingFunction calls what the fake driver doesn't have, as an old driver
// may not.
func TestMissingFunction(t *testing.T) {
	fake(t)
	if err := guard("copy", func() { cu.Memcpy(0, 0, 0) }); code(err) != 500 {
		t.Errorf("got error %v, want code 500", err)
	}
}

func TestFaults(t *testing.T) {
	d := fake(t)
	t.Run("out of memory", func(t *testing.T) {
		t.Setenv("KIGO_FAKE_OOM", "3") // the context is the first
		locked(t, d, func(c *Context) {
			for i := range 3 {
				m, err := c.Alloc(8)
				var e *Error
				if i == 1 && (!errors.As(err, &e) || !e.OutOfMemory()) || i != 1 && err != nil {
					t.Errorf("allocation %d: got error %v", i, err)
				}
				must(t, m.Free())
			}
		})
	})
	t.Run("death", func(t *testing.T) {
		t.Setenv("KIGO_FAKE_DIE", "3")
		locked(t, d, func(c *Context) {
			for i := range 5 {
				if _, err := c.Alloc(8); (err != nil) != (i >= 2) {
					t.Errorf("call %d: got error %v", i, err)
				}
			}
		})
		if _, err := d.Open(); code(err) != 999 {
			t.Errorf("opened again: got error %v, want code 999", err)
		}
		must(t, Init())
	})
}
