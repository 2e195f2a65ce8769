package chaos

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"kigo/node/fault"
	"kigo/node/scan"
)

// A Row compares what a scan must say of a kind with what it said.
type Row struct {
	Kind     string `json:"kind"`
	Family   string `json:"family"`
	Peers    int    `json:"peers"`
	Expected string `json:"expected"`
	Observed string `json:"observed"` // what was said of most of these peers
	OK       bool   `json:"ok"`       // of all of them
	Detail   string `json:"detail"`   // what was not as expected, of the first such peer
	BytesIn  int64  `json:"bytes_in"` // received from all of them
	BytesOut int64  `json:"bytes_out"`
}

// Conformance returns a row for each kind assigned, in the order of Kinds.  Peers
// that the report lacks are not as expected.
func Conformance(r *scan.Report, peers []Assignment) []Row {
	byAddr := make(map[netip.Addr]*scan.Peer, len(r.Peers))
	for i := range r.Peers {
		byAddr[r.Peers[i].Addr] = &r.Peers[i]
	}
	var rows []Row
	for i := range kinds {
		k := &kinds[i]
		row := Row{Kind: k.Name, Family: k.Family, Expected: k.Expect.String(), OK: true}
		seen := map[string]int{}
		for _, a := range peers {
			if a.Kind != k.Name {
				continue
			}
			row.Peers++
			p := byAddr[a.Addr]
			if p != nil {
				row.BytesIn += p.BytesIn
				row.BytesOut += p.BytesOut
			}
			seen[describe(p)]++
			if wrong := k.Expect.differs(p); wrong != "" && row.OK {
				row.OK, row.Detail = false, fmt.Sprintf("%v: %s", a.Addr, wrong)
			}
		}
		if row.Peers == 0 {
			continue
		}
		for what, n := range seen {
			if m := seen[row.Observed]; n > m || n == m && what < row.Observed {
				row.Observed = what
			}
		}
		rows = append(rows, row)
	}
	return rows
}

// String says what is expected, such as "convicted: invalid_trailer (EMCM_BHASH)".
func (e Expect) String() string {
	s := join(e.Verdicts, " or ")
	if len(e.Reasons) > 0 {
		s += ": " + join(e.Reasons, " or ")
	}
	if e.Rule != "" {
		s += " (" + string(e.Rule) + ")"
	}
	if len(e.Faults) > 0 {
		s += " [" + join(e.Faults, ", ") + "]"
	}
	return s
}

// describe says the same of what was observed.
func describe(p *scan.Peer) string {
	if p == nil {
		return "not in the report"
	}
	e := Expect{Verdicts: []scan.Verdict{p.Verdict}, Rule: p.Rule}
	if p.Reason != "" {
		e.Reasons = []fault.Kind{p.Reason}
	}
	for _, k := range p.Faults {
		if k != p.Reason {
			e.Faults = append(e.Faults, k)
		}
	}
	return e.String()
}

// differs says in what a row of a report is not as expected; empty if in nothing.
// A nil row is one that the report lacks.
func (e Expect) differs(p *scan.Peer) string {
	switch {
	case p == nil:
		return describe(p)
	case !slices.Contains(e.Verdicts, p.Verdict):
		return fmt.Sprintf("%s, expected %s; %s", describe(p), e, p.Detail)
	case p.Reason != "" && !slices.Contains(e.Reasons, p.Reason):
		return fmt.Sprintf("reason %s, expected %s; %s", p.Reason, e, p.Detail)
	case p.Reason == "" && len(e.Reasons) > 0 && p.Verdict != scan.Proven:
		return fmt.Sprintf("no reason, expected %s", e)
	case e.Rule != "" && p.Rule != e.Rule:
		return fmt.Sprintf("rule %q, expected %s; %s", p.Rule, e.Rule, p.Detail)
	}
	for _, k := range e.Faults {
		if !slices.Contains(p.Faults, k) && p.Reason != k {
			return fmt.Sprintf("%s was not observed", k)
		}
	}
	for _, k := range p.Faults {
		if k.Class() > e.MaxClass {
			return fmt.Sprintf("%s was observed, expected nothing worse than %v faults", k, e.MaxClass)
		}
	}
	return ""
}

func join[T ~string](list []T, sep string) string {
	var b strings.Builder
	for i, s := range list {
		if i > 0 {
			b.WriteString(sep)
		}
		b.WriteString(string(s))
	}
	return b.String()
}
