package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/wire"
)

// MaxFile is the longest file that any limit allows, in bytes
// (docs/spec/network.md section 6).
const MaxFile = 1 << 30

// ErrLimit is a file longer than the caller's limit.  Nobody is charged: what
// was asked for has no length of its own, and the limit is a choice of ours.
var ErrLimit = errors.New("peer: more than the limit")

// TFile asks for the whole trailer file, at most limit bytes, and writes it to w
// as it arrives.  It returns how many bytes it wrote.  The time w takes isn't
// charged to the peer; an error of w is passed on.
func (c *Call) TFile(ctx context.Context, limit int64, w io.Writer) (int64, error) {
	return c.file(ctx, &wire.Packet{Op: wire.OpGetTFile, Arg: uint64(c.claim.Num)}, limit, w)
}

// Block asks for the file of block n, likewise.  A peer without it closes, which
// is a fault.Refused.
func (c *Call) Block(ctx context.Context, n mcm.BlockNum, limit int64, w io.Writer) (int64, error) {
	return c.file(ctx, &wire.Packet{Op: wire.OpGetBlock, Arg: uint64(n)}, limit, w)
}

func (c *Call) file(ctx context.Context, p *wire.Packet, limit int64, w io.Writer) (written int64, err error) {
	if limit < 0 || limit > MaxFile {
		return 0, fmt.Errorf("peer: a limit of %d bytes, expected 0 to %d", limit, MaxFile)
	}
	p.State = c.state
	err = c.request(ctx, p, func() error {
		within := c.client.o.Timeouts.transfer(limit)
		return c.stream(ctx, limit, within, "", func(piece []byte) error {
			n, err := w.Write(piece)
			written += int64(n)
			if err != nil {
				return fmt.Errorf("keep what %s sends: %w", c.peer, err)
			}
			return nil
		})
	})
	return written, err
}

// stream reads a reply in SEND_FILE packets, of limit bytes at most, and hands
// each packet's data to use.  long is as in blamePacket; an error of use is
// passed on.
func (c *Call) stream(ctx context.Context, limit int64, within time.Duration, long fault.Kind, use func(piece []byte) error) error {
	t := &c.client.o.Timeouts
	c.line.begin(within)
	c.line.first, c.line.grace, c.line.rate = t.First, t.Grace, t.MinRate
	for {
		c.line.nextPacket(t.Packet)
		p, release, err := c.read(ctx, wire.OpSendFile, int(min(limit, wire.FileChunk)), long)
		if err == nil {
			limit -= int64(len(p.Data))
			before := time.Now()
			err = use(p.Data)
			c.line.pause(time.Since(before))
		}
		release()
		if err != nil || len(p.Data) < wire.FileChunk {
			return err
		}
	}
}
