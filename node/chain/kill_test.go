//go:build linux

package chain

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// childEnv has the test binary live the acts in a folder instead of testing: the
// folder, the number of the call of the hook at which to kill itself (0: never), and
// the size that a file may have (0: any), separated by colons.
const childEnv = "KIGO_CHAIN_CHILD"

func TestMain(m *testing.M) {
	if spec := os.Getenv(childEnv); spec != "" {
		if err := child(spec); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child lives the acts, from the one on that its first line of input says, and
// prints the number of each one that is done.
func child(spec string) error {
	parts := strings.Split(spec, ":")
	at, _ := strconv.Atoi(parts[1])
	limit, _ := strconv.ParseUint(parts[2], 10, 64)
	var from int
	if _, err := fmt.Fscan(os.Stdin, &from); err != nil {
		return err
	}
	n := 0
	s, err := Open(parts[0], Options{Now: clock, Hook: func(step string) {
		if n++; n == at {
			fmt.Println("step", step)
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		}
	}})
	if err != nil {
		return err
	}
	fmt.Println("open")
	if limit > 0 {
		// A write beyond it fails with EFBIG; Go ignores the signal.
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			return err
		}
	}
	all := acts()
	for i := from; i < len(all); i++ {
		if err := all[i].do(s); err != nil {
			return fmt.Errorf("%s: %w", all[i].name, err)
		}
		fmt.Println("done", i)
	}
	return s.Close()
}

// A life is a child process.
type life struct {
	cmd *exec.Cmd
	out *bytes.Buffer
	ran chan error
}

func start(t *testing.T, dir string, from, at int, limit uint64) *life {
	t.Helper()
	l := &life{cmd: exec.Command(os.Args[0]), out: &bytes.Buffer{}, ran: make(chan error, 1)}
	l.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s:%d:%d", childEnv, dir, at, limit))
	l.cmd.Stdin = strings.NewReader(strconv.Itoa(from))
	l.cmd.Stdout, l.cmd.Stderr = l.out, os.Stderr
	must(t, l.cmd.Start())
	go func() { l.ran <- l.cmd.Wait() }()
	return l
}

// told returns how many acts are done and the step at which the child killed itself.
func (l *life) told(t *testing.T, from int) (done int, step, failure string) {
	done = from
	for in := bufio.NewScanner(l.out); in.Scan(); {
		word, rest, _ := strings.Cut(in.Text(), " ")
		switch word {
		case "done":
			n, err := strconv.Atoi(rest)
			must(t, err)
			done = n + 1
		case "step":
			step = rest
		case "failed":
			failure = rest
		}
	}
	return done, step, failure
}

// TestSigkill kills a process at each named step, and then at random moments, and has
// the next one go on from there.
func TestSigkill(t *testing.T) {
	if testing.Short() {
		t.Skip("starts some hundred processes")
	}
	acts := acts()
	steps := map[string]bool{}
	check := func(what, dir string, done int) int {
		t.Helper()
		next := min(done, len(acts)-1)
		s := isOneOf(t, what, dir, true, before(acts, done), acts[next].after)
		must(t, s.Close())
		return done
	}
	for at := 1; ; at++ {
		dir := filepath.Join(t.TempDir(), "chain")
		l := start(t, dir, 0, at, 0)
		err := <-l.ran
		done, step, failure := l.told(t, 0)
		if failure != "" {
			t.Fatalf("step %d: %s", at, failure)
		}
		if err == nil {
			if done != len(acts) {
				t.Fatalf("%d acts done", done)
			}
			break
		}
		steps[step] = true
		check(fmt.Sprintf("killed at step %d, %q, of act %d", at, step, done), dir, done)
		l = start(t, dir, redo(t, dir, acts, done), 0, 0)
		if err := <-l.ran; err != nil {
			t.Fatalf("after a kill at step %d, %q: %v, %s", at, step, err, l.out)
		}
		onDisk(t, dir, acts[len(acts)-1].after)
		must(t, os.RemoveAll(dir))
		if testing.Short() {
			at += 6
		}
	}
	if len(steps) < 4 {
		t.Errorf("killed only at %v", steps)
	}

	rounds := 60
	if testing.Short() {
		rounds = 8
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	killed, dir, done := 0, filepath.Join(t.TempDir(), "chain"), 0
	for range rounds {
		l := start(t, dir, done, 0, 0)
		select {
		case err := <-l.ran:
			if err != nil {
				t.Fatalf("%v, %s", err, l.out)
			}
			onDisk(t, dir, acts[len(acts)-1].after)
			dir, done = filepath.Join(t.TempDir(), "chain"), 0
			continue
		case <-time.After(time.Duration(rng.IntN(60)) * time.Millisecond):
		}
		_ = l.cmd.Process.Kill() // it may just have ended
		<-l.ran
		killed++
		was := done
		if done, _, _ = l.told(t, was); done == len(acts) {
			dir, done = filepath.Join(t.TempDir(), "chain"), 0
			continue
		}
		check("killed at random", dir, done)
		done = redo(t, dir, acts, done)
	}
	if killed == 0 {
		t.Error("no process was killed")
	}
}

// redo returns the act to go on with after a kill in act n, which may be done already.
func redo(t *testing.T, dir string, acts []act, n int) int {
	t.Helper()
	if n == len(acts) || slices.Equal(before(acts, n), acts[n].after) {
		return min(n, len(acts)-1)
	}
	s := mustOpen(t, dir, Options{})
	defer s.Close()
	if tip, _ := s.Tip(); tip == tipOf(acts[n].after) {
		return min(n+1, len(acts)-1)
	}
	return n
}

// TestFileSizeLimit has the system refuse writes, as a full disk does.
func TestFileSizeLimit(t *testing.T) {
	acts := acts()
	refused := 0
	for limit := uint64(1000); limit < 500_000; limit += 36_000 {
		dir := filepath.Join(t.TempDir(), "chain")
		l := start(t, dir, 0, 0, limit)
		err := <-l.ran
		done, _, failure := l.told(t, 0)
		if err == nil {
			continue
		}
		refused++
		if !strings.Contains(failure, syscall.EFBIG.Error()) {
			t.Errorf("limit %d, act %d: %q", limit, done, failure)
		}
		must(t, isOneOf(t, fmt.Sprintf("limit %d", limit), dir, true, before(acts, done)).Close())
		l = start(t, dir, done, 0, 0)
		if err := <-l.ran; err != nil {
			t.Fatalf("after limit %d: %v, %s", limit, err, l.out)
		}
		onDisk(t, dir, acts[len(acts)-1].after)
	}
	if refused < 5 {
		t.Errorf("only %d limits were met", refused)
	}
}
