package tfile

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"

	"kigo/node/mcm"
	"kigo/node/verify"
)

// A chunk is a run of trailers on its way through the stages of Verify.  Each
// stage owns it in turn.
type chunk struct {
	buf   []byte
	start int64         // index of the first trailer, a multiple of PieceTrailers
	ts    []mcm.Trailer // in buf

	// From reading.
	sums    []mcm.Hash // SHA-256 of the pieces, where a pin or side file needs them
	pinned  int        // trailers at the front that agree with the pin
	same    int        // trailers at the front that agree with the side file
	differs bool       // the piece after them doesn't
	end     *ending    // nothing follows

	// From the structure pass.
	faults []fault // in order

	// From proof of work.  status and results have an entry for each trailer.
	status  []status
	results []verify.Result
	proved  chan struct{} // closed when work on the chunk has ended
	err     error         // why it ended early
}

// An ending says why a chunk is the last one: err, or nil at the end of the data.
type ending struct {
	tail int // bytes after the last whole trailer
	err  error
}

// A fault is a trailer with broken structure; err is nil when its text isn't
// kept.
type fault struct {
	i   int // in the chunk
	err error
}

// reset empties the chunk for trailers from index start on.
func (c *chunk) reset(start int64) {
	*c = chunk{buf: c.buf, start: start, sums: c.sums[:0], faults: c.faults[:0], status: c.status[:0], results: c.results}
}

// read is the first stage of Verify.  It fills chunks and compares them with pin
// and side file.
func (v *verification) read(ctx context.Context, r io.Reader, out chan<- *chunk) {
	whole := sha256.New() // of the pinned prefix
	for start := int64(0); ; {
		c := v.take(ctx)
		if c == nil {
			return
		}
		c.reset(start)
		room := min(v.chunkLen, max(1, int(v.batch.Load())/PieceTrailers)*PieceTrailers)
		n, err := fill(ctx, r, c.buf[:room*mcm.TrailerLen])
		if ctx.Err() != nil {
			return
		}
		c.ts = mcm.Trailers(c.buf[:n-n%mcm.TrailerLen])
		if err != nil {
			c.end = &ending{tail: n % mcm.TrailerLen}
			if err != io.EOF {
				c.end.err = fmt.Errorf("read at byte %d: %w", start*mcm.TrailerLen+int64(n), err)
			}
		}
		v.compare(c, whole)
		start += int64(len(c.ts))
		end := c.end // the chunk is another stage's once sent
		select {
		case out <- c:
		case <-ctx.Done():
			return
		}
		if end != nil {
			return
		}
	}
}

// take returns a free chunk, or nil when ctx has ended.
func (v *verification) take(ctx context.Context) *chunk {
	if v.made < v.chunks {
		select {
		case c := <-v.free:
			return c
		default:
			v.made++
			return &chunk{buf: make([]byte, v.chunkLen*mcm.TrailerLen)}
		}
	}
	select {
	case c := <-v.free:
		return c
	case <-ctx.Done():
		return nil
	}
}

// compare holds a chunk against the pin and the side file.  A chunk that
// contradicts the pin is cut before the piece at fault and becomes the last.
func (v *verification) compare(c *chunk, whole hash.Hash) {
	pin := v.pinned()
	if v.book == nil && v.draft == nil && c.start >= pin.trailers {
		return
	}
	c.sums = sumPieces(c.sums, c.ts)
	if v.book != nil && !v.edited {
		same, ok := v.book.known.match(c.start, c.ts, c.sums)
		c.same, c.differs, v.edited = same, !ok, !ok
	}
	if c.start >= pin.trailers {
		return
	}
	var ok bool
	if c.pinned, ok = pin.match(c.start, c.ts, c.sums); !ok {
		v.refuse(c, &PinError{Height: v.Pin.Height, Piece: (c.start + int64(c.pinned)) / PieceTrailers, Detail: "has other bytes than the pin's"})
		return
	}
	whole.Write(mcm.Bytes(c.ts[:c.pinned]))
	if c.start+int64(c.pinned) == pin.trailers {
		if sum := mcm.Hash(whole.Sum(nil)); sum != v.Pin.SHA256 {
			v.refuse(c, &PinError{Height: v.Pin.Height, Piece: -1, Detail: fmt.Sprintf("SHA-256 up to the pin is %v, the pin has %v", sum, v.Pin.SHA256)})
		}
	}
}

// refuse makes c the last chunk, cut behind its pinned trailers.
func (v *verification) refuse(c *chunk, err error) {
	c.ts = c.ts[:c.pinned]
	c.end = &ending{err: err}
}
