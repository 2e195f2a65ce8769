package verify

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"kigo/node/mcm"
)

const (
	// firstPause is how long a backend is left alone after it failed once, and
	// longestPause after it failed many times in a row.  Shorter floods the log
	// when a device is gone, longer wastes one that was only reset.
	firstPause   = time.Second
	longestPause = 5 * time.Minute
)

// A Router is a Verifier that gives each batch to the backend that is likely to
// be done first, and to another one when that fails.
type Router struct {
	log     *slog.Logger
	metrics *Metrics
	members []*member // in the order of preference, the safest last
}

// A member is a backend and what the router thinks of it.
type member struct {
	Backend
	info Info
	last bool // the one that is never left out

	wrong atomic.Bool // it was found to compute wrongly

	mu       sync.Mutex
	rates    rates
	failures int // in a row
	until    time.Time
	retired  bool
	err      error // the latest failure; nil when it serves
}

// NewRouter returns a Router over backends, at least one, given in the order in
// which they are preferred until they have been measured; the safest, which is
// the portable one, comes last.
//
// A batch goes to the backend that is expected to need the least time for it,
// among those that take batches of its size (Info.MinBatch) and are healthy.
// What is expected is learned from earlier batches of about the same size.  Of
// backends on one device (Info.Device) the first that takes the batch goes before
// the others: batches that share a device disturb each other's times, so their
// speeds can't be told apart that way.  When
// a backend fails, with an error or by leaving trailers unchecked, it is left
// alone for a while, longer each time, or for good when the error is a
// *RetiredError, and the whole batch is done by the next.  The last backend is
// tried for every batch that all others have failed, whatever its own health.
// Only when that fails too does the caller get an error.
//
// A batch of at least the sum of their chunks is shared by the backends that run
// on different devices (Info.Device), by their measured rates, and a smaller one
// when they are expected to be done with it clearly sooner than one of them alone.
//
// A nil log is silent, a nil m counts unseen.
func NewRouter(log *slog.Logger, m *Metrics, backends ...Backend) *Router {
	if len(backends) == 0 {
		panic("verify: a Router needs a backend")
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &Router{log: log, metrics: metricsOr(m)}
	for i, b := range backends {
		r.members = append(r.members, &member{Backend: b, info: b.Info(), last: i == len(backends)-1})
	}
	return r
}

// VerifyPoW implements Verifier.
func (r *Router) VerifyPoW(ctx context.Context, dst []Result, batch []mcm.Trailer) error {
	if err := CheckLengths(dst, batch); err != nil {
		return err
	}
	clear(dst)
	if len(batch) == 0 {
		return nil
	}
	if crew := r.crew(len(batch)); crew != nil {
		return r.share(ctx, crew, dst, batch)
	}
	return r.serve(ctx, dst, batch)
}

// serve has the batch done by one backend after the other until one succeeds.
func (r *Router) serve(ctx context.Context, dst []Result, batch []mcm.Trailer) error {
	var failed []error
	for _, m := range r.order(len(batch), true) {
		if err := Interrupted(ctx); err != nil {
			return err
		}
		err := r.call(ctx, m, dst, batch)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return Interrupted(ctx)
		}
		failed = append(failed, err)
	}
	if len(failed) == 0 { // all are retired
		for _, m := range r.members {
			failed = append(failed, m.status().Err)
		}
	}
	return errors.Join(failed...)
}

// order returns the backends to try for n trailers, best first.  With relax
// those that are passed over look a little better next time.
func (r *Router) order(n int, relax bool) []*member {
	type candidate struct {
		*member
		small   bool // n is less than it takes
		second  bool // one on the same device is preferred
		seconds float64
	}
	var all []candidate
	now, measured := time.Now(), false
	taken := map[string]bool{} // devices with one that takes n
	for _, m := range r.members {
		m.mu.Lock()
		if m.usable(now) || m.last && !m.retired {
			seconds, known := m.rates.seconds(n, m.info.Chunk)
			// One of which nothing is known is worth trying on 10 ms of work; on
			// more only if it is preferred to all that are known.
			if !known && measured && n > m.info.Chunk {
				seconds = math.Inf(1)
			}
			measured = measured || known
			small, device := n < m.info.MinBatch, m.info.Device
			all = append(all, candidate{m, small, taken[device], seconds})
			if !small && device != "" {
				taken[device] = true
			}
		}
		m.mu.Unlock()
	}
	slices.SortStableFunc(all, func(a, b candidate) int {
		if a.small && !b.small {
			return 1
		}
		if b.small && !a.small {
			return -1
		}
		if a.second != b.second {
			if a.second {
				return 1
			}
			return -1
		}
		return cmp.Compare(a.seconds, b.seconds)
	})
	members := make([]*member, len(all))
	for i, c := range all {
		members[i] = c.member
		if relax && i > 0 && !c.small && !c.second {
			c.mu.Lock()
			c.rates.relax(n, all[0].seconds)
			c.mu.Unlock()
		}
	}
	return members
}

