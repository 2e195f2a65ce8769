package proof

import (
	"errors"

	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/rules"
	"kigo/node/wire"
)

// Structure judges a proof by all that needs no proof of work, with the clock at
// now in Unix seconds, and sets Finding to what it returns: nil when all is well.
// It can be repeated, above all after Early, which time heals.
func (p *Proof) Structure(o Options, now int64) *Finding {
	first, count := Want(p.Claim, o)
	p.First = first
	p.forget()
	p.Finding = p.structure(p.Trailers, first, count, now)
	return p.Finding
}

func (p *Proof) structure(ts []mcm.Trailer, first mcm.BlockNum, count int, now int64) *Finding {
	surplus := len(ts) - count
	ts = ts[:min(len(ts), count)]
	if f := wrongNumbers(ts, first); f != nil {
		return f
	}
	seam, f := p.chain(ts, nil, first)
	switch {
	case f != nil:
		return f
	case surplus > 0:
		return found(fault.TooLong, p.Claim.Num, -1, "%d trailers, asked for %d", count+surplus, count)
	case surplus == 0 && *ts[count-1].Hash() != p.Claim.Hash:
		return found(fault.ClaimMismatch, p.Claim.Num, count-1, "the last trailer has hash %v, the claimed tip %v", ts[count-1].Hash(), p.Claim.Hash)
	case seam != nil:
		return seam
	case surplus < 0:
		return found(fault.ShortReply, p.Claim.Num, -1, "%d trailers, asked for %d", len(ts), count)
	}
	return early(ts, now)
}

// Extend puts older trailers, the answer to More, in front of the proof, if they
// are well and link to it, and leaves the new ones to Work.  Otherwise the proof
// stays as it was but for Finding, which is what Extend returns; its Index counts
// from the first of older.
func (p *Proof) Extend(older []mcm.Trailer, o Options, now int64) *Finding {
	first, count := p.More(o)
	p.Finding = p.extension(older, first, count, now)
	if p.Finding == nil {
		whole := make([]mcm.Trailer, 0, len(older)+len(p.Trailers))
		p.Trailers = append(append(whole, older...), p.Trailers...)
		p.First = first
		p.forget()
	}
	return p.Finding
}

func (p *Proof) extension(older []mcm.Trailer, first mcm.BlockNum, count int, now int64) *Finding {
	var next *mcm.Trailer
	if len(p.Trailers) > 0 {
		next = &p.Trailers[0]
	}
	if f := Range(p.Claim, older, next, first, count); f != nil {
		return f
	}
	return early(older, now)
}

// Range judges what a peer that claims a tip has answered when it was asked for count
// trailers from first on: all that needs neither proof of work nor a clock.  next is
// the trailer that stands behind them, nil if it isn't known.  A Finding at Index
// count is about next.
func Range(claim wire.State, ts []mcm.Trailer, next *mcm.Trailer, first mcm.BlockNum, count int) *Finding {
	surplus := len(ts) - count
	ts = ts[:min(len(ts), count)]
	if f := wrongNumbers(ts, first); f != nil {
		return f
	}
	if surplus < 0 {
		next = nil // it does not stand right behind them
	}
	p := Proof{Claim: claim}
	seam, f := p.chain(ts, next, first)
	switch {
	case f != nil:
		return f
	case surplus > 0:
		return found(fault.TooLong, first, -1, "%d trailers, asked for %d", count+surplus, count)
	case seam != nil:
		return seam
	case surplus < 0:
		return found(fault.ShortReply, first, -1, "%d trailers, asked for %d", len(ts), count)
	}
	return nil
}

// forget takes back what Work has said.
func (p *Proof) forget() { p.Worked, p.Work, p.Done = 0, mcm.Weight{}, false }

func wrongNumbers(ts []mcm.Trailer, first mcm.BlockNum) *Finding {
	for i := range ts {
		if got, want := ts[i].Num(), first+mcm.BlockNum(i); got != want {
			return found(fault.WrongNumbers, want, i, "trailer %d has number %v, asked for %v", i, got, want)
		}
	}
	return nil
}

// chain holds each of ts, whose numbers are right, against the one before it, and
// next, if there is one, against the last.  It returns the first trailer that is
// invalid, and the first link that does not fit.  What lies behind such a link is
// judged by itself, as the first trailer is.
func (p *Proof) chain(ts []mcm.Trailer, next *mcm.Trailer, first mcm.BlockNum) (seam, invalid *Finding) {
	var prev *mcm.Trailer
	for i := 0; i <= len(ts); i++ {
		cur := next
		if i < len(ts) {
			cur = &ts[i]
		}
		if cur == nil {
			break
		}
		if prev != nil && *cur.PrevHash() != *prev.Hash() {
			if seam == nil {
				seam = p.broken(prev, cur, i)
			}
			prev = nil
		}
		if f := Against(prev, cur); f != nil {
			f.Index = i
			return nil, f
		}
		prev = cur
	}
	return seam, nil
}

// Against returns why cur is invalid for ever, nil if nothing is wrong with it.
// prev is the trailer to which it links, nil if that is not at hand; then what
// cur shows by itself is tested.  Index is -1.
func Against(prev, cur *mcm.Trailer) *Finding {
	var err error
	if prev == nil {
		err = rules.CheckFirst(cur, never)
	} else {
		err = rules.Check(prev, cur, never)
	}
	if err == nil {
		err = rules.CheckPseudoRoot(cur)
	}
	if err == nil {
		return nil
	}
	var broken *rules.Error
	if !errors.As(err, &broken) {
		panic("proof: a rule failed without a *rules.Error: " + err.Error())
	}
	return &Finding{Kind: fault.InvalidTrailer, Rule: broken.Rule, Num: broken.Num, Index: -1, Detail: broken.Detail}
}

// broken reports that cur does not link to prev.  Within Segment of the claimed
// tip an honest peer that changes branches shows that; deeper down, where hashes
// fix the chain, it contradicts the tip.
func (p *Proof) broken(prev, cur *mcm.Trailer, index int) *Finding {
	kind := fault.BrokenLink
	if n := prev.Num(); n >= mcm.V30Trigger && p.Claim.Num-n > Segment {
		kind = fault.ForeignRange
	}
	return found(kind, cur.Num(), index, "names %v as the block before it, the trailer before has hash %v", cur.PrevHash(), prev.Hash())
}

// early reports the first trailer that the clock does not allow yet.
func early(ts []mcm.Trailer, now int64) *Finding {
	for i := range ts {
		if t := &ts[i]; rules.Early(t, now) {
			f := found(fault.Early, t.Num(), i, "solve time %d, our clock has %d", t.SolveTime(), now)
			f.Rule = rules.SolveTime
			return f
		}
	}
	return nil
}
