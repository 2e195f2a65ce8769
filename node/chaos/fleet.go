package chaos

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"kigo/node/internal/freeport"
)

// An Assignment says of which kind the peer at an address is.
type Assignment struct {
	Addr netip.Addr `json:"addr"`
	Kind string     `json:"kind"`
}

// A FleetConfig says which peers to run.
type FleetConfig struct {
	Seed  uint64 // of all that peers draw
	Port  uint16 // zero: any that is free, the same for all peers
	Peers []Assignment
	// Now is a clock that stands still and that whoever judges the peers goes
	// by.  Nil is the real one, against which times that must lie in the future
	// do so by half a minute more, so that they still do when they are judged;
	// two minutes after the world's own time no such block can follow any more.
	Now func() time.Time
	// Late is how long the late take to begin; zero is a second.
	Late time.Duration
	// Rate is how many bytes a second of a range or file that is longer than a proof
	// each call gets; zero is as many as there is room for.
	Rate int
	// Bound ends what goes on for ever; zero is ten minutes for each connection.
	Bound time.Duration
	Log   *slog.Logger // nil: silent
}

// A Fleet is a number of peers on loopback addresses, each with a listener of its
// own.  Its methods are safe for concurrent use.
type Fleet struct {
	world *World
	c     FleetConfig
	hold  atomic.Uint64 // number of a block, see Hold

	mu        sync.Mutex // guards what follows, and the starting of goroutines
	port      uint16
	reserved  *freeport.Port // nil where the configuration says which
	listeners map[netip.Addr]net.Listener
	peers     map[netip.Addr]*actor
	order     []*actor // by address
	round     context.Context
	endRound  context.CancelFunc
	closed    bool

	accepts sync.WaitGroup // accept loops
	calls   sync.WaitGroup // connections
}

// An actor is the peer at one address.
type actor struct {
	*Kind
	addr  netip.Addr
	fleet *Fleet
	seed  uint64 // of all that it draws
	// others are all addresses of the fleet, accomplices the hostile ones, both
	// shuffled.
	others, accomplices []netip.Addr
	turned              *Kind // what one that turns coat becomes

	follows atomic.Pointer[Chain] // nil: the world's own

	connections, requests, optIns, ranges, deeps, lies, in, out atomic.Int64
}

// Stats is what came to pass at one peer since it was assigned.
type Stats struct {
	Addr        netip.Addr `json:"addr"`
	Kind        string     `json:"kind"`
	Connections int64      `json:"connections"`
	Requests    int64      `json:"requests"`
	OptIns      int64      `json:"opt_ins"`   // requests of callers that want to be in peer lists
	Ranges      int64      `json:"ranges"`    // that it was asked for, proofs included
	Deep        int64      `json:"deep"`      // ranges below its tip, and whole files
	Lies        int64      `json:"lies"`      // of these, what it has told in full that isn't honest, in the family of files
	BytesIn     int64      `json:"bytes_in"`  // received by the peer
	BytesOut    int64      `json:"bytes_out"` // sent by it
}

// NewFleet returns a fleet that Start brings up.  An address outside 127.0.0.0/8,
// one assigned twice or a kind that Kinds doesn't list is an error.
func NewFleet(w *World, c FleetConfig) (*Fleet, error) {
	c.Late = cmp.Or(c.Late, time.Second)
	c.Bound = cmp.Or(c.Bound, 10*time.Minute)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	f := &Fleet{world: w, c: c, port: c.Port, listeners: map[netip.Addr]net.Listener{}}
	if err := f.assign(c.Seed, c.Peers); err != nil {
		return nil, err
	}
	return f, nil
}

// Start listens at all addresses and serves until Close.  On an error nothing is
// left behind.
func (f *Fleet) Start() error {
	f.mu.Lock()
	err := f.listen()
	f.mu.Unlock()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	f.c.Log.Info("fleet is up", "peers", len(f.Stats()), "port", f.Port())
	return nil
}

// Run starts the fleet and serves until ctx ends, which is no error.
func (f *Fleet) Run(ctx context.Context) error {
	if err := f.Start(); err != nil {
		return err
	}
	<-ctx.Done()
	return f.Close()
}

// Close stops listening, ends all calls and waits for them.
func (f *Fleet) Close() error {
	f.mu.Lock()
	f.closed = true
	f.endRound()
	var errs []error
	for _, l := range f.listeners {
		errs = append(errs, l.Close())
	}
	clear(f.listeners)
	if f.reserved != nil {
		errs = append(errs, f.reserved.Close())
		f.reserved = nil
	}
	f.mu.Unlock()
	f.accepts.Wait()
	f.calls.Wait()
	return errors.Join(errs...)
}

// Assign replaces all peers: calls under way end, counters begin at zero, and
// listeners stay.  An address that has no peer any more closes what it accepts.
func (f *Fleet) Assign(seed uint64, peers []Assignment) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return net.ErrClosed
	}
	if err := f.assign(seed, peers); err != nil {
		return err
	}
	return f.listen()
}

