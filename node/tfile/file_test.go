package tfile

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"kigo/node/mcm"
	"kigo/node/rules"
)

func TestReadAt(t *testing.T) {
	ts := chain(300, 7)
	for _, tail := range []int{0, 1, 159} {
		f := open(t, append(bytesOf(ts), make([]byte, tail)...))
		for _, c := range []struct {
			start       mcm.BlockNum
			count, want int
		}{
			{0, 0, 0}, {0, 1, 1}, {0, 300, 300}, {0, 301, 300}, {299, 1, 1}, {299, 2, 1},
			{300, 1, 0}, {301, 5, 0}, {1 << 60, 1, 0}, {1<<64 - 1, 1, 0}, {10, 54, 54},
		} {
			got, err := f.ReadAt(c.start, c.count)
			if len(got) != c.want || len(got) > 0 && !slices.Equal(got, ts[c.start:][:c.want]) {
				t.Errorf("ReadAt(%v, %d): got %d trailers or others, want %d", c.start, c.count, len(got), c.want)
			}
			if short := c.want < c.count; errors.Is(err, rules.EOF) != short || !short && err != nil {
				t.Errorf("ReadAt(%v, %d): got error %v", c.start, c.count, err)
			}
		}
	}
}

func TestReadAtFailing(t *testing.T) {
	f := open(t, bytesOf(chain(3, 7)))
	g := &File{f.f}
	if err := os.Remove(f.f.Name()); err != nil {
		t.Fatal(err)
	}
	closed, err := os.Create(filepath.Join(t.TempDir(), "x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	g.f = closed
	if ts, err := g.ReadAt(0, 1); len(ts) != 0 || err == nil || errors.Is(err, rules.EOF) {
		t.Errorf("closed file: got %d trailers, %v", len(ts), err)
	}
}

func TestLast(t *testing.T) {
	ts := chain(5, 7)
	for _, c := range []struct {
		data []byte
		want mcm.Trailer
	}{
		{bytesOf(ts), ts[4]},
		{bytesOf(ts[:1]), ts[0]},
		{append([]byte("block body"), bytesOf(ts[3:4])...), ts[3]},
	} {
		if got, err := open(t, c.data).Last(); err != nil || got != c.want {
			t.Errorf("%d bytes: got %x, %v", len(c.data), got, err)
		}
	}
	for _, n := range []int{0, 159} {
		if _, err := open(t, make([]byte, n)).Last(); !errors.Is(err, rules.Invalid) {
			t.Errorf("%d bytes: got %v, want EINVAL", n, err)
		}
	}
}

func TestCreateAndAppend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tfile.dat")
	f, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ts := chain(20, 7)
	for _, part := range [][]mcm.Trailer{ts[1:2], nil, ts[2:20]} {
		if err := f.Append(part); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Len(); n != 20 || err != nil {
		t.Errorf("got %d trailers, %v, want 20", n, err)
	}
	if got, err := f.ReadAt(0, 20); err != nil || !slices.Equal(got, ts) {
		t.Errorf("file differs from what was appended (%v)", err)
	}
	if err := f.Trim(4); err != nil {
		t.Fatal(err)
	}
	if err := f.Append(ts[5:6]); err != nil {
		t.Fatal(err)
	}
	if got, err := f.Last(); err != nil || got != ts[5] {
		t.Errorf("last after trim and append: block %v, %v, want 0x5", got.Num(), err)
	}
	if _, err := Create(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("second Create: got %v, want that it exists", err)
	}
	if _, err := Open(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open: got %v, want that it doesn't exist", err)
	}
}
