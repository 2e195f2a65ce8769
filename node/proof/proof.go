package proof

import (
	"crypto/sha256"
	"fmt"
	"math"
	"math/rand/v2"

	crand "crypto/rand"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
	"kigo/node/wire"
)

const (
	// Segment is how many trailers a proof has, unless the chain is shorter.
	Segment = mcm.ProofTrailers
	// MinWorked is how many worked trailers make a proof say something: a segment
	// with fewer is extended backwards.
	MinWorked = 8
	// MaxExtension is how many trailers a proof has at most, extensions included.
	MaxExtension = 1000
)

// genesisTime is before the first block of the main net was made, in June 2018.
const genesisTime = 1_529_000_000

// never is a clock that objects to no solve time.
const never = math.MaxInt64

// An Anchor is a block of which hash, weight and time are known from elsewhere
// than from peers (docs/spec/sync.md section 8.3).
type Anchor struct {
	Num    mcm.BlockNum
	Hash   mcm.Hash
	Weight mcm.Weight // of the chain up to and including it, as trailers are weighed
	Time   uint32     // its solve time, Unix seconds
	// Fixed says that no chain without this block is accepted, as for the pin and
	// the floor.  An own tip isn't fixed: a heavier chain may replace it.
	Fixed bool
}

// Options are what a proof is judged by, the same for all peers of a network.
type Options struct {
	// Base is the lowest block that anybody need serve: 0, or the pin's.
	Base mcm.BlockNum
	// Height is the block from which greatest heights are reckoned; nil means the
	// genesis block of the main net.
	Height *Anchor
	// AllowOld has tips below 0xa0700 followed, for networks that have not got
	// there.
	AllowOld bool
}

// A Finding is what is wrong with a proof.  It is an error.
type Finding struct {
	Kind   fault.Kind
	Rule   rules.Rule   // the rule broken; empty unless Kind is InvalidTrailer or Early
	Num    mcm.BlockNum // the block at which it shows
	Index  int          // of the trailer at fault in what was received, -1 for none
	Detail string       // what was expected and what was found
}

func (f *Finding) Error() string {
	switch {
	case f.Rule != "":
		return fmt.Sprintf("%s: block %v: %s: %s", f.Kind, f.Num, f.Rule, f.Detail)
	case f.Kind == fault.TooLong, f.Kind == fault.BadList, f.Kind == fault.BadFrame: // of packets
		return fmt.Sprintf("%s: %s", f.Kind, f.Detail)
	}
	return fmt.Sprintf("%s: block %v: %s", f.Kind, f.Num, f.Detail)
}

// Unwrap returns the rule broken, nil for none.
func (f *Finding) Unwrap() error {
	if f.Rule == "" {
		return nil
	}
	return f.Rule
}

func found(k fault.Kind, n mcm.BlockNum, index int, format string, args ...any) *Finding {
	return &Finding{Kind: k, Num: n, Index: index, Detail: fmt.Sprintf(format, args...)}
}

// A Proof is what one peer claims and shows.  The caller fills in Claim and
// Trailers, as received, and leaves the rest to the methods.
type Proof struct {
	Claim    wire.State
	First    mcm.BlockNum  // number of the first trailer that was asked for
	Trailers []mcm.Trailer // oldest first
	Finding  *Finding      // what is wrong; nil for nothing that is known
	// Contested has More ask for older trailers whatever the proof holds, for another
	// branch may part right below it.
	Contested bool

	// What Work found out.
	Worked int        // trailers with proof of work, all verified
	Work   mcm.Weight // Σ 2^difficulty over them
	Done   bool       // Structure, Extend and Work found nothing wrong
}

// ID returns the trailer id, SHA-256 of the 160 bytes (docs/spec/sync.md section
// 8.2).
func ID(t *mcm.Trailer) mcm.Hash { return sha256.Sum256(t[:]) }

