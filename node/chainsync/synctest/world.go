package synctest

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/proof/prooftest"
	"kigo/node/rules"
	"kigo/node/verify"
)

// Difficulty is that of a world's blocks: some tries each.
const Difficulty = 3

// genesis is when a world's base was solved, Unix seconds.
const genesis = 1_700_000_000

// A World has a base block at 0xa0700, which everybody holds for known, and a chain
// on it.  Chains are slices that begin with the base.
type World struct {
	Base  proof.Anchor
	Chain []mcm.Trailer
	Miner *prooftest.Miner
	Work  *Counter // the verifier of the world's work

	now atomic.Int64
}

// NewWorld makes a base and n blocks above it.  Worlds of one seed are the same.
func NewWorld(seed uint64, n int) *World {
	w := &World{Miner: prooftest.NewMiner(seed), Work: &Counter{}}
	first := w.Miner.First(mcm.V30Trigger, Difficulty, genesis)
	w.Base = proof.Anchor{
		Num: first.Num(), Hash: *first.Hash(), Time: first.SolveTime(), Fixed: true,
		Weight: mcm.Weight{1 << 40}, // of what is below, which nobody has
	}
	w.Chain = w.Grow([]mcm.Trailer{first}, n)
	w.SetNow(w.Tip())
	return w
}

// Tip returns the last trailer of the chain.
func (w *World) Tip() *mcm.Trailer { return &w.Chain[len(w.Chain)-1] }

// SetNow sets the clock to when t had just been solved.
func (w *World) SetNow(t *mcm.Trailer) { w.now.Store(int64(t.SolveTime()) + 1) }

// Now returns the world's time.
func (w *World) Now() time.Time { return time.Unix(w.now.Load(), 0) }

// Grow returns chain with n blocks more, one worked block every 100 seconds or so.
func (w *World) Grow(chain []mcm.Trailer, n int) []mcm.Trailer {
	return w.Miner.Grow(chain, n, Difficulty)
}

// Fork returns a chain that is the same as chain up to block at, and has n other
// blocks above it.
func (w *World) Fork(chain []mcm.Trailer, at mcm.BlockNum, n int) []mcm.Trailer {
	return w.Miner.Grow(Upto(chain, at), n, Difficulty)
}

// Mix is Fork with pseudoblocks where pseudo, given 0 to n-1, says so.
func (w *World) Mix(chain []mcm.Trailer, at mcm.BlockNum, n int, pseudo func(i int) bool) []mcm.Trailer {
	return w.Miner.Mix(Upto(chain, at), n, Difficulty, pseudo)
}

// Spoil returns a chain that is the same as chain below block at, of which change
// has altered that block, and with blocks above it as before that hang together
// again, with their work done anew.  Change gets the trailer before it has its hash;
// what it does to the nonce stays.
func (w *World) Spoil(chain []mcm.Trailer, at mcm.BlockNum, change func(t *mcm.Trailer)) []mcm.Trailer {
	chain = slices.Clone(chain)
	i := int(at - chain[0].Num())
	change(&chain[i])
	rehash(&chain[i])
	for i++; i < len(chain); i++ {
		*chain[i].PrevHash() = *chain[i-1].Hash()
		w.Miner.Seal(&chain[i])
	}
	return chain
}

// SpoilAll returns a chain of which all worked blocks from first to last are without
// work.
func (w *World) SpoilAll(chain []mcm.Trailer, first, last mcm.BlockNum) []mcm.Trailer {
	chain = slices.Clone(chain)
	for i := range chain {
		t := &chain[i]
		if n := t.Num(); n < first {
			continue
		} else if n > first {
			*t.PrevHash() = *chain[i-1].Hash()
		}
		if t.Num() <= last && proof.IsWorked(t) {
			BadWork(t)
			rehash(t)
			continue
		}
		w.Miner.Seal(t)
	}
	return chain
}

// BadWork is a change for Spoil: a nonce without work.  Change the trailer's Merkle
// root, then look for a nonce that the stand-in refuses.
func BadWork(t *mcm.Trailer) {
	for {
		t.MerkleRoot()[0]++
		r := make([]verify.Result, 1)
		var s prooftest.StandIn
		if err := s.VerifyPoW(context.Background(), r, []mcm.Trailer{*t}); err != nil {
			panic(err)
		}
		if r[0].Verdict.Bad() {
			return
		}
	}
}

// BadRule is a change for Spoil: a start time that is not when its parent was solved,
// with its work done.
func (w *World) BadRule(t *mcm.Trailer) {
	t.SetStartTime(t.StartTime() + 1)
	w.Miner.Seal(t)
}

func rehash(t *mcm.Trailer) { *t.Hash() = sum(t) }

// Upto returns a copy of the chain that ends with block at.
func Upto(chain []mcm.Trailer, at mcm.BlockNum) []mcm.Trailer {
	return slices.Clone(chain[:at-chain[0].Num()+1])
}

// Weight returns the exact weight of a chain that begins with the base.
func (w *World) Weight(chain []mcm.Trailer) mcm.Weight {
	sum := w.Base.Weight
	for i := range chain[1:] {
		sum = rules.AddWeight(sum, &chain[1+i])
	}
	return sum
}

// A Counter is a StandIn that also counts how often each trailer was checked.
type Counter struct {
	prooftest.StandIn
	// Hold, when not nil, is called before each call that checks; an engine that is
	// slow waits there.
	Hold func(ctx context.Context, n int)

	mu   sync.Mutex
	seen map[mcm.Hash]int
}

// VerifyPoW implements verify.Verifier.
func (c *Counter) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	if c.Hold != nil {
		c.Hold(ctx, len(batch))
	}
	err := c.StandIn.VerifyPoW(ctx, dst, batch)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = map[mcm.Hash]int{}
	}
	for i := range batch {
		if dst[i].Verdict != verify.Unchecked && dst[i].Verdict != verify.Exempt {
			c.seen[*batch[i].Hash()]++
		}
	}
	return err
}

// Counts returns how many distinct worked trailers were checked, and how often the
// one that was checked most often.
func (c *Counter) Counts() (distinct, most int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, n := range c.seen {
		most = max(most, n)
	}
	return len(c.seen), most
}

// Twice returns how many trailers were checked more than once.
func (c *Counter) Twice() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.seen {
		if k > 1 {
			n++
		}
	}
	return n
}

// Forget begins to count anew.
func (c *Counter) Forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = nil
}

// Worked returns how many of the trailers carry work.
func Worked(ts []mcm.Trailer) (n int) {
	for i := range ts {
		if proof.IsWorked(&ts[i]) {
			n++
		}
	}
	return n
}
