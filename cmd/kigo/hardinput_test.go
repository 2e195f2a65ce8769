//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"kigo/node/mcm"
)

// bound is how long a run may take, on a machine that is busy with other tests.
const bound = 20 * time.Second

// userEnv is the environment before TestMain hides the user's settings; the go
// command finds its caches with it.
var userEnv = os.Environ()

// program builds kigo once and returns where it is.  What a signal, a closed pipe
// or a full disk does to it shows only in a process of its own.
var program = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp(os.Getenv("XDG_CONFIG_HOME"), "bin-") // TestMain removes it
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "kigo")
	build := exec.Command("go", "build", "-o", path, ".")
	build.Env = userEnv
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %v\n%s", err, out)
	}
	return path, nil
})

// A process is a run of the program that may still go on.
type process struct {
	*exec.Cmd
	ctx    context.Context
	stdout bytes.Buffer // whole when the process has ended
	stderr journal
}

// A journal can be read while it is written.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}

// start prepares and starts a run with the portable engine alone, unless args say
// otherwise.
func start(t *testing.T, prepare func(*exec.Cmd), args ...string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), bound)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, path, args...), ctx: ctx}
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	p.Env = append(os.Environ(), "KIGO_VERIFY_ENGINE=portable")
	if prepare != nil {
		prepare(p.Cmd)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// end waits for the run to end by itself and looks at what it left.
func (p *process) end(t *testing.T) outcome {
	t.Helper()
	err := p.Wait()
	if p.ctx.Err() != nil {
		t.Fatalf("%q still runs after %v\nstdout: %.2000s\nstderr: %.2000s", p.Args[1:], bound, &p.stdout, &p.stderr)
	}
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	o := outcome{p.stdout.String(), p.stderr.String(), p.ProcessState.ExitCode()}
	for _, word := range []string{"panic", "goroutine", "runtime error", "nil pointer"} {
		if strings.Contains(o.stderr, word) {
			t.Fatalf("%q crashed:\n%.4000s", p.Args[1:], o.stderr)
		}
	}
	if !utf8.ValidString(o.stderr) || strings.ContainsFunc(o.stderr, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }) {
		t.Errorf("stderr is not plain text: %q", o.stderr)
	}
	if o.code != exitOK && strings.TrimSpace(o.stdout+o.stderr) == "" {
		t.Errorf("%q ended with code %d and no word", p.Args[1:], o.code)
	}
	return o
}

// spawn runs the program to its end with nothing on its standard input.
func spawn(t *testing.T, args ...string) outcome {
	t.Helper()
	return start(t, nil, args...).end(t)
}

// oneObject fails the test unless stdout holds nothing or one JSON object; it
// returns whether that calls something valid.
func (o outcome) oneObject(t *testing.T) (valid bool) {
	t.Helper()
	if o.stdout == "" {
		return false
	}
	var object map[string]any
	d := json.NewDecoder(strings.NewReader(o.stdout))
	if err := d.Decode(&object); err != nil {
		t.Fatalf("%v in %.2000s", err, o.stdout)
	}
	if err := d.Decode(new(any)); err != io.EOF {
		t.Fatalf("more than one object: %.2000s", o.stdout)
	}
	return object["valid"] == true
}

// commands are those that read trailers, with one object as output.
var commands = []struct {
	name string
	args []string
}{
	{"verify", []string{"verify", "--json"}},
	{"segment", []string{"verify", "--json", "--segment"}},
	{"no-pow", []string{"verify", "--json", "--no-pow"}},
	{"pow", []string{"pow", "--json"}},
	{"show", []string{"show", "--jsonl"}},
	{"pins", []string{"pins", "derive"}},
}

func with(args []string, more ...string) []string {
	return append(append([]string{}, args...), more...)
}

