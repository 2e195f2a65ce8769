package api

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"kigo/node/mcm"
	"kigo/node/status"
)

// A fakeNode answers with what a test has put into it.
type fakeNode struct {
	status  status.Status
	feed    status.Feed
	chain   []mcm.Trailer // from block 0xa0700 on
	failure error
}

func (n *fakeNode) Status() status.Status { return n.status }
func (n *fakeNode) Events() *status.Feed  { return &n.feed }

func (n *fakeNode) Trailers(first mcm.BlockNum, count int) ([]mcm.Trailer, error) {
	if n.failure != nil || first < mcm.V30Trigger || first >= mcm.V30Trigger+mcm.BlockNum(len(n.chain)) {
		return nil, n.failure
	}
	rest := n.chain[first-mcm.V30Trigger:]
	return rest[:min(count, len(rest))], nil
}

// follows is a node that is fully in order, but for a side branch, a branch that
// waits and a sync that goes on behind.
func follows() *fakeNode {
	n := &fakeNode{}
	for i := range 300 {
		var t mcm.Trailer
		t.SetNum(mcm.V30Trigger + mcm.BlockNum(i))
		if i%2 == 1 {
			t.SetTxCount(1)
		}
		t.SetSolveTime(uint32(clock.Unix()) - 120)
		n.chain = append(n.chain, t)
	}
	left := 12.5
	tip := mcm.V30Trigger + 299
	n.status = status.Status{
		State: status.Follow, Since: clock.Add(-time.Hour), Ready: true, Started: clock.Add(-2 * time.Hour),
		Tip:    &status.Tip{Height: tip, Hash: mcm.Hash{7}, Kind: "standard", Proven: "header", Groups: 3, Peers: 4, Haiku: "a\nb\nc"},
		TipAge: 120, Quorum: &clock,
		Sync: &status.SyncProgress{Started: clock, Stage: "anchoring", Left: &left, Branches: []status.Branch{{Stage: "anchoring"}},
			Sampled: &status.Sampled{Samples: 2048}},
		Alarms:  []status.Alarm{{Kind: "starved", Since: clock}},
		Waiting: []status.Waiting{{Until: clock, Failures: 1}},
		Sides:   []status.Side{{Height: tip, Peers: []netip.Addr{netip.MustParseAddr("127.0.0.1")}, Weight: &mcm.Weight{1}}},
	}
	return n
}

// running is a healthy source with a node.
func running() *source {
	s := healthy()
	s.node = follows()
	return s
}

func TestNodeEndpointsNeedANode(t *testing.T) {
	s := newServer(healthy())
	for _, e := range endpoints {
		if e.node && s.get(e.path).Code != http.StatusNotFound {
			t.Errorf("GET %s answers without a node", e.path)
		}
		if e.node && strings.Contains(s.get("/").Body.String(), e.path) {
			t.Errorf("the index of a scan names %s", e.path)
		}
	}
}

func TestTip(t *testing.T) {
	s := newServer(running())
	type answer struct {
		State status.State
		Ready bool
		Age   float64 `json:"age_seconds"`
		Tip   *struct {
			Proven string
			Groups int
		}
	}
	a := decode[answer](t, s.get("/v1/tip"), http.StatusOK)
	if a.State != status.Follow || !a.Ready || a.Age != 120 || a.Tip == nil || a.Tip.Proven != "header" || a.Tip.Groups != 3 {
		t.Errorf("%+v, tip %+v", a, a.Tip)
	}
	s.node = &fakeNode{status: status.Status{State: status.Bootstrap}}
	a = decode[answer](t, newServer(s.source).get("/v1/tip"), http.StatusOK)
	if a.State != status.Bootstrap || a.Ready || a.Tip != nil {
		t.Errorf("without a chain: %+v", a)
	}
}

// TestStatusLists has lists that are empty and never null.
func TestStatusLists(t *testing.T) {
	s := healthy()
	s.node = &fakeNode{status: status.Status{State: status.Sync, Sync: &status.SyncProgress{}}}
	for _, path := range []string{"/v1/status", "/v1/sync"} {
		for _, name := range []string{"alarms", "waiting", "sides", "branches"} {
			if body := newServer(s).get(path).Body.String(); strings.Contains(body, fmt.Sprintf("%q: null", name)) {
				t.Errorf("%s: %s is null:\n%s", path, name, body)
			}
		}
	}
}

func TestTrailers(t *testing.T) {
	const base, tip = int(mcm.V30Trigger), int(mcm.V30Trigger) + 299
	s := newServer(running())
	for _, c := range []struct {
		query       string
		code        int
		first, last int
		problem     string
	}{
		{"", 200, tip - 99, tip, ""},
		{"?count=1", 200, tip, tip, ""},
		{fmt.Sprintf("?from=%d&count=5", base), 200, base, base + 4, ""},
		{fmt.Sprintf("?from=%d&count=1000", tip-3), 200, tip - 3, tip, ""},
		{fmt.Sprintf("?from=%d", tip+1), 404, 0, 0, fmt.Sprintf("no block %d; its tip is %d", tip+1, tip)},
		{"?from=0", 404, 0, 0, "no block 0"},
		{"?from=-1", 400, 0, 0, `from: "-1" is not one number from 0`},
		{"?count=0", 400, 0, 0, `count: "0" is not one number from 1 to 1000`},
		{"?count=1001", 400, 0, 0, "from 1 to 1000"},
		{"?count=1&count=2", 400, 0, 0, "is not one number"},
		{"?first=1", 400, 0, 0, `unknown parameter "first"; allowed are from, count, format`},
		{"?format=xml", 400, 0, 0, `format: "xml"`},
	} {
		t.Run(c.query, func(t *testing.T) {
			w := s.get("/v1/trailers" + c.query)
			if c.code != http.StatusOK {
				if got := decode[problem](t, w, c.code).Error; !strings.Contains(got, c.problem) {
					t.Errorf("%q lacks %q", got, c.problem)
				}
				return
			}
			a := decode[struct {
				From     int
				Count    int
				Trailers []struct {
					Block int
					Kind  string
					Haiku []string
				}
			}](t, w, c.code)
			n := len(a.Trailers)
			if n == 0 || a.Count != n || a.From != c.first || a.Trailers[0].Block != c.first || a.Trailers[n-1].Block != c.last {
				t.Fatalf("from %d, count %d, %d trailers", a.From, a.Count, n)
			}
			for _, x := range a.Trailers {
				if (x.Kind == "standard") != (len(x.Haiku) > 0) {
					t.Errorf("block %d is %s with haiku %q", x.Block, x.Kind, x.Haiku)
				}
			}
		})
	}
}

