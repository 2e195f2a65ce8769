package wire

import "strconv"

// An Op is an operation code.
type Op uint16

// The operations of docs/spec/network.md section 5.
const (
	OpNull      Op = iota // never valid
	OpHello               // opens a call
	OpHelloAck            // answers it
	OpTX                  // a transaction
	OpFound               // "my chain weighs more", with its last 54 trailers
	OpGetBlock            // a block by its number
	OpGetIPL              // the peer list
	OpSendFile            // a piece of a file
	OpSendIPL             // answers OpGetIPL
	OpBusy                // a refusal, without data
	OpNack                // a refusal with a reason
	OpGetTFile            // the whole trailer file
	OpBalance             // a ledger entry by address or tag
	OpSendBal             // answers OpBalance
	OpResolve             // not answered any more
	OpGetCBlock           // the candidate block, of nodes with CapPush
	OpMBlock              // a mined block follows, to nodes with CapPush
	OpHash                // the hash of a block, request and answer
	OpTF                  // a range of the trailer file
	OpIdentify            // what a node is, request and answer
)

var opNames = [...]string{
	OpNull:      "NULL",
	OpHello:     "HELLO",
	OpHelloAck:  "HELLO_ACK",
	OpTX:        "TX",
	OpFound:     "FOUND",
	OpGetBlock:  "GET_BLOCK",
	OpGetIPL:    "GET_IPL",
	OpSendFile:  "SEND_FILE",
	OpSendIPL:   "SEND_IPL",
	OpBusy:      "BUSY",
	OpNack:      "NACK",
	OpGetTFile:  "GET_TFILE",
	OpBalance:   "BALANCE",
	OpSendBal:   "SEND_BAL",
	OpResolve:   "RESOLVE",
	OpGetCBlock: "GET_CBLOCK",
	OpMBlock:    "MBLOCK",
	OpHash:      "HASH",
	OpTF:        "TF",
	OpIdentify:  "IDENTIFY",
}

// String returns the operation's name, such as GET_IPL, or its number.
func (o Op) String() string {
	if int(o) < len(opNames) {
		return opNames[o]
	}
	return strconv.Itoa(int(o))
}

// Sizes that the protocol fixes (docs/spec/network.md sections 6 to 8).
const (
	FileChunk     = MaxData // bytes of a file in a packet; a packet with fewer is the last
	ProofTrailers = 54      // in FOUND
	MaxTF         = 1000    // trailers that one TF may ask for
	MaxAddrs      = 64      // addresses in a SEND_IPL
)

// The most data a server accepts with a request, in bytes (section 12).
const (
	maxBalanceKey = 40
	maxFound      = ProofTrailers * 160
	maxTX         = 116 + 256*44 + 2208 + 40 // header, destinations, signature, trailer
)

// RequestLimit returns how many bytes of data a server accepts in a request: none
// for most, and none for what isn't a request, so that judging the operation
// costs a header.  The file that follows an OpMBlock isn't part of it.
func RequestLimit(o Op) int {
	switch o {
	case OpTX:
		return maxTX
	case OpFound:
		return maxFound
	case OpBalance:
		return maxBalanceKey
	default:
		return 0
	}
}

// TFArg packs what OpTF asks for into the Arg of its packet: count trailers from
// number first on.
func TFArg(first, count uint32) uint64 { return uint64(count)<<32 | uint64(first) }

// SplitTFArg is the inverse of TFArg.
func SplitTFArg(arg uint64) (first, count uint32) { return uint32(arg), uint32(arg >> 32) }
