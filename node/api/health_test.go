package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"kigo/node/branch"
	"kigo/node/scan"
)

type health struct {
	OK      bool
	State   scan.State
	Scanned *time.Time
	Tip     *tip
	Checks  []check
}

// failing lists the checks that don't hold, with their reasons.
func (h *health) failing() (names, details string) {
	for _, c := range h.Checks {
		if !c.OK {
			names += " " + c.Name
			details += c.Detail + "\n"
		}
	}
	return strings.TrimSpace(names), details
}

func TestHealth(t *testing.T) {
	for _, c := range []struct {
		name    string
		engines []EngineStatus
		failing string
	}{
		{"good", []EngineStatus{{Name: "avx2"}, {Name: "portable"}}, ""},
		{"one left", []EngineStatus{{Name: "avx2", Retired: true}, {Name: "portable"}}, ""},
		{"none left", []EngineStatus{{Name: "avx2", Retired: true}}, "engines"},
		{"none open", nil, "engines"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(&source{engines: c.engines})
			code := http.StatusOK
			if c.failing != "" {
				code = http.StatusServiceUnavailable
			}
			h := decode[health](t, s.get("/healthz"), code)
			if names, _ := h.failing(); names != c.failing || h.OK != (c.failing == "") {
				t.Errorf("failing %q, ok %v: %+v", names, h.OK, h.Checks)
			}
		})
	}
}

func TestReady(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(*source)
		failing string
		reasons []string
	}{
		{"good", func(*source) {}, "", nil},
		{"no scan yet", func(s *source) { s.report = nil }, "scan quorum tip", []string{"none yet"}},
		{"old scan", func(s *source) { s.report.Ended = clock.Add(-DefaultMaxAge - time.Second) }, "scan", []string{"10m1s ago", "at most 10m0s"}},
		{"scan old enough", func(s *source) { s.report.Ended = clock.Add(-DefaultMaxAge) }, "", nil},
		{"old tip", func(s *source) { s.report.Branches[1].Time = uint32(clock.Add(-11 * time.Minute).Unix()) }, "tip",
			[]string{"block 657921", "11m0s old"}},
		{"another's old tip", func(s *source) { s.report.Branches[0].Time = 1 }, "", nil},
		{"too few", func(s *source) { s.report.State = scan.TooFew; s.report.Quorum = branch.Quorum{Peers: 4, Groups: 3} }, "quorum",
			[]string{"3 proven peers in 2 groups", "4 peers in 3 groups needed"}},
		{"none valid", func(s *source) { s.report.State, s.report.Chosen, s.report.Branches = scan.NoneValid, -1, nil }, "quorum tip",
			[]string{"5 of 6 peers were reached", "none is proven"}},
		{"nobody reached", func(s *source) {
			*s.report = scan.Report{Ended: clock, State: scan.NobodyReached, Chosen: -1, Asked: 9}
		}, "quorum tip", []string{"none of 9 peers was reached"}},
		{"retired engine", func(s *source) { s.engines[0] = EngineStatus{Name: "avx2", Retired: true, Detail: "differs"} }, "engines", []string{"serve no more", "avx2 (differs)"}},
		{"failing engine", func(s *source) { s.engines[0].Detail = "out of memory" }, "", nil},
		{"no engine", func(s *source) { s.engines = nil }, "engines", []string{"none is open"}},
		{"all at once", func(s *source) { s.report, s.engines = nil, nil }, "scan quorum tip engines", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(healthy())
			c.change(s.source)
			code := http.StatusOK
			if c.failing != "" {
				code = http.StatusServiceUnavailable
			}
			h := decode[health](t, s.get("/readyz"), code)
			names, details := h.failing()
			if names != c.failing || h.OK != (c.failing == "") || len(h.Checks) != 4 {
				t.Errorf("failing %q, want %q, ok %v: %+v", names, c.failing, h.OK, h.Checks)
			}
			for _, r := range c.reasons {
				if !strings.Contains(details, r) {
					t.Errorf("reasons %q lack %q", details, r)
				}
			}
		})
	}
}

// TestReadyFacts has the numbers that a machine reads.
func TestReadyFacts(t *testing.T) {
	s := newServer(healthy())
	h := decode[health](t, s.get("/readyz"), http.StatusOK)
	r := s.report
	if h.State != scan.Quorum || h.Scanned == nil || !h.Scanned.Equal(r.Ended) ||
		h.Tip == nil || h.Tip.Block != 0xa0a01 || h.Tip.Hash != r.Branches[1].Tip.String() || h.Tip.AgeSeconds != 120 {
		t.Errorf("%+v, tip %+v", h, h.Tip)
	}
	s.report = nil
	if h := decode[health](t, s.get("/readyz"), http.StatusServiceUnavailable); h.State != "none_yet" || h.Scanned != nil || h.Tip != nil {
		t.Errorf("before the first scan: %+v", h)
	}
}

func TestReadyAges(t *testing.T) {
	h := New(Options{Source: healthy(), MaxScanAge: 89 * time.Second, MaxTipAge: 119 * time.Second})
	got := decode[health](t, (&server{Handler: h}).get("/readyz"), http.StatusServiceUnavailable)
	if names, _ := got.failing(); names != "scan tip" {
		t.Errorf("failing %q: %+v", names, got.Checks)
	}
}
