package api

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
)

// paths returns a request for each endpoint but that of events, whose answer does
// not end.
func paths() (list []string) {
	for _, e := range endpoints {
		if e.path == "/v1/events" {
			continue
		}
		list = append(list, strings.Replace(e.path, "{id}", healthy().records[0].ID, 1))
	}
	return list
}

func TestEveryEndpointAnswers(t *testing.T) {
	s := newServer(running())
	for _, path := range paths() {
		w := s.get(path)
		if w.Code != http.StatusOK || w.Body.Len() == 0 {
			t.Errorf("GET %s: %d with %d bytes", path, w.Code, w.Body.Len())
		}
		for name, want := range map[string]string{"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("GET %s: %s: %q, want %q", path, name, got, want)
			}
		}
		if strings.HasPrefix(path, "/v1/") && !json.Valid(w.Body.Bytes()) {
			t.Errorf("GET %s: no JSON: %s", path, w.Body)
		}
		if w := s.do(http.MethodHead, path); w.Code != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, w.Code)
		}
	}
	if log := s.log.String(); log != "" {
		t.Errorf("logged: %s", log)
	}
}

// TestIndex makes sure that / and docs/api.md name each endpoint.
func TestIndex(t *testing.T) {
	w := newServer(running()).get("/")
	if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
		t.Errorf("Content-Type %q", got)
	}
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range endpoints {
		if !strings.Contains(w.Body.String(), "\n"+e.path+" ") && e.path != "/" {
			t.Errorf("the index lacks %s:\n%s", e.path, w.Body)
		}
		if !strings.Contains(string(page), "## GET "+e.path+"\n") {
			t.Errorf("docs/api.md has no section on %s", e.path)
		}
	}
}

// TestExamples makes sure that the examples in docs/api.md have the fields of
// real answers, in their order.
func TestExamples(t *testing.T) {
	page, err := os.ReadFile("../../docs/api.md")
	if err != nil {
		t.Fatal(err)
	}
	scans, runs := newServer(healthy()), newServer(running())
	scans.report.Alarms = nil // there were none
	example := regexp.MustCompile(`(?ms)^\$ curl -s 'http://127\.0\.0\.1:2096(\S+)'\n(\{.*?^\})$`)
	found := example.FindAllStringSubmatch(string(page), -1)
	if len(found) != 11 {
		t.Errorf("%d examples in JSON, want one for each of ten endpoints, and a second one of /readyz", len(found))
	}
	field := regexp.MustCompile(`(?m)^ *"([a-z_]+)":`)
	names := func(text string) (list []string) {
		for _, m := range field.FindAllStringSubmatch(text, -1) {
			if !slices.Contains(list, m[1]) {
				list = append(list, m[1])
			}
		}
		return list
	}
	ready := 0
	for _, m := range found {
		path, s := m[1], scans
		for _, e := range endpoints {
			if base, _, _ := strings.Cut(path, "?"); e.path == base && e.node {
				s = runs
			}
		}
		if path == "/readyz" {
			if ready++; ready == 2 {
				s = runs
			}
		}
		if strings.HasPrefix(path, "/v1/evidence/") {
			path = "/v1/evidence/" + s.records[0].ID
		}
		if got, want := names(m[2]), names(s.get(path).Body.String()); !slices.Equal(got, want) {
			t.Errorf("the example of %s has the fields\n%s\nand an answer\n%s", m[1], got, want)
		}
	}
}

// TestConcurrently has all endpoints asked at once, for the race detector.
func TestConcurrently(t *testing.T) {
	s := newServer(running())
	var wg sync.WaitGroup
	for range 4 {
		for _, path := range paths() {
			wg.Go(func() {
				if w := s.get(path); w.Code != http.StatusOK {
					t.Errorf("GET %s: %d", path, w.Code)
				}
			})
		}
	}
	wg.Wait()
}

func TestReadOnly(t *testing.T) {
	s := newServer(running())
	for _, path := range append(paths(), "/nowhere") {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "BREW"} {
			w := s.do(method, path)
			p := decode[problem](t, w, http.StatusMethodNotAllowed)
			if w.Header().Get("Allow") != "GET, HEAD" || !strings.Contains(p.Error, method) || !strings.Contains(p.Error, "GET") {
				t.Errorf("%s %s: Allow %q, %q", method, path, w.Header().Get("Allow"), p.Error)
			}
		}
	}
}

