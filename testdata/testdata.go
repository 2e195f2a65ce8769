// Package testdata holds the golden vectors and real trailers that tests of all
// packages share.  Each file of vectors explains its own fields in "about".
package testdata

import (
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// Files has the folders vectors and mainnet.
//
//go:embed vectors mainnet
var Files embed.FS

// Load decodes a file of vectors, such as pow/peach.json.
func Load(name string, into any) error {
	b, err := Files.ReadFile("vectors/" + name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, into); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// Hex is a byte string that JSON holds as hex.
type Hex []byte

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(s []byte) (err error) {
	*h, err = hex.DecodeString(string(s))
	return err
}
