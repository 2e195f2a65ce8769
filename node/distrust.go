package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"kigo/node/chain"
	"kigo/node/memory"
	"kigo/node/status"
)

// What follows happens when an engine was found to compute wrongly.  How much of what
// was proven before it has passed isn't known, so that all counts for nothing: the node
// stops what it does, takes it back, and begins anew.

// watchEngines stops the node's work when another engine was found to compute wrongly.
func (n *Node) watchEngines(ctx context.Context, stop func()) {
	look := time.NewTicker(n.o.Times.Review)
	defer look.Stop()
	for n.o.Scan.Wrong() <= n.distrusted {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
	}
	stop()
}

// distrust takes back what is proven if another engine was found to compute wrongly.
// While that fails it is tried again, until ctx ends.  Nothing else runs meanwhile.
func (n *Node) distrust(ctx context.Context) {
	for {
		wrong := n.o.Scan.Wrong()
		if wrong <= n.distrusted {
			return
		}
		err := n.takeBack(wrong)
		n.fails("taking back what a wrong engine has passed", err)
		if err == nil {
			n.distrusted = wrong
			continue
		}
		now := n.o.Now()
		n.mu.Lock()
		n.review(now)
		n.mu.Unlock()
		select {
		case <-ctx.Done():
			n.log.Error("what a wrong engine has passed is still taken for proven", "err", err, "remedy", "remove tfile.dat and the stagings from the data folder")
			return
		case <-time.After(n.o.Times.Review):
		}
	}
}

// takeBack takes back what is proven: of own chain and stagings, on the disk, in memory.
func (n *Node) takeBack(wrong int) error {
	now := n.o.Now()
	detail := fmt.Sprintf("engines that were found to compute wrongly: %d; what was proven before is proven again", wrong)
	n.refresh() // so that nothing of what was, is kept aside later
	n.known.Doubt()
	err := n.o.Chain.Doubt()
	if m := n.o.Scan.Memory; m != nil {
		err = errors.Join(err, m.Save(now, &memory.Changes{Doubted: true}))
	}

	n.mu.Lock()
	defer n.mu.Unlock()
	n.alarms.raise(EngineAlarm, detail, now)
	n.forget()
	n.reproving, n.above = n.owes(), chain.Tip{}
	n.enter(status.Bootstrap, detail, now)
	return err
}

// forget drops what the node knows of chains and peers' tips beside the own chain.  The
// caller holds n.mu.
func (n *Node) forget() {
	n.syncing, n.heavier, n.looked = false, false, false
	n.progress = nil
	n.quorumSeen = time.Time{}
	n.sides, n.voices = newSides(), voices{}
	clear(n.roots)
	clear(n.deep)
	clear(n.unsettled)
	n.unobtained = nil
}

// owes reports whether work of the own chain is still to be checked that can't wait: that
// above the floor.
func (n *Node) owes() bool {
	_, to, ok := n.o.Chain.Pending()
	f := n.o.fixed()
	return ok && (f == nil || to > f.Num)
}
