// Package peer leads one conversation with one peer, from either end
// (docs/spec/network.md): connect, shake hands, one request, its answer, close.
//
// # Calling
//
// [Client.Call] connects and shakes hands; the [Call] it returns knows what the
// peer claims of its chain and has a method for each request.
//
//	call, err := client.Call(ctx, addr)
//	if err != nil { ... }
//	trailers, err := call.Trailers(ctx, first, 54)
//
// A call costs a bounded time and a bounded number of bytes, whatever the other
// end does.  What it announces is compared with what was asked before a byte of
// it is read or given memory, each packet and each transfer has its time, and
// from [Timeouts.Grace] on its least rate.
//
// # Whose fault
//
// An error is a [*fault.Fault] if it is about the peer, the cause of the context
// if that ended, and anything else is our own failure.  What a kind rests on:
//
//	refused       no connection, a close, BUSY, NACK, another operation, an answer
//	              of a length that nobody can use
//	reset         TCP reset
//	timeout       nothing came in time
//	too_slow      something came, but not in time or below the least rate
//	bad_crc       a damaged packet
//	bad_frame     wrong network, end mark or ids under a right CRC
//	bad_list      addresses that are no multiple of four bytes, or more than 64
//	too_long      more trailers announced than asked for
//	wrong_numbers other trailers than asked for
//	not_multiple  bytes that are no whole trailers
//	short_reply   fewer trailers than asked for, which come all the same
//
// No answer is not evidence, so everything that docs/spec/sync.md section 8.8
// doesn't name is refused.  That holds for a HELLO_ACK with data as well: the
// reference node sends back the data of the HELLO, ours has none, but data that
// nobody asked for contradict nothing.  They aren't read.
//
// too_long and bad_list are the only kinds that rest on a header alone, because
// the data behind it would cost 64 KiB a call.  The operation, the network and
// the ids in that header must be right, so that damage to the length alone would
// have to be the explanation; if they aren't, it is bad_crc.
//
// # Answering
//
// [Server] answers from a [Handler], each connection in a goroutine of its own
// and under deadlines, within bounds for connections and for files sent at once,
// for all and for each group.  [Session] is the answering end without a server,
// for peers that answer in other ways than a good one.
package peer
