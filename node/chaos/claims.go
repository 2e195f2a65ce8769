package chaos

import (
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/wire"
)

// maxWeight is the greatest weight there is.
var maxWeight = mcm.Weight{^uint64(0), ^uint64(0), ^uint64(0), ^uint64(0)}

// claims are kinds of peers that lie about their chain.
var claims = []Kind{
	{
		Name: "max-weight-no-proof", Family: Claims, Expect: unavailable(fault.Refused, fault.Reset),
		Summary: "claims the greatest weight and a tip nobody knows, and serves nothing",
		hooks:   hooks{claim: boast, rangeOf: nothing},
	}, {
		Name: "max-weight-on-tip", Family: Claims, Expect: convicted("", fault.FalseWeight),
		Summary: "claims the greatest weight for the honest tip",
		hooks:   hooks{claim: weigh(func(mcm.Weight) mcm.Weight { return maxWeight })},
	}, {
		Name: "max-weight-late-proof", Family: Claims, Expect: convicted("", fault.FalseWeight),
		Summary: "claims the greatest weight for the honest tip, and proves the tip late",
		hooks: hooks{
			claim: weigh(func(mcm.Weight) mcm.Weight { return maxWeight }),
			rangeOf: func(c *call, _, _ uint32, honest []byte) []byte {
				if c.pause(c.fleet.c.Late) != nil {
					return nil
				}
				return honest
			},
		},
	}, {
		Name: "max-weight-stem", Family: Claims, Expect: doubtful(fault.ClaimMismatch),
		Summary: "claims the greatest weight for a tip nobody knows, and proves the honest one",
		hooks:   hooks{claim: boast},
	}, {
		Name: "weight-one-on-tip", Family: Claims, Expect: convicted("", fault.FalseWeight),
		Summary: "claims weight 1 for the honest tip",
		hooks:   hooks{claim: weigh(func(mcm.Weight) mcm.Weight { return mcm.Weight{1} })},
	}, {
		Name: "weight-plus-one", Family: Claims, Expect: convicted("", fault.FalseWeight),
		Summary: "claims one more than the weight of the honest tip",
		hooks: hooks{claim: weigh(func(w mcm.Weight) mcm.Weight {
			w, _ = w.Add(mcm.Weight{1})
			return w
		})},
	}, {
		Name: "garbage-proof", Family: Claims, Expect: convicted("", fault.WrongNumbers, fault.InvalidTrailer),
		Summary: "claims the honest tip and serves garbage for it",
		hooks:   hooks{rangeOf: garbage},
	}, {
		Name: "changing-claim", Family: Claims, Expect: doubtful(fault.ClaimMismatch),
		Summary: "claims another chain at every call, and proves none",
		hooks: hooks{claim: func(c *call, s *wire.State) {
			randomBytes(s.Hash[:], c.rand)
			s.Num -= mcm.BlockNum(c.rand.IntN(100))
			s.Weight = mcm.Weight{c.rand.Uint64(), c.rand.Uint64(), c.rand.Uint64(), c.rand.Uint64()}
		}},
	}, {
		Name: "height-huge", Family: Claims, Expect: setAside(fault.TooHigh),
		Summary: "claims a height of 2^63",
		hooks:   hooks{claim: rise(1 << 63)},
	}, {
		Name: "height-zero", Family: Claims, Expect: setAside(fault.TooOld),
		Summary: "claims height 0, with weight",
		hooks:   hooks{claim: rise(0)},
	}, {
		Name: "height-below-v3", Family: Claims, Expect: setAside(fault.TooOld),
		Summary: "claims the last height whose trailers recompute to nothing",
		hooks:   hooks{claim: rise(mcm.V30Trigger - 1)},
	},
}

// boast claims a tip of the peer's own, with the greatest weight.
func boast(c *call, s *wire.State) {
	randomBytes(s.Hash[:], c.own())
	s.Weight = maxWeight
}

func weigh(f func(mcm.Weight) mcm.Weight) func(*call, *wire.State) {
	return func(_ *call, s *wire.State) { s.Weight = f(s.Weight) }
}

func rise(n mcm.BlockNum) func(*call, *wire.State) {
	return func(c *call, s *wire.State) {
		boast(c, s)
		s.Num = n
	}
}

// nothing closes instead of serving a range.
func nothing(*call, uint32, uint32, []byte) []byte { return nil }

// garbage serves as many bytes as were asked for.
func garbage(c *call, _, count uint32, _ []byte) []byte {
	b := make([]byte, int(count)*mcm.TrailerLen)
	randomBytes(b, c.rand)
	return b
}
