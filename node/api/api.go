package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"kigo/node/evidence"
	"kigo/node/scan"
)

// A Source is what the listener shows.  Its methods are called concurrently, and
// those with a context return when it ends.
type Source interface {
	// Report returns the last finished scan, which nobody changes any more; nil
	// before the first.
	Report() *scan.Report
	// Evidence returns all records, in any order.
	Evidence(ctx context.Context) ([]*evidence.Record, error)
	// Engines returns the engines in use, the preferred one first.
	Engines() []EngineStatus
	// Now is the time against which ages are told.
	Now() time.Time
}

// An EngineStatus is how one engine is doing.
type EngineStatus struct {
	Name    string
	Retired bool    // serves no more
	Detail  string  // its latest failure; empty when it serves
	Rate    float64 // trailers a second as measured so far; 0 before
}

// A Build says what this program is.
type Build struct{ Version, Revision, Go string }

// Options configure a handler.
type Options struct {
	Source Source
	Node   Node // nil: none runs, and its endpoints are not there
	// Registry is what /metrics shows; the handler's own metrics are registered
	// with it.  nil is one of its own.
	Registry *prometheus.Registry
	Build    Build
	// MaxScanAge and MaxTipAge are how old the last scan and the tip of the
	// chosen branch may be when Kigo is ready; 0 is DefaultMaxAge.
	MaxScanAge, MaxTipAge time.Duration
	Log                   *slog.Logger // nil is silent
}

// DefaultMaxAge is the age up to which a scan and a tip are recent
// (docs/spec/sync.md section 8.9).  Less, and a quiet network makes Kigo unready:
// pseudoblocks come every 238 s.  More, and an operator hears late that the
// network is out of sight.
const DefaultMaxAge = 10 * time.Minute

// A handler answers all requests.
type handler struct {
	Options
	mux     *http.ServeMux
	metrics *metrics
	started time.Time
	reading chan struct{} // held while evidence is in memory
	streams chan struct{} // held by readers of events
}

// New returns the handler of all endpoints.  It panics when the registry has
// metrics of its names already.
func New(o Options) http.Handler {
	if o.Registry == nil {
		o.Registry = prometheus.NewRegistry()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.MaxScanAge = cmp.Or(o.MaxScanAge, DefaultMaxAge)
	o.MaxTipAge = cmp.Or(o.MaxTipAge, DefaultMaxAge)
	h := &handler{
		Options: o,
		mux:     http.NewServeMux(),
		metrics: newMetrics(o.Registry, o.Build),
		started: o.Source.Now(),
		reading: make(chan struct{}, 1),
		streams: make(chan struct{}, maxStreams),
	}
	h.mux.HandleFunc("/{$}", h.front)
	h.mux.Handle("/metrics", promhttp.HandlerFor(o.Registry, promhttp.HandlerOpts{
		ErrorLog:            scrapeLog{o.Log},
		MaxRequestsInFlight: 4, // a scraper has one
	}))
	h.mux.Handle("/healthz", h.answer(h.health))
	ready := h.ready
	if o.Node != nil {
		ready = h.nodeReady
	}
	h.mux.Handle("/readyz", h.answer(ready))
	if o.Node != nil {
		h.mux.Handle("/v1/status", h.answer(h.status))
		h.mux.Handle("/v1/tip", h.answer(h.tip))
		h.mux.Handle("/v1/trailers", h.answer(h.trailers))
		h.mux.Handle("/v1/sync", h.answer(h.sync))
		h.mux.HandleFunc("/v1/events", h.events)
	}
	h.mux.Handle("/v1/peers", h.answer(h.peers))
	h.mux.Handle("/v1/forks", h.answer(h.forks))
	h.mux.Handle("/v1/evidence", h.answer(h.evidence))
	h.mux.Handle("/v1/evidence/{id}", h.answer(h.evidenceByID))
	h.mux.Handle("/", h.answer(func(*http.Request) (int, any) {
		return refuse(http.StatusNotFound, "no such endpoint; / lists them")
	}))
	return h
}

// endpoints are all there are, and what the index says of them.  Some are there
// only where a node runs.
var endpoints = []struct {
	path, about string
	node        bool
}{
	{"/", "this list, and for browsers of a node its status page", false},
	{"/metrics", "Prometheus metrics", false},
	{"/healthz", "is the process fit to work?", false},
	{"/readyz", "may its choice of chain be relied on?", false},
	{"/v1/status", "all that the node tells of itself", true},
	{"/v1/tip", "the end of its own chain", true},
	{"/v1/trailers", "trailers of its own chain (?from= &count= ?format=binary for the bytes)", true},
	{"/v1/sync", "how a sync goes: stage, rates, time left", true},
	{"/v1/events", "what happens, as server-sent events (?after= or Last-Event-ID to resume)", true},
	{"/v1/peers", "the peers of the last scan, each with its verdict (?verdict= &limit= &offset=)", false},
	{"/v1/forks", "the branches of the last scan, and the chosen one (?limit= &offset=)", false},
	{"/v1/evidence", "what peers were convicted of, newest first (?kind= &limit= &offset=)", false},
	{"/v1/evidence/{id}", "one record, with the bytes that prove it (?format=binary for kigo evidence verify)", false},
}

// index lists the endpoints.
func (h *handler) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	for _, e := range endpoints {
		if !e.node || h.Node != nil {
			fmt.Fprintf(w, "%-18s  %s\n", e.path, e.about)
		}
	}
}

