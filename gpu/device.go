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
	// as long as one MD2, so that some 27 ms are expected to go by for any batch,
	// in which a core does 30 trailers with the slowest engine.  From there on the
	// router measures, and learns where the crossover with the machine's other
	// engines is.
	minBatch = warp

	// bestBatch is the batch from which on a device is about at its best rate.
	bestBatch = 1 << 19

	// patience is how long a piece may take, some hundred times what it should,
	// before the device is held to hang.  Opening it may take as long.
	patience = time.Minute

	// farewell is how long Close waits for the step under way and for the memory
	// to be given back, again far more than that takes.
	farewell = 10 * time.Second
)

// A device is a GPU as an engine.  Its goroutine owns all that the driver made; a
// caller owns a slot's pinned memory from taking the slot out of idle until it
// sends it to ready, and again from the slot's done until it puts it back.
type device struct {
	info     verify.Info
	hardware Hardware
	metrics  *Metrics
	streams  int // slots
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

// nameOf returns the name of a device as an engine.
func nameOf(d driver.Device) string { return fmt.Sprintf("cuda:%d", d.Ordinal) }

// open starts a goroutine for a device, whose driver knows that version of CUDA,
// and returns when it can serve.  It gives up when the device hangs or ctx ends;
// the goroutine then ends when the device answers, if ever.
func open(ctx context.Context, about driver.Device, cuda string, o setup) (*device, error) {
	name, detail := nameOf(about), fmt.Sprintf("%v, driver for CUDA %s", about, cuda)
	d := &device{
		info: verify.Info{Name: name, Detail: detail, Device: name, Lanes: warp},
		hardware: Hardware{
			Name: about.Name, Memory: about.Memory, Multiprocessors: about.Processors, DriverCUDA: cuda,
			ComputeCapability: fmt.Sprintf("%d.%d", about.Major, about.Minor),
		},
		idle:  make(chan *slot, o.streams),
		ready: make(chan *slot, o.streams),
		quit:  make(chan struct{}),
		ended: make(chan struct{}),
		gone:  make(chan struct{}),

		metrics:  o.Metrics,
		streams:  o.streams,
		patience: o.patience,
	}
	opened := make(chan error, 1)
	go d.run(about, o, opened)
	late := time.NewTimer(d.patience)
	defer late.Stop()
	var err error
	select {
	case err = <-opened:
		if err == nil {
			return d, nil
		}
		<-d.gone
	case <-late.C:
		err = fmt.Errorf("it hangs: it is not open after %v", d.patience)
	case <-ctx.Done():
		err = verify.Interrupted(ctx)
	}
	close(d.quit)
	return nil, &OpenError{name, detail, d.hardware, err}
}

// run is the device's goroutine.  Its thread, to which the context belongs, ends
// with it.
func (d *device) run(about driver.Device, o setup, opened chan<- error) {
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
	d.info.Chunk = min(d.streams*d.capacity, bestBatch)
	d.info.MinBatch = min(minBatch, d.info.Chunk)
	for _, s := range slots {
		d.idle <- s
	}
	d.holds(slots[0].bytes())
	opened <- nil

	failure := d.serve()
	if failure != nil {
		d.retire(verify.Failed, failure.Error())
	} else {
		d.stop(verify.ErrClosed)
	}
	for range slots { // callers are told by ended, and give their slots back
		<-d.idle
	}
	err = errors.Join(freeSlots(slots), context.Close())
	d.holds(0, 0)
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
func (d *device) retire(class verify.RetireClass, reason string) {
	d.stop(&verify.BackendError{Backend: d.info.Name, Op: "verify",
		Err: &verify.RetiredError{Backend: d.info.Name, Class: class, Reason: reason}})
}

// serve hashes what it is given until the device fails or is closed.
func (d *device) serve() error {
	var busy []*slot
	working := d.metrics.busy.WithLabelValues(d.info.Name)
	since := time.Now()
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
			since = time.Now()
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
		now := time.Now()
		working.Add(now.Sub(since).Seconds())
		since = now
	}
}

// holds notes how much memory each slot holds.
func (d *device) holds(device, pinned int64) {
	d.metrics.memory.WithLabelValues(d.info.Name, "device").Set(float64(int64(d.streams) * device))
	d.metrics.memory.WithLabelValues(d.info.Name, "pinned").Set(float64(int64(d.streams) * pinned))
}

// judged notes that n trailers were hashed, with so many of the known answers
// wrong.
func (d *device) judged(n, wrong int) {
	d.metrics.batches.WithLabelValues(d.info.Name).Inc()
	d.metrics.hashed.WithLabelValues(d.info.Name).Add(float64(n))
	d.metrics.planted.WithLabelValues(d.info.Name, "right").Add(float64(planted - wrong))
	d.metrics.planted.WithLabelValues(d.info.Name, "wrong").Add(float64(wrong))
}

// Hardware describes the device for programs.
func (d *device) Hardware() Hardware { return d.hardware }

// Info describes the device.
func (d *device) Info() verify.Info { return d.info }

// Close gives back all that the device holds, and returns what went wrong in
// that.  It gives up on a device that hangs.
func (d *device) Close() error {
	d.close.Do(func() { close(d.quit) })
	wait := min(farewell, d.patience)
	select {
	case <-d.gone:
		return d.closeErr
	case <-time.After(wait):
		return fmt.Errorf("gpu: %s hangs: %v after it was told to stop it has not", d.info.Name, wait)
	}
}

// VerifyPoW implements verify.Verifier.
func (d *device) VerifyPoW(ctx context.Context, dst []verify.Result, batch []mcm.Trailer) error {
	if err := verify.CheckLengths(dst, batch); err != nil {
		return err
	}
	clear(dst)
	j := &job{device: d, ctx: ctx, dst: dst, batch: batch, piece: pieceOf(len(batch), d.capacity, d.streams)}
	errs := make([]error, d.streams)
	var wg sync.WaitGroup
	for i := range d.streams {
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
