package main

import (
	"bufio"
	"cmp"
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
	"strings"
	"sync"
	"time"

	"kigo/node/chain"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/status"
)

// A demoNode is a kigo run of its own process, and what it tells through its
// listener.
type demoNode struct {
	name string
	dir  string // its data folder
	cmd  *exec.Cmd
	http http.Client
	quit context.CancelFunc // of those who read from it
	ends sync.WaitGroup     // they
	done chan struct{}      // closed when the process has ended
	err  error              // why, once it has

	mu     sync.Mutex
	api    string        // address of its listener, empty before it is up
	up     chan struct{} // closed then
	logs   []string      // the last ones
	left   []demoLeft    // what it found of its last run
	failed []demoRange   // that it didn't get
	events []demoEvent
}

// A demoLeft is what a node logs of trailers that an earlier run of it has left.
type demoLeft struct {
	Low, High mcm.BlockNum
	LowHash   string `json:"low_hash"`
	Tip       string
	Unproven  []chain.Span
}

// A demoRange is what a node logs of a range of trailers that a peer didn't serve as
// it should.
type demoRange struct {
	Peer netip.Addr
	Kind fault.Kind
}

// A demoEvent is one of /v1/events.
type demoEvent struct {
	Seq  uint64           `json:"seq"`
	Kind status.EventKind `json:"kind"`
	Data json.RawMessage  `json:"data"`
}

// A demoStatus is what the demo looks at of /v1/status.
type demoStatus struct {
	State  string `json:"state"`
	Reason string `json:"reason"`
	Event  uint64 `json:"event"` // the last one
	Tip    *struct {
		Height uint64 `json:"height"`
		Hash   string `json:"hash"`
		Weight string `json:"weight"`
		Groups int    `json:"groups"`
		Peers  int    `json:"peers"`
		Haiku  string `json:"haiku"`
	} `json:"tip"`
	Sync *struct {
		Stage    string `json:"stage"`
		Received int64  `json:"received_bytes"`
		Trailers int64  `json:"trailers"`
		Checked  int64  `json:"checked"`
		Branches []struct {
			Height   uint64 `json:"height"`
			Trailers int64  `json:"trailers"`
		} `json:"branches"`
	} `json:"sync"`
}

// logsKept is how many lines of a node's log there are to show when something is
// wrong.
const logsKept = 12

// startNode starts this program as a node, with a config file of its own, and waits
// for its listener.
func (d *demo) startNode(ctx context.Context, name, config string) (*demoNode, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	n := &demoNode{name: name, dir: filepath.Join(d.dir, name), done: make(chan struct{}), up: make(chan struct{})}
	file := filepath.Join(d.dir, name+".yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	n.cmd = exec.Command(program, "run", "--config", file, "--data-dir", n.dir)
	n.cmd.Env = slices.DeleteFunc(os.Environ(), func(pair string) bool {
		return strings.HasPrefix(pair, "KIGO_") && !strings.HasPrefix(pair, "KIGO_TEST_") || strings.HasPrefix(pair, "NOTIFY_SOCKET=")
	})
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	n.cmd.Stdout, n.cmd.Stderr = w, w
	err = n.cmd.Start()
	w.Close()
	if err != nil {
		r.Close()
		return nil, fmt.Errorf("start a node: %w", err)
	}
	d.nodes = append(d.nodes, n)
	reading, quit := context.WithCancel(context.Background())
	n.quit = quit
	go func() { // it ends when the process does, which clear makes sure of
		n.readLogs(r)
		r.Close()
		n.err = n.cmd.Wait()
		close(n.done)
	}()
	select {
	case <-n.up:
	case <-n.done:
		return nil, fmt.Errorf("the node ended at once (%v): %s", n.err, strings.Join(n.lastLogs(), "; "))
	case <-time.After(20 * time.Second):
		return nil, errors.New("the node's listener isn't up after 20 s")
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	n.ends.Go(func() { n.readEvents(reading) })
	return n, nil
}

// readLogs reads what the node logs, as JSON, until it ends.
func (n *demoNode) readLogs(r io.Reader) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var entry struct {
			Level, Msg, Key, Addr string
		}
		_ = json.Unmarshal(lines.Bytes(), &entry) // what is no JSON is only kept
		var left demoLeft
		var failed demoRange
		n.mu.Lock()
		if entry.Level != "DEBUG" {
			if n.logs = append(n.logs, lines.Text()); len(n.logs) > logsKept {
				n.logs = n.logs[1:]
			}
		}
		switch entry.Msg {
		case "listener is up":
			if n.api == "" && entry.Key == "api.listen" {
				n.api = "http://" + entry.Addr
				close(n.up)
			}
		case "going on with what an earlier run has left":
			if json.Unmarshal(lines.Bytes(), &left) == nil {
				n.left = append(n.left, left)
			}
		case "range not obtained":
			if json.Unmarshal(lines.Bytes(), &failed) == nil {
				n.failed = append(n.failed, failed)
			}
		}
		n.mu.Unlock()
	}
}

