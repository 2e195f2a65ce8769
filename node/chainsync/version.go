package chainsync

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"kigo/node/chain"
	"kigo/node/mcm"
	"kigo/node/proof"
	"kigo/node/rules"
	"kigo/node/wire"
)

// maxVersions is how many versions of the history below one block 0xa0700 are looked at,
// the one that was found first among them.
const maxVersions = 4

// Bounds of what one download, or one look at the own chain's past, spends on other
// versions: peers can state any number of weights, and a version is all of the history
// where it doesn't differ at its end.  Each voice is heard once before any is heard again.
const (
	// maxAttempts is how often those who state one weight are asked for their version,
	// when what they serve is invalid or isn't what they state: the next one may be
	// honest.
	maxAttempts = 6
	maxLooks    = 12          // attempts in all
	maxPasts    = maxAttempts // trailers in all, in histories from the base up: one for each attempt
	maxTime     = time.Hour   // in all
)

// A voice is those who state one and the same weight for what is below version 3.
type voice struct {
	below  mcm.Weight
	by     []Supporter
	groups map[netip.Prefix]bool
}

// A hearing is what has come of asking those of one voice for their version: all of them
// together first, and where that has led to nothing one after another, for among them
// may be some who serve what others state.
type hearing struct {
	attempts int
	alone    bool
	passed   map[netip.Addr]bool   // who was asked alone, or has served what is invalid
	groups   map[netip.Prefix]bool // of those
}

type hearings struct {
	of       map[mcm.Weight]*hearing
	looks    int
	trailers int       // that were fetched
	until    time.Time // when looking ends; zero before the first
}

// ask has those of v asked who are to be asked now, to whom it narrows v.  It is done if
// what they have has the weight that is stated of it, or if nobody is left.  What compare
// returns is passed on.
func (all *hearings) ask(v *voice, compare func() (fits bool, liars []netip.Addr, err error)) (done bool, liars []netip.Addr, err error) {
	if all.of == nil {
		all.of = map[mcm.Weight]*hearing{}
	}
	g := all.of[v.below]
	if g == nil {
		g = &hearing{passed: map[netip.Addr]bool{}, groups: map[netip.Prefix]bool{}}
		all.of[v.below] = g
	}
	v.by = slices.DeleteFunc(v.by, func(by Supporter) bool { return g.passed[by.Addr] })
	if g.attempts++; g.attempts > maxAttempts || len(v.by) == 0 {
		return true, nil, nil
	}
	all.looks++
	if g.alone {
		rand.Shuffle(len(v.by), func(i, j int) { v.by[i], v.by[j] = v.by[j], v.by[i] })
		i := slices.IndexFunc(v.by, func(by Supporter) bool { return !g.groups[by.Group] })
		v.by = v.by[max(i, 0):][:1]
		g.pass(&v.by[0])
	}
	done, liars, err = compare()
	g.alone = g.alone || len(liars) == 0
	for i := range v.by {
		if slices.Contains(liars, v.by[i].Addr) {
			g.pass(&v.by[i])
		}
	}
	return done, liars, err
}

// attempts returns how often a voice was heard.
func (all *hearings) attempts(below mcm.Weight) int {
	if g := all.of[below]; g != nil {
		return g.attempts
	}
	return 0
}

// spent reports whether enough was done for versions of a history of so many trailers.
func (all *hearings) spent(history int) bool {
	if all.until.IsZero() {
		all.until = time.Now().Add(maxTime)
	}
	return all.looks >= maxLooks || all.trailers >= maxPasts*history || !time.Now().Before(all.until)
}

func (g *hearing) pass(by *Supporter) { g.passed[by.Addr], g.groups[by.Group] = true, true }

// versions looks at what supporters have who state another weight than the branch has
// with the history that was found.  They are no liars for that, since another past may
// be under the same block 0xa0700; what has more worked weight, all of it verified, is
// the one to have (docs/spec/sync.md section 8.3).  A floor's weight says which it is.
func (d *download) versions(ctx context.Context) error {
	if d.others == nil {
		d.others = map[mcm.Weight]bool{}
	}
	defer d.s.looked(&d.heard)
	for len(d.others) < maxVersions-1 && !d.heard.spent(int(mcm.V30Trigger-d.o.Base.Num)) {
		h, err := d.heights()
		if err != nil || h.right() {
			return err
		}
		v := h.otherVoice(d.b.Supporters, d.others, &d.heard, func(by *Supporter) bool { return d.sources.find(by.Addr).lied })
		if v == nil {
			return nil
		}
		done, liars, err := d.heard.ask(v, func() (bool, []netip.Addr, error) { return d.compare(ctx, v, h) })
		if done || err != nil {
			d.others[v.below] = true
		}
		if err != nil {
			return err
		}
		for _, a := range liars {
			d.sources.find(a).lied = true
		}
	}
	return nil
}

