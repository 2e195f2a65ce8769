package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/wire"
)

// A listing is any of the lists, with what its entries are told apart by.
type listing struct {
	State          string
	Started, Ended *string
	Total, Matched int
	Peers          []struct{ Addr, Verdict, Reason string }
	Chosen         *int
	Reason         string
	Quorum         map[string]int
	Alarms         []struct{ Kind, Detail string }
	Branches       []struct {
		Index  int
		Height uint64
		Groups []string
	}
	Evidence []struct{ ID, Time, Peer, Kind, Detail string }
}

func (l *listing) verdicts() (list []string) {
	for _, p := range l.Peers {
		list = append(list, p.Verdict)
	}
	return list
}

func TestBeforeTheFirstScan(t *testing.T) {
	s := newServer(&source{})
	for _, path := range []string{"/v1/peers", "/v1/peers?verdict=proven", "/v1/forks"} {
		l := decode[listing](t, s.get(path), http.StatusOK)
		if l.State != "none_yet" || l.Started != nil || l.Ended != nil || l.Chosen != nil || l.Total != 0 {
			t.Errorf("GET %s: %+v", path, l)
		}
	}
	for path, names := range map[string][]string{"/v1/peers": {"peers"}, "/v1/forks": {"branches", "alarms"}, "/v1/evidence": {"evidence"}} {
		body := decode[map[string]any](t, s.get(path), http.StatusOK)
		for _, name := range names {
			if list, ok := body[name].([]any); !ok || len(list) != 0 {
				t.Errorf("GET %s: %s is %v, want an empty list", path, name, body[name])
			}
		}
	}
}

func TestPeers(t *testing.T) {
	s := newServer(healthy())
	f := func(query string, matched int, want ...string) {
		t.Helper()
		l := decode[listing](t, s.get("/v1/peers"+query), http.StatusOK)
		if l.Total != 7 || l.Matched != matched || !slices.Equal(l.verdicts(), want) {
			t.Errorf("%s: %d of %d, %q", query, l.Matched, l.Total, l.verdicts())
		}
		if l.State != "quorum" || *l.Started != "2026-11-22T11:58:20Z" || *l.Ended != "2026-11-22T11:58:30Z" {
			t.Errorf("%s: head %+v", query, l)
		}
	}
	f("", 7, "proven", "thin", "convicted", "doubtful", "unavailable", "set_aside", "skipped")
	f("?verdict=convicted", 1, "convicted")
	f("?verdict=skipped,proven", 2, "proven", "skipped")
	f("?verdict=skipped&verdict=proven", 2, "proven", "skipped")
	f("?limit=2", 7, "proven", "thin")
	f("?limit=2&offset=6", 7, "skipped")
	f("?offset=7", 7)
	f("?verdict=proven,thin&offset=1", 2, "thin")

	for query, words := range map[string][]string{
		"?limit=0":            {"limit", `"0"`, "1 to 1000"},
		"?verdict=good":       {"verdict", `"good"`, "proven, thin, convicted, doubtful, unavailable, set_aside, skipped"},
		"?verdicts=proven":    {`"verdicts"`, "verdict"},
		"?offset=-3":          {"offset", `"-3"`},
		"?limit=1;offset=2":   {"query"},
		"?verdict=Proven%00x": {`"Proven\x00x"`},
	} {
		p := decode[problem](t, s.get("/v1/peers"+query), http.StatusBadRequest)
		for _, w := range words {
			if !strings.Contains(p.Error, w) {
				t.Errorf("%s: %q lacks %q", query, p.Error, w)
			}
		}
	}
}

// TestPeerRow makes sure that a row is the one that kigo scan --json prints.
func TestPeerRow(t *testing.T) {
	s := newServer(healthy())
	l := decode[struct{ Peers []json.RawMessage }](t, s.get("/v1/peers?verdict=convicted"), http.StatusOK)
	var got, want any
	row, err := json.Marshal(s.report.Peers[2])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		from []byte
		to   *any
	}{{l.Peers[0], &got}, {row, &want}} {
		if err := json.Unmarshal(c.from, c.to); err != nil {
			t.Fatal(err)
		}
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if string(a) != string(b) {
		t.Errorf("row %s, want %s", a, b)
	}
	if got := want.(map[string]any)["reason"]; got != "invalid_trailer" {
		t.Errorf("reason %v", got)
	}
}

