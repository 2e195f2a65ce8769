package main

import (
	"context"
	"encoding/json"
	"fmt"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/wire"
)

// A demoWork counts the proofs of work of the honest chain by who has checked them:
// Left + Scanned + Chain = All.
type demoWork struct {
	All     int `json:"all"`
	Left    int `json:"left"`    // by the node that was killed, as its successor has found it
	Scanned int `json:"scanned"` // by that one's scan, in proofs of tips
	Chain   int `json:"chain"`   // by its sync
	Beside  int `json:"beside"`  // checked by its sync, and none of these: of other branches, or twice
}

// work asks the node that goes on for another what it has found and done.
func (d *demo) work(ctx context.Context) (w demoWork, err error) {
	b, err := d.node.get(ctx, "/v1/forks?limit=50")
	if err != nil {
		return w, err
	}
	var forks demoForks
	if err := json.Unmarshal(b, &forks); err != nil {
		return w, err
	}
	checks, err := d.node.metric(ctx, "kigo_sync_work_checks_total")
	if err != nil {
		return w, err
	}
	trailers := d.chain.Trailers()
	first := trailers[0].Num()
	has := func(n mcm.BlockNum, h string) bool {
		return n >= first && n-first < mcm.BlockNum(len(trailers)) && trailers[n-first].Hash().String() == h
	}
	const ( // who has checked a trailer
		nobody = iota
		beside // maybe: another branch had one of this number, and perhaps this very one
		scanned
		left
	)
	by := make([]int, len(trailers))
	mark := func(low, high mcm.BlockNum, who int) {
		for n := max(low, first); n <= high && n-first < mcm.BlockNum(len(by)); n++ {
			by[n-first] = max(by[n-first], who)
		}
	}
	for _, f := range forks.Branches {
		if has(f.Height, f.Tip) {
			mark(f.First, f.Height, scanned)
		}
	}
	d.node.mu.Lock()
	defer d.node.mu.Unlock()
	for _, l := range d.node.left {
		who := left
		if !has(l.High, l.Tip) {
			if who = beside; !has(l.Low, l.LowHash) {
				continue
			}
		}
		n := l.Low
		for _, s := range l.Unproven {
			if s.First > n {
				mark(n, s.First-1, who)
			}
			n = s.First + mcm.BlockNum(s.Count)
		}
		if n <= l.High {
			mark(n, l.High, who)
		}
	}
	shared := 0
	for i := range trailers {
		if !proof.IsWorked(&trailers[i]) {
			continue
		}
		w.All++
		switch by[i] {
		case scanned:
			w.Scanned++
		case left:
			w.Left++
		case beside:
			shared++
			fallthrough
		default:
			w.Chain++
		}
	}
	w.Beside = int(checks) - w.Chain
	// What another branch has left of the same history isn't checked again, either.
	if had := min(shared, -w.Beside); had > 0 {
		w.Left, w.Chain, w.Beside = w.Left+had, w.Chain-had, w.Beside+had
	}
	return w, nil
}

// check fails if a proof of work can't have been checked, or if more were checked
// twice than a range has.  before is how many the killed node had checked.
func (w *demoWork) check(before int64) error {
	if w.Left == 0 {
		return fmt.Errorf("it went on with no proof of work checked, after %d had been", before)
	}
	if w.Beside < 0 {
		return fmt.Errorf("of %d proofs of work %d were checked before and %d in proofs of tips, and then only %d", w.All, w.Left, w.Scanned, w.Chain+w.Beside)
	}
	if twice := max(w.Beside, int(before)-w.Left+w.Beside); twice > wire.MaxTF {
		return fmt.Errorf("%d proofs of work were checked twice, or of branches beside the chain; %d are allowed", twice, wire.MaxTF)
	}
	return nil
}
