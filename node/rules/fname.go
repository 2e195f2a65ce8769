package rules

import (
	"fmt"

	"kigo/node/mcm"
)

// BlockFile returns the name of the file of block n in the folder bc
// (docs/spec/chain.md section 14).
func BlockFile(n mcm.BlockNum) string { return fmt.Sprintf("b%016x.bc", uint64(n)) }

// SplitFile returns the name under which block n is kept when another branch has
// displaced it.
func SplitFile(n mcm.BlockNum) string { return fmt.Sprintf("b%016x.sp", uint64(n)) }

// ShortName returns n in hex without leading zeros, the name of a block while
// several are fetched.
func ShortName(n mcm.BlockNum) string { return fmt.Sprintf("%x", uint64(n)) }
