package node

import (
	"errors"
	"fmt"
	"sync"

	"kigo/node/chain"
	"kigo/node/mcm"
)

// tailLen is how many trailers of the own chain are held in memory: all that a
// found message and the range below it can reach from the tip.
const tailLen = 2048

// own is the own chain as the node sees it: the store, and its newest part in
// memory.  Safe for concurrent use.
type own struct {
	store *chain.Store

	mu   sync.RWMutex
	tip  chain.Tip
	have bool
	tail []mcm.Trailer // ends in tip; its elements are never changed
	sums []chain.Tip   // of each of these, up to and including it
}

// load takes over what the store holds now, if that isn't known already, and reports
// whether it wasn't.
func (o *own) load() (changed bool, err error) {
	tip, have := o.store.Tip()
	o.mu.RLock()
	same := have == o.have && tip.Hash == o.tip.Hash && tip.Num == o.tip.Num
	o.mu.RUnlock()
	if same {
		return false, nil
	}
	var tail []mcm.Trailer
	if have {
		first := mcm.BlockNum(0)
		if tip.Num >= tailLen {
			first = tip.Num - tailLen + 1
		}
		if tail, err = o.read(first, tip); err != nil {
			return false, err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tip, o.have, o.tail = tip, have, tail
	o.sum()
	return true, nil
}

// sum makes sums, from the tip down.  The caller holds o.mu.
func (o *own) sum() {
	o.sums = make([]chain.Tip, len(o.tail))
	weight, done := o.tip.Weight, o.tip.Work
	for i := len(o.tail) - 1; i >= 0; i-- {
		t := &o.tail[i]
		o.sums[i] = chain.Tip{Num: t.Num(), Hash: *t.Hash(), Weight: weight, Work: done, Time: t.SolveTime()}
		weight, _ = weight.Sub(weigh(mcm.Weight{}, o.tail[i:i+1]))
		done, _ = done.Sub(work(o.tail[i : i+1]))
	}
}

// errMoved says that the own chain was switched while it was read.
var errMoved = errors.New("node: the own chain has moved on")

// read returns the trailers from first on, or from the lowest one there is, up to tip.
func (o *own) read(first mcm.BlockNum, tip chain.Tip) ([]mcm.Trailer, error) {
	// The store says nothing below its base: look for it from the tip down.
	for n := int(tip.Num-first) + 1; n > 0; n /= 2 {
		ts, err := o.store.Trailers(tip.Num-mcm.BlockNum(n-1), n)
		if err != nil {
			return nil, fmt.Errorf("node: own chain: %w", err)
		}
		if len(ts) == n {
			if *ts[n-1].Hash() != tip.Hash {
				return nil, errMoved
			}
			return ts, nil
		}
	}
	return nil, fmt.Errorf("node: own chain: no trailer at its tip %v", tip.Num)
}

// Tip returns the own tip; false when there is no chain yet.
func (o *own) Tip() (chain.Tip, bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.tip, o.have
}

// last returns up to n of the newest trailers, oldest first.  They aren't changed by
// anybody.
func (o *own) last(n int) []mcm.Trailer {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return o.tail[max(0, len(o.tail)-n):]
}

// trailer returns the own trailer with that number.
func (o *own) trailer(n mcm.BlockNum) (t mcm.Trailer, ok bool) {
	o.mu.RLock()
	if !o.have || n > o.tip.Num {
		o.mu.RUnlock()
		return t, false
	}
	if below := uint64(o.tip.Num - n); below < uint64(len(o.tail)) {
		t = o.tail[len(o.tail)-1-int(below)]
		o.mu.RUnlock()
		return t, true
	}
	o.mu.RUnlock()
	ts, err := o.store.Trailers(n, 1)
	if err != nil || len(ts) != 1 {
		return t, false
	}
	return ts[0], true
}

// holds reports whether exactly this trailer is on the own chain.
func (o *own) holds(t *mcm.Trailer) bool {
	mine, ok := o.trailer(t.Num())
	return ok && mine == *t
}

// has reports whether the block with that number and hash is on the own chain.
func (o *own) has(n mcm.BlockNum, h mcm.Hash) bool {
	mine, ok := o.trailer(n)
	return ok && *mine.Hash() == h
}

// at returns number, hash, weight and work up to block n.
func (o *own) at(n mcm.BlockNum) (chain.Tip, bool) {
	o.mu.RLock()
	if o.have && n <= o.tip.Num {
		if below := uint64(o.tip.Num - n); below < uint64(len(o.sums)) {
			defer o.mu.RUnlock()
			return o.sums[len(o.sums)-1-int(below)], true
		}
	}
	o.mu.RUnlock()
	return o.store.At(n)
}

// put has the own chain go on with ts above block fork, in place of what is there.
func (o *own) put(fork mcm.BlockNum, ts []mcm.Trailer) (err error) {
	tip, _ := o.Tip()
	if fork == tip.Num {
		err = o.store.Extend(ts)
	} else {
		err = o.store.Replace(fork+1, ts)
	}
	if err != nil {
		return fmt.Errorf("node: own chain: %w", err)
	}
	now, have := o.store.Tip()
	keep := len(o.tail) - int(tip.Num-fork) // which nobody else changes meanwhile
	if keep <= 0 && len(ts) < tailLen {
		if ts, err = o.read(now.Num-min(now.Num, tailLen-1), now); err != nil {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if keep <= 0 {
		o.tail = ts
	} else {
		tail := make([]mcm.Trailer, 0, keep+len(ts))
		o.tail = append(append(tail, o.tail[:keep]...), ts...)
	}
	o.tail = o.tail[max(0, len(o.tail)-tailLen):]
	o.tip, o.have = now, have
	o.sum()
	return nil
}