// assign makes the peers of a new round.
func (f *Fleet) assign(seed uint64, as []Assignment) error {
	peers := make(map[netip.Addr]*actor, len(as))
	others := make([]netip.Addr, 0, len(as))
	var hostile []netip.Addr
	for _, a := range as {
		k := lookUp(a.Kind)
		switch {
		case k == nil:
			return fmt.Errorf("peer %v: kind %q: unknown", a.Addr, a.Kind)
		case !loopback.Contains(a.Addr):
			return fmt.Errorf("peer %v: want an address in %v", a.Addr, loopback)
		case peers[a.Addr] != nil:
			return fmt.Errorf("peer %v: assigned twice", a.Addr)
		}
		ip := a.Addr.As4()
		id := uint64(ip[1])<<16 | uint64(ip[2])<<8 | uint64(ip[3])
		r := rand.New(rand.NewPCG(seed, id))
		p := &actor{Kind: k, addr: a.Addr, fleet: f, seed: r.Uint64()}
		if k.Name == turncoat {
			p.turned = drawHostile(r)
		}
		peers[a.Addr] = p
		others = append(others, a.Addr)
		if k.Family != Honest {
			hostile = append(hostile, a.Addr)
		}
	}
	r := rand.New(rand.NewPCG(seed, 0))
	for _, list := range [][]netip.Addr{others, hostile} {
		slices.SortFunc(list, netip.Addr.Compare)
		r.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	}
	f.peers, f.order = peers, slices.Collect(maps.Values(peers))
	slices.SortFunc(f.order, func(p, q *actor) int { return p.addr.Compare(q.addr) })
	for _, p := range f.order {
		p.others, p.accomplices = others, hostile
	}
	if f.endRound != nil {
		f.endRound()
	}
	f.round, f.endRound = context.WithCancel(context.Background())
	return nil
}

var loopback = netip.MustParsePrefix("127.0.0.0/8")

// listen opens the listeners that peers still lack.
func (f *Fleet) listen() error {
	if f.port == 0 {
		port, err := freeport.Reserve()
		if err != nil {
			return err
		}
		f.reserved, f.port = port, port.Number
	}
	for _, p := range f.order {
		if f.listeners[p.addr] != nil {
			continue
		}
		l, err := net.Listen("tcp4", netip.AddrPortFrom(p.addr, f.port).String())
		if err != nil {
			return fmt.Errorf("peer %v: %w", p.addr, err)
		}
		f.listeners[p.addr] = l
		f.accepts.Go(func() { f.accept(l, p.addr) })
	}
	return nil
}

// accept hands each connection to the peer that has the address at the time.
func (f *Fleet) accept(l net.Listener, a netip.Addr) {
	for {
		conn, err := l.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// The process is short of files, or the caller has gone already.
			f.c.Log.Warn("accept failed", "peer", a, "err", err)
			if errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) {
				time.Sleep(10 * time.Millisecond)
			}
			continue
		}
		f.mu.Lock()
		p := f.peers[a]
		if p == nil || f.closed {
			f.mu.Unlock()
			conn.Close()
			continue
		}
		ctx := f.round
		f.calls.Go(func() { p.take(ctx, conn) })
		f.mu.Unlock()
	}
}

// take serves a connection until its script ends, its bound is reached or its
// round is over.
func (p *actor) take(ctx context.Context, conn net.Conn) {
	ctx, cancel := context.WithTimeout(ctx, p.fleet.c.Bound)
	defer cancel()
	hungUp := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		conn.Close()
		close(hungUp)
	})
	defer func() {
		if stop() {
			conn.Close()
		} else {
			<-hungUp
		}
	}()
	n := p.connections.Add(1) - 1
	c := &call{
		actor: p, n: n,
		conn: &countingConn{conn, &p.in, &p.out},
		rand: rand.New(rand.NewPCG(p.seed, uint64(n))),
	}
	// Whatever the error, it is the caller's or part of the play.
	err := c.play()
	p.fleet.c.Log.Debug("call ended", "peer", p.addr, "kind", p.Name, "err", err)
}

// Port returns the port of all peers, zero before the fleet is up.
func (f *Fleet) Port() uint16 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.port
}

// Peers returns the assignments in the order of addresses.
func (f *Fleet) Peers() (as []Assignment) {
	for _, s := range f.Stats() {
		as = append(as, Assignment{s.Addr, s.Kind})
	}
	return as
}

// Stats returns what came to pass at each peer, in the order of addresses.
func (f *Fleet) Stats() (all []Stats) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.order {
		all = append(all, Stats{p.addr, p.Name, p.connections.Load(), p.requests.Load(), p.optIns.Load(), p.ranges.Load(), p.deeps.Load(), p.lies.Load(), p.in.Load(), p.out.Load()})
	}
	return all
}