// otherVoice returns those who state a weight that was not looked at and that the floor
// allows, nil if there are none: those that were heard least, and of these those of most
// groups.
func (h *heights) otherVoice(all []Supporter, looked map[mcm.Weight]bool, heard *hearings, skip func(*Supporter) bool) *voice {
	voices := map[mcm.Weight]*voice{}
	for i := range all {
		by := &all[i]
		at, ok := h.above[by.Claim.Hash]
		if !ok || skip(by) {
			continue
		}
		below := h.stated(by, at)
		if below == h.below || looked[below] || h.want != nil && below != *h.want {
			continue
		}
		v := voices[below]
		if v == nil {
			v = &voice{below: below, groups: map[netip.Prefix]bool{}}
			voices[below] = v
		}
		v.by = append(v.by, *by)
		v.groups[by.Group] = true
	}
	var most *voice
	for _, v := range voices {
		if most == nil || cmp.Or(heard.attempts(most.below)-heard.attempts(v.below), len(v.groups)-len(most.groups), v.below.Cmp(most.below)) > 0 {
			most = v
		}
	}
	return most
}

// stated returns what a supporter says is below version 3, whose tip is at that height.
func (h *heights) stated(by *Supporter, at height) mcm.Weight {
	below, _ := by.Claim.Weight.Sub(at.weight)
	if less, _ := below.Sub((mcm.Weight{}).AddDifficulty(at.difficulty)); at.last && (less == h.below || h.want != nil && less == *h.want) {
		return less // with the tip itself
	}
	return below
}

// fits reports whether a history of that weight is what a voice states.
func (h *heights) fits(v *voice, below mcm.Weight) bool {
	with := *h
	with.below = below
	return slices.ContainsFunc(v.by, func(by Supporter) bool { return with.stated(&by, h.above[by.Claim.Hash]) == below })
}

// backers returns how many groups state the weight of the history that was found.
func (h *heights) backers(all []Supporter) int {
	groups := map[netip.Prefix]bool{}
	for i := range all {
		by := &all[i]
		if at, ok := h.above[by.Claim.Hash]; ok && h.stated(by, at) == h.below {
			groups[by.Group] = true
		}
	}
	return len(groups)
}

// A height is what a trailer weighs above block 0xa06ff.
type height struct {
	weight     mcm.Weight
	last       bool // its number ends in ff
	difficulty uint8
}

// heights are the weights of a branch with the history that was found.
type heights struct {
	below mcm.Weight          // of that history
	above map[mcm.Hash]height // of the branch's last trailers
	want  *mcm.Weight         // of the history that the floor rests on; nil: no floor says
}

// right reports whether the history is the one that the floor rests on.
func (h *heights) right() bool { return h.want != nil && *h.want == h.below }

// heights weighs the branch.
func (d *download) heights() (*heights, error) {
	low, high, _ := d.staging.Bounds()
	weight, _ := d.staging.Weight()
	if low > d.o.Base.Num {
		at, ok := d.o.Chain.At(low - 1)
		if !ok {
			return nil, errors.New("chainsync: the own chain ends below what has met it")
		}
		weight, _ = weight.Add(at.Weight)
	}
	h := &heights{above: map[mcm.Hash]height{}}
	var sum mcm.Weight
	for n := mcm.V30Trigger; n <= high; {
		ts, err := d.staging.Trailers(n, wire.MaxTF)
		if err != nil {
			return nil, err
		}
		if len(ts) == 0 {
			break
		}
		for i := range ts {
			t := &ts[i]
			sum = rules.AddWeight(sum, t)
			if t.Num() >= d.b.Trailers[0].Num() {
				h.above[*t.Hash()] = height{sum, !rules.AddsWeight(t), t.WorkDifficulty()}
			}
			if f := d.o.Floor; f != nil && f.Num == t.Num() {
				want, _ := f.Weight.Sub(sum)
				h.want = &want
			}
		}
		n += mcm.BlockNum(len(ts))
	}
	h.below, _ = weight.Sub(sum)
	return h, nil
}

// A reader is where trailers are: a staging, or the own chain.
type reader interface {
	Trailers(first mcm.BlockNum, count int) ([]mcm.Trailer, error)
}

