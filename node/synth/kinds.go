package synth

import (
	"context"
	"math"
	"math/rand/v2"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
)

// A Kind is a way in which a trailer or the file can be wrong.
type Kind struct {
	Name string
	// Rule is the rule broken.  For faults in a proof of work it is PowPeach,
	// the one of most heights; Fault.Rule tells it for each.
	Rule    rules.Rule
	Summary string // what is wrong, in a few words
	Where   string // at which blocks it applies, as a noun

	at    func(mcm.BlockNum) bool // whether a block can have it
	block mcm.Kind                // what its block has to be, unless neogenesis; or anyKind
	works bool                    // it takes work to make, so a difficulty above 0
	// spoil changes a flawless trailer that has no nonce and hash yet.
	spoil func(*mcm.Trailer, *rand.Rand)
	// prove stores a nonce in place of one that works; at a given position.
	prove func(context.Context, *prover, *mcm.Trailer, mcm.BlockNum) error
	// seal changes a trailer that has its hash.
	seal func(*mcm.Trailer, *rand.Rand)
	// keep draws how many bytes of the trailer are the last of the file.
	keep func(*rand.Rand) int
}

// cuts reports whether the file ends with the fault.
func (k *Kind) cuts() bool { return k.keep != nil }

// anyKind leaves the kind of a block to chance; no fault makes a genesis block.
const anyKind = mcm.Genesis

// Kinds that the chain behind them has to know of.
const (
	bnum        = "bnum"
	stimeFuture = "stime-future"
)

// Where faults apply.
const (
	atGenesis    = "block 0"
	atAny        = "any block from 1 on"
	atWorked     = "any block but those ending in 00, made a standard block"
	atPseudo     = "any block but those ending in 00, made a pseudoblock"
	atExempt     = "any block from 1 on, made a pseudoblock unless it ends in 00"
	atNeogenesis = "neogenesis blocks, those ending in 00 from 0x100 on"
	atTimed      = "any block but those ending in 00"
	atBridged    = "blocks from 0xd432 on but those ending in 00 and, up to 0x1b6ff, ff, made standard blocks"
	atHard       = "any block but those ending in 00 whose difficulty is 1 or more, made a standard block"
)

func genesis(n mcm.BlockNum) bool    { return n == 0 }
func anyBlock(n mcm.BlockNum) bool   { return n > 0 }
func neogenesis(n mcm.BlockNum) bool { return n > 0 && n.IsNeogenesis() }
func timed(n mcm.BlockNum) bool      { return !n.IsNeogenesis() }

// bridged reports whether a standard block n has to keep to the bridge time
// (docs/spec/chain.md section 5).
func bridged(n mcm.BlockNum) bool {
	return timed(n) && (n > mcm.BridgeException || n > mcm.V23Trigger && n.Low() != 0xff)
}

// jiffy bounds by how many seconds a time is off where anything would do.
const jiffy = 60

func some(r *rand.Rand, most uint32) uint32 { return 1 + r.Uint32N(most) }