func TestForks(t *testing.T) {
	s := newServer(healthy())
	l := decode[listing](t, s.get("/v1/forks"), http.StatusOK)
	if l.State != "quorum" || l.Chosen == nil || *l.Chosen != 1 || l.Reason != "weight" || l.Total != 2 || len(l.Branches) != 2 ||
		l.Quorum["peers"] != 3 || l.Quorum["groups"] != 2 || len(l.Alarms) != 1 || l.Alarms[0].Kind != "clock" {
		t.Errorf("%+v", l)
	}
	if b := l.Branches[1]; b.Index != 1 || b.Height != 0xa0a01 || !slices.Equal(b.Groups, []string{"127.0.0.0/16", "127.1.0.0/16"}) {
		t.Errorf("branch %+v", b)
	}
	if l := decode[listing](t, s.get("/v1/forks?limit=1&offset=1"), http.StatusOK); len(l.Branches) != 1 || l.Branches[0].Index != 1 || *l.Chosen != 1 {
		t.Errorf("second page: %+v", l)
	}
	decode[problem](t, s.get("/v1/forks?verdict=proven"), http.StatusBadRequest)

	s.report.Chosen = -1
	if l := decode[listing](t, s.get("/v1/forks"), http.StatusOK); l.Chosen != nil {
		t.Errorf("chosen %d", *l.Chosen)
	}
}

func TestEvidence(t *testing.T) {
	s := newServer(healthy())
	f := func(query string, matched int, want ...string) {
		t.Helper()
		l := decode[listing](t, s.get("/v1/evidence"+query), http.StatusOK)
		var got []string
		for _, e := range l.Evidence {
			got = append(got, e.ID[:2])
		}
		if l.Total != 3 || l.Matched != matched || !slices.Equal(got, want) {
			t.Errorf("%s: %d of %d, %q", query, l.Matched, l.Total, got)
		}
	}
	f("", 3, "aa", "b0", "ab") // the newest first
	f("?limit=1", 3, "aa")
	f("?limit=1&offset=2", 3, "ab")
	f("?kind=too_long", 1, "ab")
	f("?kind=invalid_trailer,too_long", 3, "aa", "b0", "ab")
	f("?kind=bad_list", 0)
	p := decode[problem](t, s.get("/v1/evidence?kind=timeout"), http.StatusBadRequest)
	if !strings.Contains(p.Error, `"timeout"`) || !strings.Contains(p.Error, "invalid_trailer") || strings.Contains(p.Error, "short_reply") {
		t.Errorf("only objective faults leave evidence: %q", p.Error)
	}
	e := decode[listing](t, s.get("/v1/evidence?kind=too_long"), http.StatusOK).Evidence[0]
	if e.Time != "2026-11-22T09:00:00Z" || e.Peer != "127.4.0.1" || e.Detail != "of a test" {
		t.Errorf("%+v", e)
	}

	for kind, block := range map[string]string{"too_long": `"block": null,`, "invalid_trailer": `"block": 657920,`} {
		if w := s.get("/v1/evidence?kind=" + kind); !strings.Contains(w.Body.String(), block) {
			t.Errorf("%s: no %s in %s", kind, block, w.Body)
		}
	}

	s.records = nil
	if l := decode[listing](t, s.get("/v1/evidence"), http.StatusOK); l.Total != 0 || len(l.Evidence) != 0 {
		t.Errorf("without any: %+v", l)
	}
}

