package chaos

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
	"kigo/node/scan"
	"kigo/node/wire"
)

// proofs are kinds of peers whose trailers are not what they should be.
var proofs = []Kind{
	{
		Name: "random-bytes", Family: Proofs, Expect: convicted("", fault.WrongNumbers, fault.InvalidTrailer),
		Summary: "serves random bytes for a tip nobody knows",
		hooks:   hooks{claim: boast, rangeOf: garbage},
	}, {
		Name: "unhashed", Family: Proofs, Expect: convicted(rules.BlockHash, fault.InvalidTrailer),
		Summary: "serves trailers that link by hashes nobody computed",
		hooks: hooks{stand: func(c *call) spot {
			r, ts := c.own(), c.fleet.world.proof()
			for i := range ts {
				if i > 0 {
					*ts[i].PrevHash() = *ts[i-1].Hash()
				}
				randomBytes(ts[i].Hash()[:], r)
			}
			return end(newLine(maxWeight, ts))
		}},
	}, {
		Name: "no-work", Family: Proofs, Expect: convicted(rules.PowPeach, fault.InvalidTrailer),
		Summary: "serves trailers that keep all rules and have haikus, but no work",
		hooks:   hooks{stand: workless(pow.SetRandomNonce)},
	}, {
		Name: "no-haiku", Family: Proofs, Expect: convicted(rules.PowPeach, fault.InvalidTrailer),
		Summary: "serves trailers that keep all rules, with nonces that are no haikus",
		hooks:   hooks{stand: workless(func(t *mcm.Trailer, r *rand.Rand) { randomBytes(t.Nonce()[:], r) })},
	}, {
		Name: "all-pseudo", Family: Proofs, Expect: Expect{Verdicts: []scan.Verdict{scan.Thin}},
		Summary: "serves pseudoblocks only, of difficulty 255 and less",
		hooks:   hooks{stand: func(c *call) spot { return end(pick(c, c.fleet.world.pseudo)) }},
	}, {
		Name: "difficulty-zero", Family: Proofs, Expect: proven(),
		Summary: "serves a chain of its own with real work at difficulty 0",
		hooks:   hooks{stand: func(c *call) spot { return end(pick(c, c.fleet.world.cheap)) }},
	}, {
		Name: "shifted", Family: Proofs, Expect: convicted("", fault.WrongNumbers),
		Summary: "serves the honest trailers, beginning one too early",
		hooks: hooks{rangeOf: func(c *call, first, count uint32, _ []byte) []byte {
			return mcm.Bytes(c.at.line.cut(c.at.index, first-1, count))
		}},
	}, {
		Name: "nonce-byte", Family: Proofs, Expect: convicted(rules.BlockHash, fault.InvalidTrailer),
		Summary: "serves the honest trailers, a byte of one nonce changed",
		hooks: hooks{rangeOf: spoil(func(c *call, ts []mcm.Trailer) {
			for _, i := range c.own().Perm(len(ts)) {
				if ts[i].Kind() == mcm.Standard {
					ts[i].Nonce()[0] ^= 0x5a
					return
				}
			}
		})},
	}, {
		Name: "last-forged", Family: Proofs, Expect: convicted(rules.PowPeach, fault.InvalidTrailer),
		Summary: "serves the honest trailers but for a tip whose work falls just short",
		hooks: hooks{stand: func(c *call) spot {
			w := c.fleet.world
			return c.onStem(w.tip-1, pick(c, w.missed))
		}},
	}, {
		Name: "broken-difficulty", Family: Proofs, Expect: convicted(rules.Difficulty, fault.InvalidTrailer),
		Summary: "serves worked trailers, one of a difficulty it may not have",
		hooks:   hooks{stand: func(c *call) spot { return end(c.fleet.world.difficulty) }},
	}, {
		Name: "future", Family: Proofs, Expect: setAside(fault.Early),
		Summary: "has a tip solved four seconds in the future",
		hooks: hooks{stand: func(c *call) spot {
			w := c.fleet.world
			t := w.main.trailers[w.tip]
			t.SetSolveTime(uint32(c.fleet.later(mcm.ClockLead + 1)))
			seal(&t) // work does not cover the solve time
			return c.onStem(w.tip-1, t)
		}},
	}, {
		Name: "wrong-neogenesis", Family: Proofs, Expect: convicted(rules.SolveTime, fault.InvalidTrailer),
		Summary: "serves a neogenesis block with another time than the block before",
		hooks:   hooks{stand: func(c *call) spot { return end(c.fleet.world.neogenesis) }},
	}, {
		Name: "seam-always", Family: Proofs, Expect: doubtful(fault.BrokenLink),
		Summary: "serves two branches in one range, however often it is asked",
		hooks: hooks{rangeOf: func(c *call, first, _ uint32, honest []byte) []byte {
			return seam(c.fleet.world, first, honest)
		}},
	}, {
		Name: "trailers-0", Family: Proofs, Expect: unavailable(fault.ShortReply),
		Summary: "serves no trailers",
		hooks:   hooks{rangeOf: func(*call, uint32, uint32, []byte) []byte { return []byte{} }},
	}, {
		Name: "trailers-53", Family: Proofs, Expect: unavailable(fault.ShortReply),
		Summary: "serves one trailer fewer than asked for",
		hooks: hooks{rangeOf: func(_ *call, _, _ uint32, honest []byte) []byte {
			return honest[:max(0, len(honest)-mcm.TrailerLen)]
		}},
	}, {
		Name: "trailers-55", Family: Proofs, Expect: convicted("", fault.TooLong),
		Summary: "serves one trailer more than asked for",
		script:  serving(segment + 1),
	}, {
		Name: "trailers-1000", Family: Proofs, Expect: convicted("", fault.TooLong),
		Summary: "serves 1,000 trailers for 54",
		script:  serving(1000),
	}, {
		Name: "trailers-65535", Family: Proofs, Expect: convicted("", fault.TooLong),
		Summary: "serves 65,535 trailers, ten megabytes, for 54",
		script:  serving(65535),
	}, {
		Name: "half-trailer", Family: Proofs, Expect: doubtful(fault.NotMultiple),
		Summary: "serves half a trailer less than asked for",
		hooks: hooks{rangeOf: func(_ *call, _, _ uint32, honest []byte) []byte {
			return honest[:max(0, len(honest)-mcm.TrailerLen/2)]
		}},
	}, {
		Name: "replay", Family: Proofs, Expect: unfit(), // a scan that follows the stem back gets no more of it
		Summary: "passes on the claim and the proof of an honest peer, and has nothing else",
		hooks: hooks{rangeOf: func(c *call, first, count uint32, honest []byte) []byte {
			if count != segment {
				return nil
			}
			return honest
		}},
	}, {
		Name: "replay-claim", Family: Proofs, Expect: doubtful(fault.ClaimMismatch),
		Summary: "passes on an honest peer's proof for a tip of its own",
		hooks: hooks{claim: func(c *call, s *wire.State) {
			randomBytes(s.Hash[:], c.own())
		}},
	}, {
		Name: "old-dense", Family: Proofs, Expect: proven(),
		Summary: "passes off a genuine old block, from a time of more work, as the tip",
		hooks: hooks{stand: func(c *call) spot {
			w := c.fleet.world
			return spot{w.main, w.v3 + segment + c.own().IntN(oldBlocks-segment)}
		}},
	}, {
		Name: "pseudo-tip", Family: Proofs, Expect: convicted(rules.MerkleRoot, fault.InvalidTrailer),
		Summary: "has one of any number of pseudoblocks on the honest chain",
		hooks: hooks{stand: func(c *call) spot {
			w := c.fleet.world
			i := w.pseudoStem()
			t := follow(&w.main.trailers[i], step{pseudo: true}, c.own())
			randomBytes(t.MerkleRoot()[:], c.own())
			seal(&t)
			return c.onStem(i, t)
		}},
	}, {
		Name: "neogenesis-tip", Family: Proofs, Expect: proven(),
		Summary: "has one of any number of neogenesis blocks on the honest chain",
		hooks: hooks{stand: func(c *call) spot {
			w := c.fleet.world
			i := w.tip&^0xff - 1
			t := follow(&w.main.trailers[i], step{}, c.own())
			seal(&t)
			return c.onStem(i, t)
		}},
	},
}