func TestNoSuchEndpoint(t *testing.T) {
	s := newServer(healthy())
	for _, path := range []string{
		"/nowhere", "/v1", "/v1/", "/v1/peers/", "/v1/peers/127.0.0.1", "/v2/peers", "/metrics/", "/debug/pprof/",
		"/v1/evidence/", "/v1/evidence/aa/bb", "/index.html",
	} {
		if p := decode[problem](t, s.get(path), http.StatusNotFound); p.Error == "" {
			t.Errorf("GET %s: no reason", path)
		}
	}
}

// TestFailures has the parts behind an endpoint break.
func TestFailures(t *testing.T) {
	for _, c := range []struct {
		name, path string
		breaks     func(*source)
		logged     string
	}{
		{"panic", "/v1/peers", func(s *source) { s.onReport = func() { panic("a bug") } }, "a bug"},
		{"panic in readyz", "/readyz", func(s *source) { s.onReport = func() { panic("a bug") } }, "a bug"},
		{"not JSON", "/v1/forks", func(s *source) { s.report.Branches[0].Density = nan() }, "JSON"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(healthy())
			c.breaks(s.source)
			p := decode[problem](t, s.get(c.path), http.StatusInternalServerError)
			if !strings.Contains(p.Error, "log") || strings.Contains(p.Error, "a bug") {
				t.Errorf("answer %q", p.Error)
			}
			if !strings.Contains(s.log.String(), c.logged) {
				t.Errorf("log %q", s.log)
			}
			s.source.onReport, s.source.report = nil, report()
			if w := s.get(c.path); w.Code != http.StatusOK {
				t.Errorf("afterwards: %d", w.Code)
			}
		})
	}
}

// TestPanicAfterHalfAnAnswer makes sure that a client can tell.
func TestPanicAfterHalfAnAnswer(t *testing.T) {
	s := newServer(healthy())
	s.Handler.(*handler).mux.HandleFunc("/half", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("half"))
		panic("a bug")
	})
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("panics with %v", p)
		}
	}()
	s.get("/half")
}

func nan() float64 { zero := 0.0; return zero / zero }

func TestMetrics(t *testing.T) {
	s := newServer(running())
	for _, path := range append(paths(), "/nowhere", "/elsewhere", "//v1/peers", "/v1/../v1/forks", "/v1/peers?limit=0") {
		s.get(path)
	}
	s.do("POST", "/v1/peers")
	s.do("BREW", "/coffee")
	problems, err := testutil.GatherAndLint(s.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}

	var known []string
	for _, e := range endpoints {
		known = append(known, e.path)
	}
	families, err := s.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counted := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			labels := map[string]string{}
			for _, l := range m.Label {
				labels[l.GetName()] = l.GetValue()
			}
			switch f.GetName() {
			case "kigo_http_requests_total":
				counted[labels["path"]+" "+labels["code"]] = m.Counter.GetValue()
				if !slices.Contains(append(known, "other"), labels["path"]) {
					t.Errorf("path label %q", labels["path"])
				}
			case "kigo_build_info":
				if labels["version"] != "v1" || labels["revision"] != "abc" || labels["goversion"] != "go1" || m.Gauge.GetValue() != 1 {
					t.Errorf("kigo_build_info %v", m)
				}
			}
		}
	}
	for series, want := range map[string]float64{
		"/ 200": 1, "/metrics 200": 1, "/v1/peers 200": 1, "/v1/peers 400": 1, "/v1/evidence/{id} 200": 1,
		"other 404": 2, "other 405": 2,
	} {
		if counted[series] != want {
			t.Errorf("%s: counted %v, want %v; all: %v", series, counted[series], want, counted)
		}
	}

	page := s.get("/metrics").Body.String()
	for _, name := range []string{"kigo_build_info{", "kigo_http_requests_total{"} {
		if !strings.Contains(page, name) {
			t.Errorf("/metrics lacks %s", name)
		}
	}
}

func TestRegistryOfItsOwn(t *testing.T) {
	h := New(Options{Source: healthy()})
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(w.Body.String(), "kigo_build_info") {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}
