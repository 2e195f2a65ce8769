package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"kigo/node/branch"
	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/scan"
	"kigo/node/wire"
)

// clock is now in these tests.
var clock = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// A source answers with what a test has put into it.
type source struct {
	report   *scan.Report
	records  []*evidence.Record
	failure  error
	engines  []EngineStatus
	onReport func()
	onRead   func(context.Context)
	node     Node // nil: none
}

func (s *source) Report() *scan.Report {
	if s.onReport != nil {
		s.onReport()
	}
	return s.report
}

func (s *source) Evidence(ctx context.Context) ([]*evidence.Record, error) {
	if s.onRead != nil {
		s.onRead(ctx)
	}
	return s.records, s.failure
}

func (s *source) Engines() []EngineStatus { return s.engines }
func (s *source) Now() time.Time          { return clock }

// healthy is a source of a program in order that has scanned 90 s ago.
func healthy() *source {
	return &source{
		report:  report(),
		records: []*evidence.Record{record("aa", 1, fault.InvalidTrailer), record("ab", 3, fault.TooLong), record("b0", 2, fault.InvalidTrailer)},
		engines: []EngineStatus{{Name: "avx2"}, {Name: "portable"}},
	}
}

// report is of a scan of seven peers, one of each verdict, with two branches.
func report() *scan.Report {
	r := &scan.Report{
		Started: clock.Add(-100 * time.Second), Ended: clock.Add(-90 * time.Second),
		State: scan.Quorum, Quorum: branch.Quorum{Peers: 3, Groups: 2}, Chosen: 1, Reason: "weight",
		Asked: 6, Reached: 5,
		Alarms: []scan.Alarm{{Kind: scan.ClockAlarm, Detail: "tips are early by 7 s"}},
	}
	for i, v := range scan.Verdicts() {
		p := scan.Peer{
			Addr: netip.AddrFrom4([4]byte{127, byte(i), 0, 1}), Verdict: v, Branch: -1,
			Claim: &wire.State{Num: 0xa0a00, Hash: mcm.Hash{0xfe}},
		}
		if v == scan.Convicted {
			p.Reason, p.Detail = fault.InvalidTrailer, "it has no valid work"
		}
		r.Peers = append(r.Peers, p)
	}
	for i := range 2 {
		b := scan.Branch{Index: i, Chosen: i == 1, Quorum: i == 1}
		b.Tip, b.Height, b.Time = mcm.Hash{byte(i + 1)}, mcm.BlockNum(0xa0a00+i), uint32(clock.Unix()-120)
		for g := range 3 {
			a := netip.AddrFrom4([4]byte{127, byte(g), 0, 1})
			b.Peers = append(b.Peers, a)
			if g < 2 {
				b.Groups = append(b.Groups, netip.PrefixFrom(a, 16).Masked())
			}
		}
		r.Branches = append(r.Branches, b)
	}
	return r
}

// record is evidence whose id begins with two digits, some hours old.
func record(id string, hours int, kind fault.Kind) *evidence.Record {
	return &evidence.Record{
		ID: id + strings.Repeat("0", 62), Time: clock.Add(-time.Duration(hours) * time.Hour),
		Peer: netip.MustParseAddr("127.4.0.1"), Kind: kind, Num: 0xa0a00, Detail: "of a test",
	}
}

// A server is a handler under test and what it logs and counts.
type server struct {
	http.Handler
	*source
	registry *prometheus.Registry
	log      *journal
}

func newServer(s *source) *server {
	log, reg := &journal{}, prometheus.NewRegistry()
	h := New(Options{
		Source: s, Node: s.node, Registry: reg, Log: slog.New(slog.NewTextHandler(log, nil)),
		Build: Build{Version: "v1", Revision: "abc", Go: "go1"},
	})
	return &server{h, s, reg, log}
}

// get returns the answer to a GET.
func (s *server) get(path string) *httptest.ResponseRecorder { return s.do(http.MethodGet, path) }

func (s *server) do(method, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

// decode reads JSON, which must have a form of its own for each path.
func decode[T any](t *testing.T, w *httptest.ResponseRecorder, code int) (v T) {
	t.Helper()
	if w.Code != code {
		t.Fatalf("status %d, want %d: %s", w.Code, code, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("Content-Type %q", got)
	}
	if got := w.Header().Get("Content-Length"); got != fmt.Sprint(w.Body.Len()) {
		t.Errorf("Content-Length %s, body of %d bytes", got, w.Body.Len())
	}
	d := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, w.Body)
	}
	if _, err := d.Token(); err != io.EOF {
		t.Errorf("more than one value: %s", w.Body)
	}
	return v
}

// A journal keeps log lines.
type journal struct {
	mu sync.Mutex
	b  strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.String()
}
