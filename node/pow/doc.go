// Package pow holds what every proof-of-work engine shares: who is exempt,
// which algorithm a height asks for, the haiku grammar of nonces, the
// comparison with the difficulty, the one historic exception, and Trigg
// (docs/spec/pow.md sections 3 to 7).
//
// Peach, the costly part, is the engines' own: cpu/portable has the oracle.
// The split keeps cheap answers out of the engines: a trailer whose nonce is no
// haiku never costs a hash.
package pow