// lastLogs returns the last lines that the node has logged.
func (n *demoNode) lastLogs() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.logs)
}

// readEvents collects all events until the node ends.
func (n *demoNode) readEvents(ctx context.Context) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.api+"/v1/events?after=0", nil)
	if err != nil {
		return
	}
	resp, err := n.http.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		data, is := strings.CutPrefix(lines.Text(), "data: ")
		var e demoEvent
		if !is || json.Unmarshal([]byte(data), &e) != nil || e.Seq == 0 {
			continue
		}
		n.mu.Lock()
		n.events = append(n.events, e)
		n.mu.Unlock()
	}
}

// seen returns the events of a kind behind number seq.
func (n *demoNode) seen(kind status.EventKind, seq uint64) (es []demoEvent) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, e := range n.events {
		if e.Kind == kind && e.Seq > seq {
			es = append(es, e)
		}
	}
	return es
}

// last is the number of the last event seen.
func (n *demoNode) last() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.events) == 0 {
		return 0
	}
	return n.events[len(n.events)-1].Seq
}

// get reads one of the node's pages.
func (n *demoNode) get(ctx context.Context, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.api+path, nil)
	if err != nil {
		return nil, err
	}
	resp, err := n.http.Do(req)
	if err != nil {
		select {
		case <-n.done:
			return nil, fmt.Errorf("the node ended (%v): %s", n.err, strings.Join(n.lastLogs(), "; "))
		default:
			return nil, err
		}
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 16<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %.200s", path, resp.Status, b)
	}
	return b, err
}

func (n *demoNode) status(ctx context.Context) (s demoStatus, err error) {
	b, err := n.get(ctx, "/v1/status")
	if err == nil {
		err = json.Unmarshal(b, &s)
	}
	return s, err
}

// until looks at the node's status again and again until holds returns true.
func (n *demoNode) until(ctx context.Context, what string, wait time.Duration, holds func(*demoStatus) bool) (s demoStatus, err error) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(wait); ; {
		if s, err = n.status(ctx); err != nil {
			return s, cmp.Or(context.Cause(ctx), err)
		}
		if holds(&s) {
			return s, nil
		}
		if time.Now().After(end) {
			return s, fmt.Errorf("%s didn't come within %v; the node is in state %s: %s", what, wait, s.State, s.Reason)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return s, context.Cause(ctx)
		}
	}
}

// hear waits until all events have come that have happened.
func (n *demoNode) hear(ctx context.Context) error {
	now, err := n.status(ctx)
	if err == nil {
		_, err = n.until(ctx, "what has happened", 10*time.Second, func(*demoStatus) bool { return n.last() >= now.Event })
	}
	return err
}

// kill ends the node as a power cut does, and waits for its end.
func (n *demoNode) kill() {
	_ = n.cmd.Process.Kill() // it may have ended
	n.quit()
	<-n.done
	n.ends.Wait()
	n.http.CloseIdleConnections()
}

// interrupt ends the node as Ctrl-C does, and returns how long that took.
func (n *demoNode) interrupt() (time.Duration, error) {
	begun := time.Now()
	if err := n.cmd.Process.Signal(os.Interrupt); err != nil {
		return 0, err
	}
	select {
	case <-n.done:
	case <-time.After(10 * time.Second):
		return 0, fmt.Errorf("node %s didn't end within 10 s of a signal", n.name)
	}
	took := time.Since(begun)
	if code := n.cmd.ProcessState.ExitCode(); code != exitOK && code != exitInterrupted {
		return took, fmt.Errorf("node %s ended with code %d: %s", n.name, code, strings.Join(n.lastLogs(), "; "))
	}
	return took, nil
}
