package tfile

import (
	"fmt"

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

// setWork decides what is to be done for each trailer of c and queues it if there
// is anything; c.proved is closed in the end.
func (v *verification) setWork(c *chunk) {
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
	v.work <- c
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
		rep.add(problemAt(index, t.Num(), rules.Rule(pow.RuleName(t)), "%s", verify.Explain(t, res)))
		return false, nil
	case c.err != nil:
		return false, c.err
	default:
		return false, fmt.Errorf("proof of work of block %v: the engine answered %v, expected valid, bad_nonce or bad_work", t.Num(), res.Verdict)
	}
}
