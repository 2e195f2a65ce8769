package wire

import (
	"bytes"
	"fmt"
)

// A Nack is the data of a NACK packet, for logs: it has no other effect.  A peer
// wrote both texts, and any bytes can be in them.
type Nack struct {
	Name string // of the error, such as EMCM_TXSRCDUP; names are stable
	Text string // its description
}

// The parts of a Nack: 8 reserved bytes, the name, the zero-terminated text.
const (
	nackName = 8
	nackText = nackName + 32
)

// ParseNack reads the data of a NACK (docs/spec/network.md section 7.12).  Data
// without all three parts are an *Error, BadLength.
func ParseNack(data []byte) (Nack, error) {
	if len(data) <= nackText || data[len(data)-1] != 0 {
		return Nack{}, &Error{BadLength, fmt.Sprintf("a NACK of %d bytes, expected more than %d and a zero at the end", len(data), nackText)}
	}
	return Nack{
		Name: upToZero(data[nackName:nackText]),
		Text: upToZero(data[nackText:]),
	}, nil
}

func upToZero(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}
