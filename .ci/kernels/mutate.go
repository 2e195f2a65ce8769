package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"kigo/kernels/ptx"
)

// checkLimit ends a check of code that does not end by itself.
const checkLimit = 3 * time.Minute

// checks look at a folder that has a copy of kernels/src, and return an error
// that tells what is wrong with it.
var checks = map[string]func(ctx context.Context, tests, folder string) error{
	"host": func(ctx context.Context, tests, folder string) error {
		return test(ctx, tests, folder, "^TestDeviceCode$/^vectors$")
	},
	"ptx":    func(ctx context.Context, tests, folder string) error { return test(ctx, tests, folder, "^TestPTX$") },
	"limits": checkLimits,
}

// mutate prints which check notices which mutation, of those that are wanted; i
// counts the others than those that always are.
func mutate(wanted func(i int, m *mutation) bool) error {
	work, err := os.MkdirTemp("", "kigo-kernels-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	tests := filepath.Join(work, "kernels.test")
	if out, err := exec.Command("go", "test", "-c", "-o", tests, "./kernels").CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}

	// Of unbroken code the checks must say nothing, else they prove nothing.
	var jobs []mutation
	for name := range checks {
		jobs = append(jobs, mutation{name: "(unbroken)", check: name})
	}
	others := 0
	for _, m := range mutations {
		if wanted(others, &m) {
			jobs = append(jobs, m)
		}
		if !m.always {
			others++
		}
	}
	folder := func(i int) string { return filepath.Join(work, fmt.Sprint(i)) }
	for i, m := range jobs {
		if err := m.apply(folder(i)); err != nil {
			return err
		}
	}
	found := make([]error, len(jobs))
	next := make(chan int)
	var group sync.WaitGroup
	for range runtime.NumCPU() {
		group.Go(func() {
			for i := range next {
				ctx, cancel := context.WithTimeout(context.Background(), checkLimit)
				found[i] = checks[jobs[i].check](ctx, tests, folder(i))
				cancel()
			}
		})
	}
	for i := range jobs {
		next <- i
	}
	close(next)
	group.Wait()

	fmt.Printf("%-34s %-7s %s\n", "mutation", "check", "what it found")
	bad := 0
	for i, m := range jobs {
		what := "NOTHING"
		if found[i] != nil {
			what = found[i].Error()
		}
		if expected := m.file != ""; expected != (found[i] != nil) {
			bad++
		} else if !expected {
			what = "nothing"
		}
		fmt.Printf("%-34s %-7s %s\n", m.name, m.check, what)
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d: a check is silent that should not be, or the reverse", bad, len(jobs))
	}
	return nil
}

// apply makes a folder with a copy of the sources, and the mutation in it.
func (m mutation) apply(folder string) error {
	src := filepath.Join(folder, "src")
	if err := os.CopyFS(src, os.DirFS("kernels/src")); err != nil {
		return err
	}
	if m.file == "" {
		return nil
	}
	name := filepath.Join(src, m.file)
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if n := bytes.Count(text, []byte(m.old)); n != 1 {
		return fmt.Errorf("%s: %q is %d times in %s, want once", m.name, m.old, n, m.file)
	}
	return os.WriteFile(name, bytes.Replace(text, []byte(m.old), []byte(m.new), 1), 0o600)
}

// test runs tests of package kernels in a folder.
func test(ctx context.Context, tests, folder, name string) error {
	cmd := exec.CommandContext(ctx, tests, "-test.short", "-test.run", name)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "KIGO_TEST_REQUIRE=nvcc,emulator")
	out, err := cmd.CombinedOutput()
	if err == nil {
		return nil
	}
	return errors.New(telling(string(out), err))
}

// telling returns the line of a test's output that says what is wrong.
func telling(out string, err error) string {
	line := err.Error()
	for l := range strings.Lines(out) {
		l = strings.TrimSpace(l)
		// The place in the test, and what go test says by itself.
		if place, rest, ok := strings.Cut(l, ": "); ok && strings.Contains(place, "_test.go") {
			l = rest
		}
		if l == "" || strings.HasPrefix(l, "---") || strings.HasPrefix(l, "seed ") {
			continue
		}
		line = l
		break
	}
	return line[:min(len(line), 120)]
}

// checkLimits compiles for the newest of the chips.
func checkLimits(ctx context.Context, _, folder string) error {
	nvcc := cmp.Or(os.Getenv("NVCC"), "nvcc")
	cmd := exec.CommandContext(ctx, nvcc, "-cubin", "-arch=sm_90", "-optf", "src/nvcc.flags", "-Xptxas", "-v", "-o", "image", "src/peach.cu")
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	all, err := ptx.ReadUsage(bytes.NewReader(out))
	if err != nil {
		return err
	}
	if wrong := ptx.Check(all, []string{"sm_90"}, kernels); len(wrong) > 0 {
		return errors.New(wrong[0])
	}
	return nil
}