var kinds = []Kind{
	{
		Name: "nzgen", Rule: rules.NonZeroGenesis, Where: atGenesis, at: genesis,
		Summary: "the genesis trailer has a Merkle root",
		spoil:   func(t *mcm.Trailer, r *rand.Rand) { randomHash(t.MerkleRoot(), r) },
	}, {
		Name: "genhash", Rule: rules.GenesisHash, Where: atGenesis, at: genesis,
		Summary: "the genesis hash has one bit flipped",
		spoil:   func(t *mcm.Trailer, r *rand.Rand) { flipBit(t.Hash(), r) },
	}, {
		Name: "phash", Rule: rules.PrevHash, Where: atAny, at: anyBlock,
		Summary: "the hash of the block before is another",
		spoil:   func(t *mcm.Trailer, r *rand.Rand) { randomHash(t.PrevHash(), r) },
	}, {
		// 256 keeps neogenesis blocks in their places, so the chain can count on.
		Name: bnum, Rule: rules.Num, Where: atAny, at: anyBlock,
		Summary: "the block number is 256 too high, and those behind it follow on; must be the last fault",
		spoil:   func(t *mcm.Trailer, _ *rand.Rand) { t.SetNum(t.Num() + 256) },
	}, {
		Name: "mfee-low", Rule: rules.MinFee, Where: atWorked, at: timed, block: mcm.Standard,
		Summary: "the minimum fee is below 500",
		spoil:   func(t *mcm.Trailer, r *rand.Rand) { t.SetMinFee(r.Uint64N(mcm.MinFee)) },
	}, {
		Name: "mfee-exempt", Rule: rules.MinFee, Where: atExempt, at: anyBlock, block: mcm.Pseudo,
		Summary: "a block without transactions has a minimum fee",
		spoil:   func(t *mcm.Trailer, r *rand.Rand) { t.SetMinFee(mcm.MinFee + r.Uint64N(mcm.MinFee)) },
	}, {
		Name: "tcount-high", Rule: rules.TxCount, Where: atWorked, at: timed, block: mcm.Standard,
		Summary: "there are more than 32768 transactions",
		spoil:   func(t *mcm.Trailer, r *rand.Rand) { t.SetTxCount(mcm.MaxTx + some(r, mcm.MaxTx)) },
	}, {
		Name: "tcount-neogenesis", Rule: rules.TxCount, Where: atNeogenesis, at: neogenesis,
		Summary: "a neogenesis block has transactions",
		spoil:   func(t *mcm.Trailer, r *rand.Rand) { t.SetTxCount(some(r, mcm.MaxTx)) },
	}, {
		Name: "nonce", Rule: rules.Nonce, Where: atExempt, at: anyBlock, block: mcm.Pseudo,
		Summary: "a block without proof of work has a nonce, two haikus even",
		spoil:   pow.SetRandomNonce,
	}, {
		Name: "mroot", Rule: rules.MerkleRoot, block: mcm.Pseudo,
		Where:   "any block from 1 to 0xa06ff, made a pseudoblock unless it ends in 00",
		at:      func(n mcm.BlockNum) bool { return n > 0 && n < mcm.V30Trigger },
		Summary: "a block without transactions has a Merkle root before version 3",
		spoil:   func(t *mcm.Trailer, r *rand.Rand) { randomHash(t.MerkleRoot(), r) },
	}, {
		Name: "stime-pseudo", Rule: rules.SolveTime, Where: atPseudo, at: timed, block: mcm.Pseudo,
		Summary: "a pseudoblock takes another time than the bridge time",
		spoil:   missBridge,
	}, {
		Name: "stime-equal", Rule: rules.SolveTime, Where: atWorked, at: timed, block: mcm.Standard,
		Summary: "the solve time is the start time",
		spoil:   func(t *mcm.Trailer, _ *rand.Rand) { t.SetSolveTime(t.StartTime()) },
	}, {
		Name: "stime-bridge", Rule: rules.SolveTime, Where: atBridged, at: bridged, block: mcm.Standard,
		Summary: "the block takes longer than the bridge time",
		spoil: func(t *mcm.Trailer, r *rand.Rand) {
			t.SetSolveTime(t.StartTime() + t.Num().Bridge() + some(r, jiffy))
		},
	}, {
		Name: "stime-backwards", Rule: rules.SolveTime, Where: atBridged, at: bridged, block: mcm.Standard,
		Summary: "the solve time is before the start time",
		spoil:   func(t *mcm.Trailer, r *rand.Rand) { t.SetSolveTime(t.StartTime() - some(r, jiffy)) },
	}, {
		// Under the bridge rule no block could come back from the future.
		Name: stimeFuture, Rule: rules.SolveTime, block: mcm.Standard,
		Where:   "any block from 1 to 0xd430 but those ending in 00, made a standard block as is the next; behind that use a late start time",
		at:      func(n mcm.BlockNum) bool { return timed(n) && n < mcm.V23Trigger },
		Summary: "the solve time is in the year 2106, ahead of our clock",
		spoil:   func(t *mcm.Trailer, r *rand.Rand) { t.SetSolveTime(math.MaxUint32 - 2*jiffy - r.Uint32N(1000)) },
	}, {
		Name: "stime-neogenesis", Rule: rules.SolveTime, Where: atNeogenesis, at: neogenesis,
		Summary: "a neogenesis block is solved later than the block before it",
		spoil:   func(t *mcm.Trailer, r *rand.Rand) { t.SetSolveTime(t.SolveTime() + some(r, jiffy)) },
	}, {
		Name: "time0", Rule: rules.StartTime,
		Where:   "any block from 0x4322 on but those ending in 00",
		at:      func(n mcm.BlockNum) bool { return timed(n) && n > mcm.V20Trigger },
		Summary: "the start time is later than the solve time before",
		spoil: func(t *mcm.Trailer, r *rand.Rand) {
			late := some(r, jiffy)
			t.SetStartTime(t.StartTime() + late)
			t.SetSolveTime(t.SolveTime() + late)
		},
	}, {
		Name: "time0-neogenesis", Rule: rules.StartTime, Where: atNeogenesis, at: neogenesis,
		Summary: "a neogenesis block starts earlier than the block before it",
		spoil:   func(t *mcm.Trailer, r *rand.Rand) { t.SetStartTime(t.StartTime() - some(r, jiffy)) },
	}, {
		Name: "diff", Rule: rules.Difficulty, Where: atTimed, at: timed,
		Summary: "the difficulty is off by one or two",
		spoil:   changeDifficulty,
	}, {
		// A standard block, since its time can be chosen: from 0x100 a pseudoblock
		// would go down to 0xff.
		Name: "diff-high", Rule: rules.Difficulty, Where: atWorked, at: timed, block: mcm.Standard,
		Summary: "the difficulty is 256 too high in its field, which work and weight don't see; it can't rise any more behind it",
		spoil:   func(t *mcm.Trailer, _ *rand.Rand) { t.SetDifficulty(t.Difficulty() + 256) },
	}, {
		Name: "diff-neogenesis", Rule: rules.Difficulty, Where: atNeogenesis, at: neogenesis,
		Summary: "a neogenesis block has another difficulty than the block before it",
		spoil:   changeDifficulty,
	}, {
		Name: "bhash", Rule: rules.BlockHash, Where: "any block from 0xa0700 on",
		at:      func(n mcm.BlockNum) bool { return n >= mcm.V30Trigger },
		Summary: "the block hash has one bit flipped",
		seal:    func(t *mcm.Trailer, r *rand.Rand) { flipBit(t.Hash(), r) },
	}, {
		Name: "pow-nonce", Rule: rules.PowPeach, Where: atWorked, at: timed, block: mcm.Standard,
		Summary: "the first half of the nonce is no haiku",
		prove:   misspell(0),
	}, {
		Name: "pow-nonce-second", Rule: rules.PowPeach, Where: atWorked, at: timed, block: mcm.Standard,
		Summary: "the second half of the nonce is no haiku",
		prove:   misspell(1),
	}, {
		Name: "pow-work", Rule: rules.PowPeach, Where: atHard, at: timed, block: mcm.Standard,
		Summary: "two haikus whose hash is one bit short of the difficulty",
		works:   true, prove: short,
	}, {
		Name: "pow-flip", Rule: rules.PowPeach, Where: atHard, at: timed, block: mcm.Standard,
		Summary: "one word of a valid nonce is changed, and the work is gone",
		works:   true, prove: flip,
	}, {
		Name: "anomaly", Rule: rules.PowAnomaly, Where: "block 339260 (0x52d3c), made a standard block", block: mcm.Standard,
		at:      func(n mcm.BlockNum) bool { return n == mcm.AnomalyNum },
		Summary: "the block that is pardoned by its hash has no haiku and another hash",
		prove:   misspell(0),
	}, {
		Name: "file-short", Rule: rules.FileLen, Where: "any block (in block 0 it is EMCM_FILEDATA)",
		at:      func(mcm.BlockNum) bool { return true },
		Summary: "the file ends within this block's trailer",
		keep:    func(r *rand.Rand) int { return 1 + r.IntN(mcm.TrailerLen-1) },
	}, {
		Name: "file-empty", Rule: rules.FileData, Where: atGenesis, at: genesis,
		Summary: "the file is empty",
		keep:    func(*rand.Rand) int { return 0 },
	},
}

func flipBit(h *mcm.Hash, r *rand.Rand) {
	bit := r.IntN(8 * mcm.HashLen)
	h[bit/8] ^= 1 << (bit % 8)
}

func missBridge(t *mcm.Trailer, r *rand.Rand) {
	bridge := t.Num().Bridge()
	elapsed := some(r, 2*bridge)
	if elapsed == bridge {
		elapsed++
	}
	t.SetSolveTime(t.StartTime() + elapsed)
}

// changeDifficulty goes down where there is room: less work to make.
func changeDifficulty(t *mcm.Trailer, r *rand.Rand) {
	d, by := t.Difficulty(), some(r, 2)
	if uint32(t.WorkDifficulty()) >= by {
		t.SetDifficulty(d - by)
	} else {
		t.SetDifficulty(d + by)
	}
}
