//go:build unix

package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"kigo/node/mcm"
)

// interrupt sends what Ctrl-C sends.
func (p *process) interrupt(t *testing.T) {
	t.Helper()
	if err := p.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
}

// wantInterrupted waits for the end that a signal brings.
func (p *process) wantInterrupted(t *testing.T) {
	t.Helper()
	o := p.end(t)
	if o.want(t, exitInterrupted); o.stdout != "" {
		t.Errorf("printed %s", o.stdout)
	}
	contains(t, "the error", o.stderr, "interrupted")
}

// until looks for a condition again and again, as long as p runs.
func (p *process) until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-p.ctx.Done():
			t.Fatalf("%s didn't come\nstderr: %s", what, &p.stderr)
		}
	}
}

func makeFIFO(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// openWriter returns the write end of a FIFO once p has opened it for reading.
func (p *process) openWriter(t *testing.T, fifo string) *os.File {
	t.Helper()
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened, 1)
	go func() {
		f, err := os.OpenFile(fifo, os.O_WRONLY, 0) // waits for the reader
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			t.Fatal(o.err)
		}
		t.Cleanup(func() { o.f.Close() })
		return o.f
	case <-p.ctx.Done():
		if r, err := os.OpenFile(fifo, os.O_RDONLY|syscall.O_NONBLOCK, 0); err == nil { // lets the writer go
			<-done
			r.Close()
		}
		t.Fatalf("%q never opened the FIFO\nstderr: %s", p.Args[1:], &p.stderr)
		return nil
	}
}

// streams are commands that read what has no length.
var streams = []struct {
	name string
	args []string
}{
	{"verify", []string{"verify", "--json"}},
	{"segment", []string{"verify", "--json", "--segment"}},
	{"no-pow", []string{"verify", "--json", "--no-pow"}},
	{"pow", []string{"pow", "--jsonl"}},
	{"show", []string{"show", "--jsonl"}},
}

func TestInterruptedAtSilentFIFO(t *testing.T) {
	for _, command := range streams {
		t.Run(command.name, func(t *testing.T) {
			fifo := makeFIFO(t)
			p := start(t, nil, with(command.args, fifo)...)
			p.openWriter(t, fifo) // and writes nothing
			p.interrupt(t)
			p.wantInterrupted(t)
		})
		// Without a writer even opening waits.  The settings come through a FIFO
		// of their own, so that the signal comes when the program listens to it.
		t.Run(command.name+" without a writer", func(t *testing.T) {
			config := makeFIFO(t)
			p := start(t, nil, with(command.args, "--config", config, makeFIFO(t))...)
			settings := p.openWriter(t, config)
			if _, err := io.WriteString(settings, "log:\n  level: warn\n"); err != nil {
				t.Fatal(err)
			}
			settings.Close()
			p.interrupt(t)
			p.wantInterrupted(t)
		})
	}
	t.Run("pins", func(t *testing.T) { // it reads twice, so it refuses
		fifo := makeFIFO(t)
		p := start(t, nil, "pins", "derive", fifo)
		p.openWriter(t, fifo)
		if o := p.end(t); o.code != exitUsage || o.stdout != "" {
			t.Errorf("got %+v", o)
		}
	})
	t.Run("resume", func(t *testing.T) {
		fifo := makeFIFO(t)
		p := start(t, nil, "verify", "--resume", fifo)
		p.openWriter(t, fifo)
		if o := p.end(t); o.code != exitUsage || o.stdout != "" {
			t.Errorf("got %+v", o)
		}
		if _, err := os.Stat(fifo + ".kigo"); err == nil {
			t.Error("a side file was left")
		}
	})
}

// TestInterruptedAtSilentSettings waits for settings and a pin that never come.
func TestInterruptedAtSilentSettings(t *testing.T) {
	for _, flag := range []string{"--config", "--pin"} {
		t.Run(flag, func(t *testing.T) {
			fifo := makeFIFO(t)
			p := start(t, nil, "verify", "--json", flag, fifo, genesis)
			p.openWriter(t, fifo)
			p.interrupt(t)
			p.wantInterrupted(t)
		})
	}
}

