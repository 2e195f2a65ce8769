package scan

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"kigo/node/mcm"
)

// keys returns the names of all fields in a JSON value.
func keys(v any) (names []string) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			names = append(append(names, k), keys(x)...)
		}
	case []any:
		for _, x := range v {
			names = append(names, keys(x)...)
		}
	}
	return names
}

// A report is the same whatever the order of events, and its JSON has names in
// snake case, times in UTC and no null where a list belongs.
func TestReport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNetwork()
		actors, ts := honest(3)
		side := chain(time.Now().Add(-40*time.Second), 20, 5, worked(60))
		bad := relink(ts, 40, func(t *mcm.Trailer) { t.Nonce()[0] = spoiled })
		addrs := n.add(append(actors, &actor{chain: side}, &actor{chain: bad}, &actor{raw: silent}, &actor{chain: side})...)
		var first []byte
		for seed := range uint64(4) {
			o := n.options(&fakeVerifier{}, addrs...)
			o.Book = NewBook(BookOptions{Seed: seed + 1})
			shuffled := slices.Concat(addrs[seed:], addrs[:seed])
			o.Book.AddConfigured(shuffled...)
			r := n.scan(t, o)
			wantChosen(t, r, Quorum, last(ts))
			if !slices.IsSortedFunc(r.Peers, func(a, b Peer) int {
				if a.Branch != b.Branch {
					return int(uint8(a.Branch)) - int(uint8(b.Branch))
				}
				return a.Addr.Compare(b.Addr)
			}) {
				t.Error("rows are not in the order of branches and addresses")
			}
			r.Started, r.Ended, r.Seconds, r.PowSeconds = time.Time{}, time.Time{}, 0, 0
			r.Trailers.Checked = 0 // what was judged together decides what is left to check of the bad one
			for i := range r.Peers {
				r.Peers[i].Seconds = 0
				for j := range r.Peers[i].Evidence { // it names the time and the connection
					r.Peers[i].Evidence[j] = "id"
				}
			}
			b, err := json.Marshal(r)
			if err != nil {
				t.Fatal(err)
			}
			if first == nil {
				first = b
			} else if !bytes.Equal(b, first) {
				t.Errorf("another order of calls gave another report:\n%s\n%s", b, first)
			}
		}
		var v any
		if err := json.Unmarshal(first, &v); err != nil {
			t.Fatal(err)
		}
		for _, k := range keys(v) {
			if k != strings.ToLower(k) {
				t.Errorf("field %q is not in snake case", k)
			}
		}
		if s := string(first); strings.Contains(s, `"faults":null`) || strings.Contains(s, `"evidence":null`) ||
			strings.Contains(s, `"alarms":null`) || !strings.Contains(s, `"claim":null`) {
			t.Errorf("lists are null, or a claim that was never made isn't: %s", s)
		}
	})
}

// TestBranchWeight makes sure that a weight nobody counted isn't shown as zero.
func TestBranchWeight(t *testing.T) {
	for exact, want := range map[bool]string{false: `"exact":false,"weight":null,`, true: `"exact":true,"weight":"` + strings.Repeat("0", 63) + `7",`} {
		var b Branch
		b.Exact, b.Weight = exact, mcm.Weight{7}
		if got, err := json.Marshal(b); err != nil || !strings.Contains(string(got), want) {
			t.Errorf("%s, %v; want %s in it", got, err, want)
		}
	}
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := prometheus.NewRegistry()
		n := newNetwork()
		actors, ts := honest(3)
		bad := &actor{chain: relink(ts, 40, func(t *mcm.Trailer) { t.Nonce()[0] = spoiled })}
		o := n.options(&fakeVerifier{}, n.add(append(actors, bad)...)...)
		o.Metrics = NewMetrics(reg)
		n.scan(t, o)
		if problems, err := testutil.GatherAndLint(reg); err != nil || len(problems) > 0 {
			t.Errorf("lint: %v %v", problems, err)
		}
		want := `
# HELP kigo_scan_faults_total Faults that peers were charged with in scans, by kind.
# TYPE kigo_scan_faults_total counter
kigo_scan_faults_total{kind="invalid_trailer"} 1
# HELP kigo_scan_peers_total Peers judged in scans, by verdict.
# TYPE kigo_scan_peers_total counter
kigo_scan_peers_total{verdict="convicted"} 1
kigo_scan_peers_total{verdict="proven"} 3
# HELP kigo_scan_state 1 for the state in which the last scan ended.
# TYPE kigo_scan_state gauge
kigo_scan_state{state="nobody_reached"} 0
kigo_scan_state{state="none_valid"} 0
kigo_scan_state{state="quorum"} 1
kigo_scan_state{state="too_few"} 0
# HELP kigo_scan_book_addresses Addresses in the book, by table.
# TYPE kigo_scan_book_addresses gauge
kigo_scan_book_addresses{table="banned"} 1
kigo_scan_book_addresses{table="candidate"} 0
kigo_scan_book_addresses{table="configured"} 3
kigo_scan_book_addresses{table="tried"} 0
`
		if err := testutil.GatherAndCompare(reg, strings.NewReader(want),
			"kigo_scan_faults_total", "kigo_scan_peers_total", "kigo_scan_state", "kigo_scan_book_addresses"); err != nil {
			t.Error(err)
		}
	})
}
