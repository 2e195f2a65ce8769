package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"kigo/node/fault"
	"kigo/node/wire"
)

// maxNack is the longest NACK that is read, for the name in it.
const maxNack = 512

// blame says whose an error of the connection is: the cause of ctx, a fault of
// the peer, or else our own.
func (c *Call) blame(ctx context.Context, detail string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if k, ok := lineKind(err, c.line.moved > 0); ok {
		return c.fault(k, detail, err)
	}
	return err
}

// lineKind returns what an error of a connection says about the other end.  It
// is false for what can only be our own failure.  moved is whether the stage
// under way had moved anything: then a missed deadline is slowness, not silence.
func lineKind(err error, moved bool) (fault.Kind, bool) {
	var timeout interface{ Timeout() bool }
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.EHOSTUNREACH),
		errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTDOWN),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe):
		return fault.Refused, true
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNABORTED):
		return fault.Reset, true
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		if moved {
			return fault.TooSlow, true
		}
		return fault.Timeout, true
	default:
		return "", false
	}
}

// blamePacket says what it means that no packet of operation want could be read.
// p is what came of it, long what it proves that more data were announced than
// may come: nothing if it is empty, since the limit was the caller's own.
func (c *Call) blamePacket(ctx context.Context, err error, p *wire.Packet, want wire.Op, long fault.Kind) error {
	var bad *wire.Error
	if !errors.As(err, &bad) {
		return c.blame(ctx, want.String(), err)
	}
	switch bad.Kind {
	case wire.BadNetwork, wire.BadMark:
		return c.fault(fault.BadFrame, "", err)
	case wire.TooLong:
		// The data weren't read, so no CRC vouches for the length.  An operation,
		// network and ids that are right do: damage that alters the length alone,
		// and passes TCP, is no explanation any more.
		switch {
		case p.Op != want:
			return c.fault(fault.Refused, refusal(p), nil)
		case p.Network != wire.Network || c.checkIDs(p) != nil:
			return c.fault(fault.BadCRC, "header of another conversation", err)
		case long == "":
			return fmt.Errorf("%w: %w", ErrLimit, err)
		default:
			return c.fault(long, "", err)
		}
	default:
		return c.fault(fault.BadCRC, "", err)
	}
}
