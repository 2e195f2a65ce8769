package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/verify"
)

// A prover checks the work of the own chain that is still to be checked: what lies
// between pin and floor, which nothing waits for (docs/spec/sync.md section 8.3), and
// all of it when an engine that has checked some was found to compute wrongly.
type prover struct {
	*Node
	distrusted int // engines that were found so, of which the consequences are drawn
}

// prove checks what is to be checked until ctx ends.
func (n *Node) prove(ctx context.Context) {
	p := prover{Node: n}
	look := time.NewTicker(n.o.Times.Review)
	defer look.Stop()
	for {
		err := p.pending(ctx)
		if ctx.Err() != nil {
			return
		}
		n.fails("checking the own chain's work", err)
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				return
			case <-n.owed:
				waiting = false
			case <-look.C:
				waiting = n.o.Scan.Wrong() <= p.distrusted
			}
		}
	}
}

// proveStep is how many trailers are checked at a time: enough for any engine, few
// enough for others to come between.
const proveStep = 1000

// errDistrust says that an engine was found to compute wrongly.
var errDistrust = errors.New("an engine was found to compute wrongly, and all that was checked before is being checked again")

// pending checks what there is to check now.
func (p *prover) pending(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := p.distrust(); err != nil {
			return err
		}
		from, to, ok := p.o.Chain.Pending()
		if !ok {
			p.fails("engines", nil)
			return nil
		}
		ts, err := p.o.Chain.Trailers(from, min(proveStep, int(to-from)+1))
		if err != nil || len(ts) == 0 {
			return err
		}
		results := make([]verify.Result, len(ts))
		if err := p.o.Scan.Verifier.VerifyPoW(ctx, results, ts); err != nil {
			return err
		}
		if stop, err := p.settle(ts, results); stop || err != nil {
			return err
		}
	}
	return nil
}

// distrust takes back what is proven of stagings, own chain and memory if another engine
// was found to compute wrongly.  Which of it that engine has checked isn't known.
func (p *prover) distrust() error {
	n := p.o.Scan.Wrong()
	if n <= p.distrusted {
		return nil
	}
	p.fails("engines", errDistrust)
	p.known.Doubt()
	p.save()
	if err := p.o.Chain.Doubt(); err != nil {
		return err
	}
	p.distrusted = n
	return nil
}

// settle takes in the results for the first of the trailers that are to be checked,
// unless the own chain or what is thought of engines has changed.  It stops at one
// without its work: below the floor or the pin that is no peer's doing; above it the
// own chain ends before that one.
func (p *prover) settle(ts []mcm.Trailer, results []verify.Result) (stop bool, err error) {
	p.switching.Lock()
	defer p.switching.Unlock()
	p.reload()
	last := &ts[len(ts)-1]
	if p.o.Scan.Wrong() > p.distrusted || !p.o.Chain.Has(last.Num(), *last.Hash()) {
		return false, nil
	}
	bad := slices.IndexFunc(results, func(r verify.Result) bool { return r.Verdict.Bad() })
	if bad < 0 {
		return false, p.o.Chain.Proven(last.Num())
	}
	t, lack := &ts[bad], proof.LacksWork(&ts[bad], &results[bad])
	if f := p.o.fixed(); f != nil && t.Num() <= f.Num {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.alarms.raise(floorAlarm, fmt.Sprintf("block %v below the floor has no valid work (%s): the floor, or this build, is wrong", t.Num(), lack.Detail), p.o.Now())
		return true, nil
	}
	return false, p.disown(t, lack)
}

// disown has the own chain end before t, which is on it and has no valid work.  What is
// better is found again as for any chain.  The caller holds n.switching.
func (n *Node) disown(t *mcm.Trailer, f *proof.Finding) error {
	prev, ok := n.own.trailer(t.Num() - 1)
	if !ok {
		return fmt.Errorf("no trailer below block %v", t.Num())
	}
	before, had := n.own.Tip()
	tail := n.own.last(tailLen)
	if err := n.own.put(prev.Num()-1, []mcm.Trailer{prev}); err != nil {
		return err
	}
	n.known.Learn(t, proof.Key(&prev, t), f)
	n.took(before, had, tail)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sides.drop(*t.Hash())
	n.alarms.raise(FailureAlarm, fmt.Sprintf("block %v of the own chain has no valid work (%s), which an engine has passed: the own chain ends before it now", t.Num(), f.Detail), n.o.Now())
	return nil
}
