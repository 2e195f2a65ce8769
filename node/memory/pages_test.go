package memory

import (
	"bytes"
	"os"
	"slices"
	"testing"
)

// TestCheckPages spoils single fields of pages of a file with inner pages, pages
// that overflow and free ones.  bbolt would fall, or spin for ever, over most.
func TestCheckPages(t *testing.T) {
	if testing.Short() {
		t.Skip("damages each page of a large file")
	}
	path := tempFile(t)
	db := mustOpen(t, path, Options{})
	var c Changes
	for i := range 2000 {
		c.Peers = append(c.Peers, peerAt(i, noon))
	}
	c.Evidence = append(c.Evidence, evidenceOf(t, 1, noon, 100_000))
	mustSave(t, db, noon, &c)
	c.Peers = c.Peers[:1]
	mustSave(t, db, noon, &c)
	size := db.bolt.Info().PageSize
	mustClose(t, db)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	check := func(b []byte) error { return checkPages(bytes.NewReader(b), int64(len(b)), size) }
	if err := check(whole); err != nil {
		t.Fatalf("a sound file: %v", err)
	}

	// The pages in use, as those of which any damage is seen.
	ok := &pages{file: bytes.NewReader(whole), size: size, most: uint64(len(whole) / size), used: make([]bool, len(whole)/size)}
	var leaves, branches []int
	long := false
	for id := 2; id < len(whole)/size; id++ {
		b := slices.Clone(whole)
		b[id*size] ^= 1 // its number
		if check(b) == nil {
			continue
		}
		clear(ok.used)
		flags, body, err := ok.page(uint64(id))
		if err != nil {
			continue // inside of another page
		}
		switch flags {
		case flagLeaf:
			leaves = append(leaves, id)
		case flagBranch:
			branches = append(branches, id)
		}
		long = long || len(body) > size
	}
	if len(leaves) < 20 || len(branches) < 1 || !long {
		t.Fatalf("%d leaves, %d branches, overflow %v: not the file this test needs", len(leaves), len(branches), long)
	}
	f := func(what string, id, at int, value ...byte) {
		t.Helper()
		b := slices.Clone(whole)
		copy(b[id*size+at:], value)
		if err := check(b); !isDamage(err) {
			t.Errorf("page %d: %s: %v", id, what, err)
		}
	}
	for _, id := range append(leaves, branches...) {
		f("no kind", id, 8, 0)
		f("meta", id, 8, 4)
		f("free", id, 8, flagFree)
		f("too many elements", id, 10, 0xff, 0xff)
		f("overflows far", id, 12, 0, 0, 0, 0x40)
		f("overflows to the end of all", id, 12, 0xff, 0xff, 0xff, 0xff)
	}
	for _, id := range leaves {
		f("flags of an entry", id, pageHeader, 0x80)
		f("entry out of the file", id, pageHeader+4, 0xff, 0xff, 0xff, 0x7f)
		f("long key", id, pageHeader+8, 0xff, 0xff, 0xff, 0xff)
		f("long value", id, pageHeader+12, 0xff, 0xff, 0xff, 0xff)
	}
	for _, id := range branches {
		f("key out of the file", id, pageHeader, 0xff, 0xff, 0xff, 0x7f)
		f("long key", id, pageHeader+4, 0xff, 0xff, 0xff, 0xff)
		f("no branches", id, 10, 0, 0)
		f("its own child", id, pageHeader+8, byte(id), byte(id>>8), 0, 0, 0, 0, 0, 0)
		f("a child twice", id, pageHeader+8, whole[id*size+pageHeader+element+8:][:8]...)
		f("meta page as child", id, pageHeader+8, 0, 0, 0, 0, 0, 0, 0, 0)
		f("child out of the file", id, pageHeader+8, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)
	}
	// A file that breaks off; behind the last page there may be room.
	for n := range slices.Max(leaves) + 1 {
		if err := check(whole[:n*size]); !isDamage(err) {
			t.Errorf("cut to %d pages: %v", n, err)
		}
	}
}

// FuzzCheckPages looks for a file that checkPages falls or spins over.
func FuzzCheckPages(f *testing.F) {
	path := tempFile(f)
	saved(f, path)
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	size := os.Getpagesize()
	f.Add(3*size+4, uint32(0x40))
	f.Add(4*size+8, uint32(0x01))
	f.Fuzz(func(t *testing.T, at int, value uint32) {
		b := slices.Clone(whole)
		if at < 2*size || at > len(b)-4 {
			return
		}
		ne.PutUint32(b[at:], value)
		if err := checkPages(bytes.NewReader(b), int64(len(b)), size); err != nil && !isDamage(err) {
			t.Fatal(err)
		}
	})
}
