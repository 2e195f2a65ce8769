package tfile

import (
	"context"
	"fmt"
	"time"

	"kigo/node/mcm"
	"kigo/node/pow"
	"kigo/node/rules"
	"kigo/node/verify"
)

// A status says what has to be done about a trailer's proof of work.
type status uint8

const (
	check status = iota
	exempt
	pinned
	resumed
	skipped
)

// statusOf returns the status of the i-th trailer of c.
func (v *verification) statusOf(c *chunk, i int) status {
	t := &c.ts[i]
	switch {
	case pow.AlgorithmOf(t) == pow.None:
		return exempt
	case i < c.same && v.book.known.proven.has(c.start+int64(i)):
		return resumed // before pinned: what is proven stays so without the pin
	case i < c.pinned:
		return pinned
	case v.Verifier == nil || t.Num() < v.PowFrom:
		return skipped
	}
	return check
}

// setWork decides what is to be done for each trailer of c and starts doing it;
// c.proved is closed in the end.
func (v *verification) setWork(ctx context.Context, c *chunk) {
	c.proved = make(chan struct{})
	work := len(c.ts)
	if len(c.faults) > 0 && !v.All {
		work-- // the report ends with the structure fault of the last one
	}
	needed := false
	for i := range work {
		s := v.statusOf(c, i)
		c.status = append(c.status, s)
		needed = needed || s == check
	}
	if !needed {
		v.settled.Add(int64(len(c.ts)))
		close(c.proved)
		return
	}
	if c.results == nil {
		c.results = make([]verify.Result, v.chunkLen)
	}
	clear(c.results)
	v.stages.Go(func() {
		defer close(c.proved)
		c.err = v.prove(ctx, c)
	})
}

// prove has the engine check the trailers of c that need it.  What is handed over
// are stretches of the chunk itself, with the exempt trailers that lie in them.
func (v *verification) prove(ctx context.Context, c *chunk) error {
	settled := 0
	for i := 0; i < len(c.status); {
		if c.status[i] != check {
			i++
			continue
		}
		end, limit := i, min(len(c.status), i+int(v.batch.Load()))
		for j := i; j < limit && (c.status[j] == check || c.status[j] == exempt); j++ {
			if c.status[j] == check {
				end = j + 1
			}
		}
		began := time.Now()
		if err := v.Verifier.VerifyPoW(ctx, c.results[i:end], c.ts[i:end]); err != nil {
			if ctx.Err() == nil {
				clear(c.results[i:end]) // what a failing engine says is worth nothing
			}
			return err
		}
		v.pace(end-i, time.Since(began))
		v.settled.Add(int64(end - settled))
		i, settled = end, end
	}
	v.settled.Add(int64(len(c.ts) - settled))
	return nil
}

// pace sets the next batch's size after one of n trailers took d.
func (v *verification) pace(n int, d time.Duration) {
	if v.Batch > 0 {
		return
	}
	fit := float64(n) * float64(batchTime) / float64(max(d, 1))
	v.batch.Store(int64(min(DefaultBatch, max(firstBatch, fit))))
}

// judge enters what is known about the proof of work of c's i-th trailer in the
// report and returns whether it is good.  An error says that nobody decided.
func (v *verification) judge(c *chunk, i int) (good bool, err error) {
	t, rep, index := &c.ts[i], &v.report, c.start+int64(i)
	switch c.status[i] {
	case exempt:
		rep.Exempt++
		v.book.bridge(index)
		return true, nil
	case pinned:
		rep.Pinned++
		rep.Known++
		rep.Proven = rules.AddWeight(rep.Proven, t)
		return true, nil
	case resumed:
		rep.Resumed++
		rep.Known++
		rep.Proven = rules.AddWeight(rep.Proven, t)
		v.book.add(index, false)
		return true, nil
	case skipped:
		rep.Skipped++
		rep.Known++
		return true, nil
	}
	switch res := &c.results[i]; {
	case res.Verdict == verify.Valid:
		rep.Checked++
		rep.Proven = rules.AddWeight(rep.Proven, t)
		v.book.add(index, true)
		return true, nil
	case res.Verdict.Bad():
		rep.Checked++
		rep.Bad++
		rep.add(workProblem(index, t, res))
		return false, nil
	case c.err != nil:
		return false, c.err
	default:
		return false, fmt.Errorf("proof of work of block %v: the engine answered %v, expected valid, bad_nonce or bad_work", t.Num(), res.Verdict)
	}
}

// workProblem puts a bad proof of work in words.
func workProblem(index int64, t *mcm.Trailer, res *verify.Result) Problem {
	rule := rules.Rule(pow.RuleName(t))
	alg, d := pow.AlgorithmOf(t), t.WorkDifficulty()
	if res.Verdict == verify.BadNonce {
		return problemAt(index, t.Num(), rule, "%v at difficulty %d: %s of nonce %x, expected two haikus", alg, d, badHalves(t), t.Nonce()[:])
	}
	return problemAt(index, t.Num(), rule, "%v at difficulty %d: expected at least %d leading zero bits, found %d in hash %v", alg, d, d, res.Hash.LeadingZeroBits(), res.Hash)
}

func badHalves(t *mcm.Trailer) string {
	first, second := pow.Halves(t)
	switch a, b := first.Syntax(), second.Syntax(); {
	case !a && !b:
		return "no haiku in both halves"
	case !a:
		return "no haiku in the first half"
	case !b:
		return "no haiku in the second half"
	}
	return "the engine found no haiku in a half"
}
