//go:build cuda

package gpu

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"kigo/gpu/internal/driver"
	"kigo/node/mcm"
	"kigo/node/verify"
)

const (
	// streams is how many pieces a device works on at a time.  One would leave it
	// idle during copies and the host's part of the work.
	streams = 2

	// warp is how many threads of a device go in step.
	warp = 32

	// minBatch is the batch below which no device can be worth it: a step takes
	// as long as one MD2, so that 27 ms go by for any batch, and a core does some
	// 30 trailers in that time.  From there on the router measures.
	minBatch = 256

	// bestBatch is the batch from which on a device is about at its best rate.
	bestBatch = 1 << 19

	// patience is how long a piece may take, some hundred times what it should,
	// before the device is held to hang.
	patience = time.Minute
)

// A device is a GPU as an engine.  Its goroutine owns all that the driver made; a
// caller owns a slot's pinned memory from taking the slot out of idle until it
// sends it to ready, and again from the slot's done until it puts it back.
type device struct {
	info     verify.Info
	capacity int // trailers that a slot takes
	patience time.Duration

	idle  chan *slot    // those that nobody uses
	ready chan *slot    // those whose trailers are to be hashed
	quit  chan struct{} // closed to end the goroutine
	ended chan struct{} // closed when nothing more is hashed; why tells the reason
	gone  chan struct{} // closed when the goroutine has ended and all is freed

	end      sync.Once
	why      error // set before ended is closed
	close    sync.Once
	closeErr error // set before gone is closed
}

var _ verify.Backend = (*device)(nil)

// open starts a goroutine for a device that detail describes, and returns when it
// can serve.
func open(about driver.Device, detail string, o Options) (*device, error) {
	name := fmt.Sprintf("cuda:%d", about.Ordinal)
	d := &device{
		info:  verify.Info{Name: name, Detail: detail, Device: name, Lanes: warp},
		idle:  make(chan *slot, streams),
		ready: make(chan *slot, streams),
		quit:  make(chan struct{}),
		ended: make(chan struct{}),
		gone:  make(chan struct{}),

		patience: patience,
	}
	opened := make(chan error)
	go d.run(about, o, opened)
	if err := <-opened; err != nil {
		<-d.gone
		return nil, &OpenError{name, detail, err}
	}
	return d, nil
}

// run is the device's goroutine.  Its thread, to which the context belongs, ends
// with it.
func (d *device) run(about driver.Device, o Options, opened chan<- error) {
	runtime.LockOSThread()
	defer close(d.gone)
	context, err := about.Open()
	if err != nil {
		opened <- err
		return
	}
	slots, err := makeSlots(context, o)
	if err != nil {
		opened <- errors.Join(err, context.Close())
		return
	}
	d.capacity = slots[0].capacity
	d.info.Chunk = min(streams*d.capacity, bestBatch)
	d.info.MinBatch = min(minBatch, d.info.Chunk)
	for _, s := range slots {
		d.idle <- s
	}
	opened <- nil

	failure := d.serve()
	if failure != nil {
		d.retire(failure.Error())
	} else {
		d.stop(verify.ErrClosed)
	}
	for range slots { // callers are told by ended, and give their slots back
		<-d.idle
	}
	err = errors.Join(freeSlots(slots), context.Close())
	if failure == nil { // what else fails on a device that has failed is no news
		d.closeErr = err
	}
}

// stop ends the service for a reason, unless it has ended.
func (d *device) stop(why error) {
	d.end.Do(func() {
		d.why = why
		close(d.ended)
	})
}

// retire ends the service because of a failure.
func (d *device) retire(reason string) {
	d.stop(&verify.BackendError{Backend: d.info.Name, Op: "verify",
		Err: &verify.RetiredError{Backend: d.info.Name, Reason: reason}})
}

// serve hashes what it is given until the device fails or is closed.
func (d *device) serve() error {
	var busy []*slot
	for {
		if len(busy) == 0 { // nothing to do meanwhile
			select {
			case s := <-d.ready:
				busy = append(busy, s)
			case <-d.ended:
				return nil
			case <-d.quit:
				return nil
			}
		}
		select {
		case s := <-d.ready:
			busy = append(busy, s)
		case <-d.quit:
			return nil
		default:
		}
		still := busy[:0]
		for _, s := range busy {
			more, err := s.step()
			if err != nil {
				return err
			}
			if more {
				still = append(still, s)
			} else {
				s.done <- struct{}{}
			}
		}
		busy = still
	}
}

// Info describes the device.
func (d *device) Info() verify.Info { return d.info }

// Close gives back all that the device holds, and returns what went wrong in
// that.  It gives up on a device that hangs.
func (d *device) Close() error {
	d.close.Do(func() { close(d.quit) })
	select {
	case <-d.gone:
		return d.closeErr
	case <-time.After(d.patience):
		return fmt.Errorf("gpu: %s hangs: %v after it was told to stop it has not", d.info.Name, d.patience)
	}
}

// VerifyPoW implements verify.Verifier.
func (d *device) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	if err := verify.CheckLengths(dst, batch); err != nil {
		return err
	}
	clear(dst)
	j := &job{device: d, ctx: ctx, dst: dst, batch: batch, piece: pieceOf(len(batch), d.capacity)}
	errs := make([]error, streams)
	var wg sync.WaitGroup
	for i := range streams {
		wg.Go(func() { errs[i] = j.work() })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
