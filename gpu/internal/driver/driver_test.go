//go:build cuda

package driver

import (
	"debug/elf"
	"errors"
	"os"
	"slices"
	"testing"

	"github.com/mumax/3/cuda/cu"
)

func TestGuard(t *testing.T) {
	if err := guard("nothing", func() {}); err != nil {
		t.Errorf("no panic: got error %v", err)
	}
	cases := []struct {
		result cu.Result
		text   string
		memory bool
	}{
		{2, "cuda: try: CUDA_ERROR_OUT_OF_MEMORY (2)", true},
		{719, "cuda: try: CUDA_ERROR_LAUNCH_FAILED (719)", false},
		{222, "cuda: try: CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the driver is older than the kernels (222)", false},
		{12345, "cuda: try: Unknown CUresult: 12345 (12345)", false},
	}
	for _, c := range cases {
		err := guard("try", func() { panic(c.result) })
		var e *Error
		if !errors.As(err, &e) || e.Code != int(c.result) || e.Op != "try" || e.OutOfMemory() != c.memory || err.Error() != c.text {
			t.Errorf("code %d: got error %v, want %q", c.result, err, c.text)
		}
	}
	func() {
		defer func() {
			if recover() != "other" {
				t.Error("a panic that isn't the driver's doesn't pass")
			}
		}()
		guard("try", func() { panic("other") })
	}()
}

// TestInitSaysWhy holds on any machine: Init works, or tells in a typed error why
// there is no device.
func TestInitSaysWhy(t *testing.T) {
	err := Init()
	if err == nil {
		devices, err := Devices()
		t.Logf("devices %v, error %v", devices, err)
		if err != nil {
			t.Error(err)
		}
		return
	}
	t.Log(err)
	var e *Error
	if !errors.As(err, &e) || e.Op != "init" || e.Code == 0 || e.Text == "" {
		t.Errorf("got error %#v, want an *Error", err)
	}
}

// TestStartsWithoutDriver looks whether the loader of a machine without a driver
// would start this program: it was linked with shim's libcuda.a.
func TestStartsWithoutDriver(t *testing.T) {
	name, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(name)
	if err != nil {
		t.Skip(err) // another system
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if err != nil || slices.Contains(libraries, "libcuda.so.1") {
		t.Errorf("needs the libraries %v, error %v, want none of CUDA; build as shim/Makefile says", libraries, err)
	}
}
