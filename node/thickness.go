package node

import (
	"context"
	"fmt"

	"kigo/node/mcm"
	"kigo/node/proof"
)

// Windows of the starved alarm (docs/spec/sync.md section 8.10).
const (
	shortWindow = 256
	longWindow  = 4096
	belowMean   = 4  // the work of a block below one in so many of the mean before
	belowPeak   = 16 // or below one in so many of the greatest mean there was
	nearBlocks  = 64 // new ones up to which the greatest mean is kept up block by block
)

// thickness is how much work the own chain has, over the windows by which it is told
// whether it starves.  It belongs to who holds the node's lock.
type thickness struct {
	recent, before mcm.Weight // work of the last 256 blocks, and of the 4,096 before
	full           bool       // the chain is that long
	peak           mcm.Weight // the greatest work of any 4,096 blocks
	peaked         bool       // it is that long
	stale          bool       // peak has to be found out by reading all of the chain
}

// moved takes in that the own chain has other blocks above fork.
func (t *thickness) moved(o *own, fork mcm.BlockNum) {
	tip, have := o.Tip()
	if !have {
		return
	}
	t.full = false
	mid, ok := back(o, tip.Num, shortWindow)
	if ok {
		t.recent, _ = tip.Work.Sub(mid)
		if low, ok := back(o, tip.Num, shortWindow+longWindow); ok {
			t.before, _ = mid.Sub(low)
			t.full = true
		}
	}
	if t.stale = t.stale || tip.Num-fork > nearBlocks; t.stale {
		return
	}
	for n := fork + 1; n <= tip.Num; n++ {
		at, _ := o.at(n)
		if low, ok := back(o, n, longWindow); ok {
			sum, _ := at.Work.Sub(low)
			t.top(sum)
		}
	}
}

// back returns the work up to the block that is count blocks below n.
func back(o *own, n mcm.BlockNum, count int) (mcm.Weight, bool) {
	if uint64(n) < uint64(count) {
		return mcm.Weight{}, false
	}
	at, ok := o.at(n - mcm.BlockNum(count))
	return at.Work, ok
}

func (t *thickness) top(sum mcm.Weight) {
	if !t.peaked || sum.Cmp(t.peak) > 0 {
		t.peak, t.peaked = sum, true
	}
}

// starved says why the own chain seems to starve, empty if it doesn't.
func (t *thickness) starved() string {
	recent := proof.Hashes(t.recent) / shortWindow
	if mean := proof.Hashes(t.before) / longWindow; t.full && recent < mean/belowMean {
		return fmt.Sprintf("a block of the last %d has %.3g hashes of work, one of the %d before %.3g", shortWindow, recent, longWindow, mean)
	}
	if mean := proof.Hashes(t.peak) / longWindow; t.full && t.peaked && recent < mean/belowPeak {
		return fmt.Sprintf("a block of the last %d has %.3g hashes of work, one of the best %d there were %.3g", shortWindow, recent, longWindow, mean)
	}
	return ""
}

// survey finds out the greatest work of any 4,096 blocks by reading the own chain,
// whenever that is needed, until ctx ends.
func (n *Node) survey(ctx context.Context) {
	for {
		n.mu.Lock()
		stale := n.thickness.stale
		n.mu.Unlock()
		if stale {
			if peak, ok, err := n.findPeak(ctx); err != nil {
				n.log.Error("own chain can't be read", "err", err)
			} else if ctx.Err() == nil {
				n.mu.Lock()
				n.thickness.peak, n.thickness.peaked, n.thickness.stale = peak, ok, false
				n.mu.Unlock()
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-n.grown:
		}
	}
}

// findPeak reads the own chain from its base on.
func (n *Node) findPeak(ctx context.Context) (peak mcm.Weight, ok bool, err error) {
	var t thickness
	tip, _ := n.own.Tip()
	window := make([]mcm.Weight, 0, longWindow) // work of single blocks, as a ring
	var sum mcm.Weight
	count := 0
	for at := n.o.base(); at <= tip.Num && ctx.Err() == nil; {
		ts, err := n.o.Chain.Trailers(at, 1000)
		if err != nil || len(ts) == 0 {
			return peak, false, err
		}
		for i := range ts {
			w := work(ts[i : i+1])
			if len(window) < longWindow {
				window = append(window, w)
			} else {
				old := &window[count%longWindow]
				sum, _ = sum.Sub(*old)
				*old = w
			}
			sum, _ = sum.Add(w)
			if count++; count >= longWindow {
				t.top(sum)
			}
		}
		at += mcm.BlockNum(len(ts))
	}
	return t.peak, t.peaked, nil
}
