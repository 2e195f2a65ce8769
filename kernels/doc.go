// Package kernels is the place of Kigo's device code: CUDA sources, the PTX that
// the build makes of them and embeds, and a manifest that ties one to the other.
// It holds no logic in Go.
//
// This version has no CUDA engine, so there are no kernels yet.
package kernels
