//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kigo/node/chaos"
	"kigo/node/fault"
	"kigo/node/rules"
)

// demoIn starts the demo with a folder of its own for temporary files.
func demoIn(t *testing.T, dir string, args ...string) *process {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), demoEnd+time.Minute)
	t.Cleanup(cancel)
	p := &process{Cmd: exec.CommandContext(ctx, path, append([]string{"demo"}, args...)...), ctx: ctx}
	p.Stdout, p.Stderr = &p.stdout, &p.stderr
	p.Env = append(os.Environ(), "TMPDIR="+dir)
	p.WaitDelay = 10 * time.Second
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	return p
}

// wantClean fails if a demo has left files or processes.
func wantClean(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v (%v)", left, err)
	}
	lines, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range lines {
		if b, err := os.ReadFile(name); err == nil && bytes.Contains(b, []byte(dir)) {
			t.Errorf("a process still runs: %q", b)
		}
	}
}

// The whole play, as a program reads it.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	if os.Getenv("CI") == "true" {
		t.Skip("make demo, which fails in the same cases, is a step of its own there")
	}
	dir := t.TempDir()
	p := demoIn(t, dir, "--json", "--seed", "2")
	err := p.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	var r demoReport
	fromJSON(t, p.stdout.String(), &r)
	var names []string
	for _, a := range r.Acts {
		names = append(names, a.Name)
		if !a.OK || a.Problem != "" {
			t.Errorf("%s: %s", a.Name, a.Problem)
		}
		switch a.Name {
		case "kill":
			var d struct{ Work demoWork }
			details(t, a, &d)
			if w := d.Work; w.Left <= 0 || w.Chain <= 0 || w.Left+w.Scanned+w.Chain != w.All {
				t.Errorf("proofs of work: %+v", w)
			}
		case "liars":
			var d struct{ Kinds []demoLiar }
			details(t, a, &d)
			if len(d.Kinds) != len(demoKinds())+1 {
				t.Errorf("%d kinds, want %d and the honest one", len(d.Kinds), len(demoKinds()))
			}
			for _, l := range d.Kinds {
				if n := len(l.Found); n > 48 || l.Family != chaos.Honest && (n == 0 || l.Found == "proven") {
					t.Errorf("%s: found %q, %d columns wide", l.Kind, l.Found, n)
				}
			}
		}
	}
	if got, want := strings.Join(names, " "), "network bootstrap kill proven liars blocks fork deep-fork serve stop"; got != want || !r.OK || p.ProcessState.ExitCode() != exitOK {
		t.Errorf("acts %s, ok %v, code %d\nstderr: %.3000s", got, r.OK, p.ProcessState.ExitCode(), &p.stderr)
	}
	if len(p.stderr.String()) > 0 {
		t.Errorf("said on stderr: %.2000s", &p.stderr)
	}
	wantClean(t, dir)
}

// details reads those of an act.
func details(t *testing.T, a *demoAct, to any) {
	t.Helper()
	b, err := json.Marshal(a.Details)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, to); err != nil {
		t.Fatal(err)
	}
}

