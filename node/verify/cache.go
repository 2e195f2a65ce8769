package verify

import (
	"context"
	"sync"

	"kigo/node/mcm"
)

// A Cache is a Verifier that asks another one only for what it doesn't know.
type Cache struct {
	v       Verifier
	half    int
	wrong   func() int
	metrics *Metrics

	mu sync.Mutex
	// Two generations: what is used moves to young; when young is full, old is
	// forgotten and young grows old.
	young, old map[mcm.Trailer]Result
	flights    map[mcm.Trailer]seat // being computed right now
	seen       int                  // what wrong returned when both were last empty
}

// A flight is one call of the inner Verifier that others may wait for.
type flight struct {
	batch   []mcm.Trailer
	index   []int32       // where in the leader's batch they stand
	done    chan struct{} // closed when the rest may be read
	results []Result
	err     error // nil also when the leader was interrupted
	wrong   int   // engines that had been found to compute wrongly when it began
}

// A seat is one trailer of a flight.
type seat struct {
	*flight
	at int
}

// A passenger is an entry of a caller's batch that waits for a seat.
type passenger struct {
	seat
	index int32
}

// Cached returns a Verifier that remembers v's verdicts on up to entries
// trailers, at least 2, under their own 160 bytes.  The whole trailer is the
// key, since peers choose the bytes and would find collisions in anything
// shorter that isn't keyed.  A full cache takes about 300 bytes an entry: 20 MB
// for 1<<16.
//
// Callers that ask for the same trailer at the same time share one computation,
// and a trailer that stands in a batch several times is computed once.  A caller
// whose ctx ends leaves at once; when it was the one that had the trailers
// computed, those who waited for it go on by themselves.
//
// Only decided verdicts are kept, and of these only such as cost something to
// find: exemptions and broken nonces are free to judge, so keeping them would
// only let a peer crowd out the rest.
//
// Whenever the number that wrong returns grows, such as Router.Wrong, all is
// forgotten.  A nil wrong stands for a v that never computes wrongly, and a nil m
// counts unseen.
func Cached(v Verifier, entries int, wrong func() int, m *Metrics) *Cache {
	if wrong == nil {
		wrong = func() int { return 0 }
	}
	return &Cache{
		v:       v,
		half:    max(entries/2, 1),
		wrong:   wrong,
		metrics: metricsOr(m),
		young:   map[mcm.Trailer]Result{},
		old:     map[mcm.Trailer]Result{},
		flights: map[mcm.Trailer]seat{},
	}
}

// VerifyPoW implements Verifier.
func (c *Cache) VerifyPoW(ctx context.Context, dst []Result, batch []mcm.Trailer) error {
	if err := CheckLengths(dst, batch); err != nil {
		return err
	}
	clear(dst)
	open := make([]int32, len(batch))
	for i := range open {
		open[i] = int32(i)
	}
	for len(open) > 0 {
		if err := Interrupted(ctx); err != nil {
			return err
		}
		own, waiting := c.board(dst, batch, open)
		if own != nil {
			if err := c.fly(ctx, own, dst); err != nil {
				return err
			}
		}
		open = open[:0]
		for _, p := range waiting {
			select {
			case <-p.done:
			case <-ctx.Done():
				return Interrupted(ctx)
			}
			switch r := p.results[p.at]; {
			case r.Verdict != Unchecked:
				dst[p.index] = r
				c.metrics.cacheHits.Inc()
			case p.err != nil:
				return p.err
			default: // its leader was interrupted; we are not
				open = append(open, p.index)
			}
		}
	}
	return nil
}

// board answers the open entries of batch that are known and sorts the others:
// those that somebody computes already, and those that the caller has to
// compute, as a flight that later callers find.
func (c *Cache) board(dst []Result, batch []mcm.Trailer, open []int32) (own *flight, waiting []passenger) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.wrong(); now != c.seen {
		clear(c.young)
		clear(c.old)
		clear(c.flights)
		c.seen = now
	}
	hits := 0
	for _, i := range open {
		t := &batch[i]
		if r, ok := c.get(t); ok {
			dst[i] = r
			hits++
			continue
		}
		if s, ok := c.flights[*t]; ok {
			waiting = append(waiting, passenger{s, i})
			continue
		}
		if own == nil {
			own = &flight{done: make(chan struct{}), wrong: c.seen}
		}
		c.flights[*t] = seat{own, len(own.batch)}
		own.batch = append(own.batch, *t)
		own.index = append(own.index, i)
	}
	if own != nil {
		own.results = make([]Result, len(own.batch))
	}
	c.metrics.cacheHits.Add(float64(hits))
	return own, waiting
}

// fly has f computed, stores its results in dst and in the cache, and lets
// those who wait go on.
func (c *Cache) fly(ctx context.Context, f *flight, dst []Result) error {
	defer func() { // also when v panics
		c.mu.Lock()
		right := f.wrong == c.wrong()
		for i := range f.batch {
			if c.flights[f.batch[i]].flight == f {
				delete(c.flights, f.batch[i])
			}
			if right {
				c.put(&f.batch[i], f.results[i])
			}
		}
		c.mu.Unlock()
		close(f.done)
	}()
	c.metrics.cacheMisses.Add(float64(len(f.batch)))
	err := c.v.VerifyPoW(ctx, f.results, f.batch)
	if err == nil && undecided(f.results) {
		err = &BackendError{"cache", "verify", errUndecided}
	}
	for i, at := range f.index {
		dst[at] = f.results[i]
	}
	if err != nil && ctx.Err() != nil {
		return Interrupted(ctx)
	}
	f.err = err
	return err
}

// get looks t up.  The caller holds mu.
func (c *Cache) get(t *mcm.Trailer) (Result, bool) {
	r, ok := c.young[*t]
	if !ok {
		if r, ok = c.old[*t]; ok {
			delete(c.old, *t)
			c.put(t, r)
		}
	}
	return r, ok
}

// put keeps r when it is worth it.  The caller holds mu.
func (c *Cache) put(t *mcm.Trailer, r Result) {
	if r.Verdict != Valid && r.Verdict != BadWork {
		return
	}
	if len(c.young) >= c.half {
		c.young, c.old = c.old, c.young
		clear(c.young)
	}
	c.young[*t] = r
}
