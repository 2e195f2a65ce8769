//go:build unix

package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// runNode starts a node that has an empty data folder and a peer that isn't there.
func runNode(t *testing.T, prepare func(*exec.Cmd), args ...string) *process {
	t.Helper()
	args = append([]string{"run", "--peer", "127.99.0.1", "--port", freePort(t)}, args...)
	if !strings.Contains(strings.Join(args, " "), "--data-dir") {
		args = append(args, "--data-dir", t.TempDir())
	}
	return start(t, prepare, args...)
}

// scanned waits until the first scan has ended.
func (p *process) scanned(t *testing.T) {
	t.Helper()
	p.until(t, "the first scan", func() bool { return strings.Contains(p.stderr.String(), "scan done") })
}

// TestRunEnds has a signal end a node that follows nobody.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	p := runNode(t, nil, "--listen-peer", "127.0.0.1:0")
	p.scanned(t)
	began := time.Now()
	p.interrupt(t)
	o := p.end(t)
	if o.want(t, exitOK); o.stdout != "" {
		t.Errorf("printed %s", o.stdout)
	}
	// The exit code tells that it took no more than grace.
	if d := time.Since(began); d > grace+4*time.Second {
		t.Errorf("took %v to end", d)
	}
	contains(t, "the log", o.stderr, "node starts", "engines=[portable]", "listener is up", "node has ended")
}

// TestRunRefused has settings that can't be used.
func TestRunRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	hash := strings.Repeat("ab", 32)
	base := func(name, text string) []string {
		return []string{"--config", write(name+".yaml", "chain:\n  base: "+write(name+".json", text)+"\n")}
	}
	foreign := filepath.Join(dir, "foreign")
	if err := os.MkdirAll(filepath.Join(foreign, "tfile.dat"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		args []string
		says []string
	}{
		{"nobody to call", []string{"--peer", ""}, []string{"no peer is known", "--peer ADDRESS", "--core-file FILE"}},
		{"folder", []string{"--data-dir", write("file", "")}, []string{"data.dir", "not a directory", "--data-dir"}},
		{"IPv6", []string{"--listen-peer", "[::1]:2095"}, []string{"node.listen", `"[::1]:2095"`, "IPv4"}},
		{"no port", []string{"--listen-peer", "127.0.0.1"}, []string{"node.listen", "127.0.0.1"}},
		{"argument", []string{"127.0.0.1"}, []string{"kigo run takes no arguments"}},
		{"no such import", []string{"--import", filepath.Join(dir, "nowhere")}, []string{"data.import", "nowhere/tfile.dat", "no such file"}},
		{"import of a folder", []string{"--import", foreign}, []string{"data.import", "no regular file"}},
		{"no base", []string{"--config", write("none.yaml", "chain:\n  base: "+dir+"/none\n")}, []string{"chain.base", "no such file"}},
		{"base is no JSON", base("text", "0x1234"), []string{"chain.base", "text.json", `want {"height"`}},
		{"base with more", base("more", `{"height": 1, "bhash": ""}`), []string{"chain.base", `unknown field "bhash"`}},
		{"base without hash", base("short", `{"height": 1, "hash": "abcd", "weight": "1"}`), []string{"chain.base", `hash "abcd" is not 64 hex digits`}},
		{"base without weight", base("light", `{"height": 1, "hash": "`+hash+`", "weight": "x"}`), []string{"chain.base", "weight"}},
		{"two bases", base("two", `{"height": 1, "hash": "`+hash+`", "weight": "1"}{}`), []string{"chain.base", "something behind the object"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append([]string{"run", "--peer", "127.1.0.1"}, c.args...)
			if c.name == "nobody to call" {
				args = []string{"run"}
			}
			if !strings.Contains(strings.Join(args, " "), "--data-dir") {
				args = append(args, "--data-dir", t.TempDir())
			}
			o := start(t, nil, args...).end(t)
			o.want(t, exitUsage)
			contains(t, "the refusal", o.stderr, c.says...)
			if strings.Contains(o.stderr, "--no-memory") {
				t.Errorf("it names a flag that kigo run doesn't have: %s", o.stderr)
			}
		})
	}
}

// TestTwoNodes has a second node want the folder of the first.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := runNode(t, nil, "--data-dir", dir)
	p.scanned(t)
	second := runNode(t, nil, "--data-dir", dir).end(t)
	second.want(t, exitFailed)
	contains(t, "the second", second.stderr, "in use by another kigo", dir)
	p.interrupt(t)
	p.end(t).want(t, exitOK)
}

// TestImport takes over a C node's trailer file, without writing into its folder.
func TestImport(t *testing.T) {
	t.Parallel()
	file := synthFile(t, "--blocks", "120", "--difficulty", "2", "--seed", "5")
	folder := filepath.Dir(file)
	before := readFile(t, file)
	dir := t.TempDir()
	p := runNode(t, nil, "--data-dir", dir, "--import", folder)
	p.scanned(t)
	p.interrupt(t)
	o := p.end(t)
	o.want(t, exitOK)
	contains(t, "the log", o.stderr, "trailer file is being proven", "trailer file is proven", "without chain.pin")
	if !bytes.Equal(readFile(t, filepath.Join(dir, "tfile.dat")), before) || !bytes.Equal(readFile(t, file), before) {
		t.Error("the own chain is not the file that was imported, or that has changed")
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) != 1 {
		t.Errorf("in the C node's folder are now %v, %v", left, err)
	}

	// Of a file that goes bad its good beginning is taken.
	spoiled := bytes.Clone(before)
	spoiled[100*160] ^= 1
	bad := t.TempDir()
	if err := os.WriteFile(filepath.Join(bad, "tfile.dat"), spoiled, 0o600); err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	p = runNode(t, nil, "--data-dir", dir, "--import", bad)
	p.scanned(t)
	p.interrupt(t)
	o = p.end(t)
	o.want(t, exitOK)
	contains(t, "the log", o.stderr, "trailer file is bad from here on", "EMCM_PHASH")
	if got := readFile(t, filepath.Join(dir, "tfile.dat")); !bytes.Equal(got, before[:100*160]) {
		t.Errorf("%d trailers were taken over, want the first 100", len(got)/160)
	}
}

// TestSystemd listens as systemd does.
func TestSystemd(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Skipf("no sockets for datagrams here: %v", err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(bound)); err != nil {
		t.Fatal(err)
	}
	p := runNode(t, func(c *exec.Cmd) { c.Env = append(c.Env, "NOTIFY_SOCKET="+socket, "WATCHDOG_USEC=400000") })
	heard := map[string]int{}
	hear := func(want string) {
		t.Helper()
		for b := make([]byte, 1<<12); heard[want] == 0; {
			n, err := conn.Read(b)
			if err != nil {
				t.Fatalf("%s was not heard: %v; stderr: %s", want, err, p.stderr.String())
			}
			for line := range strings.Lines(string(b[:n])) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
				if name != "STATUS" {
					name += "=" + value
				}
				heard[name]++
			}
		}
	}
	hear("READY=1")
	hear("STATUS")
	hear("WATCHDOG=1")
	if heard["STOPPING=1"] > 0 {
		t.Error("it stops without being told to")
	}
	p.interrupt(t)
	hear("STOPPING=1")
	p.end(t).want(t, exitOK)
}
