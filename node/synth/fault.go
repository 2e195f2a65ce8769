package synth

import (
	"fmt"
	"strconv"
	"strings"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
)

// A Fault is one thing that is wrong with a chain.
type Fault struct {
	Kind string // a name that Kinds lists
	// Block is the position of the faulty trailer in the file.  It is the number
	// that the block must have.
	Block mcm.BlockNum
}

// ParseFault reads KIND@BLOCK, the block decimal or hex with 0x before it.
// Whether that block can have the fault is Config.Validate's to say.
func ParseFault(s string) (Fault, error) {
	kind, block, ok := strings.Cut(s, "@")
	if !ok {
		return Fault{}, fmt.Errorf("fault %q: want KIND@BLOCK, such as pow-work@1000", s)
	}
	if _, err := lookUp(kind); err != nil {
		return Fault{}, fmt.Errorf("fault %q: %w", s, err)
	}
	digits, base := block, 10
	if hex, ok := strings.CutPrefix(block, "0x"); ok {
		digits, base = hex, 16
	}
	n, err := strconv.ParseUint(digits, base, 64)
	if err != nil {
		return Fault{}, fmt.Errorf("fault %q: block %q: want a number, decimal or hex with 0x before it, below 2^64", s, block)
	}
	return Fault{kind, mcm.BlockNum(n)}, nil
}

// String returns KIND@BLOCK with a decimal block, as ParseFault reads it.
func (f Fault) String() string { return fmt.Sprintf("%s@%d", f.Kind, uint64(f.Block)) }

// Rule returns the rule that the fault breaks at its block, which the height
// decides for proofs of work; empty for an unknown kind.
func (f Fault) Rule() rules.Rule {
	k, err := lookUp(f.Kind)
	switch {
	case err != nil:
		return ""
	case k.prove != nil:
		var t mcm.Trailer
		t.SetNum(f.Block)
		return rules.Rule(pow.RuleName(&t))
	case k.cuts() && f.Block == 0:
		return rules.FileData
	}
	return k.Rule
}

// Kinds returns all kinds of fault, in the order of the rules in
// docs/spec/chain.md section 5, then proofs of work, then files.
func Kinds() []Kind { return append([]Kind(nil), kinds...) }

// lookUp returns the kind of fault of a name.
func lookUp(name string) (*Kind, error) {
	for i := range kinds {
		if kinds[i].Name == name {
			return &kinds[i], nil
		}
	}
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.Name
	}
	return nil, fmt.Errorf("kind %q is unknown, want one of %s", name, strings.Join(names, ", "))
}
