package tfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"

	"kigo/node/mcm"
	"kigo/node/rules"
)

// A File is a trailer file on disk (docs/spec/chain.md section 3).  Its methods
// trust the content as far as they are told to; they are safe for concurrent use
// as long as none of Append and Trim runs.
type File struct{ f *os.File }

// Open opens the trailer file at path for reading and writing.  It must exist;
// its content is not looked at.
func Open(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return &File{f}, nil
}

// Create makes a trailer file at path that holds the genesis trailer.  It fails
// if there is a file already.
func Create(path string) (*File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, err
	}
	file := &File{f}
	if err := file.Append([]mcm.Trailer{mcm.GenesisTrailer()}); err != nil {
		_ = f.Close() // the write error says more
		return nil, err
	}
	return file, nil
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }

// Sync has what was written reach the disk.
func (f *File) Sync() error { return f.f.Sync() }

// Len returns the number of whole trailers.
func (f *File) Len() (int64, error) {
	n, err := f.size()
	return n / mcm.TrailerLen, err
}

func (f *File) size() (int64, error) {
	st, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// ReadAt reads count trailers from the place of block start on.  Where the file
// ends first it returns the whole trailers that are there, and rules.EOF.  The
// numbers in the trailers are not compared with their places.
func (f *File) ReadAt(start mcm.BlockNum, count int) ([]mcm.Trailer, error) {
	have, err := f.Len()
	if err != nil {
		return nil, err
	}
	n := int64(0)
	if start < mcm.BlockNum(have) {
		n = min(int64(count), have-int64(start))
	}
	buf := make([]byte, max(0, n)*mcm.TrailerLen)
	if len(buf) > 0 {
		if _, err := f.f.ReadAt(buf, int64(start)*mcm.TrailerLen); err != nil {
			return nil, err
		}
	}
	ts := mcm.Trailers(buf)
	if len(ts) < count {
		return ts, &rules.Error{Rule: rules.EOF, Num: start + mcm.BlockNum(len(ts)), Detail: fmt.Sprintf("asked for %d trailers from %v on, the file has %d in all", count, start, have)}
	}
	return ts, nil
}

// Last returns the final 160 bytes of the file, which need not be at a multiple
// of 160: block files end in a trailer too.  A file shorter than that fails with
// rules.Invalid.
func (f *File) Last() (t mcm.Trailer, err error) {
	size, err := f.size()
	if err != nil {
		return t, err
	}
	if size < mcm.TrailerLen {
		return t, &rules.Error{Rule: rules.Invalid, Detail: fmt.Sprintf("the file has %d bytes, expected at least %d", size, mcm.TrailerLen)}
	}
	_, err = f.f.ReadAt(t[:], size-mcm.TrailerLen)
	return t, err
}

// Append writes trailers at the end.  When that fails the file is cut back to
// what it was.
func (f *File) Append(ts []mcm.Trailer) error {
	size, err := f.size()
	if err != nil {
		return err
	}
	if _, err := f.f.WriteAt(mcm.Bytes(ts), size); err != nil {
		return errors.Join(err, f.f.Truncate(size))
	}
	return nil
}

// Trim cuts the file behind block high.  The file stays as it is when there is no
// trailer at that place, or with rules.Num one of another number.
func (f *File) Trim(high mcm.BlockNum) error {
	t, err := f.at(high)
	if errors.Is(err, rules.EOF) {
		return fmt.Errorf("trim to block %v: the file ends before it", high)
	}
	if err != nil {
		return err
	}
	if t.Num() != high {
		return wrongNum(high, t)
	}
	return f.f.Truncate((int64(high) + 1) * mcm.TrailerLen)
}

func (f *File) at(n mcm.BlockNum) (*mcm.Trailer, error) {
	ts, err := f.ReadAt(n, 1)
	if err != nil {
		return nil, err
	}
	return &ts[0], nil
}

func wrongNum(n mcm.BlockNum, t *mcm.Trailer) error {
	return &rules.Error{Rule: rules.Num, Num: n, Detail: fmt.Sprintf("the trailer at its place has number %v", t.Num())}
}

// each calls do for each whole trailer from index first on, until it returns
// false.
func (f *File) each(first int64, do func(t *mcm.Trailer) bool) error {
	r := io.NewSectionReader(f.f, first*mcm.TrailerLen, math.MaxInt64-first*mcm.TrailerLen)
	return EachTrailer(context.Background(), r, func(_ int64, t *mcm.Trailer) bool { return do(t) })
}

// Weigh returns the weight up to and including the first trailer whose number is
// upto or more, of the whole file if upto is nil (docs/spec/chain.md section 7).
func (f *File) Weigh(upto *mcm.BlockNum) (w mcm.Weight, err error) {
	err = f.each(0, func(t *mcm.Trailer) bool {
		w = rules.AddWeight(w, t)
		return upto == nil || *upto > t.Num()
	})
	return w, err
}

// PastWeight returns the weight up to and including block n of a file that weighs
// w in all, by subtracting what comes after it.  It fails with rules.EOF or
// rules.Num, and returns w, when block n is not at its place, and with
// rules.Overflow when w is too small; the result is then the wrapped difference.
func (f *File) PastWeight(n mcm.BlockNum, w mcm.Weight) (mcm.Weight, error) {
	t, err := f.at(n)
	if err != nil {
		return w, err
	}
	if t.Num() != n {
		return w, wrongNum(n, t)
	}
	var after mcm.Weight
	err = f.each(int64(n)+1, func(t *mcm.Trailer) bool {
		after = rules.AddWeight(after, t)
		return true
	})
	if err != nil {
		return w, err
	}
	past, borrow := w.Sub(after)
	if borrow {
		return past, &rules.Error{Rule: rules.Overflow, Num: n, Detail: fmt.Sprintf("weight of the file is said to be %v, but what follows the block weighs %v", w, after)}
	}
	return past, nil
}

// Rewards returns the genesis amount and all mining rewards of the trailers before
// the first whose number exceeds upto, of all if upto is nil.  A sum beyond 64
// bits fails with rules.RewardsOverflow (docs/spec/chain.md section 8.1).
func (f *File) Rewards(upto *mcm.BlockNum) (uint64, error) {
	sum := uint64(rules.GenesisAmount)
	var overflow error
	err := f.each(0, func(t *mcm.Trailer) bool {
		if upto != nil && *upto < t.Num() {
			return false
		}
		sum, overflow = rules.AddReward(sum, t)
		return overflow == nil
	})
	return sum, errors.Join(err, overflow)
}

// CheckStructure is the structure pass of docs/spec/chain.md section 10: it takes
// the first trust trailers as they are and checks the rest, with the clock at now.
// After each good trailer num becomes its number, and its weight is added to
// weight.  The first rule that fails comes back as a *rules.Error.
func (f *File) CheckStructure(trust, now int64, num *mcm.BlockNum, weight *mcm.Weight) error {
	size, err := f.size()
	if err != nil {
		return err
	}
	have := size / mcm.TrailerLen
	switch {
	case have == 0:
		return &rules.Error{Rule: rules.FileData, Detail: fmt.Sprintf("the file has %d bytes, expected at least %d", size, mcm.TrailerLen)}
	case size%mcm.TrailerLen != 0:
		return &rules.Error{Rule: rules.FileLen, Num: mcm.BlockNum(have), Detail: fmt.Sprintf("the file has %d bytes, expected a multiple of %d", size, mcm.TrailerLen)}
	case trust >= have:
		return nil
	}
	w := walk{now: now}
	first := max(0, trust)
	if first > 0 {
		t, err := f.at(mcm.BlockNum(first - 1))
		if err != nil {
			return err
		}
		w.begun, w.prev = true, *t
	}
	var bad error
	err = f.each(first, func(t *mcm.Trailer) bool {
		if bad = w.next(t); bad != nil {
			return false
		}
		*num = t.Num()
		*weight = rules.AddWeight(*weight, t)
		return true
	})
	return errors.Join(err, bad)
}
