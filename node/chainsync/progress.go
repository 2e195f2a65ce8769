package chainsync

import (
	"math"
	"sync"
	"time"

	"kigo/node/status"
)

// often is how often progress is told, at most.
const often = 100 * time.Millisecond

// window is over how much time rates are measured.
const window = 10 * time.Second

// A reporter tells of a run while it is under way.
type reporter struct {
	r    *run
	quit chan struct{}
	wg   sync.WaitGroup

	mu   sync.Mutex // one tells at a time
	past []moment   // of the last window, oldest first
}

// A moment is what had been done at a time.
type moment struct {
	at                time.Time
	trailers, checked int64
}

func newReporter(r *run) *reporter {
	p := &reporter{r: r, quit: make(chan struct{})}
	p.wg.Go(func() {
		tick := time.NewTicker(often)
		defer tick.Stop()
		for {
			p.tell(time.Now())
			select {
			case <-tick.C:
			case <-p.quit:
				return
			}
		}
	})
	return p
}

// stop tells a last time.
func (p *reporter) stop() {
	close(p.quit)
	p.wg.Wait()
	p.tell(time.Now())
}

// at notes the stage that the run as a whole is in.
func (r *run) at(stage string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stage = stage
}

// tell reports how far the run has come.
func (p *reporter) tell(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.r
	s := status.SyncProgress{Started: r.began, Branches: []status.Branch{}}
	s.Received, s.Trailers, s.Checked = r.s.counts()

	r.mu.Lock()
	s.Stage, s.Sampled = r.stage, r.quick
	var under []*download
	for _, q := range r.places {
		if q.d != nil {
			under = append(under, q.d)
		}
	}
	r.mu.Unlock()

	fetch, check := int64(0), int64(0) // what is left of the branch that is farthest from its end
	known := true
	for _, d := range under {
		b := d.status()
		s.Branches = append(s.Branches, b)
		if s.Stage == "" || s.Stage == "anchoring" && b.Stage == "history" {
			s.Stage = b.Stage
		}
		if b.Low > b.Target {
			fetch = max(fetch, int64(min(uint64(b.Low-b.Target), math.MaxInt64)))
		}
		check = max(check, b.Trailers-b.Checked)
	}
	if s.Stage == "" {
		s.Stage = "anchoring"
	}

	p.past = append(p.past, moment{now, s.Trailers, s.Checked})
	for len(p.past) > 2 && now.Sub(p.past[1].at) >= window {
		p.past = p.past[1:]
	}
	old := p.past[0]
	if took := now.Sub(old.at).Seconds(); took > 0 {
		s.Rate = float64(s.Trailers-old.trailers) / took
		s.WorkRate = float64(s.Checked-old.checked) / took
	}
	// Fetching and checking go on at the same time, so the slower one counts.
	left := 0.0
	for _, todo := range []struct {
		n    int64
		rate float64
	}{{fetch, s.Rate}, {fetch + check, s.WorkRate}} {
		switch {
		case todo.n == 0:
		case todo.rate <= 0:
			known = false
		default:
			left = max(left, float64(todo.n)/todo.rate)
		}
	}
	if known && len(under) > 0 {
		s.Left = &left
	}
	r.s.o.Progress(s)
}