// compare fetches another version, as far as it differs, and takes it if it is what the
// floor rests on, or where there is no floor has more worked weight, or as much and more
// groups that state it.  It fits if it has the weight that is stated of it.  liars are
// those who served something invalid instead.
func (d *download) compare(ctx context.Context, v *voice, h *heights) (fits bool, liars []netip.Addr, err error) {
	low, _, _ := d.staging.Bounds()
	tie := len(v.groups) > h.backers(d.b.Supporters)
	return d.s.compare(ctx, &d.heard, d.b, v, h, tie, d.staging, low, func(sub *download) error {
		if _, err := sub.takeOver(d.staging, true); err != nil {
			return err
		}
		return d.merge(sub.staging, mcm.V30Trigger)
	})
}

// compare is download.compare with what there is in mine, from block low on.  tie says
// whether as much work is enough.  take makes the version, which begins with its bottom
// and ends with block 0xa0700, the one to have.
func (s *Syncer) compare(ctx context.Context, all *hearings, b *Branch, v *voice, h *heights, tie bool, mine reader, low mcm.BlockNum, take func(*download) error) (fits bool, liars []netip.Addr, err error) {
	log := s.o.Log.With("groups", len(v.groups), "below", v.below)
	sub, err := s.newVersion(ctx, b, v, mine)
	if errors.Is(err, errNoVersion) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, err
	}
	late := time.AfterFunc(time.Until(all.until), func() { sub.cancel(errNoVersion) })
	defer late.Stop()
	taken := false
	defer func() {
		sub.stopAll()
		sub.cancel(context.Canceled)
		sub.wg.Wait()
		s.sched.leave(sub)
		sub.accuse()
		if low, high, ok := sub.staging.Bounds(); ok && !taken {
			all.trailers += int(high - low)
		}
		if !taken {
			err = errors.Join(err, sub.staging.Remove())
			s.sched.drop(sub.staging)
		}
	}()
	from, work, err := sub.fetchVersion(sub.ctx, mine, low, func(weight, other, work, theirs mcm.Weight) bool {
		below, _ := h.below.Sub(weight)
		below, _ = below.Add(other)
		fits = h.fits(v, below)
		if h.want != nil {
			return below == *h.want
		}
		return theirs.Cmp(work) > 0 || tie && fits && theirs == work
	})
	if !late.Stop() && ctx.Err() == nil {
		err = errNoVersion
	}
	var stuck *unavailableError
	var bad *invalidError
	switch {
	case errors.As(err, &bad):
		for _, c := range bad.faults {
			sub.suspect(bad.ID, bad.ID, sub.sources.find(c.Peer), c)
			liars = append(liars, c.Peer)
		}
		log.Info("sync: another history is invalid", "bnum", bad.at, "err", err)
		return false, liars, nil
	case errors.Is(err, errLess):
		log.Info("sync: another history is not the one to have", "fork", from, "fits", fits, "err", err)
		return fits, nil, nil
	case errors.As(err, &stuck), errors.Is(err, errNoVersion):
		log.Info("sync: another history can't be had", "err", err)
		return false, nil, nil
	case err != nil:
		return false, nil, err
	}
	log.Warn("sync: there is another history below version 3, with more work", "fork", from, "work", work)
	taken = true
	return fits, nil, take(sub)
}

// What a version can be besides invalid or not to be had.
var (
	errNoVersion = errors.New("chainsync: it doesn't fit what is below, or takes too long")
	errLess      = errors.New("chainsync: it has no more work than what there is, or isn't what is stated")
)

// newVersion returns a download of the part of a version that differs, which begins at
// block 0xa0700.
func (s *Syncer) newVersion(ctx context.Context, b *Branch, v *voice, mine reader) (*download, error) {
	first, err := mine.Trailers(mcm.V30Trigger, 1)
	if err != nil {
		return nil, err
	}
	if len(first) != 1 {
		return nil, errors.New("chainsync: history below nothing")
	}
	name := versionName("version ", b, v)
	if g, ok := mine.(*chain.Staging); ok && g.Name() == name {
		name = versionName("another version ", b, v) // that one was taken, and isn't what they state
	}
	g, err := s.o.Chain.Stage(name)
	if err != nil {
		return nil, err
	}
	if !s.sched.seize(g) {
		return nil, fmt.Errorf("%w: staging %s is in use", errNoVersion, name)
	}
	if _, high, ok := g.Bounds(); ok { // of an earlier run
		if err := g.CutBelow(high + 1); err != nil {
			return nil, err
		}
	}
	if err := g.Append(first, netip.Addr{}); err != nil {
		return nil, err
	}
	theirs := *b
	theirs.Supporters = v.by
	sub := &download{
		s: s, o: &s.o, b: &theirs, staging: g, low: first[0],
		sources: newSources(v.by), reasons: map[string]int{}, under: map[*probe]bool{}, suspects: map[mcm.Hash][]suspect{}, crowd: len(b.Supporters),
		bottom: s.o.Base.Num, depth: 1, distrust: math.MaxUint64, old: true, version: true,
		probes: make(chan *probe, s.o.Limits.Flight),
	}
	sub.ctx, sub.cancel = context.WithCancelCause(ctx)
	sub.wake = s.sched.join(sub)
	sub.worker = newWorker(sub)
	return sub, nil
}

