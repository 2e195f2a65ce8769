package chainsync

import (
	"cmp"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"kigo/node/branch"
	"kigo/node/chain"
	"kigo/node/evidence"
	"kigo/node/fault"
	"kigo/node/mcm"
	"kigo/node/memory"
	"kigo/node/peer"
	"kigo/node/proof"
	"kigo/node/status"
	"kigo/node/tfile"
	"kigo/node/verify"
	"kigo/node/wire"
)

// Options say how to sync.  Client, Verifier, Known, Chain and Accounts must be
// given.
type Options struct {
	Client   *peer.Client
	Verifier verify.Verifier
	Known    proof.Known
	Chain    *chain.Store
	Accounts Accounts

	Base  proof.Anchor  // lowest block that anybody need serve, as the own chain has it; zero: genesis
	Pin   *tfile.Pin    // nil: none
	Floor *proof.Anchor // nil: none

	// Switch is held from the last comparison with the own weight to the end of the
	// switch, for others that change the own chain too; nil: nobody does.
	Switch sync.Locker

	Memory  Saver            // where waiting branches are kept; nil: nowhere
	Waiting []memory.Waiting // those kept by an earlier process

	Quorum branch.Quorum // zero: 3 peers of 3 groups
	Limits Limits

	Now      func() time.Time          // the clock that trailers are held against; nil: time.Now
	Draw     func(n int) int           // picks in [0, n), unknown to peers; nil: a secret source
	Log      *slog.Logger              // nil: silent
	Metrics  *Metrics                  // nil: unseen
	Progress func(status.SyncProgress) // ten times a second and before each switch, by one goroutine at a time; nil: nobody
	Hook     func(step string)         // called at each of Steps; nil: nobody
}

// Limits bound a sync (docs/spec/sync.md sections 8.5 to 8.8).  Zero values stand
// for the defaults.
type Limits struct {
	Range    int // trailers asked for at once; 1,000
	Flight   int // ranges under way, all branches together; 32
	PerGroup int // sources of one group used at once; 2

	FirstByte time.Duration // a request without a byte by then is given up; 5 s
	Complete  time.Duration // one not complete by then is asked of a second source too; 5 s
	End       time.Duration // ends a request; 20 s

	Places  int           // branches under way at once; 4
	Resolve time.Duration // until a choice is made among what is resolved; 10 min
	Samples int           // of a range, where the engines don't keep up; 8
	Sampled int           // of a branch, before any is verified in full; 2,048

	// Deep and Rescan are how many own blocks a switch replaces at most without an
	// alarm, and without another scan; 54 and 2,048.
	Deep, Rescan int

	Wait        time.Duration // how long a branch nobody served is left alone, doubled each time; 10 min
	LongestWait time.Duration // at most; 2 h
}

// complete returns l with the defaults in place of zero values.
func (l Limits) complete() Limits {
	l.Range = cmp.Or(l.Range, wire.MaxTF)
	l.Flight = cmp.Or(l.Flight, 32)
	l.PerGroup = cmp.Or(l.PerGroup, 2)
	l.FirstByte = cmp.Or(l.FirstByte, 5*time.Second)
	l.Complete = cmp.Or(l.Complete, 5*time.Second)
	l.End = cmp.Or(l.End, 20*time.Second)
	l.Places = cmp.Or(l.Places, 4)
	l.Resolve = cmp.Or(l.Resolve, 10*time.Minute)
	l.Samples = cmp.Or(l.Samples, 8)
	l.Sampled = cmp.Or(l.Sampled, 2048)
	l.Deep = cmp.Or(l.Deep, mcm.ProofTrailers)
	l.Rescan = cmp.Or(l.Rescan, 2048)
	l.Wait = cmp.Or(l.Wait, 10*time.Minute)
	l.LongestWait = cmp.Or(l.LongestWait, 2*time.Hour)
	return l
}

// Accounts charge peers and say who may serve; a *scan.Book is one.  Methods are
// safe for concurrent use.
type Accounts interface {
	// Observe charges a peer with a fault and keeps the evidence, if there is any.
	Observe(f *fault.Fault, ev *evidence.Record, now time.Time) (banned bool)
	// Worthless charges the peer's group with trailers that led nowhere.
	Worthless(a netip.Addr, trailers int, now time.Time)
	// FailedWork charges the peer's group with n checks of work that failed.
	FailedWork(a netip.Addr, n int, now time.Time)
	// Delivered notes that the peer has served a range that linked.
	Delivered(a netip.Addr, now time.Time)
	// MayServe reports whether the peer may be asked: not banned, not resting, its
	// group within its budget.
	MayServe(a netip.Addr, now time.Time) bool
	// Quota returns what the peer's group has of a quota n.
	Quota(a netip.Addr, n int, now time.Time) int
	// FalseStatement notes a weight found false; it returns false when the peer has
	// been charged for it already.
	FalseStatement(a netip.Addr, st memory.Statement, now time.Time) bool
}

// A Saver keeps what has to survive a restart; a *memory.DB is one.
type Saver interface {
	Save(now time.Time, c *memory.Changes) error
}

// A Supporter is a peer whose tip is on a branch.
type Supporter struct {
	Addr      netip.Addr
	Group     netip.Prefix
	Claim     wire.State // what it stated when it showed its proof
	Preferred bool       // configured, longest-standing, or has delivered before
}

// A Branch is one that peers have proven the end of (S1).
type Branch struct {
	Trailers   []mcm.Trailer // oldest first, to the tip; rules and work proven
	Supporters []Supporter   // by address
	Rank       int           // 0 is tried first
	FirstClass bool
	Groups     int // distinct ones among the supporters
}

// Tip returns the last trailer.
func (b *Branch) Tip() *mcm.Trailer { return &b.Trailers[len(b.Trailers)-1] }

// complete returns o with defaults in place of zero values; the error names what has
// none.
func (o Options) complete() (Options, error) {
	if o.Client == nil || o.Verifier == nil || o.Known == nil || o.Chain == nil || o.Accounts == nil {
		return o, errors.New("chainsync: options without a client, a verifier, known trailers, a chain or accounts")
	}
	return o.defaults(), nil
}

// defaults returns o with defaults in place of zero values.
func (o Options) defaults() Options {
	o.Quorum.Peers = cmp.Or(o.Quorum.Peers, 3)
	o.Quorum.Groups = cmp.Or(o.Quorum.Groups, 3)
	o.Limits = o.Limits.complete()
	if o.Switch == nil {
		o.Switch = new(sync.Mutex)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Draw == nil {
		o.Draw = proof.Secret()
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Progress == nil {
		o.Progress = func(status.SyncProgress) {}
	}
	if o.Hook == nil {
		o.Hook = func(string) {}
	}
	return o
}
