package tfile

import (
	"context"
	"errors"
	"io"

	"kigo/node/mcm"
	"kigo/node/rules"
)

// A walk is the structure pass: trailers go in one by one in file order, each is
// held against the one before.
type walk struct {
	now     int64
	segment bool // the first trailer need not be the genesis
	begun   bool
	prev    mcm.Trailer // once begun
}

// next checks t and makes it the previous trailer, good or bad.
func (w *walk) next(t *mcm.Trailer) (err error) {
	switch {
	case w.begun:
		err = rules.Check(&w.prev, t, w.now)
	case w.segment:
		err = rules.CheckFirst(t, w.now)
	default:
		err = rules.Check(nil, t, w.now)
	}
	w.prev, w.begun = *t, true
	return err
}

// structureProblem turns what walk.next returned for the trailer at index into a
// Problem.
func structureProblem(index int64, err error) Problem {
	var e *rules.Error
	if !errors.As(err, &e) {
		panic("tfile: a structure rule failed without a name: " + err.Error())
	}
	return Problem{e.Num, index, index * mcm.TrailerLen, e.Rule, e.Detail}
}

// EachTrailer reads r to its end in large pieces and calls f for each whole
// trailer, with its index, until f returns false.  Bytes after the last whole
// trailer are left alone.
func EachTrailer(ctx context.Context, r io.Reader, f func(i int64, t *mcm.Trailer) bool) error {
	buf := make([]byte, 6553*mcm.TrailerLen) // 1 MiB
	for i := int64(0); ; {
		n, err := fill(ctx, r, buf)
		ts := mcm.Trailers(buf[:n-n%mcm.TrailerLen])
		for k := range ts {
			if !f(i, &ts[k]) {
				return nil
			}
			i++
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fill reads until buf is full.  It returns io.EOF when r ended before, and looks
// at ctx between reads.
func fill(ctx context.Context, r io.Reader, buf []byte) (n int, err error) {
	for idle := 0; n < len(buf); {
		if ctx.Err() != nil {
			return n, context.Cause(ctx)
		}
		m, err := r.Read(buf[n:])
		n += m
		if err != nil {
			if n == len(buf) && err == io.EOF {
				return n, nil // the next call finds the end
			}
			return n, err
		}
		if m > 0 {
			idle = 0
		} else if idle++; idle == 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// structure is the second stage of Verify: it checks each chunk, decides whose
// proof of work is needed, and passes the chunk on.  Without
// Options.All it ends with the chunk that has the first fault, cut behind it.
func (v *verification) structure(in <-chan *chunk, out chan<- *chunk) {
	w := walk{now: v.Now, segment: v.Segment}
	faults := 0
	for c := range in {
		for i := range c.ts {
			err := w.next(&c.ts[i])
			if err == nil {
				continue
			}
			if faults++; faults > MaxProblems {
				err = nil // its text would be dropped anyway
			}
			c.faults = append(c.faults, fault{i, err})
			if !v.All {
				c.ts = c.ts[:i+1]
				break
			}
		}
		v.checked.Store(c.start + int64(len(c.ts)))
		v.setWork(c)
		stop := len(c.faults) > 0 && !v.All
		out <- c // from here on it is the tally's
		if stop {
			return
		}
	}
}

// scout runs ahead through the structure of r and keeps the first fault for
// Progress.  A read error is the main pass's to report.
func (v *verification) scout(ctx context.Context, r io.Reader) {
	w := walk{now: v.Now, segment: v.Segment}
	_ = EachTrailer(ctx, r, func(i int64, t *mcm.Trailer) bool {
		if err := w.next(t); err != nil {
			p := structureProblem(i, err)
			v.fault.Store(&p)
			return false
		}
		v.scouted.Store(i + 1)
		return true
	})
}
