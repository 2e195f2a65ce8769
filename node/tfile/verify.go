package tfile

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"kigo/node/mcm"
	"kigo/node/rules"
)

const (
	// maxChunks is how many chunks are in use at most: provers of them with the
	// engine, the others read and ready, so that no batch waits for the disk.
	maxChunks    = 5
	minChunks    = 3        // fewer would make the stages wait for each other
	chunkBudget  = 48 << 20 // bytes for all chunks, unless minChunks need more
	chunkTrailer = mcm.TrailerLen + 33 + 1
	progressTick = 100 * time.Millisecond
	saveInterval = 3 * time.Second // what a crash may cost, beside the chunks in work

	// provers is how many batches the engine has at once: while one ends, the other
	// keeps the cores busy.  More would only share the cores, so that none ends for
	// long, and an interruption would lose them all.
	provers = 2
)

// A verification is one run of Verify.
type verification struct {
	Options
	size     int64 // bytes, -1 if unknown
	began    time.Time
	batch    atomic.Int64 // Peach trailers in the next one; with Options.Batch trailers of any kind
	chunkLen int          // trailers in the largest chunk

	chunks int // at most
	free   chan *chunk
	work   chan *chunk // those whose proof of work is needed, in file order
	stages sync.WaitGroup

	// The read stage's.
	made   int  // chunks so far
	edited bool // the data differs from the side file

	checked atomic.Int64 // trailers that are through the structure pass
	scouted atomic.Int64 // the same for the scout
	settled atomic.Int64 // trailers whose proof of work is known or not asked for
	fault   atomic.Pointer[Problem]

	// The rest is the tally's.
	report Report
	book   *book  // nil without a side file
	draft  *draft // nil without Options.DerivePin
	told   time.Time
	saved  time.Time
}

// Verify judges the trailers that r delivers: structure, weight and, with
// Options.Verifier, proof of work.  size is their length in bytes, -1 if unknown;
// no more than that is read, and less is an error.  What the data did wrong is in
// the Report.  An error is our own failure: r or the engine failed, ctx ended
// (then it wraps context.Cause(ctx)), or the data contradicts the pin.  The
// report of what was done until then comes with it.
//
// A data length that is no multiple of 160 is one problem (EMCM_FILELEN, or
// EMCM_FILEDATA below 160).  Where size tells it beforehand it is the only one,
// unless Options.All; otherwise whole trailers are judged first.
//
// If r can also be read at any place (io.ReaderAt and io.Seeker, as a file), a
// second reader runs ahead for Progress.  Verify returns only when r.Read has: to
// end one that blocks, close what it reads from.  Bad options are an error too,
// before anything is read: Segment together with a pin is ErrPinSegment.
func Verify(ctx context.Context, r io.Reader, size int64, o Options) (*Report, error) {
	v := &verification{Options: o, size: size, began: time.Now()}
	v.told, v.saved = v.began, v.began
	v.report.PowChecked = o.Verifier != nil
	err := v.run(ctx, r)
	v.save()
	v.report.Elapsed = time.Since(v.began)
	v.tell()
	return &v.report, err
}

// VerifyFile is Verify on the file at path, up to the length it has now.
func VerifyFile(ctx context.Context, path string, o Options) (*Report, error) {
	f, err := os.Open(path)
	if err != nil {
		return &Report{}, err
	}
	defer f.Close() // only read from
	st, err := f.Stat()
	if err != nil {
		return &Report{}, err
	}
	size := int64(-1)
	if st.Mode().IsRegular() {
		size = st.Size()
	}
	return Verify(ctx, f, size, o)
}

func (v *verification) run(ctx context.Context, r io.Reader) error {
	if v.Segment && (v.Pin != nil || v.DerivePin) {
		return ErrPinSegment
	}
	if v.DerivePin {
		v.draft = newDraft()
	}
	if v.Pin != nil {
		if err := v.Pin.checkSize(); err != nil {
			return err
		}
	}
	if v.Resume != "" && v.Verifier != nil {
		var err error
		if v.book, err = openBook(v.Resume, v.Distrust, &v.report); err != nil {
			return err
		}
	}
	if refused, err := v.refuseLength(ctx, r); refused || err != nil {
		return err
	}
	v.layOut()

	ctx, stop := context.WithCancel(ctx)
	read := make(chan *chunk)
	walked := make(chan *chunk, v.chunks) // has room for all: the walk never waits here
	v.startScout(ctx, r)
	if v.size >= 0 {
		r = io.LimitReader(r, v.size)
	}
	reading, stopReading := context.WithCancel(ctx)
	v.stages.Go(func() {
		defer close(read)
		v.read(reading, r, read)
	})
	v.stages.Go(func() {
		defer close(walked)
		defer close(v.work)
		defer stopReading()
		v.structure(read, walked)
	})
	for range provers {
		v.stages.Go(func() { v.proveAll(ctx) })
	}
	err := v.collect(ctx, walked)
	stop()
	v.stages.Wait()
	for c := range walked { // nobody will tally them
		v.salvage(c, 0)
	}
	return err
}

