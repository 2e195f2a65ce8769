//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"kigo/node/chaos"
	"kigo/node/mcm"
	"kigo/node/verify"
)

// childEnv has the test binary be the program itself instead of testing it, with a
// childSpec for a value.
const childEnv = "KIGO_TEST_CHILD"

// A childSpec says how a child differs from the program.
type childSpec struct {
	Log  string   // file for a line on each step and on each batch of work
	Die  bool     // by SIGKILL at the first step that isn't one of Past
	Past []string // steps
	Rate int      // trailers a second that its engines do at most; 0: as many as they can
	// FileSize is how long a file may become, until the parent raises it; 0: as long
	// as there is room.
	FileSize uint64
}

func init() {
	text := os.Getenv(childEnv)
	if text == "" {
		return
	}
	os.Unsetenv(childEnv)
	var spec childSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		panic(err)
	}
	if spec.Log != "" {
		log, err := os.OpenFile(spec.Log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			panic(err)
		}
		// A line is written at once, and what is written survives a kill.
		atStep = func(step string) {
			if die := spec.Die && !slices.Contains(spec.Past, step); die {
				fmt.Fprintf(log, "died %s\n", step)
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
				select {}
			}
			fmt.Fprintf(log, "step %s\n", step)
		}
		watchWork = func(v verify.Verifier) verify.Verifier { return &watched{v, log, spec.Rate} }
	}
	if spec.FileSize > 0 {
		// A write beyond it fails with EFBIG; Go ignores the signal.
		var l syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			panic(err)
		}
		l.Cur = spec.FileSize
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			panic(err)
		}
	}
	main()
}

// watched engines write down what they are given, before they work.
type watched struct {
	verify.Verifier
	log  io.Writer
	rate int
}

func (w *watched) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	line := []byte("work")
	for i := range batch {
		line = fmt.Appendf(line, " %d:%x", uint64(batch[i].Num()), batch[i].Hash()[:4])
	}
	if _, err := w.log.Write(append(line, '\n')); err != nil {
		return err
	}
	began := time.Now()
	if err := w.Verifier.VerifyPoW(ctx, dst, batch); err != nil || w.rate == 0 {
		return err
	}
	rest := time.NewTimer(time.Duration(len(batch))*time.Second/time.Duration(w.rate) - time.Since(began))
	defer rest.Stop()
	select {
	case <-rest.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A workLog is what one life of a child has written down.
type workLog struct {
	steps   []string
	died    string     // the step at which it killed itself; empty: it didn't
	batches [][]string // of trailers, in the order in which they were begun
	drawn   int        // trailers of the first batch when a weight was known, a sample if not all, until it is remembered
}

// has reports whether it was given a trailer.
func (w *workLog) has(id string) bool {
	return slices.ContainsFunc(w.batches, func(batch []string) bool { return slices.Contains(batch, id) })
}

func readWorkLog(t testing.TB, file string) (w workLog) {
	t.Helper()
	weighed, remembered := false, false
	for line := range strings.Lines(string(readFile(t, file))) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if rest == "sync.sampled" {
			w.drawn, remembered = 0, true
		}
		switch word {
		case "step":
			w.steps = append(w.steps, rest)
			weighed = weighed || rest == "sync.exact"
		case "died":
			w.died = rest
		case "work":
			w.batches = append(w.batches, strings.Fields(rest))
			if weighed && !remembered && w.drawn == 0 {
				w.drawn = len(w.batches[len(w.batches)-1])
			}
		}
	}
	return w
}

// A testNet is a fleet and what a node needs to know of it.
type testNet struct {
	*chaos.Fleet
	world *chaos.World
	dir   string
	more  string // settings
}

// crowd puts peers of these kinds each into a group of its own.
func crowd(kinds []string) (as []chaos.Assignment) {
	for i, kind := range kinds {
		as = append(as, chaos.Assignment{Addr: netip.AddrFrom4([4]byte{127, byte(60 + i/250), byte(1 + i%250), 1}), Kind: kind})
	}
	return as
}

// newTestNet starts peers.
func newTestNet(t testing.TB, w *chaos.World, peers []chaos.Assignment, c chaos.FleetConfig) *testNet {
	t.Helper()
	c.Peers = peers
	c.Seed, c.Late = 1, 10*time.Millisecond
	f, err := chaos.NewFleet(w, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	n := &testNet{Fleet: f, world: w, dir: t.TempDir()}
	base, err := json.Marshal(baseFile{w.Base.Num, w.Base.Hash.String(), w.Base.Weight.String(), w.Base.Time})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(n.base(), base, 0o600); err != nil {
		t.Fatal(err)
	}
	return n
}

func (n *testNet) base() string { return filepath.Join(n.dir, "base.json") }

// config writes a config file for a node and returns its name.
func (n *testNet) config(t testing.TB, engine string) string {
	t.Helper()
	var peers []string
	for _, a := range n.Peers() {
		peers = append(peers, a.Addr.String())
	}
	name := filepath.Join(n.dir, "kigo.yaml")
	text := fmt.Sprintf(`network:
  port: %d
  peers: [%s]
  private: true
  group-bits: 24
scan:
  quorum-peers: 3
  quorum-groups: 3
  retry: 100ms
verify:
  engine: [%s]
chain:
  base: %q
node:
  poll: 100ms
  stale: 3h
api:
  listen: 127.0.0.1:0
log:
  level: info
  format: json
%s`, n.Port(), strings.Join(peers, ", "), engine, n.base(), n.more)
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// A life is a kigo run in a process of its own, from its start to its end.
type life struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	err  error         // how, then

	mu   sync.Mutex
	api  string   // address of its listener, empty before it is up
	logs []string // the last lines
}

// live starts one with a config file.
func live(t testing.TB, config, dir string, spec childSpec, args ...string) *life {
	t.Helper()
	text, err := json.Marshal(spec)
	if err != nil {
		t.Fatal(err)
	}
	l := &life{done: make(chan struct{})}
	l.cmd = exec.Command(os.Args[0], append([]string{"run", "--config", config, "--data-dir", dir}, args...)...)
	l.cmd.Env = append(os.Environ(), childEnv+"="+string(text))
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l.cmd.Stdout, l.cmd.Stderr = w, w
	err = l.cmd.Start()
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	go func() { // it ends with the process, which the clean-up makes sure of
		l.read(r)
		r.Close()
		l.err = l.cmd.Wait()
		close(l.done)
	}()
	t.Cleanup(l.kill)
	return l
}

func (l *life) read(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct{ Msg, Key, Addr string }
		_ = json.Unmarshal(lines.Bytes(), &entry) // what is no JSON is only kept
		l.mu.Lock()
		if l.logs = append(l.logs, lines.Text()); len(l.logs) > 2*keptLogs {
			l.logs = append([]string(nil), l.logs[keptLogs:]...)
		}
		if entry.Msg == "listener is up" && entry.Key == "api.listen" {
			l.api = "http://" + entry.Addr
		}
		l.mu.Unlock()
	}
}