func TestHardFiles(t *testing.T) {
	start := mcm.GenesisTrailer()
	hollow := writeTemp(t, "hollow.dat", start[:])
	if err := os.Truncate(hollow, 20_000_000*mcm.TrailerLen); err != nil {
		t.Skipf("no file of 3.2 GB: %v", err)
	}
	zeros := writeTemp(t, "zeros.dat", nil)
	if err := os.Truncate(zeros, 20_000_000*mcm.TrailerLen); err != nil {
		t.Fatal(err)
	}
	uneven := writeTemp(t, "uneven.dat", start[:])
	if err := os.Truncate(uneven, 3<<30); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	all := []string{"verify", "segment", "no-pow", "pow", "show", "pins"}
	judges := []string{"verify", "no-pow", "pins"} // those that need not read all
	for _, c := range []struct {
		name, file string
		commands   []string
		code       int
		says       string
	}{
		{"empty", writeTemp(t, "empty.dat", nil), all, exitInvalid, "160"},
		{"one byte", writeTemp(t, "one.dat", []byte{1}), all, exitInvalid, "160"},
		{"161 bytes", writeTemp(t, "161.dat", append(start[:], 1)), all, exitInvalid, "160"},
		{"3 GB of nothing", zeros, append(judges, "segment"), exitInvalid, "EMCM_GENHASH"},
		{"3 GB of nothing after the genesis", hollow, judges, exitInvalid, "EMCM_PHASH"},
		{"3 GB that are no whole trailers", uneven, judges, exitInvalid, "EMCM_FILELEN"},
		{"directory", dir, all, exitUsage, dir},
		{"missing", filepath.Join(dir, "none"), all, exitUsage, filepath.Join(dir, "none")},
		{"path through a file", filepath.Join(zeros, "x"), all, exitUsage, "not a directory"},
	} {
		for _, command := range commands {
			if !slices.Contains(c.commands, command.name) {
				continue
			}
			t.Run(c.name+"/"+command.name, func(t *testing.T) {
				o := spawn(t, with(command.args, c.file)...)
				o.want(t, c.code)
				if o.oneObject(t) {
					t.Errorf("called valid: %s", o.stdout)
				}
				contains(t, "the output", o.stdout+o.stderr, c.says)
			})
		}
	}
	// Those that look at every trailer get fewer of them.
	if err := os.Truncate(hollow, 500_000*mcm.TrailerLen); err != nil {
		t.Fatal(err)
	}
	contains(t, "pow", spawn(t, "pow", "--json", hollow).want(t, exitOK), `"exempt": 500000`, `"valid": 0`)
	contains(t, "show", spawn(t, "show", "--jsonl", hollow).want(t, exitOK), `"block":0`)
}

// TestHardInputElsewhere puts what is no file where a flag or standard input wants
// one.
func TestHardInputElsewhere(t *testing.T) {
	dir := t.TempDir()
	folder, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	for _, command := range commands[:5] {
		o := start(t, func(cmd *exec.Cmd) { cmd.Stdin = folder }, with(command.args, "-")...).end(t)
		if o.code != exitUsage && o.code != exitFailed || o.stdout != "" {
			t.Errorf("%s of a directory as standard input: %+v", command.name, o)
		}
	}
	file := writeTemp(t, "tfile.dat", readFile(t, genesis))
	for _, args := range [][]string{
		{"verify", "--json", "--pin", dir, file},
		{"verify", "--json", "--pin", file, file},
		{"verify", "--json", "--pin", os.DevNull, file},
		{"verify", "--json", "--config", dir, file},
		{"verify", "--json", "--config", file, file},
		{"pins", "derive", "--out", dir, file},
		{"pins", "derive", "--out", filepath.Join(dir, "none", "pin.json"), file},
		{"synth", "--blocks", "2", "--out", dir},
		{"config", "check", dir},
		{"bench", "--compare", dir, dir},
	} {
		t.Run(strings.Join(args[:3], " "), func(t *testing.T) {
			if o := spawn(t, args...); o.code != exitUsage || o.stdout != "" {
				t.Errorf("%q: got %+v, want exit code %d", args, o, exitUsage)
			}
		})
	}
	if err := os.Mkdir(file+".kigo", 0o755); err != nil {
		t.Fatal(err)
	}
	if o := spawn(t, "verify", "--json", "--resume", file); o.stderr == "" || o.code == exitOK && !o.oneObject(t) {
		t.Errorf("a directory as the side file: %+v", o)
	}
}

