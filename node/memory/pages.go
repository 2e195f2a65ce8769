package memory

import (
	"bytes"
	"encoding/binary"
	"hash/fnv"
	"io"
)

// The parts of a bbolt file (its version 2), in the machine's byte order.
//
//	page    id 8, flags 2, count 2, overflow 4, then count elements
//	branch  offset 4, key length 4, page 8           } offsets count from the
//	leaf    flags 4, offset 4, key and value length 4 } element; keys, values there
//	bucket  a leaf's value: root page 8, sequence 8; with root 0 a page follows
//	meta    magic, version, page size, flags 4 each, root bucket 16, freelist 8,
//	        pages 8, transaction 8, FNV-1a of these 8
const (
	pageHeader  = 16
	element     = 16
	metaSummed  = 56
	flagBranch  = 0x01
	flagLeaf    = 0x02
	flagFree    = 0x10
	bucketEntry = 0x01
	manyFree    = 0xffff     // then the first id is the count
	noFreelist  = 1<<64 - 1  // the list isn't kept
	metaMagic   = 0xed0cdaed // of either meta page
	maxDepth    = 64         // of trees: more than any can need
)

// pages looks through the pages of a file.
//
// bbolt trusts what it reads from pages.  A damaged one makes it panic, read
// outside its mapping, or spin over billions of pages that a wrong length names,
// and its own Check is no better off.  So before bbolt uses a page it is read here
// as what it is, bytes of a file, and has to be in order: every page either in one
// place of one tree or free, keys ascending and inside of what holds them.
type pages struct {
	file io.ReaderAt
	size int    // of a page
	most uint64 // pages in the file
	used []bool
}

// checkPages returns damage, or an error of the file's own.
func checkPages(file io.ReaderAt, fileSize int64, pageSize int) error {
	p := &pages{file: file, size: pageSize}
	var root, free, newest uint64
	for i := range int64(2) {
		b := make([]byte, pageHeader+metaSummed+8)
		if _, err := file.ReadAt(b, i*int64(pageSize)); err != nil {
			return damagef("meta page %d: %v", i, err)
		}
		m := b[pageHeader:]
		sum := fnv.New64a()
		sum.Write(m[:metaSummed])
		if ne.Uint32(m) != metaMagic || sum.Sum64() != ne.Uint64(m[metaSummed:]) {
			continue
		}
		if tx := ne.Uint64(m[48:]); p.most == 0 || tx > newest {
			root, free, p.most, newest = ne.Uint64(m[16:]), ne.Uint64(m[32:]), ne.Uint64(m[40:]), tx
		}
	}
	if p.most < 2 || p.most > uint64(fileSize/int64(pageSize)) {
		return damagef("%d bytes, its pages are %d of %d bytes", fileSize, p.most, pageSize)
	}
	p.used = make([]bool, p.most)
	p.used[0], p.used[1] = true, true
	if err := p.tree(root, nil, nil, 0); err != nil {
		return err
	}
	if free != noFreelist {
		if err := p.freelist(free); err != nil {
			return err
		}
		for id, used := range p.used {
			if !used {
				return damagef("page %d is neither in use nor free", id)
			}
		}
	}
	return nil
}

var ne = binary.NativeEndian

// page reads a page with what overflows it and marks it as used.
func (p *pages) page(id uint64) (flags uint16, b []byte, err error) {
	if id < 2 || id >= p.most {
		return 0, nil, damagef("page %d of %d", id, p.most)
	}
	head := make([]byte, pageHeader)
	if _, err := p.file.ReadAt(head, int64(id)*int64(p.size)); err != nil {
		return 0, nil, err
	}
	over := uint64(ne.Uint32(head[12:]))
	if ne.Uint64(head) != id || over >= p.most-id {
		return 0, nil, damagef("page %d says it is %d with %d more, of %d", id, ne.Uint64(head), over, p.most)
	}
	for i := range over + 1 {
		if err := p.use(id + i); err != nil {
			return 0, nil, err
		}
	}
	b = make([]byte, int(over+1)*p.size)
	if _, err := p.file.ReadAt(b, int64(id)*int64(p.size)); err != nil {
		return 0, nil, err
	}
	return ne.Uint16(head[8:]), b, nil
}

