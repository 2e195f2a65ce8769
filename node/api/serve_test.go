package api

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// start serves h on a loopback socket until the test ends or stop is called,
// which returns what Serve does.
func start(t *testing.T, h http.Handler) (address string, stop func() error) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, ln, h) }()
	stop = sync.OnceValue(func() error { cancel(); return <-done })
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return ln.Addr().String(), stop
}

// exchange sends a request as it stands and returns the whole answer.
func exchange(t *testing.T, address, request string) string {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestServe(t *testing.T) {
	address, stop := start(t, newServer(running()))
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	for _, path := range paths() {
		resp, err := client.Get("http://" + address + path)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK || len(b) == 0 {
			t.Errorf("GET %s: %s, %d bytes, %v", path, resp.Status, len(b), err)
		}
	}
	// The client's connection is open and idle now, and must not hold this up.
	begun := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	// The promise is 2 s, which TestShutdown measures where no other load counts.
	if took := time.Since(begun); took >= headerTimeout {
		t.Errorf("took %v to end", took)
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("still listens")
	}
}

// TestHost sends names under which a web page may reach a loopback listener.
func TestHost(t *testing.T) {
	address, _ := start(t, newServer(healthy()))
	_, port, _ := net.SplitHostPort(address)
	for host, ok := range map[string]bool{
		address:                      true,
		"127.0.0.1":                  true,
		"127.9.8.7:1":                true,
		"localhost":                  true,
		"localhost:" + port:          true,
		"LocalHost.:" + port:         true,
		"[::1]:" + port:              true,
		"[::1]":                      true,
		"evil.example":               false,
		"evil.example:" + port:       false,
		"localhost.evil.example":     false,
		"127.0.0.1.evil.example":     false,
		"10.0.0.1":                   false,
		"0.0.0.0:" + port:            false,
		"[2001:db8::1]":              false,
		"[::ffff:127.0.0.1]:" + port: true,
	} {
		answer := exchange(t, address, fmt.Sprintf("GET /v1/peers HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", host))
		want := "HTTP/1.1 200 "
		if !ok {
			want = "HTTP/1.1 421 "
		}
		if !strings.HasPrefix(answer, want) || !ok && (strings.Contains(answer, "verdict") || !strings.Contains(answer, host)) {
			t.Errorf("Host %s: %.300s", host, answer)
		}
	}
	if answer := exchange(t, address, "GET /healthz HTTP/1.0\r\n\r\n"); !strings.HasPrefix(answer, "HTTP/1.0 200 ") {
		t.Errorf("no Host, as old probes: %.100s", answer)
	}
}

func TestMalformedRequests(t *testing.T) {
	address, _ := start(t, newServer(healthy()))
	for _, c := range []struct{ name, request, want string }{
		{"no HTTP", "hello\r\n\r\n", "HTTP/1.1 400 "},
		{"headers too long", "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 4*maxHeaderBytes) + "\r\n\r\n", "HTTP/1.1 431 "},
		{"no host", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
		{"asterisk", "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 "},
		{"out of the root", "GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "HTTP/1.1 "},
	} {
		if answer := exchange(t, address, c.request); !strings.HasPrefix(answer, c.want) || strings.Contains(answer, "root:") {
			t.Errorf("%s: %.200s", c.name, answer)
		}
	}
}

// A pipeListener accepts what dial makes: connections that live in a bubble of
// testing/synctest.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) dial() net.Conn {
	ours, theirs := net.Pipe()
	l.conns <- theirs
	return ours
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// inBubble runs f beside a server in a bubble, where waiting costs no time and a
// goroutine that is left behind fails the test.
func inBubble(t *testing.T, h http.Handler, f func(ln *pipeListener, stop func() error)) {
	synctest.Test(t, func(t *testing.T) {
		ln := newPipeListener()
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- Serve(ctx, ln, h) }()
		stop := sync.OnceValue(func() error { cancel(); return <-done })
		f(ln, stop)
		if err := stop(); err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
}

// until returns how long it takes the server to close a connection on which sent
// was written.
func until(t *testing.T, conn net.Conn, sent string) time.Duration {
	t.Helper()
	begun := time.Now()
	if _, err := io.WriteString(conn, sent); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn)
	conn.Close()
	return time.Since(begun)
}

func TestTimeouts(t *testing.T) {
	inBubble(t, newServer(healthy()), func(ln *pipeListener, _ func() error) {
		for _, c := range []struct {
			name, sent string
			most       time.Duration
		}{
			{"half a header", "GET / HTTP/1.1\r\nHost: local", headerTimeout},
			{"a body that never comes", "GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n", readTimeout + idleTimeout},
			{"idle", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", idleTimeout},
		} {
			if took := until(t, ln.dial(), c.sent); took > c.most+time.Second || took == 0 {
				t.Errorf("%s: closed after %v, want at most %v", c.name, took, c.most)
			}
		}
		// One that reads nothing is cut off as well.
		conn := ln.dial()
		if _, err := io.WriteString(conn, "GET /v1/peers HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(writeTimeout + idleTimeout)
		if b, err := io.ReadAll(conn); err != nil || strings.Contains(string(b), "skipped") {
			t.Errorf("after %v without reading: %d bytes, %v", writeTimeout, len(b), err)
		}
	})
}

// TestConnections has more clients than places: the next waits until one leaves.
func TestConnections(t *testing.T) {
	inBubble(t, newServer(healthy()), func(ln *pipeListener, stop func() error) {
		var open []net.Conn
		for range maxConns {
			open = append(open, ln.dial())
		}
		answered := make(chan string, 1)
		go func() {
			conn := ln.dial()
			defer conn.Close()
			fmt.Fprint(conn, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
			line, _ := bufio.NewReader(conn).ReadString('\n')
			answered <- line
		}()
		synctest.Wait()
		select {
		case line := <-answered:
			t.Errorf("answered beside %d open connections: %s", maxConns, line)
		default:
		}
		open[7].Close()
		if line := <-answered; line != "HTTP/1.1 200 OK\r\n" {
			t.Errorf("after one has left: %q", line)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		for _, c := range open {
			if _, err := io.ReadAll(c); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("open connection after the end: %v", err)
			}
		}
	})
}

// TestShutdown ends the server in every state a connection can be in.
func TestShutdown(t *testing.T) {
	const request = "GET /v1/evidence HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for _, c := range []struct {
		name string
		does func(*source) // what a request under way does
		sent string
		got  string
		most time.Duration
	}{
		{"nobody", nil, "-", "", 0},
		{"silent", nil, "", "", grace},
		{"half a header", nil, "GET / HT", "", grace},
		{"finishes in time", func(s *source) { s.onRead = func(context.Context) { time.Sleep(time.Second) } }, request, "HTTP/1.1 200 OK", grace},
		{"waits for its context", func(s *source) { s.onRead = func(ctx context.Context) { <-ctx.Done() } }, request, "", grace},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(healthy())
			if c.does != nil {
				c.does(s.source)
			}
			inBubble(t, s, func(ln *pipeListener, stop func() error) {
				got := make(chan string, 1)
				got <- ""
				if c.sent != "-" {
					<-got
					conn := ln.dial()
					go func() {
						defer conn.Close()
						_, _ = io.WriteString(conn, c.sent)
						b, _ := io.ReadAll(conn)
						got <- string(b)
					}()
				}
				synctest.Wait()
				begun := time.Now()
				if err := stop(); err != nil {
					t.Error(err)
				}
				if took := time.Since(begun); took > c.most+100*time.Millisecond || took > 2*time.Second {
					t.Errorf("took %v, want at most %v", took, c.most)
				}
				if b := <-got; !strings.HasPrefix(b, c.got) || c.got == "" && strings.Contains(b, "200 OK") {
					t.Errorf("answer %.100q, want %q", b, c.got)
				}
			})
		})
	}
}

// TestPanicOnAConnection makes sure that the next request is served.
func TestPanicOnAConnection(t *testing.T) {
	s := newServer(healthy())
	s.onReport = func() { panic("a bug") }
	inBubble(t, s, func(ln *pipeListener, _ func() error) {
		conn := ln.dial()
		defer conn.Close()
		r := bufio.NewReader(conn)
		for _, c := range []struct {
			path string
			code int
		}{{"/v1/peers", 500}, {"/healthz", 200}} {
			if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", c.path); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.StatusCode != c.code {
				t.Errorf("GET %s: %s, want %d", c.path, resp.Status, c.code)
			}
		}
	})
}

func TestServeOnABrokenListener(t *testing.T) {
	ln := newPipeListener()
	ln.Close()
	if err := Serve(context.Background(), ln, newServer(healthy())); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Serve: %v", err)
	}
}

func TestCheckListen(t *testing.T) {
	for _, c := range []struct {
		address       string
		local, around bool // fit for loopback only, and for anywhere
	}{
		{"127.0.0.1:2096", true, true},
		{"127.1.2.3:0", true, true},
		{"[::1]:2096", true, true},
		{"localhost:2096", true, true},
		{"localhost:http", true, true},
		{":2096", false, true},
		{"0.0.0.0:2096", false, true},
		{"[::]:2096", false, true},
		{"10.0.0.1:2096", false, true},
		{"kigo.example:2096", false, true},
		{"localhost.example:2096", false, true},
		{"127.0.0.1", false, false},
		{"127.0.0.1:", false, false},
		{"127.0.0.1:65536", false, false},
		{"127.0.0.1:-1", false, false},
		{"127.0.0.1:nonsense", false, false},
		{"::1:2096", false, false},
		{"", false, false},
		{"2096", false, false},
	} {
		for _, anywhere := range []bool{false, true} {
			err := CheckListen(c.address, anywhere)
			if want := c.local || anywhere && c.around; (err == nil) != want {
				t.Errorf("CheckListen(%q, %v): %v", c.address, anywhere, err)
			}
			if err != nil && (!strings.Contains(err.Error(), fmt.Sprintf("%q", c.address)) || !strings.Contains(err.Error(), "127.0.0.1:2096")) {
				t.Errorf("%q names neither the value nor what is allowed", err)
			}
		}
	}
}
