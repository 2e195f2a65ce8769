package chainsync

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"sync"
	"time"

	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/status"
)

// waits remembers the branches that nobody served, which are left alone for a while
// (docs/spec/sync.md section 8.7).  It is safe for concurrent use.
//
// The key of a branch should be its first trailer that is not on the own chain.  But
// that is what could not be fetched, so it is the middle one of those that its
// supporters have shown: as the branch grows that stays among them for 27 blocks, and
// another one there costs as many.
type waits struct {
	o *Options

	mu sync.Mutex
	m  map[mcm.Hash]memory.Waiting
}

func newWaits(o *Options) *waits {
	w := &waits{o: o, m: map[mcm.Hash]memory.Waiting{}}
	now := o.Now()
	for _, rec := range o.Waiting {
		if !w.stale(&rec, now) {
			w.m[rec.Root] = rec
		}
	}
	w.room()
	w.o.Metrics.waiting.Set(float64(len(w.m)))
	return w
}

// stale reports whether a record is of no use any more: its wait is long over, or was
// written under another clock.
func (w *waits) stale(rec *memory.Waiting, now time.Time) bool {
	left := rec.Until.Sub(now)
	return left <= -w.o.Limits.LongestWait || left > w.o.Limits.LongestWait+time.Minute
}

// root returns the key of a branch.
func root(b *Branch) mcm.Hash {
	ts := b.Trailers
	return *ts[max(0, len(ts)-mcm.ProofTrailers/2)].Hash()
}

// find returns the record of a branch, however it has grown since.
func (w *waits) find(b *Branch) (rec memory.Waiting, ok bool) {
	if len(w.m) == 0 {
		return rec, false
	}
	for i := range b.Trailers {
		if rec, ok = w.m[*b.Trailers[i].Hash()]; ok {
			return rec, true
		}
	}
	return rec, false
}

// hold reports whether a branch has to wait.  A group that is new to it ends that.
func (w *waits) hold(b *Branch, now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	rec, ok := w.find(b)
	if !ok {
		return false
	}
	if w.stale(&rec, now) {
		w.end(rec.Root, now)
		return false
	}
	for _, g := range groupsOf(b) {
		if len(rec.Groups) < memory.MaxWaitingGroups && !slices.Contains(rec.Groups, g) {
			w.end(rec.Root, now)
			return false
		}
	}
	return now.Before(rec.Until)
}

// failed notes that nobody served a branch: 10 minutes, doubled with each failure, at
// most 2 hours.
func (w *waits) failed(b *Branch, reason string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	rec, ok := w.find(b)
	if !ok {
		rec = memory.Waiting{Root: root(b)}
	}
	rec.Failures++
	wait := w.o.Limits.Wait
	for i := 1; i < rec.Failures && wait < w.o.Limits.LongestWait; i++ {
		wait *= 2
	}
	rec.Until = now.Add(min(wait, w.o.Limits.LongestWait))
	rec.Reason = reason
	rec.Groups = groupsOf(b)
	rec.Groups = rec.Groups[:min(len(rec.Groups), memory.MaxWaitingGroups)]
	w.m[rec.Root] = rec
	w.room()
	w.save(now, &memory.Changes{Waiting: []memory.Waiting{rec}})
}

// served notes the first byte that somebody has served of a branch.
func (w *waits) served(b *Branch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if rec, ok := w.find(b); ok {
		w.end(rec.Root, w.o.Now())
	}
}

func (w *waits) end(root mcm.Hash, now time.Time) {
	delete(w.m, root)
	w.save(now, &memory.Changes{Served: []mcm.Hash{root}})
}

// room keeps to the capacity: the record whose wait ends first leaves.
func (w *waits) room() {
	for len(w.m) > memory.MaxWaiting {
		all := w.list()
		for _, rec := range all[:len(all)-memory.MaxWaiting] {
			delete(w.m, rec.Root)
		}
	}
}

// save keeps a change.  A memory that fails costs no more than a wait.
func (w *waits) save(now time.Time, c *memory.Changes) {
	w.o.Metrics.waiting.Set(float64(len(w.m)))
	if w.o.Memory == nil {
		return
	}
	if err := w.o.Memory.Save(now, c); err != nil {
		w.o.Log.Warn("sync: a waiting branch was not saved", "err", err)
	}
}

// list returns all records, those whose wait ends first first.
func (w *waits) list() []memory.Waiting {
	all := make([]memory.Waiting, 0, len(w.m))
	for _, rec := range w.m {
		all = append(all, rec)
	}
	slices.SortFunc(all, func(a, b memory.Waiting) int {
		return cmp.Or(a.Until.Compare(b.Until), bytes.Compare(a.Root[:], b.Root[:]))
	})
	return all
}

// groupsOf returns the groups that support a branch, ascending.
func groupsOf(b *Branch) (groups []netip.Prefix) {
	for i := range b.Supporters {
		if g := b.Supporters[i].Group; g.IsValid() {
			groups = append(groups, g)
		}
	}
	slices.SortFunc(groups, netip.Prefix.Compare)
	return slices.Compact(groups)
}

// served notes the first byte that a supporter has served of a branch.
func (s *Syncer) served(b *Branch) { s.waits.served(b) }

// Waiting returns the branches that are left alone for now, and until when, those
// whose wait ends first first.
func (s *Syncer) Waiting() []status.Waiting {
	now := s.o.Now()
	s.waits.mu.Lock()
	defer s.waits.mu.Unlock()
	var all []status.Waiting
	for _, rec := range s.waits.list() {
		if now.Before(rec.Until) && !s.waits.stale(&rec, now) {
			all = append(all, status.Waiting{Root: rec.Root, Until: rec.Until, Failures: rec.Failures, Reason: rec.Reason})
		}
	}
	return all
}
