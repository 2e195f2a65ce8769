package scan

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"kigo/node/branch"
	"kigo/node/memory"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/verify"
)

// Memory is what survives a restart; a *memory.DB is one.
type Memory interface {
	Load(now time.Time) (*memory.Snapshot, error)
	Save(now time.Time, c *memory.Changes) error
}

// Deadlines bound a scan (docs/spec/sync.md section 8.6).  Zero values stand
// for the defaults.
type Deadlines struct {
	Soft  time.Duration // 20 s: ends it when the branch chosen so far has the quorum
	Hard  time.Duration // 5 min: ends it whatever there is
	Calm  time.Duration // 5 s without a new tip: lets it end early
	Retry time.Duration // 5 s: until a peer that may be changing branches is asked again
}

// Options say how to scan.
type Options struct {
	Client   *peer.Client
	Verifier verify.Verifier
	Book     *Book  // nil: an empty one
	Memory   Memory // nil keeps nothing

	Proof   proof.Options
	Anchors []proof.Anchor
	Quorum  branch.Quorum // zero: 3 peers of 3 groups

	Parallel  int // peers called at once; zero: 256
	PerGroup  int // of one group; zero: 4
	MaxPeers  int // called in all; zero: 4,096
	Deadlines Deadlines

	// Wrong tells how many of the verifier's engines were found to compute wrongly so
	// far; nil: none ever is.  Then what they have passed before is forgotten.
	Wrong func() int

	Now      func() time.Time // the clock that trailers are held against; nil: time.Now
	Draw     func(n int) int  // picks in [0, n) which trailer is checked first; nil: a secret source
	Log      *slog.Logger     // nil: silent
	Metrics  *Metrics         // nil: unseen
	OnChange func(Progress)   // called by the scan's own goroutine, at most ten times a second
}

// complete returns o with the defaults in place of zero values.
func (o Options) complete() (Options, error) {
	if o.Client == nil || o.Verifier == nil {
		return o, errors.New("scan: options without a client or a verifier")
	}
	if o.Book == nil {
		o.Book = NewBook(BookOptions{})
	}
	o.Quorum.Peers = cmp.Or(o.Quorum.Peers, 3)
	o.Quorum.Groups = cmp.Or(o.Quorum.Groups, 3)
	o.Parallel = cmp.Or(o.Parallel, 256)
	o.PerGroup = cmp.Or(o.PerGroup, 4)
	o.MaxPeers = cmp.Or(o.MaxPeers, MaxCandidates)
	o.Deadlines.Soft = cmp.Or(o.Deadlines.Soft, 20*time.Second)
	o.Deadlines.Hard = cmp.Or(o.Deadlines.Hard, 5*time.Minute)
	o.Deadlines.Calm = cmp.Or(o.Deadlines.Calm, 5*time.Second)
	o.Deadlines.Retry = cmp.Or(o.Deadlines.Retry, 5*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Wrong == nil {
		o.Wrong = func() int { return 0 }
	}
	if o.Draw == nil {
		o.Draw = proof.Secret()
	}
	o.Log = logOr(o.Log)
	o.Metrics = metricsOr(o.Metrics)
	return o, nil
}

// logOr returns l, or a logger that drops everything when it is nil.
func logOr(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	return l
}