func TestTrailersAsBytes(t *testing.T) {
	s := newServer(running())
	n := s.node.(*fakeNode)
	w := s.get("/v1/trailers?count=7&format=binary")
	if want := mcm.Bytes(n.chain[len(n.chain)-7:]); !bytes.Equal(w.Body.Bytes(), want) {
		t.Errorf("%d bytes, want the last %d of the chain", w.Body.Len(), len(want))
	}
	n.failure = errors.New("disk on fire")
	w = s.get("/v1/trailers")
	if got := decode[problem](t, w, http.StatusInternalServerError).Error; strings.Contains(got, "fire") || !strings.Contains(s.log.String(), "disk on fire") {
		t.Errorf("answer %q, log %q", got, s.log)
	}
	n.status.Tip = nil
	if got := decode[problem](t, s.get("/v1/trailers"), http.StatusNotFound).Error; !strings.Contains(got, "no own chain") {
		t.Errorf("without a chain: %q", got)
	}
}

func TestNodeReady(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*source, *fakeNode)
		failing string
		reason  string
	}{
		{"good", func(*source, *fakeNode) {}, "", ""},
		{"no scan is no matter", func(s *source, _ *fakeNode) { s.report = nil }, "", ""},
		{"bootstrap", func(_ *source, n *fakeNode) {
			n.status.State, n.status.Ready, n.status.Reason = status.Bootstrap, false, "no quorum yet"
		}, "state", "bootstrap: no quorum yet"},
		{"no chain", func(_ *source, n *fakeNode) { n.status.Tip, n.status.Ready = nil, false }, "state tip", "no chain yet"},
		{"old tip", func(_ *source, n *fakeNode) { n.status.TipAge = 601 }, "tip", "10m1s old, at most 10m0s"},
		{"old enough", func(_ *source, n *fakeNode) { n.status.TipAge = 600 }, "", ""},
		{"a little behind", func(_ *source, n *fakeNode) { n.status.Lag = maxLag }, "", ""},
		{"behind", func(_ *source, n *fakeNode) { n.status.Lag = maxLag + 1 }, "lag", "3 blocks behind"},
		{"retired engine", func(s *source, _ *fakeNode) { s.engines[0].Retired = true }, "engines", "serve no more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := running()
			c.change(s, s.node.(*fakeNode))
			code := http.StatusOK
			if c.failing != "" {
				code = http.StatusServiceUnavailable
			}
			h := decode[health](t, newServer(s).get("/readyz"), code)
			names, details := h.failing()
			if names != c.failing || h.OK != (c.failing == "") || len(h.Checks) != 4 || !strings.Contains(details, c.reason) {
				t.Errorf("failing %q because of %q, want %q, %q", names, details, c.failing, c.reason)
			}
		})
	}
}

// TestFront gives browsers a page that runs nothing but what is in it, and others
// the list.
func TestFront(t *testing.T) {
	for _, c := range []struct {
		name, accept string
		source       *source
		html         bool
	}{
		{"browser", "text/html,application/xhtml+xml,*/*;q=0.8", running(), true},
		{"curl", "*/*", running(), false},
		{"browser, no node", "text/html", healthy(), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(c.source)
			w := accepting(s, c.accept)
			if got := strings.HasPrefix(w.Header().Get("Content-Type"), "text/html"); got != c.html {
				t.Fatalf("Content-Type %q", w.Header().Get("Content-Type"))
			}
			if !c.html {
				return
			}
			policy := w.Header().Get("Content-Security-Policy")
			if !strings.HasPrefix(policy, "default-src 'none'; script-src 'sha256-") || strings.Contains(policy, "unsafe") {
				t.Errorf("policy %q", policy)
			}
			body := w.Body.String()
			for _, outside := range []string{"http://", "https://", "//cdn", "@import", "innerHTML", " onclick", " style="} {
				// The name of the SVG format is no request.
				if strings.Contains(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), outside) {
					t.Errorf("the page has %q", outside)
				}
			}
			for _, e := range []string{"/v1/status", "/v1/forks", "/v1/peers", "/v1/events"} {
				if !strings.Contains(body, e) {
					t.Errorf("the page doesn't ask for %s", e)
				}
			}
			for _, kind := range status.EventKinds() {
				if !strings.Contains(body, fmt.Sprintf("%q", kind)) {
					t.Errorf("the page knows no event %q", kind)
				}
			}
			for _, state := range status.States() {
				if !slices.Contains(strings.Fields(body), string(state)+":") {
					t.Errorf("the page knows no state %q", state)
				}
			}
		})
	}
}