// keptLogs is how many lines there are at least to look at, if there were so many.
const keptLogs = 1000

// said returns what it has logged lately.
func (l *life) said() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.logs, "\n")
}

// lately returns the last lines of it, to be printed.
func (l *life) lately() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.logs[max(0, len(l.logs)-30):], "\n")
}

// kill ends it as a power cut ends a process, and waits for that.
func (l *life) kill() {
	_ = l.cmd.Process.Kill() // it may have ended
	<-l.done
}

// alive reports whether it hasn't ended yet.
func (l *life) alive() bool {
	select {
	case <-l.done:
		return false
	default:
		return true
	}
}

// get reads one of its pages; it fails while the listener isn't up, and when it has
// ended.
func (l *life) get(path string) ([]byte, error) {
	l.mu.Lock()
	api := l.api
	l.mu.Unlock()
	if api == "" {
		return nil, errors.New("the listener isn't up")
	}
	c := http.Client{Timeout: 10 * time.Second}
	defer c.CloseIdleConnections()
	resp, err := c.Get(api + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", path, resp.Status, b)
	}
	return b, err
}

// metric returns the value of a metric without labels; -1 when there is none.
func (l *life) metric(name string) float64 {
	b, _ := l.get("/metrics")
	for line := range strings.Lines(string(b)) {
		if text, is := strings.CutPrefix(line, name+" "); is {
			if v, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil {
				return v
			}
		}
	}
	return -1
}

// A nodeStatus is what the tests look at of /v1/status.
type nodeStatus struct {
	State, Reason string
	Tip           *struct {
		Height uint64
		Hash   string
	}
}

// status returns false when it isn't up, or has ended.
func (l *life) status() (s nodeStatus, ok bool) {
	b, err := l.get("/v1/status")
	return s, err == nil && json.Unmarshal(b, &s) == nil
}

// until looks at the status again and again, until holds returns true, and then
// returns true; false when the life has ended, at a step.
func (l *life) until(t testing.TB, what string, wait time.Duration, holds func(*nodeStatus) bool) bool {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(wait)
	for {
		s, ok := l.status()
		if ok && holds(&s) {
			return true
		}
		if time.Now().After(end) {
			t.Fatalf("%s didn't come within %v; state %s: %s\n%s", what, wait, s.State, s.Reason, l.lately())
		}
		select {
		case <-tick.C:
		case <-l.done:
			return false
		}
	}
}

// on returns a condition: the node's tip is this chain's.
func on(c *chaos.Chain) func(*nodeStatus) bool {
	hash := c.Tip().Hash.String()
	return func(s *nodeStatus) bool { return s.Tip != nil && s.Tip.Hash == hash }
}

// stop ends it as Ctrl-C does.
func (l *life) stop(t testing.TB) {
	t.Helper()
	_ = l.cmd.Process.Signal(os.Interrupt)
	select {
	case <-l.done:
	case <-time.After(30 * time.Second):
		t.Fatalf("it still runs 30 s after a signal\n%s", l.lately())
	}
	if code := l.cmd.ProcessState.ExitCode(); code != exitOK {
		t.Fatalf("exit code %d\n%s", code, l.lately())
	}
}

// setFileSize sets how long files of a running process may become.
func (l *life) setFileSize(t testing.TB, size uint64) {
	t.Helper()
	limit := syscall.Rlimit{Cur: size, Max: ^uint64(0)}
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(l.cmd.Process.Pid), syscall.RLIMIT_FSIZE, uintptr(unsafe.Pointer(&limit)), 0, 0, 0); errno != 0 {
		t.Fatal(errno)
	}
}

// inside reads a number from the process's own file in /proc, such as VmRSS in
// status, which is in kB.
func (l *life) inside(t testing.TB, name string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		if value, is := bytes.CutPrefix(line, []byte(name+":")); is {
			n, err := strconv.Atoi(string(bytes.Fields(value)[0]))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("/proc has no %s", name)
	return 0
}

// copyFolder copies the files of a folder.
func copyFolder(t testing.TB, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// replaceOnce replaces what must occur once.
func replaceOnce(t testing.TB, s, old, new string) string {
	t.Helper()
	if strings.Count(s, old) != 1 {
		t.Fatalf("%q doesn't occur once", old)
	}
	return strings.Replace(s, old, new, 1)
}