// pick returns the one of a world's forgeries that the peer has for its own.
func pick[T any](c *call, all []T) T { return all[c.seed%uint64(len(all))] }

// onStem is the spot of a tip on top of the honest chain's block i.  Of the chain
// below, the peer has as much as a proof takes.
func (c *call) onStem(i int, tip mcm.Trailer) spot {
	main := c.fleet.world.main
	ts := append(slices.Clone(main.trailers[i+2-segment:i+1]), tip)
	return end(newLine(main.weights[i+1-segment], ts))
}

// workless forges a chain that nobody has worked for.
func workless(nonce func(*mcm.Trailer, *rand.Rand)) func(*call) spot {
	return func(c *call) spot {
		r, w := c.own(), c.fleet.world
		ts := w.proof()
		randomBytes(ts[0].PrevHash()[:], r)
		for i := range ts {
			if ts[i].Kind() == mcm.Standard {
				randomBytes(ts[i].MerkleRoot()[:], r)
				nonce(&ts[i], r)
			}
		}
		relink(ts, 0)
		return end(newLine(w.main.weights[w.tip-segment], ts))
	}
}

// spoil serves a copy of the honest range with something changed.
func spoil(change func(*call, []mcm.Trailer)) func(*call, uint32, uint32, []byte) []byte {
	return func(c *call, _, _ uint32, honest []byte) []byte {
		data := slices.Clone(honest)
		change(c, mcm.Trailers(data))
		return data
	}
}

// serving answers every request for a range with n trailers, honest ones over and
// over.
func serving(n int) func(*call) error {
	return func(c *call) error {
		return c.replacing(wire.OpTF, func(p wire.Packet) error {
			honest := c.honestRange(p)
			if len(honest) == 0 {
				return nil
			}
			pattern := bytes.Repeat(honest, 1+wire.FileChunk/len(honest)+1)
			for left, at := n*mcm.TrailerLen, 0; ; {
				size := min(left, wire.FileChunk)
				if err := c.send(wire.Packet{Op: wire.OpSendFile, Data: pattern[at : at+size]}); err != nil {
					return err
				}
				if left -= size; size < wire.FileChunk {
					return nil
				}
				at = (at + size) % len(honest)
			}
		})
	}
}

// later is a time so many seconds ahead of whoever judges.
func (f *Fleet) later(seconds int64) int64 {
	if f.c.Now != nil {
		return f.c.Now().Unix() + seconds
	}
	return time.Now().Unix() + seconds + 30
}

// pseudoStem returns the last block of the honest chain behind which a pseudoblock
// can be already.
func (w *World) pseudoStem() int {
	i := w.tip
	for int64(w.main.trailers[i].SolveTime())+mcm.BridgeV3 > w.Now.Unix() {
		i--
	}
	return i
}