// TestMutatedFields has the program judge a run of main-net trailers with one bit
// of one field changed; TestEveryByteCounts goes into more detail.
func TestMutatedFields(t *testing.T) {
	good := readFile(t, segment255)[9*mcm.TrailerLen : 13*mcm.TrailerLen]
	for _, field := range []struct {
		name string
		at   int
		rule string
	}{
		{"phash", 0, "EMCM_PHASH"},
		{"bnum", 39, "EMCM_BNUM"},
		{"mfee", 47, "EMCM_POWPEACH"}, // there is no upper bound
		{"tcount", 51, "EMCM_TCOUNT"},
		{"time0", 55, "EMCM_STIME"},
		{"difficulty", 59, "EMCM_DIFF"},
		{"mroot", 60, "EMCM_POWPEACH"},
		{"nonce", 92, "EMCM_POWPEACH"},
		{"stime", 127, "EMCM_STIME"},
		{"bhash", 159, "EMCM_PHASH"}, // of the next trailer
	} {
		bad := bytes.Clone(good)
		bad[mcm.TrailerLen+field.at] ^= 0x40
		o := spawn(t, "verify", "--json", "--segment", writeTemp(t, "bad.bin", bad))
		if o.want(t, exitInvalid); o.oneObject(t) {
			t.Errorf("%s: called valid: %s", field.name, o.stdout)
		}
		contains(t, field.name, o.stdout, field.rule)
	}
}

// TestReadError reads a file whose first byte gives an I/O error.
func TestReadError(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	const broken = "/proc/self/mem"
	for _, command := range [][]string{{"pow", "--json"}, {"show", "--jsonl"}} {
		o := spawn(t, with(command, broken)...)
		if o.want(t, exitFailed); o.stdout != "" {
			t.Errorf("%v printed %s", command, o.stdout)
		}
		contains(t, "the error", o.stderr, broken, "input/output error")
	}
	// Its length is said to be 0, so this one never reads it.
	if o := spawn(t, "verify", "--json", broken); o.code == exitOK || o.oneObject(t) {
		t.Errorf("verify: %+v", o)
	}
}

// asNobody runs the program without any rights.
func asNobody(t *testing.T, bin string) func(*exec.Cmd) {
	t.Helper()
	if os.Getuid() != 0 {
		return func(*exec.Cmd) {} // we have none ourselves
	}
	const nobody = 65534
	rights := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	try := exec.Command(bin, "version")
	try.SysProcAttr = rights
	if err := try.Run(); err != nil {
		t.Skipf("root can't become nobody here: %v", err)
	}
	return func(cmd *exec.Cmd) { cmd.Path, cmd.SysProcAttr = bin, rights }
}

func TestPermissionDenied(t *testing.T) {
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "kigo-open-") // all above t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	place := func(name string, data []byte, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.WriteFile(path, data, 0o600), os.Chmod(path, mode)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	start0 := mcm.GenesisTrailer()
	copied := place("kigo", readFile(t, bin), 0o755)
	secret := place("secret.dat", start0[:], 0o000)
	open := place("open.dat", start0[:], 0o644)
	if err := os.Chmod(dir, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o755) })
	nobody := asNobody(t, copied)
	var denied [][]string
	for _, command := range commands {
		denied = append(denied, with(command.args, secret))
	}
	denied = append(denied,
		[]string{"verify", "--json", "--pin", secret, open},
		[]string{"verify", "--json", "--config", secret, open},
		[]string{"verify", "--json", filepath.Join(secret, "x")},
		[]string{"pins", "derive", "--out", filepath.Join(dir, "pin.json"), open},
		[]string{"synth", "--blocks", "2", "--out", filepath.Join(dir, "chain.dat")},
		[]string{"bench", "--rounds", "1", "--time", "1ms", "--batch", "1", "--out", filepath.Join(dir, "bench.json")},
	)
	for _, args := range denied {
		t.Run(strings.Join(args[:2], " "), func(t *testing.T) {
			o := start(t, nobody, args...).end(t)
			if o.want(t, exitUsage); o.stdout != "" {
				t.Errorf("printed %s", o.stdout)
			}
			contains(t, "the error", o.stderr, dir)
		})
	}
	// A good file where no notes can be kept is a good file.
	o := start(t, nobody, "verify", "--json", "--resume", open).end(t)
	o.want(t, exitOK)
	if !o.oneObject(t) {
		t.Errorf("got %s", o.stdout)
	}
}

