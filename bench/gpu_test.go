//go:build cuda && unix

package bench

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kigo/kernels"
	"kigo/node/verify/verifytest"
)

// TestGPUScript rehearses gpu.sh, as it runs on a machine with a GPU: with the
// programs beside it, on the fake driver, in sizes that this can do.  The figures
// mean nothing.
func TestGPUScript(t *testing.T) {
	faked := strings.HasSuffix(os.Getenv("LD_LIBRARY_PATH"), "bin/cuda/fake")
	verifytest.Require(t, "cuda-fake", faked, "the driver is not the fake one (make fakegpu)")
	image, err := kernels.Image()
	verifytest.Require(t, "kernels", err == nil, "built without device code")
	bundle, out := t.TempDir(), t.TempDir()
	run := func(dir, name string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Dir = dir
		// A thousandth of what a GPU is given, and less.  The first 17,185 blocks
		// of a file need no GPU.
		cmd.Env = append(os.Environ(), "OUT="+out, "BATCHES=32,256", "BATCH=256", "RANDOM_TRAILERS=300", "FILE_TRAILERS=17500", "LEAST=1ms", "LIMIT=200", "SHORT=1")
		b, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, b)
		}
		return string(b)
	}
	run(".", "go", "build", "-tags", "cuda", "-o", filepath.Join(bundle, "kigo"), "../cmd/kigo")
	run(".", "go", "test", "-tags", "cuda", "-c", "-o", filepath.Join(bundle, "gpu.test"), "../gpu")
	run(".", "cp", "gpu.sh", bundle)
	if err := os.Mkdir(filepath.Join(bundle, "images"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"t256-b3", "t128-b4"} { // the fake driver refuses blocks of 128
		if err := os.WriteFile(filepath.Join(bundle, "images", name+".fatbin"), []byte(image), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	sections := []string{} // all
	if testing.Short() {   // conformance is tested elsewhere
		sections = []string{"devices", "vectors", "random", "batches", "kernels", "yardstick", "variants", "file"}
	}
	log := run(bundle, "./gpu.sh", sections...)
	for _, want := range []string{
		"all is well", "cuda:0 image t256-b3", "image t128-b4: ", "times as fast as the yardstick", "kernel row of md2",
		"300 random trailers, cuda:0", "verify, cuda: 17500 trailers", "cuda:0 streams 3", "ENGINE",
	} {
		if !strings.Contains(log, want) {
			t.Errorf("nothing says %q", want)
		}
	}
	if t.Failed() {
		t.Log(log)
	}
	// Sections can be run one by one, and come to one result.
	again := run(bundle, "./gpu.sh", "devices")
	if !strings.Contains(again, "kernel row of md2") || !strings.Contains(again, "1.00") {
		t.Errorf("the result of the first run is lost:\n%s", again)
	}
	if out, err := exec.Command(filepath.Join(bundle, "gpu.sh"), "nonesuch").CombinedOutput(); err == nil || !strings.Contains(string(out), "no section nonesuch") {
		t.Errorf("a section that isn't there: got %v and %s", err, out)
	}
}
