package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// repository is the root of the source tree, seen from here.
const repository = "../.."

// documents returns the text of each Markdown file of the repository.
func documents(t *testing.T) map[string]string {
	return sources(t, ".md", func(string) bool { return true })
}

// sources returns the files whose name ends in ext and that pass, by path.
func sources(t *testing.T, ext string, pass func(name string) bool) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(repository, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != repository {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ext || !pass(path) {
			return nil
		}
		b, err := os.ReadFile(path)
		files[strings.TrimPrefix(path, repository+"/")] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no %s files", ext)
	}
	return files
}

var (
	fence    = regexp.MustCompile("(?ms)^```.*?^```$")
	span     = regexp.MustCompile("`[^`\n]+`")
	kigoLine = regexp.MustCompile(`(?:^|[;&|] *)(?:[A-Z_]+=\S+ )*(?:bin/)?kigo( [^;&|>#]+)`)
	makeLine = regexp.MustCompile(`(?:^|[;&|] *)(?:[A-Z_]+=\S+ )*make((?: [^;&|>#\s]+)*)`)
)

// code returns the lines of a document's code blocks and its code spans.
func code(text string) (lines []string) {
	for _, block := range fence.FindAllString(text, -1) {
		for line := range strings.Lines(block) {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	for _, s := range span.FindAllString(fence.ReplaceAllString(text, ""), -1) {
		lines = append(lines, strings.Trim(s, "`"))
	}
	return lines
}

// checkLine returns what is wrong with a command line of kigo, or nothing.
func checkLine(args []string) string {
	root := newRoot(nil, nil, nil)
	root.InitDefaultCompletionCmd(args...)
	root.InitDefaultHelpCmd()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return err.Error()
	}
	cmd.InitDefaultHelpFlag()
	for _, arg := range rest {
		if name, ok := strings.CutPrefix(arg, "--"); ok {
			name, _, _ = strings.Cut(name, "=")
			if cmd.Flags().Lookup(name) == nil && cmd.InheritedFlags().Lookup(name) == nil {
				return cmd.CommandPath() + " has no flag --" + name
			}
		} else if cmd.HasSubCommands() {
			return cmd.CommandPath() + " has no command " + arg
		}
	}
	return ""
}

// TestDocumentedCommands makes sure that each command line in the documents is
// one that the program knows.
func TestDocumentedCommands(t *testing.T) {
	flags := map[string]bool{"help": true}
	var collect func(*cobra.Command)
	collect = func(cmd *cobra.Command) {
		for _, set := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
			set.VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
		}
		for _, sub := range cmd.Commands() {
			collect(sub)
		}
	}
	collect(newRoot(nil, nil, nil))

	found := 0
	loneFlag := regexp.MustCompile(`^--([a-z][a-z-]*)(?:[ =]|$)`)
	for file, text := range documents(t) {
		for _, line := range code(text) {
			for _, m := range kigoLine.FindAllStringSubmatch(line, -1) {
				found++
				if problem := checkLine(strings.Fields(m[1])); problem != "" {
					t.Errorf("%s: %q: %s", file, line, problem)
				}
			}
			if m := loneFlag.FindStringSubmatch(line); m != nil && !flags[m[1]] {
				t.Errorf("%s: no command has the flag %q", file, line)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d command lines found", found)
	}
	for _, wrong := range []string{"judge FILE", "verify --fast FILE", "pins list"} {
		if checkLine(strings.Fields(wrong)) == "" {
			t.Errorf("kigo %s passes", wrong)
		}
	}
}

// TestCommandsPage makes sure that docs/commands.md names each command, each flag
// and each key of the config.
func TestCommandsPage(t *testing.T) {
	page := documents(t)["docs/commands.md"]
	mention := func(what string) {
		if !strings.Contains(page, what) {
			t.Errorf("docs/commands.md does not name %s", what)
		}
	}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		mention(cmd.CommandPath())
		if cmd.Name() == "completion" {
			return // what is below it is cobra's
		}
		for _, set := range []*pflag.FlagSet{cmd.Flags(), cmd.PersistentFlags()} {
			set.VisitAll(func(f *pflag.Flag) { mention("--" + f.Name) })
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(nil, nil, nil))
	for key := range defaults {
		mention("`" + key + "`")
		mention("`" + envName(key) + "`")
	}
}

// TestDocumentedTargets makes sure that each make target in the documents is in
// the Makefile.
func TestDocumentedTargets(t *testing.T) {
	makefile, err := os.ReadFile(repository + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for file, text := range documents(t) {
		for _, line := range code(text) {
			for _, m := range makeLine.FindAllStringSubmatch(line, -1) {
				for _, word := range strings.Fields(m[1]) {
					if strings.Contains(word, "=") || word == "TARGET" {
						continue
					}
					found++
					if !strings.Contains(string(makefile), "\n"+word+":") {
						t.Errorf("%s: %q: the Makefile has no target %s", file, line, word)
					}
				}
			}
		}
	}
	if found < 5 {
		t.Errorf("only %d targets found", found)
	}
}

// TestDocumentedMetrics compares docs/metrics.md with the metrics that the code
// makes.
func TestDocumentedMetrics(t *testing.T) {
	metric := regexp.MustCompile("[\"`](kigo_[a-z0-9_]+)[\"`]")
	names := func(text string) (names []string) {
		for _, m := range metric.FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
		return names
	}
	documented := names(documents(t)["docs/metrics.md"])
	var made []string
	for _, text := range sources(t, ".go", func(name string) bool { return filepath.Base(name) == "metrics.go" }) {
		made = append(made, names(text)...)
	}
	for _, name := range made {
		if !slices.Contains(documented, name) {
			t.Errorf("docs/metrics.md doesn't explain %s", name)
		}
	}
	for _, name := range documented {
		if !slices.Contains(made, name) {
			t.Errorf("docs/metrics.md explains %s, which no metrics.go makes", name)
		}
	}
	if len(made) == 0 {
		t.Error("no metrics found")
	}
}

// TestDocumentedLinks makes sure that links between the documents lead to files.
func TestDocumentedLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	found := 0
	for file, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(text, ""), -1) {
			found++
			if _, err := os.Stat(filepath.Join(repository, filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: link to %s: %v", file, m[1], err)
			}
		}
	}
	if found < 10 {
		t.Errorf("only %d links found", found)
	}
}
