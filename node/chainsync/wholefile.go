package chainsync

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"kigo/node/chain"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/wire"
)

// maxFiles is how many peers are asked for a whole file, one after another, by one
// download.
const maxFiles = 16

// wholeFile is what is left when nobody serves ranges (docs/spec/sync.md section 8.5):
// trailer files, which are judged as they arrive.  Who has served ranges of something
// else isn't asked.  It returns nil when one of them has brought what was missing, stuck
// when none has, and otherwise an error of run.
func (d *download) wholeFile(ctx context.Context, stuck *unavailableError) error {
	if d.low.Num() <= d.bottom {
		return stuck
	}
	for _, src := range d.sources.all {
		if d.files >= maxFiles {
			break
		}
		if src.lied || src.foreign || src.filed || !d.o.Accounts.MayServe(src.Addr, d.o.Now()) {
			continue
		}
		src.filed = true
		d.files++
		done, err := d.file(ctx, src)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil || done {
			return err
		}
	}
	return stuck
}

// A stream is a trailer file while it arrives.
type stream struct {
	d   *download
	ctx context.Context
	src *source

	to      *chain.Staging // what is taken of it; nil: nothing yet
	part    []byte         // less than a piece
	at      mcm.BlockNum   // of the next trailer
	stop    mcm.BlockNum   // the block above the last that is wanted
	parent  mcm.Trailer    // the one before at
	any     bool           // there is one
	done    bool
	bad     *charge // what the sender has to answer for
	refused bool    // it is of no use, and nobody can be blamed for it
}

// errEnough ends a transfer of which no more is wanted.
var errEnough = errors.New("chainsync: no more of the file is wanted")

// file asks a source for its trailer file, and takes from it what is missing.
func (d *download) file(ctx context.Context, src *source) (done bool, err error) {
	s := &stream{d: d, ctx: ctx, src: src, at: d.o.Base.Num, stop: d.low.Num()}
	defer func() {
		if s.to != nil && d.staging != s.to {
			err = errors.Join(err, s.to.Remove())
			d.s.sched.drop(s.to)
		}
	}()
	shake, cancel := context.WithTimeoutCause(ctx, d.o.Limits.FirstByte, errSilent)
	call, err := d.o.Client.Call(shake, src.Addr)
	cancel()
	if err == nil {
		// All that is wanted, and what an honest peer's tip may be higher by; the
		// client ends what is slower than its least rate.
		const ahead = 2 * mcm.ProofTrailers
		limit := min(int64(d.b.Tip().Num()-d.o.Base.Num)+1+ahead, peer.MaxFile/mcm.TrailerLen) * mcm.TrailerLen
		_, err = call.TFile(ctx, limit, s)
		in, _ := call.Bytes()
		d.o.Metrics.bytes.Add(float64(in))
		d.s.received(in)
	}
	if ctx.Err() != nil {
		return false, context.Cause(ctx)
	}
	result := d.o.Metrics.ranges.WithLabelValues
	var f *fault.Fault
	var invalid *invalidError
	switch {
	case errors.As(err, &invalid):
		return false, invalid
	case s.done:
		result(rangeLinked).Inc()
		d.sources.delivered(src, false)
		d.o.Accounts.Delivered(src.Addr, d.o.Now())
		return true, s.adopt()
	case s.bad != nil:
		result(rangeInvalid).Inc()
		src.lied, src.out = true, true
		d.because(s.bad.Fault.Kind, "")
		d.observe(*s.bad)
	case s.refused:
		result(rangeForeign).Inc()
		d.because(fault.OtherBlock, "")
	case errors.As(err, &f):
		result(rangeFailed).Inc()
		d.because(f.Kind, "")
		if f.Kind.Class() != fault.None {
			d.observe(charge{Peer: src.Addr, Fault: f})
		}
	case errors.Is(err, errSilent):
		result(rangeFailed).Inc()
		d.because(fault.Timeout, "")
	case err == nil && len(s.part)%mcm.TrailerLen != 0:
		result(rangeShort).Inc()
		d.because(fault.NotMultiple, "")
		d.observe(charge{Peer: src.Addr, Fault: &fault.Fault{Kind: fault.NotMultiple, Peer: src.Addr, Detail: "trailer file"}})
	case err == nil, errors.Is(err, peer.ErrLimit):
		result(rangeShort).Inc()
		d.because(fault.ShortReply, "")
	case errors.Is(err, chain.ErrRoom):
		return false, err
	default: // ours
		result(rangeFailed).Inc()
		d.o.Log.Warn("no trailer file", "peer", src.Addr, "err", err)
		d.because("", "our own failure")
	}
	return false, nil
}