// usable reports whether m may be given work.  The caller holds m.mu.
func (m *member) usable(now time.Time) bool { return !m.retired && !now.Before(m.until) }

// call has m do the batch, and learns from it.  After an error that isn't ctx's
// m is demoted and dst cleared.
func (r *Router) call(ctx context.Context, m *member, dst []Result, batch []mcm.Trailer) error {
	start := time.Now()
	err := m.VerifyPoW(ctx, dst, batch)
	took := time.Since(start)
	if err == nil && undecided(dst) {
		err = errUndecided
	}
	if err == nil {
		r.metrics.batch(m.info.Name, dst, took)
		if m.succeeded(hashed(dst), took) {
			r.log.Info("backend serves again", "backend", m.info.Name)
		}
		return nil
	}
	var retired *RetiredError
	isRetired := errors.As(err, &retired)
	if isRetired && retired.Class.wrong() {
		m.wrong.Store(true)
	}
	if ctx.Err() != nil {
		return Interrupted(ctx)
	}
	clear(dst)
	var named *BackendError
	if !isRetired && !errors.As(err, &named) {
		err = &BackendError{m.info.Name, "verify", err}
	}
	r.metrics.fallbacks.WithLabelValues(m.info.Name).Inc()
	pause, first := m.failed(err)
	switch {
	case pause > 0:
		r.log.Warn("backend failed, its batch goes to another", "backend", m.info.Name,
			"batch", len(batch), "err", err, "pause", pause)
	case first:
		r.metrics.Retired(m.info.Name, retired.Class)
		r.log.Error("backend is retired until the process ends, its batch goes to another", "backend", m.info.Name,
			"batch", len(batch), "err", err)
	default:
		r.log.Warn("backend is retired, its batch goes to another", "backend", m.info.Name,
			"batch", len(batch))
	}
	return err
}

// hashed returns how many of the trailers needed a hash.
func hashed(dst []Result) (n int) {
	for i := range dst {
		if v := dst[i].Verdict; v == Valid || v == BadWork {
			n++
		}
	}
	return n
}

// succeeded notes that n trailers were hashed and reports whether m had failed
// before.
func (m *member) succeeded(n int, took time.Duration) (again bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n > 0 { // what needs no hash says nothing of m's speed
		m.rates.observe(n, took)
	}
	again = m.failures > 0 && !m.retired
	m.failures, m.until = 0, time.Time{}
	if !m.retired {
		m.err = nil
	}
	return again
}

// failed notes that m failed.  It returns for how long m is left alone, 0 for
// ever, and whether this failure is what retires it.
func (m *member) failed(err error) (pause time.Duration, retires bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.retired { // the reason is the first one
		return 0, false
	}
	m.err = err
	var retired *RetiredError
	if errors.As(err, &retired) {
		m.retired = true
		return 0, true
	}
	pause = min(firstPause<<min(m.failures, 16), longestPause)
	m.failures++
	m.until = time.Now().Add(pause)
	return pause, false
}

// A Status tells how a backend of a Router is doing.
type Status struct {
	Info Info
	// Retired says that it serves no more; Until, when not zero, that it is left
	// alone until then.
	Retired bool
	Until   time.Time
	// Err is its latest failure, nil when it has served since.
	Err error
	// Rate is the expected trailers a second in batches of Info.Chunk, 0 when
	// not yet known.
	Rate float64
}

// Status returns how each backend is doing, in the order given to NewRouter.
func (r *Router) Status() []Status {
	s := make([]Status, len(r.members))
	for i, m := range r.members {
		s[i] = m.status()
	}
	return s
}

func (m *member) status() Status {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Status{m.info, m.retired, m.until, m.err, m.rates.rate(0, m.info.Chunk)}
}

// Wrong returns how many backends were found to compute wrongly so far.  Each time it
// grows, what was called valid before may be wrong too, whoever remembers it.
func (r *Router) Wrong() (n int) {
	for _, m := range r.members {
		a, audited := m.Backend.(*Auditor) // which may know before a call has ended
		if m.wrong.Load() || audited && a.Retired() != nil {
			n++
		}
	}
	return n
}

// Close closes all backends.  No call may be under way.
func (r *Router) Close() error {
	var errs []error
	for _, m := range r.members {
		if err := m.Close(); err != nil {
			errs = append(errs, &BackendError{m.info.Name, "close", err})
		}
	}
	return errors.Join(errs...)
}
