package synth

import (
	"fmt"
	"math"
	"math/rand/v2"

	"kigo/node/mcm"
	"kigo/node/rules"
)

// lastTime is the latest solve time that a block can follow.  What is left up to
// 2^32 is more than any block or fault adds, so times never wrap.
const lastTime = math.MaxUint32 - 4096

// maxDraws bounds how often something random is drawn until it suits.  The
// rarest thing that is wanted, a rising difficulty in 0x4321 to 0x4521, comes up
// in 1 of 27 draws.
const maxDraws = 4096

// A chain lays out one trailer after another: all of them but nonce and hash.
// It needs no hash itself, so it runs ahead of the work at little cost.
type chain struct {
	seed   uint64
	worked float64
	target uint8
	faults []Fault // those ahead, by block

	pcg  rand.PCG
	rand *rand.Rand // reads pcg

	next  mcm.BlockNum // position in the file of the block after cur
	prev  mcm.Trailer
	cur   mcm.Trailer
	clock uint32 // when the last block was really solved, Unix seconds
	// ahead is set behind a block that claims a solve time in the future, until
	// the next one that can come back from there.
	ahead bool
	fault *Kind // of cur; nil when nothing is wrong with it
}

func newChain(c Config) *chain {
	ch := &chain{
		seed:   c.Seed,
		worked: c.Worked,
		target: c.Difficulty,
		faults: c.faultsByBlock(),
		clock:  c.StartTime,
	}
	ch.rand = rand.New(&ch.pcg)
	return ch
}

// Streams of random numbers that a block has to itself.  What is drawn from one
// does not depend on how much was drawn from another.
const (
	layoutStream = iota
	nonceStream
	spoilStream
)

// reseed starts a stream of block i.
func reseed(pcg *rand.PCG, seed uint64, i mcm.BlockNum, stream uint64) {
	const spread = 0x9e3779b97f4a7c15 // odd, so that no two blocks meet
	pcg.Seed(seed, (uint64(i)<<2|stream)*spread)
}

// advance lays out the next block as cur, its fault included.
func (c *chain) advance() error {
	i := c.next
	c.next++
	c.prev = c.cur
	reseed(&c.pcg, c.seed, i, layoutStream)
	c.fault = nil
	if len(c.faults) > 0 && c.faults[0].Block == i {
		c.fault, _ = lookUp(c.faults[0].Kind) // Validate has looked
		c.faults = c.faults[1:]
	}
	if i == 0 {
		c.cur = mcm.GenesisTrailer()
		c.spoil()
		return nil
	}
	return c.follow(i)
}

// follow lays out block i behind prev.
func (c *chain) follow(i mcm.BlockNum) error {
	n := c.prev.Num() + 1 // i, unless numbers are faulty
	if c.clock > lastTime {
		return fmt.Errorf("block %d would start at %d, later than %d: want fewer blocks or an earlier start-time", i, c.clock, uint32(lastTime))
	}
	if c.ahead && c.fault != nil && !n.IsNeogenesis() {
		return fmt.Errorf("fault %s@%d: block %d has to come back from the future that the %s before it claims, want another block", c.fault.Name, i, i, stimeFuture)
	}
	kind := c.draw(n)
	for range maxDraws {
		c.layOut(n, kind)
		if i == 1 {
			c.cur.SetStartTime(c.clock)
		}
		c.spoil()
		if steady(&c.cur) {
			c.keepTime()
			return nil
		}
		if kind == mcm.Pseudo && (c.fault == nil || c.fault.block != mcm.Pseudo) {
			kind = mcm.Standard
		}
	}
	return fmt.Errorf("block %d: a %v block would take the difficulty from %d to %d, want a fault at another block", i, kind, c.cur.Difficulty(), after(&c.cur))
}

// draw chooses the kind of block n.
func (c *chain) draw(n mcm.BlockNum) mcm.Kind {
	worked := c.rand.Float64() < c.worked
	switch {
	case n.IsNeogenesis():
		return mcm.Neogenesis
	case c.fault != nil && c.fault.block != anyKind:
		return c.fault.block
	case worked || c.ahead:
		return mcm.Standard
	default:
		return mcm.Pseudo
	}
}

// layOut fills cur with a flawless block n but for nonce and hash.
func (c *chain) layOut(n mcm.BlockNum, kind mcm.Kind) {
	t := &c.cur
	*t = mcm.Trailer{}
	*t.PrevHash() = *c.prev.Hash()
	t.SetNum(n)
	switch {
	case kind == mcm.Pseudo && n >= mcm.V30Trigger:
		*t.MerkleRoot() = rules.PseudoRoot(n)
	case kind == mcm.Standard || n >= mcm.V30Trigger:
		randomHash(t.MerkleRoot(), c.rand)
	}
	if kind == mcm.Neogenesis {
		t.SetStartTime(c.prev.StartTime())
		t.SetSolveTime(c.prev.SolveTime())
		t.SetDifficulty(c.prev.Difficulty())
		return
	}
	t.SetStartTime(c.prev.SolveTime())
	t.SetDifficulty(rules.NextDifficulty(&c.prev))
	if kind == mcm.Pseudo {
		t.SetSolveTime(c.clock + n.Bridge())
		return
	}
	t.SetMinFee(mcm.MinFee)
	if c.rand.IntN(8) == 0 {
		t.SetMinFee(mcm.MinFee + c.rand.Uint64N(mcm.MinFee))
	}
	t.SetTxCount(1 + c.rand.Uint32N(1<<c.rand.IntN(16))) // mostly few, at most MaxTx
	c.solveAt()
}

// solveAt draws the solve time of the standard block cur, of those that move the
// difficulty towards the target.
func (c *chain) solveAt() {
	t := &c.cur
	want := t.Difficulty()
	switch low := t.WorkDifficulty(); {
	case low > c.target:
		want--
	case low < c.target && want < 255:
		want++
	}
	for range maxDraws {
		t.SetSolveTime(c.clock + 1 + c.rand.Uint32N(t.Num().Bridge()))
		if c.ahead || after(t) == want {
			return
		}
	}
}

// spoil puts cur's fault into effect, as far as nonce and hash are not meant.
func (c *chain) spoil() {
	if c.fault != nil && c.fault.spoil != nil {
		c.fault.spoil(&c.cur, c.rand)
	}
}

// keepTime notes when cur was solved.
func (c *chain) keepTime() {
	switch {
	case c.fault != nil && c.fault.Name == stimeFuture:
		c.ahead = true
	case c.ahead && c.cur.Num().IsNeogenesis():
		// It repeats the time in the future.
	default:
		c.ahead = false
		c.clock = c.cur.SolveTime()
	}
}

// after returns the difficulty of the block that is timed after t, which is the
// one behind the neogenesis block when that comes next.
func after(t *mcm.Trailer) uint32 {
	if t.Num().Low() != 0xff {
		return rules.NextDifficulty(t)
	}
	repeated := *t
	repeated.SetNum(t.Num() + 1)
	return rules.NextDifficulty(&repeated)
}

// steady reports whether the low byte of the difficulty does not wrap after t.
// Nobody could do the work of the blocks behind it.
func steady(t *mcm.Trailer) bool {
	return int(uint8(after(t))) <= int(t.WorkDifficulty())+1
}

func randomHash(h *mcm.Hash, r *rand.Rand) {
	for i := 0; i < mcm.HashLen; i += 8 {
		v := r.Uint64()
		for j := range 8 {
			h[i+j] = byte(v >> (8 * j))
		}
	}
}
