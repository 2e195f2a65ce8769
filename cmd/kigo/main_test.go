package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	mainnet    = "../../testdata/mainnet/"
	genesis    = mainnet + "trailer-0x0.bin"
	segment255 = mainnet + "trailers-0x94701-0x947ff.bin"
	vectors    = "../../testdata/vectors/"
)

// TestMain keeps the tests from settings of the machine they run on.
func TestMain(m *testing.M) {
	for _, pair := range os.Environ() {
		if name, _, _ := strings.Cut(pair, "="); strings.HasPrefix(name, "KIGO_") && !strings.HasPrefix(name, "KIGO_TEST_") {
			os.Unsetenv(name)
		}
	}
	home, err := os.MkdirTemp("", "kigo-test-")
	if err != nil {
		panic(err)
	}
	os.Setenv("XDG_CONFIG_HOME", home)
	os.Setenv("XDG_STATE_HOME", home)
	os.Setenv("HOME", home)
	code := m.Run()
	os.RemoveAll(home)
	os.Exit(code)
}

// An outcome is what a run of the program left.
type outcome struct {
	stdout, stderr string
	code           int
}

// kigo runs the program with nothing on its standard input.
func kigo(t testing.TB, args ...string) outcome { return kigoWith(t, nil, args...) }

func kigoWith(t testing.TB, stdin []byte, args ...string) outcome {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(context.Background(), args, bytes.NewReader(stdin), &stdout, &stderr)
	return outcome{stdout.String(), stderr.String(), code}
}

// want fails the test unless the program ended with code and returns its output.
func (o outcome) want(t testing.TB, code int) string {
	t.Helper()
	if o.code != code {
		t.Fatalf("exit code %d, want %d\nstdout: %.2000s\nstderr: %.2000s", o.code, code, o.stdout, o.stderr)
	}
	return o.stdout
}

// fromJSON decodes output, refusing fields that into doesn't have.
func fromJSON(t testing.TB, s string, into any) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v in %.2000s", err, s)
	}
}

func contains(t testing.TB, what, s string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(s, part) {
			t.Errorf("%s lacks %q:\n%.3000s", what, part, s)
		}
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeTemp(t testing.TB, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestHelpFits makes sure that the help of each command fits a terminal, and names
// its flags.
func TestHelpFits(t *testing.T) {
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		words := strings.Fields(cmd.CommandPath())[1:]
		out := kigo(t, append(words, "--help")...).want(t, exitOK)
		for line := range strings.Lines(out) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > helpWidth && cmd.Name() != "synth" { // its kinds need the room
				t.Errorf("%s: %d columns: %s", cmd.CommandPath(), n, line)
			}
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { contains(t, cmd.CommandPath(), out, "--"+f.Name) })
		contains(t, cmd.CommandPath(), out, "Usage:\n  "+cmd.CommandPath(), "--log-level LEVEL", cmd.Example)
		for _, sub := range cmd.Commands() {
			contains(t, cmd.CommandPath(), out, "\n  "+sub.Name()+" ", sub.Short)
			if cmd.Name() != "completion" { // those are cobra's
				visit(sub)
			}
		}
	}
	visit(newRoot(nil, nil, nil))
}

func TestUsageErrors(t *testing.T) {
	bad := writeTemp(t, "bad.yaml", []byte("verify:\n  enigne: [avx2]\n"))
	values := writeTemp(t, "values.yaml", []byte("verify:\n  workers: -1\n  engine: [avx3]\n  audit-rate: 2\nlog:\n  level: loud\n  format: xml\n"))
	broken := writeTemp(t, "broken.yaml", []byte("verify: [\n"))
	typed := writeTemp(t, "typed.yaml", []byte("verify:\n  workers: many\n"))
	cases := []struct {
		name string
		args []string
		says []string
	}{
		{"unknown command", []string{"verfy"}, []string{"verfy", "did you mean verify?"}},
		{"unknown flag", []string{"verify", "--al", "x"}, []string{"--al", "kigo verify --help", "did you mean --all?"}},
		{"no file", []string{"verify"}, []string{"accepts 1 arg(s), received 0", "kigo verify FILE"}},
		{"missing file", []string{"verify", "/nonexistent/tfile.dat"}, []string{"/nonexistent/tfile.dat", "no such file"}},
		{"missing file for pow", []string{"pow", "/nonexistent/x"}, []string{"/nonexistent/x"}},
		{"missing file for show", []string{"show", "/nonexistent/x"}, []string{"/nonexistent/x"}},
		{"missing pin", []string{"verify", "--pin", "/nonexistent/pin", genesis}, []string{"/nonexistent/pin"}},
		{"contradicting flags", []string{"verify", "--no-pow", "--resume", genesis}, []string{"--no-pow", "--resume"}},
		{"resume of a pipe", []string{"verify", "--resume", "-"}, []string{"--resume", "standard input"}},
		{"two formats", []string{"pow", "--json", "--jsonl", genesis}, []string{"--json", "--jsonl"}},
		{"unknown engine", []string{"verify", "--engine", "avx", genesis}, []string{`"avx"`, "did you mean avx2?", "portable"}},
		{"engine that can't be had", []string{"pow", "--engine", "cuda", genesis}, []string{"cuda", "kigo devices"}},
		{"bad range", []string{"show", segment255, "5..x"}, []string{`"x"`, "N..M"}},
		{"backward range", []string{"show", segment255, "9..5"}, []string{"9 comes after 5"}},
		{"empty range", []string{"show", segment255, "1"}, []string{"no such block", "608001", "608255"}},
		{"missing config", []string{"devices", "--config", "/nonexistent/kigo.yaml"}, []string{"/nonexistent/kigo.yaml"}},
		{"unknown key", []string{"config", "check", bad}, []string{bad, "verify.enigne", "did you mean verify.engine?"}},
		{"bad values", []string{"config", "check", values}, []string{"verify.workers: -1", `"avx3"`, "verify.audit-rate: 2", `"loud"`, `"xml"`}},
		{"broken file", []string{"config", "check", broken}, []string{broken}},
		{"wrong type", []string{"config", "check", typed}, []string{`verify.workers: "many" is not a whole number`}},
		{"bad log level", []string{"devices", "--log-level", "loud"}, []string{"log.level", "loud"}},
		{"no output", []string{"synth"}, []string{"--out"}},
		{"bad fault", []string{"synth", "--out", "-", "--fault", "nonsense"}, []string{"--fault", "nonsense"}},
		{"bad share", []string{"synth", "--out", "-", "--worked", "2"}, []string{"2"}},
		{"bad batch", []string{"bench", "--batch", "0"}, []string{"--batch 0"}},
		{"no time", []string{"bench", "--time", "0s"}, []string{"--time"}},
		{"one file to compare", []string{"bench", "--compare", "a"}, []string{"accepts 2 arg(s)"}},
		{"comparing what is no result", []string{"bench", "--compare", genesis, genesis}, []string{genesis}},
		{"pin beyond the end", []string{"pins", "derive", "--height", "7", genesis}, []string{"--height 7", "last block is 0"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			o := kigo(t, c.args...)
			if o.want(t, exitUsage); o.stdout != "" {
				t.Errorf("stdout has %q, want nothing", o.stdout)
			}
			contains(t, "the error", o.stderr, c.says...)
		})
	}
}

