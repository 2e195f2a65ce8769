package chaos

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
)

// Addresses that Plan gives out: 127.g.h.1, where every g is a /16 group and every
// h in it a /24 one.
const (
	groups   = 250
	maxPeers = groups * 250
)

// Plan draws the kinds of n peers at loopback addresses spread over up to 250 /16
// groups: the given number of honest ones, each of another group as far as there
// are any, and of the kinds named in equal shares for the rest.  No names are all
// hostile kinds.  The order of the result is shuffled; a plan is a function of its
// arguments.
func Plan(seed uint64, n, honestOnes int, names []string) ([]Assignment, error) {
	switch {
	case n < 1 || n > maxPeers:
		return nil, fmt.Errorf("%d peers: want 1 to %d", n, maxPeers)
	case honestOnes < 0 || honestOnes > n:
		return nil, fmt.Errorf("%d honest peers: want 0 to %d, the number of peers", honestOnes, n)
	}
	for _, name := range names {
		if lookUp(name) == nil {
			return nil, fmt.Errorf("kind %q: unknown", name)
		}
	}
	if len(names) == 0 {
		names = hostileNames()
	}
	r := rand.New(rand.NewPCG(seed, 0))
	as := make([]Assignment, n)
	for i := range as {
		as[i].Addr = address(i)
	}
	// The first addresses are of a group each.
	for _, i := range r.Perm(min(n, groups))[:min(honestOnes, groups)] {
		as[i].Kind = plain
	}
	left := honestOnes - groups
	turn := r.IntN(len(names)) // so that fewer peers than kinds differ by seed
	for _, i := range r.Perm(n) {
		switch {
		case as[i].Kind != "":
		case left > 0:
			as[i].Kind = plain
			left--
		default:
			as[i].Kind = names[turn%len(names)]
			turn++
		}
	}
	r.Shuffle(n, func(i, j int) { as[i], as[j] = as[j], as[i] })
	return as, nil
}

// address returns the ith address: each group gets its next one in turn.
func address(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{127, byte(1 + i%groups), byte(1 + i/groups), 1})
}

func hostileNames() (names []string) {
	for i := range kinds {
		if kinds[i].Family != Honest {
			names = append(names, kinds[i].Name)
		}
	}
	return slices.Clip(names)
}
