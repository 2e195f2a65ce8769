package verify

import (
	"context"
	"errors"
	"sync"
	"time"

	"kigo/node/mcm"
)

// errAbandoned ends a merged call that nobody waits for any more.
var errAbandoned = errors.New("verify: no caller left")

// A Coalescer is a Verifier that merges small concurrent batches.
type Coalescer struct {
	v    Verifier
	max  int
	wait time.Duration

	running sync.WaitGroup // merges from their first item on, and large batches

	mu     sync.Mutex
	closed bool
	open   *merge // takes more items; nil while idle
}

// A merge is one call made of several.
type merge struct {
	ctx    context.Context // ends when the last caller leaves
	cancel context.CancelCauseFunc

	// Guarded by Coalescer.mu.
	batch   []mcm.Trailer // fixed once the merge is no longer open
	callers int           // that still wait
	timer   *time.Timer

	// Valid once done is closed.
	done    chan struct{}
	results []Result
	err     error
}

// Coalesce returns a Verifier that hands v the trailers of concurrent calls
// together.  A merge starts with its first item and is flushed when it has max
// items (the last batch may carry it to fewer than twice that), when its first
// item is wait old, or by Close; nothing runs in between.  A batch of max or
// more goes to v at once, with its caller's ctx.
//
// Trailers are copied, so a caller whose ctx ends leaves at once; when all have
// left, the merged call is cancelled.  An error of a merged call goes to all
// who wait for it.  A merged call doesn't see the values in its callers' ctx.
func Coalesce(v Verifier, max int, wait time.Duration) *Coalescer {
	return &Coalescer{v: v, max: max, wait: wait}
}

// VerifyPoW implements Verifier.  After Close it returns ErrClosed.
func (c *Coalescer) VerifyPoW(ctx context.Context, dst []Result, batch []mcm.Trailer) error {
	if err := CheckLengths(dst, batch); err != nil {
		return err
	}
	clear(dst)
	if len(batch) == 0 {
		return nil
	}
	if err := Interrupted(ctx); err != nil {
		return err
	}
	if len(batch) >= c.max {
		return c.pass(ctx, dst, batch)
	}
	m, from, err := c.join(batch)
	if err != nil {
		return err
	}
	select {
	case <-m.done:
	case <-ctx.Done():
		c.leave(m)
		return Interrupted(ctx)
	}
	copy(dst, m.results[from:])
	if m.err != nil && ctx.Err() != nil {
		return Interrupted(ctx)
	}
	return m.err
}

// pass does a large batch in the caller's own goroutine.
func (c *Coalescer) pass(ctx context.Context, dst []Result, batch []mcm.Trailer) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return ErrClosed
	}
	c.running.Add(1)
	c.mu.Unlock()
	defer c.running.Done()
	return c.v.VerifyPoW(ctx, dst, batch)
}

// join adds batch to the open merge and returns where it begins there.
func (c *Coalescer) join(batch []mcm.Trailer) (m *merge, from int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, 0, ErrClosed
	}
	if c.open == nil {
		c.open = c.begin()
	}
	m = c.open
	from = len(m.batch)
	m.batch = append(m.batch, batch...)
	m.callers++
	if len(m.batch) >= c.max {
		c.detach()
		go c.run(m)
	}
	return m, from, nil
}

// begin opens a merge.  The caller holds mu.
func (c *Coalescer) begin() *merge {
	ctx, cancel := context.WithCancelCause(context.Background())
	m := &merge{ctx: ctx, cancel: cancel, done: make(chan struct{})}
	m.timer = time.AfterFunc(c.wait, func() {
		c.mu.Lock()
		late := c.open != m // size, Close or the last caller was faster
		if !late {
			c.detach()
		}
		c.mu.Unlock()
		if !late {
			c.run(m)
		}
	})
	c.running.Add(1)
	return m
}

// detach takes the open merge from the shelf; whoever calls it runs or drops
// the merge.  The caller holds mu.
func (c *Coalescer) detach() *merge {
	m := c.open
	c.open = nil
	m.timer.Stop()
	return m
}

func (c *Coalescer) run(m *merge) {
	defer c.running.Done()
	defer m.cancel(nil)
	m.results = make([]Result, len(m.batch))
	m.err = c.v.VerifyPoW(m.ctx, m.results, m.batch)
	close(m.done)
}

// leave takes a caller out of m, which ends with its last one.
func (c *Coalescer) leave(m *merge) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m.callers--
	if m.callers > 0 {
		return
	}
	m.cancel(errAbandoned)
	if c.open == m {
		c.detach()
		c.running.Done()
	}
}

// Close flushes what has been gathered and waits for every call that is under
// way.  It returns nil, also the second time.
func (c *Coalescer) Close() error {
	c.mu.Lock()
	c.closed = true
	if c.open != nil {
		m := c.detach()
		go c.run(m)
	}
	c.mu.Unlock()
	c.running.Wait()
	return nil
}
