package tfile

import (
	"context"
	"fmt"
	"time"

	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/verify"
)

// collect is the last stage of Verify: it waits for each chunk in file order,
// enters it in the report and frees it.
func (v *verification) collect(ctx context.Context, in <-chan *chunk) error {
	tick := time.NewTicker(progressTick)
	defer tick.Stop()
	for c := range in {
		for waiting := true; waiting; {
			select {
			case <-c.proved:
				waiting = false
			case <-tick.C:
				v.tell()
			}
		}
		done, err := v.tally(c)
		if done || err != nil {
			v.salvage(c, int(v.report.Trailers-c.start))
			return err
		}
		v.book.advance(c)
		v.free <- c
		v.keepUp()
	}
	return stopped(ctx) // or a last chunk would have come
}

// salvage notes for the next run what the engine has proven in c from trailer i on,
// where the tally didn't get to.
func (v *verification) salvage(c *chunk, i int) {
	for ; i < len(c.status); i++ {
		index := c.start + int64(i)
		switch s := c.status[i]; {
		case s == exempt:
			v.book.bridge(index)
		case s == resumed:
			v.book.add(index, false)
		case s == check && c.results[i].Verdict == verify.Valid:
			v.book.add(index, true)
		}
	}
	v.book.advance(c)
}

// keepUp saves and reports when it is time to.
func (v *verification) keepUp() {
	if time.Since(v.told) >= progressTick {
		v.tell()
	}
	if time.Since(v.saved) < saveInterval {
		return
	}
	v.save()
}

// tally enters a chunk in the report.  It returns true when nothing is left to
// do.
func (v *verification) tally(c *chunk) (done bool, err error) {
	rep, faults := &v.report, c.faults
	for i := range c.ts {
		t, index := &c.ts[i], c.start+int64(i)
		if index == 0 {
			rep.First = t.Num()
		}
		good := len(faults) == 0 || faults[0].i != i
		if !good {
			v.addFault(index, faults[0])
			faults = faults[1:]
			if !v.All {
				rep.Trailers, rep.Complete = index+1, true
				return true, nil
			}
		}
		works, err := v.judge(c, i)
		if err != nil {
			return true, err
		}
		good = good && works
		rep.Trailers = index + 1
		if good {
			rep.Good++
			rep.Last, rep.Tip = t.Num(), *t.Hash()
			rep.Weight = rules.AddWeight(rep.Weight, t)
		} else if !v.All {
			rep.Complete = true
			return true, nil
		}
		if v.Pin != nil && index == int64(v.Pin.Height) {
			if err := v.Pin.checkTip(t, rep.Weight); err != nil {
				return true, err
			}
		}
	}
	return v.tallyEnd(c)
}

func (v *verification) addFault(index int64, f fault) {
	if f.err == nil {
		v.report.Omitted++
		return
	}
	v.report.add(structureProblem(index, f.err))
}

// tallyEnd looks at what comes after the chunk's trailers.
func (v *verification) tallyEnd(c *chunk) (done bool, err error) {
	rep := &v.report
	v.draft.add(c)
	switch {
	case c.end == nil:
		return false, nil
	case c.end.err != nil:
		return true, c.end.err
	}
	if err := v.ended(rep.Trailers*mcm.TrailerLen + int64(c.end.tail)); err != nil {
		return true, err
	}
	v.judgeLength(rep.Trailers, c.end.tail)
	if v.Pin != nil && rep.Trailers <= int64(v.Pin.Height) && len(rep.Problems) == 0 {
		return true, &PinError{Height: v.Pin.Height, Piece: -1, Detail: fmt.Sprintf("data ends after %d trailers, before the pin", rep.Trailers)}
	}
	rep.Complete = true
	v.book.finish()
	if rep.Valid() {
		rep.Pin = v.draft.pin(rep)
	}
	return true, nil
}