// Write takes in what has arrived.
func (s *stream) Write(b []byte) (int, error) {
	fresh := len(s.part) / mcm.TrailerLen
	s.part = append(s.part, b...)
	whole := mcm.Trailers(s.part[:len(s.part)/mcm.TrailerLen*mcm.TrailerLen])
	for i := fresh; i < len(whole); i++ {
		if got, want := whole[i].Num(), s.at+mcm.BlockNum(i); got != want && want < s.stop {
			return len(b), s.blame(fault.WrongNumbers, fmt.Sprintf("block %v instead of %v", got, want), "")
		}
	}
	for {
		n := s.next()
		if n*mcm.TrailerLen > len(s.part) {
			return len(b), nil
		}
		ts := append([]mcm.Trailer(nil), mcm.Trailers(s.part[:n*mcm.TrailerLen])...)
		s.part = append(s.part[:0], s.part[n*mcm.TrailerLen:]...)
		if err := s.take(ts); err != nil {
			return len(b), err
		}
	}
}

// next returns how many trailers make the next piece: up to where the pin's ends, or
// what is wanted.
func (s *stream) next() int {
	last := s.at + wire.MaxTF - 1
	if s.at < s.d.bottom {
		last = min(last, s.d.bottom-1)
	}
	if p, ok := s.d.piece(s.at); ok {
		last = p.last
	}
	return int(min(last, s.stop-1)-s.at) + 1
}

// take judges the next trailers, and keeps them unless they are known.
func (s *stream) take(ts []mcm.Trailer) error {
	d := s.d
	last := &ts[len(ts)-1]
	s.at = last.Num() + 1
	p, pinned := d.byDigest(ts[0].Num())
	switch {
	case last.Num() < d.bottom:
		return nil // not wanted here, and nothing to judge others by
	case s.to == nil && s.own(ts):
		s.parent, s.any = *last, true
		return nil
	case pinned:
		got, err := d.digest(p, ts)
		if err != nil {
			return err
		}
		if got != p.want {
			return s.blame(fault.PinMismatch, fmt.Sprintf("the SHA-256 of piece %d is %v, the pin has %v", p.index, got, p.want), "")
		}
	case d.anchors(ts) != nil: // the file of another network, or of a branch that is refused
		s.refused = true
		return errEnough
	default:
		if err := s.check(ts); err != nil {
			return err
		}
	}
	if err := s.keep(ts, pinned); err != nil {
		return err
	}
	if s.at < s.stop {
		return nil
	}
	// Does it hold the trailers that were shown for the tip?
	if *last.Hash() != *d.low.PrevHash() {
		s.refused = true
		return errEnough
	}
	f := proof.Against(last, &d.low)
	switch low := d.low.Num(); {
	case f == nil, pinned && low < mcm.V30Trigger: // the pin vouches for both
		s.done = true
	case low > mcm.V30Trigger || pinned:
		return d.lowest(last, f)
	default:
		s.refused = true // the link doesn't say that this is the parent
	}
	return errEnough
}

