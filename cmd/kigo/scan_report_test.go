package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"kigo/node/branch"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/rules"
	"kigo/node/scan"
	"kigo/node/wire"
)

// reportOf is a report of a small network: two branches, a liar of each sort, and
// many that don't answer.
func reportOf(silent int) *scan.Report {
	tip := func(b byte) (h mcm.Hash) { h[0], h[31] = b, b; return h }
	peer := func(host byte, v scan.Verdict, reason fault.Kind, on int, tip mcm.Hash, w mcm.Weight) scan.Peer {
		a := netip.AddrFrom4([4]byte{203, host, 113, host})
		g, _ := a.Prefix(16)
		p := scan.Peer{Addr: a, Group: g, Source: "configured", Verdict: v, Reason: reason, Branch: on, Calls: 2, BytesIn: 9000, BytesOut: 400}
		if v != scan.Unavailable {
			p.Claim = &wire.State{Num: 792_312, Hash: tip, Weight: w}
		}
		if on >= 0 {
			p.Trailers, p.Worked, p.Density = 54, 52, 1.37e11
		}
		return p
	}
	weight := mcm.Weight{0xd3a1b2c3d4e5f6}
	r := &scan.Report{
		State: scan.Quorum, Quorum: branch.Quorum{Peers: 3, Groups: 3}, Chosen: 0, Reason: "rank",
		Branches: []scan.Branch{
			{Branch: branch.Branch{Tip: tip(0x7f), Height: 792_312, Time: 1_700_000_000, Density: 1.37e11, Worked: 52, Trailers: 54, Fresh: true, FirstClass: true}, Chosen: true, Quorum: true},
			{Branch: branch.Branch{Tip: tip(0x11), Height: 792_311, Time: 1_690_000_000, Density: 3.25, Worked: 9, Trailers: 54}, Index: 1},
		},
		Asked: 9 + silent, Reached: 8, Seconds: 5.31, PowSeconds: 0.04,
		Bytes: scan.Bytes{In: 1_234_567, Out: 45_678}, Trailers: scan.Trailers{Received: 432, Distinct: 110, Checked: 104, Invalid: 1},
	}
	r.Peers = []scan.Peer{
		peer(1, scan.Proven, "", 0, tip(0x7f), weight),
		peer(2, scan.Proven, "", 0, tip(0x7f), weight),
		peer(3, scan.Proven, "", 0, tip(0x7f), mcm.Weight{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}),
		peer(4, scan.Proven, "", 1, tip(0x11), weight),
		peer(5, scan.Convicted, fault.InvalidTrailer, -1, tip(0x99), weight),
		peer(6, scan.Doubtful, fault.ClaimMismatch, -1, tip(0x98), weight),
		peer(7, scan.SetAside, fault.TooHigh, -1, tip(0x97), weight),
	}
	at := mcm.BlockNum(792_300)
	bad := &r.Peers[4]
	bad.Rule, bad.Block, bad.Detail = rules.Rule("EMCM_DIFF"), &at, "difficulty is 3, expected 37"
	bad.Faults, bad.Evidence, bad.Points.Objective = []fault.Kind{fault.InvalidTrailer}, []string{strings.Repeat("3f2a81c0", 8)}, 100
	r.Peers[6].Claim.Num = 1 << 63
	for i := range silent {
		a := netip.AddrFrom4([4]byte{198, byte(i >> 8), byte(i), 1})
		g, _ := a.Prefix(16)
		reason := fault.Timeout
		if i%3 == 0 {
			reason = fault.Refused
		}
		r.Peers = append(r.Peers, scan.Peer{Addr: a, Group: g, Verdict: scan.Unavailable, Reason: reason, Branch: -1})
	}
	for i := range r.Branches {
		b := &r.Branches[i]
		for j := range r.Peers {
			if p := &r.Peers[j]; p.Branch == i {
				b.Peers, b.Groups = append(b.Peers, p.Addr), append(b.Groups, p.Group)
			}
		}
	}
	return r
}

// text is a report as kigo scan prints it where width columns are.
func text(r *scan.Report, width int, all bool) string {
	var b strings.Builder
	out := &printer{w: &b}
	printScan(out, r, "", width, all, 2095, palette{})
	return b.String()
}