func TestEvidenceByID(t *testing.T) {
	s := newServer(healthy())
	s.records = append(s.records, &evidence.Record{ID: "aa" + strings.Repeat("0", 30) + strings.Repeat("1", 32), Kind: fault.BadList})
	full := "aa" + strings.Repeat("0", 62)
	for id, want := range map[string]struct {
		code int
		word string
	}{
		full:                               {200, full},
		"b0000000":                         {200, "b000000000"},
		"aa000000":                         {400, "2 records"},
		"abc":                              {400, `\"abc\"`},
		"B0000000":                         {200, "b000000000"},
		"b000":                             {200, "b000000000"},
		"b000000g":                         {400, "hex"},
		"cc000000":                         {404, "cc000000"},
		strings.Repeat("0", 65):            {400, "64"},
		"%2e%2e%2fetc%2fpasswd":            {400, "../etc/passwd"},
		"aa" + strings.Repeat("0", 29):     {400, "2 records"},
		"aa" + strings.Repeat("0", 31):     {200, full},
		full[:32] + strings.Repeat("1", 9): {200, "bad_list"},
	} {
		w := s.get("/v1/evidence/" + id)
		if w.Code != want.code || !strings.Contains(w.Body.String(), want.word) {
			t.Errorf("%s: %d %s, want %d with %q", id, w.Code, w.Body, want.code, want.word)
		}
	}
}

// TestEvidenceFile fetches a record as kigo evidence verify takes it.
func TestEvidenceFile(t *testing.T) {
	s := newServer(healthy())
	made, err := evidence.New(evidence.Record{
		Time: clock, Peer: netip.MustParseAddr("127.4.0.1"), Kind: fault.BadFrame, Detail: "of a test",
		Op: wire.OpHello, Packets: [][]byte{{1, 2, 3}},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.records = append(s.records, made)
	w := s.get("/v1/evidence/" + made.ID[:10] + "?format=binary")
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/octet-stream" {
		t.Errorf("%d %s", w.Code, w.Header().Get("Content-Type"))
	}
	var got evidence.Record
	if err := got.UnmarshalBinary(w.Body.Bytes()); err != nil || got.ID != made.ID {
		t.Errorf("file of %d bytes: %+v, %v", w.Body.Len(), got, err)
	}
	packets := decode[struct{ Packets []string }](t, s.get("/v1/evidence/"+made.ID+"?format=json"), http.StatusOK).Packets
	if !slices.Equal(packets, []string{"010203"}) {
		t.Errorf("packets in JSON: %q", packets)
	}
	for query, word := range map[string]string{
		"format=xml": `"xml"`, "format=": `""`, "format=json&format=binary": `"json,binary"`, "limit=1": `"limit"`,
	} {
		if p := decode[problem](t, s.get("/v1/evidence/b0000000?"+query), http.StatusBadRequest); !strings.Contains(p.Error, word) || !strings.Contains(p.Error, "format") {
			t.Errorf("%s: %q", query, p.Error)
		}
	}
}

func TestEvidenceUnreadable(t *testing.T) {
	s := newServer(healthy())
	s.failure = errors.New("disk on fire")
	for _, path := range []string{"/v1/evidence", "/v1/evidence/b0000000"} {
		p := decode[problem](t, s.get(path), http.StatusInternalServerError)
		if strings.Contains(p.Error, "fire") || !strings.Contains(s.log.String(), "disk on fire") {
			t.Errorf("GET %s: %q, log %s", path, p.Error, s.log)
		}
	}
}

// TestEvidenceOneAtATime makes sure that many requests don't hold as many copies
// of all evidence in memory.
func TestEvidenceOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(healthy())
		var reading atomic.Int32
		next := make(chan struct{})
		s.onRead = func(context.Context) {
			if n := reading.Add(1); n > 1 {
				t.Errorf("%d at once", n)
			}
			<-next
			reading.Add(-1)
		}
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if w := s.get("/v1/evidence"); w.Code != http.StatusOK {
					t.Errorf("%d: %s", w.Code, w.Body)
				}
			})
		}
		for range 5 {
			synctest.Wait()
			next <- struct{}{}
		}
		wg.Wait()
	})
}
