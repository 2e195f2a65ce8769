//go:build cuda

package gpu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"kigo/gpu/internal/driver"
	"kigo/kernels"
	"kigo/node/verify"
)

// Open opens all devices of the machine and returns those that work, in the
// driver's order.  The error says why there is no device at all, or joins an
// *OpenError for each one that can't be used; so both may be non-nil.  The caller
// has verify.SelfTest ask each device before it serves, and closes it.
//
// When ctx ends, Open returns no device.
func Open(ctx context.Context, o Options) ([]verify.Backend, error) {
	return openAll(ctx, setup{Options: o, streams: streams, threads: threads, patience: patience})
}

// A setup is options, and what only measurements and tests vary.
type setup struct {
	Options
	streams  int // pieces that a device works on at a time
	threads  int // in a block; the image must be made for as many
	patience time.Duration
}

// openAll is Open.
func openAll(ctx context.Context, o setup) ([]verify.Backend, error) {
	o.InFlight = cmp.Or(o.InFlight, DefaultInFlight)
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Image == "" {
		image, err := kernels.Image()
		if err != nil {
			return nil, err
		}
		o.Image = image
	}
	found, version, err := look(ctx, o.patience)
	if err != nil {
		return nil, err
	}
	opened, errs := make([]*device, len(found)), make([]error, len(found))
	var wg sync.WaitGroup
	for i, d := range found {
		wg.Go(func() {
			if ctx.Err() == nil && (o.Use == nil || o.Use(nameOf(d))) {
				opened[i], errs[i] = open(ctx, d, fmt.Sprintf("%d.%d", version/1000, version%1000/10), o)
			}
		})
	}
	wg.Wait()
	var devices []verify.Backend
	unusable := 0
	for i, d := range opened {
		if d != nil {
			devices = append(devices, d)
		} else if errs[i] != nil {
			unusable++
		}
	}
	o.Metrics.devices.WithLabelValues("open").Set(float64(len(devices)))
	o.Metrics.devices.WithLabelValues("unusable").Set(float64(unusable))
	if ctx.Err() != nil {
		for _, d := range devices {
			errs = append(errs, d.Close())
		}
		return nil, errors.Join(append(errs, verify.Interrupted(ctx))...)
	}
	return devices, errors.Join(errs...)
}

// look loads the driver and asks it for its devices and its version.  A driver that
// hangs keeps a goroutine, and nobody else.
func look(ctx context.Context, patience time.Duration) ([]driver.Device, int, error) {
	var found []driver.Device
	var version int
	done := make(chan error, 1)
	go func() {
		err := driver.Init()
		if err == nil {
			found, err = driver.Devices()
		}
		if err == nil {
			version, err = driver.Version()
		}
		done <- err
	}()
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case err := <-done:
		if err != nil {
			return nil, 0, fmt.Errorf("gpu: %w", err)
		}
		return found, version, nil
	case <-late.C:
		return nil, 0, fmt.Errorf("gpu: the driver hangs: no answer in %v", patience)
	case <-ctx.Done():
		return nil, 0, verify.Interrupted(ctx)
	}
}
