//go:build unix

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"kigo/node/scan"
)

// seen reports how many requests and connections the fleet's peer of a kind has
// seen.
func (f *testFleet) seen(kind string) (requests, connections int64) {
	for _, s := range f.Stats() {
		if s.Kind == kind {
			requests += s.Requests
			connections += s.Connections
		}
	}
	return requests, connections
}

// TestInterruptedScan interrupts scans that wait for a silent peer.
func TestInterruptedScan(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		more []string
		says string
	}{
		{"", nil, "what was found is remembered"},
		{"without memory", []string{"--no-memory"}, "nothing is kept (--no-memory)"},
		{"as JSON", []string{"--json"}, "what was found is remembered"},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newTestFleet(t, "honest", "silent", "busy")
			args := f.args(t, "scan", append(c.more, "--quorum-peers", "1", "--quorum-groups", "1", "--retry", "1s")...)
			p := start(t, nil, append(args, f.peers()...)...)
			// A second after its first calls the proof of the honest peer is judged.
			p.until(t, "a third call of the busy one", func() bool { _, n := f.seen("busy"); return n >= 3 })
			p.interrupt(t)
			o := p.end(t)
			if o.want(t, exitInterrupted); o.stdout != "" {
				t.Errorf("printed %s", o.stdout)
			}
			contains(t, "the end", o.stderr, "interrupted", "3 peers asked", c.says)
			if len(c.more) == 0 { // and it is: nobody has to be named
				contains(t, "the next scan", kigo(t, args...).want(t, exitOK), "127.1.0.1", "QUORUM")
			}
		})
	}
	t.Run("check", func(t *testing.T) {
		f := newTestFleet(t, "silent")
		p := start(t, nil, f.args(t, "check", f.addrs[0])...)
		p.until(t, "the call", func() bool { _, n := f.seen("silent"); return n > 0 })
		p.interrupt(t)
		p.wantInterrupted(t)
	})
}

// TestRepeatedScan looks at the listener of a scan that goes on, until a signal
// ends it.
func TestRepeatedScan(t *testing.T) {
	t.Parallel()
	f := newTestFleet(t, "honest", "honest", "honest", "garbage-proof")
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	args := append(f.args(t, "scan", f.peers()...), "--every", "1s", "--listen", "127.0.0.1:0", "--json", "--log-level", "info")
	p := start(t, func(cmd *exec.Cmd) { cmd.Stderr = log }, args...)
	addr := regexp.MustCompile(`addr=(127\.0\.0\.1:\d+)`)
	var base string
	p.until(t, "the listener's address", func() bool {
		if m := addr.FindSubmatch(readFile(t, log.Name())); m != nil {
			base = "http://" + string(m[1])
		}
		return base != ""
	})
	get := func(path string) (int, string) {
		r, err := http.Get(base + path)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b)
	}
	p.until(t, "a ready scan", func() bool { code, _ := get("/readyz"); return code == http.StatusOK })
	for path, parts := range map[string][]string{
		"/healthz":     {"portable"},
		"/v1/peers":    {"127.1.0.1", "127.4.0.1", "convicted"},
		"/v1/forks":    {"quorum"},
		"/v1/evidence": {"127.4.0.1"},
		"/metrics":     {"kigo_scan_", "kigo_peer_", "kigo_verify_trailers_total{", "kigo_memory_records", "kigo_build_info", "go_goroutines"},
	} {
		code, body := get(path)
		if code != http.StatusOK {
			t.Errorf("%s: status %d: %.300s", path, code, body)
		}
		contains(t, path, body, parts...)
	}
	// More than one scan, each with an object of its own.
	p.until(t, "the second scan", func() bool { n, _ := f.seen("honest"); return n >= 12 })
	p.interrupt(t)
	o := p.end(t)
	o.want(t, exitInterrupted)
	contains(t, "stderr", string(readFile(t, log.Name())), "interrupted")
	d := json.NewDecoder(strings.NewReader(o.stdout))
	scans := 0
	for ; ; scans++ {
		var r scanned
		if err := d.Decode(&r); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("scan %d: %v", scans, err)
		}
		if r.State != scan.Quorum {
			t.Errorf("scan %d: state %s", scans, r.State)
		}
	}
	if scans < 1 {
		t.Errorf("no scan was printed")
	}
}