func TestScanTableFits(t *testing.T) {
	for _, width := range []int{60, 80, 100, 120, 200} {
		out := text(reportOf(30), width, false)
		table, _, _ := strings.Cut(out, "branch 1 is chosen")
		for line := range strings.Lines(table) {
			if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > width {
				t.Errorf("a line of %d columns where there are %d: %q", n, width, line)
			}
		}
		// What decides is there however narrow it gets.
		if width >= 80 {
			contains(t, fmt.Sprintf("the table of %d columns", width), out,
				"203.1.113.1", "792,312", "7f000000", "1.37e11", "52/54", "proven", "convicted invalid_trailer", "set aside too_high")
		}
		if has, want := strings.Contains(out, "203.1.0.0/16"), width >= 200; has != want {
			t.Errorf("%d columns: the groups are shown: %v, want %v", width, has, want)
		}
		// The beginning of a detail is worth more than the group.
		if has, want := strings.Contains(out, "difficulty is 3"), width >= 120; has != want {
			t.Errorf("%d columns: details are shown: %v, want %v", width, has, want)
		}
	}
	wide := text(reportOf(30), 0, false)
	contains(t, "the table off a terminal", wide, "0xd3a1b2c3d4e5f6", "≈ 2^256.0", "9.22e18", "difficulty is 3, expected 37", "203.1.0.0/16")
}

func TestScanTableIsShort(t *testing.T) {
	out := text(reportOf(300), 0, false)
	contains(t, "the report", out, "branch 1, chosen: 3 peers in 3 groups", "branch 2: 1 peer in 1 group", "convicted: 1 peer in 1 group (1 invalid_trailer)",
		"unavailable: 300 peers in 2 groups (200 timeout, 100 refused)", "and 295 more; --all lists them")
	if n := strings.Count(out, "\n198."); n != briefRows {
		t.Errorf("%d silent peers have a row, want %d", n, briefRows)
	}
	all := text(reportOf(300), 0, true)
	if n := strings.Count(all, "\n198."); n != 300 {
		t.Errorf("--all gives %d silent peers a row, want all 300", n)
	}
	order := []string{"branch 1, chosen", "203.3.", "branch 2", "203.4.", "convicted", "203.5.", "doubtful", "203.6.", "unavailable", "set aside", "203.7."}
	at := 0
	for _, part := range order {
		i := strings.Index(all[at:], part)
		if i < 0 {
			t.Fatalf("%q doesn't follow in\n%.3000s", part, all)
		}
		at += i
	}
}

func TestScanConclusions(t *testing.T) {
	quorum := reportOf(0)
	contains(t, "a quorum", text(quorum, 0, false), "branch 1 is chosen", "792,312 (0xc16f8)", "2023-11-14 22:13:20 UTC", "first by freshness",
		"0xd3a1b2c3d4e5f6 claimed by 2 peers (there is 1 other claim), not proven", "QUORUM: 3 proven peers in 3 groups, and 3 in 3 groups were wanted",
		"16 peers asked"[3:], "432 trailers received, 110 distinct, 1 invalid; 104 proofs of work")

	exact := reportOf(0)
	exact.Branches[0].Exact, exact.Branches[0].Weight = true, mcm.Weight{0xabc}
	out := text(exact, 0, false)
	contains(t, "an exact weight", out, "0xabc, counted from a pinned block")
	if strings.Contains(out, "not proven") {
		t.Error("an exact weight is called unproven")
	}

	few := reportOf(0)
	few.State, few.Quorum = scan.TooFew, branch.Quorum{Peers: 5, Groups: 4}
	none := &scan.Report{State: scan.NoneValid, Chosen: -1, Asked: 4, Reached: 2}
	nobody := &scan.Report{State: scan.NobodyReached, Chosen: -1, Asked: 4}
	texts := map[string]string{
		"TOO FEW: 3 proven peers in 3 groups, and it takes 5 in 4 groups":  text(few, 0, false),
		"NONE VALID: 2 peers answered, and none proved a chain":            text(none, 0, false),
		"NOBODY REACHED: none of 4 peers answered; is this machine online": text(nobody, 0, false),
	}
	for want, out := range texts {
		contains(t, "the state", out, want)
		for other := range texts {
			if title, _, _ := strings.Cut(other, ":"); other != want && strings.Contains(out, title) {
				t.Errorf("%q is also called %q", want, title)
			}
		}
	}
	alarmed := reportOf(0)
	alarmed.Alarms = []scan.Alarm{{Kind: scan.ClockAlarm, Detail: "tips of 3 groups are early"}}
	contains(t, "an alarm", text(alarmed, 0, false), "ALARM, clock: tips of 3 groups are early")
	for _, reason := range []string{"rank", "weight", "groups", "work", "addresses", "hash"} {
		r := reportOf(0)
		r.Reason = reason
		contains(t, reason, text(r, 0, false), choiceReasons[reason])
	}
}

