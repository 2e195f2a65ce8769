package pack

import (
	"errors"
	"math"
	"net/netip"
	"testing"
	"time"
)

func TestRoundTrip(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	addr := netip.MustParseAddr("1.2.3.4")
	b := AppendString(nil, "gün")
	b = AppendBytes(b, []byte{1, 2})
	b = AppendBytes(b, nil)
	b = AppendBool(b, true)
	b = AppendTime(b, at)
	b = AppendTime(b, time.Time{})
	b = AppendFloat(b, 2.5)
	b = AppendAddr(b, netip.AddrFrom16(addr.As16()))
	b = append(b, 7, 1, 2, 3, 4, 5, 6, 7, 8)
	r := NewReader(b)
	if s := r.String(4); s != "gün" {
		t.Errorf("%q", s)
	}
	if got := r.Bytes(2); string(got) != "\x01\x02" {
		t.Errorf("%x", got)
	}
	if got := r.Bytes(0); got != nil {
		t.Errorf("%x", got)
	}
	if !r.Bool() {
		t.Error("false")
	}
	if got := r.Time(); !got.Equal(at) {
		t.Error(got)
	}
	if got := r.Time(); got != (time.Time{}) {
		t.Error(got)
	}
	if got := r.Float(); got != 2.5 {
		t.Error(got)
	}
	if got := r.Addr(); got != addr {
		t.Error(got)
	}
	if got := r.Byte(); got != 7 {
		t.Error(got)
	}
	if got := r.Uint64(); got != 0x0807060504030201 {
		t.Errorf("%x", got)
	}
	if err := r.Done(); err != nil {
		t.Error(err)
	}
}

// TestOneForm reads values that no Append function writes, and values cut short.
func TestOneForm(t *testing.T) {
	f := func(name string, b []byte, read func(r *Reader)) {
		t.Helper()
		r := NewReader(b)
		read(r)
		if err := r.Done(); !errors.Is(err, ErrMalformed) || r.OK() {
			t.Errorf("%s: %v", name, err)
		}
		for n := range b {
			r := NewReader(b[:n])
			if read(r); r.Done() == nil {
				t.Errorf("%s: reads %d of %d bytes", name, n, len(b))
			}
		}
	}
	f("bool", []byte{2}, func(r *Reader) { r.Bool() })
	f("UTF-8", AppendString(nil, "\xff"), func(r *Reader) { r.String(9) })
	f("long", AppendString(nil, "abc"), func(r *Reader) { r.String(2) })
	f("count", []byte{255, 255, 255, 255}, func(r *Reader) { r.Count(math.MaxInt32) })
	f("bytes", []byte{9, 0, 0, 0, 1}, func(r *Reader) { r.Bytes(100) })
	for _, x := range []float64{math.NaN(), math.Inf(1), -1, math.Copysign(0, -1)} {
		f("float", AppendFloat(nil, x), func(r *Reader) { r.Float() })
	}
	f("nanoseconds", []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0xca, 0x9a, 0x3b}, func(r *Reader) { r.Time() })
	f("year 0", AppendTime(nil, time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC)), func(r *Reader) { r.Time() })
	f("year 10000", AppendTime(nil, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), func(r *Reader) { r.Time() })

	r := NewReader([]byte{1, 2})
	if r.Byte(); r.Done() == nil {
		t.Error("bytes are left")
	}
}

func TestClip(t *testing.T) {
	for _, c := range []struct {
		in   string
		max  int
		want string
	}{
		{"abc", 3, "abc"}, {"abcd", 3, "abc"}, {"aüb", 2, "a"}, {"aüb", 3, "aü"}, {"\xff", 3, "\ufffd"}, {"\xff", 2, ""}, {"a", 0, ""},
	} {
		if got := Clip(c.in, c.max); got != c.want {
			t.Errorf("%q to %d: %q, expected %q", c.in, c.max, got, c.want)
		}
	}
}
