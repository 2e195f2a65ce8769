package chaos

import (
	"fmt"
	"net/netip"
	"slices"

	"kigo/node/fault"
)

// Charges are the faults that a node has charged peers with while it synced, each
// once.
type Charges map[netip.Addr][]fault.Kind

// Add notes a fault.
func (c Charges) Add(a netip.Addr, k fault.Kind) {
	if !slices.Contains(c[a], k) {
		c[a] = append(c[a], k)
	}
}

// SyncConformance returns a row for each kind of which a sync has something to say
// and whose peers are among stats: those of the family of files, and honest ones.
// stats tell which of them have lied.
func SyncConformance(charged Charges, stats []Stats) []Row {
	var rows []Row
	for i := range kinds {
		k := &kinds[i]
		if k.Family != Files && k.Family != Honest || k.Name == turncoat {
			continue
		}
		row := Row{Kind: k.Name, Family: k.Family, Expected: k.Sync.String()}
		var seen []fault.Kind
		var asked, lies int64
		for _, s := range stats {
			if s.Kind != k.Name {
				continue
			}
			row.Peers++
			row.BytesIn += s.BytesOut
			row.BytesOut += s.BytesIn
			asked += s.Deep
			lies += s.Lies
			for _, f := range charged[s.Addr] {
				if !slices.Contains(seen, f) {
					seen = append(seen, f)
				}
			}
		}
		if row.Peers == 0 {
			continue
		}
		slices.Sort(seen)
		if row.Observed = join(seen, ", "); row.Observed == "" {
			row.Observed = "nothing"
			if asked == 0 {
				row.Observed = "not asked"
			}
		}
		row.Detail = k.Sync.differs(seen, lies > 0)
		row.OK = row.Detail == ""
		rows = append(rows, row)
	}
	return rows
}

// String says what is expected, such as "invalid_trailer".
func (s Sync) String() string {
	switch {
	case len(s.Must) > 0:
		return join(s.Must, " or ")
	case len(s.May) > 0:
		return join(s.May, " or ") + ", or nothing"
	}
	return "nothing objective"
}

// differs says in what the faults that peers of a kind were charged with are not as
// expected; empty if in nothing.  lied tells whether they have told a lie to the end.
func (s Sync) differs(seen []fault.Kind, lied bool) string {
	for _, k := range seen {
		if k.Class() == fault.Objective && !slices.Contains(s.Must, k) && !slices.Contains(s.May, k) {
			return fmt.Sprintf("%s was charged, expected %s", k, s)
		}
	}
	if lied && len(s.Must) > 0 && !slices.ContainsFunc(seen, func(k fault.Kind) bool { return slices.Contains(s.Must, k) }) {
		return fmt.Sprintf("nobody was charged with %s", s)
	}
	return ""
}