func TestBrief(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 1: "1", 1.5: "1.5", 31.25: "31.25", 9998: "9998", 9999.9: "1.00e4", 123456: "1.23e5",
		1.37e11: "1.37e11", 9.3e-5: "9.30e-5", 1.1579e77: "1.16e77",
	} {
		if got := brief(x); got != want {
			t.Errorf("brief(%v) is %q, want %q", x, got, want)
		}
	}
}

func TestCheckText(t *testing.T) {
	r := reportOf(1)
	var b strings.Builder
	out := &printer{w: &b}
	for i := range r.Peers {
		printPeer(out, r, &r.Peers[i], func(id string) string { return "look at " + id[:4] }, palette{})
	}
	printCheck(out, r, palette{})
	contains(t, "the judgement", b.String(),
		"203.1.113.1  PROVEN\n", "203.5.113.5  CONVICTED: invalid trailer\n", "EMCM_DIFF", "block 792,300 (0xc16ec)", "difficulty is 3, expected 37",
		"100 objective", "look at 3f2a\n", "198.0.0.1  UNAVAILABLE: refused\n", "54 trailers, 52 with proof of work, density 1.37e11",
		"NOT PROVEN: 4 of 8 named peers are proven\n")
}

// TestWhereabouts has reports and judgements say where evidence is.
func TestWhereabouts(t *testing.T) {
	id := strings.Repeat("3f2a81c0", 8)
	r := &scan.Report{Peers: []scan.Peer{{}, {Evidence: []string{id}}, {Evidence: []string{id, id}}}}
	n := &network{app: &app{settings: settings{from: map[string]string{}}}, memory: &memory.DB{}}
	n.conf.Data.Dir = "there"
	check := func(got, want string) {
		t.Helper()
		if got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	check(n.whereabouts(&scan.Report{Peers: r.Peers[:1]}), "")
	check(n.whereabouts(&scan.Report{Peers: r.Peers[:2]}), "1 record of evidence: kigo evidence list")
	n.settings.from["data.dir"] = "flag --data-dir"
	check(n.whereabouts(r), "3 records of evidence: kigo evidence list --data-dir there")
	n.conf.Data.Dir = "it's there"
	check(n.whereIs(id), `kigo evidence show 3f2a81c03f2a --data-dir 'it'\''s there'`)
	n.memory = nil
	check(n.whereIs(id), "3f2a81c03f2a, not kept (--no-memory)")
	check(n.whereabouts(r), "3 records of evidence, not kept (--no-memory)")
	n.serves = true
	check(n.whereabouts(r), "3 records of evidence, at /v1/evidence until this ends (--no-memory)")
}

func TestWatchTable(t *testing.T) {
	r := reportOf(100)
	w := &watch{colors: palette{}, what: "scan", peers: map[netip.Addr]scan.Peer{}}
	w.note(scan.Progress{Asked: 40, Reached: 0, Queue: 60, InFlight: 40})
	if lines := w.table(0, 80, 24); len(lines) != 1 {
		t.Errorf("before anybody answered: %q", lines)
	}
	w.note(scan.Progress{Asked: 107, Reached: 7, Proven: 4, InFlight: 3, Peers: r.Peers[7:]})
	w.note(scan.Progress{Asked: 107, Reached: 7, Proven: 4, InFlight: 3, Peers: r.Peers[:7]})
	w.note(scan.Progress{Asked: 107, Reached: 7, Proven: 4, InFlight: 3, Peers: r.Peers[:1]}) // again
	for _, size := range [][2]int{{79, 23}, {119, 40}, {39, 9}, {20, 3}, {79, 1}} {
		lines := w.table(12*time.Second, size[0], size[1])
		if len(lines) > size[1] {
			t.Errorf("%d lines on %d rows", len(lines), size[1])
		}
		for _, line := range lines {
			if n := utf8.RuneCountInString(line); n > size[0] {
				t.Errorf("a line of %d columns where there are %d: %q", n, size[0], line)
			}
		}
	}
	lines := w.table(12*time.Second, 119, 40)
	contains(t, "the table", strings.Join(lines, "\n"), "scan, 12s: 107 asked, 7 reached, 4 proven; 3 under way, 0 waiting",
		"4 proven · 1 convicted · 1 doubtful · 100 unavailable · 1 set aside", "VERDICT", "203.7.113.7")
	if !strings.HasPrefix(lines[3], "203.1.113.1 ") || strings.Count(strings.Join(lines, "\n"), "203.1.113.1 ") != 1 {
		t.Errorf("the latest doesn't come first, once: %q", lines)
	}
}

// TestWatchDraws looks at what 25 s of a scan leave on a terminal and elsewhere.
func TestWatchDraws(t *testing.T) {
	for _, columns := range []int{0, 80} {
		synctest.Test(t, func(t *testing.T) {
			var b strings.Builder
			w := newWatch(&screen{w: &b, columns: columns, rows: 10}, "scan")
			w.note(scan.Progress{Asked: 30, Reached: 7, Proven: 4, InFlight: 3, Queue: 1, Peers: reportOf(20).Peers})
			time.Sleep(25 * time.Second)
			w.end()
			out := b.String()
			if columns == 0 {
				want := "scan, 10s: 30 asked, 7 reached, 4 proven; 3 under way, 1 waiting\n" +
					"scan, 20s: 30 asked, 7 reached, 4 proven; 3 under way, 1 waiting\n"
				if out != want {
					t.Errorf("off a terminal: %q", out)
				}
				return
			}
			frames := strings.Split(out, "\x1b[9A\r\x1b[J")
			if len(frames) < 100 || frames[len(frames)-1] != "" {
				t.Fatalf("%d frames of 9 lines, the last %q; the screen is to be left empty", len(frames), frames[len(frames)-1])
			}
			for i, f := range frames[:len(frames)-1] {
				if strings.Count(f, "\n") != 9 || !strings.HasPrefix(f, "scan, ") {
					t.Fatalf("frame %d is %q", i, f)
				}
			}
		})
	}
}

func TestScreenScrollsAboveTheTable(t *testing.T) {
	var b strings.Builder
	s := &screen{w: &b, columns: 80, rows: 5}
	s.show([]string{"a", "b"})
	fmt.Fprintln(s, "a log line")
	s.show([]string{"1", "2", "3", "4", "5", "6"})
	s.show(nil)
	s.show(nil)
	want := "a\nb\n" + "\x1b[2A\r\x1b[J" + "a log line\n" + "a\nb\n" + "\x1b[2A\r\x1b[J1\n2\n3\n4\n" + "\x1b[4A\r\x1b[J"
	if b.String() != want {
		t.Errorf("got  %q\nwant %q", b.String(), want)
	}
	b.Reset()
	plain := &screen{w: &b}
	plain.show([]string{"a"})
	fmt.Fprintln(plain, "a log line")
	if b.String() != "a log line\n" {
		t.Errorf("off a terminal: %q", b.String())
	}
}

// TestReportThatIsNotKept: a memory that can't keep what was found takes the
// report from nobody.
func TestReportThatIsNotKept(t *testing.T) {
	var stderr strings.Builder
	screen := newScreen(&stderr)
	a := &app{screen: screen, log: slog.New(slog.NewTextHandler(screen, nil))}
	n := &network{app: a}
	for _, c := range []struct {
		err  error
		kept bool
	}{{&scan.SaveError{Err: errors.New("no space left")}, false}, {nil, true}} {
		r, err := n.watched(t.Context(), "scan", func(context.Context, scan.Options) (*scan.Report, error) {
			return &scan.Report{State: scan.Quorum}, c.err
		})
		if r == nil || err != nil || (n.unkept == nil) != c.kept {
			t.Errorf("%v: report %v, error %v, unkept %v", c.err, r, err, n.unkept)
		}
	}
	contains(t, "the log", stderr.String(), "can't be kept", "no space left")
}
