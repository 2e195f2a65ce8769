// Package cpu knows the processor's engines: which there are, which of them this
// machine can run and why not the others, and how to open them.
//
// Features are looked at once, in each engine's own package, before any of its
// code runs; nothing is chosen when compiling.  All engines opened by one call
// share the same cores, see package engine.
package cpu