// What became of a kind, from what the node has told.
func TestDemoFound(t *testing.T) {
	onTip := demoFound{Scan: "proven", Branch: 1, Of: 8, Chosen: true, Meets: true, Fresh: true, Asked: true}
	with := func(change func(*demoFound)) demoFound {
		f := onTip
		f.Ranges = map[fault.Kind]int{}
		change(&f)
		return f
	}
	for _, c := range []struct {
		family string
		found  demoFound
		want   string
	}{
		{chaos.Honest, onTip, "proven"},
		{chaos.Files, onTip, "proven, its proof counts for the honest chain"},
		{chaos.Files, with(func(f *demoFound) { f.Asked = false }), "proven, not asked for more"},
		{chaos.Files, with(func(f *demoFound) { f.Ranges[fault.ShortReply] = 2 }), "proven, asked for more: short reply"},
		{chaos.Honest, with(func(f *demoFound) { f.Ranges[fault.Refused] = 2 }), "proven"},
		{chaos.Files, with(func(f *demoFound) { f.Ranges[fault.Timeout] = 2 }), "proven, its proof counts for the honest chain"},
		{chaos.Files, with(func(f *demoFound) {
			f.Charged, f.Rule = []fault.Kind{fault.TooLong, fault.InvalidTrailer}, rules.PowPeach
		}), "then convicted: invalid trailer (EMCM_POWPEACH)"},
		{chaos.Files, with(func(f *demoFound) {
			f.Charged, f.Rule = []fault.Kind{fault.TooLong}, rules.PowPeach
		}), "then convicted: too long"},
		{chaos.Proofs, demoFound{Scan: "convicted: invalid_trailer (EMCM_TIME0)"}, "convicted: invalid trailer (EMCM_TIME0)"},
		{chaos.Claims, demoFound{Scan: "set_aside: too_high"}, "set aside: too high"},
		{chaos.Honest, with(func(f *demoFound) { f.Scan, f.Faults = "proven [broken_link]", []fault.Kind{fault.BrokenLink} }), "proven at last, first: broken link"},
		{chaos.Lists, with(func(f *demoFound) { f.Faults = []fault.Kind{fault.BadList} }), "proven, and charged: bad list"},
		{chaos.Lists, with(func(f *demoFound) { f.Named = 64 }), "proven, names 64, nobody new"},
		{chaos.Lists, with(func(f *demoFound) { f.Named, f.New = 64, 12 }), "proven, names 64, 12 new, none proven"},
		{chaos.Lists, with(func(f *demoFound) { f.Named, f.New, f.Useful = 64, 12, 1 }), "proven, its proof counts for the honest chain"},
		{chaos.Honest, with(func(f *demoFound) { f.Behind = 1 }), "proven, on the chain, 1 block behind"},
		{chaos.Proofs, with(func(f *demoFound) { f.Thin, f.Scan = true, "thin" }), "thin: too little work to count"},
		{chaos.Proofs, with(func(f *demoFound) { f.Branch, f.Chosen = 4, false }), "proven, ranks 4 of 8, one place with the best"},
		{chaos.Proofs, with(func(f *demoFound) { f.Branch, f.Chosen, f.Meets = 7, false, false; f.Ranges[fault.Refused] = 4 }), "proven, ranks 7 of 8, not chosen"},
		{chaos.Proofs, with(func(f *demoFound) { f.Branch, f.Chosen, f.Meets, f.Fresh = 8, false, false, false }), "proven, ranks last of 8, its tip is old"},
	} {
		if got := c.found.text(c.family); got != c.want {
			t.Errorf("%s %+v: got %q, want %q", c.family, c.found, got, c.want)
		}
	}
}

// The numbers of the demo's kill must be those of a node that goes on.
func TestDemoWorkCheck(t *testing.T) {
	for _, c := range []struct {
		name   string
		work   demoWork
		before int64
		ok     bool
	}{
		{"exact", demoWork{All: 30000, Left: 3000, Chain: 27000}, 2000, true},
		{"from the beginning", demoWork{All: 30000, Chain: 30000}, 2000, false},
		{"one too few", demoWork{All: 30000, Left: 3000, Chain: 27000, Beside: -1}, 2000, false},
		{"a range beside", demoWork{All: 30000, Left: 3000, Chain: 27000, Beside: 1000}, 2000, true},
		{"a range and one", demoWork{All: 30000, Left: 3000, Chain: 27000, Beside: 1001}, 2000, false},
		{"a range lost", demoWork{All: 30000, Left: 3000, Chain: 27000}, 4000, true},
		{"more than a range lost", demoWork{All: 30000, Left: 3000, Chain: 27000}, 4001, false},
	} {
		if err := c.work.check(c.before); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A demo that is interrupted takes its node with it.
func TestDemoInterrupted(t *testing.T) {
	dir := t.TempDir()
	p := demoIn(t, dir)
	p.until(t, "the node's data folder", func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, "kigo-demo-*", "kigo", "memory.db"))
		return len(found) > 0
	})
	begun := time.Now()
	p.interrupt(t)
	_ = p.Wait()
	if code := p.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d\nstdout: %s\nstderr: %s", code, exitInterrupted, &p.stdout, &p.stderr)
	}
	// It promises grace; a busy machine or disk gets some more.
	if took := time.Since(begun); took > grace+4*time.Second {
		t.Errorf("took %v to end", took)
	}
	wantClean(t, dir)
}
