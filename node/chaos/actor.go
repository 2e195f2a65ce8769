package chaos

import (
	"math/rand/v2"
	"net/netip"

	"kigo/node/wire"
)

// turncoat is the kind that is honest for so many ranges and then something else.
const (
	turncoat    = "turncoat"
	honestScans = 9
)

// listed is how many others an honest peer names.
const listed = 32

// own returns a source that gives the peer the same in all of its calls.
func (p *actor) own() *rand.Rand { return rand.New(rand.NewPCG(p.seed, ^uint64(0))) }

// play takes the connection through the script of its peer's kind.
func (c *call) play() error {
	kind := c.Kind
	if c.turned != nil && c.ranges.Load() >= honestScans {
		kind = c.turned
	}
	c.hooks = kind.hooks
	if kind.script != nil {
		return kind.script(c)
	}
	return c.serve()
}

// stand returns where the peer's chain ends.
func (c *call) stand() spot {
	if c.hooks.stand != nil {
		return c.hooks.stand(c)
	}
	return c.tip()
}

// tip is where honest peers stand: at the end of the chain that the peer was told
// to follow.
func (c *call) tip() spot {
	if chain := c.follows.Load(); chain != nil {
		return chain.spot
	}
	return c.fleet.world.Chain().spot
}

// list returns whom the peer names: some of the others, whatever they are, as
// honest peers can't know.
func (c *call) list() []byte {
	if c.hooks.list != nil {
		return c.hooks.list(c)
	}
	return wire.AppendAddrs(nil, some(c.own(), c.others, listed))
}

// some returns n of the addresses, all of them if there are fewer, from a drawn one
// on.
func some(r *rand.Rand, from []netip.Addr, n int) (as []netip.Addr) {
	if len(from) == 0 {
		return nil
	}
	start := r.IntN(len(from))
	for i := range min(n, len(from)) {
		as = append(as, from[(start+i)%len(from)])
	}
	return as
}