// ServeHTTP implements http.Handler: what is common to all endpoints.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: w}
	defer func() {
		p := recover()
		if p != nil && p != http.ErrAbortHandler {
			h.Log.Error("handler of a request panicked", "path", endpoint(r), "err", p, "stack", string(debug.Stack()))
			if rec.code == 0 {
				h.write(rec, http.StatusInternalServerError, problem{"internal error; the log tells more"})
				p = nil
			} else {
				p = http.ErrAbortHandler // half an answer must not look like a whole one
			}
		}
		h.metrics.answered(endpoint(r), cmp.Or(rec.code, http.StatusOK))
		if p != nil {
			panic(p)
		}
	}()

	if code, why := admit(w, r); code != http.StatusOK {
		h.write(rec, code, problem{why})
		return
	}
	h.mux.ServeHTTP(rec, r)
}

// admit sets the headers of every answer, and returns the status and the reason
// with which a request has to be refused, http.StatusOK when it hasn't.
func admit(w http.ResponseWriter, r *http.Request) (code int, why string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := checkHost(r); err != nil {
		return http.StatusMisdirectedRequest, err.Error()
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		return http.StatusMethodNotAllowed, fmt.Sprintf("method %.20q: only GET and HEAD are allowed", r.Method)
	}
	return http.StatusOK, ""
}

// endpoint returns the path in endpoints that a request met, or "other".
func endpoint(r *http.Request) string {
	if r.Pattern == "/{$}" {
		return "/"
	}
	for _, e := range endpoints[1:] {
		if r.Pattern == e.path {
			return e.path
		}
	}
	return "other"
}

// A problem is the body of an answer that is none.
type problem struct {
	Error string `json:"error"`
}

// refuse returns the answer to a request that can't be met.
func refuse(code int, why string) (int, any) { return code, problem{why} }

// A file is a body that is not JSON.
type file []byte

// answer makes a handler of a function that returns status and body.
func (h *handler) answer(f func(*http.Request) (int, any)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		code, body := f(r)
		h.write(w, code, body)
	})
}

// write sends a status with a body, as JSON unless it is a file.
func (h *handler) write(w http.ResponseWriter, code int, body any) {
	if b, ok := body.(file); ok {
		send(w, code, "application/octet-stream", b)
		return
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetIndent("", "  ")
	if err := enc.Encode(body); err != nil {
		h.Log.Error("answer can't be written as JSON", "err", err)
		b.Reset()
		code = http.StatusInternalServerError
		b.WriteString(`{"error": "internal error; the log tells more"}` + "\n")
	}
	send(w, code, "application/json", b.Bytes())
}

func send(w http.ResponseWriter, code int, kind string, body []byte) {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // a client that has left needs no answer
}

// A recorder notes the status of an answer.
type recorder struct {
	http.ResponseWriter
	code int // 0: nothing sent yet
}

func (r *recorder) WriteHeader(code int) {
	if r.code == 0 {
		r.code = code
	}
	r.ResponseWriter.WriteHeader(code)
}

// Unwrap has http.ResponseController find what is underneath.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) Write(b []byte) (int, error) {
	r.code = cmp.Or(r.code, http.StatusOK)
	return r.ResponseWriter.Write(b)
}

// scrapeLog takes what promhttp complains of.
type scrapeLog struct{ log *slog.Logger }

func (l scrapeLog) Println(v ...any) {
	l.log.Error("metrics can't be collected", "err", strings.TrimSpace(fmt.Sprintln(v...)))
}
