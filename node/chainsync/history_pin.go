package chainsync

import (
	"crypto/sha256"
	"fmt"
	"time"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/tfile"
)

// A piece is what the pin says of the trailers that stand together in a file
// (docs/spec/sync.md section 8.3).
type piece struct {
	index       int64
	first, last mcm.BlockNum
	want        mcm.Hash // SHA-256 of all of them
}

// pinned reports whether the pin vouches for all that lies below version 3, so that
// the walk takes it by digest.  Pieces count from block 0, so the lowest block has to be
// the first of one.
func (o *Options) pinned() bool {
	p := o.Pin
	return p != nil && o.Base.Num < mcm.V30Trigger && p.Height+1 >= mcm.V30Trigger &&
		o.Base.Num%tfile.PieceTrailers == 0 && uint64(len(p.Pieces)) == uint64(p.Height)/tfile.PieceTrailers+1
}

// piece returns the piece that block n is in; false if the pin says nothing of it.
func (d *download) piece(n mcm.BlockNum) (p piece, ok bool) {
	if !d.pinned || n > d.o.Pin.Height {
		return p, false
	}
	i := n / tfile.PieceTrailers
	first := i * tfile.PieceTrailers
	return piece{int64(i), first, min(first+tfile.PieceTrailers-1, d.o.Pin.Height), d.o.Pin.Pieces[i]}, true
}

// aligned returns where a slot begins that ends with block last and was to begin with
// first: at the pin's block or a piece, not across.
func (d *download) aligned(first, last mcm.BlockNum) mcm.BlockNum {
	if p, ok := d.piece(last); ok {
		return p.first
	}
	if d.pinned && first <= d.o.Pin.Height {
		return d.o.Pin.Height + 1
	}
	return first
}

// byDigest returns the piece that a range from block first on belongs to, if it is to
// be judged by the digest alone: a hash says nothing of what is in a trailer there.
func (d *download) byDigest(first mcm.BlockNum) (p piece, ok bool) {
	p, ok = d.piece(first)
	return p, ok && first == p.first && first < mcm.V30Trigger
}

// digest returns that of a piece of which ts are the lower part.  What is above them is
// there already, and links to the tip or was held against the pin with what is above it.
func (d *download) digest(p piece, ts []mcm.Trailer) (mcm.Hash, error) {
	sum := sha256.New()
	sum.Write(mcm.Bytes(ts))
	if at := p.first + mcm.BlockNum(len(ts)); at <= p.last {
		n := int(p.last-at) + 1
		known, err := d.staging.Trailers(at, n)
		if err != nil {
			return mcm.Hash{}, err
		}
		if len(known) != n {
			return mcm.Hash{}, fmt.Errorf("chainsync: staging %s has %d trailers from block %v on, expected %d", d.staging.Name(), len(known), at, n)
		}
		sum.Write(mcm.Bytes(known))
	}
	return mcm.Hash(sum.Sum(nil)), nil
}

// agrees holds a range, which has its full length and the right numbers, against the
// pin's digest.  One that differs is the sender's fault, whatever links to it.
func (d *download) agrees(r *reply) (bool, error) {
	p, _ := d.byDigest(r.first)
	got, err := d.digest(p, r.trailers)
	if err != nil {
		return false, err
	}
	if got == p.want {
		d.cleared(p.want)
		return true, nil
	}
	d.o.Metrics.ranges.WithLabelValues(rangeInvalid).Inc()
	d.because(fault.PinMismatch, "")
	r.source.lied = true
	d.sources.failed(r.source, fault.PinMismatch, time.Now(), d.o.Limits.FirstByte)
	d.suspect(p.want, got, r.source, charge{
		Peer: r.peer, Worthless: len(r.trailers),
		Fault: &fault.Fault{Kind: fault.PinMismatch, Peer: r.peer, Detail: fmt.Sprintf(
			"trailers %v to %v: the SHA-256 of piece %d is %v, the pin has %v", r.first, r.last(), p.index, got, p.want)},
	})
	return false, nil
}

// vouched reports whether the pin vouches for trailers that have just been put below
// all others.
func (d *download) vouched(ts []mcm.Trailer) (bool, error) {
	p, ok := d.piece(ts[0].Num())
	if !ok || ts[0].Num() != p.first || ts[len(ts)-1].Num() > p.last {
		return false, nil
	}
	got, err := d.digest(p, ts)
	if err == nil && got != p.want {
		// They link to the pin's own block.
		err = d.contradicts(p, "has SHA-256 %v by the links to its block, expected %v", got, p.want)
	}
	return err == nil, err
}

// continues reports an error of the pin if a range that agrees with it doesn't hang
// together, or isn't what next follows.
func (d *download) continues(ts []mcm.Trailer, next *mcm.Trailer) error {
	p, _ := d.piece(ts[0].Num())
	for i := range ts {
		above := next
		if i+1 < len(ts) {
			above = &ts[i+1]
		}
		if *above.PrevHash() != *ts[i].Hash() {
			return d.contradicts(p, "isn't a chain with what is above block %v", ts[i].Num())
		}
	}
	return nil
}

// contradicts returns the error that the pin doesn't agree with itself, which is no
// peer's fault.
func (d *download) contradicts(p piece, format string, args ...any) error {
	return &tfile.PinError{Height: d.o.Pin.Height, Piece: p.index, Detail: fmt.Sprintf(format, args...)}
}

// recheck holds what an earlier run has left below the pin against it, for that run may
// have had another one or none.
func (d *download) recheck() error {
	if !d.pinned || d.staging == nil {
		return nil
	}
	low, _, _ := d.staging.Bounds()
	n := mcm.V30Trigger // what is there from here on is certain
	for n > low {
		p, ok := d.piece(n - 1)
		if !ok || p.first < low {
			break
		}
		got, err := d.digest(p, nil)
		if err != nil {
			return err
		}
		if got != p.want {
			break
		}
		if err := d.worked(p.first, int(p.last-p.first)+1); err != nil {
			return err
		}
		n = p.first
	}
	if n <= low {
		return nil
	}
	return d.staging.CutBelow(n)
}
