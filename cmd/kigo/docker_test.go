package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A dockerLine is an instruction of a Dockerfile.
type dockerLine struct{ word, rest string }

// dockerfile returns the instructions of a Dockerfile.
func dockerfile(t *testing.T, name string) (lines []dockerLine) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(`(?m)^\s*#.*\n`).ReplaceAllString(string(b), "")
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		if word, rest, _ := strings.Cut(strings.TrimSpace(line), " "); word != "" {
			lines = append(lines, dockerLine{word, strings.TrimSpace(rest)})
		}
	}
	return lines
}

// ignored reports whether .dockerignore keeps a file out of the image.
func ignored(t *testing.T, path string) (out bool) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(repository, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		pattern, back := strings.CutPrefix(strings.TrimSpace(line), "!")
		if pattern == "" || pattern[0] == '#' {
			continue
		}
		name := path
		if inner, any := strings.CutPrefix(pattern, "**/"); any {
			pattern, name = inner, filepath.Base(path)
		}
		match, err := filepath.Match(pattern, name)
		if err != nil {
			t.Fatal(err)
		}
		if match || strings.HasPrefix(name, pattern+"/") {
			out = !back
		}
	}
	return out
}

// TestDockerfiles holds the Dockerfiles against the tree, and against rules for
// such files that hadolint has too.
func TestDockerfiles(t *testing.T) {
	for _, name := range []string{"Dockerfile", "Dockerfile.cuda"} {
		t.Run(name, func(t *testing.T) {
			last := map[string]string{} // of the last stage
			stages := map[string]bool{}
			for _, l := range dockerfile(t, name) {
				switch l.word {
				case "FROM":
					image, stage, _ := strings.Cut(l.rest, " AS ")
					if _, tag, tagged := strings.Cut(image, ":"); !tagged || tag == "latest" {
						t.Errorf("FROM %s names no version", image)
					}
					stages[stage] = true
					last = map[string]string{}
				case "COPY":
					checkCopy(t, l.rest, stages)
				case "RUN":
					if strings.Contains(l.rest, "apt-get install") && !strings.Contains(l.rest, "rm -rf /var/lib/apt/lists") {
						t.Errorf("RUN %s leaves apt's lists", l.rest)
					}
				case "WORKDIR":
					if !filepath.IsAbs(l.rest) {
						t.Errorf("WORKDIR %s is not absolute", l.rest)
					}
				case "ENV":
					for _, m := range regexp.MustCompile(`KIGO_[A-Z_]+`).FindAllString(l.rest, -1) {
						if err := checkEnvironment([]string{m + "=x"}); err != nil {
							t.Error(err)
						}
					}
				case "ARG", "USER", "VOLUME", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD":
				default:
					t.Errorf("unexpected instruction %s", l.word)
				}
				last[l.word] = l.rest
			}
			if user := last["USER"]; user == "" || user == "root" || user == "0" {
				t.Errorf("runs as %q", user)
			}
			entry := execForm(t, last["ENTRYPOINT"])
			_, health, _ := strings.Cut(last["HEALTHCHECK"], "CMD ")
			for _, args := range [][]string{append(entry, execForm(t, last["CMD"])...), execForm(t, health)} {
				if len(args) < 2 || args[0] != "kigo" {
					t.Errorf("%q is no command of kigo", args)
				} else if problem := checkLine(args[1:]); problem != "" {
					t.Errorf("%q: %s", args, problem)
				}
			}
		})
	}
}

// checkCopy makes sure that what is copied is there.
func checkCopy(t *testing.T, rest string, stages map[string]bool) {
	t.Helper()
	args := strings.Fields(rest)
	if from, ok := strings.CutPrefix(args[0], "--from="); ok {
		if !stages[from] {
			t.Errorf("COPY %s: no such stage before", rest)
		}
		return
	}
	for _, source := range args[:len(args)-1] {
		if _, err := os.Stat(filepath.Join(repository, source)); err != nil {
			t.Error(err)
		}
		if ignored(t, source) {
			t.Errorf("COPY %s: .dockerignore keeps %s out", rest, source)
		}
	}
}

// execForm returns the words of an instruction in its exec form, which needs no
// shell and gets signals.
func execForm(t *testing.T, s string) (w []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(s), &w); err != nil {
		t.Errorf("%s is not in exec form: %v", s, err)
	}
	return w
}

// TestDockerIgnore makes sure that an image is built from all sources, and not
// from what was built outside.
func TestDockerIgnore(t *testing.T) {
	for path, want := range map[string]bool{
		"go.mod": false, "Makefile": false, "LICENSE": false, ".ci/prerequisites": false, ".ci/nvcc": false,
		"cmd/kigo/main.go": false, "cmd/kigo/kigo.sample.yaml": false, "node/verify/answers.bin": false,
		"gpu/internal/driver/shim/shim.c": false, "kernels/src/peach.cu": false, "kernels/src/nvcc.flags": false,
		"kernels/image/.gitignore":   false,
		"kernels/image/peach.fatbin": true, "kernels/image/manifest": true,
		"bin/kigo": true, "bin/cuda/libcuda.a": true, ".git/config": true, "cpu/cpu.test": true,
	} {
		if got := ignored(t, path); got != want {
			t.Errorf("%s: ignored %v, want %v", path, got, want)
		}
	}
}