func TestSettingsPrecedence(t *testing.T) {
	file := writeTemp(t, "kigo.yaml", []byte("verify:\n  workers: 3\n  engine: [lanes]\n"))
	find := func(out, key string) string {
		for line := range strings.Lines(out) {
			if fields := strings.Fields(line); len(fields) > 0 && fields[0] == key {
				return strings.Join(fields[1:], " ")
			}
		}
		return ""
	}
	check := func(out, key, want string) {
		t.Helper()
		if got := find(out, key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	out := kigo(t, "config", "print").want(t, 0)
	check(out, "verify.workers", "0 default")
	check(out, "verify.engine", "- default")
	out = kigo(t, "config", "print", "--config", file).want(t, 0)
	check(out, "verify.workers", "3 file "+file)
	check(out, "verify.engine", "lanes file "+file)
	t.Setenv("KIGO_VERIFY_WORKERS", "5")
	t.Setenv("KIGO_VERIFY_DISABLE", "avx512,avx2")
	t.Setenv("KIGO_LOG_LEVEL", "warn")
	out = kigo(t, "config", "print", "--config", file).want(t, 0)
	check(out, "verify.workers", "5 environment KIGO_VERIFY_WORKERS")
	check(out, "verify.disable", "avx512,avx2 environment KIGO_VERIFY_DISABLE")
	out = kigo(t, "config", "print", "--config", file, "--log-level", "error").want(t, 0)
	check(out, "log.level", "error flag --log-level")

	t.Setenv("KIGO_VERIFY_WORKRES", "5")
	contains(t, "the error", kigo(t, "devices").stderr, "KIGO_VERIFY_WORKRES", "did you mean KIGO_VERIFY_WORKERS?")
}

func TestSampleConfigHoldsTheDefaults(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kigo.yaml")
	kigo(t, "config", "init", path).want(t, 0)
	kigo(t, "config", "check", path).want(t, 0)
	kigo(t, "config", "init", path).want(t, exitUsage) // it never overwrites
	plain := kigo(t, "config", "print").want(t, 0)
	sample := kigo(t, "config", "print", "--config", path).want(t, 0)
	for key := range defaults {
		contains(t, "the sample file's settings", sample, key)
	}
	strip := func(s string) string {
		var b strings.Builder
		for line := range strings.Lines(s) {
			fields := strings.Fields(line)
			b.WriteString(fields[0] + " " + fields[1] + "\n")
		}
		return b.String()
	}
	if strip(plain) != strip(sample) {
		t.Errorf("the sample sets\n%s\nthe defaults are\n%s", strip(sample), strip(plain))
	}
	if !strings.Contains(sample, "file "+path) {
		t.Error("nothing comes from the sample file")
	}
}

func TestVersion(t *testing.T) {
	var b buildInfo
	fromJSON(t, kigo(t, "version", "--json").want(t, 0), &b)
	if b.Version != version || b.Go == "" || b.OS == "" || b.Arch == "" {
		t.Errorf("got %+v", b)
	}
	contains(t, "version", kigo(t, "version").want(t, 0), "kigo "+version, b.Go)
}

func TestManAndCompletion(t *testing.T) {
	dir := t.TempDir()
	kigo(t, "man", dir).want(t, 0)
	contains(t, "the man page", string(readFile(t, filepath.Join(dir, "kigo-verify.1"))), "tfile.dat", "--segment")
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		contains(t, shell+" completion", kigo(t, "completion", shell).want(t, 0), "kigo")
	}
}

// fromJSONLoosely decodes output into fields that are only some of it.
func fromJSONLoosely(t testing.TB, s string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), into); err != nil {
		t.Fatalf("%v in %.2000s", err, s)
	}
}
