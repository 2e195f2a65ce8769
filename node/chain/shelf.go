package chain

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"kigo/node/mcm"
)

// syncEvery is how often stagings are synced: about what a crash of the machine
// costs of them.
const syncEvery = time.Second

// A shelf is the stagings of a Store.
type shelf struct {
	store *Store
	bytes atomic.Int64

	mu     sync.Mutex
	opened bool // what the folder has is in list
	list   map[string]*Staging
}

// Stage opens the staging of that name, hex digits, or makes it.  It fails with
// ErrRoom where eight others are there.
func (s *Store) Stage(name string) (*Staging, error) {
	if !validName(name) {
		return nil, fmt.Errorf("chain: a staging can't be named %q", name)
	}
	h := &s.shelf
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.open(); err != nil {
		return nil, err
	}
	if g := h.list[name]; g != nil {
		return g, nil
	}
	if len(h.list) >= maxStagings {
		return nil, ErrRoom
	}
	g := &Staging{store: s, name: name, last: seedOf(name)}
	var err error
	if g.data, err = s.disk.create(stagingPrefix + name + dataExt); err != nil {
		return nil, err
	}
	if g.log, err = s.disk.create(stagingPrefix + name + logExt); err != nil {
		return nil, errors.Join(err, g.data.close(), s.disk.remove(g.data.name))
	}
	if err := s.disk.syncDir(); err != nil {
		return nil, errors.Join(err, g.data.close(), g.log.close())
	}
	h.put(g)
	return g, nil
}

// Stagings returns those that are there, by name, each held against the digests in
// its log.
func (s *Store) Stagings() ([]*Staging, error) {
	h := &s.shelf
	h.mu.Lock()
	defer h.mu.Unlock()
	if err := h.open(); err != nil {
		return nil, err
	}
	var all []*Staging
	for _, g := range h.list {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *Staging) int { return strings.Compare(a.name, b.name) })
	return all, nil
}

// open reads what the folder has, once.
func (h *shelf) open() error {
	if h.list == nil {
		h.list = map[string]*Staging{}
	}
	select {
	case <-h.store.stop:
		return ErrClosed
	default:
	}
	if h.opened {
		return nil
	}
	entries, err := os.ReadDir(h.store.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, ok := strings.CutPrefix(e.Name(), stagingPrefix)
		ext := filepath.Ext(name)
		name = strings.TrimSuffix(name, ext)
		if !ok || !validName(name) || h.list[name] != nil {
			continue
		}
		var g *Staging
		var err error
		switch ext {
		case dataExt:
			g, err = h.store.reopen(name)
		case logExt:
			err = h.store.orphan(name)
		}
		if err != nil {
			return fmt.Errorf("staging %s: %w", name, err)
		}
		if g != nil {
			h.put(g)
		}
	}
	h.opened = true
	return nil
}

func (h *shelf) put(g *Staging) {
	h.list[g.name] = g
	h.store.metrics.stagings.Set(float64(len(h.list)))
}

// room reports whether n more bytes may be staged.
func (h *shelf) room(n int64) bool { return h.bytes.Load()+n <= maxStaged }

func (h *shelf) add(n int64) { h.store.metrics.staging.Set(float64(h.bytes.Add(n))) }

// drop forgets a staging that was closed.  The caller may hold its mu, which comes
// before that of the shelf.
func (h *shelf) drop(g *Staging) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.list[g.name] == g {
		delete(h.list, g.name)
		h.store.metrics.stagings.Set(float64(len(h.list)))
	}
	h.opened = h.opened && !h.store.disk.exists(g.data.name) // one that was closed can be opened again
}

// all returns the stagings that are open.
func (h *shelf) all() (all []*Staging) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, g := range h.list {
		all = append(all, g)
	}
	return all
}

func (h *shelf) closeAll() (err error) {
	for _, g := range h.all() {
		err = errors.Join(err, g.Close())
	}
	return err
}

// start begins to sync stagings from time to time, until Close.
func (s *Store) start() {
	s.syncing.Go(func() {
		tick := time.NewTicker(syncEvery)
		defer tick.Stop()
		for {
			select {
			case <-s.stop:
				return
			case <-tick.C:
			}
			for _, g := range s.shelf.all() {
				if err := g.sync(); err != nil {
					s.log.Warn("staging not synced", "file", g.data.name, "err", err)
				}
			}
		}
	})
}

// orphan sets the log of a staging aside whose data is gone.
func (s *Store) orphan(name string) error {
	log := stagingPrefix + name + logExt
	if s.disk.exists(stagingPrefix+name+dataExt) || !s.disk.exists(log) {
		return nil
	}
	s.metrics.repairs.WithLabelValues(repairStaging).Inc()
	to, err := s.setAside(log)
	if err != nil {
		return err
	}
	s.notice("%s is of no use, since its trailers are missing; it is %s now", log, to)
	return nil
}

