// Package verify answers one question about a trailer, from its bytes alone:
// does it carry its proof of work (docs/spec/pow.md)?  Whether it may follow
// another trailer is package rules' business.
//
// The answer is a [Verdict], never an error: an error says that we failed, and
// names no peer.  Engines implement [Backend]; everything else is a [Verifier]
// around a Verifier, so each concern stands alone and is tested with a fake:
//
//	scan, sync, ...                 many goroutines, mostly batches of 54
//	      │
//	   [Cached]                     each trailer once, also when asked for twice at once
//	      │
//	   [Coalesce]                   small concurrent batches become one large one
//	      │
//	   [NewRouter]                  picks by size, health and measured speed; devices
//	   ┌──┴──────┬─────────┐        share a large batch; the last one is always tried
//	   │         │         │
//	[Audited] [Audited]    │        repeats bad verdicts, samples good ones
//	   │         │         │
//	 cuda:0    avx512   portable    package gpu, cpu/simd/..., cpu/portable (the oracle)
//
// A whole trailer file goes to the router directly, since its batches are large
// and no trailer comes twice.
//
// Before an engine serves it answers [SelfTest], known answers at several batch
// lengths and lane positions.  The suite that every engine passes in its tests
// is package verifytest.
//
// # What a wrapper must keep
//
//   - A forgotten entry is Unchecked and accepts nothing.  Every Verifier clears
//     dst before it starts, and an entry that holds a verdict after an error is
//     right.
//   - When ctx ends, the error wraps context.Cause(ctx) (see [Interrupted]), and
//     no backend is held to have failed.
//   - Verdicts depend on the trailer alone, so they may be kept for ever and
//     shared between peers, under the trailer's own 160 bytes and nothing that a
//     peer claims.
package verify
