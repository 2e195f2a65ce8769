package chainsync

import (
	"context"

	"kigo/node/chain"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/proof"
)

// A Download is what tests outside the package drive.
type Download struct{ d *download }

// NewDownload begins a download as a Run does.
func NewDownload(s *Syncer, b *Branch) (Download, error) {
	s.mu.Lock()
	if s.faults == nil { // as Run does
		s.faults = map[fault.Kind]int{}
	}
	s.mu.Unlock()
	d, err := newDownload(s, b)
	return Download{d}, err
}

func (d Download) Run(ctx context.Context) error {
	defer d.d.close()
	return d.d.run(ctx)
}
func (d Download) Met() (string, mcm.BlockNum) { return d.d.met.what, d.d.met.num }
func (d Download) Staging() *chain.Staging     { return d.d.staging }
func (d Download) Reset()                      { d.d.s.sched.reset() }
func (d Download) Flying() int                 { return d.d.s.sched.flying }
func Checked(s *Syncer) int64                  { return s.workshop.checked.Load() }
func Sampled(s *Syncer) func(g *chain.Staging, n int) error {
	return func(g *chain.Staging, n int) error {
		return s.workshop.sampled(context.Background(), g, g.Unworked(), n)
	}
}

// Full has all work checked that is not proven yet.
func Full(ctx context.Context, s *Syncer, g *chain.Staging) error {
	for _, span := range g.Unworked() {
		if err := s.workshop.verify(ctx, g, span); err != nil {
			return err
		}
	}
	return nil
}

// InvalidOf returns what an error says of an invalid trailer, nil if it says nothing
// of the kind, and the faults that go with it.
func InvalidOf(err error) (*proof.Invalid, []Charge) {
	e, ok := err.(*invalidError)
	if !ok {
		return nil, nil
	}
	var cs []Charge
	for _, c := range e.faults {
		cs = append(cs, Charge(c))
	}
	return &e.Invalid, cs
}

// A Charge is what a peer has to answer for.
type Charge charge

// ReasonsOf returns why nobody serves a branch, nil if the error is another.
func ReasonsOf(err error) map[string]int {
	if e, ok := err.(*unavailableError); ok {
		return e.reasons
	}
	return nil
}

// AnchorOf returns the name of the block that a branch lacks.
func AnchorOf(err error) string {
	if e, ok := err.(*anchorError); ok {
		return e.Name
	}
	return ""
}