// reopen opens a staging that the folder has.  What doesn't agree with its log is
// dropped; it returns nil if that was all of it.
func (s *Store) reopen(name string) (*Staging, error) {
	g := &Staging{store: s, name: name}
	logName := stagingPrefix + name + logExt
	b, err := os.ReadFile(s.disk.path(logName))
	if errors.Is(err, fs.ErrNotExist) {
		// Interrupted while it was made or removed.
		return nil, s.disk.remove(stagingPrefix + name + dataExt)
	}
	if err != nil {
		return nil, err
	}
	var good int
	var bad error
	g.runs, good, g.last, bad = replay(b, name, s.base)
	g.end = int64(good)
	if errors.Is(bad, errOld) {
		// All of it can be fetched again.
		s.notice("%s is removed: %v", logName, bad)
		return nil, errors.Join(s.disk.remove(logName), s.disk.remove(stagingPrefix+name+dataExt))
	}
	if g.data, err = s.disk.open(stagingPrefix + name + dataExt); err != nil {
		return nil, err
	}
	if g.log, err = s.disk.open(logName); err != nil {
		return nil, errors.Join(err, g.data.close())
	}
	if bad != nil && len(b)-good < recordLen {
		// A record that was being written.
		bad = nil
		err = g.log.truncate(g.end)
	}
	lost := g.check()
	switch {
	case err != nil:
	case bad == nil && lost == 0 && !wordy(&g.runs, good):
	case bad == nil && lost == 0:
		err = g.rewrite()
	default:
		err = g.mend(bad, lost)
	}
	if err != nil {
		return nil, errors.Join(err, g.data.close(), g.log.close())
	}
	if g.closed { // nothing was left
		return nil, nil
	}
	g.total = g.runs.sums()
	g.account()
	return g, nil
}

// wordy reports whether a log is much longer than it need be.
func wordy(r *runs, size int) bool {
	need := (1 + len(r.ranges) + len(r.worked)) * recordLen
	return size > 1<<16 && size > 4*need
}

// check keeps the longest part of the run whose ranges agree with their digests, have
// the right numbers and link to one another.  It returns how many ranges were lost.
func (g *Staging) check() (lost int) {
	var best, now [2]int // from, to
	var prev *mcm.Hash
	var buf [pieceLen]mcm.Trailer
	for i := range g.runs.ranges {
		x := &g.runs.ranges[i]
		ts := buf[:x.Count]
		if !g.sound(x, ts) {
			prev, now = nil, [2]int{i + 1, i + 1}
			continue
		}
		if prev == nil || *ts[0].PrevHash() != *prev {
			now = [2]int{i, i}
		}
		now[1] = i + 1
		if now[1]-now[0] >= best[1]-best[0] {
			best = now
		}
		x.sums = g.sumsOf(ts)
		hash := *ts[len(ts)-1].Hash()
		prev = &hash
	}
	lost = len(g.runs.ranges) - (best[1] - best[0])
	g.runs.ranges = slices.Clone(g.runs.ranges[best[0]:best[1]])
	g.runs.trimWork()
	return lost
}

// sound reports whether the data has the range x, which it reads into ts.
func (g *Staging) sound(x *stretch, ts []mcm.Trailer) bool {
	if _, err := g.data.ReadAt(mcm.Bytes(ts), g.place(x.First)); err != nil || sha256.Sum256(mcm.Bytes(ts)) != x.digest {
		return false
	}
	for k := range ts {
		if ts[k].Num() != x.First+mcm.BlockNum(k) || k > 0 && *ts[k].PrevHash() != *ts[k-1].Hash() {
			return false
		}
	}
	return true
}

// mend writes a log of what is left, after the old one was set aside, and the data
// too if nothing is.
func (g *Staging) mend(bad error, lost int) error {
	s := g.store
	s.metrics.repairs.WithLabelValues(repairStaging).Inc()
	if bad == nil {
		bad = fmt.Errorf("%d ranges of trailers differ from what it says", lost)
	}
	if err := g.log.close(); err != nil {
		return err
	}
	to, err := s.setAside(g.log.name)
	if err != nil {
		return err
	}
	if len(g.runs.ranges) == 0 {
		if err := g.data.close(); err != nil {
			return err
		}
		dataTo, err := s.setAside(g.data.name)
		if err != nil {
			return err
		}
		g.closed = true
		s.notice("%s is not used (%v); it is %s now, and its trailers are %s", g.log.name, bad, to, dataTo)
		return nil
	}
	low, high, _ := g.runs.bounds()
	s.notice("%s is not as it was (%v); it is %s now, and blocks %v to %v are left", g.log.name, bad, to, low, high)
	return g.rewrite()
}

// rewrite replaces the log by the shortest one.
func (g *Staging) rewrite() error {
	if err := g.log.close(); err != nil {
		return err
	}
	b, last := encodeLog(g.runs.records(g.store.base), g.name)
	if _, err := g.store.disk.replace(g.log.name, b); err != nil {
		return err
	}
	again, err := g.store.disk.open(g.log.name)
	if err != nil {
		return err
	}
	on, err := os.ReadFile(g.store.disk.path(g.log.name))
	if err == nil && !bytes.Equal(on, b) {
		err = errors.New("a log reads other than it was written")
	}
	g.log, g.end, g.last = again, int64(len(b)), last
	return err
}
