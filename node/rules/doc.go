// Package rules holds the rules of the Mochimo chain that need no proof of work:
// whether a trailer may follow another, the next difficulty, which blocks add
// weight, mining rewards, and the names of block files (docs/spec/chain.md
// sections 5 to 8 and 14).
//
// All of it is pure functions.  The clock is an argument, and only one rule
// looks at it.  Whether a trailer carries its work is another question, answered
// from its bytes alone by package verify.
package rules
