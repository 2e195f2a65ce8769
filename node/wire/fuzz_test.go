package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

// Decoding never panics, and what it accepts is stable: written again it is read
// as the same, with our version in place of any other.
func FuzzPacketDecode(f *testing.F) {
	for _, g := range goldens(f) {
		if g.DataLen < 10_000 {
			f.Add([]byte(g.Packet), false)
		}
	}
	f.Add([]byte{}, false)
	f.Add(make([]byte, Overhead), true)
	f.Fuzz(func(t *testing.T, b []byte, fix bool) {
		if fix && len(b) >= Overhead { // most mutations would end at the CRC
			b = repair(bytes.Clone(b))
		}
		p, err := Decode(b)
		if kind(t, err) != 0 {
			if p.Data != nil && len(b) != Overhead+len(p.Data) {
				t.Fatalf("%d bytes of data in %d", len(p.Data), len(b))
			}
			return
		}
		again, err := p.AppendTo(nil)
		if err != nil {
			t.Fatal(err)
		}
		if p.Version == Version && !bytes.Equal(again, b) {
			t.Fatalf("%x\nis written as\n%x", b, again)
		}
		q, err := Decode(again)
		if err != nil {
			t.Fatal(err)
		}
		p.Version = Version
		if head(q) != head(p) || !bytes.Equal(q.Data, p.Data) {
			t.Fatalf("%s\nis read again as\n%s", head(p), head(q))
		}
	})
}

// A stream of any bytes in pieces of any size: the packets of it, whatever the
// pieces, and never more memory than the limits allow.
func FuzzRead(f *testing.F) {
	var all []byte
	for _, g := range goldens(f) {
		if g.DataLen < 10_000 {
			f.Add([]byte(g.Packet), uint8(g.DataLen))
			all = append(all, g.Packet...)
		}
	}
	f.Add(all[:3*Overhead], uint8(1))
	f.Add([]byte{}, uint8(0))
	f.Add(bytes.Repeat([]byte{0xff}, 200), uint8(7))
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8) {
		rest := stream
		whole, pieces := bytes.NewReader(stream), iotest.DataErrReader(&chunked{stream, int(piece) + 1})
		for {
			p, raw, err := Read(whole, nil, testLimit)
			q, rawq, errq := Read(pieces, nil, testLimit)
			if head(p) != head(q) || !bytes.Equal(raw, rawq) || (err == nil) != (errq == nil) || err != nil && err.Error() != errq.Error() {
				t.Fatalf("whole: %s, %v\npieces: %s, %v", head(p), err, head(q), errq)
			}
			if !bytes.HasPrefix(rest, raw) {
				t.Fatal("raw bytes aren't those of the stream")
			}
			rest = rest[len(raw):]
			if most := 2 * (Overhead + max(testLimit(p.Op), 0)); cap(raw) > most {
				t.Fatalf("%s took %d bytes of memory", p.Op, cap(raw))
			}
			var e *Error
			switch {
			case errors.As(err, &e) && e.Kind == TooLong:
				return // the rest isn't at a packet's start
			case err != nil && e == nil:
				if err != io.EOF && err != io.ErrUnexpectedEOF {
					t.Fatal(err)
				}
				if len(rest) > 0 {
					t.Fatalf("%v with %d bytes left", err, len(rest))
				}
				return
			}
			if len(raw) != Overhead+len(p.Data) {
				t.Fatalf("%d bytes read, the packet has %d", len(raw), Overhead+len(p.Data))
			}
		}
	})
}

// chunked hands out a stream in pieces of at most n bytes.
type chunked struct {
	b []byte
	n int
}

func (c *chunked) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(len(p), c.n)], c.b)
	c.b = c.b[n:]
	return n, nil
}
