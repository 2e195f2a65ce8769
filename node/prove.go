package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/status"
	"kigo/node/verify"
)

// prove checks the work of the own chain that is still to be checked, until ctx ends:
// what lies between pin and floor, which nothing waits for (docs/spec/sync.md section
// 8.3), and all of it when an engine was found to compute wrongly.
func (n *Node) prove(ctx context.Context) {
	for {
		err := n.provePending(ctx)
		if ctx.Err() != nil {
			return
		}
		n.fails("checking the own chain's work", err)
		select {
		case <-ctx.Done():
			return
		case <-n.owed:
		}
	}
}

// proveStep is how many trailers are checked at a time: enough for any engine, few
// enough for others to come between.
const proveStep = 1000

// provePending checks what there is to check now.
func (n *Node) provePending(ctx context.Context) error {
	var next mcm.BlockNum // above one below the floor that has no work, which stays pending
	if at := n.above; at.Num > 0 && n.o.Chain.Has(at.Num, at.Hash) {
		next = at.Num + 1
	}
	for ctx.Err() == nil {
		from, to, ok := n.o.Chain.Pending()
		from = max(from, next)
		if !ok || from > to {
			if at, have := n.o.Chain.At(next - 1); have && next > 0 {
				n.above = at
			}
			n.mu.Lock()
			n.reproving = false
			n.mu.Unlock()
			return nil
		}
		ts, err := n.o.Chain.Trailers(from, min(proveStep, int(to-from)+1))
		if err != nil || len(ts) == 0 {
			return err
		}
		results := make([]verify.Result, len(ts))
		if err := n.o.Scan.Verifier.VerifyPoW(ctx, results, ts); err != nil {
			return err
		}
		if next, err = n.settle(ts, results, next); err != nil {
			return err
		}
	}
	return nil
}

// settle takes in the results for trailers that are to be checked, unless they are no
// longer on the own chain, and returns what is to be checked next where that doesn't
// follow from what is pending.  If one has no work the own chain ends before it.  Up to
// the floor, as far as hashes link it, that is no peer's doing.
func (n *Node) settle(ts []mcm.Trailer, results []verify.Result, next mcm.BlockNum) (mcm.BlockNum, error) {
	n.switching.Lock()
	defer n.switching.Unlock()
	n.reload()
	if now, err := n.o.Chain.Trailers(ts[0].Num(), len(ts)); err != nil || !slices.Equal(now, ts) {
		return next, err
	}
	bad := slices.IndexFunc(results, func(r verify.Result) bool { return r.Verdict.Bad() })
	if bad < 0 {
		last := ts[len(ts)-1].Num()
		if next > 0 {
			return last + 1, nil
		}
		return 0, n.o.Chain.Proven(last)
	}
	t, lack := &ts[bad], proof.LacksWork(&ts[bad], &results[bad])
	if f := n.o.fixed(); f != nil && t.Num() <= f.Num && (t.Num() >= mcm.V30Trigger || !n.o.Sync.Unpinned()) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.alarms.raise(floorAlarm, fmt.Sprintf("block %v below the floor has no valid work (%s): the floor, or this build, is wrong", t.Num(), lack.Detail), n.o.Now())
		return f.Num + 1, nil
	}
	return next, n.disown(t, lack)
}

// disown has the own chain end before t, which is on it and has no valid work.  What is
// better is found as for any chain.  The caller holds n.switching.
func (n *Node) disown(t *mcm.Trailer, f *proof.Finding) error {
	prev, ok := n.own.trailer(t.Num() - 1)
	if !ok {
		return fmt.Errorf("node: own chain: no trailer below block %v", t.Num())
	}
	before, had := n.own.Tip()
	tail := n.own.last(tailLen)
	if err := n.own.put(prev.Num()-1, []mcm.Trailer{prev}); err != nil {
		return err
	}
	n.known.Learn(t, proof.Key(&prev, t), f)
	n.mu.Lock()
	n.reproving = true // so that nothing of it is kept aside; it ends with what is pending
	n.mu.Unlock()
	n.took(before, had, tail)

	detail := fmt.Sprintf("block %v of the own chain has no valid work (%s): the own chain ends before it now, and %d blocks are gone", t.Num(), f.Detail, before.Num-prev.Num())
	n.log.Error("own chain cut", "bnum", t.Num(), "hash", *t.Hash(), "detail", detail)
	now := n.o.Now()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.quorumSeen = time.Time{} // it was on another chain
	n.alarms.raise(EngineAlarm, detail, now)
	n.feed.Publish(now, status.BranchFailed, status.BranchEnd{Tip: before.Hash.String(), Why: "invalid", Detail: detail})
	return nil
}