func versionName(what string, b *Branch, v *voice) string {
	below := v.below.LE()
	sum := sha256.Sum256(append([]byte(what+b.Tip().Hash().String()), below[:]...))
	return hex.EncodeToString(sum[:])
}

// parting returns the first block at which the version differs from what there is, by
// asking for single trailers.  Where the highest is the same it doesn't show that way,
// and all of it is wanted.  It is not ok if nobody answers.
func (d *download) parting(ctx context.Context, mine reader, low mcm.BlockNum) (first mcm.BlockNum, ok bool, err error) {
	same := func(n mcm.BlockNum) (same, ok bool, err error) {
		own, err := mine.Trailers(n, 1)
		if err != nil || len(own) != 1 {
			return false, false, err
		}
		t := d.single(ctx, n)
		return t != nil && *t == own[0], t != nil, nil
	}
	is, ok, err := same(mcm.V30Trigger - 1)
	if err != nil || !ok || is {
		return low, ok, err
	}
	if is, ok, err = same(low); err != nil || !ok || !is {
		return low, ok, err
	}
	high := mcm.V30Trigger - 1 // differs, and low doesn't
	for high-low > 1 {
		mid := low + (high-low)/2
		is, ok, err := same(mid)
		switch {
		case err != nil || !ok:
			return low, ok, err
		case is:
			low = mid
		default:
			high = mid
		}
	}
	return high, true, nil
}

// single asks the version's supporters for one trailer, nil if none of three has it.
func (d *download) single(ctx context.Context, n mcm.BlockNum) *mcm.Trailer {
	asked := 0
	for _, src := range d.sources.all {
		if src.out || asked == tries || !d.o.Accounts.MayServe(src.Addr, d.o.Now()) {
			continue
		}
		asked++
		r := d.fetch(ctx, src, n, 1)
		d.o.Metrics.bytes.Add(float64(r.bytes))
		d.s.received(r.bytes)
		if r.err == nil && !r.declined && len(r.trailers) == 1 {
			return &r.trailers[0]
		}
		src.failures++
	}
	return nil
}

// fetchVersion fetches the part of the version that differs, from the block on that it returns,
// and if that is what is wanted, by the weight and the work of both there, has its work
// proven.  It returns that work.
func (d *download) fetchVersion(ctx context.Context, mine reader, low mcm.BlockNum, wanted func(weight, other, work, theirs mcm.Weight) bool) (from mcm.BlockNum, theirs mcm.Weight, err error) {
	from, ok, err := d.parting(ctx, mine, low)
	if err != nil || !ok {
		return from, theirs, cmp.Or(err, errNoVersion)
	}
	d.bottom = from
	w := d.worker
	d.wg.Go(func() { w.run(d.ctx) })
	if err := d.obtained(ctx); err != nil {
		return from, theirs, err
	}
	if from > low {
		below, err := mine.Trailers(from-1, 1)
		if err != nil {
			return from, theirs, err
		}
		if len(below) != 1 || proof.Against(&below[0], &d.low) != nil {
			return from, theirs, errNoVersion
		}
	}
	weight, work, err := oldSums(mine, from)
	if err != nil {
		return from, theirs, err
	}
	other, theirs, err := oldSums(d.staging, from)
	if err != nil {
		return from, theirs, err
	}
	if !wanted(weight, other, work, theirs) {
		return from, theirs, errLess
	}
	return from, theirs, d.proveOld(ctx)
}

// oldSums returns weight and worked weight of what there is from a block up to version 3.
func oldSums(g reader, from mcm.BlockNum) (weight, work mcm.Weight, err error) {
	for n := from; n < mcm.V30Trigger; {
		ts, err := g.Trailers(n, int(min(mcm.V30Trigger-n, wire.MaxTF)))
		if err != nil {
			return weight, work, err
		}
		if len(ts) == 0 {
			return weight, work, errors.New("chainsync: history with a gap")
		}
		w, k := sums(ts)
		weight, _ = weight.Add(w)
		work, _ = work.Add(k)
		n += mcm.BlockNum(len(ts))
	}
	return weight, work, nil
}
