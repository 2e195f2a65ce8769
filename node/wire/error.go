package wire

// An ErrorKind says what is wrong with a packet.
type ErrorKind uint8

// The kinds; the package comment says what each proves about the sender.
const (
	CRC        ErrorKind = iota + 1
	BadNetwork           // the CRC is right, the network isn't ours
	BadMark              // the CRC is right, the end mark isn't 0xabcd
	BadIDs               // the ids aren't the connection's
	TooLong              // more data than the operation may carry
	BadLength            // bytes whose number isn't that of one packet, or of what they hold
)

// String returns a short description, such as "wrong network".
func (k ErrorKind) String() string {
	switch k {
	case CRC:
		return "wrong CRC"
	case BadNetwork:
		return "wrong network"
	case BadMark:
		return "wrong end mark"
	case BadIDs:
		return "wrong ids"
	case TooLong:
		return "too much data"
	case BadLength:
		return "wrong length"
	default:
		return "unknown packet error"
	}
}

// An Error is a packet, or the content of one, that can't be used.
type Error struct {
	Kind   ErrorKind
	Detail string // what was found and what was expected
}

// Error returns the kind and the detail.
func (e *Error) Error() string { return e.Kind.String() + ": " + e.Detail }
