// Package verifytest has what tests of proof-of-work engines and of their
// wrappers share:
//
//   - [Run], the conformance suite, which every engine's test calls in a line;
//   - [Differential] and [FuzzAgree], random comparison with an oracle;
//   - [Vectors], the golden vectors, and [Trailers], random ones;
//   - [Fake], a Backend that does what a test wants;
//   - [Require], the way to skip what a machine lacks.
//
// Random tests print their seed; KIGO_TEST_SEED repeats one.  KIGO_TEST_LONG=1
// makes the suite walk every position of every batch length.
package verifytest