// refuseLength reports whether the length alone condemns the data.  Of a segment
// it reads the first trailer, for the number of the block that is cut.
func (v *verification) refuseLength(ctx context.Context, r io.Reader) (bool, error) {
	if v.size < 0 || v.All || v.size > 0 && v.size%mcm.TrailerLen == 0 {
		return false, nil
	}
	if v.Segment && v.size > mcm.TrailerLen {
		var t mcm.Trailer
		n, err := fill(ctx, r, t[:])
		switch {
		case ctx.Err() != nil:
			return false, stopped(ctx)
		case err == io.EOF:
			return false, v.ended(int64(n))
		case err != nil:
			return false, fmt.Errorf("read at byte %d: %w", n, err)
		}
		v.report.First = t.Num()
	}
	v.judgeLength(v.size/mcm.TrailerLen, int(v.size%mcm.TrailerLen))
	v.report.Complete = true
	return true, nil
}

// judgeLength notes the problem of data that has tail bytes after its whole
// trailers, if any.
func (v *verification) judgeLength(trailers int64, tail int) {
	bytes := trailers*mcm.TrailerLen + int64(tail)
	num := mcm.BlockNum(trailers)
	if v.Segment {
		num += v.report.First
	}
	switch {
	case trailers == 0:
		v.report.add(problemAt(0, 0, rules.FileData, "holds %d bytes, expected at least %d", bytes, mcm.TrailerLen))
	case tail != 0:
		v.report.add(problemAt(trailers, num, rules.FileLen, "holds %d bytes, %d after the last whole trailer, expected a multiple of %d", bytes, tail, mcm.TrailerLen))
	}
}

// layOut decides the sizes of batches and chunks.
func (v *verification) layOut() {
	most := v.Batch
	if most <= 0 {
		most = DefaultBatch
	}
	v.batch.Store(int64(most))
	if v.Batch <= 0 && v.Verifier != nil {
		v.batch.Store(leastBatch)
	}
	v.chunkLen = max(1, most/PieceTrailers) * PieceTrailers
	if v.size >= 0 {
		v.chunkLen = int(min(int64(v.chunkLen), PieceTrailers*max(1, piecesOf(v.size/mcm.TrailerLen))))
	}
	v.chunks = min(maxChunks, max(minChunks, chunkBudget/(v.chunkLen*chunkTrailer)))
	v.free = make(chan *chunk, v.chunks)
	v.work = make(chan *chunk, v.chunks) // has room for all: the walk never waits here
}

// startScout sends the scout ahead if r can be read twice and there is something
// to be ahead of.
func (v *verification) startScout(ctx context.Context, r io.Reader) {
	ra, ok := r.(interface {
		io.ReaderAt
		io.Seeker
	})
	if !ok || v.Verifier == nil || v.size < 0 {
		return
	}
	at, err := ra.Seek(0, io.SeekCurrent)
	if err != nil {
		return // a pipe
	}
	v.stages.Go(func() { v.scout(ctx, io.NewSectionReader(ra, at, v.size)) })
}

// pinned returns the prefix that the pin vouches for; empty without one.
func (v *verification) pinned() prefix {
	if v.Pin == nil {
		return prefix{}
	}
	return v.Pin.prefix()
}

// tell calls Progress.
func (v *verification) tell() {
	v.told = time.Now()
	if v.Progress == nil {
		return
	}
	total := int64(-1)
	if v.size >= 0 {
		total = v.size / mcm.TrailerLen
	}
	v.Progress(Progress{
		Read:    max(v.checked.Load(), v.scouted.Load()),
		Proven:  v.settled.Load(),
		Total:   total,
		Elapsed: time.Since(v.began),
		Fault:   v.fault.Load(),
	})
}

// stopped is the error of a run that ctx has ended.
func stopped(ctx context.Context) error { return fmt.Errorf("stopped: %w", context.Cause(ctx)) }

// ended says that the data is shorter than it was said to be.
func (v *verification) ended(bytes int64) error {
	if bytes < v.size {
		return fmt.Errorf("data ends after %d of %d bytes: %w", bytes, v.size, io.ErrUnexpectedEOF)
	}
	return nil
}