// TestRepeatedScanWithoutMemory makes sure that what scans found is there while they
// go on, though nothing is written, and looks at the listener for profiles.
func TestRepeatedScanWithoutMemory(t *testing.T) {
	t.Parallel()
	f := newTestFleet(t, "honest", "honest", "honest", "garbage-proof")
	dir := t.TempDir()
	log, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	state := filepath.Join(dir, "state")
	args := append(f.args(t, "scan", f.peers()...), "--every", "1s", "--listen", "127.0.0.1:0", "--pprof-listen", "127.0.0.1:0",
		"--no-memory", "--data-dir", state, "--log-level", "info")
	p := start(t, func(cmd *exec.Cmd) { cmd.Stderr = log }, args...)
	up := func(key string) (base string) {
		addr := regexp.MustCompile(`key=` + regexp.QuoteMeta(key) + ` addr=(127\.0\.0\.1:\d+)`)
		p.until(t, key, func() bool {
			if m := addr.FindSubmatch(readFile(t, log.Name())); m != nil {
				base = "http://" + string(m[1])
			}
			return base != ""
		})
		return base
	}
	status, profiles := up("api.listen"), up("api.pprof-listen")
	get := func(url string) (int, string) {
		r, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		return r.StatusCode, string(b)
	}
	p.until(t, "the second scan", func() bool { _, body := get(status + "/v1/peers"); return strings.Contains(body, `"skipped"`) })
	_, body := get(status + "/v1/evidence")
	contains(t, "the evidence of the first", body, `"matched": 1`, "127.4.0.1")
	for url, want := range map[string]int{
		profiles + "/debug/pprof/":         http.StatusOK,
		profiles + "/metrics":              http.StatusNotFound,
		status + "/debug/pprof/":           http.StatusNotFound,
		profiles + "/debug/pprof/heap":     http.StatusOK,
		status + "/v1/evidence?kind=wrong": http.StatusBadRequest,
	} {
		if code, _ := get(url); code != want {
			t.Errorf("%s: status %d, want %d", url, code, want)
		}
	}
	p.interrupt(t)
	o := p.end(t)
	o.want(t, exitInterrupted)
	contains(t, "the report", o.stdout, "1 record of evidence, at /v1/evidence until this ends (--no-memory)", "QUORUM", "\nagain every 1s, until interrupted\n\nPEER")
	if _, err := os.Stat(state); !os.IsNotExist(err) {
		t.Errorf("the data folder is there: %v", err)
	}
}

func TestListenerThatCannotBe(t *testing.T) {
	f := newTestFleet(t, "honest")
	o := kigo(t, f.args(t, "scan", "--peer", f.addrs[0], "--every", "1s", "--listen", fmt.Sprintf("%s:%d", f.addrs[0], f.Port()))...)
	o.want(t, exitUsage)
	contains(t, "the error", o.stderr, "api.listen", "address already in use")
	o = kigo(t, f.args(t, "scan", "--peer", f.addrs[0], "--every", "1s", "--listen", "127.0.0.1:0", "--pprof-listen", fmt.Sprintf("%s:%d", f.addrs[0], f.Port()))...)
	o.want(t, exitUsage)
	contains(t, "the error", o.stderr, "api.pprof-listen", "address already in use")
}

func TestChaosServes(t *testing.T) {
	core := filepath.Join(t.TempDir(), "core.lst")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr bytes.Buffer
	ended := make(chan int, 1)
	port := freePort(t)
	go func() {
		ended <- run(ctx, []string{"chaos", "--serve", "--kinds", "bad-ids", "--peers", "4", "--honest", "3", "--port", port, "--core-out", core}, nil, &stdout, &stderr)
	}()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(core); err == nil {
			break
		}
		select {
		case code := <-ended:
			t.Fatalf("ended with code %d: %s", code, &stderr)
		case <-tick.C:
		}
	}
	kigo(t, "scan", "--no-memory", "--core-file", core, "--port", port, "--retry", "10ms").want(t, exitOK)
	cancel()
	if code := <-ended; code != exitOK {
		t.Errorf("exit code %d, want %d: its end is a signal", code, exitOK)
	}
	contains(t, "what the fleet saw", stdout.String(), "KIND", "honest", "bad-ids", "kB", "convicted: bad_frame")
	contains(t, "stderr", stderr.String(), "fleet is up", "port="+port)
}

// freePort returns a port at which nobody else listens until the test ends, but a
// fleet at 127.1.0.1 that keeps it from other fleets.
func freePort(t *testing.T) string { return fmt.Sprint(newTestFleet(t, "honest").Port()) }

// TestReportThatCannotBeWritten writes to a full disk and to a closed pipe.
func TestReportThatCannotBeWritten(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("no /dev/full")
	}
	defer full.Close()
	f := newTestFleet(t, "honest")
	for _, args := range [][]string{
		f.args(t, "scan", "--peer", f.addrs[0]),
		f.args(t, "scan", "--peer", f.addrs[0], "--json"),
		f.args(t, "check", f.addrs[0]),
		f.args(t, "check", f.addrs[0], "--json"),
		{"chaos", "--list"},
		{"evidence", "list", "--data-dir", t.TempDir()},
	} {
		p := start(t, func(cmd *exec.Cmd) { cmd.Stdout = full }, args...)
		o := p.end(t)
		o.want(t, exitFailed)
		contains(t, fmt.Sprintf("%q: the error", args), o.stderr, "no space left")

		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		p = start(t, func(cmd *exec.Cmd) { cmd.Stdout = w }, args...)
		w.Close()
		p.Wait()
		status := p.ProcessState.Sys().(syscall.WaitStatus)
		if !status.Signaled() && status.ExitStatus() != exitFailed || status.Signaled() && status.Signal() != syscall.SIGPIPE {
			t.Errorf("%q: ended with %v, want the end that a closed pipe brings", args, p.ProcessState)
		}
	}
}

// TestTwoAtOnce has two scans share a data folder, which only one can.
func TestTwoAtOnce(t *testing.T) {
	t.Parallel()
	f := newTestFleet(t, "silent", "honest")
	args := f.args(t, "scan", f.peers()...)
	p := start(t, nil, args...)
	p.until(t, "the first scan", func() bool { _, n := f.seen("silent"); return n > 0 })
	o := kigo(t, args...)
	o.want(t, exitFailed)
	contains(t, "the error", o.stderr, memoryName, "in use", "another data folder")
	p.interrupt(t)
	p.wantInterrupted(t)
}