// own reports whether trailers are the own chain's, which was proven before.
func (s *stream) own(ts []mcm.Trailer) bool {
	if last := &ts[len(ts)-1]; last.Num()+1 >= s.stop || !s.d.onOwn(last.Num(), *last.Hash()) {
		return false
	}
	own, err := s.d.o.Chain.Trailers(ts[0].Num(), len(ts))
	return err == nil && slices.Equal(own, ts)
}

// check holds trailers against the rules, forwards, and draws some of them whose work is
// checked; that of the others is for S4.
func (s *stream) check(ts []mcm.Trailer) error {
	d := s.d
	if f := wrapped(ts); f != nil {
		s.refused = true
		return errEnough
	}
	for i := range ts {
		var parent *mcm.Trailer
		switch {
		case i > 0:
			parent = &ts[i-1]
		case s.any:
			parent = &s.parent
		}
		t := &ts[i]
		if parent != nil && *parent.Hash() != *t.PrevHash() {
			s.refused = true // it isn't one chain
			return errEnough
		}
		if f := proof.Against(parent, t); f != nil {
			d.o.Known.Learn(t, proof.Key(parent, t), f)
			return s.blame(fault.InvalidTrailer, f.Error(), f.Rule)
		}
	}
	shop := d.s.workshop
	var drawn []mcm.Trailer
	for _, i := range weighted(ts, d.o.Limits.Samples, shop.draw) {
		drawn = append(drawn, ts[i])
	}
	d.o.Metrics.samples.Add(float64(len(drawn)))
	bad, err := shop.check(s.ctx, drawn, nil, true)
	if err != nil {
		return err
	}
	if len(bad) > 0 {
		t := &drawn[bad[0].index]
		d.o.Known.Learn(t, proof.Key(nil, t), bad[0].finding)
		f := bad[0].finding
		return s.blame(fault.InvalidTrailer, f.Error(), f.Rule)
	}
	return nil
}

// blame ends the transfer for what its sender has to answer for.
func (s *stream) blame(kind fault.Kind, detail string, rule rules.Rule) error {
	s.bad = &charge{Peer: s.src.Addr, Worthless: wire.MaxTF, Fault: &fault.Fault{Kind: kind, Peer: s.src.Addr, Detail: "trailer file: " + detail}}
	if rule.IsWork() {
		s.bad.Failed = 1
	}
	return errEnough
}

// keep puts trailers in the staging of the file, but for those that are on the own chain.
func (s *stream) keep(ts []mcm.Trailer, pinned bool) error {
	d := s.d
	last := ts[len(ts)-1]
	if s.to == nil {
		ts = ts[d.above(ts):]
		if len(ts) == 0 {
			s.parent, s.any = last, true
			return nil
		}
		sum := sha256.Sum256(append([]byte("file "+d.staging.Name()), s.src.Addr.AsSlice()...))
		g, err := d.o.Chain.Stage(hex.EncodeToString(sum[:]))
		if err != nil {
			return err
		}
		if _, high, ok := g.Bounds(); ok { // of an earlier run that was ended
			if err := g.CutBelow(high + 1); err != nil {
				return err
			}
		}
		d.s.sched.hold(d, g)
		s.to = g
	}
	if err := s.to.Append(ts, s.src.Addr); err != nil {
		return err
	}
	if pinned {
		if err := s.to.Worked(ts[0].Num(), len(ts)); err != nil {
			return err
		}
	}
	s.parent, s.any = last, true
	return nil
}

// adopt makes what came, and what there was above it, one staging, and goes on at its
// low end.
func (s *stream) adopt() error {
	d := s.d
	d.stopAll()
	if err := d.vetted(); err != nil {
		return err
	}
	if s.to == nil {
		return d.look()
	}
	low, _, _ := s.to.Bounds()
	n := int(s.stop - low)
	d.o.Metrics.trailers.Add(float64(n))
	d.s.linked(n)
	d.served = append(d.served, served{s.src.Addr, low, n})
	if err := d.merge(s.to, s.stop-1); err != nil {
		return err
	}
	return d.look()
}
