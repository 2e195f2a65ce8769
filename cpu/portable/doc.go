// Package portable is the oracle: Peach and its eight hash functions in plain
// Go, written to be read beside docs/spec/pow.md.  Every other engine is tested
// against it, bit for bit, and it is what repeats an accelerator's bad verdict
// before a peer pays for it.
//
// It needs neither cgo nor any processor feature.  MD2 is its own, in md2.go;
// the other seven functions come from the standard library and
// golang.org/x/crypto.  Clarity comes before speed: package cpu/lanes is the
// fast pure Go engine.
package portable
