// Package pack writes and reads the fixed binary records that Kigo keeps on
// disk: little-endian numbers, byte strings behind their length, times with
// their nanoseconds.
//
// Each value has one form only, so that a record that was read and is written
// again has the same bytes.  A Reader never allocates by a number that it has
// read without having seen as many bytes.
package pack

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"time"
	"unicode/utf8"
)

// ErrMalformed says that bytes are no record, or none in its one form.
var ErrMalformed = errors.New("malformed record")

// AppendBytes appends b behind its length in 4 bytes.
func AppendBytes(dst, b []byte) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(b))), b...)
}

// AppendString appends s behind its length in 4 bytes.
func AppendString(dst []byte, s string) []byte {
	return append(binary.LittleEndian.AppendUint32(dst, uint32(len(s))), s...)
}

// AppendBool appends one byte, 0 or 1.
func AppendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, 1)
	}
	return append(dst, 0)
}

// AppendTime appends 8 bytes of Unix seconds and 4 of nanoseconds.
func AppendTime(dst []byte, t time.Time) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(t.Unix()))
	return binary.LittleEndian.AppendUint32(dst, uint32(t.Nanosecond()))
}

// AppendFloat appends 8 bytes.
func AppendFloat(dst []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
}

// AppendAddr appends the 4 bytes of an IPv4 address, zeros for any other.
func AppendAddr(dst []byte, a netip.Addr) []byte {
	var b [4]byte
	if a = a.Unmap(); a.Is4() {
		b = a.As4()
	}
	return append(dst, b[:]...)
}

// A Reader takes values off the front of a record.  After the first one that is
// missing or malformed all are zero; Done tells.
type Reader struct {
	rest   []byte
	failed bool
}

// NewReader returns a Reader of b, which it doesn't change.
func NewReader(b []byte) *Reader { return &Reader{rest: b} }

// Done returns ErrMalformed when a value was missing or malformed, or when
// bytes are left.
func (r *Reader) Done() error {
	if r.failed || len(r.rest) != 0 {
		return ErrMalformed
	}
	return nil
}

// Fail makes the record malformed, for values that only the caller can judge.
func (r *Reader) Fail() { r.failed, r.rest = true, nil }

// OK reports whether nothing has failed yet.
func (r *Reader) OK() bool { return !r.failed }

// take returns the next n bytes, which alias the record, or nil.
func (r *Reader) take(n int) []byte {
	if r.failed || n < 0 || n > len(r.rest) {
		r.Fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

// Fill copies the next bytes to dst.
func (r *Reader) Fill(dst []byte) { copy(dst, r.take(len(dst))) }

// Byte returns one byte.
func (r *Reader) Byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

// Bool returns what AppendBool wrote.
func (r *Reader) Bool() bool {
	b := r.Byte()
	if b > 1 {
		r.Fail()
	}
	return b == 1
}

// Uint16 returns 2 bytes.
func (r *Reader) Uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.LittleEndian.Uint16(b)
	}
	return 0
}

// Uint32 returns 4 bytes.
func (r *Reader) Uint32() uint32 {
	if b := r.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// Uint64 returns 8 bytes.
func (r *Reader) Uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Count returns 4 bytes as a number from 0 to max.
func (r *Reader) Count(max int) int {
	n := r.Uint32()
	if uint64(n) > uint64(max) {
		r.Fail()
		return 0
	}
	return int(n)
}

// Float returns what AppendFloat wrote, which has to be finite and not
// negative, and no negative zero.
func (r *Reader) Float() float64 {
	f := math.Float64frombits(r.Uint64())
	if math.IsNaN(f) || math.IsInf(f, 0) || math.Signbit(f) {
		r.Fail()
		return 0
	}
	return f
}

// Bytes returns a copy of what AppendBytes wrote, of at most max bytes.
func (r *Reader) Bytes(max int) []byte {
	b := r.take(r.Count(max))
	if len(b) == 0 {
		return nil
	}
	return append([]byte(nil), b...)
}

// String returns what AppendString wrote: at most max bytes of UTF-8.
func (r *Reader) String(max int) string {
	b := r.take(r.Count(max))
	if !utf8.Valid(b) {
		r.Fail()
		return ""
	}
	return string(b)
}

// Time returns what AppendTime wrote, in UTC.
func (r *Reader) Time() time.Time {
	sec, nsec := int64(r.Uint64()), r.Uint32()
	// Outside these years a Time no longer holds what it was made of.
	if nsec >= 1e9 || sec < yearOne || sec > yearLast {
		r.Fail()
	}
	if r.failed {
		return time.Time{}
	}
	return time.Unix(sec, int64(nsec)).UTC()
}

// The Unix seconds that a Time may have: from the zero Time on, which stands
// for "never", to the end of the year 9999.
const (
	yearOne  = -62135596800
	yearLast = 253402300799
)

// Addr returns what AppendAddr wrote.
func (r *Reader) Addr() netip.Addr {
	var b [4]byte
	r.Fill(b[:])
	return netip.AddrFrom4(b)
}

// Clip returns s as valid UTF-8 of at most max bytes.
func Clip(s string, max int) string {
	b := make([]byte, 0, min(len(s), max))
	for _, c := range s { // a byte that is no UTF-8 comes as U+FFFD
		if len(b)+utf8.RuneLen(c) > max {
			break
		}
		b = utf8.AppendRune(b, c)
	}
	return string(b)
}
