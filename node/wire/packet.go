package wire

import "kigo/node/mcm"

// Sizes of a packet in bytes (docs/spec/network.md section 2).
const (
	HeaderLen = 124
	Overhead  = HeaderLen + 4 // with CRC and end mark: a packet without data
	MaxData   = 65535
)

// What every packet carries.
const (
	Version = 5
	Network = 1337
	EndMark = 0xabcd
)

// DefaultPort is where nodes listen and call each other.
const DefaultPort = 2095

// Caps are the capability bits of a sender.
type Caps uint8

// The capability bits.
const (
	CapPush      Caps = 1 << iota // answers GET_CBLOCK and MBLOCK
	CapOptIn                      // may be put into peer lists
	CapSanctuary                  // has the Sanctuary option
	CapMinFee                     // its own fee is above the minimum
	CapLogging                    // unused
)

// A State is what a node says of its chain in every packet.  Nothing binds the
// four to one another: in a packet from a peer they are claims.
type State struct {
	Num    mcm.BlockNum // number of the current block
	Hash   mcm.Hash     // its hash
	Prev   mcm.Hash     // hash of the block before it
	Weight mcm.Weight   // of the chain
}

// A Packet is one message.  The zero value is an empty one of no operation.
type Packet struct {
	Caps     Caps
	ID1, ID2 uint16
	Op       Op
	State    State
	Arg      uint64 // the blocknum field: a block number, or what TFArg packs
	Data     []byte // at most MaxData bytes

	// Version and Network are as received.  AppendTo sets its own.
	Version uint8
	Network uint16
}
