package api

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestProfiles(t *testing.T) {
	address, stop := start(t, Profiles())
	get := func(path, host string) string {
		return exchange(t, address, fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host))
	}
	for path, want := range map[string]string{
		"/debug/pprof/":                    "goroutine",
		"/debug/pprof/goroutine?debug=1":   "goroutine profile:",
		"/debug/pprof/heap":                "\x1f\x8b", // gzip
		"/debug/pprof/cmdline":             "api.test",
		"/debug/pprof/symbol":              "num_symbols",
		"/debug/pprof/profile?seconds=1":   "\x1f\x8b",
		"/debug/pprof/trace?seconds=0.001": "go 1.",
	} {
		answer := get(path, address)
		if !strings.HasPrefix(answer, "HTTP/1.1 200 ") || !strings.Contains(answer, want) || !strings.Contains(answer, "Cache-Control: no-store") {
			t.Errorf("GET %s: %.300q", path, answer)
		}
	}
	for _, path := range []string{"/", "/metrics", "/v1/peers", "/debug/pprof/nothing", "/debug/vars"} {
		if answer := get(path, address); !strings.HasPrefix(answer, "HTTP/1.1 404 ") {
			t.Errorf("GET %s: %.100q", path, answer)
		}
	}
	if answer := get("/debug/pprof/cmdline", "evil.example"); !strings.HasPrefix(answer, "HTTP/1.1 421 ") || strings.Contains(answer, "api.test") {
		t.Errorf("as evil.example: %.300q", answer)
	}
	// A long one doesn't hold up the end.
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /debug/pprof/trace?seconds=600 HTTP/1.1\r\nHost: %s\r\n\r\n", address); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil { // it has begun
		t.Fatal(err)
	}
	begun := time.Now()
	if err := stop(); err != nil {
		t.Error(err)
	}
	// The promise is 2 s, which TestShutdown measures where no other load counts.
	if took := time.Since(begun); took >= headerTimeout {
		t.Errorf("took %v to end", took)
	}
}

func TestProfilesAreReadOnly(t *testing.T) {
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		w := httptest.NewRecorder()
		Profiles().ServeHTTP(w, httptest.NewRequest(method, "/debug/pprof/symbol", nil))
		if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: status %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
}