// TestWriteErrors has all output go where nothing can be written.
func TestWriteErrors(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full")
	}
	defer full.Close()
	for _, args := range [][]string{
		{"verify", genesis},
		{"verify", "--json", genesis},
		{"verify", "--json", "--no-pow", segment255}, // invalid too, but nobody was told
		{"pow", "--json", genesis},
		{"pow", "--jsonl", genesis},
		{"pow", genesis},
		{"show", genesis},
		{"show", "--jsonl", segment255, "0.."},
		{"pins", "derive", genesis},
		{"synth", "--blocks", "3", "--out", "-"},
		{"synth", "--blocks", "3", "--out", "/dev/full"},
		{"devices"},
		{"devices", "--json"},
		{"config", "print"},
		{"version"},
		{"version", "--json"},
	} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			o := start(t, func(cmd *exec.Cmd) { cmd.Stdout = full }, args...).end(t)
			o.want(t, exitFailed)
			contains(t, "the error", o.stderr, "no space left")
		})
	}
}

// TestClosedPipe is what | head -1 does.
func TestClosedPipe(t *testing.T) {
	for _, args := range [][]string{
		{"show", "--jsonl", segment255, "0.."},
		{"synth", "--blocks", "20000", "--worked", "0", "--out", "-"},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		p := start(t, func(cmd *exec.Cmd) { cmd.Stdout = w }, args...)
		w.Close()
		if _, err := io.ReadFull(r, make([]byte, 100)); err != nil {
			t.Errorf("%v: %v", args, err)
		}
		r.Close()
		p.Wait()
		status := p.ProcessState.Sys().(syscall.WaitStatus)
		if !status.Signaled() && status.ExitStatus() != exitFailed || status.Signaled() && status.Signal() != syscall.SIGPIPE {
			t.Errorf("%v: ended with %v, want the end that a closed pipe brings, or exit code %d", args, p.ProcessState, exitFailed)
		}
		if strings.Contains(p.stderr.String(), "goroutine") {
			t.Errorf("%v crashed:\n%s", args, &p.stderr)
		}
	}
}

// TestGoodRunsAreQuiet asks each engine by name.
func TestGoodRunsAreQuiet(t *testing.T) {
	for _, engine := range usableEngines() {
		o := spawn(t, "verify", "--json", "--segment", "--engine", engine, segment255)
		if o.want(t, exitOK); o.stderr != "" || !o.oneObject(t) {
			t.Errorf("%s: %+v", engine, o)
		}
	}
	for _, command := range commands {
		if o := spawn(t, with(command.args, genesis)...); o.code != exitOK || o.stderr != "" {
			t.Errorf("%s: %+v", command.name, o)
		}
	}
}

// TestOutOntoTheInput names the input a second time, in other words too.
func TestOutOntoTheInput(t *testing.T) {
	before := readFile(t, genesis)
	file := writeTemp(t, "tfile.dat", before)
	dir := filepath.Dir(file)
	soft, hard := filepath.Join(dir, "soft"), filepath.Join(dir, "hard")
	if err := errors.Join(os.Symlink(file, soft), os.Link(file, hard)); err != nil {
		t.Fatal(err)
	}
	for _, out := range []string{file, dir + "/../" + filepath.Base(dir) + "/tfile.dat", dir + "//./tfile.dat", soft, hard} {
		o := spawn(t, "pins", "derive", "--out", out, file)
		o.want(t, exitUsage)
		contains(t, "the error", o.stderr, "--out", out)
		if !bytes.Equal(readFile(t, file), before) {
			t.Fatalf("--out %s wrote over the input", out)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 3 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