// TestFIFODelivers makes sure that a FIFO is read at all.
func TestFIFODelivers(t *testing.T) {
	fifo := makeFIFO(t)
	p := start(t, nil, "verify", "--json", "--segment", fifo)
	w := p.openWriter(t, fifo)
	if _, err := w.Write(readFile(t, segment255)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	o := p.end(t)
	o.want(t, exitOK)
	if !o.oneObject(t) {
		t.Errorf("got %s", o.stdout)
	}
}

// TestInterruptedAtIdleInput feeds more good trailers than a pipe holds, and half
// of one more.
func TestInterruptedAtIdleInput(t *testing.T) {
	data := mcm.Bytes(chainOn(mcm.GenesisTrailer(), 7000, nil, mcm.BridgeV2))
	data = append(append([]byte{}, data...), make([]byte, mcm.TrailerLen/2)...)
	for _, command := range streams {
		if command.name == "segment" {
			continue // it reads as verify does
		}
		t.Run(command.name, func(t *testing.T) {
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close()
			p := start(t, func(cmd *exec.Cmd) { cmd.Stdin = r }, with(command.args, "-")...)
			r.Close()
			if _, err := w.Write(data); err != nil { // returns when nearly all is read
				t.Fatalf("%v\nstderr: %s", err, &p.stderr)
			}
			p.interrupt(t)
			o := p.end(t)
			o.want(t, exitInterrupted)
			contains(t, "the error", o.stderr, "interrupted")
			if strings.Contains(o.stdout, `"valid": true`) || command.name != "pow" && o.stdout != "" {
				t.Errorf("printed %.500s", o.stdout)
			}
		})
	}
}

// workedFile holds a segment of n trailers, all but the neogenesis blocks with a
// Peach proof at difficulty 0: real work to check, none to find.
func workedFile(t *testing.T, n int) (path string, worked int) {
	t.Helper()
	nonce := *mainnetTrailers(t)[0].Nonce()
	ts := chainOn(firstOf(0x94701, 0, &nonce, 200), n, &nonce, 200)
	for i := range ts {
		if ts[i].Kind() == mcm.Standard {
			worked++
		}
	}
	return writeTemp(t, "worked.bin", mcm.Bytes(ts)), worked
}

// TestInterruptedRunGoesOn interrupts a long verification once it has saved
// something.
func TestInterruptedRunGoesOn(t *testing.T) {
	t.Parallel()
	file, worked := workedFile(t, 12_000)
	p := start(t, nil, "verify", "--segment", "--json", "--resume", "--engine", "portable", "--workers", "1", file)
	side := file + ".kigo"
	p.until(t, side, func() bool { _, err := os.Stat(side); return err == nil })
	p.interrupt(t)
	o := p.end(t)
	if o.want(t, exitInterrupted); o.stdout != "" {
		t.Errorf("printed %s", o.stdout)
	}
	contains(t, "the error", o.stderr, "interrupted", side)
	r := verifyJSON(t, exitOK, "--segment", "--resume", file)
	if !r.Valid || r.PoW.Known == 0 || r.PoW.Checked == 0 || r.PoW.Known+r.PoW.Checked != int64(worked) {
		t.Errorf("the second run: got %+v, want %d in all, some of them known", r.PoW, worked)
	}
}

// position returns how far p has read a file, 0 when it isn't open.
func (p *process) position(t *testing.T, path string) (at int64) {
	t.Helper()
	dir := "/proc/" + strconv.Itoa(p.Process.Pid)
	fds, err := os.ReadDir(dir + "/fd")
	if err != nil {
		t.Fatalf("%v; stderr: %s", err, &p.stderr)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(dir + "/fd/" + fd.Name()); err != nil || to != path {
			continue
		}
		info, err := os.ReadFile(dir + "/fdinfo/" + fd.Name())
		if err != nil {
			continue // closed since
		}
		position, _, _ := strings.Cut(string(info), "\n")
		at, _ = strconv.ParseInt(strings.TrimSpace(strings.TrimPrefix(position, "pos:")), 10, 64)
	}
	return at
}

// readingFrom waits until p has read from a file.
func (p *process) readingFrom(t *testing.T, path string) {
	t.Helper()
	p.until(t, "reading", func() bool { return p.position(t, path) > 0 })
}

// pause has p stand still, with no read under way, until resume.
func (p *process) pause(t *testing.T) (resume func()) {
	t.Helper()
	send := func(s os.Signal) {
		t.Helper()
		if err := p.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	send(syscall.SIGSTOP)
	p.until(t, "the pause", func() bool {
		threads, _ := filepath.Glob("/proc/" + strconv.Itoa(p.Process.Pid) + "/task/*/stat")
		for _, name := range threads {
			if b, err := os.ReadFile(name); err == nil && !strings.Contains(string(b), ") T ") {
				return false
			}
		}
		return true
	})
	return func() { send(syscall.SIGCONT) }
}

// TestFileChangesWhileRead has the file change when the program has read its
// beginning and is busy with it.
func TestFileChangesWhileRead(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /proc")
	}
	t.Parallel()
	// An engine that every machine has, and that needs seconds for all.
	args := []string{"verify", "--segment", "--json", "--engine", "lanes"}
	t.Run("shrinks", func(t *testing.T) {
		file, _ := workedFile(t, 14_000)
		p := start(t, nil, with(args, file)...)
		p.readingFrom(t, file)
		resume := p.pause(t) // a read that the cut came into could deliver zeros
		if at := p.position(t, file); at == 0 || at == 14_000*mcm.TrailerLen {
			t.Fatal("all was read at once")
		}
		if err := os.Truncate(file, mcm.TrailerLen); err != nil {
			t.Fatal(err)
		}
		resume()
		o := p.end(t)
		if o.want(t, exitFailed); o.stdout != "" {
			t.Errorf("printed %s", o.stdout)
		}
		contains(t, "the error", o.stderr, "of 2240000 bytes")
	})
	t.Run("grows", func(t *testing.T) {
		file, worked := workedFile(t, 8000)
		p := start(t, nil, with(args, file)...)
		p.readingFrom(t, file)
		f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString(strings.Repeat("not a trailer", 1000))
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		o := p.end(t)
		o.want(t, exitOK)
		if !o.oneObject(t) {
			t.Errorf("got %s", o.stdout)
		}
		contains(t, "the report", o.stdout, `"trailers": 8000,`, `"checked": `+strconv.Itoa(worked))
	})
}