// use marks a page, which must not have been marked.
func (p *pages) use(id uint64) error {
	if id < 2 || id >= p.most || p.used[id] {
		return damagef("page %d is used twice, or not there", id)
	}
	p.used[id] = true
	return nil
}

// tree looks through a page and all below it.  Their keys lie from low on and
// below high; nil is no bound.
func (p *pages) tree(id uint64, low, high []byte, depth int) error {
	flags, b, err := p.page(id)
	if err != nil {
		return err
	}
	switch {
	case depth > maxDepth:
		return damagef("page %d lies too deep", id)
	case flags == flagLeaf:
		return p.leaf(id, b, low, high, depth)
	case flags != flagBranch:
		return damagef("page %d has flags %#x", id, flags)
	}
	n := int(ne.Uint16(b[10:]))
	if n == 0 || pageHeader+n*element > len(b) {
		return damagef("page %d has %d branches", id, n)
	}
	keys := make([][]byte, n+1) // the last is the end
	keys[n] = high
	for i := range n {
		e := b[pageHeader+i*element:]
		if keys[i], err = part(e, ne.Uint32(e), ne.Uint32(e[4:])); err != nil {
			return err
		}
		if i > 0 && bytes.Compare(keys[i-1], keys[i]) >= 0 {
			return damagef("page %d has its keys out of order", id)
		}
	}
	// bbolt leaves the first key as it was when keys below it were taken out or
	// put in, so it bounds nothing.
	for i := range n {
		from := keys[i]
		if i == 0 {
			from = low
		}
		if err := p.tree(ne.Uint64(b[pageHeader+i*element+8:]), from, keys[i+1], depth+1); err != nil {
			return err
		}
	}
	return nil
}

// leaf looks through the elements of a leaf page.
func (p *pages) leaf(id uint64, b, low, high []byte, depth int) error {
	n := int(ne.Uint16(b[10:]))
	if pageHeader+n*element > len(b) {
		return damagef("page %d has %d entries", id, n)
	}
	var last []byte
	for i := range n {
		e := b[pageHeader+i*element:]
		offset, klen, vlen := ne.Uint32(e[4:]), ne.Uint32(e[8:]), ne.Uint32(e[12:])
		key, err := part(e, offset, klen)
		if err != nil {
			return err
		}
		value, err := part(e[len(key):], offset, vlen)
		if err != nil {
			return err
		}
		if i > 0 && bytes.Compare(last, key) >= 0 || bytes.Compare(key, low) < 0 || high != nil && bytes.Compare(key, high) >= 0 {
			return damagef("page %d has a key out of order", id)
		}
		last = key
		switch ne.Uint32(e) {
		case 0:
			continue
		case bucketEntry:
			err = p.bucket(id, value, depth)
		default:
			err = damagef("page %d has an entry with flags %#x", id, ne.Uint32(e))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucket looks through a bucket, whose only page may stand in its entry.
func (p *pages) bucket(id uint64, value []byte, depth int) error {
	if len(value) < 16 {
		return damagef("page %d has a bucket of %d bytes", id, len(value))
	}
	if depth >= maxDepth {
		return damagef("page %d has its buckets too deep", id)
	}
	if root := ne.Uint64(value); root != 0 {
		return p.tree(root, nil, nil, depth+1)
	}
	inline := value[16:]
	if len(inline) < pageHeader || ne.Uint16(inline[8:]) != flagLeaf {
		return damagef("page %d has a bucket without a page", id)
	}
	return p.leaf(id, inline, nil, nil, depth+1)
}

// freelist marks the pages that are free.
func (p *pages) freelist(id uint64) error {
	flags, b, err := p.page(id)
	if err != nil {
		return err
	}
	if flags != flagFree {
		return damagef("the list of free pages, page %d, has flags %#x", id, flags)
	}
	n, ids := uint64(ne.Uint16(b[10:])), b[pageHeader:]
	if n == manyFree {
		n, ids = ne.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return damagef("page %d lists %d free pages", id, n)
	}
	for i := range n {
		if err := p.use(ne.Uint64(ids[8*i:])); err != nil {
			return err
		}
	}
	return nil
}

// part returns n bytes from an offset on.
func part(b []byte, offset, n uint32) ([]byte, error) {
	if uint64(offset)+uint64(n) > uint64(len(b)) {
		return nil, damagef("%d bytes at %d, where %d are", n, offset, len(b))
	}
	return b[offset:][:n], nil
}
