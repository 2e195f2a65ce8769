package mcm

import "fmt"

// Block numbers at which a rule of the chain changes (docs/spec/chain.md
// sections 1.2 and 15).
const (
	// V20Trigger: reward formula 2; the block after it is the first whose
	// difficulty follows the 284/143 rule and whose start time is checked.
	V20Trigger BlockNum = 0x4321
	// V2001Patch is the last previous block whose solve time is mixed into the
	// difficulty.
	V2001Patch BlockNum = 0x4521
	// V23Trigger: standard blocks after it keep to the bridge time, except
	// numbers ending in ff.
	V23Trigger BlockNum = 0xd431
	// V24Trigger is the last block whose proof of work is Trigg.
	V24Trigger BlockNum = 0x12851
	// BridgeException is the last block that may exceed the bridge time.
	BridgeException BlockNum = 0x1b6ff
	// AnomalyNum is the one Peach block that is accepted by its hash
	// (docs/spec/pow.md section 4).
	AnomalyNum BlockNum = 0x52d3c
	// MidTrigger is the peak of the mining reward.
	MidTrigger BlockNum = 0x5b401
	// V30Trigger is the first block with a hash that a trailer can prove.
	V30Trigger BlockNum = 0xa0700
)

// Limits of single fields (docs/spec/chain.md section 1.2).
const (
	MinFee        = 500   // lowest legal minimum fee
	MaxTx         = 32768 // most transactions in a block
	BridgeV2      = 949   // longest block time before V30Trigger, seconds
	BridgeV3      = 238   // longest block time from V30Trigger on, seconds
	ClockLead     = 3     // seconds by which a solve time may lead our clock
	ProofTrailers = 54    // trailers in a proof segment
)

// GenesisHash is the hash of block 0; it is a constant, not the hash of
// anything in its trailer (docs/spec/chain.md section 13).
var GenesisHash = Hash{
	0x00, 0x17, 0x0c, 0x67, 0x11, 0xb9, 0xdc, 0x3c, 0xa7, 0x46, 0xc4, 0x6c, 0xc2, 0x81, 0xbc, 0x69,
	0xe3, 0x03, 0xdf, 0xad, 0x2f, 0x33, 0x3b, 0xa3, 0x97, 0xba, 0x06, 0x1e, 0xcc, 0xef, 0xde, 0x03,
}

// GenesisTrailer returns the trailer of block 0: zeros and GenesisHash.
func GenesisTrailer() (t Trailer) {
	*t.Hash() = GenesisHash
	return t
}

// A BlockNum is the number of a block; genesis is 0.
type BlockNum uint64

// Low returns the least significant byte of the number.
func (n BlockNum) Low() byte { return byte(n) }

// IsNeogenesis reports whether the number's low byte is zero: block 0 and every
// 256th after it, the blocks that carry the whole ledger.
func (n BlockNum) IsNeogenesis() bool { return n.Low() == 0 }

// Bridge returns the bridge time in force at block n, in seconds.
func (n BlockNum) Bridge() uint32 {
	if n < V30Trigger {
		return BridgeV2
	}
	return BridgeV3
}

// String returns the number in hex with 0x before it.
func (n BlockNum) String() string { return fmt.Sprintf("0x%x", uint64(n)) }

// A Kind is what a block is for (docs/spec/chain.md section 4).
type Kind uint8

// The kinds of block.
const (
	Genesis Kind = iota
	Neogenesis
	Pseudo
	Standard
)

// String returns the kind's name in lower case.
func (k Kind) String() string {
	switch k {
	case Genesis:
		return "genesis"
	case Neogenesis:
		return "neogenesis"
	case Pseudo:
		return "pseudo"
	case Standard:
		return "standard"
	}
	return fmt.Sprintf("Kind(%d)", uint8(k))
}
