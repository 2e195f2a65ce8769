package node

import (
	"context"
	"net/netip"
	"sync"

	"kigo/node/mcm"
	"kigo/node/scan"
)

// maxAnnounced is how many peers are told of a new tip.
const maxAnnounced = 64

// announce tells peers of each new tip until ctx ends.  What is found while others are
// being told comes after.
func (n *Node) announce(ctx context.Context) {
	if !n.o.Announce {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.fresh:
		}
		n.tell(ctx)
	}
}

// tell tells peers of the own tip, all at once.  It takes no longer than a call does.
func (n *Node) tell(ctx context.Context) {
	claim, proof, ok := n.announced()
	if !ok {
		return
	}
	var calls sync.WaitGroup
	defer calls.Wait()
	for _, a := range n.audience() {
		calls.Go(func() {
			c, err := n.o.Scan.Client.Call(ctx, a)
			if err == nil {
				err = c.Found(ctx, claim, proof)
				c.Close()
			}
			if ctx.Err() == nil {
				n.o.Metrics.announced(err)
			}
		})
	}
}

// audience returns whom to tell: good peers that aren't known to have the tip, one of
// each group first.
func (n *Node) audience() (l []netip.Addr) {
	tip, _ := n.own.Tip()
	n.mu.Lock()
	has := n.voices.on(n.o.Now().Add(-n.o.Times.Voice), func(num mcm.BlockNum, h mcm.Hash) bool { return num == tip.Num && h == tip.Hash })
	n.mu.Unlock()
	skip := map[netip.Addr]bool{}
	for _, a := range has.peers {
		skip[a] = true
	}
	groups := map[netip.Prefix]bool{}
	var later []scan.Listed
	for _, v := range n.o.Scan.Book.Ranked(n.o.Now(), 0) {
		switch {
		case skip[v.Addr] || !v.Good && !v.Configured:
		case groups[v.Group]:
			later = append(later, v)
		default:
			groups[v.Group] = true
			l = append(l, v.Addr)
		}
	}
	for _, v := range later {
		l = append(l, v.Addr)
	}
	return l[:min(len(l), maxAnnounced)]
}
