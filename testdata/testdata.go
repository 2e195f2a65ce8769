// Package testdata holds the golden vectors and real trailers that tests of all
// packages share.  Each file of vectors explains its own fields in "about".
package testdata

import "embed"

// Files has the folders vectors and mainnet.
//
//go:embed vectors mainnet
var Files embed.FS
