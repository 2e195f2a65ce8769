package main

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"kigo/node/chaos"
	"kigo/node/fault"
)

// A demoLiar is what the node found out about the peers of one kind.
type demoLiar struct {
	Kind   string `json:"kind"`
	Family string `json:"family"`
	Does   string `json:"does"`
	Found  string `json:"found"` // in words, the worst of what follows
	demoFound
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// liars shows for each kind of peer what the node made of it, and holds that against
// what it should have.
func (d *demo) liars(ctx context.Context, a *demoAct) error {
	if err := d.node.hear(ctx); err != nil {
		return err
	}
	d.gather(d.node)
	if err := d.evidence(ctx); err != nil {
		return err
	}
	// A lie that the node was told when it was killed may not have been looked at.
	stats := d.fleet.Stats()
	for i := range stats {
		stats[i].Lies -= d.told[i].Lies
	}
	bySync := map[string]chaos.Row{}
	for _, row := range chaos.SyncConformance(d.charged, stats) {
		bySync[row.Kind] = row
	}
	kinds := map[string]chaos.Kind{}
	for _, k := range chaos.Kinds() {
		kinds[k.Name] = k
	}
	list := []demoLiar{}
	wrong := 0
	for _, row := range chaos.Conformance(d.first.report(), d.plan) {
		k := kinds[row.Kind]
		var peers []netip.Addr
		asked := false
		for _, s := range stats {
			if s.Kind == row.Kind {
				peers = append(peers, s.Addr)
				asked = asked || s.Deep > 0
			}
		}
		l := demoLiar{Kind: row.Kind, Family: row.Family, Does: k.Summary, OK: row.OK, Detail: row.Detail, demoFound: d.found(row.Observed, peers)}
		l.Asked = asked
		l.Found = l.text(l.Family)
		// A weight that a scan can't tell is false turns out so when the chain is
		// known.
		if !l.OK && slices.ContainsFunc(k.Expect.Reasons, func(f fault.Kind) bool { return slices.Contains(l.Charged, f) }) {
			l.OK, l.Detail = true, ""
		}
		if s, there := bySync[row.Kind]; there && !s.OK {
			l.OK, l.Detail = false, s.Detail
		}
		if !l.OK {
			wrong++
		}
		list = append(list, l)
	}
	d.table(list)
	hostile := 0
	for _, l := range list {
		if l.Family != chaos.Honest {
			hostile++
		}
	}
	a.Details["kinds"] = list
	if wrong > 0 {
		for _, l := range list {
			if !l.OK {
				d.wrong(l.Kind + ": " + l.Detail)
			}
		}
		return fmt.Errorf("%d of %d kinds were not seen for what they are", wrong, len(list))
	}
	if points := d.charges(chaos.Honest); len(points) > 0 {
		return fmt.Errorf("honest peers were charged: %v", points)
	}
	d.say("Proven says that a peer's last 54 trailers hold, not that it is believed: a copied proof counts for the chain it was copied from, an old or a cheap one ranks last, a list is only a list, and a weight is what it is found to be.")
	d.done("each of %d ways to lie was seen for what it is, and no honest peer was convicted", hostile)
	return nil
}

// charges returns what peers of a family were charged with that is objective.
func (d *demo) charges(family string) (found map[netip.Addr][]fault.Kind) {
	for _, p := range d.plan {
		if familyOf(p.Kind) != family {
			continue
		}
		for _, k := range d.charged[p.Addr] {
			if k.Class() == fault.Objective {
				if found == nil {
					found = map[netip.Addr][]fault.Kind{}
				}
				found[p.Addr] = append(found[p.Addr], k)
			}
		}
	}
	return found
}

// table prints what was found.
func (d *demo) table(list []demoLiar) {
	g := &grid{columns: []column{{title: "KIND"}, {title: "FOUND"}, {title: "WHAT IT DOES", spare: 1}}}
	family := ""
	for _, l := range list {
		if l.Family != family {
			family = l.Family
			g.across(d.colors.bold, family)
		}
		p := d.colors.good
		if !l.OK {
			p = d.colors.bad
		}
		g.add(p, l.Kind, l.Found, l.Does)
	}
	for _, line := range g.lines(d.room(4), d.colors) {
		d.out.line("    %s", line)
	}
	d.out.line("")
}

// union adds to a list what it lacks of another.
func union[T comparable](list, more []T) []T {
	for _, x := range more {
		if !slices.Contains(list, x) {
			list = append(list, x)
		}
	}
	return list
}
