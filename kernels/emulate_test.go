package kernels_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"kigo/cpu/portable"
	"kigo/node/mcm"
	"kigo/node/verify/verifytest"
)

// build compiles the device code for this machine and returns the program, which
// hashes the trailers on its stdin.
func build(t *testing.T, flags ...string) string {
	t.Helper()
	cxx, err := exec.LookPath("g++")
	verifytest.Require(t, "emulator", err == nil, "the device code needs g++ to run without a GPU")
	program := filepath.Join(t.TempDir(), "emulate")
	args := append([]string{"-std=c++17", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off", "-o", program}, flags...)
	if out, err := exec.Command(cxx, append(args, "src/emulate.cpp")...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// hash runs the program with blocks and threads in an order drawn from seed.  The
// kernels are the wavefront's, or the simple one.
func hash(t *testing.T, program string, seed uint32, batch []mcm.Trailer, simple ...string) []mcm.Hash {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute) // a broken kernel may not end
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{strconv.FormatUint(uint64(seed), 10)}, simple...)...)
	cmd.Stdin = bytes.NewReader(mcm.Bytes(batch))
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil || len(out) != len(batch)*mcm.HashLen {
		t.Errorf("%s (%v, %d bytes for %d trailers)", cmp.Or(strings.TrimSpace(problems.String()), "the program said nothing"), err, len(out), len(batch))
		return make([]mcm.Hash, len(batch))
	}
	hashes := make([]mcm.Hash, len(batch))
	for i := range hashes {
		hashes[i] = mcm.Hash(out[i*mcm.HashLen:])
	}
	return hashes
}

func compare(t *testing.T, what string, batch []mcm.Trailer, got, want []mcm.Hash) {
	t.Helper()
	wrong := 0
	for i := range want {
		if got[i] == want[i] {
			continue
		}
		if wrong++; wrong <= 3 {
			t.Errorf("%s: trailer %d of %d: got %v, want %v; trailer %x", what, i, len(want), got[i], want[i], batch[i])
		}
	}
	if wrong > 3 {
		t.Errorf("%s: %d of %d hashes are wrong", what, wrong, len(want))
	}
}

// vectors returns the golden trailers with a Peach hash.
func vectors(t *testing.T) (batch []mcm.Trailer, want []mcm.Hash) {
	for _, v := range verifytest.Vectors(t) {
		if v.Peach() && !v.NoHash {
			batch, want = append(batch, v.Trailer), append(want, v.Want.Hash)
		}
	}
	if len(batch) < 600 {
		t.Fatalf("only %d vectors", len(batch))
	}
	return batch, want
}

// random returns trailers, their hashes by the oracle, and a seed.  Their words are
// often such that floats go wrong: NaN, subnormal, huge.
func random(t *testing.T, n int) (batch []mcm.Trailer, want []mcm.Hash, seed uint32) {
	t.Helper()
	s := verifytest.Seed(t, 0)
	t.Logf("seed %d", s)
	r := rand.New(rand.NewPCG(s, 0))
	batch, want = verifytest.Trailers(r, n), make([]mcm.Hash, n)
	portable.New().Hash(want, batch)
	return batch, want, r.Uint32()
}

func TestDeviceCode(t *testing.T) {
	program := build(t, "-O2")
	all, hashes := vectors(t)

	t.Run("vectors", func(t *testing.T) {
		orders := uint32(3)
		if testing.Short() {
			orders = 1
		}
		for seed := range orders {
			compare(t, fmt.Sprintf("order %d", seed), all, hash(t, program, seed, all), hashes)
		}
	})

	// Around the size of a block, where the last one of a queue is full, has a
	// thread too few, or one too many.
	t.Run("lengths", func(t *testing.T) {
		for _, n := range []int{0, 1, 2, 7, 255, 256, 257, 511, 513} {
			compare(t, fmt.Sprintf("length %d", n), all, hash(t, program, uint32(n), all[:n]), hashes[:n])
		}
	})

	// One trailer in all places: at each step one queue holds all, the others
	// nothing.
	t.Run("one queue", func(t *testing.T) {
		for one := range 3 {
			batch, want := make([]mcm.Trailer, 300), make([]mcm.Hash, 300)
			for i := range batch {
				batch[i], want[i] = all[one], hashes[one]
			}
			compare(t, fmt.Sprintf("vector %d", one), batch, hash(t, program, 1, batch), want)
		}
	})

	t.Run("simple", func(t *testing.T) {
		compare(t, "simple", all, hash(t, program, 1, all, "simple"), hashes)
	})

	t.Run("random", func(t *testing.T) {
		n := 2000
		if testing.Short() {
			n = 300
		}
		batch, want, seed := random(t, n)
		compare(t, "random", batch, hash(t, program, seed, batch), want)
		compare(t, "simple", batch, hash(t, program, seed, batch, "simple"), want)
	})
}

// TestVariants runs what bench/gpu.sh measures beside the default.
func TestVariants(t *testing.T) {
	if testing.Short() {
		t.Skip("no program has them")
	}
	batch, want := vectors(t)
	for _, define := range []string{"-DTHREADS=128", "-DTHREADS=512", "-DMD2_BLOCKS=1", "-DMD2_BLOCKS=2"} {
		compare(t, define, batch, hash(t, build(t, "-O1", define), 1, batch), want)
	}
}

// TestDeviceCodeSanitized runs the device code where reading beside what was
// written, or an operation without a meaning, ends the program.
func TestDeviceCodeSanitized(t *testing.T) {
	program := build(t, "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
	batch, want := vectors(t)
	n := 300 // more than a block
	if testing.Short() {
		n = 60
	}
	batch, want = batch[:n], want[:n]
	compare(t, "sanitized", batch, hash(t, program, 1, batch), want)
	compare(t, "sanitized simple", batch, hash(t, program, 1, batch, "simple"), want)
}
