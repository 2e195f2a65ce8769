// Package api shows over HTTP what Kigo found out: metrics, health, the peers
// of the last scan, the branches they serve, and the evidence.
//
// # What it promises
//
// It only reads.  No request starts a scan, calls a peer or changes a file, so
// there is nothing to guard but the facts themselves, which a listener on the
// loopback interface keeps on this machine (CheckListen).  Answers come from the
// last finished scan; before the first one there are empty lists and the state
// none_yet, and Kigo is not ready.
//
//	GET /                   the endpoints, as text
//	GET /metrics            Prometheus metrics
//	GET /healthz            is the process fit to work?
//	GET /readyz             may its choice of chain be relied on?
//	GET /v1/peers           the peers of the last scan, each with its verdict
//	GET /v1/forks           the branches of the last scan, and the chosen one
//	GET /v1/evidence        what peers were convicted of
//	GET /v1/evidence/{id}   one record with the bytes that prove it
//
// Field names are part of the interface: they are added to, not renamed, while
// the path says v1.  docs/api.md shows each answer.
//
// # How the pieces meet
//
// New makes the handler from a Source, which is the rest of the program.  Serve
// runs it on a listener with limits on time, size and number of connections,
// until its context ends.  Profiles makes the handler of a second listener, for
// who looks into the process itself.
//
// # What it leaves out
//
// Authentication and TLS: a listener that others shall reach belongs behind a
// proxy that has both.
package api
