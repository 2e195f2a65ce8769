package tfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// saying returns a filler that writes s.
func saying(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

// holds fails unless the folder at dir has these files and links with this
// content, and nothing else.
func holds(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := want[e.Name()]; !ok {
			t.Errorf("%s is left in the folder", e.Name())
		}
	}
	for name, s := range want {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != s {
			t.Errorf("%s holds %.40q, %v, want %.40q", name, b, err, s)
		}
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	const path = "out"
	long := strings.Repeat("0123456789", 20000)
	for _, s := range []string{"new", "other", long, ""} {
		if err := WriteFile(path, saying(s)); err != nil {
			t.Fatal(err)
		}
		holds(t, dir, map[string]string{"out": s})
	}
}

func TestWriteFileFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "out")
	full := errors.New("no more answers")
	half := func(w io.Writer) error {
		if err := saying(strings.Repeat("half", 100000))(w); err != nil {
			return err
		}
		return full
	}
	for _, want := range []map[string]string{{}, {"out": "old"}} {
		if s, ok := want["out"]; ok {
			if err := WriteFile(path, saying(s)); err != nil {
				t.Fatal(err)
			}
		}
		if err := WriteFile(path, half); err != full {
			t.Errorf("got %v, want the filler's own error", err)
		}
		holds(t, dir, want)
	}
	if err := WriteFile(dir, saying("x")); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("over a folder: got %v", err)
	}
	if err := WriteFile(filepath.Join(dir, "none", "out"), saying("x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("in no folder: got %v", err)
	}
	holds(t, dir, map[string]string{"out": "old"})
}

// TestWriteFileCrash looks at the file while it is being replaced.
func TestWriteFileCrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	if err := WriteFile(path, saying("old")); err != nil {
		t.Fatal(err)
	}
	err := WriteFile(path, func(w io.Writer) error {
		if err := saying(strings.Repeat("new", 100000))(w); err != nil {
			return err
		}
		b, err := os.ReadFile(path)
		if string(b) != "old" {
			t.Errorf("midway it holds %.40q", b)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestWriteFilePermissions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("windows has no such permissions")
	}
	dir := t.TempDir()
	made := filepath.Join(dir, "made") // as the umask has it
	if err := os.WriteFile(made, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(made)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		old  os.FileMode // 0 for no file
		want os.FileMode
	}{
		{"none", 0, st.Mode()}, {"secret", 0o600, 0o600}, {"open", 0o666, 0o666}, {"read-only", 0o444, 0o444},
	} {
		path := filepath.Join(dir, c.name)
		if c.old != 0 {
			if err := os.WriteFile(path, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, c.old); err != nil {
				t.Fatal(err)
			}
		}
		if err := WriteFile(path, saying("x")); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(path); err != nil || st.Mode() != c.want {
			t.Errorf("%s: got %v, %v, want %v", c.name, st.Mode(), err, c.want)
		}
	}
}

// TestWriteFileLink keeps symbolic links and writes what they point to, there or
// not.
func TestWriteFileLink(t *testing.T) {
	dir := t.TempDir()
	link := func(to, from string) {
		if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
			t.Skip(err) // some systems ask for a privilege
		}
	}
	for _, sub := range []string{"a", "a/b", "c"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link(filepath.Join("a", "b"), "folder")
	link("folder/../target", "two") // a/target, not target
	link("two", "one")
	for _, s := range []string{"new", "other"} {
		if err := WriteFile(filepath.Join(dir, "one"), saying(s)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(filepath.Join(dir, "a", "target")); err != nil || string(b) != s {
			t.Errorf("target holds %q, %v, want %q", b, err, s)
		}
		if st, err := os.Lstat(filepath.Join(dir, "one")); err != nil || st.Mode()&os.ModeSymlink == 0 {
			t.Errorf("the link is %v, %v", st.Mode(), err)
		}
	}
	link("round", "round")
	if err := WriteFile(filepath.Join(dir, "round"), saying("x")); err == nil {
		t.Error("a link to itself was written")
	}
}

// TestWriteFileDevice writes to what can't be replaced.
func TestWriteFileDevice(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("windows has no such files")
	}
	if err := WriteFile(os.DevNull, saying("x")); err != nil {
		t.Error(err)
	}
	if st, err := os.Stat(os.DevNull); err != nil || st.Mode().IsRegular() {
		t.Errorf("%s is %v now, %v", os.DevNull, st.Mode(), err)
	}
}