// Want returns the range to ask a peer for that makes claim: Segment trailers
// that end at its height, or fewer if those would begin below o.Base.
func Want(claim wire.State, o Options) (first mcm.BlockNum, count int) {
	h := claim.Num
	if h >= Segment-1 {
		first = h - (Segment - 1)
	}
	if o.Base <= h {
		first = max(first, o.Base)
	}
	return first, int(h-first) + 1
}

// Free runs the tests that need no call: whether any chain can be as high as
// claim by now (Unix seconds), and whether its tip is of version 3.  Neither
// failure is a fault: the first rests on our clock (docs/spec/sync.md section
// 8.5, S0).
func Free(claim wire.State, o Options, now int64) *Finding {
	var base Anchor
	base.Time = genesisTime
	if o.Height != nil {
		base = *o.Height
	}
	// One block a second, and a neogenesis block, which takes no time, with every
	// 255 of them.  Bounds keep the sum from overflowing whatever the clock says.
	elapsed := min(max(now, 0), math.MaxInt32<<8) + mcm.ClockLead - int64(base.Time)
	if most := max(elapsed, 0)*256/255 + 2; claim.Num > base.Num && uint64(claim.Num-base.Num) > uint64(most) {
		return found(fault.TooHigh, claim.Num, -1, "claims height %v, expected at most %d blocks above %v by now", claim.Num, most, base.Num)
	}
	if !o.AllowOld && claim.Num < mcm.V30Trigger {
		return found(fault.TooOld, claim.Num, -1, "claims height %v, expected at least %v", claim.Num, mcm.V30Trigger)
	}
	return nil
}

// More returns the range to ask for that Extend puts in front of a proof whose
// worked trailers are fewer than MinWorked, or that is Contested; count 0 when there
// is nothing to ask for, because the proof has enough of them, MaxExtension trailers,
// or all down to o.Base.
func (p *Proof) More(o Options) (first mcm.BlockNum, count int) {
	if !p.Done || p.Worked >= MinWorked && !p.Contested || p.First <= o.Base || len(p.Trailers) >= MaxExtension {
		return 0, 0
	}
	count = MaxExtension - len(p.Trailers)
	if below := uint64(p.First - o.Base); below < uint64(count) {
		count = int(below)
	}
	return p.First - mcm.BlockNum(count), count
}

// Tip returns the last trailer, nil if there is none.
func (p *Proof) Tip() *mcm.Trailer {
	if len(p.Trailers) == 0 {
		return nil
	}
	return &p.Trailers[len(p.Trailers)-1]
}

// Density returns the verified work of the proof for each of its trailers, in
// hashes; 0 before Work.
func (p *Proof) Density() float64 {
	if len(p.Trailers) == 0 {
		return 0
	}
	return Hashes(p.Work) / float64(len(p.Trailers))
}

// Hashes returns w as a number of hashes, rounded.
func Hashes(w mcm.Weight) float64 {
	sum := 0.0
	for i, limb := range w {
		sum += math.Ldexp(float64(limb), 64*i)
	}
	return sum
}

// Stated returns the work that trailers state, in hashes.
func Stated(ts []mcm.Trailer) (sum float64) {
	for i := range ts {
		if IsWorked(&ts[i]) {
			sum += math.Ldexp(1, int(ts[i].WorkDifficulty()))
		}
	}
	return sum
}

// AddWork returns w with the work of t added, if it has to have any.
func AddWork(w mcm.Weight, t *mcm.Trailer) mcm.Weight {
	if !IsWorked(t) {
		return w
	}
	return w.AddDifficulty(t.WorkDifficulty())
}

// Secret returns a source of numbers in [0, n) that peers can't guess, for one
// goroutine.
func Secret() func(n int) int {
	var seed [32]byte
	crand.Read(seed[:])
	return rand.New(rand.NewChaCha8(seed)).IntN
}

// IsWorked reports whether t has to carry a proof of work.
func IsWorked(t *mcm.Trailer) bool { return pow.AlgorithmOf(t) != pow.None }
