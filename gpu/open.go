//go:build cuda

package gpu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

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
	o.InFlight = cmp.Or(o.InFlight, DefaultInFlight)
	if o.Image == "" {
		image, err := kernels.Image()
		if err != nil {
			return nil, err
		}
		o.Image = image
	}
	if err := driver.Init(); err != nil {
		return nil, fmt.Errorf("gpu: %w", err)
	}
	found, err := driver.Devices()
	if err != nil {
		return nil, fmt.Errorf("gpu: %w", err)
	}
	version, err := driver.Version()
	if err != nil {
		return nil, fmt.Errorf("gpu: %w", err)
	}
	opened, errs := make([]*device, len(found)), make([]error, len(found))
	var wg sync.WaitGroup
	for i, d := range found {
		wg.Go(func() {
			if ctx.Err() == nil {
				detail := fmt.Sprintf("%v, driver for CUDA %d.%d", d, version/1000, version%1000/10)
				opened[i], errs[i] = open(d, detail, o)
			}
		})
	}
	wg.Wait()
	var devices []verify.Backend
	for _, d := range opened {
		if d != nil {
			devices = append(devices, d)
		}
	}
	if ctx.Err() != nil {
		for _, d := range devices {
			errs = append(errs, d.Close())
		}
		return nil, errors.Join(append(errs, verify.Interrupted(ctx))...)
	}
	return devices, errors.Join(errs...)
}
