// Command mutate breaks the packages that decide about a trailer, one place at a
// time, and tells which of the broken ones their tests accept.
//
//	go run .ci/mutate/*.go [-every N [-from K]] [-only TEXT] [-list]
//
// It flips comparisons and their boundaries, takes out conditions, cases and
// statements, changes constants by one and swaps operators, and compiles each
// such mutant with go test -overlay, so the tree stays as it is.  A mutant that
// the tests don't notice has survived: a test is missing, or the change has no
// effect.  The latter are listed with the reason in allowed.txt.
//
// Exit code 1: a mutant survived without a reason, or a reason is no longer
// needed.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"
)

// A target is source files to break and the packages whose tests must notice,
// the quickest first.
type target struct {
	files string
	tests []string
}

var targets = []target{
	{"node/mcm/*.go", []string{"node/mcm", "node/rules", "node/pow"}},
	{"node/rules/*.go", []string{"node/rules"}},
	{"node/pow/*.go", []string{"node/pow"}},
	{"node/verify/prepare.go", []string{"node/verify"}},
	{"cpu/portable/*.go", []string{"cpu/portable"}},
}

// What a mutant may use.  A loop that no longer ends is stopped by the time, one
// that appends for ever by the memory.
const (
	compileLimit = 2 * time.Minute
	extraTime    = 5 * time.Second // over ten times what the tests take unbroken
	memoryKiB    = 4 << 20
)

type outcome uint8

const (
	killed     outcome = iota
	survived           // the tests pass
	impossible         // does not compile
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("mutate: ")
	every := flag.Int("every", 1, "run one mutant in `N`")
	from := flag.Int("from", 0, "with -every, begin with mutant `K`: another K runs others")
	only := flag.String("only", "", "run mutants whose file and function contain `TEXT`")
	list := flag.Bool("list", false, "print the mutants without running them")
	flag.Parse()
	if *every < 1 || *from < 0 {
		log.Fatalf("-every %d -from %d: want at least 1 and at least 0", *every, *from)
	}
	if err := run(*every, *from, *only, *list); err != nil {
		log.Fatal(err)
	}
}

func run(every, from int, only string, list bool) error {
	allowed, err := readAllowed(".ci/mutate/allowed.txt")
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "kigo-mutate-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)

	var jobs []job
	seen := 0
	for _, t := range targets {
		mutants, err := mutantsOf(t.files)
		if err != nil {
			return err
		}
		for _, m := range mutants {
			if seen%every == from%every && strings.Contains(m.file+" "+m.function, only) {
				jobs = append(jobs, job{m, t.tests})
			}
			seen++
		}
	}
	if list {
		for _, j := range jobs {
			fmt.Println(j.mutant)
		}
		return nil
	}
	fmt.Printf("%d mutants of %d\n", len(jobs), seen)

	limits, err := baseline(work)
	if err != nil {
		return err
	}
	outcomes, err := runAll(work, jobs, limits)
	if err != nil {
		return err
	}
	return report(jobs, outcomes, allowed, every == 1 && only == "")
}

// A job is a mutant and the packages whose tests are run against it.
type job struct {
	mutant
	tests []string
}

// baseline runs the unbroken tests, which have to pass, and returns how long a
// mutant may take in each package.
func baseline(work string) (map[string]time.Duration, error) {
	limits := map[string]time.Duration{}
	for _, t := range targets {
		for _, pkg := range t.tests {
			if limits[pkg] != 0 {
				continue
			}
			bin := filepath.Join(work, "baseline.test")
			if out, err := compile(bin, pkg, ""); err != nil {
				return nil, fmt.Errorf("%s does not compile as it is: %w\n%s", pkg, err, out)
			}
			start := time.Now()
			if out, err := test(bin, pkg, time.Minute); err != nil {
				return nil, fmt.Errorf("tests of %s fail as they are: %w\n%s", pkg, err, out)
			}
			limits[pkg] = 10*time.Since(start) + extraTime
		}
	}
	return limits, nil
}

// runAll runs the jobs, one on each core at a time.
func runAll(work string, jobs []job, limits map[string]time.Duration) ([]outcome, error) {
	outcomes := make([]outcome, len(jobs))
	errs := make([]error, len(jobs))
	next := make(chan int)
	var wg sync.WaitGroup
	for worker := range runtime.NumCPU() {
		wg.Go(func() {
			for i := range next {
				outcomes[i], errs[i] = judge(filepath.Join(work, fmt.Sprint(worker)), jobs[i], limits)
			}
		})
	}
	last := time.Now()
	for i := range jobs {
		next <- i
		if time.Since(last) > 30*time.Second {
			last = time.Now()
			fmt.Printf("%d of %d\n", i, len(jobs))
		}
	}
	close(next)
	wg.Wait()
	return outcomes, errors.Join(errs...)
}

// judge compiles and tests one mutant, with files whose names begin with prefix.
func judge(prefix string, j job, limits map[string]time.Duration) (outcome, error) {
	source, overlay, bin := prefix+".go", prefix+".json", prefix+".test"
	path, err := filepath.Abs(j.file)
	if err != nil {
		return 0, err
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{path: source}})
	if err != nil {
		return 0, err
	}
	if err := errors.Join(os.WriteFile(source, j.source(), 0o600), os.WriteFile(overlay, replace, 0o600)); err != nil {
		return 0, err
	}
	for _, pkg := range j.tests {
		if _, err := compile(bin, pkg, overlay); err != nil {
			return impossible, nil
		}
		if _, err := test(bin, pkg, limits[pkg]); err != nil {
			return killed, nil
		}
	}
	return survived, nil
}

func compile(bin, pkg, overlay string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), compileLimit)
	defer cancel()
	return exec.CommandContext(ctx, "go", "test", "-c", "-p=1", "-vet=off", "-ldflags=-s -w", "-overlay="+overlay, "-o", bin, "./"+pkg).CombinedOutput()
}

func test(bin, pkg string, limit time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit+extraTime)
	defer cancel()
	script := fmt.Sprintf("ulimit -v %d && exec %s -test.short -test.failfast -test.timeout=%v", memoryKiB, bin, limit)
	cmd := exec.CommandContext(ctx, "sh", "-c", script)
	cmd.Dir = pkg
	cmd.WaitDelay = extraTime
	return cmd.CombinedOutput()
}

// report prints the survivors that nobody has given a reason for.  After a
// complete run it also prints the reasons that no survivor needs.
func report(jobs []job, outcomes []outcome, allowed reasons, complete bool) error {
	var count [3]int
	unexplained := 0
	for i, j := range jobs {
		count[outcomes[i]]++
		if outcomes[i] == survived && !allowed.take(j.key()) {
			unexplained++
			fmt.Println("SURVIVED", j.mutant)
		}
	}
	fmt.Printf("%d killed, %d survived (%d without a reason), %d did not compile\n", count[killed], count[survived], unexplained, count[impossible])
	stale := 0
	if complete {
		for key := range allowed {
			stale++
			fmt.Printf("NOT NEEDED %s\n", key)
		}
	}
	if unexplained+stale > 0 {
		return errors.New("add a test for each survivor, or the reason to .ci/mutate/allowed.txt; take out the reasons that are not needed")
	}
	return nil
}
