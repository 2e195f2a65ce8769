//go:build cuda

package kernels_test

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"kigo/kernels/ptx"
	"kigo/node/mcm"
	"kigo/node/verify/verifytest"
)

// compile has nvcc make PTX of a source file with the flags that the image is
// built with.  The instructions are the same for all chips.
func compile(t *testing.T, source string) (file, text string) {
	t.Helper()
	nvcc, err := exec.LookPath(cmp.Or(os.Getenv("NVCC"), "nvcc"))
	verifytest.Require(t, "nvcc", err == nil, "the compiled device code needs CUDA's nvcc")
	file = filepath.Join(t.TempDir(), filepath.Base(source)+".ptx")
	cmd := exec.Command(nvcc, "-ptx", "-arch=compute_75", "-optf", "src/nvcc.flags", "-o", file, source)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return file, string(b)
}

// buildPTX makes a program that runs the kernels of PTX, and compiles them side by
// side.
func buildPTX(t *testing.T, file, text string) string {
	t.Helper()
	kernels, err := ptx.Translate(filepath.Base(file), text)
	if err != nil {
		t.Fatal(err)
	}
	cxx, err := exec.LookPath("g++")
	verifytest.Require(t, "emulator", err == nil, "the compiled device code needs g++ to run without a GPU")
	folder := t.TempDir()
	flags := []string{"-std=c++17", "-ffp-contract=off", "-Isrc"}

	var group sync.WaitGroup
	var objects []string
	object := func(source string, more ...string) {
		out := filepath.Join(folder, filepath.Base(source)+".o")
		objects = append(objects, out)
		args := slices.Concat(flags, more, []string{"-c", "-o", out, source})
		group.Go(func() {
			if msg, err := exec.Command(cxx, args...).CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%.2000s", source, err, msg)
			}
		})
	}
	for _, k := range kernels {
		source := filepath.Join(folder, k.Name+".cpp")
		if err := os.WriteFile(source, []byte(k.Cpp), 0o600); err != nil {
			t.Fatal(err)
		}
		// Not optimized: for functions this long that takes longer than they run.
		object(source, "-O0", "-w")
	}
	object("src/ptx.cpp", "-O1", "-Wall", "-Wextra", "-Werror")
	if group.Wait(); t.Failed() {
		t.FailNow()
	}
	program := filepath.Join(folder, "run")
	if out, err := exec.Command(cxx, append([]string{"-o", program}, objects...)...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// TestPTX runs what nvcc makes of the kernels over the vectors, and over random
// trailers.
func TestPTX(t *testing.T) {
	file, text := compile(t, "src/peach.cu")
	runPTX(t, buildPTX(t, file, text))
}

func TestPTXSimple(t *testing.T) {
	if testing.Short() {
		t.Skip("the yardstick is not what verifies")
	}
	file, text := compile(t, "src/simple.cu")
	runPTX(t, buildPTX(t, file, text), "simple")
}

func runPTX(t *testing.T, program string, simple ...string) {
	t.Helper()
	batch, want := vectors(t)
	more, wantMore, seed := random(t, 100)
	batch, want = append(batch, more...), append(want, wantMore...)

	// Two processes with half of them each, and so another last block.
	half := len(batch) / 2
	var got [2][]mcm.Hash
	var group sync.WaitGroup
	for i, part := range [][]mcm.Trailer{batch[:half], batch[half:]} {
		group.Go(func() { got[i] = hash(t, program, seed+uint32(i), part, simple...) })
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	compare(t, fmt.Sprintf("order %d", seed), batch, append(got[0], got[1]...), want)
}
