package rules

// Version is the version of the rules by which trailers are judged, proof of
// work included.  Raise it with any change that makes another verdict possible:
// what was remembered of invalid trailers is dropped then (docs/spec/sync.md
// section 8.7).
const Version = 1
