package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestHealth(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		body   string
		code   int
		stdout string
		stderr string
	}{
		{"fit", 200, `{"ok": true, "checks": [{"name": "engines", "ok": true, "detail": "in use: lanes"}]}`, exitOK, "engines  ok  in use: lanes", ""},
		{"unfit", 503, `{"ok": false, "checks": [{"name": "engines", "ok": false, "detail": "none is left"}]}`, exitFailed, "engines  FAILED  none is left", "not fit"},
		{"another server", 404, "not found", exitFailed, "", "not as a node does"},
		{"endless", 200, `{"ok": "` + strings.Repeat("x", 1<<17), exitFailed, "", "not as a node does"},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/healthz" {
					t.Errorf("asked for %s", r.URL)
				}
				w.WriteHeader(c.status)
				io.WriteString(w, c.body)
			}))
			defer server.Close()
			var stdout, stderr strings.Builder
			address := strings.TrimPrefix(server.URL, "http://")
			code := run(t.Context(), []string{"health", "--listen", address}, strings.NewReader(""), &stdout, &stderr)
			if code != c.code || !strings.Contains(stdout.String(), c.stdout) || !strings.Contains(stderr.String(), c.stderr) {
				t.Errorf("code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
			}
		})
	}
	t.Run("nobody", func(t *testing.T) {
		server := httptest.NewServer(http.NotFoundHandler())
		server.Close()
		var stderr strings.Builder
		code := run(t.Context(), []string{"health", "--listen", strings.TrimPrefix(server.URL, "http://")}, strings.NewReader(""), io.Discard, &stderr)
		if code != exitFailed || !strings.Contains(stderr.String(), "refused") {
			t.Errorf("code %d, stderr %q", code, stderr.String())
		}
	})
	t.Run("no address", func(t *testing.T) {
		if code := run(t.Context(), []string{"health"}, strings.NewReader(""), io.Discard, io.Discard); code != exitUsage {
			t.Errorf("code %d", code)
		}
	})
}
