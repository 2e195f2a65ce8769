//go:build cuda

package gpu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"unsafe"

	"kigo/gpu/internal/driver"
	"kigo/node/mcm"
)

// What kernels/src/peach.cuh fixes, in bytes for a trailer where nothing else is
// said.
const (
	threads    = 256 // a block
	queues     = 8
	stateLen   = 4 * 288
	queuesLen  = 4 * queues
	countsLen  = 4 * queues // for each step
	tiles      = 9
	rows       = 32             // a tile
	steps      = tiles*rows + 8 // rows, and jumps between tiles
	fullLen    = mcm.TrailerLen + stateLen + 2*queuesLen + mcm.HashLen
	leastTaken = 1 << 10 // trailers that a slot must have room for, if so many are asked for
)

// unwritten is what stands where a hash is to come, on the device and on the host.
// No work meets it, so a hash that is lost on the way is repeated, as all bad ones
// are, and found out; that of another piece might do for good work.
var unwritten = mcm.Hash(bytes.Repeat([]byte{0xff}, mcm.HashLen))

// A program is the four kernels.
type program struct{ init, row, jump, final driver.Function }

// load loads the device code.
func load(c *driver.Context, image string) (*program, error) {
	module, err := c.Load(image)
	if err != nil {
		return nil, err
	}
	p := &program{}
	for _, k := range []struct {
		name     string
		function *driver.Function
	}{{"kigo_init", &p.init}, {"kigo_row", &p.row}, {"kigo_jump", &p.jump}, {"kigo_final", &p.final}} {
		if *k.function, err = module.Function(k.name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// A slot is a stream and memory for the trailers that go through it.
type slot struct {
	program  *program
	threads  int // in a block
	capacity int
	stream   driver.Stream

	in, out                  driver.Pinned // trailers, final hashes
	trailers, states, hashes driver.Memory
	queues                   [2]driver.Memory // read and written in turn
	counts                   driver.Memory    // of each step, and of what the last one leaves

	// Of the piece it holds.
	ctx     context.Context
	n       int // trailers, with those that are planted
	plants  planting
	tile    int // next one
	dropped bool
	done    chan struct{} // told when the piece is done or dropped
}

// makeSlots loads the device code and makes slots as large as o wants and memory
// allows.
func makeSlots(c *driver.Context, o setup) ([]*slot, error) {
	p, err := load(c, o.Image)
	if err != nil {
		return nil, err
	}
	free, err := c.FreeMemory()
	if err != nil {
		return nil, err
	}
	// Others use the device too, and memory comes in large pages.  The few that are
	// planted find room in what is left.
	capacity := min(divUp(o.InFlight, o.streams), int(free/4*3/int64(o.streams)/fullLen))
	least := min(leastTaken, divUp(o.InFlight, o.streams))
	var tried error
	for ; capacity >= least; capacity /= 2 {
		slots := make([]*slot, o.streams)
		for i := range slots {
			slots[i] = &slot{program: p, threads: o.threads, capacity: capacity, done: make(chan struct{}, 1)}
			err = errors.Join(err, slots[i].allocate(c))
		}
		if err == nil {
			return slots, nil
		}
		if ferr := freeSlots(slots); ferr != nil {
			return nil, errors.Join(err, ferr)
		}
		var e *driver.Error
		if !errors.As(err, &e) || !e.OutOfMemory() {
			return nil, err
		}
		tried, err = err, nil
	}
	if tried != nil { // there is less than the driver says, or too little on the host
		return nil, fmt.Errorf("too little memory for %d trailers: %w", o.streams*least, tried)
	}
	return nil, fmt.Errorf("too little memory: %d bytes are free, %d needed", free, o.streams*least*fullLen)
}

// allocate takes what the slot needs.  After an error some of it may be taken.
func (s *slot) allocate(c *driver.Context) (err error) {
	if s.stream, err = c.NewStream(); err != nil {
		return err
	}
	n := int64(s.capacity + planted)
	for _, m := range []struct {
		memory *driver.Memory
		bytes  int64
	}{
		{&s.trailers, n * mcm.TrailerLen},
		{&s.states, n * stateLen},
		{&s.queues[0], n * queuesLen},
		{&s.queues[1], n * queuesLen},
		{&s.counts, (steps + 1) * countsLen},
		{&s.hashes, n * mcm.HashLen},
	} {
		if *m.memory, err = c.Alloc(m.bytes); err != nil {
			return err
		}
	}
	if s.in, err = c.AllocPinned(n * mcm.TrailerLen); err != nil {
		return err
	}
	s.out, err = c.AllocPinned(n * mcm.HashLen)
	return err
}

// bytes returns what the slot holds on the device and on the host.
func (s *slot) bytes() (device, pinned int64) {
	for _, m := range []driver.Memory{s.trailers, s.states, s.queues[0], s.queues[1], s.counts, s.hashes} {
		device += m.Bytes()
	}
	return device, int64(len(s.in) + len(s.out))
}

// freeSlots gives back all that slots hold.
func freeSlots(slots []*slot) error {
	var errs []error
	for _, s := range slots {
		errs = append(errs, s.stream.Free(), s.in.Free(), s.out.Free(), s.trailers.Free(), s.states.Free(),
			s.queues[0].Free(), s.queues[1].Free(), s.counts.Free(), s.hashes.Free())
	}
	return errors.Join(errs...)
}

// take fills the slot with n trailers, which fill stores, and readies it.
func (s *slot) take(ctx context.Context, n int, fill func(trailers []mcm.Trailer)) {
	s.ctx, s.n, s.tile, s.dropped = ctx, n+planted, 0, false
	trailers := mcm.Trailers(s.in[:s.n*mcm.TrailerLen])
	fill(trailers[:n])
	s.plants = plant(trailers, n)
	hashes := s.all()
	for i := range hashes {
		hashes[i] = unwritten
	}
}

// all returns the hashes of the piece with those of the known answers.
func (s *slot) all() []mcm.Hash {
	return unsafe.Slice((*mcm.Hash)(unsafe.Pointer(unsafe.SliceData(s.out))), s.n)
}

// result returns the final hashes of the piece, and how many of the known answers
// the device that made them got wrong, and what about one of them.
func (s *slot) result() (hashes []mcm.Hash, wrong int, what string) {
	all, n := s.all(), s.n-planted
	wrong, what = s.plants.harvest(all, n)
	return all[:n], wrong, what
}

// step waits for the last tile and has the device begin the next.  It returns
// false when there is none, or when nobody wants the piece any more.
func (s *slot) step() (more bool, err error) {
	if s.tile > 0 {
		if err := s.stream.Synchronize(); err != nil {
			return false, err
		}
	}
	if s.tile == tiles {
		return false, nil
	}
	if s.ctx.Err() != nil {
		s.dropped = true
		return false, nil
	}
	if s.tile == 0 {
		err = s.first()
	}
	for r := 0; r < rows && err == nil; r++ {
		err = s.row(r)
	}
	if err == nil {
		if s.tile < tiles-1 {
			err = s.jump()
		} else {
			err = s.last()
		}
	}
	s.tile++
	return err == nil, err
}

// row hashes row r of the tile.
func (s *slot) row(r int) error {
	at := s.tile*(rows+1) + r
	return s.launch(s.program.row, queues, s.states.Arg(0), s.count(at), s.queue(at), s.count(at+1), s.queue(at+1), uint64(r), uint64(s.n))
}

// jump goes to the next tile.
func (s *slot) jump() error {
	at := s.tile*(rows+1) + rows
	return s.launch(s.program.jump, queues, s.trailers.Arg(0), s.states.Arg(0), s.count(at), s.queue(at), s.count(at+1), s.queue(at+1), uint64(s.n))
}

// first uploads the trailers and finds their first tiles.
func (s *slot) first() error {
	if err := s.stream.Upload(s.trailers, s.in, int64(s.n)*mcm.TrailerLen); err != nil {
		return err
	}
	if err := s.stream.Fill(s.counts, 0); err != nil {
		return err
	}
	if err := s.stream.Fill(s.hashes, unwritten[0]); err != nil {
		return err
	}
	return s.launch(s.program.init, 0, s.trailers.Arg(0), s.states.Arg(0), s.count(0), s.queue(0), uint64(s.n))
}

// last makes the final hashes and downloads them.
func (s *slot) last() error {
	if err := s.launch(s.program.final, 0, s.states.Arg(0), s.hashes.Arg(0), uint64(s.n)); err != nil {
		return err
	}
	return s.stream.Download(s.out, s.hashes, int64(s.n)*mcm.HashLen)
}

// launch runs a kernel with blocks for all trailers and some more.
func (s *slot) launch(f driver.Function, more int, args ...uint64) error {
	return s.stream.Launch(f, divUp(s.n, s.threads)+more, s.threads, args...)
}

// count and queue are what step at reads, and the one before it has written.
func (s *slot) count(at int) uint64 { return s.counts.Arg(int64(at) * countsLen) }
func (s *slot) queue(at int) uint64 { return s.queues[at%2].Arg(0) }
