package api

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Limits of a connection.  Requests are a line and some headers, and the
// slowest answer is a page of JSON, so a client that needs more is stuck or
// means ill.
const (
	headerTimeout  = 5 * time.Second
	readTimeout    = 10 * time.Second
	writeTimeout   = 30 * time.Second
	idleTimeout    = 30 * time.Second
	maxHeaderBytes = 16 << 10

	// maxConns are open at once; further ones wait in the kernel's queue.  More
	// costs memory for pages being written, fewer lets a browser and a scraper
	// that keep theirs open get into each other's way.
	maxConns = 64

	// grace is what requests under way get when Serve is to end.
	grace = 1500 * time.Millisecond
)

// Serve answers requests on ln with h until ctx ends, and returns nil then.  It
// closes ln.  Requests under way have a moment to finish; then they are cut off,
// so it returns within 2 s, with no goroutine left, if h heeds the context of
// its requests.
func Serve(ctx context.Context, ln net.Listener, h http.Handler) error {
	requests, cut := context.WithCancel(context.WithValue(context.WithoutCancel(ctx), stoppingKey{}, ctx.Done()))
	defer cut()
	places := newLimited(ln, maxConns)
	var conns sync.WaitGroup
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return requests },
		// Handlers report their failures themselves, and a client that breaks off
		// is none; nil would be the global log.
		ErrorLog: log.New(io.Discard, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			switch state {
			case http.StateNew:
				conns.Add(1)
			case http.StateClosed, http.StateHijacked:
				places.free()
				conns.Done()
			}
		},
	}
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(places) }()

	var err error
	select {
	case err = <-failed: // ln is broken
	case <-ctx.Done():
		patience, stop := context.WithTimeout(requests, grace)
		defer stop()
		_ = s.Shutdown(patience) // what it leaves open is closed below
		<-failed
	}
	cut()
	_ = s.Close()
	conns.Wait()
	if err != nil {
		return fmt.Errorf("listener %s: %w", ln.Addr(), err)
	}
	return nil
}

// stoppingKey is where the context of a request has the channel that is closed when
// Serve is to end, for answers that go on until then.
type stoppingKey struct{}

// stoppingOf returns that channel, nil outside of Serve.
func stoppingOf(ctx context.Context) <-chan struct{} {
	stopping, _ := ctx.Value(stoppingKey{}).(<-chan struct{})
	return stopping
}

// A limited listener has no more than some connections open at once.  Who closes
// one calls free.
type limited struct {
	net.Listener
	slots  chan struct{}
	closed chan struct{}
	close  func() error
}

func newLimited(ln net.Listener, n int) *limited {
	l := &limited{Listener: ln, slots: make(chan struct{}, n), closed: make(chan struct{})}
	l.close = sync.OnceValue(func() error {
		close(l.closed)
		return ln.Close()
	})
	return l
}

// Accept waits for a free slot, then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	select {
	case l.slots <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	conn, err := l.Listener.Accept()
	if err != nil {
		l.free()
		return nil, err
	}
	return conn, nil
}

// free gives the slot of a closed connection back.
func (l *limited) free() { <-l.slots }

func (l *limited) Close() error { return l.close() }

// CheckListen returns an error unless address is host:port with a host of the
// loopback interface, or, with anywhere, with any host.
func CheckListen(address string, anywhere bool) error {
	host, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = net.LookupPort("tcp", port)
	}
	switch {
	case err != nil || port == "":
		return fmt.Errorf("%q is not host:port, such as 127.0.0.1:2096", address)
	case !anywhere && !loopback(host):
		return fmt.Errorf("%q is not on the loopback interface, such as 127.0.0.1:2096: others could read it", address)
	}
	return nil
}

// loopback reports whether a host names the loopback interface, whatever the
// resolver says.
func loopback(host string) bool {
	if strings.EqualFold(strings.TrimSuffix(host, "."), "localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}

// checkHost returns an error for a request that reached a loopback address under
// another name.  A web page can have its own name resolved to 127.0.0.1 and then
// read what is served there (DNS rebinding); only the Host header gives it away.
func checkHost(r *http.Request) error {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok || !local.IP.IsLoopback() || r.Host == "" {
		return nil
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if !loopback(strings.Trim(host, "[]")) {
		return fmt.Errorf("host %.100q: this listener answers to localhost and loopback addresses only", r.Host)
	}
	return nil
}
